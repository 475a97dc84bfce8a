"""What if this event came now: an account's and its ring's score with it, without changing the engine.

The part of the graph that decides is copied into a small engine of its own, and the event is applied there: so the
answer is what the engine would say, and the engine is left as it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from fraudgraph.engine import Engine
from fraudgraph.errors import ConfigurationError, UsageError
from fraudgraph.events.batch import DecodedBatch
from fraudgraph.graph.hot import distinct
from fraudgraph.graph.interning import key_halves, look_up_keys
from fraudgraph.graph.surroundings import Surroundings, surroundings, users_sharing
from fraudgraph.graph.types import F64, I32
from fraudgraph.rings.forest import collect_tree, find_root
from fraudgraph.rings.identity import ring_name
from fraudgraph.scoring.port import RingScorer, RingScores
from fraudgraph.scoring.reasons import Explanation, explain_user
from fraudgraph.stores.port import RingRow, StoredState

MOST_USERS: Final = 20_000
"""Of the accounts around an event: more would take seconds."""


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What an event would do.

    Attributes:
        user_id: whose event it is; `known`: whether they were there before.
        fraud: probability that the order is fraud, by the event head; None where it is no order, or without one.
        before, after: probability that the account takes part in organised fraud, by the model in force; None without
            a bundle, or before where the account is new.
        ring_before, ring_after: the ring that the account is in after the event; where it is in none, the most
            suspicious one that it shares an identifier with. None where there is no such ring then.
        joins: whether the account is a member of it after the event.
        explanation: why the account scores as it does after the event; None without a bundle.
    """

    user_id: str
    known: bool
    fraud: float | None
    before: float | None
    after: float | None
    ring_before: RingRow | None
    ring_after: RingRow | None
    joins: bool
    explanation: Explanation | None


def what_if(engine: Engine, batch: DecodedBatch) -> WhatIf:
    """Returns what a batch of one event would do.

    In a period of two keys the engine takes up the event's names, as it would if the event came.

    Raises:
        UsageError: the batch is not exactly one event of an account.
        ConfigurationError: the accounts around it are too many.
    """
    if len(batch) != 1 or not batch.user[0] or batch.dead_letters:
        raise UsageError("that is not exactly one event of an account", do="Give one event as JSON, such as an order.")
    if batch.former is not None:
        engine.rekey(batch.former)
        batch = replace(batch, former=None)
    name, at_ms = batch.user[0], int(batch.ts_ms[0])
    idents = look_up_keys(engine.graph.keys, key_halves(batch.link_key))
    idents = idents[idents >= 0].astype(np.int32)
    core = _core(engine, batch, idents)
    around = surroundings(engine.graph, core, idents)
    if len(around.users) > MOST_USERS:
        raise ConfigurationError(
            f"{len(around.users):,} accounts decide about this event, more than {MOST_USERS:,}",
            do="Ingest it, and look at the ring then.",
        )
    fraud = float(engine.score(batch)[0])
    scratch = _copy(engine, around, core)
    known = name in scratch.graph.user_table.id_of
    before = _probability(scratch, name, at_ms) if known else None
    scratch.apply(batch, backfill=True)
    serial, joins = _nearest(scratch, name)
    user = scratch.graph.user_table.id_of[name]
    live = scratch.serving.live
    return WhatIf(
        user_id=name,
        known=known,
        fraud=None if np.isnan(fraud) else fraud,
        before=before,
        after=_probability(scratch, name, at_ms),
        ring_before=engine.rows.get(serial),
        ring_after=scratch.rows.get(serial),
        joins=joins,
        explanation=None if live is None else explain_user(live, scratch.graph, user, _as_of(scratch, user, at_ms)),
    )


