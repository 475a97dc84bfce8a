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
from training.gnn.dataset import Slice, Stream
from training.gnn.measure import figures, metrics
from training.gnn.recipe import Progress, Recipe, bundle_of, calibrate, head_of, saying, structural, teaching
from training.gnn.train import train, user_logits
from training.gnn.worlds import Draw, draw, draw_shop, replay_world
from training.labels import maturity_ms

CAUTION = (
    "It has seen simulated worlds only, by the same hands as the detector: on a real stream it may be worth nothing.",
    "Its worlds have five kinds of ring; whatever does not look like one of them is not known to it.",
    "It learnt from reports: fraud that banks and analysts seldom report looks clean to it.",
    "Accounts that were taken over are victims; it says who is tied to fraud, not who is to blame.",
    "Its probabilities assume 1 % fraud among accounts and 2 % rings among candidates; yours may differ.",
)


def train_on_worlds(
    recipe: Recipe, *, progress: Progress, say: Callable[[str], None], checkpoint: Path | None = None
) -> Bundle:
    """Simulates, replays, trains, calibrates and measures; the same recipe gives the same bundle.

    Raises:
        UsageError: the worlds hold too little to learn from.
    """
    plan = recipe.worlds
    learn, shop = partial(draw, users=plan.users), partial(draw_shop, users=plan.shop_users)
    draws = {
        "fit": [learn(seed) for seed in _seeds(plan.fit)],
        "stop": [learn(seed) for seed in _seeds(plan.stop)],
        "calibrate": [learn(seed) for seed in _seeds(plan.calibrate)],
        "rings": [shop(seed) for seed in _seeds(plan.rings)],
        "check": [shop(seed) for seed in _seeds(plan.check)],
    }
    streams = {role: replay_all(of_role, role, plan.workers, progress) for role, of_role in draws.items()}
    mature_ms = _maturity_ms(streams["fit"], draws["fit"])
    for role in ("fit", "stop", "calibrate"):
        for stream in streams[role]:
            stream.aim(recipe.horizon_ms, mature_ms, keep_known=recipe.labels.keep_known)
    fit = teaching(streams["fit"])
    trained = train(
        recipe.network, fit, teaching(streams["stop"]), folder=checkpoint, show=progress("training the network")
    )
    say(f"kept epoch {trained.epoch}, average precision {trained.stop_precision:.3f} on the stopping worlds")
    logits = partial(user_logits, trained.model)
    calibration = calibrate(logits, teaching(streams["calibrate"]), recipe.calibration)
    head = head_of(logits, calibration, slices_of(streams["rings"]))
    models = {"structural-1": structural, f"network-1/{recipe.name}": saying(logits, calibration, head)}
    found = figures(
        [[(piece, {name: of(piece) for name, of in models.items()}) for piece in s.slices] for s in streams["check"]]
    )
    everything = [drawn for of_role in draws.values() for drawn in of_role]
    return bundle_of(
        recipe,
        trained,
        calibration,
        head,
        fit=fit,
        data=f"{len(draws['fit'])} simulated worlds of up to {plan.users:,} accounts; rings on"
        f" {len(draws['rings'])} others; measured on {len(draws['check'])} more",
        data_hash=hash_of(everything),
        seeds={role: tuple(drawn.spec.seed for drawn in of_role) for role, of_role in draws.items()},
        caution=CAUTION,
        metrics=metrics(found, "simulated, held out"),
        policy=LinkPolicy(),
    )


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


def _maturity_ms(streams: Sequence[Stream], draws: Sequence[Draw]) -> int:
    """Returns the median over worlds of how long reports take."""
    each = [
        maturity_ms(stream.labels.labels.values(), drawn.spec.end_ms)
        for stream, drawn in zip(streams, draws, strict=True)
    ]
    return int(np.median([value for value in each if value >= 0] or [0]))


def _seeds(span: tuple[int, int]) -> range:
    first, count = span
    return range(first, first + count)
