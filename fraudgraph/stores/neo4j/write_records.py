"""What a commit says of rings and of people's work, and where the streams stand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fraudgraph.rings.snapshot import RingSnapshot
from fraudgraph.stores.erasure import redacted_command, redacted_snapshot, renamed_command, renamed_snapshot
from fraudgraph.stores.neo4j.cases import read_all_frozen, read_commands
from fraudgraph.stores.neo4j.model import Space
from fraudgraph.stores.neo4j.rows import SEEN_TIMES, label_properties, letter_properties, ring_properties
from fraudgraph.stores.neo4j.state import LEASE_MS, State
from fraudgraph.stores.neo4j.write import run
from fraudgraph.stores.port import AlertRow, CommitDelta, NarrativeRow, StoredDeadLetter
from fraudgraph.stores.records import json_text

if TYPE_CHECKING:
    from neo4j import ManagedTransaction

_RING: Final = """
    UNWIND $rows AS row
    MERGE (r:Ring {space: $space, ring_id: row.ring_id})
    SET r += row"""
_MEMBERS: Final = """
    UNWIND $rows AS ring_id
    MATCH (:Ring {space: $space, ring_id: ring_id})<-[m:MEMBER_OF]-(u:User)
    RETURN ring_id, u.number AS number, m.probability AS probability"""
_MEMBER_GONE: Final = """
    UNWIND $rows AS row
    MATCH (r:Ring {space: $space, ring_id: row[0]})<-[m:MEMBER_OF]-(u:User)
    WHERE u.number = row[1]
    DELETE m"""
_MEMBER_CHANGED: Final = """
    UNWIND $rows AS row
    MATCH (r:Ring {space: $space, ring_id: row[0]})<-[m:MEMBER_OF]-(u:User)
    WHERE u.number = row[1]
    SET m.probability = row[2]"""
# A member may be nobody yet: the node waits for its entity.
_MEMBER_NEW: Final = """
    UNWIND $rows AS row
    MATCH (r:Ring {space: $space, ring_id: row[0]})
    MERGE (u:User {number: row[1]})
    CREATE (u)-[:MEMBER_OF {probability: row[2]}]->(r)"""
_STEP: Final = """
    UNWIND $rows AS row
    CREATE (s:Step)
    SET s = row"""
_STEP_ABOUT: Final = """
    UNWIND $rows AS row
    MATCH (s:Step {number: row.number}), (r:Ring {space: $space, ring_id: row.ring_id})
    CREATE (s)-[:ABOUT]->(r)"""
_STEP_WITH: Final = """
    UNWIND $rows AS row
    MATCH (s:Step {number: row.number}), (r:Ring {space: $space, ring_id: row.other_ring_id})
    CREATE (s)-[:WITH]->(r)"""
_ALERT: Final = """
    UNWIND $rows AS row
    MERGE (a:Alert {space: $space, alert_id: row.alert_id})
    ON CREATE SET a += row
    WITH a
    MATCH (r:Ring {space: $space, ring_id: a.ring_id})
    MERGE (a)-[:ABOUT]->(r)"""
_LABEL: Final = """
    UNWIND $rows AS row
    MERGE (l:Label {space: $space, key: row.key})
    ON CREATE SET l += row"""
_DECISION: Final = """
    UNWIND $rows AS row
    MERGE (d:Decision {space: $space, decision_id: row.decision_id})
    SET d += row
    WITH d
    MATCH (r:Ring {space: $space, ring_id: d.ring_id})
    MERGE (d)-[:ABOUT]->(r)"""
_CONSTRAINT: Final = """
    UNWIND $rows AS row
    MERGE (c:Constraint {space: $space, constraint_id: row.constraint_id})
    SET c += row"""
_AUDIT: Final = "UNWIND $rows AS row CREATE (a:Audit) SET a = row"
_EVIDENCE: Final = """
    UNWIND $rows AS row
    MERGE (e:Evidence {space: $space, decision_id: row[0]})
    ON CREATE SET e.body = row[1]"""
_FINGERPRINT: Final = """
    UNWIND $rows AS row
    MERGE (f:Fingerprint {space: $space, decision_id: row[0]})
    ON CREATE SET f.body = row[1]"""
_LABELS_ABOUT: Final = """
    UNWIND $rows AS user_id
    MATCH (l:Label) WHERE l.space = $space AND l.key IS NOT NULL AND l.about_user = user_id
    DELETE l"""
_EVIDENCE_CHANGED: Final = """
    UNWIND $rows AS row
    MATCH (e:Evidence {space: $space, decision_id: row[0]})
    SET e.body = row[1]"""
_COMMAND_CHANGED: Final = "UNWIND $rows AS row MATCH (c:Command {number: row[0]}) SET c.body = row[1]"
_NARRATE: Final = """
    UNWIND $rows AS row
    MERGE (n:Narrative {space: $space, ring_id: row.ring_id})
    SET n += row
    WITH n
    MATCH (r:Ring {space: $space, ring_id: n.ring_id})
    MERGE (n)-[:ABOUT]->(r)"""
_DEAD_LETTER: Final = "UNWIND $rows AS row CREATE (d:DeadLetter) SET d = row"
_DEAD_LETTER_GONE: Final = "UNWIND $rows AS number MATCH (d:DeadLetter {number: number}) DELETE d"
_DEAD_LETTERS_OLD: Final = """
    MATCH (d:DeadLetter)
    WHERE d.number >= $first AND d.number < $end AND d.recorded_ms < $before_ms
    DELETE d"""
# One way to the server for all that every commit says.
_PROGRESS: Final = """
    CALL () {
        UNWIND $positions AS row
        MERGE (p:Partition {space: $space, name: row[0]})
        SET p.position = row[1]
    }
    CALL () {
        UNWIND $clocks_ms AS row
        MERGE (p:Partition {space: $space, name: row[0]})
        SET p.clock_ms = row[1]
    }
    CALL () {
        MATCH (s:Seen)
        WHERE s.number >= $first AND s.number < $end AND s.latest_ms < $watermark_ms
        DELETE s
    }
    CALL () {
        UNWIND $seen AS row
        CREATE (:Seen {number: row[0], latest_ms: row[1], keys: row[2], ts_ms: row[3]})
    }
    CALL () {
        UNWIND $scorer AS state
        MERGE (s:Scorer {space: $space})
        SET s.state = state
    }
    MATCH (s:State {space: $space})
    SET s.commit_no = $commit, s.token = $token, s.watermark_ms = $watermark_ms, s.steps = $steps,
        s.labels = $labels, s.dead_letters = $dead_letters, s.at_work_until_ms = timestamp() + $lease_ms,
        s.ring_serial = CASE WHEN $ring_serial > s.ring_serial THEN $ring_serial ELSE s.ring_serial END,
        s.started_ms = coalesce($started_ms, s.started_ms)"""


def write_rings(tx: ManagedTransaction, space: Space, delta: CommitDelta, state: State) -> int:
    """Writes rings, members, lineage and alerts; returns the highest number of a user that it made, or -1."""
    run(tx, _RING, sorted(map(ring_properties, delta.rings), key=lambda row: row["ring_id"]), space=space.number)
    highest = _write_members(tx, space, delta)
    steps = [{"number": space.first + state.steps + place, **asdict(step)} for place, step in enumerate(delta.lineage)]
    run(tx, _STEP, steps)
    run(tx, _STEP_ABOUT, steps, space=space.number)
    run(tx, _STEP_WITH, [step for step in steps if step["other_ring_id"] is not None], space=space.number)
    run(tx, _ALERT, _by_id(map(asdict, _first_each(delta.alerts)), "alert_id"), space=space.number)
    return highest


def _write_members(tx: ManagedTransaction, space: Space, delta: CommitDelta) -> int:
    """Writes the difference between the lists as stored and as they should be."""
    before = {
        (row["ring_id"], row["number"]): row["probability"]
        for row in run(tx, _MEMBERS, sorted(delta.members), space=space.number)
    }
    after = {
        (ring_id, space.first + user): probability
        for ring_id, members in delta.members.items()
        for user, probability in members
    }
    new = sorted((*key, probability) for key, probability in after.items() if key not in before)
    changed = sorted((*key, after[key]) for key, was in before.items() if after.get(key, was) != was)
    run(tx, _MEMBER_GONE, sorted(list(key) for key in before if key not in after), space=space.number)
    run(tx, _MEMBER_CHANGED, changed, space=space.number)
    run(tx, _MEMBER_NEW, new, space=space.number)
    return max((number for _, number, _ in new), default=-1)


def write_cases(tx: ManagedTransaction, space: Space, delta: CommitDelta, state: State) -> None:
    """Writes labels, decisions, constraints and the audit."""
    labels = [
        {"number": space.first + state.labels + place, **label_properties(label)}
        for place, label in enumerate(delta.labels)
    ]
    run(tx, _LABEL, labels, space=space.number)
    decisions = [
        {
            "decision_id": each.decision_id,
            "ring_id": each.ring_id,
            "verdict": str(each.verdict),
            "author": each.author,
            "reason": each.reason,
            "at_ms": each.at_ms,
            "stands": each.stands,
            "body": json_text(each),
        }
        for each in delta.decisions
    ]
    run(tx, _DECISION, _by_id(decisions, "decision_id"), space=space.number)
    constraints = [
        {
            "constraint_id": each.constraint_id,
            "kind": str(each.kind),
            "first": each.first,
            "second": each.second,
            "author": each.author,
            "reason": each.reason,
            "at_ms": each.at_ms,
            "stands": each.removed_by is None,
            "body": json_text(each),
        }
        for each in delta.constraints
    ]
    run(tx, _CONSTRAINT, _by_id(constraints, "constraint_id"), space=space.number)
    run(tx, _AUDIT, [asdict(row) | {"number": space.first + row.number} for row in delta.audit])


def write_kept(
    tx: ManagedTransaction, space: Space, evidence: Iterable[tuple[str, str]], prints: Iterable[tuple[str, str]]
) -> None:
    """Writes rings and their shapes as JSON, by decision; what is kept already stays."""
    run(tx, _EVIDENCE, sorted(map(list, evidence)), space=space.number)
    run(tx, _FINGERPRINT, sorted(map(list, prints)), space=space.number)


def write_narratives(tx: ManagedTransaction, space: Space, rows: Sequence[NarrativeRow]) -> None:
    """Writes what was said about rings, in place of what was said before."""
    run(tx, _NARRATE, [asdict(row) for row in rows], space=space.number)


def forget_accounts(tx: ManagedTransaction, space: Space, forgotten: Mapping[str, str]) -> None:
    """Takes accounts out of labels, kept evidence and recorded commands."""
    run(tx, _LABELS_ABOUT, sorted(forgotten), space=space.number)
    _rewrite(tx, space, forgotten, redacted_snapshot, redacted_command)


def rename_accounts(tx: ManagedTransaction, space: Space, names: Mapping[str, str]) -> None:
    """Gives accounts other user ids in kept evidence and recorded commands."""
    _rewrite(tx, space, names, renamed_snapshot, renamed_command)


def _rewrite(
    tx: ManagedTransaction,
    space: Space,
    names: Mapping[str, str],
    snapshot: Callable[[RingSnapshot, Mapping[str, str]], RingSnapshot],
    command: Callable[[bytes, Mapping[str, str]], bytes | None],
) -> None:
    kept = read_all_frozen(tx, space)
    rewritten = {decision: snapshot(ring, names) for decision, ring in kept.items()}
    changed = [[decision, json_text(ring)] for decision, ring in sorted(rewritten.items()) if ring != kept[decision]]
    run(tx, _EVIDENCE_CHANGED, changed, space=space.number)
    commands = [
        [space.first + number, other]
        for number, body in read_commands(tx, space, 0, space.end)
        if (other := command(body, names)) is not None
    ]
    run(tx, _COMMAND_CHANGED, commands)


def write_letters(tx: ManagedTransaction, rows: Sequence[dict[str, Any]]) -> None:
    """Writes dead letters that have their numbers."""
    run(tx, _DEAD_LETTER, rows)


def write_progress(tx: ManagedTransaction, space: Space, delta: CommitDelta, state: State, token: str) -> None:
    """Writes dead letters, event ids, positions, the scorer, and last of all the state."""
    run(tx, _DEAD_LETTER_GONE, sorted(space.first + number for number in delta.dead_letters_deleted))
    if delta.dead_letters_before_ms is not None:
        tx.run(_DEAD_LETTERS_OLD, space.bounds, before_ms=delta.dead_letters_before_ms).consume()
    letters = [
        StoredDeadLetter(
            id=state.dead_letters + place,
            reason=letter.reason.code,
            detail=letter.detail,
            partition=letter.partition,
            offset=letter.offset,
            commit=delta.commit,
            ciphertext=letter.ciphertext,
        )
        for place, letter in enumerate(delta.dead_letters, start=1)
    ]
    write_letters(tx, [letter_properties(letter, delta.recorded_ms, space.first) for letter in letters])
    seen: list[list[Any]] = []
    if delta.seen_keys:
        times = np.asarray(delta.seen_ts_ms, SEEN_TIMES)
        seen.append([space.first + delta.commit, max(delta.seen_ts_ms), b"".join(delta.seen_keys), times.tobytes()])
    tx.run(
        _PROGRESS,
        space.bounds,
        positions=sorted(map(list, delta.positions.items())),
        clocks_ms=sorted(map(list, delta.clocks_ms.items())),
        seen=seen,
        scorer=[] if delta.scorer_state is None else [delta.scorer_state],
        commit=delta.commit,
        token=token,
        watermark_ms=delta.watermark_ms,
        steps=state.steps + len(delta.lineage),
        labels=state.labels + len(delta.labels),
        dead_letters=state.dead_letters + len(delta.dead_letters),
        ring_serial=delta.ring_serial,
        started_ms=delta.started_ms,
        lease_ms=LEASE_MS,
    ).consume()


def _first_each(alerts: Iterable[AlertRow]) -> Iterable[AlertRow]:
    """Of alerts with one id the first is the one."""
    first: dict[str, AlertRow] = {}
    for alert in alerts:
        first.setdefault(alert.alert_id, alert)
    return first.values()


def _by_id(rows: Iterable[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: row[name])  # stable: of two with one id the later one wins