def _core(engine: Engine, batch: DecodedBatch, idents: I32) -> I32:
    """Returns the users whose components the event may change; `idents`: those that it names, as far as known."""
    graph = engine.graph
    names = [name for name in (batch.user[0], batch.counterparty[0]) if name]
    seeds = [graph.user_table.id_of[name] for name in names if name in graph.user_table.id_of]
    seeds += _owners(engine, batch)
    sharing = users_sharing(graph, idents, engine.ties.tables.limit)
    forest, found = engine.ties.forest, [np.array(seeds, np.int32), sharing]
    buffer = np.empty(len(forest.parent), np.int32)
    done = set()
    for user in (*seeds, *sharing.tolist()):
        root = int(find_root(forest, 2 * user))
        if root not in done:
            done.add(root)
            nodes = buffer[: int(collect_tree(forest, root, buffer))]
            found.append(nodes[nodes % 2 == 0] // 2)
    return distinct(np.concatenate(found))


def _owners(engine: Engine, batch: DecodedBatch) -> list[int]:
    """Returns whoever the order is known to be of that the event speaks of: it need not be the event's account."""
    graph = engine.graph
    slots = look_up_keys(graph.order_keys, key_halves([key for key in batch.order_key if key is not None]))
    owners: list[int] = graph.orders.user[slots[slots >= 0]].tolist()
    return [owner for owner in owners if owner >= 0]


def _copy(engine: Engine, around: Surroundings, core: I32) -> Engine:
    """Returns a small engine that holds the surroundings, with their rings, under the same scorer and model."""
    live = engine.serving.live
    settled = _Settled(engine.serving.structural)
    scratch = Engine(engine.policy, engine.rules, settled, bundle=None if live is None else live.bundle)
    inside = set(core.tolist())
    rings = {serial: team for serial, team in engine.register.members.items() if team[0] in inside}
    scratch.restore(
        StoredState(
            commit=engine.commit,
            watermark_ms=engine.watermark_ms,
            positions={},
            clocks_ms={},
            ring_serial=engine.register.next_serial,
            started_ms=engine.started_ms,
            scorer_state=None,
            seen_keys=[],
            seen_ts_ms=[],
            entities=iter(around.entities),
            links=around.links,
            users=around.user_rows,
            orders=around.orders,
            order_keys=around.order_keys,
            transfers=around.transfers,
            labels=around.labels,
            rings=[engine.rows[serial] for serial in rings],
            members={
                ring_name(serial): [(user, 0.0) for user in around.here(team).tolist()]
                for serial, team in rings.items()
            },
            decisions=list(engine.cases.decisions.values()),
            constraints=list(engine.cases.constraints.values()),
            audit_head=engine.cases.head,
        )
    )
    # What counts as a new account depends on whether anybody at all signed up in the stream.
    scratch.graph.users.signups[0] = max(scratch.graph.users.signups[0], min(1, engine.graph.users.signups[0]))
    return scratch


class _Settled:
    """A scorer that learns nothing more: it is the engine's own."""

    def __init__(self, scorer: RingScorer) -> None:
        self._scorer = scorer
        self.name = scorer.name

    def score(self, features: F64, network: F64 | None = None) -> RingScores:
        return self._scorer.score(features, network)

    def wants(self, candidates: int) -> bool:
        return False

    def observe(self, features: F64) -> bool:
        return False

    def state(self) -> bytes:
        return b""

    def restore(self, state: bytes) -> None:
        return None


def _as_of(engine: Engine, user: int, at_ms: int) -> int:
    return max(at_ms, int(engine.graph.users.last_ms[user]))


def _probability(engine: Engine, name: str, at_ms: int) -> float | None:
    if engine.serving.live is None:
        return None
    user = engine.graph.user_table.id_of[name]
    one = np.array([user], np.int32)
    log_odds = float(engine.serving.live.log_odds(engine.graph, one, _as_of(engine, user, at_ms))[0])
    return float(1.0 / (1.0 + np.exp(-log_odds)))


def _nearest(engine: Engine, name: str) -> tuple[int, bool]:
    """Returns the serial of the ring of a user, or of the most suspicious one beside; -1 where there is none."""
    graph = engine.graph
    user = graph.user_table.id_of[name]
    serial = int(graph.users.ring[user])
    if serial >= 0:
        return serial, True
    links = graph.links
    idents, slot = [], int(graph.users.links[user])
    while slot >= 0:
        idents.append(int(links.ident[slot]))
        slot = int(links.next_of_user[slot])
    beside = users_sharing(graph, np.array(idents, np.int32), engine.ties.tables.limit)
    serials = sorted({int(serial) for serial in graph.users.ring[beside].tolist() if serial in engine.rows})
    return max(serials, key=lambda at: engine.rows[at].probability, default=-1), False
