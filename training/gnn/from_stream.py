"""A bundle from a shop's own events: split by time, labels by their clock, one replay through the shop's engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from fraudgraph.engine import Engine
from fraudgraph.errors import UsageError
from fraudgraph.events.decoder import Decoder
from fraudgraph.graph.types import F64
from fraudgraph.scoring.bundle import Bundle
from fraudgraph.scoring.manifest import Metric
from fraudgraph.scoring.ring_head import RING_SUMMARIES, RingHead
from training.event_heads import head_on_stream
from training.gnn.dataset import Slice
from training.gnn.measure import Bool
from training.gnn.recipe import Logits, Progress, Recipe, bundle_of, calibrate, head_of
from training.labels import POSITIVE, UNKNOWN
from training.learner import learn
from training.prepared import components_of, prepare, targets_of
from training.replay import Events
from training.ring_figures import resamples

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
    data: Events,
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
    plan, engine = recipe.labels, make_engine()
    ready = prepare(
        data,
        horizon_ms=recipe.horizon_ms,
        fit_cuts=plan.fit_cuts,
        keep_known=plan.keep_known,
        apart=plan.disjoint,
        make_engine=lambda: engine,
        decoder=decoder,
        show=progress("replaying the events"),
        say=say,
    )
    fit, stop, last = ready.fit, ready.stop, ready.last
    fitted = learn(recipe, fit, [stop], progress=progress, say=say, folder=checkpoint)
    logits = fitted.logits
    if not (targets_of(last).target == POSITIVE).any():
        raise UsageError("no account of the last slice is positive", do="Give a longer stream, or more labels in it.")
    calibration = calibrate(logits, [last], recipe.calibration)
    last.is_ring = _reported(last)
    enough = int(last.is_ring.sum()) >= MIN_RINGS
    head = head_of(logits, calibration, [last]) if enough else RingHead(0.0, 1.0, (0.0,) * len(RING_SUMMARIES))
    bundle = bundle_of(
        recipe,
        fitted,
        calibration,
        head,
        fit=fit,
        data=f"a shop's own {ready.stream.events:,} events, split by time"
        + (", components kept apart" if plan.disjoint else ""),
        data_hash=ready.survey.digest,
        seeds={},
        caution=CAUTION if enough else (*CAUTION, *NO_HEAD),
        metrics=[_precision(logits, last, f"{fitted.kind}-1/{recipe.name}")],
        policy=engine.policy,
    )
    return head_on_stream(
        recipe, bundle, ready, data, make_engine=make_engine, decoder=decoder, progress=progress, say=say
    )


def _reported(piece: Slice) -> Bool:
    """Returns which rings have enough members with a report, `[r]`."""
    target = targets_of(piece).target
    out = []
    for team in piece.rings.teams():
        known = target[team][target[team] != UNKNOWN]
        fraud = int((known == POSITIVE).sum())
        out.append(fraud >= 2 and fraud >= REPORTED_SHARE * len(known))
    return np.array(out, np.bool_)


def _precision(logits: Logits, piece: Slice, model: str) -> Metric:
    """Returns the average precision on the last slice; resampled are components, whose accounts depend."""
    from sklearn.metrics import average_precision_score

    target = targets_of(piece).target
    known = target != UNKNOWN
    said, truth = logits(piece)[0][known], target[known] == POSITIVE
    component = np.unique(components_of(piece)[known], return_inverse=True)[1]

    def figure(weights: F64) -> float:
        each = weights[component]
        return float(average_precision_score(truth, said, sample_weight=each)) if each[truth].any() else float("nan")

    drawn = resamples(int(component.max()) + 1)[:200]
    low, high = np.nanquantile([figure(weights) for weights in drawn], (0.025, 0.975))
    value = figure(np.ones(int(component.max()) + 1))
    return Metric("later time", "user", "average precision", model, value, float(low), float(high))
