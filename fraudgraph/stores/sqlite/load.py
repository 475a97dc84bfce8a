"""Everything of the last commit, read in bulk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from fraudgraph.cases.audit import AuditHead
from fraudgraph.stores.port import (
    LINK_COLUMNS,
    ORDER_COLUMNS,
    TRANSFER_COLUMNS,
    USER_COLUMNS,
    Columns,
    RingRow,
    StoredState,
)
from fraudgraph.stores.sqlite.cases import read_constraints, read_decisions
from fraudgraph.stores.sqlite.connect import connect_reader, translated
from fraudgraph.stores.sqlite.rows import labels_from_rows, ring_from_row
from fraudgraph.stores.sqlite.schema import KEY_BYTES, KIND_BITS, KIND_MASK, SEEN_TIMES

CHUNK_ROWS: Final = 65_536


def load_state(path: Path) -> StoredState:
    """Returns the state of the last commit, over a connection of its own.

    Its read transaction stays open until `entities` is exhausted or dropped, so that they too are of that commit.
    """
    db = connect_reader(path)
    try:
        db.execute("BEGIN")
        state = read_state(db)
        state.entities = _entities(db, path)
        return state
    except BaseException:
        db.close()
        raise


def read_state(db: sqlite3.Connection) -> StoredState:
    """Returns all but the entities; the caller holds the read transaction."""
    commit, watermark_ms, ring_serial, started_ms = db.execute(
        "SELECT commit_no, watermark_ms, ring_serial, started_ms FROM state"
    ).fetchone()
    scorer = db.execute("SELECT state FROM scorer").fetchone()
    seen_keys, seen_ts_ms = _seen(db, watermark_ms)
    head = db.execute("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1").fetchone()
    links = _columns(
        db,
        "SELECT slot, user, entity, first_ms, last_ms, count, sources, prev_first_ms, prev_last_ms, prev_count"
        " FROM links ORDER BY slot",
        ("slot", "user", "entity", *LINK_COLUMNS[4:]),
    )
    entity = links.pop("entity").astype(np.int64)
    links |= {"kind": entity & KIND_MASK, "ident": entity >> KIND_BITS}
    rings = [
        ring_from_row(row)
        for row in db.execute("SELECT * FROM ring_rows WHERE status NOT IN ('closed', 'merged') ORDER BY ring_id")
    ]
    return StoredState(
        commit=commit,
        watermark_ms=watermark_ms,
        positions=dict(db.execute("SELECT name, position FROM partitions WHERE position IS NOT NULL").fetchall()),
        clocks_ms=dict(db.execute("SELECT name, clock_ms FROM partitions WHERE clock_ms IS NOT NULL").fetchall()),
        ring_serial=ring_serial,
        started_ms=started_ms,
        scorer_state=None if scorer is None else scorer[0],
        seen_keys=seen_keys,
        seen_ts_ms=seen_ts_ms,
        entities=iter(()),
        links={name: links[name] for name in LINK_COLUMNS},
        users=_columns(
            db,
            "SELECT user, first_ms, last_ms, signup_ms, first_spend_ms, logins, orders, payments, declined, refunds,"
            " chargebacks, referrals, transfers_out, transfers_in, label FROM users ORDER BY user",
            USER_COLUMNS,
        ),
        orders=_columns(
            db,
            "SELECT slot, user, ts_ms, amount_minor, refunded_minor, charged_minor, currency, status"
            " FROM orders ORDER BY slot",
            ORDER_COLUMNS,
        ),
        order_keys=[key for (key,) in db.execute("SELECT key FROM orders ORDER BY slot")],
        transfers=_columns(
            db,
            "SELECT slot, from_user, to_user, first_ms, last_ms, count, amount_minor, currency, kind"
            " FROM transfers ORDER BY slot",
            TRANSFER_COLUMNS,
        ),
        labels=labels_from_rows(
            db.execute(
                "SELECT key, about_user, about_order, fraud, about_ms, arrived_ms, source, supersedes"
                " FROM labels ORDER BY id"
            )
        ),
        rings=rings,
        members=_members(db, rings),
        decisions=read_decisions(db),
        constraints=read_constraints(db),
        audit_head=AuditHead() if head is None else AuditHead(*head),
    )


def _columns(db: sqlite3.Connection, statement: str, names: tuple[str, ...]) -> Columns:
    width = len(names)
    cursor = db.execute(statement)
    chunks: list[npt.NDArray[np.int64]] = []
    while rows := cursor.fetchmany(CHUNK_ROWS):
        chunk = np.fromiter(chain.from_iterable(rows), np.int64, len(rows) * width)
        chunks.append(chunk.reshape(-1, width).T)
    table = np.concatenate(chunks, axis=1) if chunks else np.empty((width, 0), np.int64)
    return {name: np.ascontiguousarray(column) for name, column in zip(names, table, strict=True)}


def _entities(db: sqlite3.Connection, path: Path) -> Iterator[tuple[int, int, str | bytes]]:
    try:
        with translated(path):
            for ref, key in db.execute("SELECT ref, key FROM entities ORDER BY ref"):
                yield ref & KIND_MASK, ref >> KIND_BITS, key
    finally:
        db.close()


def _seen(db: sqlite3.Connection, watermark_ms: int) -> tuple[list[bytes], list[int]]:
    keys: list[bytes] = []
    times: list[int] = []
    for packed_keys, packed_times in db.execute("SELECT keys, ts_ms FROM seen ORDER BY commit_no"):
        for i, ts_ms in enumerate(np.frombuffer(packed_times, SEEN_TIMES).tolist()):
            if ts_ms >= watermark_ms:
                keys.append(packed_keys[i * KEY_BYTES : (i + 1) * KEY_BYTES])
                times.append(ts_ms)
    return keys, times


def _members(db: sqlite3.Connection, rings: list[RingRow]) -> dict[str, list[tuple[int, float]]]:
    members: dict[str, list[tuple[int, float]]] = {ring.ring_id: [] for ring in rings}
    for ring_id, user, probability in db.execute(
        "SELECT ring_id, user, m.probability FROM members AS m JOIN rings USING (ring_id)"
        " WHERE status NOT IN ('closed', 'merged') ORDER BY ring_id, user"
    ):
        members[ring_id].append((user, probability))
    return members
