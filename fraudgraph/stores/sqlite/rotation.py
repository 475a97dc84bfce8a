"""A period of two keys, in the tables; call these inside a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from fraudgraph.events.batch import Rekeyed
from fraudgraph.stores.records import CONSTRAINTS
from fraudgraph.stores.rotation import refuse_second, standing_hubs
from fraudgraph.stores.sqlite.rows import reference
from fraudgraph.stores.sqlite.schema import KIND_MASK, SEEN_TIMES

# Every event that names an identifier touches one of its links, and its user: what was seen since has a later time.
_IDENTIFIERS: Final = """
    SELECT count(*) FROM entities
    WHERE ref & :mask != 0 AND ref NOT IN (SELECT entity FROM links WHERE last_ms > :rotated_ms)"""
_ACCOUNTS: Final = """
    SELECT count(*) FROM entities AS e JOIN users AS u ON e.ref = u.user << 4
    WHERE e.key GLOB 'u_*' AND length(e.key) = 34 AND u.last_ms <= :rotated_ms"""
_ORDERS: Final = "SELECT count(*) FROM orders WHERE ts_ms <= :rotated_ms"
_SEEN_SINCE: Final = """
    SELECT key FROM entities WHERE ref & :mask != 0 AND ref IN (SELECT entity FROM links WHERE last_ms > :rotated_ms)
        AND key = :key"""


def begin_rotation(db: sqlite3.Connection, key_id: str) -> None:
    """Begins the period.

    Raises:
        StoreError: no key was bound, or such a period is under way.
    """
    bound, previous = db.execute("SELECT key_id, previous_key_id FROM state").fetchone()
    refuse_second(bound, previous)
    db.execute(
        """
        UPDATE state SET previous_key_id = key_id, key_id = ?, rotated_ms = max(
            (SELECT coalesce(max(last_ms), 0) FROM users),
            (SELECT coalesce(max(CASE WHEN clock_ms < 0 THEN -1 - clock_ms ELSE clock_ms END), 0) FROM partitions))""",
        (key_id,),
    )


def end_rotation(db: sqlite3.Connection) -> None:
    """Ends the period."""
    db.execute("UPDATE state SET previous_key_id = '', rotated_ms = 0")


def reseal(db: sqlite3.Connection, ciphertexts: Mapping[int, bytes]) -> None:
    """Puts other ciphertexts in the place of dead letters' own."""
    db.executemany(
        "UPDATE dead_letters SET ciphertext = ? WHERE id = ?",
        [(ciphertext, number) for number, ciphertext in ciphertexts.items()],
    )


def count_previous(db: sqlite3.Connection) -> dict[str, int]:
    """Returns what may still need the key before; empty where there is one key."""
    previous, rotated_ms, watermark_ms = db.execute(
        "SELECT previous_key_id, rotated_ms, watermark_ms FROM state"
    ).fetchone()
    if not previous:
        return {}
    period = {"mask": KIND_MASK, "rotated_ms": rotated_ms}

    def count(statement: str) -> int:
        return int(db.execute(statement, period).fetchone()[0])

    hubs = standing_hubs(
        (CONSTRAINTS.decode(body) for (body,) in db.execute("SELECT body FROM constraints")), watermark_ms
    )
    seen = [db.execute(_SEEN_SINCE, period | {"key": key}).fetchone() for key in hubs]
    ids = db.execute("SELECT ts_ms FROM seen").fetchall()
    return {
        "identifiers": count(_IDENTIFIERS),
        "accounts": count(_ACCOUNTS),
        "orders": count(_ORDERS),
        "constraints": seen.count(None),
        "event_ids": sum(_within(np.frombuffer(times, SEEN_TIMES), watermark_ms, rotated_ms) for (times,) in ids),
    }


def rekey(db: sqlite3.Connection, rekeyed: Rekeyed) -> None:
    """Gives rows their other pseudonyms."""
    db.executemany(
        "UPDATE entities SET key = ?, mask = CASE mask WHEN ? THEN ? ELSE mask END WHERE ref = ?",
        [(key, before, mask, reference(kind, number)) for kind, number, key, before, mask in rekeyed.entities],
    )
    db.executemany("UPDATE orders SET key = ? WHERE slot = ?", [(key, slot) for slot, key in rekeyed.orders])
    db.executemany(
        "UPDATE labels SET key = ?, about_user = ?, supersedes = ? WHERE key = ?",
        [(label.key, label.about_user, label.supersedes, former) for former, label in rekeyed.labels],
    )


def _within(times: npt.NDArray[np.int64], first_ms: int, last_ms: int) -> int:
    return int(((times >= first_ms) & (times <= last_ms)).sum())
