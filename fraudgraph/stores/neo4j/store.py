"""The write side of the Neo4j store: one transaction per commit, fenced by an epoch, and safe to run twice."""

from __future__ import annotations

import copy
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.cases.decisions import Decision
from fraudgraph.errors import DependencyError, FencedError, StoreError
from fraudgraph.events.kinds import EntityKind
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.rings.snapshot import RingSnapshot
from fraudgraph.stores.binding import require_same
from fraudgraph.stores.erasure import renamed_snapshot
from fraudgraph.stores.evidence import has_verdict
from fraudgraph.stores.neo4j.access import Neo4jAddress, Neo4jOptions
from fraudgraph.stores.neo4j.behind import Behind, Limits, Plan, read_behind
from fraudgraph.stores.neo4j.gate import announce, close_gate, take_gate
from fraudgraph.stores.neo4j.model import Space
from fraudgraph.stores.neo4j.reader import Neo4jReader
from fraudgraph.stores.neo4j.rotation import begin_rotation, end_rotation, rekey, reseal
from fraudgraph.stores.neo4j.schema import migrate
from fraudgraph.stores.neo4j.snapshot import read_snapshot
from fraudgraph.stores.neo4j.state import State, lock_state, release_lease, renew_lease
from fraudgraph.stores.neo4j.write import GraphWriter, Marks, read_marks
from fraudgraph.stores.neo4j.write_records import (
    forget_accounts,
    rename_accounts,
    write_cases,
    write_kept,
    write_narratives,
    write_progress,
    write_rings,
)
from fraudgraph.stores.port import CommitDelta, NarrativeRow, StoredState
from fraudgraph.stores.records import json_text
from fraudgraph.stores.rotation import written_down

if TYPE_CHECKING:
    from neo4j import Driver, ManagedTransaction

    from fraudgraph.stores.image import StoreImage

T = TypeVar("T")

_RENEW_S: Final = 8.0
_SETTLE_S: Final = 10.0
"""So long a writer that ends writes what waits; the next one finds the rest."""
_SETTLE_ROWS: Final = 10_000
_CLAIM: Final = """
    MATCH (s:State {space: $space}) SET s.locked_by = $token
    WITH s SET s.epoch = s.epoch + 1, s.at_work_until_ms = 0
    RETURN s.epoch AS epoch"""
_BIND: Final = """
    MATCH (s:State {space: $space})
    SET s.key_id = $key_id, s.policy_hash = $policy_hash, s.policy_version = $policy_version"""
_LOCK_INBOX: Final = "MATCH (i:Inbox {space: $space}) SET i.locked_by = $token RETURN i.last AS last"
_RECORDED: Final = "MATCH (c:Command {token: $token}) RETURN c.number AS number"
_RECORD: Final = """
    MATCH (i:Inbox {space: $space}) SET i.last = $number
    CREATE (:Command {number: $first + $number, token: $token, body: $body})"""
_SENT: Final = """
    UNWIND $rows AS alert_id
    MATCH (a:Alert {space: $space, alert_id: alert_id})
    WHERE NOT $sink IN coalesce(a.sent_to, [])
    SET a.sent_to = coalesce(a.sent_to, []) + $sink"""


