"""The whole of a store, read while its writer waits, and written piece by piece: one transaction could not hold it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from fraudgraph.errors import StoreError
from fraudgraph.stores.image import StoreImage, as_one_commit
from fraudgraph.stores.neo4j.cases import read_all_frozen, read_audit, read_commands, read_fingerprints
from fraudgraph.stores.neo4j.load import Loader, Reads
from fraudgraph.stores.neo4j.model import Space
from fraudgraph.stores.neo4j.rows import (
    alert_from,
    letter_from,
    letter_properties,
    narrative_from,
    ring_from,
    step_from,
)
from fraudgraph.stores.neo4j.state import State, lock_state
from fraudgraph.stores.neo4j.write import GraphWriter, Marks, run
from fraudgraph.stores.neo4j.write_records import (
    write_cases,
    write_kept,
    write_letters,
    write_narratives,
    write_progress,
    write_rings,
)
from fraudgraph.stores.port import Columns, CommitDelta
from fraudgraph.stores.records import json_text

if TYPE_CHECKING:
    from neo4j import ManagedTransaction

T = TypeVar("T")

PIECE_ROWS: Final = 20_000

_STEPS: Final = "MATCH (s:Step) WHERE s.number >= $first AND s.number < $end RETURN s ORDER BY s.number"
_RINGS: Final = "MATCH (r:Ring) WHERE r.space = $space AND r.ring_id IS NOT NULL RETURN r ORDER BY r.ring_id"
_MEMBERS: Final = """
    MATCH (r:Ring)<-[m:MEMBER_OF]-(u:User) WHERE r.space = $space AND r.ring_id IS NOT NULL
    RETURN r.ring_id AS ring_id, u.number - $first AS user, m.probability AS probability ORDER BY ring_id, user"""
_ALERTS: Final = "MATCH (a:Alert) WHERE a.space = $space AND a.alert_id IS NOT NULL RETURN a ORDER BY a.alert_id"
_LETTERS: Final = """
    MATCH (d:DeadLetter) WHERE d.number >= $first AND d.number < $end RETURN d ORDER BY d.number"""
_NARRATIVES: Final = """
    MATCH (n:Narrative) WHERE n.space = $space AND n.ring_id IS NOT NULL RETURN n ORDER BY n.ring_id"""
_BEGIN: Final = "MATCH (s:State {space: $space}) SET s.restoring = true"
_COMMANDS: Final = "MATCH (i:Inbox {space: $space}) RETURN i.last AS last"
_COMMAND: Final = "UNWIND $rows AS row CREATE (:Command {number: row[0], body: row[1]})"
_SENT: Final = """
    UNWIND $rows AS row
    MATCH (a:Alert {space: $space, alert_id: row[1]})
    SET a.sent_to = coalesce(a.sent_to, []) + row[0]"""
_END: Final = """
    MATCH (s:State {space: $space}), (i:Inbox {space: $space})
    SET s.key_id = $key_id, s.policy_hash = $policy_hash, s.policy_version = $policy_version,
        s.previous_key_id = $previous_key_id, s.rotated_ms = $rotated_ms,
        s.dead_letters = $dead_letters, i.last = $commands
    REMOVE s.restoring"""


def read_image(read: Reads, space: Space, state: State) -> StoreImage:
    """Returns everything as of a state; the caller keeps writers away."""
    loader = Loader(read, space)
    stored = loader.load(state)
    image = StoreImage(
        key_id=state.key_id,
        policy_hash=state.policy_hash,
        policy_version=state.policy_version,
        delta=as_one_commit(stored, list(loader.entities())),
        dead_letters_ever=state.dead_letters,
        previous_key_id=state.previous_key_id,
        rotated_ms=state.rotated_ms,
    )

    def add_records(tx: ManagedTransaction) -> None:
        bounds, delta = space.bounds, image.delta
        delta.rings = [ring_from(row["r"]) for row in tx.run(_RINGS, bounds)]
        delta.members = {}
        for row in tx.run(_MEMBERS, bounds):
            delta.members.setdefault(row["ring_id"], []).append((row["user"], row["probability"]))
        delta.lineage = [step_from(row["s"]) for row in tx.run(_STEPS, bounds)]
        alerts = [row["a"] for row in tx.run(_ALERTS, bounds)]
        delta.alerts = [alert_from(alert) for alert in alerts]
        delta.audit = read_audit(tx, space)
        image.deliveries = sorted((sink, a["alert_id"]) for a in alerts for sink in a.get("sent_to", []))
        letters = [row["d"] for row in tx.run(_LETTERS, bounds)]
        image.dead_letters = [(letter_from(letter, space.first), letter["recorded_ms"]) for letter in letters]
        image.commands = [body for _, body in read_commands(tx, space, 0, space.end)]
        image.frozen = read_all_frozen(tx, space)
        image.fingerprints = read_fingerprints(tx, space)
        image.narratives = [narrative_from(row["n"]) for row in tx.run(_NARRATIVES, bounds)]

    read(add_records)
    return image


def write_image(write: Callable[[Callable[[ManagedTransaction], Any]], Any], space: Space, image: StoreImage) -> None:
    """Writes everything into a new store, which is refused until the last piece is there.

    Args:
        write: runs a function in a write transaction.

    Raises:
        StoreError: the store is not new.
    """
    state: State = write(lambda tx: _begin(tx, space))
    marks = Marks()
    for piece in _pieces(image.delta):

        def graph(tx: ManagedTransaction, piece: CommitDelta = piece) -> None:
            GraphWriter(tx, space, marks).write(piece)

        write(graph)
    for piece in _ring_pieces(image.delta):

        def rings(tx: ManagedTransaction, piece: CommitDelta = piece, state: State = state) -> None:
            write_rings(tx, space, piece, state)

        write(rings)
        state = replace(state, steps=state.steps + len(piece.lineage))

    def rest(tx: ManagedTransaction) -> None:
        write_cases(tx, space, image.delta, state)
        write_kept(
            tx,
            space,
            [(decision, json_text(ring)) for decision, ring in image.frozen.items()],
            [(decision, json_text(shape)) for decision, shape in image.fingerprints.items()],
        )
        run(tx, _SENT, sorted(map(list, image.deliveries)), space=space.number)
        write_narratives(tx, space, image.narratives)
        run(tx, _COMMAND, [[space.first + number, body] for number, body in enumerate(image.commands, 1)])
        write_letters(
            tx, [letter_properties(letter, recorded_ms, space.first) for letter, recorded_ms in image.dead_letters]
        )
        write_progress(tx, space, replace(image.delta, lineage=[]), state, "")
        tx.run(
            _END,
            space=space.number,
            key_id=image.key_id,
            policy_hash=image.policy_hash,
            policy_version=image.policy_version,
            previous_key_id=image.previous_key_id,
            rotated_ms=image.rotated_ms,
            dead_letters=image.dead_letters_ever,
            commands=len(image.commands),
        ).consume()

    write(rest)


def _begin(tx: ManagedTransaction, space: Space) -> State:
    state = lock_state(tx, space, "restore")
    (commands,) = tx.run(_COMMANDS, space=space.number).single(strict=True)
    if state.commit or state.key_id or commands:
        raise StoreError(
            f"the store is in use (commit {state.commit}, commands {commands})",
            do="Restore into a new one: another database, or another space (`?space=1` at the end of the URL).",
        )
    tx.run(_BEGIN, space=space.number).consume()
    return state


def _pieces(delta: CommitDelta) -> Iterator[CommitDelta]:
    """Yields the graph in pieces, each whole in itself: entities first, for everything else speaks of them."""
    empty = CommitDelta(commit=delta.commit, watermark_ms=delta.watermark_ms)
    for entities in _chunks(delta.entities):
        yield replace(empty, entities=list(entities))
    for users in _column_chunks(delta.users):
        yield replace(empty, users=users)
    for links in _column_chunks(delta.links):
        yield replace(empty, links=links)
    for orders, keys in zip(_column_chunks(delta.orders), _chunks(delta.order_keys), strict=True):
        yield replace(empty, orders=orders, order_keys=list(keys))
    for transfers in _column_chunks(delta.transfers):
        yield replace(empty, transfers=transfers)


def _ring_pieces(delta: CommitDelta) -> Iterator[CommitDelta]:
    empty = CommitDelta(commit=delta.commit, watermark_ms=delta.watermark_ms)
    for rings in _chunks(delta.rings):
        yield replace(empty, rings=list(rings))
    for members in _chunks(sorted(delta.members.items())):
        yield replace(empty, members=dict(members))
    for lineage in _chunks(delta.lineage):
        yield replace(empty, lineage=list(lineage))
    for alerts in _chunks(delta.alerts):
        yield replace(empty, alerts=list(alerts))


def _chunks(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(rows), PIECE_ROWS):
        yield rows[start : start + PIECE_ROWS]


def _column_chunks(columns: Columns) -> Iterator[Columns]:
    rows = len(next(iter(columns.values()))) if columns else 0
    for start in range(0, rows, PIECE_ROWS):
        yield {name: column[start : start + PIECE_ROWS] for name, column in columns.items()}
