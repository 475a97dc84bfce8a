"""A shop's own events, back-tested from several origins: each time everything is learnt from the past only.

Readings lie between the first origin and the last moment whose frauds have been reported by the stream's end. Each is
judged by the models of the latest origin before it, which were fitted, stopped and calibrated on cuts whose labels had
arrived by that origin.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fraudgraph.durations import DAY_MS
from fraudgraph.engine import Engine
from fraudgraph.errors import UsageError
from fraudgraph.events.decoder import Decoder
from fraudgraph.events.kinds import EventType
from training.evaluation.compare import Comparison, compare
from training.evaluation.learn import NETWORK, TREES_C_RINGS, Teaching, learn
from training.evaluation.observe import Losses, Model
from training.evaluation.plan import Origins, Plan
from training.gnn.dataset import Slice, Stream, replay_slices
from training.gnn.measure import Said
from training.gnn.recipe import Progress, Recipe
from training.gnn.train import train
from training.labels import LabelLog, maturity_ms
from training.prepared import keep_apart, survey
from training.replay import Events, raw_batches
from training.splits import Cut, TimeSplit, by_time

NEEDS_RING_TRUTH = (TREES_C_RINGS, "trees (d) with ring head")
NEEDS_NETWORK = (NETWORK, "trees (d)")


@dataclass(frozen=True, slots=True)
class Origin:
    """A moment from which the past is learnt and the future judged."""

    at_ms: int
    split: TimeSplit


@dataclass(frozen=True, slots=True)
class BackTest:
    """What came of it.

    Attributes:
        origins: in order of time. readings: cuts that were judged.
        left_out: models that a stream without truth about rings, or without a network, cannot have.
    """

    comparison: Comparison
    origins: tuple[Origin, ...]
    readings: tuple[Cut, ...]
    maturity_ms: int
    left_out: tuple[str, ...]


def back_test(
    plan: Plan,
    recipe: Recipe,
    data: Events,
    *,
    make_engine: Callable[[], Engine],
    decoder: Decoder,
    progress: Progress,
    say: Callable[[str], None],
) -> BackTest:
    """Learns at each origin and measures on what follows.

    Args:
        make_engine, decoder: as the shop has them; the decoder's key may be any.

    Raises:
        UsageError: the stream is too short, or nobody ever said fraud.
    """
    say("reading the labels")
    seen = survey(data, decoder)
    mature_ms = maturity_ms(seen.labels.labels.values(), seen.last_ms)
    if mature_ms < 0:
        raise UsageError("no label and no chargeback says fraud", do="Add labels to the events, or use --worlds.")
    horizon_ms = plan.origins.horizon_days * DAY_MS
    origins = origins_of(seen.labels, seen.first_ms, seen.last_ms, mature_ms, plan.origins)
    readings = readings_of(origins, seen.last_ms, horizon_ms + mature_ms, plan.origins)
    moments = sorted({cut.cut_ms for origin in origins for cut in _cuts(origin)} | {cut.cut_ms for cut in readings})
    stream = replay_slices(
        data,
        [Cut(moment, moment) for moment in moments],
        make_engine(),
        decoder=decoder,
        events_per_commit=seen.commit,
        show=progress("replaying the events"),
    )
    stream.labels = seen.labels
    stream.tell_known()
    at = {piece.cut.cut_ms: piece for piece in stream.slices}

    def aimed(cuts: Sequence[Cut]) -> list[Slice]:
        some = Stream([replace(at[cut.cut_ms], cut=cut) for cut in cuts], seen.labels, stream.last_ms)
        some.aim(horizon_ms, mature_ms)
        return some.slices

    names = [name for name in plan.models if name not in NEEDS_RING_TRUTH]
    if not plan.origins.network:
        names = [name for name in names if name not in NEEDS_NETWORK]
    by_origin, tested = [], []
    for number, origin in enumerate(origins):
        say(f"origin {number + 1} of {len(origins)}")
        fit, (stop, last) = aimed(origin.split.fit), aimed([origin.split.stop, origin.split.calibrate])
        by_origin.append(learn(names, _teaching(plan, recipe, fit, stop, last, progress), say))
        later = aimed([cut for cut in readings if origin_of(origins, cut.cut_ms) == number])
        if plan.origins.disjoint:
            for piece in later:
                keep_apart([*fit, stop, last], piece)
        tested += later
    comparison = compare(
        {name: _of_origin(name, by_origin, origins) for name in names},
        tested,
        losses=losses_of(data, decoder),
        budgets=plan.budgets,
        resamples=plan.origins.resamples,
    )
    return BackTest(comparison, origins, readings, mature_ms, tuple(name for name in plan.models if name not in names))


def origins_of(labels: LabelLog, first_ms: int, last_ms: int, mature_ms: int, plan: Origins) -> tuple[Origin, ...]:
    """Returns the origins, evenly from the first that has a past long enough to the last that can be judged.

    How long reports take is estimated at each origin from the labels that had arrived by then.

    Raises:
        UsageError: there is no such moment.
    """
    horizon_ms = plan.horizon_days * DAY_MS
    gap_ms = horizon_ms + mature_ms
    latest_ms = last_ms - gap_ms
    # Learning takes three gaps and a sixth of the past to grow a graph in (`training.splits.by_time`).
    earliest_ms = first_ms + int(3.6 * gap_ms) + DAY_MS
    if earliest_ms > latest_ms:
        raise UsageError(
            f"a stream of {(last_ms - first_ms) / DAY_MS:.0f} days is too short to learn from its past and to be"
            f" judged on what follows, since a report of fraud takes up to {mature_ms / DAY_MS:.0f} days here",
            do=f"Give at least {(4.6 * gap_ms) / DAY_MS + 2:.0f} days, or a shorter horizon_days.",
        )
    out = []
    for moment in np.linspace(earliest_ms, latest_ms, plan.count + 1)[: plan.count].astype(np.int64).tolist():
        then_ms = maturity_ms(labels.labels.values(), moment)
        if then_ms < 0 or moment - first_ms < 3.6 * (horizon_ms + then_ms):
            continue
        split = by_time(first_ms, moment, fit_cuts=plan.fit_cuts, horizon_ms=horizon_ms, maturity_ms=then_ms)
        out.append(Origin(moment, split))
    if not out:
        raise UsageError(
            "no origin has enough labels before it", do="Give a longer stream, or one whose labels begin earlier."
        )
    return tuple(out)


def readings_of(origins: Sequence[Origin], last_ms: int, gap_ms: int, plan: Origins) -> tuple[Cut, ...]:
    """Returns the cuts to judge, evenly from the first origin on; their labels count until the stream's end."""
    moments = np.linspace(origins[0].at_ms, last_ms - gap_ms, plan.readings).astype(np.int64)
    return tuple(Cut(moment, last_ms) for moment in np.unique(moments).tolist())


