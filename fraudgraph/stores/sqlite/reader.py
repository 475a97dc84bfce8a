"""The read side of the SQLite store: each call is one read transaction, so it sees one commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.cases.audit import AuditRow
from fraudgraph.cases.constraints import Constraint
from fraudgraph.cases.decisions import Decision
from fraudgraph.errors import ConfigurationError
from fraudgraph.events.kinds import EntityKind, RejectReason
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.rings.snapshot import RingSnapshot
from fraudgraph.stores.evidence import Lens, follow_mergers
from fraudgraph.stores.port import QUEUE_STATUSES, AlertRow, Entity, LineageRow, NarrativeRow, RingRow, StoredDeadLetter
from fraudgraph.stores.records import json_text
from fraudgraph.stores.sqlite.cases import (
    last_command_applied,
    read_audit,
    read_commands,
    read_constraints,
    read_decisions,
    read_frozen,
)
from fraudgraph.stores.sqlite.connect import connect_reader, translated
from fraudgraph.stores.sqlite.rows import kind_of, ring_from_row
from fraudgraph.stores.sqlite.schema import KIND_BITS, KIND_MASK, SCHEMA_VERSION
from fraudgraph.stores.sqlite.snapshot import count_users, read_snapshot

if TYPE_CHECKING:
    from fraudgraph.stores.image import StoreImage

ALL: Final = -1
"""SQLite's LIMIT for no limit."""

_RINGS: Final = """
    SELECT * FROM ring_rows
    WHERE (
        (status != 'open' AND status IN (SELECT value FROM json_each(:statuses)))
        OR (:open AND :dormant AND status = 'open')
        OR (:open AND status = 'open' AND NOT is_dormant(last_seen_ms))
        OR (:dormant AND status = 'open' AND is_dormant(last_seen_ms)))
        AND (:since_ms IS NULL OR last_seen_ms >= :since_ms)
        AND probability >= :min_probability
    ORDER BY rank DESC, ring_id
    LIMIT :limit"""
_WENT: Final = """
    SELECT status, (
        SELECT other_ring_id FROM lineage
        WHERE lineage.ring_id = rings.ring_id AND what = 'merged'
        ORDER BY id DESC LIMIT 1)
    FROM rings WHERE ring_id = ?"""
_ENTITY_REF: Final = """
    WITH RECURSIVE block (number) AS (
        SELECT max(ref) >> 14 FROM entities
        UNION ALL SELECT number - 1 FROM block WHERE number > 0)
    SELECT ref FROM block CROSS JOIN entities ON ref >> 14 = number AND key = ? WHERE ref & ? = ? LIMIT 1"""
_ORDER_USER: Final = """
    WITH RECURSIVE block (number) AS (
        SELECT max(slot) >> 10 FROM orders
        UNION ALL SELECT number - 1 FROM block WHERE number > 0)
    SELECT e.key
    FROM block CROSS JOIN orders AS o ON o.slot >> 10 = number CROSS JOIN entities AS e ON e.ref = o.user << ?
    WHERE o.key = ? LIMIT 1"""


