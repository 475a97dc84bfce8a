"""Silence is told by wall time, and only where the brokers say that there is nothing more."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future

import msgspec
import pytest

from fraudgraph.durations import DAY_MS, HOUR_MS, MINUTE_MS
from fraudgraph.errors import DependencyError
from fraudgraph.events.batch import ArrivedCommand
from fraudgraph.events.idle import AUTHOR, JOURNAL, IdleMark, read_mark
from fraudgraph.events.schema import Command
from fraudgraph.idle import IdleWatch, Silence
from fraudgraph.streams.port import RawBatch

NOW_MS = 20_000 * DAY_MS


class Source:
    """A stream of two partitions whose records one names, and that may not know whether it is read through."""

    def __init__(self) -> None:
        self.now: list[str] = []
        self.at = {"p0": 0, "p1": 0}
        self.away = False

    def seek(self, positions: Mapping[str, int]) -> None:
        """Starts at the positions."""

    def poll(self, max_records: int) -> RawBatch | None:
        names, self.now = self.now, []
        offsets = []
        for name in names:
            offsets.append(self.at[name])
            self.at[name] += 1
        return RawBatch([b"{}"] * len(names), names, list(range(len(names))), offsets, [o + 1 for o in offsets])

    def read_through(self) -> Mapping[str, int]:
        return {} if self.away else dict(self.at)

    def acknowledge(self, positions: Mapping[str, int]) -> None:
        """Does nothing."""

    def progress(self) -> tuple[int, int | None]:
        return 0, None

    def close(self) -> None:
        """Does nothing."""


class Shop:
    """A watched source, and the marks that were recorded."""

    def __init__(self, event_age_ms: int = 0) -> None:
        self.source = Source()
        self.wall_ms = NOW_MS
        self.latest_ms: int | None = None
        self.age_ms = event_age_ms
        self.marks: list[IdleMark] = []
        self.fails = False
        self.watch = IdleWatch(
            self.source,
            Silence(after_ms=5 * MINUTE_MS, live_ms=HOUR_MS),
            wall_ms=lambda: self.wall_ms,
            latest_ms=lambda: self.latest_ms,
            record=self.record,
        )
        self.watch.seek({})

    def record(self, body: bytes) -> Future[int]:
        done: Future[int] = Future()
        if self.fails:
            done.set_exception(DependencyError("the store is away", do="Wait."))
            return done
        command = msgspec.json.decode(body, type=Command)
        assert command.author == AUTHOR
        mark = read_mark(ArrivedCommand(command, b"", JOURNAL, 1, 2, lambda: b""))
        assert mark is not None
        self.marks.append(mark)
        done.set_result(len(self.marks))
        return done

    def says(self, *names: str) -> None:
        """Records come now."""
        self.source.now = list(names)
        self.latest_ms = max(self.latest_ms or 0, self.wall_ms - self.age_ms)
        assert self.watch.poll(10) is not None

    def waits(self, minutes: int) -> None:
        """Time passes, with a poll each minute."""
        for _ in range(minutes):
            self.wall_ms += MINUTE_MS
            self.watch.poll(10)


def test_one_silent_partition_is_marked_once_and_event_time_is_left_to_the_others() -> None:
    shop = Shop()
    shop.says("p0", "p1")
    for _ in range(30):
        shop.waits(1)
        shop.says("p1")
    assert shop.marks == [IdleMark({"p0": 1}, None)]


def test_where_all_are_silent_event_time_goes_on_again_and_again() -> None:
    shop = Shop()
    shop.says("p0", "p1")
    shop.waits(16)
    assert [mark.positions for mark in shop.marks] == [{"p0": 1, "p1": 1}] * 3
    assert [mark.until_ms for mark in shop.marks] == [NOW_MS + n * MINUTE_MS for n in (5, 10, 15)]


def test_a_partition_that_spoke_is_marked_anew() -> None:
    shop = Shop(event_age_ms=DAY_MS)
    shop.says("p0", "p1")
    shop.waits(6)
    shop.says("p0")
    shop.waits(12)
    assert shop.marks == [IdleMark({"p0": 1, "p1": 1}), IdleMark({"p0": 2, "p1": 1})]


def test_brokers_that_do_not_answer_are_no_silence() -> None:
    shop = Shop()
    shop.says("p0", "p1")
    shop.source.away = True
    shop.waits(60)
    assert shop.marks == []
    shop.source.away = False
    shop.waits(6)
    assert len(shop.marks) >= 1


@pytest.mark.parametrize("age_ms", [2 * HOUR_MS, 700 * DAY_MS])
def test_a_backlog_that_pauses_moves_no_event_time(age_ms: int) -> None:
    shop = Shop(event_age_ms=age_ms)
    shop.says("p0", "p1")
    shop.waits(60)
    assert shop.marks == [IdleMark({"p0": 1, "p1": 1}, None)]


def test_a_start_into_silence_moves_no_event_time() -> None:
    shop = Shop()
    shop.latest_ms = NOW_MS
    shop.waits(60)
    assert shop.marks == [IdleMark({"p0": 0, "p1": 0}, None)]


def test_a_mark_that_was_not_recorded_is_tried_again() -> None:
    shop = Shop(event_age_ms=DAY_MS)
    shop.says("p0", "p1")
    shop.fails = True
    shop.waits(11)
    shop.fails = False
    shop.waits(5)
    assert shop.marks == [IdleMark({"p0": 1, "p1": 1}, None)]
