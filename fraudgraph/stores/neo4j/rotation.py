"""A period of two keys, in the graph; call these inside a transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fraudgraph.events.batch import Rekeyed
from fraudgraph.events.kinds import EntityKind
from fraudgraph.stores.neo4j.cases import read_constraints
from fraudgraph.stores.neo4j.model import Space, for_entities, for_identifiers
from fraudgraph.stores.neo4j.rows import SEEN_TIMES, label_properties
from fraudgraph.stores.neo4j.state import State
from fraudgraph.stores.neo4j.write import run
from fraudgraph.stores.rotation import refuse_second, standing_hubs

if TYPE_CHECKING:
    from neo4j import ManagedTransaction

_LATEST: Final = """
    OPTIONAL MATCH (u:User) WHERE u.number >= $first AND u.number < $end
    WITH coalesce(max(u.last_ms), 0) AS activity
    OPTIONAL MATCH (p:Partition {space: $space})
    WITH activity, max(CASE WHEN p.clock_ms < 0 THEN -1 - p.clock_ms ELSE p.clock_ms END) AS clock
    RETURN CASE WHEN coalesce(clock, 0) > activity THEN clock ELSE activity END AS latest_ms"""
_BEGIN: Final = """
    MATCH (s:State {space: $space})
    SET s.previous_key_id = s.key_id, s.key_id = $key_id, s.rotated_ms = $rotated_ms"""
_END: Final = "MATCH (s:State {space: $space}) REMOVE s.previous_key_id, s.rotated_ms"
_RESEAL: Final = "UNWIND $rows AS row MATCH (d:DeadLetter {number: row[0]}) SET d.ciphertext = row[1]"
_REKEY_ENTITY: Final = for_entities(
    "UNWIND $rows AS row MATCH (n:User) USING INDEX n:User(number) WHERE n.number = row[0] SET n.id = row[1]",
    """
    UNWIND $rows AS row
    MATCH (n:LABEL) USING INDEX n:LABEL(number) WHERE n.number = row[0]
    SET n.key = row[1], n.mask = CASE n.mask WHEN row[2] THEN row[3] ELSE n.mask END""",
)
_REKEY_ORDER: Final = """
    UNWIND $rows AS row
    MATCH (o:Order) USING INDEX o:Order(slot) WHERE o.slot = row[0]
    SET o.key = row[1]"""
_REKEY_LABEL: Final = """
    UNWIND $rows AS row
    MATCH (l:Label {space: $space, key: row[0]})
    SET l += row[1]"""
# Every event that names an identifier touches one of its links, and its user: what was seen since has a later time.
_IDENTIFIERS: Final = for_identifiers(
    """
    MATCH (n:LABEL) WHERE n.number >= $first AND n.number < $end
        AND NOT EXISTS { (n)<-[r:USES]-() WHERE r.last_ms > $rotated_ms }
    RETURN count(n) AS found"""
)
_ACCOUNTS: Final = """
    MATCH (u:User) WHERE u.number >= $first AND u.number < $end AND u.id =~ 'u_[0-9a-f]{32}'
        AND u.last_ms <= $rotated_ms
    RETURN count(u) AS found"""
_ORDERS: Final = """
    MATCH (o:Order) WHERE o.slot >= $first AND o.slot < $end AND o.ts_ms <= $rotated_ms RETURN count(o) AS found"""
_HUBS: Final = for_identifiers(
    """
    MATCH (n:LABEL) WHERE n.key IN $keys AND n.number >= $first AND n.number < $end
        AND EXISTS { (n)<-[r:USES]-() WHERE r.last_ms > $rotated_ms }
    RETURN count(n) AS found"""
)
_SEEN: Final = "MATCH (s:Seen) WHERE s.number >= $first AND s.number < $end RETURN s.ts_ms AS ts_ms"


def begin_rotation(tx: ManagedTransaction, space: Space, state: State, key_id: str) -> None:
    """Begins the period; does nothing where it began with this key.

    Raises:
        StoreError: no key was bound, or another such period is under way.
    """
    if state.previous_key_id and state.key_id == key_id:
        return  # a transaction may run again after its answer was lost
    refuse_second(state.key_id, state.previous_key_id)
    latest_ms = tx.run(_LATEST, space.bounds).single(strict=True)["latest_ms"]
    tx.run(_BEGIN, space=space.number, key_id=key_id, rotated_ms=latest_ms).consume()


def end_rotation(tx: ManagedTransaction, space: Space) -> None:
    """Ends the period."""
    tx.run(_END, space=space.number).consume()


def reseal(tx: ManagedTransaction, space: Space, ciphertexts: Mapping[int, bytes]) -> None:
    """Puts other ciphertexts in the place of dead letters' own."""
    run(tx, _RESEAL, [[space.first + number, ciphertext] for number, ciphertext in sorted(ciphertexts.items())])


def count_previous(tx: ManagedTransaction, space: Space, state: State) -> dict[str, int]:
    """Returns what may still need the key before; empty where there is one key."""
    if not state.previous_key_id:
        return {}
    period: dict[str, Any] = space.bounds | {"rotated_ms": state.rotated_ms}
    hubs = standing_hubs(read_constraints(tx, space), state.watermark_ms)
    keys = sorted(key.hex() for key in hubs)
    seen = sum(tx.run(statement, period, keys=keys).single(strict=True)["found"] for statement in _HUBS.values())
    times = [np.frombuffer(bytes(row["ts_ms"]), SEEN_TIMES) for row in tx.run(_SEEN, space.bounds)]
    return {
        "identifiers": sum(
            tx.run(statement, period).single(strict=True)["found"] for statement in _IDENTIFIERS.values()
        ),
        "accounts": tx.run(_ACCOUNTS, period).single(strict=True)["found"],
        "orders": tx.run(_ORDERS, period).single(strict=True)["found"],
        "constraints": len(keys) - seen,
        "event_ids": sum(int(((at >= state.watermark_ms) & (at <= state.rotated_ms)).sum()) for at in times),
    }


def rekey(tx: ManagedTransaction, space: Space, rekeyed: Rekeyed) -> None:
    """Gives nodes their other pseudonyms."""
    rows: dict[EntityKind, list[list[Any]]] = {}
    for kind, number, key, *masks in rekeyed.entities:
        stored = key if isinstance(key, str) else key.hex()
        rows.setdefault(EntityKind(kind), []).append([space.first + number, stored, *masks])
    for kind_, entities in sorted(rows.items()):
        run(tx, _REKEY_ENTITY[kind_], sorted(entities))
    run(tx, _REKEY_ORDER, sorted([space.first + slot, key.hex()] for slot, key in rekeyed.orders))
    labels = [[former.hex(), label_properties(label)] for former, label in rekeyed.labels]
    run(tx, _REKEY_LABEL, labels, space=space.number)
