"""Everything of the last commit, read page by page, so that a shop of millions passes through little memory."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, LiteralString, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from fraudgraph.cases.audit import AuditHead
from fraudgraph.events.kinds import EntityKind, EventType
from fraudgraph.stores.neo4j.behind import Behind, read_waiting
from fraudgraph.stores.neo4j.cases import read_constraints, read_decisions
from fraudgraph.stores.neo4j.model import Space, for_entities, for_identifiers, for_sends
from fraudgraph.stores.neo4j.rows import KEY_BYTES, SEEN_TIMES, label_from, ring_from
from fraudgraph.stores.neo4j.snapshot import read_positions
from fraudgraph.stores.neo4j.state import State
from fraudgraph.stores.port import (
    CLOSED_STATUSES,
    LINK_COLUMNS,
    ORDER_COLUMNS,
    TRANSFER_COLUMNS,
    USER_COLUMNS,
    Columns,
    StoredState,
)

if TYPE_CHECKING:
    from neo4j import ManagedTransaction

PAGE_ROWS: Final = 20_000
SEEN_COMMITS: Final = 100
"""Commits of one page of event ids: each holds a batch's."""

Values: TypeAlias = list[list[Any]]

# Each page begins behind the last number of the one before, by an index that gives the order.
_ENTITIES: Final = for_entities(
    """
    MATCH (n:User) WHERE n.number >= $first AND n.number < $end AND n.id IS NOT NULL
    RETURN n.number AS number, n.id, n.mask ORDER BY number LIMIT $limit""",
    """
    MATCH (n:LABEL) WHERE n.number >= $first AND n.number < $end AND n.key IS NOT NULL
    RETURN n.number AS number, n.key, n.mask ORDER BY number LIMIT $limit""",
)
_LINKS: Final = for_identifiers(
    """
    MATCH (u)-[r:USES]->(n) WHERE r.slot >= $first AND r.slot < $end
    RETURN r.slot AS slot, u.number, n.number, r.first_ms, r.last_ms, r.count, r.sources,
        coalesce(r.prev_first_ms, -1), coalesce(r.prev_last_ms, -1), coalesce(r.prev_count, 0)
    ORDER BY slot LIMIT $limit"""
)
_USERS: Final = """
    MATCH (u:User) WHERE u.number >= $first AND u.number < $end AND u.first_ms IS NOT NULL
    RETURN u.number AS number, u.first_ms, u.last_ms, u.signup_ms, u.first_spend_ms, u.logins, u.orders, u.payments,
        u.declined, u.refunds, u.chargebacks, u.referrals, u.transfers_out, u.transfers_in, u.label
    ORDER BY number LIMIT $limit"""
_ORDERS: Final = """
    MATCH (o:Order)<-[:PLACED]-(u) WHERE o.slot >= $first AND o.slot < $end
    RETURN o.slot AS slot, u.number, o.ts_ms, o.amount_minor, o.refunded_minor, o.charged_minor, o.currency, o.status,
        o.key ORDER BY slot LIMIT $limit"""
_TRANSFERS: Final = for_sends(
    """
    MATCH (a)-[r:SENDS]->(b) WHERE r.slot >= $first AND r.slot < $end
    RETURN r.slot AS slot, a.number, b.number, r.first_ms, r.last_ms, r.count, r.amount_minor, r.currency
    ORDER BY slot LIMIT $limit"""
)
_SEEN: Final = """
    MATCH (s:Seen) WHERE s.number >= $first AND s.number < $end
    RETURN s.number AS number, s.keys, s.ts_ms ORDER BY number LIMIT $limit"""
_LABELS: Final = """
    MATCH (l:Label) WHERE l.number >= $first AND l.number < $end
    RETURN l.number AS number, l ORDER BY number LIMIT $limit"""
_RINGS: Final = """
    MATCH (r:Ring) WHERE r.space = $space AND r.ring_id IS NOT NULL AND NOT r.status IN $without
    RETURN r ORDER BY r.ring_id"""