def origin_of(origins: Sequence[Origin], cut_ms: int) -> int:
    """Returns the number of the latest origin that is not after a cut."""
    return int(np.searchsorted([origin.at_ms for origin in origins], cut_ms, side="right")) - 1


def losses_of(data: Events, decoder: Decoder) -> Losses | None:
    """Returns what banks took back, at the time of the order, in the currency that most of it has; None where nothing.

    A chargeback about an order that was never seen counts when it arrived, with its own amount.
    """
    orders: dict[bytes, tuple[str, int, int, int]] = {}
    rows: list[tuple[str, int, int, int]] = []
    for raw in raw_batches(data):
        batch = decoder.decode(raw)
        for i in np.flatnonzero(np.isin(batch.type, (EventType.ORDER, EventType.CHARGEBACK))).tolist():
            key = batch.order_key[i]
            row = (batch.user[i], int(batch.ts_ms[i]), int(batch.amount_minor[i]), int(batch.currency[i]))
            if batch.type[i] == EventType.CHARGEBACK:
                rows.append(row if key is None else orders.get(key, row))
            elif key is not None:
                orders.setdefault(key, row)
    if not rows:
        return None
    common = Counter(currency for *_, currency in rows).most_common(1)[0][0]
    kept = [row for row in rows if row[3] == common]
    users, ts_ms, minor, _ = zip(*kept, strict=True)
    return Losses(users, np.array(ts_ms, np.int64), np.array(minor, np.int64))


def _cuts(origin: Origin) -> list[Cut]:
    return [*origin.split.fit, origin.split.stop, origin.split.calibrate]


def _teaching(plan: Plan, recipe: Recipe, fit: list[Slice], stop: Slice, last: Slice, progress: Progress) -> Teaching:
    weights = None
    if plan.origins.network and any(name in plan.models for name in NEEDS_NETWORK):
        weights = train(recipe.network, fit, [stop], show=progress("training the network")).model.export()
    return Teaching(
        fit=fit,
        stop=[stop],
        calibrate=[last],
        rings=(),
        positive_share=recipe.network.positive_share,
        half_life_ms=recipe.network.schema.half_life_ms,
        seed=recipe.network.seed,
        kind=recipe.calibration,
        weights=weights,
    )


def _of_origin(name: str, by_origin: Sequence[Mapping[str, Model]], origins: Sequence[Origin]) -> Model:
    def say(piece: Slice) -> Said:
        return by_origin[origin_of(origins, piece.cut.cut_ms)][name](piece)

    return say
