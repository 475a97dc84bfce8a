"""Events in any order, written in the order of time, so that a back-fill has no late ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from fraudgraph.errors import DependencyError
from fraudgraph.streams.files import FileStream
from fraudgraph.tables.spool import Origin, Spool

_POLL_RECORDS = 10_000
_NOWHERE = Origin(0, 0, 0)


class _Timed(msgspec.Struct):
    ts: datetime


@dataclass(slots=True)
class Sorted:
    """What was written.

    Attributes:
        lines: how many.
        without_time: of them, those whose time cannot be read: they stand beside their neighbour, and `ingest` says
            what is wrong with them.
        unreadable: records of the input that cannot be written as a line (a truncated file, too long a line).
        first_ms, last_ms: None where there is no line.
    """

    lines: int = 0
    without_time: int = 0
    unreadable: int = 0
    first_ms: int | None = None
    last_ms: int | None = None


def sort_events(
    paths: Sequence[str | Path], out: Path, on_progress: Callable[[int, int | None, str], None] | None = None
) -> Sorted:
    """Writes the lines of files in the order of their `ts`; equal times keep the order of the input.

    The output appears under its name only when it is complete. Memory holds about 50 bytes per event.

    Raises:
        DependencyError: a file cannot be read, or the output cannot be written.
    """
    done = Sorted()
    read = msgspec.json.Decoder(_Timed).decode
    ts_ms = 0
    try:
        with Spool(out) as spool, closing(FileStream(paths)) as stream:
            stream.seek({})
            while (raw := stream.poll(_POLL_RECORDS)) is not None:
                done.unreadable += len(raw.damaged)
                for line in raw.values:
                    done.lines += 1
                    try:
                        ts_ms = round(read(line).ts.timestamp() * 1000)
                    except (msgspec.DecodeError, OverflowError):
                        done.without_time += 1
                    spool.add(line, "", ts_ms, _NOWHERE)
                if on_progress is not None:
                    on_progress(*stream.progress(), f"{done.lines:,} events")
            done.first_ms, done.last_ms = spool.time_range_ms()
            spool.write()
    except OSError as error:  # what reading raises is told where it is read
        raise DependencyError(
            f"{out} cannot be written: {error.strerror}",
            do="Make room (twice the output's size), or choose another folder.",
        ) from error
    return done
