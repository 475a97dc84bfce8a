"""Constraints and indexes of the Neo4j store, by ordered migrations."""

from __future__ import annotations

import secrets
from typing import Any, Final, LiteralString

from neo4j import Driver, ManagedTransaction

from fraudgraph.errors import DependencyError, StoreError
from fraudgraph.stores.neo4j.model import Space

# Numbers are dense and grow, so an index on them stays small and hot. Keys are looked up by people only; no constraint
# on them, because what keeps them unique is the engine's interning, and each constraint is paid for by every insert.
_V1: Final = (
    "CREATE CONSTRAINT state_space IF NOT EXISTS FOR (n:State) REQUIRE n.space IS UNIQUE",
    "CREATE CONSTRAINT inbox_space IF NOT EXISTS FOR (n:Inbox) REQUIRE n.space IS UNIQUE",
    "CREATE CONSTRAINT gate_space IF NOT EXISTS FOR (n:Gate) REQUIRE n.space IS UNIQUE",
    "CREATE CONSTRAINT scorer_space IF NOT EXISTS FOR (n:Scorer) REQUIRE n.space IS UNIQUE",
    "CREATE CONSTRAINT partition_name IF NOT EXISTS FOR (n:Partition) REQUIRE (n.space, n.name) IS UNIQUE",
    "CREATE CONSTRAINT user_number IF NOT EXISTS FOR (n:User) REQUIRE n.number IS UNIQUE",
    "CREATE CONSTRAINT device_number IF NOT EXISTS FOR (n:Device) REQUIRE n.number IS UNIQUE",
    "CREATE CONSTRAINT ip_number IF NOT EXISTS FOR (n:Ip) REQUIRE n.number IS UNIQUE",
    "CREATE CONSTRAINT card_number IF NOT EXISTS FOR (n:Card) REQUIRE n.number IS UNIQUE",
    "CREATE CONSTRAINT email_number IF NOT EXISTS FOR (n:Email) REQUIRE n.number IS UNIQUE",
    "CREATE CONSTRAINT phone_number IF NOT EXISTS FOR (n:Phone) REQUIRE n.number IS UNIQUE",
    "CREATE CONSTRAINT address_number IF NOT EXISTS FOR (n:Address) REQUIRE n.number IS UNIQUE",
    "CREATE INDEX user_id IF NOT EXISTS FOR (n:User) ON (n.id)",
    "CREATE INDEX device_key IF NOT EXISTS FOR (n:Device) ON (n.key)",
    "CREATE INDEX ip_key IF NOT EXISTS FOR (n:Ip) ON (n.key)",
    "CREATE INDEX card_key IF NOT EXISTS FOR (n:Card) ON (n.key)",
    "CREATE INDEX email_key IF NOT EXISTS FOR (n:Email) ON (n.key)",
    "CREATE INDEX phone_key IF NOT EXISTS FOR (n:Phone) ON (n.key)",
    "CREATE INDEX address_key IF NOT EXISTS FOR (n:Address) ON (n.key)",
    "CREATE CONSTRAINT used_device_slot IF NOT EXISTS FOR ()-[r:USED_DEVICE]-() REQUIRE r.slot IS UNIQUE",
    "CREATE CONSTRAINT used_ip_slot IF NOT EXISTS FOR ()-[r:USED_IP]-() REQUIRE r.slot IS UNIQUE",
    "CREATE CONSTRAINT paid_with_slot IF NOT EXISTS FOR ()-[r:PAID_WITH]-() REQUIRE r.slot IS UNIQUE",
    "CREATE CONSTRAINT used_email_slot IF NOT EXISTS FOR ()-[r:USED_EMAIL]-() REQUIRE r.slot IS UNIQUE",
    "CREATE CONSTRAINT used_phone_slot IF NOT EXISTS FOR ()-[r:USED_PHONE]-() REQUIRE r.slot IS UNIQUE",
    "CREATE CONSTRAINT ships_to_slot IF NOT EXISTS FOR ()-[r:SHIPS_TO]-() REQUIRE r.slot IS UNIQUE",
    "CREATE CONSTRAINT sent_to_slot IF NOT EXISTS FOR ()-[r:SENT_TO]-() REQUIRE r.slot IS UNIQUE",
    "CREATE CONSTRAINT referred_slot IF NOT EXISTS FOR ()-[r:REFERRED]-() REQUIRE r.slot IS UNIQUE",
    "CREATE CONSTRAINT order_slot IF NOT EXISTS FOR (n:Order) REQUIRE n.slot IS UNIQUE",
    "CREATE INDEX order_key IF NOT EXISTS FOR (n:Order) ON (n.key)",
    "CREATE CONSTRAINT ring_id IF NOT EXISTS FOR (n:Ring) REQUIRE (n.space, n.ring_id) IS UNIQUE",
    "CREATE INDEX ring_by_id IF NOT EXISTS FOR (n:Ring) ON (n.ring_id)",
    "CREATE INDEX ring_by_status IF NOT EXISTS FOR (n:Ring) ON (n.space, n.status)",
    "CREATE CONSTRAINT step_number IF NOT EXISTS FOR (n:Step) REQUIRE n.number IS UNIQUE",
    "CREATE INDEX step_by_ring IF NOT EXISTS FOR (n:Step) ON (n.ring_id)",
    "CREATE INDEX step_by_other IF NOT EXISTS FOR (n:Step) ON (n.other_ring_id)",
    "CREATE CONSTRAINT alert_id IF NOT EXISTS FOR (n:Alert) REQUIRE (n.space, n.alert_id) IS UNIQUE",
    "CREATE INDEX alert_by_time IF NOT EXISTS FOR (n:Alert) ON (n.space, n.at_ms)",
    "CREATE CONSTRAINT narrative_ring IF NOT EXISTS FOR (n:Narrative) REQUIRE (n.space, n.ring_id) IS UNIQUE",
    "CREATE CONSTRAINT decision_id IF NOT EXISTS FOR (n:Decision) REQUIRE (n.space, n.decision_id) IS UNIQUE",
    "CREATE CONSTRAINT constraint_id IF NOT EXISTS FOR (n:Constraint) REQUIRE (n.space, n.constraint_id) IS UNIQUE",
    "CREATE CONSTRAINT evidence_id IF NOT EXISTS FOR (n:Evidence) REQUIRE (n.space, n.decision_id) IS UNIQUE",
    "CREATE CONSTRAINT fingerprint_id IF NOT EXISTS FOR (n:Fingerprint) REQUIRE (n.space, n.decision_id) IS UNIQUE",
    "CREATE CONSTRAINT label_key IF NOT EXISTS FOR (n:Label) REQUIRE (n.space, n.key) IS UNIQUE",
    "CREATE CONSTRAINT label_number IF NOT EXISTS FOR (n:Label) REQUIRE n.number IS UNIQUE",
    "CREATE CONSTRAINT audit_number IF NOT EXISTS FOR (n:Audit) REQUIRE n.number IS UNIQUE",
    "CREATE CONSTRAINT command_number IF NOT EXISTS FOR (n:Command) REQUIRE n.number IS UNIQUE",
    "CREATE CONSTRAINT command_token IF NOT EXISTS FOR (n:Command) REQUIRE n.token IS UNIQUE",
    "CREATE CONSTRAINT dead_letter_number IF NOT EXISTS FOR (n:DeadLetter) REQUIRE n.number IS UNIQUE",
    "CREATE CONSTRAINT seen_number IF NOT EXISTS FOR (n:Seen) REQUIRE n.number IS UNIQUE",
)

