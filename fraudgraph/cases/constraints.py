"""What an analyst demands of the graph: an identifier that ties nobody, two accounts kept apart or together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from fraudgraph.cases.reasons import ConstraintKind
from fraudgraph.events.kinds import EntityKind

NEVER_MS = 7_289_654_400_000
"""2201-01-01, the end of the times that events may have: a constraint without an end date lasts until then."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """One demand. It is never changed, only removed.

    Attributes:
        constraint_id: `C000003`, in the order of the journal.
        entity: the kind of the identifier of a `benign-hub`; USER for pairs.
        first: the identifier's pseudonym in hex, or the user id that sorts first.
        second: the other user id, or "".
        until_ms: event time at which it ends.
        ts_ms, at_ms, note, key, source: as of a `Decision`.
        removed_by: who took it back, None while it stands.
        removed_key: as `key`, of the removal.
    """

    constraint_id: str
    kind: ConstraintKind
    entity: EntityKind
    first: str
    second: str
    until_ms: int
    ts_ms: int
    at_ms: int
    author: str
    reason: str
    note: str
    key: str
    source: str
    removed_by: str | None = None
    removed_ts_ms: int | None = None
    removed_at_ms: int | None = None
    removed_key: str | None = None

    def holds_at(self, now_ms: int) -> bool:
        """Returns whether it is in force at an event time."""
        return self.removed_by is None and now_ms < self.until_ms


@dataclass(slots=True)
class InForce:
    """The constraints in force at one event time.

    Attributes:
        benign: pseudonyms of identifiers that tie nobody.
        apart: pairs of user ids that must not be in one ring -> the constraint that says so.
        together: pairs of user ids -> when their tie ends, in ms.
        ends_ms: the next moment at which one of them ends.
    """

    benign: frozenset[bytes] = frozenset()
    apart: dict[tuple[str, str], str] = field(default_factory=dict)
    together: dict[tuple[str, str], int] = field(default_factory=dict)
    ends_ms: int = NEVER_MS


def in_force(constraints: Iterable[Constraint], now_ms: int) -> InForce:
    """Returns what holds at an event time; of several that say the same, the one that lasts longest."""
    standing = sorted(
        (c for c in constraints if c.holds_at(now_ms)), key=lambda c: (c.first, c.second, c.until_ms, c.constraint_id)
    )
    pairs = {
        kind: {(c.first, c.second): c for c in standing if c.kind is kind}
        for kind in (ConstraintKind.CANNOT_LINK, ConstraintKind.MUST_LINK)
    }
    return InForce(
        benign=frozenset(bytes.fromhex(c.first) for c in standing if c.kind is ConstraintKind.BENIGN_HUB),
        apart={pair: c.constraint_id for pair, c in pairs[ConstraintKind.CANNOT_LINK].items()},
        together={pair: c.until_ms for pair, c in pairs[ConstraintKind.MUST_LINK].items()},
        ends_ms=min((c.until_ms for c in standing), default=NEVER_MS),
    )
