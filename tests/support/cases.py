"""Commands for tests of the core: orders that fit the rings of the moment, as the decoded batches that they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from fraudgraph.cases.constraints import NEVER_MS
from fraudgraph.cases.orders import Constrain, Decide, Order, Remove, Undo, write_order
from fraudgraph.cases.reasons import CONSTRAINT_REASONS, VERDICT_REASONS, ConstraintKind, Verdict
from fraudgraph.durations import DAY_MS
from fraudgraph.engine import Engine
from fraudgraph.events.batch import DecodedBatch
from fraudgraph.events.kinds import EntityKind, EventType
from fraudgraph.events.schema import Command
from fraudgraph.rings.identity import ring_name
from support.journal import IDENTIFIERS, KINDS, START_MS, USERS, Happening, decoded, key

AUTHORS = ("ann", "bob", "eve")
SAID = datetime(2026, 11, 24, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Spoken:
    """A command in plain words; two with the same id are one."""

    id: str
    author: str
    order: Order


def spoken(number: int, order: Order, author: str = "ann") -> Spoken:
    """Returns an order under an id of its own."""
    return Spoken(f"command {number}", author, order)


def command_batch(commands: Sequence[Spoken], first: int = 1) -> DecodedBatch:
    """Returns commands as they come out of the store's own partition, from position `first` on."""
    rows = [("commands", Happening(c.id, START_MS, type=EventType.COMMAND), first + i) for i, c in enumerate(commands)]
    batch = decoded(rows, names=["commands"])
    said = []
    for place, command in enumerate(commands):
        name, arguments = write_order(command.order)
        said.append(
            (place, Command(event_id=command.id, ts=SAID, name=name, author=command.author, arguments=arguments))
        )
    return replace(batch, commands=said)


def any_order(engine: Engine, rng: np.random.Generator) -> Order:
    """Returns something to ask of an engine: mostly what it can do, at times what it must refuse."""
    kind = int(rng.integers(0, 8))
    decisions, constraints = list(engine.cases.decisions), list(engine.cases.constraints)
    if kind <= 2:
        return _decide(engine, rng)
    if kind == 3 and decisions:
        return Undo(decisions[int(rng.integers(0, len(decisions)))])
    if kind == 4 and constraints:
        return Remove(constraints[int(rng.integers(0, len(constraints)))])
    return _constrain(engine, rng)


def take_all_back(engine: Engine, rng: np.random.Generator) -> list[Order]:
    """Returns the orders that undo everything that stands, in any sequence."""
    book = engine.cases
    orders: list[Order] = [Undo(d.decision_id) for d in book.decisions.values() if d.stands]
    orders += [Remove(c.constraint_id) for c in book.constraints.values() if c.removed_by is None]
    return [orders[i] for i in rng.permutation(len(orders)).tolist()]


def _decide(engine: Engine, rng: np.random.Generator) -> Decide:
    verdict = list(Verdict)[int(rng.integers(0, 3))]
    ring_id = ring_name(int(rng.integers(1, engine.register.next_serial + 1)))
    users = [f"u{i}" for i in np.flatnonzero(rng.random(USERS) < 0.4).tolist()]
    members = () if rng.random() < 0.5 else tuple(users)
    return Decide(ring_id, verdict, VERDICT_REASONS[verdict][0], members=members)


def _constrain(engine: Engine, rng: np.random.Generator) -> Constrain:
    kind = list(ConstraintKind)[int(rng.integers(0, 3))]
    days = int(rng.integers(0, 6))
    until_ms = NEVER_MS if days == 0 else engine.watermark_ms + days * DAY_MS
    reason = CONSTRAINT_REASONS[kind][0]
    if kind is ConstraintKind.BENIGN_HUB:
        entity = KINDS[int(rng.integers(0, len(KINDS)))]
        name = f"{entity.label} {int(rng.integers(0, IDENTIFIERS))}"
        return Constrain(kind, entity, key(name).hex(), "", reason, until_ms=until_ms)
    a, b = sorted(f"u{i}" for i in rng.choice(USERS + 1, 2, replace=False).tolist())
    return Constrain(kind, EntityKind.USER, a, b, reason, until_ms=until_ms)
