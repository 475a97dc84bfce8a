"""Tables of the SQLite store, and the ordered migrations that make them."""

from __future__ import annotations

import secrets
import sqlite3
from typing import Final

from fraudgraph.errors import ConfigurationError, StoreError

APPLICATION_ID: Final = 0x46524753
"""`FRGS` in the file's header: tells a store from any other SQLite file."""

KIND_BITS: Final = 4
KIND_MASK: Final = (1 << KIND_BITS) - 1
"""An entity's row id is `id << KIND_BITS | kind`: the order of rows is (id, kind), and one integer joins links."""

KEY_BYTES: Final = 16
SEEN_TIMES: Final = "<i8"
"""The layout of `seen`: keys of 16 bytes, one after the other, and their times as little-endian int64."""

# Each index is paid for by every insert, so there is one only where a reader call starts from that column, and
# none on a column that an update sets: most of a commit refreshes rows that are there, and touches no index.
# Keys are random, so an index on them alone would dirty a page for each new row; led by the id in blocks of 1,024
# (`ref >> 14`, `slot >> 10`), new rows share a few pages, and who looks for a key asks each block (1.5 µs).
_V1: Final = (
    """CREATE TABLE state (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        store_id TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        commit_no INTEGER NOT NULL,
        watermark_ms INTEGER NOT NULL,
        ring_serial INTEGER NOT NULL,
        key_id TEXT NOT NULL,
        policy_hash TEXT NOT NULL,
        policy_version TEXT NOT NULL,
        started_ms INTEGER)""",
    "CREATE TABLE scorer (id INTEGER PRIMARY KEY CHECK (id = 1), state BLOB NOT NULL)",
    "CREATE TABLE partitions (name TEXT PRIMARY KEY, position INTEGER, clock_ms INTEGER) WITHOUT ROWID",
    # One row per commit: the keys of a batch are written, read and forgotten together.
    """CREATE TABLE seen (
        commit_no INTEGER PRIMARY KEY,
        latest_ms INTEGER NOT NULL,
        keys BLOB NOT NULL,
        ts_ms BLOB NOT NULL)""",
    "CREATE TABLE entities (ref INTEGER PRIMARY KEY, key NOT NULL, mask TEXT NOT NULL)",
    "CREATE INDEX entities_by_key ON entities (ref >> 14, key)",
    """CREATE TABLE links (
        slot INTEGER PRIMARY KEY,
        user INTEGER NOT NULL,
        entity INTEGER NOT NULL,
        first_ms INTEGER NOT NULL,
        last_ms INTEGER NOT NULL,
        count INTEGER NOT NULL,
        sources INTEGER NOT NULL,
        prev_first_ms INTEGER NOT NULL,
        prev_last_ms INTEGER NOT NULL,
        prev_count INTEGER NOT NULL)""",
    "CREATE INDEX links_by_user ON links (user)",
    "CREATE INDEX links_by_entity ON links (entity)",
    """CREATE TABLE users (
        user INTEGER PRIMARY KEY,
        first_ms INTEGER NOT NULL,
        last_ms INTEGER NOT NULL,
        signup_ms INTEGER NOT NULL,
        first_spend_ms INTEGER NOT NULL,
        logins INTEGER NOT NULL,
        orders INTEGER NOT NULL,
        payments INTEGER NOT NULL,
        declined INTEGER NOT NULL,
        refunds INTEGER NOT NULL,
        chargebacks INTEGER NOT NULL,
        referrals INTEGER NOT NULL,
        transfers_out INTEGER NOT NULL,
        transfers_in INTEGER NOT NULL,
        label INTEGER NOT NULL)""",
    """CREATE TABLE orders (
        slot INTEGER PRIMARY KEY,
        user INTEGER NOT NULL,
        ts_ms INTEGER NOT NULL,
        amount_minor INTEGER NOT NULL,
        refunded_minor INTEGER NOT NULL,
        charged_minor INTEGER NOT NULL,
        currency INTEGER NOT NULL,
        status INTEGER NOT NULL,
        key BLOB NOT NULL)""",
    "CREATE INDEX orders_by_user ON orders (user)",
    "CREATE INDEX orders_by_key ON orders (slot >> 10, key)",
    """CREATE TABLE transfers (
        slot INTEGER PRIMARY KEY,
        from_user INTEGER NOT NULL,
        to_user INTEGER NOT NULL,
        first_ms INTEGER NOT NULL,
        last_ms INTEGER NOT NULL,
        count INTEGER NOT NULL,
        amount_minor INTEGER NOT NULL,
        currency INTEGER NOT NULL,
        kind INTEGER NOT NULL)""",
    "CREATE INDEX transfers_by_sender ON transfers (from_user)",
    """CREATE TABLE labels (
        id INTEGER PRIMARY KEY,
        key BLOB NOT NULL UNIQUE,
        about_user TEXT,
        about_order BLOB,
        fraud INTEGER NOT NULL,
        about_ms INTEGER NOT NULL,
        arrived_ms INTEGER NOT NULL,
        source TEXT NOT NULL,
        supersedes BLOB)""",
    """CREATE TABLE rings (
        ring_id TEXT PRIMARY KEY,
        status TEXT NOT NULL,
        probability REAL NOT NULL,
        rank REAL NOT NULL,
        value_at_risk_minor INTEGER NOT NULL,
        currency INTEGER NOT NULL,
        users INTEGER NOT NULL,
        identifiers INTEGER NOT NULL,
        first_seen_ms INTEGER NOT NULL,
        last_seen_ms INTEGER NOT NULL,
        reason TEXT NOT NULL,
        scorer TEXT NOT NULL,
        contributions TEXT NOT NULL)""",
    # The columns of the port's RingRow, in its order.
    """CREATE VIEW ring_rows AS
        SELECT ring_id, status, probability, rank, value_at_risk_minor, currency, users, identifiers,
            first_seen_ms, last_seen_ms, reason, scorer, contributions
        FROM rings""",
    """CREATE TABLE members (
        ring_id TEXT NOT NULL,
        user INTEGER NOT NULL,
        probability REAL NOT NULL,
        PRIMARY KEY (ring_id, user)) WITHOUT ROWID""",
    "CREATE INDEX members_by_user ON members (user)",
    """CREATE TABLE lineage (
        id INTEGER PRIMARY KEY,
        ring_id TEXT NOT NULL,
        what TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        users_before INTEGER NOT NULL,
        users_after INTEGER NOT NULL,
        other_ring_id TEXT)""",
    "CREATE INDEX lineage_by_ring ON lineage (ring_id)",
    """CREATE TABLE alerts (
        alert_id TEXT PRIMARY KEY,
        ring_id TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        probability REAL NOT NULL,
        priority REAL NOT NULL,
        reason TEXT NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE dead_letters (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        reason INTEGER NOT NULL,
        detail TEXT NOT NULL,
        source TEXT NOT NULL,
        position INTEGER NOT NULL,
        commit_no INTEGER NOT NULL,
        ciphertext BLOB NOT NULL)""",
    "PRAGMA application_id = 1179797331",
    "PRAGMA user_version = 1",
)

