"""Streams whose truth is known: simulated shops, rings planted into the real payments; and worlds to learn from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path

import msgspec
import numpy as np

from fraudgraph.durations import DAY_MS
from fraudgraph.engine import Engine, EngineRules
from fraudgraph.events.kinds import EntityKind, EventType, Status
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.scoring.bundle import Bundle
from fraudgraph.scoring.structural import StructuralScorer
from fraudgraph.simulate.identifiers import NONE
from fraudgraph.simulate.spec import WorldSpec
from fraudgraph.simulate.world import World, simulate
from training.evaluation.learn import Teaching
from training.evaluation.observe import Losses, Observed
from training.evaluation.plan import Planted, Simulated
from training.gnn.dataset import Slice, Stream, slices_of_stream
from training.gnn.from_worlds import replay_roles, slices_of
from training.gnn.recipe import Progress, Recipe, teaching
from training.gnn.worlds import labels_of, tell_truth
from training.labels import LabelLog
from training.planted import load_background, plant
from training.replay import passing_decoder
from training.ring_truth import Truth, truth_of
from training.ring_watch import Line
from training.splits import Cut
from training.worlds import events_of


def teaching_of(recipe: Recipe, bundle: Bundle | None, progress: Progress) -> Teaching:
    """Returns what models learn from: the worlds that the bundle was made of, in the same parts."""
    streams = replay_roles(recipe, ("fit", "stop", "calibrate", "rings"), progress)
    for stream in streams["calibrate"]:
        stream.tell_known()
    return Teaching(
        fit=teaching(streams["fit"]),
        stop=teaching(streams["stop"]),
        calibrate=teaching(streams["calibrate"]),
        rings=slices_of(streams["rings"]),
        positive_share=recipe.network.positive_share,
        half_life_ms=recipe.network.schema.half_life_ms,
        seed=recipe.network.seed,
        kind=recipe.calibration,
        bundle=bundle,
    )


def simulated(plan: Simulated) -> Iterator[Observed]:
    """Yields the simulated shops; what banks and analysts report is known when it arrives, wrong where it is wrong."""
    for seed in plan.range:
        world = simulate(WorldSpec(seed=seed, users=plan.users, days=plan.days))
        cuts = _cuts(world.spec.start_ms, plan.first_day, plan.every_days, world.spec.end_ms)
        truth = truth_of(world)
        yield Observed(read(events_of(world), cuts, seed, truth, labels_of(world)), truth, losses_of(world))


def planted(plan: Planted, folder: Path) -> Iterator[Observed]:
    """Yields the real payments with rings in them. Of the real fraud nothing is known, and it counts as honest."""
    background = load_background(folder)
    for seed in plan.range:
        lines, truth = plant(background, seed, plan.members)
        cuts = _cuts(background.start_ms, plan.first_day, plan.every_days, background.end_ms)
        values = (line for _, line in lines)
        yield Observed(read(values, cuts, seed, truth, LabelLog()), truth, planted_losses(lines, truth))


def read(lines: Iterable[bytes], cuts: list[Cut], number: int, truth: Truth, known: LabelLog) -> Iterator[Slice]:
    """Yields the slices of a stream with the truth told, one at a time."""
    engine, stream = Engine(LinkPolicy(), EngineRules(), StructuralScorer()), Stream([])
    for piece in slices_of_stream(lines, cuts, engine, stream, decoder=passing_decoder(), world=number):
        tell_truth([piece], truth)
        Stream([piece], labels=known).tell_known()
        yield piece


def losses_of(world: World) -> Losses:
    """Returns the amounts of the orders that rings made and that went through."""
    events = world.events
    went = (events.ring != NONE) & (events.type == EventType.ORDER) & (events.status == Status.APPROVED)
    rows = np.flatnonzero(went)
    return Losses(
        world.pools.text(EntityKind.USER, world.events.user[rows]), world.events.ts[rows], world.events.amount[rows]
    )


class _Transfer(msgspec.Struct):
    event_id: str
    type: str
    user_id: str
    amount: str = "0"


_DECODER = msgspec.json.Decoder(_Transfer)


def planted_losses(lines: Iterable[Line], truth: Truth) -> Losses:
    """Returns the amounts that planted rings sent away, from accounts of theirs and from those that they took over."""
    rows = []
    for ts, line in lines:
        if b'"planted-' not in line:
            continue
        event = _DECODER.decode(line)
        if event.type == "transfer" and event.event_id.startswith("planted-") and event.user_id in truth.ring_of:
            rows.append((event.user_id, ts, int(Decimal(event.amount).scaleb(2))))
    users = [user for user, _, _ in rows]
    return Losses(
        users, np.array([ts for _, ts, _ in rows], np.int64), np.array([minor for _, _, minor in rows], np.int64)
    )


def _cuts(start_ms: int, first_day: int, every_days: int, end_ms: int) -> list[Cut]:
    moments = range(start_ms + first_day * DAY_MS, end_ms + 1, every_days * DAY_MS)
    return [Cut(moment, moment) for moment in moments]
