"""The write side of the SQLite store: one transaction per commit, fenced by an epoch."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path

from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.cases.decisions import Decision
from fraudgraph.errors import FencedError, StoreError
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.rings.snapshot import RingSnapshot
from fraudgraph.stores.binding import require_same
from fraudgraph.stores.erasure import renamed_snapshot
from fraudgraph.stores.evidence import has_verdict
from fraudgraph.stores.image import StoreImage
from fraudgraph.stores.port import CommitDelta, NarrativeRow, StoredState
from fraudgraph.stores.records import json_text
from fraudgraph.stores.rotation import written_down
from fraudgraph.stores.sqlite.cases import forget_accounts, rename_accounts
from fraudgraph.stores.sqlite.connect import connect_writer, translated
from fraudgraph.stores.sqlite.image import write_image
from fraudgraph.stores.sqlite.load import load_state
from fraudgraph.stores.sqlite.reader import SqliteReader
from fraudgraph.stores.sqlite.rotation import begin_rotation, end_rotation, reseal
from fraudgraph.stores.sqlite.snapshot import read_snapshot
from fraudgraph.stores.sqlite.write import write_delta


class SqliteStore(SqliteReader):
    """A store in one file; see `Store` for the promises.

    Args:
        path: the file; made where there is none.
        policy: the link policy, for the read side.
        priority: the rules of the queue, for the read side.
        connect: opens the file for writing.

    Raises:
        DependencyError: the file cannot be written; so does every call that meets a locked, full or damaged disk.
        ConfigurationError: it is an SQLite file of something else.
        StoreError: a newer fraudgraph wrote it.
    """

    def __init__(
        self,
        path: Path | str,
        policy: LinkPolicy,
        priority: PriorityRules,
        *,
        warmup_days: int = 14,
        connect: Callable[[Path], sqlite3.Connection] = connect_writer,
    ) -> None:
        super().__init__(path, policy, priority, warmup_days=warmup_days, connect=connect)
        self._epoch: int | None = None

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with translated(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:  # SQLite itself rolls back when the disk is full
                    self._db.execute("ROLLBACK")

    @contextmanager
    def _owning(self) -> Iterator[sqlite3.Connection]:
        """A transaction of the writer that holds the store's epoch."""
        if self._epoch is None:
            raise StoreError("this writer holds no epoch", do="Call `claim` first.")
        with self._writing() as db:
            (epoch,) = db.execute("SELECT epoch FROM state").fetchone()
            if epoch != self._epoch:
                raise FencedError(
                    f"another writer took epoch {epoch}, this one holds {self._epoch}",
                    do="Stop this process; one engine owns a store.",
                )
            yield db

    def record_command(self, body: bytes) -> int:
        """Appends a command and returns its number; needs no epoch."""
        with self._writing() as db:
            number = db.execute("INSERT INTO commands (body) VALUES (?)", (body,)).lastrowid
        assert number is not None  # after an INSERT it is the row's
        return number

    def claim(self) -> int:
        """Takes the next epoch and returns it; every earlier writer is fenced from then on."""
        with self._writing() as db:
            db.execute("UPDATE state SET epoch = epoch + 1")
            (epoch,) = db.execute("SELECT epoch FROM state").fetchone()
        self._epoch = int(epoch)
        return self._epoch

    def bind(self, *, key_id: str, policy_hash: str, policy_version: str) -> None:
        """Records key and policy at first use, and refuses others afterwards.

        Raises:
            ConfigurationError: the store was written under another key or link policy.
        """
        with self._writing() as db:
            bound_key, bound_policy = db.execute("SELECT key_id, policy_hash FROM state").fetchone()
            if not bound_key:
                db.execute(
                    "UPDATE state SET key_id = ?, policy_hash = ?, policy_version = ?",
                    (key_id, policy_hash, policy_version),
                )
                return
        require_same(bound_key, bound_policy, key_id=key_id, policy_hash=policy_hash)

    def begin_rotation(self, key_id: str) -> None:
        """Begins a period of two keys: `key_id` is the store's from now on, and the one so far the previous."""
        with self._owning() as db:
            begin_rotation(db, key_id)

    def end_rotation(self) -> None:
        """Ends the period of two keys. Idempotent."""
        with self._owning() as db:
            end_rotation(db)

    def reseal(self, ciphertexts: Mapping[int, bytes]) -> None:
        """Puts other ciphertexts in the place of dead letters' own, by id, in one transaction."""
        self._db.execute("PRAGMA secure_delete = ON")  # nothing under the key before is left in the file's free pages
        with self._owning() as db:
            reseal(db, ciphertexts)

    def load(self) -> StoredState:
        """Returns everything of the last commit."""
        with translated(self._path):
            return load_state(self._path)

    def commit(self, delta: CommitDelta) -> None:
        """Writes the delta in one transaction, guarded by epoch and by `commit == last + 1`.

        Raises:
            FencedError: another writer claimed a newer epoch.
            StoreError: no epoch was claimed, the commit number is not the next one, or an id changed its identity.
            DependencyError: the disk is full or fails; nothing was written, and the same delta may be tried again.
        """
        if delta.forgotten:  # what is deleted must not be readable in the file's free pages
            self._db.execute("PRAGMA secure_delete = ON")
        with self._owning() as db:
            (last,) = db.execute("SELECT commit_no FROM state").fetchone()
            if delta.commit != last + 1:
                raise StoreError(
                    f"the store is at commit {last}, so {delta.commit} is not the next one",
                    do="Load the state again and go on from its positions.",
                )
            names = delta.rekeyed.users
            kept = [(decision, self._evidence(ring_id, names)) for decision, ring_id in delta.frozen.items()]
            prints = [print for decision in delta.decisions if (print := self._fingerprint(decision)) is not None]
            write_delta(db, delta)
            db.executemany("INSERT OR IGNORE INTO frozen (decision_id, body) VALUES (?, ?)", kept)
            db.executemany("INSERT OR IGNORE INTO fingerprints (decision_id, body) VALUES (?, ?)", prints)
            if written := written_down(delta):
                rename_accounts(db, written)
            if delta.forgotten:
                forget_accounts(db, delta.forgotten)
        if delta.forgotten:  # nor in the log of pages; where a reader is in the way, a later checkpoint does it
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def mark_sent(self, sink: str, alert_ids: Collection[str]) -> None:
        """Notes alerts as delivered to a sink, in a transaction of its own."""
        with self._owning() as db:
            db.executemany(
                "INSERT OR IGNORE INTO deliveries (sink, alert_id) VALUES (?, ?)", [(sink, each) for each in alert_ids]
            )

    def save_narrative(self, row: NarrativeRow) -> None:
        """Keeps what was said about a ring, in place of what was said before, in a transaction of its own."""
        with self._owning() as db:
            db.execute(
                """
                INSERT OR REPLACE INTO narratives
                    (ring_id, evidence_hash, prompt_hash, model, verifier, made_at_ms, body)
                VALUES (?, ?, ?, ?, ?, ?, ?)""",
                astuple(row),
            )

    def restore(self, image: StoreImage) -> None:
        """Writes everything of another store into this new one, in one transaction.

        Raises:
            StoreError: the store is not new.
        """
        with self._writing() as db:
            commit, key_id = db.execute("SELECT commit_no, key_id FROM state").fetchone()
            (commands,) = db.execute("SELECT count(*) FROM commands").fetchone()
            if commit or key_id or commands:
                raise StoreError(
                    f"the store is in use (commit {commit}, commands {commands})",
                    do="Restore into a new one: name a file that is not there yet.",
                )
            write_image(db, image)

    def _evidence(self, ring_id: str, names: Mapping[str, str]) -> str:
        """Returns a ring as JSON, as of the last commit, with other user ids; call it inside a transaction."""
        ring = self._snapshot(ring_id)
        return json_text(renamed_snapshot(ring, names) if ring is not None and names else ring)

    def _fingerprint(self, decision: Decision) -> tuple[str, str] | None:
        """Returns (decision id, its ring's shape as JSON) as of the last commit; call it inside a transaction."""
        ring = self._snapshot(decision.ring_id) if has_verdict(decision) else None
        if ring is None or not ring.users:
            return None

        from fraudgraph.rings.facts_view import RingView
        from fraudgraph.rings.fingerprint import fingerprint

        return decision.decision_id, json_text(fingerprint(RingView(ring, self._policy)))

    def _snapshot(self, ring_id: str) -> RingSnapshot | None:
        (watermark_ms,) = self._db.execute("SELECT watermark_ms FROM state").fetchone()
        return read_snapshot(self._db, self.lens(watermark_ms), ring_id, self._warmup_days)
