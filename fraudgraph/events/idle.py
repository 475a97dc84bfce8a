"""The idle mark: a command by which the journal says that partitions are silent, so that event time passes them by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from fraudgraph.events.batch import ArrivedCommand

IDLE: Final = "idle"
AUTHOR: Final = "daemon"
JOURNAL: Final = "commands"
"""The partition of the store's own commands: whoever writes to a topic cannot move event time."""
_UNTIL_MAX_MS: Final = 7_258_118_400_000  # 2200, as everywhere
_POSITIONS: Final = msgspec.json.Decoder(dict[str, int])


@dataclass(frozen=True, slots=True)
class IdleMark:
    """What was seen when it was made.

    Attributes:
        positions: silent partitions, each with the position behind its last record: one that has been read further
            since is silent no more, and the mark passes it by.
        until_ms: where all partitions are silent, the event time that it is by now; None where that is not known.
    """

    positions: dict[str, int]
    until_ms: int | None = None


def write_mark(mark: IdleMark) -> dict[str, str]:
    """Returns the arguments of the command, from which `read_mark` makes the same mark."""
    written = {"positions": msgspec.json.encode(mark.positions).decode()}
    return written if mark.until_ms is None else written | {"until_ms": str(mark.until_ms)}


def read_mark(arrived: ArrivedCommand) -> IdleMark | None:
    """Returns the mark that a command of the journal makes; None where it is another command, or no good."""
    if arrived.partition != JOURNAL or arrived.command.name != IDLE:
        return None
    given = arrived.command.arguments
    try:
        positions = _POSITIONS.decode(given.get("positions", ""))
        until_ms = int(given["until_ms"]) if "until_ms" in given else None
    except (msgspec.DecodeError, ValueError):
        return None
    if until_ms is not None and not 0 <= until_ms <= _UNTIL_MAX_MS:
        return None
    return IdleMark(positions, until_ms)
