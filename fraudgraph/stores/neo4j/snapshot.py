"""A ring's evidence out of the graph."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from fraudgraph.events.kinds import EntityKind
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
from fraudgraph.stores.neo4j.cases import read_constraints, read_past
from fraudgraph.stores.neo4j.model import Space, for_identifiers, for_sends
from fraudgraph.stores.neo4j.rows import ring_from
from fraudgraph.stores.neo4j.schema import SCHEMA_VERSION
from fraudgraph.stores.neo4j.state import read_state
from fraudgraph.stores.port import USER_COLUMNS

if TYPE_CHECKING:
    from neo4j import ManagedTransaction

_RING: Final = "MATCH (r:Ring {space: $space, ring_id: $ring_id}) RETURN r"
_STEPS: Final = """
    MATCH (s:Step) WHERE s.ring_id = $ring_id AND s.number >= $first AND s.number < $end
    RETURN s ORDER BY s.number"""
_SIGNUPS: Final = """
    MATCH (u:User) WHERE u.number >= $first AND u.number < $end AND u.signup_ms >= 0
    RETURN u.number LIMIT 1"""
_POSITIONS: Final = """
    MATCH (p:Partition) WHERE p.space = $space AND p.name IS NOT NULL AND p.position IS NOT NULL
    RETURN p.name AS name, p.position AS position"""
_USERS: Final = """
    MATCH (:Ring {space: $space, ring_id: $ring_id})<-[m:MEMBER_OF]-(u:User) WHERE u.id IS NOT NULL
    RETURN u, m.probability AS probability"""
_LINKS: Final = for_identifiers(
    """
    MATCH (:Ring {space: $space, ring_id: $ring_id})<-[:MEMBER_OF]-(u:User)-[l:USES]->(n)
    WHERE l.last_ms >= $since_ms
    RETURN u.id AS user_id, n.number AS number, n.key AS key, n.mask AS mask,
        l.first_ms AS first_ms, l.last_ms AS last_ms, l.count AS count"""
)
_ALL_USERS: Final = for_identifiers(
    """
    UNWIND $numbers AS number
    MATCH (n:LABEL) USING INDEX n:LABEL(number) WHERE n.number = number
    RETURN number, count { (n)<-[:USES]-() } AS users"""
)
_LIVE_USERS: Final = for_identifiers(
    """
    UNWIND $numbers AS number
    MATCH (n:LABEL) USING INDEX n:LABEL(number) WHERE n.number = number
    RETURN number, count { (n)<-[l:USES]-() WHERE l.last_ms >= $since_ms } AS users"""
)
_ORDERS: Final = """
    MATCH (:Ring {space: $space, ring_id: $ring_id})<-[:MEMBER_OF]-(u:User)-[:PLACED]->(o:Order)
    RETURN u.id AS user_id, o"""
_TRANSFERS: Final = for_sends(
    """
    MATCH (r:Ring {space: $space, ring_id: $ring_id})<-[:MEMBER_OF]-(a:User)-[t:SENDS]->(b:User)
    WHERE EXISTS { (b)-[:MEMBER_OF]->(r) }
    RETURN a.id AS sender, b.id AS receiver, t"""
)
_SENT_OUTSIDE: Final = """
    MATCH (r:Ring {space: $space, ring_id: $ring_id})<-[:MEMBER_OF]-(a:User)-[t:SENT_TO]->(b:User)
    WHERE NOT EXISTS { (b)-[:MEMBER_OF]->(r) }
    RETURN a.id AS user_id, t.currency AS currency, sum(t.amount_minor) AS amount_minor,
        count(DISTINCT b) AS receivers"""


def count_users(tx: ManagedTransaction, lens: Lens, kind: EntityKind, numbers: set[int]) -> dict[int, int]:
    """Returns how many users have a live link to each of some identifiers of a kind."""
    if not numbers:
        return {}
    stored = {row["number"]: row["users"] for row in tx.run(_ALL_USERS[kind], numbers=sorted(numbers))}
    few = sorted(number for number, users in stored.items() if users <= EXACT_USERS)
    since_ms = lens.live_since_ms(kind)
    live = {row["number"]: row["users"] for row in tx.run(_LIVE_USERS[kind], numbers=few, since_ms=since_ms)}
    return stored | live


def read_positions(tx: ManagedTransaction, space: Space) -> dict[str, int]:
    """Returns the position of every partition that has one."""
    return {row["name"]: row["position"] for row in tx.run(_POSITIONS, space.bounds)}


def read_snapshot(
    tx: ManagedTransaction, space: Space, lens: Lens, ring_id: str, warmup_days: int = 14
) -> RingSnapshot | None:
    """Returns the ring with all its evidence, or None where there is no such ring."""
    parameters = {**space.bounds, "ring_id": ring_id}
    found = tx.run(_RING, parameters).single()
    if found is None:
        return None
    signups = tx.run(_SIGNUPS, space.bounds).single() is not None
    started_ms = read_state(tx, space).started_ms
    lens = lens.constrained(read_constraints(tx, space)).watching(started_ms, warmup_days, signups=signups)
    ring = lens.snapshot(
        ring_from(found["r"]),
        users=list(_users(tx, parameters)),
        links=list(_links(tx, lens, parameters)),
        orders=list(_orders(tx, parameters)),
        transfers=list(_transfers(tx, parameters)),
        sent_outside=[SnapshotSent(**row) for row in tx.run(_SENT_OUTSIDE, parameters)],
        lineage=[
            SnapshotStep(s["what"], s["at_ms"], s["users_before"], s["users_after"], s.get("other_ring_id"))
            for s in (row["s"] for row in tx.run(_STEPS, parameters))
        ],
        positions=read_positions(tx, space),
        schema_version=str(SCHEMA_VERSION),
    )
    past = read_past(tx, space, [user.user_id for user in ring.users])
    if not past:
        return ring

    # All kinds of facts, which a list of rings must not wait for.
    from fraudgraph.rings.fingerprint import with_past

    return with_past(ring, past, lens.policy)


def _users(tx: ManagedTransaction, parameters: dict[str, object]) -> Iterator[SnapshotUser]:
    for row in tx.run(_USERS, parameters):
        user, probability = row["u"], row["probability"]
        if user.get("first_ms") is None:
            yield SnapshotUser(user["id"], probability, first_ms=-1, last_ms=-1)
        else:
            yield SnapshotUser(user["id"], probability, *(user[name] for name in USER_COLUMNS[1:]))


def _links(tx: ManagedTransaction, lens: Lens, parameters: dict[str, object]) -> Iterator[SnapshotLink]:
    for kind, statement in _LINKS.items():
        rows = tx.run(statement, parameters, since_ms=lens.live_since_ms(kind)).data()
        users_active = count_users(tx, lens, kind, {row["number"] for row in rows})
        for row in rows:
            yield lens.link(
                row["user_id"],
                kind,
                bytes.fromhex(row["key"]),
                row["mask"],
                first_ms=row["first_ms"],
                last_ms=row["last_ms"],
                count=row["count"],
                users_active=users_active[row["number"]],
            )


def _orders(tx: ManagedTransaction, parameters: dict[str, object]) -> Iterator[SnapshotOrder]:
    for row in tx.run(_ORDERS, parameters):
        order = row["o"]
        yield SnapshotOrder(
            order_ref=order["key"],
            user_id=row["user_id"],
            ts_ms=order["ts_ms"],
            amount_minor=order["amount_minor"],
            refunded_minor=order["refunded_minor"],
            charged_minor=order["charged_minor"],
            currency=order["currency"],
            declined=declined(order["status"]),
        )


def _transfers(tx: ManagedTransaction, parameters: dict[str, object]) -> Iterator[SnapshotTransfer]:
    for kind, statement in _TRANSFERS.items():
        for row in tx.run(statement, parameters):
            sent = row["t"]
            yield SnapshotTransfer(
                from_user_id=row["sender"],
                to_user_id=row["receiver"],
                kind=transfer_kind(kind),
                first_ms=sent["first_ms"],
                last_ms=sent["last_ms"],
                count=sent["count"],
                amount_minor=sent["amount_minor"],
                currency=sent["currency"],
            )