# Cases. Records are few and read as a whole, so their body is JSON.
_V2: Final = (
    "ALTER TABLE dead_letters ADD COLUMN recorded_ms INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE lineage ADD COLUMN cause TEXT NOT NULL DEFAULT ''",
    "CREATE INDEX lineage_by_other ON lineage (other_ring_id) WHERE other_ring_id IS NOT NULL",
    "CREATE TABLE commands (id INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL)",
    "CREATE TABLE decisions (decision_id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE constraints (constraint_id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE frozen (decision_id TEXT PRIMARY KEY, body TEXT NOT NULL)",
    """CREATE TABLE audit (
        number INTEGER PRIMARY KEY,
        ts_ms INTEGER NOT NULL,
        author TEXT NOT NULL,
        what TEXT NOT NULL,
        subject TEXT NOT NULL,
        before TEXT NOT NULL,
        after TEXT NOT NULL,
        content TEXT NOT NULL,
        previous TEXT NOT NULL,
        hash TEXT NOT NULL)""",
    # A slip is refused here; whoever removes the triggers is found by the chain of hashes.
    "CREATE TRIGGER audit_stays BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END",
    "CREATE TRIGGER audit_stays_so BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END",
    "CREATE TRIGGER commands_stay BEFORE DELETE ON commands BEGIN SELECT RAISE(ABORT, 'commands are append-only'); END",
    """CREATE TRIGGER commands_stay_so BEFORE UPDATE ON commands
        BEGIN SELECT RAISE(ABORT, 'commands are append-only'); END""",
    "PRAGMA user_version = 2",
)