class Neo4jStore(Neo4jReader):
    """A store in a Neo4j database; see `Store` for the promises.

    Args:
        address: where the store is; made there where there is none.
        options: how it is reached.
        policy: the link policy, for the read side.
        priority: the rules of the queue, for the read side.
        on_load: told (rows read, rows in all) while `load` reads.
        limits: how many changes of known links and accounts may wait, packed.

    Raises:
        DependencyError: the server does not answer; so does every call.
        ConfigurationError: it refuses the user or the password.
        StoreError: a newer fraudgraph wrote the store.
    """

    def __init__(
        self,
        address: Neo4jAddress,
        options: Neo4jOptions,
        policy: LinkPolicy,
        priority: PriorityRules,
        *,
        warmup_days: int = 14,
        on_load: Callable[[int, int], None] | None = None,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(address, options, policy, priority, warmup_days=warmup_days)
        self._on_load = on_load
        self._epoch: int | None = None
        self._marks = Marks()
        self._limits = limits or Limits()
        self._behind = Behind()
        self._attempt: tuple[CommitDelta, str] | None = None

    def _prepare(self, driver: Driver) -> None:
        migrate(driver, self._address.database, self._space)

    def _write(self, work: Callable[[ManagedTransaction], T]) -> T:
        """Runs a transaction until it is known to be through; `work` must do nothing the second time."""
        from neo4j.exceptions import IncompleteCommit
        from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

        again = Retrying(
            retry=retry_if_exception_type(IncompleteCommit),
            stop=stop_after_delay(self._options.retry_max_ms / 1000),
            wait=wait_random_exponential(max=5.0),
            reraise=True,
        )
        with self._session() as session:
            found: T = again(session.execute_write, self._limited(work))
        return found

    def _limited(self, work: Callable[..., T]) -> Callable[..., T]:
        """Returns a unit of work that the server ends after `write_max_ms`."""
        from neo4j import unit_of_work

        return unit_of_work(timeout=self._options.write_max_ms / 1000)(work)

    def record_command(self, body: bytes) -> int:
        """Appends a command and returns its number; needs no epoch."""
        token = uuid.uuid4().hex

        def record(tx: ManagedTransaction) -> int:
            number = tx.run(_LOCK_INBOX, space=self._space.number, token=token).single(strict=True)["last"] + 1
            known = tx.run(_RECORDED, token=token).single()
            if known is not None:
                return int(known["number"]) - self._space.first
            tx.run(_RECORD, self._space.bounds, number=number, token=token, body=body).consume()
            return int(number)

        return self._write(record)

    def claim(self) -> int:
        """Takes the next epoch and returns it; every earlier writer is fenced from then on."""
        token = uuid.uuid4().hex

        def claim(tx: ManagedTransaction) -> int:
            epoch = int(tx.run(_CLAIM, space=self._space.number, token=token).single(strict=True)["epoch"])
            take_gate(tx, self._space, epoch)
            return epoch

        self._epoch = self._write(claim)
        self._attempt = None
        # Nobody else can write any more.
        self._marks = self._read(lambda tx: read_marks(tx, self._space))
        self._behind = self._read(lambda tx: read_behind(tx, self._space, self._limits))
        self._renew_lease()
        return self._epoch

    def bind(self, *, key_id: str, policy_hash: str, policy_version: str) -> None:
        """Records key and policy at first use, and refuses others afterwards.

        Raises:
            ConfigurationError: the store was written under another key or link policy.
        """

        def bind(tx: ManagedTransaction) -> State:
            state = lock_state(tx, self._space, uuid.uuid4().hex)
            if not state.key_id:
                said = {"key_id": key_id, "policy_hash": policy_hash, "policy_version": policy_version}
                tx.run(_BIND, said, space=self._space.number).consume()
            return state

        state = self._write(bind)
        require_same(state.key_id, state.policy_hash, key_id=key_id, policy_hash=policy_hash)

    def begin_rotation(self, key_id: str) -> None:
        """Begins a period of two keys: `key_id` is the store's from now on, and the one so far the previous."""
        self._as_owner(lambda tx, state: begin_rotation(tx, self._space, state, key_id))

    def end_rotation(self) -> None:
        """Ends the period of two keys. Idempotent."""
        self._as_owner(lambda tx, _: end_rotation(tx, self._space))

    def reseal(self, ciphertexts: Mapping[int, bytes]) -> None:
        """Puts other ciphertexts in the place of dead letters' own, by id, in one transaction."""
        self._as_owner(lambda tx, _: reseal(tx, self._space, ciphertexts))

    def load(self) -> StoredState:
        """Returns everything of the last commit; another writer waits until it is read."""
        from fraudgraph.stores.neo4j.load import Loader

        self._attempt = None
        with self._still(None) as (state, _):
            found = Loader(self._read, self._space, self._on_load).load(state)
            self._behind = self._read(lambda tx: read_behind(tx, self._space, self._limits))
            return found

    def commit(self, delta: CommitDelta) -> None:
        """Writes the delta in one transaction, guarded by epoch and by `commit == last + 1`.

        Raises:
            FencedError: another writer claimed a newer epoch.
            StoreError: no epoch was claimed, the commit number is not the next one, or an id changed its identity.
            DependencyError: the server does not answer or cannot do it; the same delta object may be tried again, and
                is then written once, even where the first try went through unseen.
        """
        epoch = self._require_epoch()
        before = self._attempt
        self._attempt = attempt = before if before is not None and before[0] is delta else (delta, uuid.uuid4().hex)
        # What became of another commit that was tried before is not known: then the database says what there is.
        lost, token = before is not None and before is not attempt, attempt[1]

        def write(tx: ManagedTransaction) -> tuple[Marks, Behind, Plan | None]:
            state = self._own(tx, epoch, token)
            is_in = (state.commit, state.token) == (delta.commit, token)
            marks, behind = copy.deepcopy(self._marks), self._behind
            if lost or is_in:
                marks, behind = read_marks(tx, self._space), read_behind(tx, self._space, self._limits)
            if is_in:
                return marks, behind, None
            if delta.commit != state.commit + 1:
                raise StoreError(
                    f"the store is at commit {state.commit}, so {delta.commit} is not the next one",
                    do="Load the state again and go on from its positions.",
                )
            plan = behind.plan(delta)
            self._write_delta(tx, delta, plan, state, marks, token)
            self._tell(announce, epoch)
            return marks, behind, plan

        try:
            self._marks, self._behind, plan = self._write(write)
        except StoreError:  # undone for certain; after any other error it may still become visible
            self._tell(close_gate, epoch)
            raise
        if plan is not None:
            self._behind.done(plan)
        self._tell(close_gate, epoch)
        self._attempt = None

    def _write_delta(
        self, tx: ManagedTransaction, delta: CommitDelta, plan: Plan, state: State, marks: Marks, token: str
    ) -> None:
        lens = self.lens(state.watermark_ms)
        rings = {
            decision: read_snapshot(tx, self._space, lens, ring_id, self._warmup_days)
            for decision, ring_id in delta.frozen.items()
        }
        kept = [
            (decision, json_text(ring and renamed_snapshot(ring, delta.rekeyed.users)))
            for decision, ring in rings.items()
        ]
        prints = [print for each in delta.decisions if (print := self._fingerprint(tx, each, state)) is not None]
        rekey(tx, self._space, delta.rekeyed)
        GraphWriter(tx, self._space, marks).write(replace(delta, links=plan.links, users=plan.users))
        plan.write(tx, self._space)
        highest = write_rings(tx, self._space, delta, state)
        marks.entities[EntityKind.USER] = max(marks.entities[EntityKind.USER], highest)
        write_cases(tx, self._space, delta, state)
        write_kept(tx, self._space, kept, prints)
        if written := written_down(delta):
            rename_accounts(tx, self._space, written)
        if delta.forgotten:
            forget_accounts(tx, self._space, delta.forgotten)
        write_progress(tx, self._space, delta, state, token)

    def _settle(self, epoch: int) -> None:
        """Writes what waits, oldest first, as long as `_SETTLE_S` lasts."""
        until_s = time.monotonic() + _SETTLE_S
        while self._behind.waiting and time.monotonic() < until_s:
            plan = self._behind.settle(_SETTLE_ROWS)
            rows = CommitDelta(commit=0, watermark_ms=0, links=plan.links, users=plan.users)

            def write(tx: ManagedTransaction, plan: Plan = plan, rows: CommitDelta = rows) -> None:
                self._own(tx, epoch, uuid.uuid4().hex)
                GraphWriter(tx, self._space, copy.deepcopy(self._marks)).write(rows)
                plan.write(tx, self._space)

            self._write(write)
            self._behind.done(plan)

    def _fingerprint(self, tx: ManagedTransaction, decision: Decision, state: State) -> tuple[str, str] | None:
        """Returns (decision id, its ring's shape as JSON) as of the last commit."""
        if not has_verdict(decision):
            return None
        ring: RingSnapshot | None = read_snapshot(
            tx, self._space, self.lens(state.watermark_ms), decision.ring_id, self._warmup_days
        )
        if ring is None or not ring.users:
            return None

        from fraudgraph.rings.facts_view import RingView
        from fraudgraph.rings.fingerprint import fingerprint

        return decision.decision_id, json_text(fingerprint(RingView(ring, self._policy)))

    def mark_sent(self, sink: str, alert_ids: Collection[str]) -> None:
        """Notes alerts as delivered to a sink, in a transaction of its own."""
        rows = sorted(set(alert_ids))
        self._as_owner(lambda tx, _: tx.run(_SENT, space=self._space.number, sink=sink, rows=rows).consume())

    def save_narrative(self, row: NarrativeRow) -> None:
        """Keeps what was said about a ring, in place of what was said before, in a transaction of its own."""
        self._as_owner(lambda tx, _: write_narratives(tx, self._space, [row]))

    def restore(self, image: StoreImage) -> None:
        """Writes everything of another store into this new one, piece by piece.

        Raises:
            StoreError: the store is not new.
        """
        from fraudgraph.stores.neo4j.image import write_image

        with self._session() as session:
            write_image(session.execute_write, self._space, image)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Says to all machines, until it is left, that this writer is at work: again and again, in a thread of its own.

        Where it stops without a word, the last one holds for `LEASE_MS`.
        """
        ended = threading.Event()

        def say() -> None:
            while not ended.wait(_RENEW_S):
                with suppress(DependencyError):  # it says so with its commits, when the server is back
                    self._renew_lease()

        thread = threading.Thread(target=say, name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def close(self) -> None:
        """Writes what waits, and releases the connections. Idempotent."""
        epoch, self._epoch = self._epoch, None
        if epoch is not None:
            # The lease runs out by itself where the server is away.
            with suppress(DependencyError, FencedError):
                if self._attempt is None:
                    self._settle(epoch)
                self._tell(release_lease, epoch)
        super().close()

    def _renew_lease(self) -> None:
        if self._epoch is not None:
            self._tell(renew_lease, self._epoch)

    def _tell(self, what: Callable[[ManagedTransaction, Space, int], None], epoch: int) -> None:
        """Says something as the holder of an epoch, in a transaction of its own."""
        with self._session() as session:
            session.execute_write(self._limited(what), self._space, epoch)

    def _as_owner(self, work: Callable[[ManagedTransaction, State], object]) -> None:
        """Writes something beside the commits, while the epoch is ours."""
        epoch = self._require_epoch()

        def write(tx: ManagedTransaction) -> None:
            work(tx, self._own(tx, epoch, uuid.uuid4().hex))

        self._write(write)

    def _require_epoch(self) -> int:
        if self._epoch is None:
            raise StoreError("this writer holds no epoch", do="Call `claim` first.")
        return self._epoch

    def _own(self, tx: ManagedTransaction, epoch: int, token: str) -> State:
        """Locks the state, and returns it where the epoch is still ours."""
        state = lock_state(tx, self._space, token)
        if state.epoch != epoch:
            raise FencedError(
                f"another writer took epoch {state.epoch}, this one holds {epoch}",
                do="Stop this process; one engine owns a store.",
            )
        return state
