"""A ring's evidence out of the tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final

from fraudgraph.events.kinds import EventType
from fraudgraph.rings.snapshot import (
    RingSnapshot,
    SnapshotLink,
    SnapshotOrder,
    SnapshotSent,
    SnapshotStep,
    SnapshotTransfer,
    SnapshotUser,
)
from fraudgraph.stores.evidence import EXACT_USERS, Lens, declined, transfer_kind
from fraudgraph.stores.sqlite.cases import read_constraints, read_past
from fraudgraph.stores.sqlite.rows import kind_of, ring_from_row
from fraudgraph.stores.sqlite.schema import KIND_BITS, SCHEMA_VERSION

_BEGAN: Final = "SELECT started_ms, EXISTS (SELECT 1 FROM users WHERE signup_ms >= 0) FROM state"
"""Where nobody ever signed up this reads all accounts: about 0.1 s for a million."""


def count_users(db: sqlite3.Connection, lens: Lens, ref: int) -> int:
    """Returns how many users have a live link to an identifier; one user has at most one link to it."""
    (stored,) = db.execute("SELECT count(*) FROM links WHERE entity = ?", (ref,)).fetchone()
    if stored > EXACT_USERS:
        return int(stored)
    (live,) = db.execute(
        "SELECT count(*) FROM links WHERE entity = ? AND last_ms >= ?", (ref, lens.live_since_ms(kind_of(ref)))
    ).fetchone()
    return int(live)


def read_snapshot(db: sqlite3.Connection, lens: Lens, ring_id: str, warmup_days: int) -> RingSnapshot | None:
    """Returns the ring with all its evidence; call it inside a read transaction."""
    row = db.execute("SELECT * FROM ring_rows WHERE ring_id = ?", (ring_id,)).fetchone()
    if row is None:
        return None
    started_ms, signups = db.execute(_BEGAN).fetchone()
    lens = lens.constrained(read_constraints(db)).watching(started_ms, warmup_days, signups=bool(signups))
    lineage = db.execute(
        "SELECT what, at_ms, users_before, users_after, other_ring_id FROM lineage WHERE ring_id = ? ORDER BY id",
        (ring_id,),
    )
    positions = db.execute("SELECT name, position FROM partitions WHERE position IS NOT NULL")
    ring = lens.snapshot(
        ring_from_row(row),
        users=_users(db, ring_id),
        links=_links(db, lens, ring_id),
        orders=_orders(db, ring_id),
        transfers=_transfers(db, ring_id),
        sent_outside=_sent_outside(db, ring_id),
        lineage=[SnapshotStep(*step) for step in lineage],
        positions=dict(positions.fetchall()),
        schema_version=str(SCHEMA_VERSION),
    )
    past = read_past(db, [user.user_id for user in ring.users])
    if not past:
        return ring

    # All kinds of facts, which a list of rings must not wait for.
    from fraudgraph.rings.fingerprint import with_past

    return with_past(ring, past, lens.policy)


def _users(db: sqlite3.Connection, ring_id: str) -> Iterator[SnapshotUser]:
    rows = db.execute(
        """
        SELECT e.key, m.probability, u.first_ms, u.last_ms, u.signup_ms, u.first_spend_ms, u.logins, u.orders,
            u.payments, u.declined, u.refunds, u.chargebacks, u.referrals, u.transfers_out, u.transfers_in, u.label
        FROM members AS m JOIN entities AS e ON e.ref = m.user << ? LEFT JOIN users AS u USING (user)
        WHERE m.ring_id = ?""",
        (KIND_BITS, ring_id),
    )
    return (
        SnapshotUser(*row) if row[2] is not None else SnapshotUser(row[0], row[1], first_ms=-1, last_ms=-1)
        for row in rows
    )


def _links(db: sqlite3.Connection, lens: Lens, ring_id: str) -> Iterator[SnapshotLink]:
    rows = db.execute(
        """
        SELECT u.key, l.entity, e.key, e.mask, l.first_ms, l.last_ms, l.count
        FROM members AS m JOIN links AS l USING (user)
            JOIN entities AS u ON u.ref = m.user << ? JOIN entities AS e ON e.ref = l.entity
        WHERE m.ring_id = ?""",
        (KIND_BITS, ring_id),
    ).fetchall()
    users_active = {ref: count_users(db, lens, ref) for ref in {row[1] for row in rows}}
    for user_id, ref, key, mask, first_ms, last_ms, count in rows:
        kind = kind_of(ref)
        if last_ms >= lens.live_since_ms(kind):
            yield lens.link(
                user_id,
                kind,
                key,
                mask,
                first_ms=first_ms,
                last_ms=last_ms,
                count=count,
                users_active=users_active[ref],
            )


def _orders(db: sqlite3.Connection, ring_id: str) -> Iterator[SnapshotOrder]:
    rows = db.execute(
        """
        SELECT o.key, e.key, o.ts_ms, o.amount_minor, o.refunded_minor, o.charged_minor, o.currency, o.status
        FROM members AS m JOIN orders AS o USING (user) JOIN entities AS e ON e.ref = m.user << ?
        WHERE m.ring_id = ?""",
        (KIND_BITS, ring_id),
    )
    fields = ([key.hex(), *rest, declined(status)] for key, *rest, status in rows)
    return (SnapshotOrder(*row) for row in fields)


def _transfers(db: sqlite3.Connection, ring_id: str) -> Iterator[SnapshotTransfer]:
    rows = db.execute(
        """
        SELECT a.key, b.key, t.kind, t.first_ms, t.last_ms, t.count, t.amount_minor, t.currency
        FROM members AS sender JOIN transfers AS t ON t.from_user = sender.user
            JOIN members AS receiver ON receiver.ring_id = sender.ring_id AND receiver.user = t.to_user
            JOIN entities AS a ON a.ref = t.from_user << ? JOIN entities AS b ON b.ref = t.to_user << ?
        WHERE sender.ring_id = ?""",
        (KIND_BITS, KIND_BITS, ring_id),
    )
    return (SnapshotTransfer(a, b, transfer_kind(kind), *rest) for a, b, kind, *rest in rows)


def _sent_outside(db: sqlite3.Connection, ring_id: str) -> Iterator[SnapshotSent]:
    rows = db.execute(
        """
        SELECT a.key, t.currency, sum(t.amount_minor), count(DISTINCT t.to_user)
        FROM members AS sender JOIN transfers AS t ON t.from_user = sender.user
            JOIN entities AS a ON a.ref = t.from_user << ?
        WHERE sender.ring_id = ? AND t.kind = ?
            AND t.to_user NOT IN (SELECT user FROM members WHERE ring_id = ?)
        GROUP BY a.key, t.currency""",
        (KIND_BITS, ring_id, int(EventType.TRANSFER), ring_id),
    )
    return (SnapshotSent(*row) for row in rows)
