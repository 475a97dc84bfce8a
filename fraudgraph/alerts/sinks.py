"""Where alerts go: the port, and the sinks that need no client library."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

from fraudgraph.alerts.message import AlertMessage, encode
from fraudgraph.errors import DependencyError
from fraudgraph.streams.kafka_sink import KafkaTopic, Record


class AlertSink(Protocol):
    """Takes alerts, at least once each: whoever reads them knows a second delivery by its `alert_id`.

    Called by one thread of its own, so a sink may be slow; detection never waits for it. It must come back within a
    bounded time of its own.
    """

    @property
    def name(self) -> str:
        """Names the sink in the store's list of what was sent: `kafka:fraud-alerts`. Another name gets all anew."""
        ...

    def send(self, alerts: Sequence[AlertMessage]) -> None:
        """Delivers alerts in order, and returns once they are safe there.

        Raises:
            DependencyError: they may not be; some may have been delivered, and all are sent again.
        """
        ...

    def close(self) -> None:
        """Releases what it holds. Idempotent."""
        ...


class LinesSink:
    """Appends one line of JSON for each alert to a file; `-` is standard output.

    Args:
        path: made where it is not there; it is opened anew for each delivery, so that a log rotation is followed.
        standard_output: what `-` means.
    """

    def __init__(self, path: str, standard_output: BinaryIO) -> None:
        self._path = path
        self._standard_output = standard_output

    @property
    def name(self) -> str:
        """`file:` and the path as given."""
        return f"file:{self._path}"

    def send(self, alerts: Sequence[AlertMessage]) -> None:
        """Appends lines, in one write."""
        lines = b"".join(encode(alert) + b"\n" for alert in alerts)
        try:
            if self._path == "-":
                self._standard_output.write(lines)
                self._standard_output.flush()
            else:
                with Path(self._path).open("ab") as file:
                    file.write(lines)
        except OSError as error:
            raise DependencyError(
                f"alerts cannot be written to {self._path} ({error.strerror})",
                do="Check the folder, its rights and its disk; the alerts wait in the store.",
            ) from error

    def close(self) -> None:
        """Does nothing: no file stays open."""


class TopicSink:
    """Writes alerts to a Kafka topic; the key is the ring's id, so that a ring's alerts stay in order."""

    def __init__(self, topic: KafkaTopic) -> None:
        self._topic = topic

    @property
    def name(self) -> str:
        """`kafka:` and the topic."""
        return f"kafka:{self._topic.name}"

    def send(self, alerts: Sequence[AlertMessage]) -> None:
        """Writes one record for each alert."""
        self._topic.write([Record(encode(alert), alert.ring_id.encode(), _HEADERS) for alert in alerts])

    def close(self) -> None:
        """Disconnects."""
        self._topic.close()


_HEADERS = (("content-type", b"application/json"), ("fraudgraph-message", b"alert;version=1"))
