"""The queue as lists show it: stored rows with what depends on the time of reading."""

from __future__ import annotations

from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.reports.json import ListedRing
from fraudgraph.stores.port import RingRow

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
"""What a ring says in every format of the list; other programs rely on these names and their order."""


def listed(row: RingRow, rules: PriorityRules, as_of_ms: int) -> ListedRing:
    """Returns a stored row as the queue shows it at a time (ms)."""
    return ListedRing(
        ring_id=row.ring_id,
        status=row.status,
        probability=row.probability,
        priority=rules.priority(row.rank, as_of_ms),
        value_at_risk_minor=row.value_at_risk_minor,
        currency=row.currency,
        users=row.users,
        identifiers=row.identifiers,
        first_seen_ms=row.first_seen_ms,
        last_seen_ms=row.last_seen_ms,
        reason=row.reason,
    )