_MEMBERS: Final = """
    MATCH (r:Ring)<-[m:MEMBER_OF]-(u:User)
    WHERE r.space = $space AND r.ring_id IS NOT NULL AND NOT r.status IN $without
    RETURN r.ring_id AS ring_id, u.number AS number, m.probability AS probability ORDER BY ring_id, number"""
_CLOCKS: Final = """
    MATCH (p:Partition) WHERE p.space = $space AND p.name IS NOT NULL AND p.clock_ms IS NOT NULL
    RETURN p.name AS name, p.clock_ms AS clock_ms"""
_SCORER: Final = "MATCH (s:Scorer {space: $space}) RETURN s.state AS state"
_AUDIT_HEAD: Final = """
    MATCH (a:Audit) WHERE a.number >= $first AND a.number < $end
    RETURN a.number - $first AS number, a.hash AS hash ORDER BY a.number DESC LIMIT 1"""
_COUNTS: Final = (
    *for_identifiers("MATCH ()-[r:USES]->() RETURN count(r) AS rows").values(),
    *for_sends("MATCH ()-[r:SENDS]->() RETURN count(r) AS rows").values(),
    "MATCH (u:User) RETURN count(u) AS rows",
    "MATCH (o:Order) RETURN count(o) AS rows",
)


class Reads(Protocol):
    """Runs a function in a read transaction of its own, again where the server did not answer."""

    def __call__(self, work: Callable[[ManagedTransaction], Any]) -> Any:
        """Returns what the function returns."""
        ...


