"""What analysts said, out of the graph; call these inside a transaction."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from fraudgraph.cases.audit import AuditRow
from fraudgraph.cases.constraints import Constraint
from fraudgraph.cases.decisions import Decision
from fraudgraph.rings.snapshot import PastRing, RingSnapshot
from fraudgraph.stores.evidence import past_rings
from fraudgraph.stores.neo4j.model import Space
from fraudgraph.stores.port import COMMANDS
from fraudgraph.stores.records import CONSTRAINTS, DECISIONS, FINGERPRINTS, SNAPSHOTS

if TYPE_CHECKING:
    from neo4j import ManagedTransaction

_DECISIONS: Final = """
    MATCH (d:Decision) WHERE d.space = $space AND d.decision_id IS NOT NULL
    RETURN d.body AS body ORDER BY d.decision_id"""
_CONSTRAINTS: Final = """
    MATCH (c:Constraint) WHERE c.space = $space AND c.constraint_id IS NOT NULL
    RETURN c.body AS body ORDER BY c.constraint_id"""
_AUDIT: Final = """
    MATCH (a:Audit) WHERE a.number >= $first AND a.number < $end RETURN a ORDER BY a.number"""
_EVIDENCE: Final = """
    MATCH (e:Evidence) WHERE e.space = $space AND e.decision_id IS NOT NULL
    RETURN e.decision_id AS decision, e.body AS body ORDER BY decision"""
_EVIDENCE_OF: Final = "MATCH (e:Evidence {space: $space, decision_id: $decision}) RETURN e.body AS body"
_FINGERPRINTS: Final = """
    MATCH (f:Fingerprint) WHERE f.space = $space AND f.decision_id IS NOT NULL
    RETURN f.decision_id AS decision, f.body AS body ORDER BY decision"""
_COMMANDS: Final = """
    MATCH (c:Command) WHERE c.number > $after AND c.number < $end
    RETURN c.number - $first AS number, c.body AS body ORDER BY c.number LIMIT $limit"""
_APPLIED: Final = "MATCH (p:Partition {space: $space, name: $name}) RETURN p.position AS position"


def read_decisions(tx: ManagedTransaction, space: Space) -> list[Decision]:
    """Returns decisions in the order of their ids."""
    return [DECISIONS.decode(row["body"]) for row in tx.run(_DECISIONS, space.bounds)]


def read_constraints(tx: ManagedTransaction, space: Space) -> list[Constraint]:
    """Returns constraints in the order of their ids."""
    return [CONSTRAINTS.decode(row["body"]) for row in tx.run(_CONSTRAINTS, space.bounds)]


def read_audit(tx: ManagedTransaction, space: Space) -> list[AuditRow]:
    """Returns the audit in the order of its numbers."""
    found = [{name: row["a"][name] for name in AuditRow.__dataclass_fields__} for row in tx.run(_AUDIT, space.bounds)]
    return [AuditRow(**row | {"number": row["number"] - space.first}) for row in found]


def read_all_frozen(tx: ManagedTransaction, space: Space) -> dict[str, RingSnapshot]:
    """Returns all evidence that was kept, by decision."""
    return {row["decision"]: SNAPSHOTS.decode(row["body"]) for row in tx.run(_EVIDENCE, space.bounds)}


def read_frozen(tx: ManagedTransaction, space: Space, decision_id: str) -> RingSnapshot | None:
    """Returns the evidence kept with a decision."""
    row = tx.run(_EVIDENCE_OF, space=space.number, decision=decision_id).single()
    return None if row is None else SNAPSHOTS.decode(row["body"])


def read_fingerprints(tx: ManagedTransaction, space: Space) -> dict[str, tuple[str, ...]]:
    """Returns the shapes of rings, by the decision on them."""
    return {row["decision"]: FINGERPRINTS.decode(row["body"]) for row in tx.run(_FINGERPRINTS, space.bounds)}


def read_past(tx: ManagedTransaction, space: Space, members: Collection[str]) -> list[PastRing]:
    """Returns the rings with a verdict, other than of these members."""
    prints = read_fingerprints(tx, space)
    return past_rings(read_decisions(tx, space), prints, members) if prints else []


def read_commands(tx: ManagedTransaction, space: Space, after: int, limit: int) -> list[tuple[int, bytes]]:
    """Returns commands with numbers above `after`."""
    rows = tx.run(_COMMANDS, space.bounds, after=space.first + after, limit=limit)
    return [(row["number"], bytes(row["body"])) for row in rows]


def last_command_applied(tx: ManagedTransaction, space: Space) -> int:
    """Returns the highest number that the engine has taken."""
    row = tx.run(_APPLIED, space=space.number, name=COMMANDS).single()
    return 0 if row is None or row["position"] is None else int(row["position"]) - 1
