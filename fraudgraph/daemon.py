"""The loop: poll, apply, commit, acknowledge."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, field
from typing import Final, Protocol

from fraudgraph.committer import Committed, Committer
from fraudgraph.engine import Engine, Outcome
from fraudgraph.events.batch import DecodedBatch
from fraudgraph.events.decoder import Decoder
from fraudgraph.rings.rule_hits import Mode
from fraudgraph.scoring.drift import DriftReport
from fraudgraph.scoring.serving import ModelFigures
from fraudgraph.stores.local_snapshot import LocalSnapshot, SnapshotKey
from fraudgraph.stores.port import CommitDelta
from fraudgraph.stores.retention import DeadLetterRetention
from fraudgraph.streams.port import RawBatch, Stream

LOOK_EVERY: Final = 500
"""Commits from one look at the largest component and the model to the next: a look costs as much as some commits."""
BEAT_S: Final = 0.5
"""A loop that waits for the store shows so often that it lives."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How much at once, and how much ahead.

    Attributes:
        batch_events: records of a commit while the store keeps up.
        batch_events_max: up to so many where the loop had to wait for the store: then a commit's fixed costs weigh.
        commits_ahead: batches that may wait for the store while the next one is computed; 0 computes none meanwhile.
        drain_s: so long after `stop` a store that is away is still waited for.
    """

    batch_events: int = 1000
    batch_events_max: int = 1000
    commits_ahead: int = 1
    drain_s: float = 30.0


@dataclass(slots=True)
class Totals:
    """What a run did.

    Attributes:
        commits, events, commands, duplicates, alerts: how many.
        dead_letters: how many, by reason code.
        watermark_ms: event time up to which everything is settled.
        bytes_read, bytes_all: how far the stream is read; `bytes_all` is None where it has no end.
        stopped: the run was asked to stop before the end of the stream.
        users, largest_users: accounts in all and in the largest component, uncut; as of the end, or of the last of
            every `LOOK_EVERY` commits.
        model: what is in force, in numbers, as of the same moment; None before the first look.
        rules: living rings by (rule, mode) that it holds of, as of the same moment.
        drift: what the model sees against its reference, as of the same moment; None where nobody asks.
    """

    commits: int = 0
    events: int = 0
    commands: int = 0
    duplicates: int = 0
    alerts: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)
    watermark_ms: int = 0
    bytes_read: int = 0
    bytes_all: int | None = None
    stopped: bool = False
    users: int = 0
    largest_users: int = 0
    model: ModelFigures | None = None
    rules: Counter[tuple[str, Mode]] = field(default_factory=Counter)
    drift: DriftReport | None = None

    @property
    def largest_share(self) -> float:
        """Part of all accounts that the largest component holds: where it grows, something welds strangers together."""
        return self.largest_users / self.users if self.users else 0.0


@dataclass(slots=True)
class Step:
    """One batch on its way, and the seconds that each part of the way took.

    Attributes:
        batch: as decoded, with the brokers' times of its good events.
        rings: living ones after it.
        commit: the store's answer.
    """

    batch: DecodedBatch
    outcome: Outcome
    rings: int
    decode_s: float
    engine_s: float
    commit: Future[Committed]
    acknowledge_s: float = 0.0


class Observer(Protocol):
    """Whoever watches the daemon, without making it wait; called in the loop's thread."""

    def restored(self, positions: int, rings: int, watermark_ms: int) -> None:
        """The store is claimed, and the engine stands where the last commit ended."""
        ...

    def beat(self) -> None:
        """The loop moves."""
        ...

    def taken(self, records: int) -> None:
        """A batch was read, and is about to be applied."""
        ...

    def settled(self, step: Step, totals: Totals) -> None:
        """A batch is committed and acknowledged."""
        ...


class Follower(Protocol):
    """Whoever acts on what is committed, in a thread of its own."""

    def committed(self, delta: CommitDelta | None) -> None:
        """Alerts or dead letters are committed; None at the start, when some may be left. Returns at once."""
        ...