class Loader:
    """Reads a store in bulk.

    Args:
        read: runs each page.
        space: the store's.
        on_progress: told (rows read, rows in all) of links, accounts, orders and transfers, after each page; what other
            stores in the same database hold counts too.
    """

    def __init__(self, read: Reads, space: Space, on_progress: Callable[[int, int], None] | None = None) -> None:
        self._read = read
        self._space = space
        self._on_progress = on_progress
        self._rows_read = 0
        self._rows_all = 0

    def load(self, state: State) -> StoredState:
        """Returns the store as of a state; the caller keeps writers away. Entities are read as they are asked for."""
        if self._on_progress is not None:
            self._rows_all = sum(self._read(partial(_count, statement)) for statement in _COUNTS)
        links = [self._link_rows(kind, statement) for kind, statement in _LINKS.items()]
        order_rows = list(chain.from_iterable(self._pages(_ORDERS)))
        transfers = [self._transfer_rows(kind, statement) for kind, statement in _TRANSFERS.items()]
        seen_keys, seen_ts_ms = self._seen(state.watermark_ms)
        found = StoredState(
            commit=state.commit,
            watermark_ms=state.watermark_ms,
            positions={},
            clocks_ms={},
            ring_serial=state.ring_serial,
            started_ms=state.started_ms,
            scorer_state=None,
            seen_keys=seen_keys,
            seen_ts_ms=seen_ts_ms,
            entities=((kind, number, key) for kind, number, key, _ in self.entities()),
            links=self._columns(LINK_COLUMNS, heapq.merge(*links, key=itemgetter(0)), ("slot", "user", "ident")),
            users=self._columns(USER_COLUMNS, chain.from_iterable(self._pages(_USERS)), ("user",)),
            orders=self._columns(ORDER_COLUMNS, (row[:-1] for row in order_rows), ("slot", "user")),
            order_keys=[bytes.fromhex(row[-1]) for row in order_rows],
            transfers=self._columns(
                TRANSFER_COLUMNS, heapq.merge(*transfers, key=itemgetter(0)), ("slot", "from_user", "to_user")
            ),
            labels=[label_from(row[1]) for row in chain.from_iterable(self._pages(_LABELS))],
            rings=[],
            members={},
        )
        self._read(partial(self._add_small, found))
        Behind(self._read(partial(read_waiting, space=self._space))).overlay(found.links, found.users)
        return found

    def entities(self) -> Iterator[tuple[int, int, str | bytes, str]]:
        """Yields (kind, id, key, mask) in the order of (id, kind)."""
        kinds = [self._entity_rows(kind, statement) for kind, statement in _ENTITIES.items()]
        for number, kind, key, mask in heapq.merge(*kinds):
            yield int(kind), number, key if kind is EntityKind.USER else bytes.fromhex(key), mask

    def _add_small(self, found: StoredState, tx: ManagedTransaction) -> None:
        """Reads what is little, in one transaction."""
        parameters = {**self._space.bounds, "without": list(CLOSED_STATUSES)}
        scorer = tx.run(_SCORER, parameters).single()
        head = tx.run(_AUDIT_HEAD, parameters).single()
        found.scorer_state = None if scorer is None else bytes(scorer["state"])
        found.audit_head = AuditHead() if head is None else AuditHead(head["number"], head["hash"])
        found.positions = read_positions(tx, self._space)
        found.clocks_ms = {row["name"]: row["clock_ms"] for row in tx.run(_CLOCKS, parameters)}
        found.rings = [ring_from(row["r"]) for row in tx.run(_RINGS, parameters)]
        found.members = {ring.ring_id: [] for ring in found.rings}
        for row in tx.run(_MEMBERS, parameters):
            found.members[row["ring_id"]].append((row["number"] - self._space.first, row["probability"]))
        found.decisions = read_decisions(tx, self._space)
        found.constraints = read_constraints(tx, self._space)

    def _entity_rows(self, kind: EntityKind, statement: LiteralString) -> Iterator[tuple[int, EntityKind, str, str]]:
        for page in self._pages(statement, counts=False):
            for number, key, mask in page:
                yield number - self._space.first, kind, key, mask

    def _link_rows(self, kind: EntityKind, statement: LiteralString) -> Iterator[list[int]]:
        for page in self._pages(statement):
            for slot, user, *rest in page:
                yield [slot, user, kind, *rest]

    def _transfer_rows(self, kind: EventType, statement: LiteralString) -> Iterator[list[int]]:
        for page in self._pages(statement):
            for row in page:
                yield [*row, kind]

    def _seen(self, watermark_ms: int) -> tuple[list[bytes], list[int]]:
        keys: list[bytes] = []
        times: list[int] = []
        for _, packed_keys, packed_times in chain.from_iterable(self._pages(_SEEN, limit=SEEN_COMMITS, counts=False)):
            for i, ts_ms in enumerate(np.frombuffer(bytes(packed_times), SEEN_TIMES).tolist()):
                if ts_ms >= watermark_ms:
                    keys.append(bytes(packed_keys[i * KEY_BYTES : (i + 1) * KEY_BYTES]))
                    times.append(ts_ms)
        return keys, times

    def _columns(self, names: Sequence[str], rows: Iterable[Sequence[int]], ids: Sequence[str]) -> Columns:
        """Returns rows as columns, those named in `ids` without the space's first number."""
        width = len(names)
        chunks: list[npt.NDArray[np.int64]] = []
        rest = iter(rows)
        while chunk := list(islice(rest, PAGE_ROWS)):
            flat = np.fromiter(chain.from_iterable(chunk), np.int64, len(chunk) * width)
            chunks.append(flat.reshape(-1, width).T)
        table = np.concatenate(chunks, axis=1) if chunks else np.empty((width, 0), np.int64)
        columns = {name: np.ascontiguousarray(column) for name, column in zip(names, table, strict=True)}
        for name in ids:
            columns[name] -= self._space.first
        return dict(columns)

    def _pages(self, statement: LiteralString, *, limit: int = PAGE_ROWS, counts: bool = True) -> Iterator[Values]:
        first = self._space.first
        while True:
            page = self._read(partial(_page, statement, {"first": first, "end": self._space.end, "limit": limit}))
            yield page
            if counts and self._on_progress is not None:
                self._rows_read += len(page)
                self._on_progress(min(self._rows_read, self._rows_all), self._rows_all)
            if len(page) < limit:
                return
            first = page[-1][0] + 1


def _page(statement: LiteralString, parameters: dict[str, int], tx: ManagedTransaction) -> Values:
    return tx.run(statement, parameters).values()


def _count(statement: LiteralString, tx: ManagedTransaction) -> int:
    return int(tx.run(statement).single(strict=True)["rows"])
