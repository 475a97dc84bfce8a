"""A bundle from simulated worlds alone: what a shop has on its first day, before it has a label."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.scoring.bundle import Bundle
from training.event_heads import head_on_worlds
from training.gnn.dataset import Slice, Stream
from training.gnn.measure import figures, metrics
from training.gnn.recipe import (
    STRUCTURAL_NAME,
    Progress,
    Recipe,
    WorldPlan,
    bundle_of,
    calibrate,
    head_of,
    said_by,
    saying,
    structural,
    teaching,
)
from training.gnn.worlds import Draw, draw, draw_shop, replay_world
from training.labels import maturity_ms
from training.learner import learn

CAUTION = (
    "It has seen simulated worlds only, by the same hands as the detector: on a real stream it may be worth nothing.",
    "Its worlds have five kinds of ring; whatever does not look like one of them is not known to it.",
    "It learnt from reports: fraud that banks and analysts seldom report looks clean to it.",
    "Accounts that were taken over are victims; it says who is tied to fraud, not who is to blame.",
    "Its probabilities assume 1 % fraud among accounts and 2 % rings among candidates; yours may differ.",
)

ROLES = ("fit", "stop", "calibrate", "rings", "check")
SHOPS = ("rings", "check")
"""Roles whose worlds are drawn as shops, in which rings are judged; accounts are learnt from in the others."""


def train_on_worlds(
    recipe: Recipe, *, progress: Progress, say: Callable[[str], None], checkpoint: Path | None = None
) -> Bundle:
    """Simulates, replays, trains, calibrates and measures; the same recipe gives the same bundle.

    Raises:
        UsageError: the worlds hold too little to learn from.
    """
    draws = draws_of(recipe.worlds)
    streams = replay_roles(recipe, ROLES, progress)
    fit = teaching(streams["fit"])
    fitted = learn(recipe, fit, teaching(streams["stop"]), progress=progress, say=say, folder=checkpoint)
    logits = fitted.logits
    calibration = calibrate(logits, teaching(streams["calibrate"]), recipe.calibration)
    head = head_of(logits, calibration, slices_of(streams["rings"]))
    models = {STRUCTURAL_NAME: structural, f"{fitted.kind}-1/{recipe.name}": saying(logits, calibration, head)}
    found = figures([said_by(models, stream.slices) for stream in streams["check"]])
    bundle = bundle_of(
        recipe,
        fitted,
        calibration,
        head,
        fit=fit,
        data=f"{len(draws['fit'])} simulated worlds of up to {recipe.worlds.users:,} accounts; its ring head on"
        f" {len(draws['rings'])} others; measured on {len(draws['check'])} more",
        data_hash=hash_of(drawn for role in ROLES for drawn in draws[role]),
        seeds={role: tuple(drawn.spec.seed for drawn in draws[role]) for role in ROLES},
        caution=CAUTION,
        metrics=metrics(found, "simulated, held out"),
        policy=LinkPolicy(),
    )
    matures_ms = maturity_of(streams["fit"], draws["fit"])
    return head_on_worlds(recipe, bundle, draws["stop"], draws["calibrate"], matures_ms, progress=progress, say=say)


def draws_of(plan: WorldPlan) -> dict[str, list[Draw]]:
    """Returns the worlds of each role."""
    learn, shop = partial(draw, users=plan.users), partial(draw_shop, users=plan.shop_users)
    return {role: list(map(shop if role in SHOPS else learn, plan.seeds(role))) for role in ROLES}


def replay_roles(recipe: Recipe, roles: Sequence[str], progress: Progress) -> dict[str, list[Stream]]:
    """Returns the streams of some roles, `fit` among them, with targets where accounts are learnt from."""
    draws = draws_of(recipe.worlds)
    streams = {role: replay_all(draws[role], role, recipe.worlds.workers, progress) for role in roles}
    mature_ms = maturity_of(streams["fit"], draws["fit"])
    for role in roles:
        for stream in streams[role] if role not in SHOPS else ():
            stream.aim(recipe.horizon_ms, mature_ms, keep_known=recipe.labels.keep_known)
    return streams


def replay_all(draws: Sequence[Draw], what: str, workers: int, progress: Progress) -> list[Stream]:
    """Returns the streams of worlds, in order, replayed by some processes."""
    show, streams = progress(f"replaying worlds: {what}"), []
    numbers = [drawn.spec.seed for drawn in draws]

    def take(found: Iterable[Stream]) -> list[Stream]:
        for stream in found:
            streams.append(stream)
            show(len(streams), len(draws), f"{stream.events:,} events in the last")
        return streams

    if workers == 1:
        return take(map(replay_world, draws, numbers))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return take(pool.map(replay_world, draws, numbers))


def slices_of(streams: Iterable[Stream]) -> list[Slice]:
    """Returns all slices of all streams."""
    return [piece for stream in streams for piece in stream.slices]


def hash_of(draws: Iterable[Draw]) -> str:
    """Returns 16 hex digits that change with any world's spec or what it reports."""
    digest = hashlib.blake2b(digest_size=8)
    for drawn in draws:
        digest.update(f"{drawn.spec.hash} {drawn.reports} {drawn.labelled}\n".encode())
    return digest.hexdigest()


def maturity_of(streams: Sequence[Stream], draws: Sequence[Draw]) -> int:
    """Returns the median over worlds of how long reports take."""
    each = [
        maturity_ms(stream.labels.labels.values(), drawn.spec.end_ms)
        for stream, drawn in zip(streams, draws, strict=True)
    ]
    return int(np.median([value for value in each if value >= 0] or [0]))