_V2: Final = ("CREATE CONSTRAINT behind_number IF NOT EXISTS FOR (n:Behind) REQUIRE n.number IS UNIQUE",)

MIGRATIONS: Final = (_V1, _V2)
"""Statements that lead from version `i` to `i + 1`; each may be run again. Never edit one that was released."""

SCHEMA_VERSION: Final = len(MIGRATIONS)
_AWAIT_S: Final = 300

_READ: Final = "MATCH (s:State {space: $space}) RETURN s.schema_version AS version, s.restoring AS restoring"
_NEWEST: Final = "MATCH (s:State) RETURN coalesce(max(s.schema_version), 0) AS version"
# A second process may be first: what it made stays.
_MAKE: Final = """
    MERGE (s:State {space: $space})
    ON CREATE SET s.store_id = $store_id, s.epoch = 0, s.commit_no = 0, s.token = '', s.watermark_ms = 0,
        s.ring_serial = 0, s.key_id = '', s.policy_hash = '', s.policy_version = '', s.at_work_until_ms = 0,
        s.steps = 0, s.labels = 0, s.dead_letters = 0
    SET s.schema_version = $version
    MERGE (i:Inbox {space: $space}) ON CREATE SET i.last = 0
    MERGE (g:Gate {space: $space}) ON CREATE SET g.epoch = 0, g.announced = 0, g.closed = 0"""


def require_version(driver: Driver, database: str, space: Space) -> None:
    """Checks that the store can be read by this version.

    Raises:
        DependencyError: there is no store.
        StoreError: its schema is another one, or a restore into it did not end.
    """
    found = _version(driver, database, space)
    if found is None:
        raise DependencyError(
            "this Neo4j database holds no fraudgraph store", do="Run `fraudgraph daemon` first, or check --store."
        )
    if found < SCHEMA_VERSION:
        raise StoreError(
            f"the store has schema version {found}, and reading needs {SCHEMA_VERSION}",
            do="Start the daemon on it once: the writer brings it up to date.",
        )


def migrate(driver: Driver, database: str, space: Space) -> None:
    """Brings the database to `SCHEMA_VERSION`, and makes the store at commit 0 where there is none.

    Raises:
        StoreError: a newer fraudgraph wrote it, or a restore into it did not end.
    """
    if _version(driver, database, space) == SCHEMA_VERSION:
        return
    with driver.session(database=database) as session:
        # Indexes belong to the database, whatever stores it holds.
        (done,) = session.run(_NEWEST).single(strict=True)
        for statements in MIGRATIONS[done:]:
            session.execute_write(_run_all, statements)
        session.run("CALL db.awaitIndexes($limit_s)", limit_s=_AWAIT_S).consume()
        made = {**space.bounds, "version": SCHEMA_VERSION, "store_id": secrets.token_hex(8)}
        session.execute_write(_run, _MAKE, made)


def _version(driver: Driver, database: str, space: Space) -> int | None:
    with driver.session(database=database) as session:
        row = session.execute_read(lambda tx: tx.run(_READ, space.bounds).single())
    if row is None:
        return None
    if row["restoring"]:
        raise StoreError(
            "a restore into this store did not end, so it holds a part only",
            do="Restore into another database or space (`?space=1` at the end of the URL), or empty this one first.",
        )
    if row["version"] > SCHEMA_VERSION:
        raise StoreError(
            f"the store has schema version {row['version']}, and this fraudgraph knows up to {SCHEMA_VERSION}",
            do="Upgrade fraudgraph, or read the store with the version that wrote it.",
        )
    return int(row["version"])


def _run_all(tx: ManagedTransaction, statements: tuple[LiteralString, ...]) -> None:
    for statement in statements:
        tx.run(statement).consume()


def _run(tx: ManagedTransaction, statement: LiteralString, parameters: dict[str, Any]) -> None:
    tx.run(statement, parameters).consume()
