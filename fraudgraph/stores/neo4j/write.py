"""A commit's graph: deletes first, then what is there is set and what is not is created.

Nothing is merged. An identifier of a hundred thousand users is never expanded from: a link is found by its own number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, LiteralString, TypeAlias

from fraudgraph.errors import StoreError
from fraudgraph.events.kinds import EntityKind, EventType
from fraudgraph.stores.neo4j.graph_statements import (
    COUNT_LINKS,
    COUNT_TRANSFERS,
    CREATE_ENTITIES,
    CREATE_LINKS,
    CREATE_ORDERS,
    CREATE_TRANSFERS,
    DELETE_ENTITIES,
    DELETE_LINKS,
    DELETE_ORDERS,
    DELETE_TRANSFERS,
    LAST_ENTITY,
    LAST_LINK,
    LAST_ORDER,
    LAST_TRANSFER,
    LEAVE_RINGS,
    RENEW_ENTITIES,
    UPDATE_ENTITIES,
    UPDATE_LINKS,
    UPDATE_ORDERS,
    UPDATE_TRANSFERS,
    UPDATE_USERS,
)
from fraudgraph.stores.neo4j.model import LABELS, SENDS, USES, Space
from fraudgraph.stores.port import LINK_COLUMNS, ORDER_COLUMNS, TRANSFER_COLUMNS, USER_COLUMNS, Columns, CommitDelta

if TYPE_CHECKING:
    from neo4j import ManagedTransaction

Row: TypeAlias = list[Any]
Table: TypeAlias = dict[str, list[Row]]
"""Rows by label or type of relationship; by `rows` where a statement has one list."""

NO_RUN: Final = (-1, -1, 0)
"""First, last and count of a link that has no run before the present one: most have none, and none is not stored."""
ROWS: Final = 5_000
"""Rows of one statement: fewer pay more round trips, more gain nothing (measured: 1,000 to 5,000 are best)."""


@dataclass(slots=True)
class Marks:
    """The highest number of each kind that was ever stored, -1 for none: what is above is new, and need not be asked.

    Only the owner of the epoch may trust them: nobody else writes.
    """

    entities: dict[EntityKind, int] = field(default_factory=lambda: dict.fromkeys(EntityKind, -1))
    links: int = -1
    orders: int = -1
    transfers: int = -1


def read_marks(tx: ManagedTransaction, space: Space) -> Marks:
    """Returns the marks as stored."""

    def last(*statements: LiteralString) -> int:
        rows = [tx.run(statement, space.bounds).single() for statement in statements]
        return max((row["number"] for row in rows if row is not None), default=-1)

    return Marks(
        entities={kind: last(statement) for kind, statement in LAST_ENTITY.items()},
        links=last(*LAST_LINK.values()),
        orders=last(LAST_ORDER),
        transfers=last(*LAST_TRANSFER.values()),
    )


def run(
    tx: ManagedTransaction, statement: LiteralString, rows: Sequence[Any], **parameters: Any
) -> list[Mapping[str, Any]]:
    """Runs a statement over rows, some thousand at a time; returns all that came back."""
    return run_each(tx, statement, {"rows": rows}, **parameters)


def run_each(
    tx: ManagedTransaction, statement: LiteralString, rows: Mapping[str, Sequence[Any]], **parameters: Any
) -> list[Mapping[str, Any]]:
    """Runs a statement over several lists of rows, some thousand of each at a time; returns all that came back."""
    found: list[Mapping[str, Any]] = []
    for start in range(0, max(map(len, rows.values())), ROWS):
        found += tx.run(statement, {name: each[start : start + ROWS] for name, each in rows.items()}, **parameters)
    return found


class GraphWriter:
    """Writes the graph of one commit.

    Args:
        tx: the commit's transaction.
        space: where the store's numbers begin.
        marks: raised as rows are written; a copy, to be kept once the transaction is through.

    Raises:
        StoreError: an id changed its identity without a delete, or speaks of an entity that is not there.
    """

    def __init__(self, tx: ManagedTransaction, space: Space, marks: Marks) -> None:
        self._tx = tx
        self._first = space.first
        self._marks = marks

    def write(self, delta: CommitDelta) -> None:
        """Deletes, then writes entities, links, activity, orders and transfers."""
        self._delete(delta)
        self._entities(delta)
        self._links(delta.links)
        self._all_written("users", UPDATE_USERS, {"rows": self._rows(delta.users, USER_COLUMNS, ids=1)})
        self._orders(delta)
        self._transfers(delta.transfers)

    def _delete(self, delta: CommitDelta) -> None:
        run(self._tx, DELETE_LINKS, self._stored(delta.links_deleted))
        run(self._tx, DELETE_ORDERS, self._stored(delta.orders_deleted))
        run(self._tx, DELETE_TRANSFERS, self._stored(delta.transfers_deleted))

    def _entities(self, delta: CommitDelta) -> None:
        rows: Table = {name: [] for name in LABELS.values()}
        for kind, number, key, mask in delta.entities:
            stored = key if isinstance(key, str) else key.hex()
            rows[LABELS[EntityKind(kind)]].append([self._first + number, stored, mask])
        deleted: dict[str, set[int]] = {name: set() for name in LABELS.values()}
        for kind, number in delta.entities_deleted:
            deleted[LABELS[EntityKind(kind)]].add(self._first + number)
        if delta.entities_deleted:
            run(self._tx, LEAVE_RINGS, sorted(deleted[LABELS[EntityKind.USER]]))
            again = {name: {row[0] for row in each} for name, each in rows.items()}
            run_each(self._tx, DELETE_ENTITIES, {name: sorted(deleted[name] - again[name]) for name in rows})
            renewed = {name: [row for row in each if row[0] in deleted[name]] for name, each in rows.items()}
            found = _by_name(run_each(self._tx, RENEW_ENTITIES, renewed))
            rows = {name: [row for row in each if row[0] not in found[name]] for name, each in rows.items()}
        known = {
            LABELS[kind]: [row for row in rows[LABELS[kind]] if row[0] <= mark]
            for kind, mark in self._marks.entities.items()
        }
        results = run_each(self._tx, UPDATE_ENTITIES, known)
        _require_same("entities", results)
        found = _by_name(results)
        new = {name: sorted(row for row in each if row[0] not in found[name]) for name, each in rows.items()}
        self._all_written("entities", CREATE_ENTITIES, new)
        for kind, number, *_ in delta.entities:
            self._marks.entities[EntityKind(kind)] = max(self._marks.entities[EntityKind(kind)], self._first + number)

    def _links(self, columns: Columns) -> None:
        rows: Table = {name: [] for name in USES.values()}
        for slot, user, kind, ident, *now, first_ms, last_ms, count in self._rows(columns, LINK_COLUMNS, ids=2):
            before = [None, None, None] if (first_ms, last_ms, count) == NO_RUN else [first_ms, last_ms, count]
            rows[USES[EntityKind(kind)]].append([slot, user, self._first + ident, *now, *before])
        self._marks.links = self._upsert("links", rows, self._marks.links, UPDATE_LINKS, CREATE_LINKS, COUNT_LINKS)

    def _orders(self, delta: CommitDelta) -> None:
        rows = self._rows(delta.orders, ORDER_COLUMNS, ids=2)
        for row, key in zip(rows, delta.order_keys, strict=True):
            row.append(key.hex())
        self._marks.orders = self._upsert("orders", {"rows": rows}, self._marks.orders, UPDATE_ORDERS, CREATE_ORDERS)

    def _transfers(self, columns: Columns) -> None:
        rows: Table = {name: [] for name in SENDS.values()}
        for *row, kind in self._rows(columns, TRANSFER_COLUMNS, ids=3):
            rows[SENDS[EventType(kind)]].append(row)
        self._marks.transfers = self._upsert(
            "transfers", rows, self._marks.transfers, UPDATE_TRANSFERS, CREATE_TRANSFERS, COUNT_TRANSFERS
        )

    def _upsert(
        self,
        table: str,
        rows: Table,
        mark: int,
        update: LiteralString,
        create: LiteralString,
        count: LiteralString | None = None,
    ) -> int:
        """Sets what is there and creates the rest; returns the new mark.

        Args:
            rows: the first column is the number.
            mark: what is above it was never stored.
            count: counts numbers in all kinds, for what is not there as its kind must not be as another.
        """
        known = {name: sorted(row for row in each if row[0] <= mark) for name, each in rows.items()}
        results = run_each(self._tx, update, known)
        _require_same(table, results)
        found = {number for result in results for number in result["found"]}
        missing = [row[0] for each in known.values() for row in each if row[0] not in found]
        if count is not None and missing:
            taken = sum(result["found"] for result in run(self._tx, count, missing))
            if taken:
                raise _other_identity(table, taken)
        new = {name: sorted(row for row in each if row[0] not in found) for name, each in rows.items()}
        self._all_written(table, create, new)
        highest: int = max((row[0] for each in rows.values() for row in each), default=mark)
        return max(mark, highest)

    def _all_written(self, table: str, statement: LiteralString, rows: Table) -> None:
        written = sum(result["written"] for result in run_each(self._tx, statement, rows))
        lost = sum(map(len, rows.values())) - written
        if lost:
            raise StoreError(
                f"{lost} rows of {table} speak of an entity that is not there",
                do="Report this with the log; nothing was written.",
            )

    def _rows(self, columns: Columns, names: Sequence[str], *, ids: int) -> list[Row]:
        """Returns the columns as rows, the first `ids` of them moved into the store's space."""
        if not columns:
            return []
        lists = [columns[name] for name in names]
        moved = [column.astype("int64") + self._first if i < ids else column for i, column in enumerate(lists)]
        return [list(row) for row in zip(*(column.tolist() for column in moved), strict=True)]

    def _stored(self, numbers: Sequence[int]) -> list[int]:
        return sorted(self._first + number for number in numbers)


def _by_name(results: Sequence[Mapping[str, Any]]) -> dict[str, set[int]]:
    """Returns the numbers that were found, by label."""
    found: dict[str, set[int]] = {name: set() for name in LABELS.values()}
    for result in results:
        found[result["name"]].update(result["found"])
    return found


def _require_same(table: str, results: Sequence[Mapping[str, Any]]) -> None:
    changed = sum(result["changed"] for result in results)
    if changed:
        raise _other_identity(table, changed)


def _other_identity(table: str, count: int) -> StoreError:
    return StoreError(
        f"{count} rows of {table} would change whom they are about",
        do="Report this with the log; nothing was written. An id must be deleted before it is used again.",
    )
