"""Watches for silence: partitions that are read to their end and bring nothing hold event time back no more."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec
import structlog

from fraudgraph.events.idle import AUTHOR, IDLE, IdleMark, write_mark
from fraudgraph.events.schema import Command
from fraudgraph.streams.port import RawBatch, Stream

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ReadThrough(Stream, Protocol):
    """A stream that can say which of its partitions are read to their end."""

    def read_through(self) -> Mapping[str, int]:
        """Returns (name, position) of partitions of which nothing more is there now; none where that is not known."""
        ...


@dataclass(frozen=True, slots=True)
class Silence:
    """When silence counts.

    Attributes:
        after_ms: of wall time without a record of a partition.
        live_ms: the stream is live where its last event was not older than this when it came. In a backlog that pauses
            wall time says nothing about event time, so there event time only stops waiting, and does not go on.
    """

    after_ms: int
    live_ms: int


class IdleWatch:
    """Passes a stream on, and has an idle mark recorded when partitions fall silent.

    The mark is a command of the store, so it comes back with a position, and a replay of the journal passes the same
    partitions by at the same place. This is where wall time becomes part of the journal.

    Args:
        wall_ms: wall time, ms since the epoch.
        latest_ms: the latest event time that the engine has seen.
        record: has the store's thread record a command (its JSON).
    """

    def __init__(
        self,
        stream: ReadThrough,
        silence: Silence,
        *,
        wall_ms: Callable[[], int],
        latest_ms: Callable[[], int | None],
        record: Callable[[bytes], Future[int]],
    ) -> None:
        self._stream = stream
        self._silence = silence
        self._wall_ms = wall_ms
        self._latest_ms = latest_ms
        self._record = record
        self._log = structlog.get_logger("fraudgraph.idle")
        self._spoke_ms: dict[str, int] = {}
        self._started_ms = self._last_ms = self._looked_ms = 0
        self._heard = False
        self._marked: dict[str, int] = {}
        self._asked: Future[int] | None = None

    def seek(self, positions: Mapping[str, int]) -> None:
        """Starts the stream; silence counts from now."""
        self._stream.seek(positions)
        self._started_ms = self._last_ms = self._looked_ms = self._wall_ms()

    def poll(self, max_records: int) -> RawBatch | None:
        """Returns what the stream has, and looks for silence now and then: of one partition too, in a busy stream."""
        raw = self._stream.poll(max_records)
        now_ms = self._wall_ms()
        if raw is not None and len(raw):
            self._heard, self._last_ms = True, now_ms
            for place in set(raw.partition_of):
                self._spoke_ms[raw.partitions[place]] = now_ms
        if raw is not None and now_ms - self._looked_ms >= self._silence.after_ms:
            self._look(now_ms)
        return raw

    def acknowledge(self, positions: Mapping[str, int]) -> None:
        """Passes the positions on."""
        self._stream.acknowledge(positions)

    def progress(self) -> tuple[int, int | None]:
        """Returns the stream's progress."""
        return self._stream.progress()

    def close(self) -> None:
        """Closes the stream."""
        self._stream.close()

    def _look(self, now_ms: int) -> None:
        self._looked_ms = now_ms
        if self._asked is not None and not self._asked.done():
            return  # the store is slow, or away
        if self._asked is not None and (error := self._asked.exception()) is not None:
            self._log.warning("the idle mark was not recorded, trying again", because=type(error).__name__)
            self._marked.clear()
        through = self._stream.read_through()
        silent = {
            name: position
            for name, position in through.items()
            if now_ms - self._spoke_ms.get(name, self._started_ms) >= self._silence.after_ms
        }
        until_ms = now_ms if now_ms - self._last_ms >= self._silence.after_ms and self._is_live() else None
        if not silent or (until_ms is None and silent.items() <= self._marked.items()):
            return
        self._marked |= silent
        self._asked = self._record(_command(IdleMark(silent, until_ms), now_ms))

    def _is_live(self) -> bool:
        latest_ms = self._latest_ms()
        return self._heard and latest_ms is not None and self._last_ms - latest_ms <= self._silence.live_ms


def _command(mark: IdleMark, now_ms: int) -> bytes:
    said = _EPOCH + timedelta(milliseconds=now_ms)
    return msgspec.json.encode(
        Command(event_id=uuid.uuid4().hex, ts=said, name=IDLE, author=AUTHOR, arguments=write_mark(mark))
    )