class Daemon:
    """Reads a stream to its end, or until it is told to stop, with one commit per batch.

    A crash at any instruction loses nothing: the store holds the positions of its last commit, and the next run
    seeks there. A record is acknowledged to the stream only after its commit. As long as there is much to read, the
    next batch is computed while one is committed, and no more than that: a slow store makes batches larger, up to a
    limit, and then the stream waits. Where little comes, a batch holds what came while the one before was committed.
    """

    def __init__(
        self,
        stream: Stream,
        decoder: Decoder,
        engine: Engine,
        committer: Committer,
        *,
        pace: Pace | None = None,
        snapshot: LocalSnapshot | None = None,
        retention: DeadLetterRetention | None = None,
        observer: Observer | None = None,
        followers: Sequence[Follower] = (),
        drift: Callable[[], DriftReport] | None = None,
    ) -> None:
        self._drift = drift
        self._stream = stream
        self._decoder = decoder
        self._engine = engine
        self._committer = committer
        self._pace = pace or Pace()
        self._snapshot = snapshot
        self._retention = retention
        self._observer = observer or _Nobody()
        self._followers = followers
        self._size = self._pace.batch_events
        self._queue: deque[Step] = deque()
        self._stop_at_s: float | None = None

    def stop(self) -> None:
        """Asks the run to end after the batches in hand. Idempotent, and safe in a signal handler."""
        self._stop_at_s = self._stop_at_s or time.monotonic()

    def run(self, on_progress: Callable[[Totals], None] | None = None) -> Totals:
        """Claims the store, restores the engine, and processes the stream; returns what was done.

        Raises:
            FencedError: another writer took the store over.
            DependencyError: the stream cannot be read, or the store was away for longer than patience lasts.
        """
        totals = Totals()
        self._restore(totals)
        while self._stop_at_s is None and (raw := self._stream.poll(self._size)) is not None:
            self._observer.beat()
            much = 2 * len(raw) >= self._pace.batch_events
            if len(raw) or raw.damaged or raw.ended:  # a stream that waits for its next record is no commit
                self._observer.taken(len(raw))
                self._queue.append(self._step(raw))
            # Where little came it was all: a next batch, read before this one is committed, would only wait.
            self._settle(totals, ahead=self._pace.commits_ahead if much else 0, much=much)
            if on_progress is not None:
                on_progress(totals)
        totals.stopped = self._stop_at_s is not None
        self._settle(totals, ahead=0, much=False)
        self._look(totals)
        if self._snapshot is not None:
            key = self._snapshot_key(self._committer.submit(self._committer.store.meta).result())
            self._snapshot.save(key, self._engine.export())
        return totals

    def _restore(self, totals: Totals) -> None:
        store = self._committer.store
        before = store.meta()
        self._committer.claim()
        state = None if self._snapshot is None else self._snapshot.load(self._snapshot_key(before))
        if state is None:
            state = store.load()
        self._engine.restore(state)
        self._stream.seek(state.positions)
        totals.watermark_ms = state.watermark_ms
        self._observer.restored(len(state.positions), len(self._engine.rows), state.watermark_ms)
        self._tell(None)

    def _step(self, raw: RawBatch) -> Step:
        started = time.perf_counter()
        batch = self._decoder.decode(raw)
        decoded = time.perf_counter()
        outcome = self._engine.apply(batch)
        if self._retention is not None:
            self._retention.stamp(outcome.delta)
        applied = time.perf_counter()
        commit = self._committer.commit(outcome.delta)
        return Step(batch, outcome, len(self._engine.rows), decoded - started, applied - decoded, commit)

    def _settle(self, totals: Totals, *, ahead: int, much: bool) -> None:
        """Acknowledges what is committed, and waits until no more than `ahead` batches are not.

        Where it had to wait, and `much` was read at last, the next one is larger.
        """
        waited = False
        while self._queue and (len(self._queue) > ahead or self._queue[0].commit.done()):
            step = self._queue[0]
            waited |= not step.commit.done()
            self._await(step.commit)
            self._queue.popleft()
            began = time.perf_counter()
            self._stream.acknowledge(step.outcome.delta.positions)
            step.acknowledge_s = time.perf_counter() - began
            self._count(step.outcome, totals)
            if totals.commits % LOOK_EVERY == 1:
                self._look(totals)
            self._observer.settled(step, totals)
            if step.outcome.delta.alerts or step.outcome.delta.dead_letters:
                self._tell(step.outcome.delta)
        longest = self._pace.batch_events_max
        self._size = min(2 * self._size, longest) if waited and much else max(self._size // 2, self._pace.batch_events)

    def _look(self, totals: Totals) -> None:
        totals.largest_users, totals.users = self._engine.largest_component()
        totals.model = self._engine.serving.figures(self._engine.graph)
        rules = self._engine.rulebook.rules.rules
        totals.rules = Counter({(rule.name, rule.mode): 0 for rule in rules})
        totals.rules.update(self._engine.records.rule_rings())
        if self._drift is not None:
            totals.drift = self._drift()

    def _await(self, commit: Future[Committed]) -> None:
        while not wait_for([commit], timeout=BEAT_S).done:
            self._observer.beat()
            if self._stop_at_s is not None and time.monotonic() - self._stop_at_s > self._pace.drain_s:
                self._committer.give_up()
        commit.result()

    def _tell(self, delta: CommitDelta | None) -> None:
        for follower in self._followers:
            follower.committed(delta)

    def _snapshot_key(self, meta: Mapping[str, str]) -> SnapshotKey:
        return SnapshotKey(
            store_id=meta["store_id"],
            epoch=meta["epoch"],
            commit=meta["commit"],
            schema=meta["schema_version"],
            policy_hash=self._engine.policy.hash,
            # What was fitted is the structural scorer's; which bundle is in force, the snapshot itself says.
            scorer=self._engine.serving.structural.name,
        )

    def _count(self, outcome: Outcome, totals: Totals) -> None:
        totals.commits += 1
        totals.events += outcome.applied
        totals.commands += outcome.commands
        totals.duplicates += outcome.duplicates
        totals.alerts += len(outcome.delta.alerts)
        totals.dead_letters.update(letter.reason.code for letter in outcome.delta.dead_letters)
        totals.watermark_ms = outcome.delta.watermark_ms
        totals.bytes_read, totals.bytes_all = self._stream.progress()


class _Nobody:
    """Watches nothing."""

    def restored(self, positions: int, rings: int, watermark_ms: int) -> None:
        """Does nothing."""

    def beat(self) -> None:
        """Does nothing."""

    def taken(self, records: int) -> None:
        """Does nothing."""

    def settled(self, step: Step, totals: Totals) -> None:
        """Does nothing."""
