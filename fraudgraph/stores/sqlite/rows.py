"""Rows of the tables as the port's records, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from fraudgraph.events.batch import LabelRow
from fraudgraph.events.kinds import EntityKind
from fraudgraph.stores.port import RingRow
from fraudgraph.stores.records import CONTRIBUTIONS, json_text, rules_of, rules_text
from fraudgraph.stores.sqlite.schema import KIND_BITS, KIND_MASK

Row: TypeAlias = tuple[Any, ...]


def reference(kind: int, entity: int) -> int:
    """Returns the row id of an entity."""
    return entity << KIND_BITS | kind


def kind_of(ref: int) -> EntityKind:
    """Returns the kind of the entity with this row id."""
    return EntityKind(ref & KIND_MASK)


def ring_to_row(ring: RingRow) -> Row:
    """Returns a ring as a row of `rings`, its contributions and rules as JSON."""
    return (
        ring.ring_id,
        ring.status,
        ring.probability,
        ring.rank,
        ring.value_at_risk_minor,
        ring.currency,
        ring.users,
        ring.identifiers,
        ring.first_seen_ms,
        ring.last_seen_ms,
        ring.reason,
        ring.scorer,
        json_text(ring.contributions),
        rules_text(ring.rules),
    )


def ring_from_row(row: Row) -> RingRow:
    """Returns a row of `rings`, with the status as stored."""
    columns = [*row[:-2], CONTRIBUTIONS.decode(row[-2]), rules_of(row[-1])]
    return RingRow(*columns)


def labels_from_rows(rows: Iterable[Row]) -> list[LabelRow]:
    """Returns rows of `labels` without their ids."""
    return [
        LabelRow(
            event=-1,
            key=key,
            about_user=about_user,
            about_order=about_order,
            fraud=bool(fraud),
            about_ms=about_ms,
            arrived_ms=arrived_ms,
            source=source,
            supersedes=supersedes,
        )
        for key, about_user, about_order, fraud, about_ms, arrived_ms, source, supersedes in rows
    ]
