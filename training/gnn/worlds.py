"""Simulated worlds to train on, each drawn from wide ranges over what a shop may be like and what it reports.

Nobody's stream looks like the simulator's. So no two worlds share size, length, share of fraud, kinds of fraud or noise
of labels, and some report less: a *thin* shop knows signups and orders with device and IP and nothing else; a *payment
platform* knows devices and cards by the day, and transfers between accounts instead of orders.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import msgspec
import numpy as np

from fraudgraph.durations import DAY_MS
from fraudgraph.engine import Engine, EngineRules
from fraudgraph.events.kinds import EntityKind
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.scoring.structural import StructuralScorer
from fraudgraph.simulate.identifiers import NONE
from fraudgraph.simulate.spec import TYPOLOGIES, WorldSpec
from fraudgraph.simulate.world import World, simulate
from training.gnn.dataset import Slice, Stream, replay_slices
from training.labels import NEGATIVE, POSITIVE, UNKNOWN, Label, LabelLog
from training.ring_truth import Truth, truth_of
from training.splits import Cut
from training.worlds import events_of, thin_shop, true_ring, with_labels

SHOP, THIN, PAYMENTS = "shop", "thin", "payments"
REPORTS = (SHOP, THIN, SHOP, PAYMENTS)
"""What the worlds report, in turn."""
EVERY_DAYS = 15
"""Between two readings of a world."""


@dataclass(frozen=True, slots=True)
class Draw:
    """A drawn world: its spec, what it reports, and whether analysts' labels are in its stream."""

    spec: WorldSpec
    reports: str
    labelled: bool


def draw(seed: int, users: int) -> Draw:
    """Returns a world to learn accounts from: long enough for labels to arrive, with more fraud than a shop has.

    Args:
        users: of the largest; the smallest has half of them.
    """
    rng = np.random.default_rng([seed, 0x6E])
    kinds = rng.permutation(len(TYPOLOGIES))[: rng.integers(3, len(TYPOLOGIES) + 1)]
    spec = WorldSpec(
        seed=seed,
        users=int(rng.integers(users // 2, users + 1)),
        days=int(rng.integers(80, 131)),
        ring_share=_between(rng, 0.01, 0.08),
        typologies=tuple(TYPOLOGIES[kind] for kind in sorted(kinds.tolist())),
        max_members=int(rng.integers(12, 41)),
        label_missing=float(rng.uniform(0.05, 0.4)),
        label_wrong=float(rng.uniform(0.0, 0.05)),
    )
    return Draw(spec, REPORTS[seed % len(REPORTS)], labelled=False)


def draw_shop(seed: int, users: int) -> Draw:
    """Returns a world to judge rings in: of any length, with as little fraud as a shop has, mostly unlabelled."""
    rng = np.random.default_rng([seed, 0x73])
    spec = WorldSpec(
        seed=seed,
        users=int(rng.integers(users // 2, users + 1)),
        days=int(rng.integers(25, 91)),
        ring_share=_between(rng, 0.005, 0.02),
    )
    return Draw(spec, REPORTS[seed % len(REPORTS)], labelled=bool(rng.random() < 0.25))


def replay_world(drawn: Draw, number: int) -> Stream:
    """Returns a world's slices with the truth about it, which only calibration and evaluation of rings may look at.

    The log of labels has what the world's banks and analysts reported, whether or not that is in the stream; the engine
    sees it only there.
    """
    world = simulate(drawn.spec)
    engine = Engine(LinkPolicy(), EngineRules(), StructuralScorer())
    stream = replay_slices(lines_of(world, drawn), cuts_of(drawn.spec), engine, world=number)
    stream.labels = labels_of(world)
    tell_truth(stream.slices, truth_of(world))
    return stream


def cuts_of(spec: WorldSpec) -> list[Cut]:
    """Returns when a world is read: every `EVERY_DAYS`, and at its end; labels count until that."""
    moments = range(spec.start_ms + EVERY_DAYS * DAY_MS, spec.end_ms, EVERY_DAYS * DAY_MS)
    return [Cut(moment, spec.end_ms) for moment in (*moments, spec.end_ms)]


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def labels_of(world: World) -> LabelLog:
    """Returns what was reported about accounts, late and noisy as it is; never what is true."""
    orders, first = np.unique(world.events.order, return_index=True)
    placed = orders != NONE
    users = world.pools.text(EntityKind.USER, world.events.user[first[placed]])
    user_of = dict(zip(world.pools.order_ids(orders[placed]), users, strict=True))
    log = LabelLog()
    for number, told in enumerate(world.labels):
        kind, _, name = told.target.partition(":")
        user = name if kind == "user" else user_of.get(name)
        if user is not None and told.arrived_ms < world.spec.end_ms:
            key = f"{number}".encode()
            log.labels[key] = Label(user, told.value == "fraud", told.about_ms, told.arrived_ms, told.source, key)
    return log


def tell_truth(slices: Sequence[Slice], truth: Truth) -> None:
    """Says of each ring and account of each slice what it is.

    A group is a ring by majority of its members, victims of the ring among them (`training.worlds`).
    """
    members = {user for ring in truth.rings for user in ring.members}
    victims = {user for ring in truth.rings for user in ring.victims}
    for each in slices:
        teams = [[each.names[row] for row in team.tolist()] for team in each.rings.teams()]
        each.is_ring = np.array([true_ring(team, truth.ring_of) is not None for team in teams], np.bool_)
        each.is_fraud = np.array(
            [POSITIVE if name in members else UNKNOWN if name in victims else NEGATIVE for name in each.names], np.int8
        )


def lines_of(world: World, drawn: Draw) -> Iterator[bytes]:
    """Returns what a world's stream holds, a JSON line for each event."""
    lines = with_labels(world) if drawn.labelled else events_of(world)
    if drawn.reports == THIN:
        return thin_shop(lines)
    return payments(lines, drawn.spec.seed) if drawn.reports == PAYMENTS else iter(lines)


def payments(lines: Iterable[bytes], seed: int) -> Iterator[bytes]:
    """Yields a shop's events as a payment platform would have recorded them.

    Devices and cards are known by the day on which an account used them; an order is money sent to some account that
    is there already, half of the time one that got money before.
    """
    rng = np.random.default_rng([seed, 0x70])
    accounts: set[str] = set()
    names: list[str] = []
    receivers: list[str] = []
    for _, day in groupby(map(msgspec.json.decode, lines), key=lambda event: event["ts"][:10]):
        logins, others = [], []
        for event in day:
            user = event.get("user_id")
            if event["type"] in ("label", "chargeback"):
                others.append(event)
                continue
            if user not in accounts:
                accounts.add(user)
                names.append(user)
            used = {name: event[name] for name in ("device_id", "card") if name in event}
            if used:
                start = {
                    "type": "login",
                    "event_id": f"{event['event_id']}-seen",
                    "ts": f"{event['ts'][:10]}T00:00:00Z",
                }
                logins.append({**start, "user_id": user, **used})
            if event["type"] != "order" or "amount" not in event:
                continue
            pool = receivers if receivers and rng.random() < 0.5 else names
            receiver = pool[int(rng.integers(len(pool)))]
            if receiver != user:
                receivers.append(receiver)
                kept = {name: event[name] for name in ("event_id", "ts", "user_id", "amount", "currency")}
                others.append({**kept, "type": "transfer", "to_user_id": receiver})
        yield from map(msgspec.json.encode, [*logins, *others])