class SqliteReader:
    """Reads a store while its writer writes; see `StoreReader` for what each call returns.

    Args:
        path: the store's file.
        policy: the link policy that the store was written under.
        priority: the rules of the queue.
        warmup_days: so long after its first event a stream without sign-ups shows everybody for the first time.
        connect: opens the file.

    Raises:
        DependencyError: the file is missing, locked, damaged or unreadable; so does every call.
        ConfigurationError: it is not a store.
        StoreError: its schema is not the one that this version reads.
    """

    def __init__(
        self,
        path: Path | str,
        policy: LinkPolicy,
        priority: PriorityRules,
        *,
        warmup_days: int = 14,
        connect: Callable[[Path], sqlite3.Connection] = connect_reader,
    ) -> None:
        self._path = Path(path)
        self._policy = policy
        self._priority = priority
        self._warmup_days = warmup_days
        self._db = connect(self._path)

    @contextmanager
    def _reading(self) -> Iterator[tuple[sqlite3.Connection, Lens]]:
        with translated(self._path):
            self._db.execute("BEGIN")
            try:
                (watermark_ms,) = self._db.execute("SELECT watermark_ms FROM state").fetchone()
                yield self._db, self.lens(watermark_ms)
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    def lens(self, watermark_ms: int) -> Lens:
        """Returns the policies under which rows are read at a watermark."""
        return Lens(self._policy, self._priority, watermark_ms)

    def meta(self) -> Mapping[str, str]:
        """Returns what the store is and where it stands; key and policy are empty before `bind`."""
        with self._reading() as (db, _):
            row = db.execute(
                "SELECT store_id, key_id, policy_hash, policy_version, epoch, commit_no, watermark_ms,"
                " coalesce(started_ms, 0), previous_key_id, rotated_ms FROM state"
            ).fetchone()
        names = (
            "store_id",
            "key_id",
            "policy_hash",
            "policy_version",
            "epoch",
            "commit",
            "watermark_ms",
            "started_ms",
            "previous_key_id",
            "rotated_ms",
        )
        return {"schema_version": str(SCHEMA_VERSION)} | {
            name: str(value) for name, value in zip(names, row, strict=True)
        }

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
        parameters: dict[str, object] = {
            "open": "open" in wanted,
            "dormant": "dormant" in wanted,
            "statuses": json_text(sorted(wanted)),
            "since_ms": since_ms,
            "min_probability": min_probability,
            "limit": ALL if limit is None else limit,
        }
        with self._reading() as (db, lens):
            db.create_function(
                "is_dormant",
                1,
                lambda last_seen_ms: lens.priority.is_dormant(last_seen_ms, lens.as_of_ms),
                deterministic=True,
            )
            return [lens.ring(ring_from_row(row)) for row in db.execute(_RINGS, parameters)]

    def resolve_ring(self, ring_id: str) -> str | None:
        """Returns the id at the end of the chain of mergers that starts at `ring_id`, else None."""
        with self._reading() as (db, _):

            def look_up(ring_id: str) -> tuple[str, str | None] | None:
                row: tuple[str, str | None] | None = db.execute(_WENT, (ring_id,)).fetchone()
                return row

            return follow_mergers(ring_id, look_up)

    def snapshot(self, ring_id: str) -> RingSnapshot | None:
        """Returns all the evidence of a ring as of the last commit, or None where there is no such ring.

        Raises:
            ConfigurationError: the store was written under another link policy, so strengths would be false.
        """
        with self._reading() as (db, lens):
            (bound,) = db.execute("SELECT policy_hash FROM state").fetchone()
            if bound not in ("", lens.policy.hash):
                raise ConfigurationError(
                    f"the store was written under link policy {bound}, and the settings say {lens.policy.hash}",
                    do="Use the settings that the store was written with, or rebuild the store.",
                )
            return read_snapshot(db, lens, ring_id, self._warmup_days)

    def find(self, kind: EntityKind, key: str | bytes) -> Entity | None:
        """Returns an entity by user id or pseudonym; a pseudonym may be given in hex, as `Entity.key` is."""
        stored: str | bytes = key
        if kind is not EntityKind.USER and isinstance(key, str):
            try:
                stored = bytes.fromhex(key)
            except ValueError:
                return None
        with self._reading() as (db, lens):
            ref = _find(db, kind, stored)
            if ref is None:
                return None
            (mask,) = db.execute("SELECT mask FROM entities WHERE ref = ?", (ref,)).fetchone()
            return _entity(db, lens, ref, stored, mask)

    def find_order(self, order_key: bytes) -> str | None:
        """Returns the user id behind an order."""
        with self._reading() as (db, _):
            row = db.execute(_ORDER_USER, (KIND_BITS, order_key)).fetchone()
        return None if row is None else str(row[0])

    def users_of(self, entity: Entity, limit: int) -> list[tuple[str, int, int, int]]:
        """Returns (user id, first_ms, last_ms, count) of an identifier's live links, latest first, ties by id."""
        with self._reading() as (db, lens):
            return db.execute(
                """
                SELECT e.key, l.first_ms, l.last_ms, l.count
                FROM links AS l JOIN entities AS e ON e.ref = l.user << ?
                WHERE l.entity = ? AND l.last_ms >= ?
                ORDER BY l.last_ms DESC, e.key
                LIMIT ?""",
                (KIND_BITS, entity.id << KIND_BITS | entity.kind, lens.live_since_ms(entity.kind), limit),
            ).fetchall()

    def identifiers_of(self, user_id: str) -> list[tuple[Entity, int, int, int]]:
        """Returns (identifier, first_ms, last_ms, count) of a user's live links, by kind and pseudonym."""
        with self._reading() as (db, lens):
            rows = db.execute(
                """
                SELECT e.ref, e.key, e.mask, l.first_ms, l.last_ms, l.count
                FROM links AS l JOIN entities AS e ON e.ref = l.entity
                WHERE l.user = ? >> ?""",
                (_find(db, EntityKind.USER, user_id), KIND_BITS),
            ).fetchall()
            found = [
                (_entity(db, lens, ref, key, mask), first_ms, last_ms, count)
                for ref, key, mask, first_ms, last_ms, count in rows
                if last_ms >= lens.live_since_ms(kind_of(ref))
            ]
        return sorted(found, key=lambda item: (item[0].kind, item[0].key))

    def rings_of(self, user_id: str) -> list[RingRow]:
        """Returns the living rings that the user is a member of, best `rank` first."""
        with self._reading() as (db, lens):
            rows = db.execute(
                """
                SELECT r.* FROM members AS m JOIN ring_rows AS r ON r.ring_id = m.ring_id
                WHERE m.user = ? >> ? AND r.status NOT IN ('closed', 'merged')
                ORDER BY r.rank DESC, r.ring_id""",
                (_find(db, EntityKind.USER, user_id), KIND_BITS),
            )
            return [lens.ring(ring_from_row(row)) for row in rows]

    def dead_letters(self, *, partition: str | None = None, limit: int | None = None) -> list[StoredDeadLetter]:
        """Returns dead letters in the order of their ids; those of one partition where it is given."""
        with self._reading() as (db, _):
            rows = db.execute(
                """
                SELECT id, reason, detail, source, position, commit_no, ciphertext FROM dead_letters
                WHERE :partition IS NULL OR source = :partition
                ORDER BY id LIMIT :limit""",
                {"partition": partition, "limit": ALL if limit is None else limit},
            ).fetchall()
        return [StoredDeadLetter(number, RejectReason(reason).code, *rest) for number, reason, *rest in rows]

    def alerts(self, *, limit: int | None = None) -> list[AlertRow]:
        """Returns alerts, newest first, ties by alert id."""
        with self._reading() as (db, _):
            rows = db.execute(
                """
                SELECT alert_id, ring_id, at_ms, probability, priority, reason FROM alerts
                ORDER BY at_ms DESC, alert_id LIMIT ?""",
                (ALL if limit is None else limit,),
            ).fetchall()
        return [AlertRow(*row) for row in rows]

    def outbox(self, sink: str, *, limit: int | None = None) -> list[AlertRow]:
        """Returns the alerts that were not marked as sent to that sink, oldest first, ties by alert id."""
        with self._reading() as (db, _):
            rows = db.execute(
                """
                SELECT alert_id, ring_id, at_ms, probability, priority, reason FROM alerts AS a
                WHERE NOT EXISTS (SELECT 1 FROM deliveries AS d WHERE d.sink = ? AND d.alert_id = a.alert_id)
                ORDER BY at_ms, alert_id LIMIT ?""",
                (sink, ALL if limit is None else limit),
            ).fetchall()
        return [AlertRow(*row) for row in rows]

    def narrative(self, ring_id: str) -> NarrativeRow | None:
        """Returns what was last said about a ring under this id, or None."""
        with self._reading() as (db, _):
            row = db.execute(
                """
                SELECT ring_id, evidence_hash, prompt_hash, model, verifier, made_at_ms, body FROM narratives
                WHERE ring_id = ?""",
                (ring_id,),
            ).fetchone()
        return None if row is None else NarrativeRow(*row)

    def lineage(self, ring_id: str) -> list[LineageRow]:
        """Returns all steps in which a ring took part, in order."""
        with self._reading() as (db, _):
            rows = db.execute(
                """
                SELECT ring_id, what, at_ms, users_before, users_after, other_ring_id, cause FROM lineage
                WHERE ring_id = ? OR other_ring_id = ? ORDER BY id""",
                (ring_id, ring_id),
            ).fetchall()
        return [LineageRow(*row) for row in rows]

    def decisions(self) -> list[Decision]:
        """Returns decisions in the order of their ids, undone ones too."""
        with self._reading() as (db, _):
            return read_decisions(db)

    def constraints(self) -> list[Constraint]:
        """Returns constraints in the order of their ids, removed ones too."""
        with self._reading() as (db, _):
            return read_constraints(db)

    def audit(self) -> list[AuditRow]:
        """Returns the audit in the order of its numbers."""
        with self._reading() as (db, _):
            return read_audit(db)

    def frozen(self, decision_id: str) -> RingSnapshot | None:
        """Returns the ring as it was when that decision was applied, or None where nothing was kept."""
        with self._reading() as (db, _):
            return read_frozen(db, decision_id)

    def commands(self, *, after: int = 0, limit: int | None = None) -> list[tuple[int, bytes]]:
        """Returns recorded commands with numbers above `after`."""
        with self._reading() as (db, _):
            return read_commands(db, after, ALL if limit is None else limit)

    def commands_applied(self) -> int:
        """Returns the highest number of a command that the engine has taken; 0 for none."""
        with self._reading() as (db, _):
            return last_command_applied(db)

    def image(self) -> StoreImage:
        """Returns everything that the store holds, as of the last commit."""
        from fraudgraph.stores.sqlite.image import read_image

        with self._reading() as (db, _):
            return read_image(db)

    def under_previous_key(self) -> Mapping[str, int]:
        """Returns how many things may still need the key before; empty where there is one key."""
        from fraudgraph.stores.sqlite.rotation import count_previous

        with self._reading() as (db, _):
            return count_previous(db)

    def close(self) -> None:
        """Releases the connection. Idempotent."""
        with translated(self._path):
            self._db.close()


def _find(db: sqlite3.Connection, kind: EntityKind, key: str | bytes) -> int | None:
    row = db.execute(_ENTITY_REF, (key, KIND_MASK, kind)).fetchone()
    return None if row is None else int(row[0])


def _entity(db: sqlite3.Connection, lens: Lens, ref: int, key: str | bytes, mask: str) -> Entity:
    kind = kind_of(ref)
    text = key if isinstance(key, str) else key.hex()
    users = 1 if kind is EntityKind.USER else count_users(db, lens, ref)
    return Entity(kind=kind, id=ref >> KIND_BITS, key=text, mask=mask, users=users)
