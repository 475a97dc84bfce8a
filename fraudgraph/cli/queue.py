"""The queue as people and programs read it: stored rows with what depends on the time of reading."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.rings.facts_words import currency_code, major, rfc3339
from fraudgraph.stores.port import RingRow, StoreReader

LIVING = ("open", "dormant")
FIELDS = (
    "ring_id",
    "status",
    "probability",
    "priority",
    "value_at_risk",
    "currency",
    "users",
    "identifiers",
    "first_seen",
    "last_seen",
    "reason",
)
"""What a ring in the queue says; other programs rely on these names."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A ring in the queue; `status` may be `dormant`, `priority` is as of the store's watermark."""

    row: RingRow
    status: str
    priority: float

    def document(self) -> dict[str, object]:
        """Returns `FIELDS`; money in major units, times in RFC 3339."""
        row = self.row
        return {
            "ring_id": row.ring_id,
            "status": self.status,
            "probability": round(row.probability, 4),
            "priority": round(self.priority, 2),
            "value_at_risk": major(row.value_at_risk_minor, row.currency),
            "currency": currency_code(row.currency),
            "users": row.users,
            "identifiers": row.identifiers,
            "first_seen": rfc3339(row.first_seen_ms),
            "last_seen": rfc3339(row.last_seen_ms),
            "reason": row.reason,
        }


def read_queue(
    reader: StoreReader,
    rules: PriorityRules,
    *,
    statuses: Iterable[str] = LIVING,
    since_ms: int | None = None,
    min_probability: float = 0.0,
    limit: int | None = None,
) -> list[Entry]:
    """Returns the rings with one of these statuses, best priority first; times in ms of event time."""
    wanted = set(statuses)
    as_of_ms = int(reader.meta()["watermark_ms"])
    stored = {"open" if status == "dormant" else status for status in wanted}
    sifted = ("open" in wanted) != ("dormant" in wanted)  # the store does not tell these apart
    rows = reader.rings(
        statuses=sorted(stored), since_ms=since_ms, min_probability=min_probability, limit=None if sifted else limit
    )
    entries = [entry(row, rules, as_of_ms) for row in rows]
    return [e for e in entries if e.status in wanted][:limit]


def entry(row: RingRow, rules: PriorityRules, as_of_ms: int) -> Entry:
    """Returns a stored row as seen at a time."""
    dormant = row.status == "open" and rules.is_dormant(row.last_seen_ms, as_of_ms)
    return Entry(row, "dormant" if dormant else row.status, rules.priority(row.rank, as_of_ms))
