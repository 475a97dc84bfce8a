"""The loop: poll, apply, commit, acknowledge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from fraudgraph.engine import Engine, Outcome
from fraudgraph.events.decoder import Decoder
from fraudgraph.stores.local_snapshot import LocalSnapshot, SnapshotKey
from fraudgraph.stores.port import Store
from fraudgraph.stores.retention import DeadLetterRetention
from fraudgraph.streams.port import RawBatch, Stream

LOOK_EVERY: Final = 500
"""Commits between two looks at the largest component: a look costs as much as some commits."""


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

    @property
    def largest_share(self) -> float:
        """Part of all accounts that the largest component holds: where it grows, something welds strangers together."""
        return self.largest_users / self.users if self.users else 0.0


class Daemon:
    """Reads a stream to its end, or until it is told to stop, with one commit per batch.

    A crash at any instruction loses nothing: the store holds the positions of its last commit, and the next run
    seeks there. A record is acknowledged to the stream only after its commit.
    """

    def __init__(
        self,
        stream: Stream,
        decoder: Decoder,
        engine: Engine,
        store: Store,
        *,
        batch_events: int = 1000,
        snapshot: LocalSnapshot | None = None,
        retention: DeadLetterRetention | None = None,
    ) -> None:
        self._stream = stream
        self._decoder = decoder
        self._engine = engine
        self._store = store
        self._batch_events = batch_events
        self._snapshot = snapshot
        self._retention = retention
        self._stopping = False

    def stop(self) -> None:
        """Asks the run to end after the batch in hand. Idempotent, and safe in a signal handler."""
        self._stopping = True

    def run(self, on_progress: Callable[[Totals], None] | None = None) -> Totals:
        """Claims the store, restores the engine, and processes the stream; returns what was done.

        Raises:
            FencedError: another writer took the store over.
        """
        totals = Totals()
        key = self._snapshot_key()
        self._store.claim()
        state = None if self._snapshot is None else self._snapshot.load(key)
        if state is None:
            state = self._store.load()
        self._engine.restore(state)
        self._stream.seek(state.positions)
        totals.watermark_ms = state.watermark_ms
        while not self._stopping and (raw := self._stream.poll(self._batch_events)) is not None:
            if len(raw) or raw.damaged or raw.ended:  # a stream that waits for its next record is no commit
                self._step(raw, totals)
            if on_progress is not None:
                on_progress(totals)
        totals.stopped = self._stopping
        totals.largest_users, totals.users = self._engine.largest_component()
        if self._snapshot is not None:
            self._snapshot.save(self._snapshot_key(), self._engine.export())
        return totals

    def _snapshot_key(self) -> SnapshotKey:
        meta = self._store.meta()
        return SnapshotKey(
            store_id=meta["store_id"],
            epoch=meta["epoch"],
            commit=meta["commit"],
            schema=meta["schema_version"],
            policy_hash=self._engine.policy.hash,
            scorer=self._engine.scorer.name,
        )

    def _step(self, raw: RawBatch, totals: Totals) -> None:
        outcome = self._engine.apply(self._decoder.decode(raw))
        if self._retention is not None:
            self._retention.stamp(outcome.delta)
        self._store.commit(outcome.delta)
        self._stream.acknowledge(outcome.delta.positions)
        self._count(outcome, totals)
        if totals.commits % LOOK_EVERY == 0:
            totals.largest_users, totals.users = self._engine.largest_component()

    def _count(self, outcome: Outcome, totals: Totals) -> None:
        totals.commits += 1
        totals.events += outcome.applied
        totals.commands += outcome.commands
        totals.duplicates += outcome.duplicates
        totals.alerts += len(outcome.delta.alerts)
        totals.dead_letters.update(letter.reason.code for letter in outcome.delta.dead_letters)
        totals.watermark_ms = outcome.delta.watermark_ms
        totals.bytes_read, totals.bytes_all = self._stream.progress()
