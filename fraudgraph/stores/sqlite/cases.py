"""What analysts said, out of the tables; call these inside a read transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Mapping

from fraudgraph.cases.audit import AuditRow
from fraudgraph.cases.constraints import Constraint
from fraudgraph.cases.decisions import Decision
from fraudgraph.rings.snapshot import PastRing, RingSnapshot
from fraudgraph.stores.erasure import redacted_command, redacted_snapshot, renamed_command, renamed_snapshot
from fraudgraph.stores.evidence import past_rings
from fraudgraph.stores.port import COMMANDS
from fraudgraph.stores.records import CONSTRAINTS, DECISIONS, FINGERPRINTS, SNAPSHOTS, json_text


def read_decisions(db: sqlite3.Connection) -> list[Decision]:
    """Returns decisions in the order of their ids."""
    return [DECISIONS.decode(body) for (body,) in db.execute("SELECT body FROM decisions ORDER BY decision_id")]


def read_constraints(db: sqlite3.Connection) -> list[Constraint]:
    """Returns constraints in the order of their ids."""
    return [CONSTRAINTS.decode(body) for (body,) in db.execute("SELECT body FROM constraints ORDER BY constraint_id")]


def read_audit(db: sqlite3.Connection) -> list[AuditRow]:
    """Returns the audit in the order of its numbers."""
    rows = db.execute(
        "SELECT number, ts_ms, author, what, subject, before, after, content, previous, hash FROM audit ORDER BY number"
    )
    return [AuditRow(*row) for row in rows]


def read_frozen(db: sqlite3.Connection, decision_id: str) -> RingSnapshot | None:
    """Returns the evidence kept with a decision."""
    row = db.execute("SELECT body FROM frozen WHERE decision_id = ?", (decision_id,)).fetchone()
    return None if row is None else SNAPSHOTS.decode(row[0])


def read_past(db: sqlite3.Connection, members: Collection[str]) -> list[PastRing]:
    """Returns the rings with a verdict, other than of these members."""
    rows = db.execute("SELECT decision_id, body FROM fingerprints").fetchall()
    prints = {decision: FINGERPRINTS.decode(body) for decision, body in rows}
    return past_rings(read_decisions(db), prints, members) if prints else []


def read_commands(db: sqlite3.Connection, after: int, limit: int) -> list[tuple[int, bytes]]:
    """Returns commands with numbers above `after`; all where `limit` is negative."""
    return db.execute("SELECT id, body FROM commands WHERE id > ? ORDER BY id LIMIT ?", (after, limit)).fetchall()


def last_command_applied(db: sqlite3.Connection) -> int:
    """Returns the highest number that the engine has taken."""
    row = db.execute("SELECT position FROM partitions WHERE name = ?", (COMMANDS,)).fetchone()
    return 0 if row is None or row[0] is None else int(row[0]) - 1


def forget_accounts(db: sqlite3.Connection, forgotten: Mapping[str, str]) -> None:
    """Takes accounts out of labels, kept evidence and recorded commands."""
    db.executemany("DELETE FROM labels WHERE about_user = ?", [(user,) for user in forgotten])
    _rewrite(db, forgotten, redacted_snapshot, redacted_command)


def rename_accounts(db: sqlite3.Connection, names: Mapping[str, str]) -> None:
    """Gives accounts other user ids in kept evidence and recorded commands."""
    _rewrite(db, names, renamed_snapshot, renamed_command)


def _rewrite(
    db: sqlite3.Connection,
    names: Mapping[str, str],
    snapshot: Callable[[RingSnapshot, Mapping[str, str]], RingSnapshot],
    command: Callable[[bytes, Mapping[str, str]], bytes | None],
) -> None:
    for decision_id, body in db.execute("SELECT decision_id, body FROM frozen").fetchall():
        ring = SNAPSHOTS.decode(body)
        rewritten = snapshot(ring, names)
        if rewritten != ring:
            db.execute("UPDATE frozen SET body = ? WHERE decision_id = ?", (json_text(rewritten), decision_id))
    for number, body in db.execute("SELECT id, body FROM commands").fetchall():
        other = command(body, names)
        if other is not None:
            db.execute("UPDATE commands SET body = ? WHERE id = ?", (other, number))
