"""Gives a bundle its event head: out of worlds, or a shop's own orders after those that its model learnt from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from fraudgraph.durations import DAY_MS
from fraudgraph.engine import Engine
from fraudgraph.engine_rules import EngineRules
from fraudgraph.errors import UsageError
from fraudgraph.events.decoder import Decoder
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.scoring.bundle import Bundle
from fraudgraph.scoring.structural import StructuralScorer
from fraudgraph.simulate.world import simulate
from training.gnn.recipe import Progress, Recipe
from training.gnn.worlds import PAYMENTS, Draw, lines_of
from training.prepared import Prepared
from training.replay import EVENTS_PER_COMMIT, Events, EventSource, passing_decoder, raw_batches
from training.trees.orders import (
    ORDER_PRIOR,
    EventSettings,
    Examples,
    FittedHead,
    OrderLog,
    Period,
    drawn,
    fit_head,
    read_orders,
)
from training.worlds import with_labels

_GROWING_DAYS = 15
"""Of a world, in which its graph has to grow first."""


def head_on_stream(
    recipe: Recipe,
    bundle: Bundle,
    ready: Prepared,
    data: Events,
    *,
    make_engine: Callable[[], Engine],
    decoder: Decoder,
    progress: Progress,
    say: Callable[[str], None],
) -> Bundle:
    """Returns the bundle with an event head, or as it is where too few orders were reported, which is said.

    It learns from orders after all that the accounts' model was fitted on, with labels until the last cut, and is
    calibrated on later ones still.
    """
    settings, split = recipe.event_head, ready.split
    if settings is None:
        return bundle
    progress("reading orders")
    log = order_log(data, decoder)
    until_ms, end_ms = split.calibrate.cut_ms - ready.maturity_ms, split.calibrate.label_cut_ms
    periods = (
        Period(split.fit[-1].cut_ms + recipe.horizon_ms, until_ms, split.calibrate.cut_ms),
        Period(until_ms, end_ms, end_ms),
    )
    targets = [
        drawn(log.targets(period, ready.maturity_ms, keep_known=recipe.labels.keep_known), settings.most_orders, place)
        for place, period in enumerate(periods, settings.seed)
    ]
    made = make_engine()

    def read(place: int) -> Examples:
        engine = Engine(made.policy, made.rules, StructuralScorer(), bundle=bundle)
        return read_orders(data, engine, targets[place], decoder=decoder, events_per_commit=ready.survey.commit)

    return _with_head(
        bundle,
        say,
        lambda: fit_head(
            [read(0)],
            [read(1)],
            settings=settings,
            schema=bundle.manifest.schema,
            calibration=recipe.calibration,
            prior=None,
            name=recipe.name,
            data="the shop's own orders, later ones than its accounts' model learnt from",
            cut_ms=end_ms,
        ),
    )


def head_on_worlds(
    recipe: Recipe,
    bundle: Bundle,
    fit: Sequence[Draw],
    later: Sequence[Draw],
    maturity_ms: int,
    *,
    progress: Progress,
    say: Callable[[str], None],
) -> Bundle:
    """Returns the bundle with an event head that learnt from worlds which its accounts' model has not seen.

    Args:
        fit, later: worlds to learn from, and to calibrate and measure on; payment platforms among them have no orders.
    """
    settings = recipe.event_head
    if settings is None:
        return bundle
    show, done = progress("reading orders of worlds"), 0
    parts: tuple[list[Examples], list[Examples]] = ([], [])
    for place, draws in enumerate((fit, later)):
        for each in draws:
            if each.reports != PAYMENTS:
                parts[place].append(_orders_of(each, bundle, settings, maturity_ms, recipe.labels.keep_known))
            done += 1
            show(done, len(fit) + len(later), f"{sum(map(len, parts[place])):,} orders")
    return _with_head(
        bundle,
        say,
        lambda: fit_head(
            *parts,
            settings=settings,
            schema=bundle.manifest.schema,
            calibration=recipe.calibration,
            prior=ORDER_PRIOR,
            name=recipe.name,
            data=f"orders of {len(parts[0])} simulated worlds that its accounts' model did not learn from",
            cut_ms=max(each.spec.end_ms for each in (*fit, *later)),
        ),
    )


def order_log(events: Events, decoder: Decoder) -> OrderLog:
    """Returns all orders of a stream and what was said of them."""
    log = OrderLog()
    for raw in raw_batches(events):
        log.take(decoder.decode(raw))
    if isinstance(events, EventSource):
        log.add(events.labels)
    return log


def _orders_of(each: Draw, bundle: Bundle, settings: EventSettings, maturity_ms: int, keep_known: bool) -> Examples:
    world, spec = simulate(each.spec), each.spec
    # What banks report is known of every world, whether or not it is in the shop's own stream.
    log = order_log(with_labels(world), passing_decoder())
    period = Period(spec.start_ms + _GROWING_DAYS * DAY_MS, spec.end_ms, spec.end_ms)
    wanted = drawn(log.targets(period, maturity_ms, keep_known=keep_known), settings.most_orders, settings.seed)
    engine = Engine(LinkPolicy(), EngineRules(), StructuralScorer(), bundle=bundle)
    return read_orders(
        lines_of(world, each), engine, wanted, decoder=passing_decoder(), events_per_commit=EVENTS_PER_COMMIT
    )


def _with_head(bundle: Bundle, say: Callable[[str], None], fitted: Callable[[], FittedHead]) -> Bundle:
    try:
        head = fitted()
    except UsageError as error:
        say(f"no event head: {error.what}")
        return bundle
    say(f"event head: {head.note.rounds} trees on {head.note.orders:,} orders, {head.note.positives:,} of them fraud")
    metrics = (*bundle.manifest.metrics, *head.metrics)
    return replace(
        bundle, manifest=replace(bundle.manifest, event_head=head.note, metrics=metrics), event_trees=head.trees
    )
