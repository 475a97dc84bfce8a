"""A commit's rows: deletes first, then upserts that leave every index alone unless the row is new."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from typing import Final

import numpy as np
import numpy.typing as npt

from fraudgraph.errors import StoreError
from fraudgraph.events.kinds import EntityKind
from fraudgraph.stores.port import LINK_COLUMNS, ORDER_COLUMNS, TRANSFER_COLUMNS, USER_COLUMNS, CommitDelta
from fraudgraph.stores.records import json_text
from fraudgraph.stores.sqlite.rotation import rekey
from fraudgraph.stores.sqlite.rows import Row, reference, ring_to_row
from fraudgraph.stores.sqlite.schema import KIND_BITS, SEEN_TIMES

_ENTITY: Final = """
    INSERT INTO entities (ref, key, mask) VALUES (?, ?, ?)
    ON CONFLICT (ref) DO UPDATE SET mask = excluded.mask WHERE key = excluded.key"""
_LINK: Final = """
    INSERT INTO links (slot, user, entity, first_ms, last_ms, count, sources, prev_first_ms, prev_last_ms, prev_count)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (slot) DO UPDATE SET first_ms = excluded.first_ms, last_ms = excluded.last_ms, count = excluded.count,
        sources = excluded.sources, prev_first_ms = excluded.prev_first_ms, prev_last_ms = excluded.prev_last_ms,
        prev_count = excluded.prev_count
    WHERE user = excluded.user AND entity = excluded.entity"""
_USER: Final = """
    INSERT OR REPLACE INTO users (user, first_ms, last_ms, signup_ms, first_spend_ms, logins, orders, payments,
        declined, refunds, chargebacks, referrals, transfers_out, transfers_in, label)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_ORDER: Final = """
    INSERT INTO orders (slot, user, ts_ms, amount_minor, refunded_minor, charged_minor, currency, status, key)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (slot) DO UPDATE SET ts_ms = excluded.ts_ms, amount_minor = excluded.amount_minor,
        refunded_minor = excluded.refunded_minor, charged_minor = excluded.charged_minor,
        currency = excluded.currency, status = excluded.status
    WHERE key = excluded.key AND user = excluded.user"""
_TRANSFER: Final = """
    INSERT INTO transfers (slot, from_user, to_user, first_ms, last_ms, count, amount_minor, currency, kind)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (slot) DO UPDATE SET first_ms = excluded.first_ms, last_ms = excluded.last_ms, count = excluded.count,
        amount_minor = excluded.amount_minor, currency = excluded.currency
    WHERE from_user = excluded.from_user AND to_user = excluded.to_user AND kind = excluded.kind"""
_LABEL: Final = """
    INSERT OR IGNORE INTO labels (key, about_user, about_order, fraud, about_ms, arrived_ms, source, supersedes)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
_RING: Final = """
    INSERT INTO rings (ring_id, status, probability, rank, value_at_risk_minor, currency, users, identifiers,
        first_seen_ms, last_seen_ms, reason, scorer, contributions, rules)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (ring_id) DO UPDATE SET status = excluded.status, probability = excluded.probability,
        rank = excluded.rank, value_at_risk_minor = excluded.value_at_risk_minor, currency = excluded.currency,
        users = excluded.users, identifiers = excluded.identifiers, first_seen_ms = excluded.first_seen_ms,
        last_seen_ms = excluded.last_seen_ms, reason = excluded.reason, scorer = excluded.scorer,
        contributions = excluded.contributions, rules = excluded.rules"""
# A list is replaced by its difference: who stays, unchanged, is not written again.
_MEMBERS_GONE: Final = "DELETE FROM members WHERE ring_id = ? AND user NOT IN (SELECT value FROM json_each(?))"
_MEMBER: Final = """
    INSERT INTO members (ring_id, user, probability) VALUES (?, ?, ?)
    ON CONFLICT (ring_id, user) DO UPDATE SET probability = excluded.probability
    WHERE probability != excluded.probability"""
_LINEAGE: Final = """
    INSERT INTO lineage (ring_id, what, at_ms, users_before, users_after, other_ring_id, cause)
    VALUES (?, ?, ?, ?, ?, ?, ?)"""
_ALERT: Final = """
    INSERT OR IGNORE INTO alerts (alert_id, ring_id, at_ms, probability, priority, reason) VALUES (?, ?, ?, ?, ?, ?)"""
_DECISION: Final = "INSERT OR REPLACE INTO decisions (decision_id, body) VALUES (?, ?)"
_CONSTRAINT: Final = "INSERT OR REPLACE INTO constraints (constraint_id, body) VALUES (?, ?)"
_AUDIT: Final = """
    INSERT INTO audit (number, ts_ms, author, what, subject, before, after, content, previous, hash)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_DEAD_LETTER: Final = """
    INSERT INTO dead_letters (reason, detail, source, position, commit_no, recorded_ms, ciphertext)
    VALUES (?, ?, ?, ?, ?, ?, ?)"""
_POSITION: Final = """
    INSERT INTO partitions (name, position) VALUES (?, ?)
    ON CONFLICT (name) DO UPDATE SET position = excluded.position"""
_CLOCK: Final = """
    INSERT INTO partitions (name, clock_ms) VALUES (?, ?)
    ON CONFLICT (name) DO UPDATE SET clock_ms = excluded.clock_ms"""


def write_delta(db: sqlite3.Connection, delta: CommitDelta) -> None:
    """Writes a delta; the caller holds the transaction and has checked epoch and commit number.

    Raises:
        StoreError: an id changed its identity without a delete.
    """
    rekey(db, delta.rekeyed)
    _delete(db, delta)
    _upsert_graph(db, delta)
    _upsert_rings(db, delta)
    _write_cases(db, delta)
    _write_progress(db, delta)


