"""A bundle from a shop's own events: split by time, labels by their clock, one replay through the shop's engine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from fraudgraph.durations import DAY_MS
from fraudgraph.engine import Engine
from fraudgraph.errors import UsageError
from fraudgraph.events.decoder import Decoder
from fraudgraph.graph.types import F64, I32
from fraudgraph.scoring.bundle import Bundle
from fraudgraph.scoring.manifest import Metric
from fraudgraph.scoring.ring_head import RING_SUMMARIES, RingHead
from training.gnn.dataset import Slice, replay_slices
from training.gnn.measure import Bool
from training.gnn.recipe import Logits, Progress, Recipe, bundle_of, calibrate, head_of
from training.gnn.train import train, user_logits
from training.labels import POSITIVE, UNKNOWN, LabelLog, Targets, maturity_ms
from training.replay import EVENTS_PER_COMMIT, raw_batches
from training.ring_figures import resamples
from training.splits import by_time, components, disjoint

SMALLEST_COMMIT = 20
MIN_RINGS = 20
"""Rings with reported fraud below which a ring head would be fitted to chance."""
REPORTED_SHARE = 1 / 3
"""Of a ring's known members, from which it counts as one; at least two of them. Half of the members of a ring are never
reported."""

CAUTION = (
    "It learnt from reports: fraud that nobody reported was shown to it as clean.",
    "Its probabilities assume 1 % fraud among accounts; compare them with decisions once there are some dozens.",
)
NO_HEAD = (f"Fewer than {MIN_RINGS} rings of the stream had reports: its ring head is the structural scorer alone.",)


def train_on_stream(
    recipe: Recipe,
    data: Path,
    *,
    make_engine: Callable[[], Engine],
    decoder: Decoder,
    progress: Progress,
    say: Callable[[str], None],
    checkpoint: Path | None = None,
) -> Bundle:
    """Reads the labels, splits by time, replays, trains and calibrates.

    Raises:
        UsageError: the stream is too short, or holds too few labels.
    """
    say("reading the labels")
    log, first_ms, last_ms, events, digest = _survey(data, decoder)
    mature_ms = maturity_ms(log.labels.values(), last_ms)
    if mature_ms < 0:
        raise UsageError("no label and no chargeback says fraud", do="Add labels to the events, or use --worlds.")
    plan = recipe.labels
    split = by_time(first_ms, last_ms, fit_cuts=plan.fit_cuts, horizon_ms=recipe.horizon_ms, maturity_ms=mature_ms)
    say(f"{len(log.labels):,} labels; 9 of 10 reports arrive within {mature_ms / DAY_MS:.0f} days")
    show = progress("replaying the events")
    stream = replay_slices(
        data,
        [*split.fit, split.stop, split.calibrate],
        engine := make_engine(),
        decoder=decoder,
        events_per_commit=max(SMALLEST_COMMIT, min(EVENTS_PER_COMMIT, events // 200)),
        show=show,
    )
    stream.aim(recipe.horizon_ms, mature_ms, keep_known=plan.keep_known)
    *fit, stop, last = stream.slices
    if plan.disjoint:
        _keep_apart(fit, stop)
        _keep_apart([*fit, stop], last)
    trained = train(recipe.network, fit, [stop], folder=checkpoint, show=progress("training the network"))
    logits = partial(user_logits, trained.model)
    if not (_targets(last).target == POSITIVE).any():
        raise UsageError("no account of the last slice is positive", do="Give a longer stream, or more labels in it.")
    calibration = calibrate(logits, [last], recipe.calibration)
    last.is_ring = _reported(last)
    enough = int(last.is_ring.sum()) >= MIN_RINGS
    head = head_of(logits, calibration, [last]) if enough else RingHead(0.0, 1.0, (0.0,) * len(RING_SUMMARIES))
    return bundle_of(
        recipe,
        trained,
        calibration,
        head,
        fit=fit,
        data=f"a shop's own {stream.events:,} events, split by time"
        + (", components kept apart" if plan.disjoint else ""),
        data_hash=digest,
        seeds={},
        caution=CAUTION if enough else (*CAUTION, *NO_HEAD),
        metrics=[_precision(logits, last, recipe.name)],
        policy=engine.policy,
    )


def _survey(data: Path, decoder: Decoder) -> tuple[LabelLog, int, int, int, str]:
    """Returns all labels, the first and last event time, how many events, and a digest of their bytes."""
    log, digest = LabelLog(), hashlib.blake2b(digest_size=8)
    first_ms, last_ms, events = np.iinfo(np.int64).max, 0, 0
    for raw in raw_batches(data):
        for value in raw.values:
            digest.update(value)
        batch = decoder.decode(raw)
        log.take(batch)
        events += len(batch)
        if len(batch):
            first_ms = min(first_ms, int(batch.ts_ms.min()))
            last_ms = max(last_ms, int(batch.ts_ms.max()))
    return log, first_ms, last_ms, events, digest.hexdigest()


def _targets(piece: Slice) -> Targets:
    assert piece.targets is not None
    return piece.targets


def _components(piece: Slice) -> I32:
    """Returns the component of each account over links that carry messages, `[u]`."""
    _, a, b, _ = piece.graph.messages(None)
    return components(len(piece.graph.kind), a, b)[2 * piece.users]


def _keep_apart(earlier: list[Slice], later: Slice) -> None:
    """Leaves out of a later slice whoever shares a component with an account that an earlier one taught."""
    learnt = frozenset(
        name
        for piece in earlier
        for name, target in zip(piece.names, _targets(piece).target.tolist(), strict=True)
        if target != UNKNOWN
    )
    targets, kept = _targets(later), disjoint(_components(later), later.names, learnt)
    later.targets = Targets(
        np.where(kept, targets.target, UNKNOWN).astype(np.int8), np.where(kept, targets.weight, 0.0)
    )


def _reported(piece: Slice) -> Bool:
    """Returns which rings have enough members with a report, `[r]`."""
    target = _targets(piece).target
    out = []
    for team in piece.rings.teams():
        known = target[team][target[team] != UNKNOWN]
        fraud = int((known == POSITIVE).sum())
        out.append(fraud >= 2 and fraud >= REPORTED_SHARE * len(known))
    return np.array(out, np.bool_)


def _precision(logits: Logits, piece: Slice, name: str) -> Metric:
    """Returns the average precision on the last slice; resampled are components, whose accounts depend."""
    from sklearn.metrics import average_precision_score

    target = _targets(piece).target
    known = target != UNKNOWN
    said, truth = logits(piece)[0][known], target[known] == POSITIVE
    component = np.unique(_components(piece)[known], return_inverse=True)[1]

    def figure(weights: F64) -> float:
        each = weights[component]
        return float(average_precision_score(truth, said, sample_weight=each)) if each[truth].any() else float("nan")

    drawn = resamples(int(component.max()) + 1)[:200]
    low, high = np.nanquantile([figure(weights) for weights in drawn], (0.025, 0.975))
    value = figure(np.ones(int(component.max()) + 1))
    return Metric("later time", "user", "average precision", f"network-1/{name}", value, float(low), float(high))
