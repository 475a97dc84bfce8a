"""The whole of a store, read and written in one transaction each."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import astuple, replace

from fraudgraph.events.kinds import RejectReason
from fraudgraph.stores.image import StoreImage, as_one_commit
from fraudgraph.stores.port import AlertRow, CommitDelta, LineageRow, NarrativeRow, StoredDeadLetter
from fraudgraph.stores.records import FINGERPRINTS, SNAPSHOTS, json_text
from fraudgraph.stores.sqlite.cases import read_audit
from fraudgraph.stores.sqlite.load import read_state
from fraudgraph.stores.sqlite.rows import kind_of, ring_from_row
from fraudgraph.stores.sqlite.schema import KIND_BITS
from fraudgraph.stores.sqlite.write import write_delta

_REASONS = {reason.code: reason for reason in RejectReason}


def read_image(db: sqlite3.Connection) -> StoreImage:
    """Returns everything as of the last commit; the caller holds the read transaction."""
    key_id, policy_hash, policy_version, previous_key_id, rotated_ms = db.execute(
        "SELECT key_id, policy_hash, policy_version, previous_key_id, rotated_ms FROM state"
    ).fetchone()
    (ever,) = db.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'dead_letters'").fetchone()
    frozen = db.execute("SELECT decision_id, body FROM frozen ORDER BY decision_id")
    fingerprints = db.execute("SELECT decision_id, body FROM fingerprints ORDER BY decision_id")
    narratives = db.execute(
        "SELECT ring_id, evidence_hash, prompt_hash, model, verifier, made_at_ms, body FROM narratives ORDER BY ring_id"
    )
    return StoreImage(
        key_id=key_id,
        policy_hash=policy_hash,
        policy_version=policy_version,
        delta=_read_delta(db),
        dead_letters=list(_read_dead_letters(db)),
        dead_letters_ever=ever,
        commands=[body for (body,) in db.execute("SELECT body FROM commands ORDER BY id")],
        frozen={decision: SNAPSHOTS.decode(body) for decision, body in frozen},
        fingerprints={decision: FINGERPRINTS.decode(body) for decision, body in fingerprints},
        deliveries=db.execute("SELECT sink, alert_id FROM deliveries ORDER BY sink, alert_id").fetchall(),
        narratives=[NarrativeRow(*row) for row in narratives],
        previous_key_id=previous_key_id,
        rotated_ms=rotated_ms,
    )


def write_image(db: sqlite3.Connection, image: StoreImage) -> None:
    """Writes everything into a new store; the caller holds the transaction and has checked that it is new."""
    write_delta(db, image.delta)
    db.execute(
        "UPDATE state SET key_id = ?, policy_hash = ?, policy_version = ?, previous_key_id = ?, rotated_ms = ?",
        (image.key_id, image.policy_hash, image.policy_version, image.previous_key_id, image.rotated_ms),
    )
    db.executemany(
        """
        INSERT INTO dead_letters (id, reason, detail, source, position, commit_no, ciphertext, recorded_ms)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
        [
            (d.id, _REASONS[d.reason], d.detail, d.partition, d.offset, d.commit, d.ciphertext, recorded_ms)
            for d, recorded_ms in image.dead_letters
        ],
    )
    # An id is never given twice, not even that of a letter that is gone.
    db.execute("DELETE FROM sqlite_sequence WHERE name = 'dead_letters'")
    db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('dead_letters', ?)", (image.dead_letters_ever,))
    db.executemany("INSERT INTO commands (id, body) VALUES (?, ?)", enumerate(image.commands, 1))
    db.executemany(
        "INSERT INTO frozen (decision_id, body) VALUES (?, ?)",
        [(decision, json_text(ring)) for decision, ring in image.frozen.items()],
    )
    db.executemany(
        "INSERT INTO fingerprints (decision_id, body) VALUES (?, ?)",
        [(decision, json_text(print)) for decision, print in image.fingerprints.items()],
    )
    db.executemany("INSERT INTO deliveries (sink, alert_id) VALUES (?, ?)", image.deliveries)
    db.executemany(
        """
        INSERT INTO narratives (ring_id, evidence_hash, prompt_hash, model, verifier, made_at_ms, body)
        VALUES (?, ?, ?, ?, ?, ?, ?)""",
        map(astuple, image.narratives),
    )


def _read_delta(db: sqlite3.Connection) -> CommitDelta:
    state = read_state(db)
    members: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for ring_id, user, probability in db.execute("SELECT ring_id, user, probability FROM members"):
        members[ring_id].append((user, probability))
    entities = [
        (int(kind_of(ref)), ref >> KIND_BITS, key, mask)
        for ref, key, mask in db.execute("SELECT ref, key, mask FROM entities ORDER BY ref")
    ]
    return replace(
        as_one_commit(state, entities),
        rings=[ring_from_row(row) for row in db.execute("SELECT * FROM ring_rows ORDER BY ring_id")],
        members=dict(members),
        lineage=[
            LineageRow(*row)
            for row in db.execute(
                """
                SELECT ring_id, what, at_ms, users_before, users_after, other_ring_id, cause FROM lineage ORDER BY id"""
            )
        ],
        alerts=[
            AlertRow(*row)
            for row in db.execute(
                "SELECT alert_id, ring_id, at_ms, probability, priority, reason FROM alerts ORDER BY alert_id"
            )
        ],
        audit=read_audit(db),
    )


def _read_dead_letters(db: sqlite3.Connection) -> Iterator[tuple[StoredDeadLetter, int]]:
    for number, reason, *rest, recorded_ms in db.execute(
        "SELECT id, reason, detail, source, position, commit_no, ciphertext, recorded_ms FROM dead_letters ORDER BY id"
    ):
        yield StoredDeadLetter(number, RejectReason(reason).code, *rest), recorded_ms
