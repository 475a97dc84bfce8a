"""The read side of the Neo4j store."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar, cast

from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.cases.audit import AuditRow
from fraudgraph.cases.constraints import Constraint
from fraudgraph.cases.decisions import Decision
from fraudgraph.errors import ConfigurationError
from fraudgraph.events.kinds import IDENTIFIER_KINDS, EntityKind
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.rings.snapshot import RingSnapshot
from fraudgraph.stores.evidence import Lens, follow_mergers
from fraudgraph.stores.neo4j.access import Neo4jAddress, Neo4jOptions, connect, translated
from fraudgraph.stores.neo4j.cases import (
    last_command_applied,
    read_audit,
    read_commands,
    read_constraints,
    read_decisions,
    read_frozen,
)
from fraudgraph.stores.neo4j.gate import DEAD_AFTER_S, POLL_S, read_gate
from fraudgraph.stores.neo4j.model import Space, for_entities, for_identifiers
from fraudgraph.stores.neo4j.rows import alert_from, letter_from, narrative_from, ring_from, step_from
from fraudgraph.stores.neo4j.schema import SCHEMA_VERSION, require_version
from fraudgraph.stores.neo4j.snapshot import count_users, read_snapshot
from fraudgraph.stores.neo4j.state import State, is_at_work, lock_state, read_state
from fraudgraph.stores.port import (
    CLOSED_STATUSES,
    QUEUE_STATUSES,
    AlertRow,
    Entity,
    LineageRow,
    NarrativeRow,
    RingRow,
    StoredDeadLetter,
)

if TYPE_CHECKING:
    from neo4j import Driver, ManagedTransaction, Session

    from fraudgraph.stores.image import StoreImage

T = TypeVar("T")

ALL: Final = (1 << 31) - 1
"""A limit that limits nothing."""
READ_TRIES: Final = 6
"""After so many tries beside a writer that never rests, a read has the writer wait: for `STILL_S` at most."""
STILL_S: Final = 30.0

_RINGS: Final = """
    MATCH (r:Ring) WHERE r.space = $space AND r.status IN $statuses
        AND ($since_ms IS NULL OR r.last_seen_ms >= $since_ms) AND r.probability >= $min_probability
    RETURN r ORDER BY r.rank DESC, r.ring_id"""
_RING_STATUS: Final = "MATCH (r:Ring {space: $space, ring_id: $ring_id}) RETURN r.status AS status"
_WENT: Final = """
    MATCH (s:Step) WHERE s.ring_id = $ring_id AND s.what = 'merged' AND s.number >= $first AND s.number < $end
    RETURN s.other_ring_id AS other ORDER BY s.number DESC LIMIT 1"""
_STEPS: Final = (
    "MATCH (s:Step) WHERE s.ring_id = $ring_id AND s.number >= $first AND s.number < $end RETURN s",
    "MATCH (s:Step) WHERE s.other_ring_id = $ring_id AND s.number >= $first AND s.number < $end RETURN s",
)
_FIND: Final = for_entities(
    """
    MATCH (n:User) USING INDEX n:User(id) WHERE n.id = $key AND n.number >= $first AND n.number < $end
    RETURN n.number AS number, n.mask AS mask""",
    """
    MATCH (n:LABEL) USING INDEX n:LABEL(key) WHERE n.key = $key AND n.number >= $first AND n.number < $end
    RETURN n.number AS number, n.mask AS mask""",
)
_FIND_ORDER: Final = """
    MATCH (o:Order)<-[:PLACED]-(u:User) USING INDEX o:Order(key)
    WHERE o.key = $key AND o.slot >= $first AND o.slot < $end
    RETURN u.id AS user_id LIMIT 1"""
_USERS_OF: Final = for_identifiers(
    """
    MATCH (n:LABEL)<-[l:USES]-(u:User) USING INDEX n:LABEL(number)
    WHERE n.number = $number AND l.last_ms >= $since_ms
    RETURN u.id, l.first_ms, l.last_ms, l.count ORDER BY l.last_ms DESC, u.id LIMIT $limit"""
)
_IDENTIFIERS_OF: Final = for_identifiers(
    """
    MATCH (u:User)-[l:USES]->(n) USING INDEX u:User(number)
    WHERE u.number = $number AND l.last_ms >= $since_ms
    RETURN n.number AS number, n.key AS key, n.mask AS mask,
        l.first_ms AS first_ms, l.last_ms AS last_ms, l.count AS count"""
)
_RINGS_OF: Final = """
    MATCH (u:User)-[:MEMBER_OF]->(r:Ring) USING INDEX u:User(number)
    WHERE u.number = $number AND NOT r.status IN $without
    RETURN r ORDER BY r.rank DESC, r.ring_id"""
_DEAD_LETTERS: Final = """
    MATCH (d:DeadLetter) WHERE d.number >= $first AND d.number < $end
        AND ($partition IS NULL OR d.partition = $partition)
    RETURN d ORDER BY d.number LIMIT $limit"""
_ALERTS: Final = """
    MATCH (a:Alert) WHERE a.space = $space AND a.at_ms IS NOT NULL
    RETURN a ORDER BY a.at_ms DESC, a.alert_id LIMIT $limit"""
_OUTBOX: Final = """
    MATCH (a:Alert) WHERE a.space = $space AND a.at_ms IS NOT NULL AND NOT $sink IN coalesce(a.sent_to, [])
    RETURN a ORDER BY a.at_ms, a.alert_id LIMIT $limit"""
_NARRATIVE: Final = "MATCH (n:Narrative {space: $space, ring_id: $ring_id}) RETURN n"


class Neo4jReader:
    """Reads a store while its writer writes; see `StoreReader` for what each call returns.

    Each call sees one commit, by the gate (`stores.neo4j.gate`); but counts and times of known links of accounts that
    are in no ring may be those of some commits ago (`stores.neo4j.behind`).

    Args:
        address: where the store is.
        options: how it is reached.
        policy: the link policy that the store was written under.
        priority: the rules of the queue.

    Raises:
        DependencyError: the server does not answer, or holds no store; so does every call.
        ConfigurationError: it refuses the user or the password.
        StoreError: the store's schema is not the one that this version reads.
    """

    def __init__(
        self,
        address: Neo4jAddress,
        options: Neo4jOptions,
        policy: LinkPolicy,
        priority: PriorityRules,
        *,
        warmup_days: int = 14,
    ) -> None:
        self._address = address
        self._options = options
        self._policy = policy
        self._priority = priority
        self._warmup_days = warmup_days
        self._space = Space(address.space)
        self._abandoned = -1
        self._driver = connect(address, options)
        try:
            with translated(address):
                self._prepare(self._driver)
        except BaseException:
            self._driver.close()
            raise

    def _prepare(self, driver: Driver) -> None:
        require_version(driver, self._address.database, self._space)

    @contextmanager
    def _session(self) -> Iterator[Session]:
        with (
            translated(self._address),
            self._driver.session(database=self._address.database, fetch_size=self._options.fetch_rows) as session,
        ):
            yield session

    def _read(self, work: Callable[[ManagedTransaction], T]) -> T:
        """Runs a read of one record, or one that no writer can come between."""
        with self._session() as session:
            return session.execute_read(work)

    def _read_whole(self, work: Callable[[ManagedTransaction, Lens], T]) -> T:
        """Runs a read of one commit: again where another became visible meanwhile."""

        def attempt(tx: ManagedTransaction) -> tuple[T, int]:
            found = work(tx, self.lens(read_state(tx, self._space).watermark_ms))
            return found, read_gate(tx, self._space)[0]

        with self._session() as session:
            for _ in range(READ_TRIES):
                before = self._settled(session)
                found, after = session.execute_read(attempt)
                if before == after:
                    return found
        with self._still() as (state, still):
            return work(still, self.lens(state.watermark_ms))

    def _settled(self, session: Session) -> int:
        """Waits until no commit is becoming visible; returns how many were announced."""
        deadline_s = time.monotonic() + DEAD_AFTER_S
        while True:
            announced, is_closed = session.execute_read(read_gate, self._space)
            if is_closed or announced == self._abandoned:
                return announced
            if time.monotonic() >= deadline_s:
                self._abandoned = announced
                return announced
            time.sleep(POLL_S)

    def lens(self, watermark_ms: int) -> Lens:
        """Returns the policies under which rows are read at a watermark."""
        return Lens(self._policy, self._priority, watermark_ms)

    def meta(self) -> Mapping[str, str]:
        """Returns what the store is and where it stands; key and policy are empty before `bind`."""
        state = self._read(lambda tx: read_state(tx, self._space))
        return {
            "schema_version": str(SCHEMA_VERSION),
            "store_id": state.store_id,
            "key_id": state.key_id,
            "policy_hash": state.policy_hash,
            "policy_version": state.policy_version,
            "epoch": str(state.epoch),
            "commit": str(state.commit),
            "watermark_ms": str(state.watermark_ms),
            "started_ms": str(state.started_ms or 0),
            "previous_key_id": state.previous_key_id,
            "rotated_ms": str(state.rotated_ms),
        }

    def under_previous_key(self) -> Mapping[str, int]:
        """Returns how many things may still need the key before; empty where there is one key."""
        from fraudgraph.stores.neo4j.rotation import count_previous

        return self._read_whole(lambda tx, _: count_previous(tx, self._space, read_state(tx, self._space)))

    def is_at_work(self) -> bool:
        """Returns whether a writer is at work on the store, on whatever machine."""
        return self._read(lambda tx: is_at_work(tx, self._space))

    def rings(
        self,
        *,
        statuses: Iterable[str] | None = None,
        since_ms: int | None = None,
        min_probability: float = 0.0,
        limit: int | None = None,
    ) -> list[RingRow]:
        """Returns rings, best `rank` first; `statuses` may name `dormant`, and `open` then excludes it."""
        wanted = set(QUEUE_STATUSES if statuses is None else statuses)
        parameters = {
            "space": self._space.number,
            "statuses": sorted(wanted | {"open"} if "dormant" in wanted else wanted),
            "since_ms": since_ms,
            "min_probability": min_probability,
        }

        def read(tx: ManagedTransaction, lens: Lens) -> list[RingRow]:
            found: list[RingRow] = []
            for row in tx.run(_RINGS, parameters):
                if limit is not None and len(found) >= limit:
                    break
                ring = lens.ring(ring_from(row["r"]))
                if ring.status in wanted:
                    found.append(ring)
            return found

        return self._read_whole(read)

    def resolve_ring(self, ring_id: str) -> str | None:
        """Returns the id at the end of the chain of mergers that starts at `ring_id`, else None."""

        def read(tx: ManagedTransaction, lens: Lens) -> str | None:
            def look_up(ring_id: str) -> tuple[str, str | None] | None:
                parameters = {**self._space.bounds, "ring_id": ring_id}
                ring = tx.run(_RING_STATUS, parameters).single()
                went = tx.run(_WENT, parameters).single()
                return None if ring is None else (ring["status"], None if went is None else went["other"])

            return follow_mergers(ring_id, look_up)

        return self._read_whole(read)

    def snapshot(self, ring_id: str) -> RingSnapshot | None:
        """Returns all the evidence of a ring as of the last commit, or None where there is no such ring.

        Raises:
            ConfigurationError: the store was written under another link policy, so strengths would be false.
        """

        def read(tx: ManagedTransaction, lens: Lens) -> RingSnapshot | None:
            bound = read_state(tx, self._space).policy_hash
            if bound not in ("", lens.policy.hash):
                raise ConfigurationError(
                    f"the store was written under link policy {bound}, and the settings say {lens.policy.hash}",
                    do="Use the settings that the store was written with, or rebuild the store.",
                )
            return read_snapshot(tx, self._space, lens, ring_id, self._warmup_days)

        return self._read_whole(read)

    def find(self, kind: EntityKind, key: str | bytes) -> Entity | None:
        """Returns an entity by user id or pseudonym; a pseudonym may be given in hex, as `Entity.key` is."""
        stored = key.hex() if isinstance(key, bytes) else key if kind is EntityKind.USER else key.lower()
        return self._read_whole(lambda tx, lens: self._find(tx, lens, kind, stored))

    def _find(self, tx: ManagedTransaction, lens: Lens, kind: EntityKind, key: str) -> Entity | None:
        row = tx.run(_FIND[kind], {**self._space.bounds, "key": key}).single()
        if row is None:
            return None
        number = row["number"]
        users = 1 if kind is EntityKind.USER else count_users(tx, lens, kind, {number})[number]
        return Entity(kind, number - self._space.first, key, row["mask"], users)

    def find_order(self, order_key: bytes) -> str | None:
        """Returns the user id behind an order."""
        parameters = {**self._space.bounds, "key": order_key.hex()}
        row = self._read(lambda tx: tx.run(_FIND_ORDER, parameters).single())
        return None if row is None else str(row["user_id"])

    def users_of(self, entity: Entity, limit: int) -> list[tuple[str, int, int, int]]:
        """Returns (user id, first_ms, last_ms, count) of an identifier's live links, latest first, ties by id."""
        if entity.kind is EntityKind.USER:
            return []

        def read(tx: ManagedTransaction, lens: Lens) -> list[tuple[str, int, int, int]]:
            rows = tx.run(
                _USERS_OF[entity.kind],
                number=self._space.first + entity.id,
                since_ms=lens.live_since_ms(entity.kind),
                limit=limit,
            )
            return [(user_id, first_ms, last_ms, count) for user_id, first_ms, last_ms, count in rows]

        return self._read_whole(read)

    def identifiers_of(self, user_id: str) -> list[tuple[Entity, int, int, int]]:
        """Returns (identifier, first_ms, last_ms, count) of a user's live links, by kind and pseudonym."""

        def read(tx: ManagedTransaction, lens: Lens) -> list[tuple[Entity, int, int, int]]:
            user = self._find(tx, lens, EntityKind.USER, user_id)
            if user is None:
                return []
            found = []
            for kind in IDENTIFIER_KINDS:
                parameters = {"number": self._space.first + user.id, "since_ms": lens.live_since_ms(kind)}
                rows = tx.run(_IDENTIFIERS_OF[kind], parameters).data()
                users = count_users(tx, lens, kind, {row["number"] for row in rows})
                for row in rows:
                    number = row["number"]
                    entity = Entity(kind, number - self._space.first, row["key"], row["mask"], users[number])
                    found.append((entity, row["first_ms"], row["last_ms"], row["count"]))
            return sorted(found, key=lambda item: (item[0].kind, item[0].key))

        return self._read_whole(read)

    def rings_of(self, user_id: str) -> list[RingRow]:
        """Returns the living rings that the user is a member of, best `rank` first."""

        def read(tx: ManagedTransaction, lens: Lens) -> list[RingRow]:
            user = self._find(tx, lens, EntityKind.USER, user_id)
            if user is None:
                return []
            rows = tx.run(_RINGS_OF, number=self._space.first + user.id, without=list(CLOSED_STATUSES))
            return [lens.ring(ring_from(row["r"])) for row in rows]

        return self._read_whole(read)

    def dead_letters(self, *, partition: str | None = None, limit: int | None = None) -> list[StoredDeadLetter]:
        """Returns dead letters in the order of their ids; those of one partition where it is given."""
        parameters = {**self._space.bounds, "partition": partition, "limit": ALL if limit is None else limit}
        first = self._space.first
        return self._read_whole(
            lambda tx, _: [letter_from(row["d"], first) for row in tx.run(_DEAD_LETTERS, parameters)]
        )

    def alerts(self, *, limit: int | None = None) -> list[AlertRow]:
        """Returns alerts, newest first, ties by alert id."""
        parameters = {"space": self._space.number, "limit": ALL if limit is None else limit}
        return self._read_whole(lambda tx, _: [alert_from(row["a"]) for row in tx.run(_ALERTS, parameters)])

    def outbox(self, sink: str, *, limit: int | None = None) -> list[AlertRow]:
        """Returns the alerts that were not marked as sent to that sink, oldest first, ties by alert id."""
        parameters = {"space": self._space.number, "sink": sink, "limit": ALL if limit is None else limit}
        return self._read_whole(lambda tx, _: [alert_from(row["a"]) for row in tx.run(_OUTBOX, parameters)])

    def narrative(self, ring_id: str) -> NarrativeRow | None:
        """Returns what was last said about a ring under this id, or None."""
        row = self._read(lambda tx: tx.run(_NARRATIVE, space=self._space.number, ring_id=ring_id).single())
        return None if row is None else narrative_from(row["n"])

    def lineage(self, ring_id: str) -> list[LineageRow]:
        """Returns all steps in which a ring took part, in order."""
        parameters = {**self._space.bounds, "ring_id": ring_id}

        def read(tx: ManagedTransaction, lens: Lens) -> list[LineageRow]:
            steps = {row["s"]["number"]: row["s"] for statement in _STEPS for row in tx.run(statement, parameters)}
            return [step_from(step) for _, step in sorted(steps.items())]

        return self._read_whole(read)

    def decisions(self) -> list[Decision]:
        """Returns decisions in the order of their ids, undone ones too."""
        return self._read_whole(lambda tx, _: read_decisions(tx, self._space))

    def constraints(self) -> list[Constraint]:
        """Returns constraints in the order of their ids, removed ones too."""
        return self._read_whole(lambda tx, _: read_constraints(tx, self._space))

    def audit(self) -> list[AuditRow]:
        """Returns the audit in the order of its numbers."""
        return self._read_whole(lambda tx, _: read_audit(tx, self._space))

    def frozen(self, decision_id: str) -> RingSnapshot | None:
        """Returns the ring as it was when that decision was applied, or None where nothing was kept."""
        return self._read(lambda tx: read_frozen(tx, self._space, decision_id))

    def commands(self, *, after: int = 0, limit: int | None = None) -> list[tuple[int, bytes]]:
        """Returns recorded commands with numbers above `after`."""
        return self._read(lambda tx: read_commands(tx, self._space, after, ALL if limit is None else limit))

    def commands_applied(self) -> int:
        """Returns the highest number of a command that the engine has taken; 0 for none."""
        return self._read(lambda tx: last_command_applied(tx, self._space))

    def image(self) -> StoreImage:
        """Returns everything that the store holds, as of the last commit; a writer waits until it is read."""
        from fraudgraph.stores.neo4j.image import read_image

        with self._still(None) as (state, _):
            return read_image(self._read, self._space, state)

    @contextmanager
    def _still(self, limit_s: float | None = STILL_S) -> Iterator[tuple[State, ManagedTransaction]]:
        """Yields the state, and a transaction that keeps writers away until it is left, or for `limit_s` at most."""
        with self._session() as session, session.begin_transaction(timeout=limit_s) as tx:
            still = cast("ManagedTransaction", tx)  # it has all that we call
            yield lock_state(still, self._space, uuid.uuid4().hex), still
            tx.rollback()

    def close(self) -> None:
        """Releases the connections. Idempotent."""
        self._driver.close()
