"""The queue as lists show it: stored rows with what depends on the time of reading."""

from __future__ import annotations

from collections.abc import Iterable

from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.cli.output import Column, print_table
from fraudgraph.reports.json import ListedRing, shown_priority
from fraudgraph.rings.facts_words import minute, money
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


def print_rows(rows: Iterable[ListedRing]) -> None:
    """Prints the queue as a table."""
    columns = [
        Column("ring"),
        Column("status"),
        Column("prob.", right=True),
        Column("priority", right=True),
        Column("at risk", right=True),
        Column("users", right=True),
        Column("last seen (UTC)"),
        Column("reason", folds=True),
    ]
    print_table(
        columns,
        [
            [
                row.ring_id,
                row.status,
                f"{row.probability:.2f}",
                f"{shown_priority(row.priority):,.2f}",
                money(row.value_at_risk_minor, row.currency),
                f"{row.users:,}",
                minute(row.last_seen_ms),
                row.reason,
            ]
            for row in rows
        ],
    )
