"""What an import did with every row: an event, left out by a condition, or not usable and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Reject:
    """One row that gave no event. Says where it is, never what is in it.

    Attributes:
        row: number of the row in its file; the first row under the header is 1.
        event: type of the event that it should have become.
        reason: field and cause (`ts: empty`).
    """

    table: str
    file: str
    row: int
    event: str
    reason: str


@dataclass(slots=True)
class BlockReport:
    """Counts of one `[[events]]` block: `rows = events + left_out + rejected`."""

    table: str
    event: str
    rows: int = 0
    events: int = 0
    left_out: int = 0
    rejected: int = 0


@dataclass(slots=True)
class ImportReport:
    """Counts of a whole import.

    Attributes:
        blocks: per `[[events]]` block of the mapping, in its order.
        reasons: (table, reason) -> rows.
        examples: the first rejects of each (table, reason).
        first_ms, last_ms: range of the events' times, ms since the epoch; None without events.
    """

    blocks: list[BlockReport] = field(default_factory=list)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: list[Reject] = field(default_factory=list)
    first_ms: int | None = None
    last_ms: int | None = None

    @property
    def rows(self) -> int:
        """Rows read, each once per block that uses its table."""
        return sum(block.rows for block in self.blocks)

    @property
    def events(self) -> int:
        """Events written."""
        return sum(block.events for block in self.blocks)

    @property
    def left_out(self) -> int:
        """Rows that a `where` condition excludes."""
        return sum(block.left_out for block in self.blocks)

    @property
    def rejected(self) -> int:
        """Rows that could not be used."""
        return sum(block.rejected for block in self.blocks)