_V3: Final = (
    "CREATE TABLE fingerprints (decision_id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID",
    "PRAGMA user_version = 3",
)

# What happens to an alert and to a ring after the commit.
_V4: Final = (
    """CREATE TABLE deliveries (
        sink TEXT NOT NULL,
        alert_id TEXT NOT NULL,
        PRIMARY KEY (sink, alert_id)) WITHOUT ROWID""",
    """CREATE TABLE narratives (
        ring_id TEXT PRIMARY KEY,
        evidence_hash TEXT NOT NULL,
        prompt_hash TEXT NOT NULL,
        model TEXT NOT NULL,
        verifier TEXT NOT NULL,
        made_at_ms INTEGER NOT NULL,
        body BLOB NOT NULL)""",
    "PRAGMA user_version = 4",
)

# A recorded command changes only where an account that it names is forgotten.
_V5: Final = (
    "DROP TRIGGER commands_stay_so",
    """CREATE TRIGGER commands_stay_so BEFORE UPDATE ON commands WHEN instr(NEW.body, '"forgotten-') = 0
        BEGIN SELECT RAISE(ABORT, 'commands are append-only'); END""",
    "PRAGMA user_version = 5",
)

# What the shop's rules say of a ring, as JSON.
_V6: Final = (
    "ALTER TABLE rings ADD COLUMN rules TEXT NOT NULL DEFAULT ''",
    "DROP VIEW ring_rows",
    """CREATE VIEW ring_rows AS
        SELECT ring_id, status, probability, rank, value_at_risk_minor, currency, users, identifiers,
            first_seen_ms, last_seen_ms, reason, scorer, contributions, rules
        FROM rings""",
    "PRAGMA user_version = 6",
)

# Two keys for a while; accounts that are named by a pseudonym get another one in recorded commands too.
_V7: Final = (
    "ALTER TABLE state ADD COLUMN previous_key_id TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE state ADD COLUMN rotated_ms INTEGER NOT NULL DEFAULT 0",
    "DROP TRIGGER commands_stay_so",
    """CREATE TRIGGER commands_stay_so BEFORE UPDATE ON commands
        WHEN instr(NEW.body, '"forgotten-') = 0 AND instr(NEW.body, '"u_') = 0
        BEGIN SELECT RAISE(ABORT, 'commands are append-only'); END""",
    "PRAGMA user_version = 7",
)

MIGRATIONS: Final = (_V1, _V2, _V3, _V4, _V5, _V6, _V7)
"""Statements that lead from version `i` to `i + 1`; each sets `user_version` last. Never edit one that was released."""

SCHEMA_VERSION: Final = len(MIGRATIONS)


def version(db: sqlite3.Connection, path: str) -> int:
    """Returns the schema version of the file, 0 for an empty one.

    Raises:
        ConfigurationError: the file is an SQLite file of something else.
        StoreError: a newer fraudgraph wrote it.
    """
    (found,) = db.execute("PRAGMA user_version").fetchone()
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and application != APPLICATION_ID:
        raise ConfigurationError(
            f"{path} is an SQLite file, but not a fraudgraph store",
            do="Name the store's file, or another one to make a new store.",
        )
    if found > SCHEMA_VERSION:
        raise StoreError(
            f"{path} has schema version {found}, and this fraudgraph knows up to {SCHEMA_VERSION}",
            do="Upgrade fraudgraph, or read the store with the version that wrote it.",
        )
    return int(found)


def migrate(db: sqlite3.Connection, path: str) -> None:
    """Brings the file to `SCHEMA_VERSION` in one transaction; a new file becomes a store at commit 0.

    Raises:
        ConfigurationError, StoreError: as `version`.
    """
    if version(db, path) == SCHEMA_VERSION:
        return
    db.execute("BEGIN IMMEDIATE")
    found = version(db, path)  # again, under the lock: another process may have been first
    for statements in MIGRATIONS[found:]:
        for statement in statements:
            db.execute(statement)
    if found == 0:
        db.execute(
            """
            INSERT INTO state (id, store_id, epoch, commit_no, watermark_ms, ring_serial, key_id, policy_hash,
                policy_version)
            VALUES (1, ?, 0, 0, 0, 0, '', '', '')""",
            (secrets.token_hex(8),),
        )
    db.execute("COMMIT")
