"""A commit's graph: deletes first, then what is there is set and what is not is created.

Nothing is merged. An identifier of a hundred thousand users is never expanded from: a link is found by its own number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, LiteralString, TypeAlias

from fraudgraph.errors import StoreError
from fraudgraph.events.kinds import EntityKind, EventType
from fraudgraph.stores.neo4j.model import Space, for_entities, for_identifiers, for_sends
from fraudgraph.stores.port import LINK_COLUMNS, ORDER_COLUMNS, TRANSFER_COLUMNS, USER_COLUMNS, Columns, CommitDelta

if TYPE_CHECKING:
    from neo4j import ManagedTransaction

Row: TypeAlias = list[Any]

NO_RUN: Final = (-1, -1, 0)
"""First, last and count of a link that has no run before the present one: most have none, and none is not stored."""
ROWS: Final = 5_000
"""Rows of one statement: fewer pay more round trips, more gain nothing (measured: 1,000 to 5,000 are best)."""

# Index hints, because a plan made while the database is empty would scan, and is kept.
_UPDATE_ENTITY: Final = for_entities(
    """
    UNWIND $rows AS row
    MATCH (n:User) USING INDEX n:User(number) WHERE n.number = row[0]
    WITH n, row, n.id AS before
    SET n.id = row[1], n.mask = row[2]
    RETURN collect(row[0]) AS found, sum(CASE WHEN before <> row[1] THEN 1 ELSE 0 END) AS changed""",
    """
    UNWIND $rows AS row
    MATCH (n:LABEL) USING INDEX n:LABEL(number) WHERE n.number = row[0]
    WITH n, row, n.key AS before
    SET n.key = row[1], n.mask = row[2]
    RETURN collect(row[0]) AS found, sum(CASE WHEN before <> row[1] THEN 1 ELSE 0 END) AS changed""",
)
_CREATE_ENTITY: Final = for_entities(
    "UNWIND $rows AS row CREATE (:User {number: row[0], id: row[1], mask: row[2]}) RETURN count(*) AS written",
    "UNWIND $rows AS row CREATE (:LABEL {number: row[0], key: row[1], mask: row[2]}) RETURN count(*) AS written",
)
# The number is another entity's from now on, in the same commit: links that were not deleted are that one's.
_RENEW_ENTITY: Final = for_entities(
    """
    UNWIND $rows AS row
    MATCH (n:User) USING INDEX n:User(number) WHERE n.number = row[0]
    SET n = {number: row[0], id: row[1], mask: row[2]}
    RETURN collect(row[0]) AS found""",
    """
    UNWIND $rows AS row
    MATCH (n:LABEL) USING INDEX n:LABEL(number) WHERE n.number = row[0]
    SET n = {number: row[0], key: row[1], mask: row[2]}
    RETURN collect(row[0]) AS found""",
)
_LEAVE_RINGS: Final = """
    UNWIND $rows AS number
    MATCH (n:User)-[m:MEMBER_OF]->() USING INDEX n:User(number) WHERE n.number = number
    DELETE m"""
_DELETE_ENTITY: Final = for_entities(
    "UNWIND $rows AS number MATCH (n:User) USING INDEX n:User(number) WHERE n.number = number DETACH DELETE n",
    "UNWIND $rows AS number MATCH (n:LABEL) USING INDEX n:LABEL(number) WHERE n.number = number DETACH DELETE n",
)
_UPDATE_USER: Final = """
    UNWIND $rows AS row
    MATCH (n:User) USING INDEX n:User(number) WHERE n.number = row[0]
    SET n.first_ms = row[1], n.last_ms = row[2], n.signup_ms = row[3], n.first_spend_ms = row[4], n.logins = row[5],
        n.orders = row[6], n.payments = row[7], n.declined = row[8], n.refunds = row[9], n.chargebacks = row[10],
        n.referrals = row[11], n.transfers_out = row[12], n.transfers_in = row[13], n.label = row[14]
    RETURN count(*) AS written"""
_UPDATE_LINK: Final = for_identifiers(
    """
    UNWIND $rows AS row
    MATCH (u)-[r:USES]->(n) USING INDEX r:USES(slot) WHERE r.slot = row[0]
    SET r.first_ms = row[3], r.last_ms = row[4], r.count = row[5], r.sources = row[6], r.prev_first_ms = row[7],
        r.prev_last_ms = row[8], r.prev_count = row[9]
    RETURN collect(row[0]) AS found,
        sum(CASE WHEN u.number <> row[1] OR n.number <> row[2] THEN 1 ELSE 0 END) AS changed"""
)
_CREATE_LINK: Final = for_identifiers(
    """
    UNWIND $rows AS row
    MATCH (u:User) USING INDEX u:User(number) WHERE u.number = row[1]
    MATCH (n:LABEL) USING INDEX n:LABEL(number) WHERE n.number = row[2]
    CREATE (u)-[:USES {slot: row[0], first_ms: row[3], last_ms: row[4], count: row[5], sources: row[6],
        prev_first_ms: row[7], prev_last_ms: row[8], prev_count: row[9]}]->(n)
    RETURN count(*) AS written"""
)
_COUNT_LINKS: Final = for_identifiers(
    """
    UNWIND $rows AS slot
    MATCH ()-[r:USES]->() USING INDEX r:USES(slot) WHERE r.slot = slot
    RETURN count(*) AS found"""
)
_DELETE_LINK: Final = for_identifiers(
    "UNWIND $rows AS slot MATCH ()-[r:USES]->() USING INDEX r:USES(slot) WHERE r.slot = slot DELETE r"
)
_UPDATE_ORDER: Final = """
    UNWIND $rows AS row
    MATCH (o:Order)<-[:PLACED]-(u) USING INDEX o:Order(slot) WHERE o.slot = row[0]
    SET o.ts_ms = row[2], o.amount_minor = row[3], o.refunded_minor = row[4], o.charged_minor = row[5],
        o.currency = row[6], o.status = row[7]
    RETURN collect(row[0]) AS found,
        sum(CASE WHEN u.number <> row[1] OR o.key <> row[8] THEN 1 ELSE 0 END) AS changed"""
_CREATE_ORDER: Final = """
    UNWIND $rows AS row
    MATCH (u:User) USING INDEX u:User(number) WHERE u.number = row[1]
    CREATE (u)-[:PLACED]->(:Order {slot: row[0], ts_ms: row[2], amount_minor: row[3], refunded_minor: row[4],
        charged_minor: row[5], currency: row[6], status: row[7], key: row[8]})
    RETURN count(*) AS written"""
_DELETE_ORDER: Final = (
    "UNWIND $rows AS slot MATCH (o:Order) USING INDEX o:Order(slot) WHERE o.slot = slot DETACH DELETE o"
)
_UPDATE_TRANSFER: Final = for_sends(
    """
    UNWIND $rows AS row
    MATCH (a)-[r:SENDS]->(b) USING INDEX r:SENDS(slot) WHERE r.slot = row[0]
    SET r.first_ms = row[3], r.last_ms = row[4], r.count = row[5], r.amount_minor = row[6], r.currency = row[7]
    RETURN collect(row[0]) AS found,
        sum(CASE WHEN a.number <> row[1] OR b.number <> row[2] THEN 1 ELSE 0 END) AS changed"""
)
_CREATE_TRANSFER: Final = for_sends(
    """
    UNWIND $rows AS row
    MATCH (a:User) USING INDEX a:User(number) WHERE a.number = row[1]
    MATCH (b:User) USING INDEX b:User(number) WHERE b.number = row[2]
    CREATE (a)-[:SENDS {slot: row[0], first_ms: row[3], last_ms: row[4], count: row[5], amount_minor: row[6],
        currency: row[7]}]->(b)
    RETURN count(*) AS written"""
)
_COUNT_TRANSFERS: Final = for_sends(
    """
    UNWIND $rows AS slot
    MATCH ()-[r:SENDS]->() USING INDEX r:SENDS(slot) WHERE r.slot = slot
    RETURN count(*) AS found"""
)
_DELETE_TRANSFER: Final = for_sends(
    "UNWIND $rows AS slot MATCH ()-[r:SENDS]->() USING INDEX r:SENDS(slot) WHERE r.slot = slot DELETE r"
)
_LAST_ENTITY: Final = for_entities(
    """
    MATCH (n:User) WHERE n.number >= $first AND n.number < $end
    RETURN n.number AS number ORDER BY number DESC LIMIT 1""",
    """
    MATCH (n:LABEL) WHERE n.number >= $first AND n.number < $end
    RETURN n.number AS number ORDER BY number DESC LIMIT 1""",
)
_LAST_LINK: Final = for_identifiers(
    """
    MATCH ()-[r:USES]->() WHERE r.slot >= $first AND r.slot < $end
    RETURN r.slot AS number ORDER BY number DESC LIMIT 1"""
)
_LAST_TRANSFER: Final = for_sends(
    """
    MATCH ()-[r:SENDS]->() WHERE r.slot >= $first AND r.slot < $end
    RETURN r.slot AS number ORDER BY number DESC LIMIT 1"""
)
_LAST_ORDER: Final = """
    MATCH (o:Order) WHERE o.slot >= $first AND o.slot < $end RETURN o.slot AS number ORDER BY number DESC LIMIT 1"""


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
        entities={kind: last(statement) for kind, statement in _LAST_ENTITY.items()},
        links=last(*_LAST_LINK.values()),
        orders=last(_LAST_ORDER),
        transfers=last(*_LAST_TRANSFER.values()),
    )


def run(
    tx: ManagedTransaction, statement: LiteralString, rows: Sequence[Any], **parameters: Any
) -> list[Mapping[str, Any]]:
    """Runs a statement over rows, some thousand at a time; returns all that came back."""
    found: list[Mapping[str, Any]] = []
    for start in range(0, len(rows), ROWS):
        found += tx.run(statement, rows=rows[start : start + ROWS], **parameters)
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
        if delta.users:
            self._all_written("users", _UPDATE_USER, self._rows(delta.users, USER_COLUMNS, ids=1))
        if delta.orders:
            rows = self._rows(delta.orders, ORDER_COLUMNS, ids=2)
            for row, key in zip(rows, delta.order_keys, strict=True):
                row.append(key.hex())
            rows.sort()
            self._upsert("orders", _UPDATE_ORDER, _CREATE_ORDER, rows, mark=self._marks.orders)
            self._marks.orders = max([self._marks.orders, *(row[0] for row in rows[-1:])])
        self._transfers(delta.transfers)

    def _delete(self, delta: CommitDelta) -> None:
        for statement in _DELETE_LINK.values():
            run(self._tx, statement, self._stored(delta.links_deleted))
        run(self._tx, _DELETE_ORDER, self._stored(delta.orders_deleted))
        for statement in _DELETE_TRANSFER.values():
            run(self._tx, statement, self._stored(delta.transfers_deleted))

    def _entities(self, delta: CommitDelta) -> None:
        rows: dict[EntityKind, list[Row]] = {}
        for kind, number, key, mask in delta.entities:
            stored = key if isinstance(key, str) else key.hex()
            rows.setdefault(EntityKind(kind), []).append([self._first + number, stored, mask])
        deleted: dict[EntityKind, set[int]] = {}
        for kind, number in delta.entities_deleted:
            deleted.setdefault(EntityKind(kind), set()).add(self._first + number)
        if EntityKind.USER in deleted:
            run(self._tx, _LEAVE_RINGS, sorted(deleted[EntityKind.USER]))
        for kind, gone in sorted(deleted.items()):
            again = {row[0] for row in rows.get(kind, ())}
            run(self._tx, _DELETE_ENTITY[kind], sorted(gone - again))
        for kind, upserts in sorted(rows.items()):
            upserts.sort()
            gone = deleted.get(kind, set())
            renewed = [row for row in upserts if row[0] in gone]
            found = self._found(_RENEW_ENTITY[kind], renewed)
            left = [row for row in upserts if row[0] not in found]
            self._upsert("entities", _UPDATE_ENTITY[kind], _CREATE_ENTITY[kind], left, mark=self._marks.entities[kind])
            self._marks.entities[kind] = max(self._marks.entities[kind], upserts[-1][0])

    def _links(self, columns: Columns) -> None:
        if not columns:
            return
        by_kind: dict[EntityKind, list[Row]] = {}
        for slot, user, kind, ident, *now, first_ms, last_ms, count in self._rows(columns, LINK_COLUMNS, ids=2):
            before = [None, None, None] if (first_ms, last_ms, count) == NO_RUN else [first_ms, last_ms, count]
            by_kind.setdefault(EntityKind(kind), []).append([slot, user, self._first + ident, *now, *before])
        for kind, rows in sorted(by_kind.items()):
            rows.sort(key=itemgetter(0))
            elsewhere = [statement for other, statement in _COUNT_LINKS.items() if other is not kind]
            self._upsert(
                "links", _UPDATE_LINK[kind], _CREATE_LINK[kind], rows, mark=self._marks.links, elsewhere=elsewhere
            )
        self._marks.links = max([self._marks.links, *(rows[-1][0] for rows in by_kind.values())])

    def _transfers(self, columns: Columns) -> None:
        if not columns:
            return
        by_kind: dict[EventType, list[Row]] = {}
        for *row, kind in self._rows(columns, TRANSFER_COLUMNS, ids=3):
            by_kind.setdefault(EventType(kind), []).append(row)
        for kind, rows in sorted(by_kind.items()):
            rows.sort()
            elsewhere = [statement for other, statement in _COUNT_TRANSFERS.items() if other is not kind]
            self._upsert(
                "transfers",
                _UPDATE_TRANSFER[kind],
                _CREATE_TRANSFER[kind],
                rows,
                mark=self._marks.transfers,
                elsewhere=elsewhere,
            )
        self._marks.transfers = max([self._marks.transfers, *(rows[-1][0] for rows in by_kind.values())])

    def _upsert(
        self,
        table: str,
        update: LiteralString,
        create: LiteralString,
        rows: list[Row],
        *,
        mark: int,
        elsewhere: Sequence[LiteralString] = (),
    ) -> None:
        """Sets what is there and creates the rest.

        Args:
            rows: sorted; the first column is the number.
            mark: what is above it was never stored.
            elsewhere: statements that count the numbers where they would be another thing.
        """
        known = [row for row in rows if row[0] <= mark]
        found: set[int] = set()
        for result in run(self._tx, update, known):
            found.update(result["found"])
            if result["changed"]:
                raise _other_identity(table, result["changed"])
        missing = [row[0] for row in known if row[0] not in found]
        for statement in elsewhere:
            taken = sum(result["found"] for result in run(self._tx, statement, missing))
            if taken:
                raise _other_identity(table, taken)
        self._all_written(table, create, [row for row in rows if row[0] not in found])

    def _found(self, statement: LiteralString, rows: Sequence[Row]) -> set[int]:
        return {number for result in run(self._tx, statement, rows) for number in result["found"]}

    def _all_written(self, table: str, statement: LiteralString, rows: Sequence[Row]) -> None:
        written = sum(result["written"] for result in run(self._tx, statement, rows))
        if written != len(rows):
            raise StoreError(
                f"{len(rows) - written} rows of {table} speak of an entity that is not there",
                do="Report this with the log; nothing was written.",
            )

    def _rows(self, columns: Columns, names: Sequence[str], *, ids: int) -> list[Row]:
        """Returns the columns as rows, the first `ids` of them moved into the store's space."""
        lists = [columns[name] for name in names]
        moved = [column.astype("int64") + self._first if i < ids else column for i, column in enumerate(lists)]
        return [list(row) for row in zip(*(column.tolist() for column in moved), strict=True)]

    def _stored(self, numbers: Sequence[int]) -> list[int]:
        return sorted(self._first + number for number in numbers)


def _other_identity(table: str, count: int) -> StoreError:
    return StoreError(
        f"{count} rows of {table} would change whom they are about",
        do="Report this with the log; nothing was written. An id must be deleted before it is used again.",
    )
