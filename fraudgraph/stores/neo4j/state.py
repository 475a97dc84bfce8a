"""The node that says where a store stands, and who may write to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, LiteralString

if TYPE_CHECKING:
    from neo4j import ManagedTransaction

    from fraudgraph.stores.neo4j.model import Space

LEASE_MS: Final = 30_000
"""For how long a writer that says nothing counts as at work; it says so with each commit and each look for commands."""
_RENEW_BELOW_MS: Final = 20_000

# Setting a property locks the node until the transaction ends: whoever comes second waits, and then reads what is.
_LOCK: Final = "MATCH (s:State {space: $space}) SET s.locked_by = $token RETURN s"
_READ: Final = "MATCH (s:State {space: $space}) RETURN s"
_RENEW: Final = """
    MATCH (s:State {space: $space})
    WHERE s.epoch = $epoch AND s.at_work_until_ms < timestamp() + $below_ms
    SET s.at_work_until_ms = timestamp() + $lease_ms"""
_RELEASE: Final = "MATCH (s:State {space: $space}) WHERE s.epoch = $epoch SET s.at_work_until_ms = 0"
_AT_WORK: Final = "MATCH (s:State {space: $space}) RETURN s.at_work_until_ms > timestamp() AS at_work"


@dataclass(frozen=True, slots=True)
class State:
    """Where a store stands.

    Attributes:
        token: of the transaction that made the last commit.
        steps, labels, dead_letters: how many were ever written; their numbers go on from there.
        previous_key_id, rotated_ms: of a period of two keys; "" and 0 where there is none.
    """

    store_id: str
    epoch: int
    commit: int
    token: str
    watermark_ms: int
    ring_serial: int
    started_ms: int | None
    key_id: str
    policy_hash: str
    policy_version: str
    steps: int
    labels: int
    dead_letters: int
    previous_key_id: str = ""
    rotated_ms: int = 0


def read_state(tx: ManagedTransaction, space: Space) -> State:
    """Returns the state without a lock."""
    return _state(tx, _READ, {"space": space.number})


def lock_state(tx: ManagedTransaction, space: Space, token: str) -> State:
    """Returns the state; no other writer can change it until the transaction ends."""
    return _state(tx, _LOCK, {"space": space.number, "token": token})


def renew_lease(tx: ManagedTransaction, space: Space, epoch: int) -> None:
    """Says that the holder of the epoch is at work; does nothing where another took it, or it was said just now."""
    tx.run(_RENEW, space=space.number, epoch=epoch, below_ms=_RENEW_BELOW_MS, lease_ms=LEASE_MS).consume()


def release_lease(tx: ManagedTransaction, space: Space, epoch: int) -> None:
    """Says that the holder of the epoch has ended."""
    tx.run(_RELEASE, space=space.number, epoch=epoch).consume()


def is_at_work(tx: ManagedTransaction, space: Space) -> bool:
    """Returns whether a writer is at work, on whatever machine; the server's clock decides."""
    row = tx.run(_AT_WORK, space=space.number).single()
    return row is not None and bool(row["at_work"])


def _state(tx: ManagedTransaction, statement: LiteralString, parameters: dict[str, object]) -> State:
    node = tx.run(statement, parameters).single(strict=True)["s"]
    return State(
        store_id=node["store_id"],
        epoch=node["epoch"],
        commit=node["commit_no"],
        token=node["token"],
        watermark_ms=node["watermark_ms"],
        ring_serial=node["ring_serial"],
        started_ms=node.get("started_ms"),
        key_id=node["key_id"],
        policy_hash=node["policy_hash"],
        policy_version=node["policy_version"],
        steps=node["steps"],
        labels=node["labels"],
        dead_letters=node["dead_letters"],
        previous_key_id=node.get("previous_key_id", ""),
        rotated_ms=node.get("rotated_ms", 0),
    )