def _delete(db: sqlite3.Connection, delta: CommitDelta) -> None:
    db.executemany("DELETE FROM links WHERE slot = ?", _single(delta.links_deleted))
    db.executemany("DELETE FROM orders WHERE slot = ?", _single(delta.orders_deleted))
    db.executemany("DELETE FROM transfers WHERE slot = ?", _single(delta.transfers_deleted))
    db.executemany("DELETE FROM dead_letters WHERE id = ?", _single(delta.dead_letters_deleted))
    if delta.dead_letters_before_ms is not None:
        db.execute("DELETE FROM dead_letters WHERE recorded_ms < ?", (delta.dead_letters_before_ms,))
    db.executemany("DELETE FROM entities WHERE ref = ?", [(reference(*gone),) for gone in delta.entities_deleted])
    users = [(number,) for kind, number in delta.entities_deleted if kind == EntityKind.USER]
    db.executemany("DELETE FROM users WHERE user = ?", users)
    # The number will be another person's: a closed ring must not show them as a member.
    db.executemany("DELETE FROM members WHERE user = ?", users)


def _upsert_graph(db: sqlite3.Connection, delta: CommitDelta) -> None:
    _upsert(db, "entities", _ENTITY, [(reference(kind, number), *rest) for kind, number, *rest in delta.entities])
    if delta.links:
        slot, user, kind, ident, *numbers = (delta.links[name] for name in LINK_COLUMNS)
        entity = ident.astype(np.int64) << KIND_BITS | kind.astype(np.int64)
        _upsert(db, "links", _LINK, _rows([slot, user, entity, *numbers]))
    if delta.users:
        db.executemany(_USER, _rows([delta.users[name] for name in USER_COLUMNS]))
    if delta.orders:
        _upsert(db, "orders", _ORDER, _rows([delta.orders[name] for name in ORDER_COLUMNS], delta.order_keys))
    if delta.transfers:
        _upsert(db, "transfers", _TRANSFER, _rows([delta.transfers[name] for name in TRANSFER_COLUMNS]))
    db.executemany(
        _LABEL,
        [
            (
                label.key,
                label.about_user,
                label.about_order,
                label.fraud,
                label.about_ms,
                label.arrived_ms,
                label.source,
                label.supersedes,
            )
            for label in delta.labels
        ],
    )


def _upsert_rings(db: sqlite3.Connection, delta: CommitDelta) -> None:
    db.executemany(_RING, map(ring_to_row, delta.rings))
    db.executemany(
        _MEMBERS_GONE,
        ((ring_id, str([user for user, _ in members])) for ring_id, members in delta.members.items()),
    )
    db.executemany(
        _MEMBER,
        ((ring_id, user, probability) for ring_id, members in delta.members.items() for user, probability in members),
    )
    db.executemany(
        _LINEAGE,
        [(s.ring_id, s.what, s.at_ms, s.users_before, s.users_after, s.other_ring_id, s.cause) for s in delta.lineage],
    )
    db.executemany(
        _ALERT,
        [(a.alert_id, a.ring_id, a.at_ms, a.probability, a.priority, a.reason) for a in delta.alerts],
    )


def _write_cases(db: sqlite3.Connection, delta: CommitDelta) -> None:
    db.executemany(_DECISION, [(decision.decision_id, json_text(decision)) for decision in delta.decisions])
    db.executemany(_CONSTRAINT, [(each.constraint_id, json_text(each)) for each in delta.constraints])
    db.executemany(_AUDIT, [astuple(row) for row in delta.audit])


def _write_progress(db: sqlite3.Connection, delta: CommitDelta) -> None:
    db.executemany(
        _DEAD_LETTER,
        [
            (d.reason, d.detail, d.partition, d.offset, delta.commit, delta.recorded_ms, d.ciphertext)
            for d in delta.dead_letters
        ],
    )
    db.executemany(_POSITION, delta.positions.items())
    db.executemany(_CLOCK, delta.clocks_ms.items())
    db.execute("DELETE FROM seen WHERE latest_ms < ?", (delta.watermark_ms,))
    if delta.seen_keys:
        db.execute(
            "INSERT INTO seen (commit_no, latest_ms, keys, ts_ms) VALUES (?, ?, ?, ?)",
            (
                delta.commit,
                max(delta.seen_ts_ms),
                b"".join(delta.seen_keys),
                np.asarray(delta.seen_ts_ms, SEEN_TIMES).tobytes(),
            ),
        )
    if delta.scorer_state is not None:
        db.execute("INSERT OR REPLACE INTO scorer (id, state) VALUES (1, ?)", (delta.scorer_state,))
    db.execute(
        "UPDATE state SET commit_no = ?, watermark_ms = ?, ring_serial = max(ring_serial, ?),"
        " started_ms = coalesce(?, started_ms)",
        (delta.commit, delta.watermark_ms, delta.ring_serial, delta.started_ms),
    )


def _upsert(db: sqlite3.Connection, table: str, statement: str, rows: Sequence[Row]) -> None:
    written = db.executemany(statement, rows).rowcount if rows else 0
    if written != len(rows):
        raise StoreError(
            f"{len(rows) - written} rows of {table} would change whom they are about",
            do="Report this with the log; nothing was written. An id must be deleted before it is used again.",
        )


def _rows(columns: Iterable[npt.NDArray[np.generic]], *lists: Sequence[bytes]) -> list[Row]:
    return list(zip(*(column.tolist() for column in columns), *lists, strict=True))


def _single(ids: Iterable[object]) -> list[tuple[object]]:
    return [(number,) for number in ids]
