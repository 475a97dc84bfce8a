"""Conformance suite of the alert sink port, for anyone's adapter: derive a test class and say how to make a sink.

class TestMyQueue(SinkSuite):
    def make_sink(self):
        return MyQueueSink(self.queue)

    def delivered(self):
        return [json.loads(message) for message in self.queue.read_all()]

    def break_down(self):
        self.queue.stop()
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import pytest

from fraudgraph.alerts.message import AlertMessage
from fraudgraph.alerts.sinks import AlertSink
from fraudgraph.errors import DependencyError


def message(number: int, ring: int = 1) -> AlertMessage:
    """Returns an alert of a ring; a number is always the same alert."""
    return AlertMessage(
        alert_id=f"{number:016x}",
        ring_id=f"R{ring:06d}",
        at="2026-03-01T14:05:00Z",
        probability=0.875,
        priority=12.5,
        reason="7 declined payments — größer als üblich",
        users=7,
        identifiers=2,
        value_at_risk_minor=123_456,
        currency=978,
    )


class SinkSuite(ABC):
    """Tests of the port's promises; pytest runs those of each derived class."""

    @abstractmethod
    def make_sink(self) -> AlertSink:
        """Returns a new sink, of the same place for the whole test."""

    @abstractmethod
    def delivered(self) -> list[dict[str, Any]]:
        """Returns all messages that came out so far, those of a ring in the order in which they came."""

    @abstractmethod
    def break_down(self) -> None:
        """Makes the place unreachable, for the rest of the test."""

    def test_alerts_arrive_whole_and_in_order(self) -> None:
        """What was sent is safe there once `send` returned, a ring's alerts in order."""
        sink = self.make_sink()
        sink.send([message(1), message(2)])
        sink.send([message(3)])
        sink.close()
        got = self.delivered()
        assert [each["alert_id"] for each in got] == [f"{number:016x}" for number in (1, 2, 3)]
        assert got[0] == {
            "version": "1",
            "alert_id": "0000000000000001",
            "ring_id": "R000001",
            "at": "2026-03-01T14:05:00Z",
            "probability": 0.875,
            "priority": 12.5,
            "reason": "7 declined payments — größer als üblich",
            "users": 7,
            "identifiers": 2,
            "value_at_risk_minor": 123456,
            "currency": 978,
        }

    def test_a_second_delivery_comes_under_the_same_id(self) -> None:
        """Whoever sends twice, from two lives of the process, delivers twice."""
        for _ in range(2):
            sink = self.make_sink()
            sink.send([message(1)])
            sink.close()
        assert [each["alert_id"] for each in self.delivered()] == ["0000000000000001"] * 2

    def test_no_alert_is_no_delivery(self) -> None:
        """An empty list is nothing."""
        sink = self.make_sink()
        sink.send([])
        sink.close()
        assert self.delivered() == []

    def test_a_place_that_is_away_says_so_and_what_to_do(self) -> None:
        """What may not have arrived is an error, within a bounded time; close still works, and twice."""
        sink = self.make_sink()
        self.break_down()
        with pytest.raises(DependencyError) as caught:
            sink.send([message(1)])
        assert caught.value.do
        sink.close()
        sink.close()

    def test_the_name_is_that_of_the_place(self) -> None:
        """Two sinks of one place are one in the store's list of what was sent."""
        one, other = self.make_sink(), self.make_sink()
        assert one.name == other.name
        assert one.name
        one.close()
        other.close()
