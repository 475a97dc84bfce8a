"""Puts what the engine found beside what its rivals find, in the same worlds and on the same links."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fraudgraph.alerts.policy import AlertPolicy
from fraudgraph.durations import DAY_MS
from fraudgraph.simulate.spec import TYPOLOGIES
from training.ring_figures import (
    F64,
    HONEST_USERS,
    Curve,
    Estimate,
    Point,
    median,
    point,
    precision_at,
    precision_gain,
    ratio,
)
from training.ring_truth import OVERLAP, Truth
from training.ring_watch import Calls, Line, Watch, calls_of, new_engine, run, standing
from training.rivals import COMPONENTS, LOUVAIN, LinkTable, Rival, first_found, links_of, teams

LINE = AlertPolicy().min_probability
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)


@dataclass(frozen=True, slots=True)
class Case:
    """One world after its stream has run: the engine's calls at the end and while it ran, and the rivals' at the end.

    A rival's score is the size of its group.
    """

    truth: Truth
    watch: Watch
    ours: Calls
    rivals: dict[Rival, Calls]
    links: LinkTable
    ends_ms: list[int]


@dataclass(frozen=True, slots=True)
class Detector:
    """What one detector does at one setting; delays in days from a ring's third linked account.

    Attributes:
        found: typology -> recall.
        delays: typology -> median delay; all rings under "".
        with_victims: recall of account takeovers where the accounts taken over count as members.
    """

    name: str
    point: Point
    found: dict[str, Estimate]
    delays: dict[str, Estimate]
    with_victims: Estimate | None = None


@dataclass(frozen=True, slots=True)
class Level:
    """Precision of each at one recall; `gain` is the engine's over the better rival, in the same worlds."""

    name: str
    recall: float
    ours: Estimate
    components: Estimate
    louvain: Estimate
    gain: Estimate


@dataclass(frozen=True, slots=True)
class Comparison:
    """All figures of some worlds.

    Attributes:
        online: while the stream ran, each ring judged when it was alerted; `standing`: at its end.
        candidates: recall of the living rings at any probability, at any time: the most that any scorer could reach.
        best_f1: of the engine, the components, Louvain, each at its best setting in hindsight.
    """

    rings: dict[str, int]
    linked: int
    worlds: int
    online: Detector
    standing: Detector
    components: Detector
    louvain: Detector
    candidates: Estimate
    best_f1: tuple[float, float, float]
    levels: list[Level]


def case_of(lines: Iterable[Line], truth: Truth, tick_ms: int, since_ms: int = 0) -> Case:
    """Runs a stream and returns what came of it; alerts before `since_ms` do not count."""
    engine, watch = new_engine(), Watch(truth, LINE, since_ms)
    ends_ms = list(run(lines, engine, tick_ms, watch.see))
    links = links_of(engine)
    rivals = {}
    for rival in (*COMPONENTS, *LOUVAIN):
        groups = teams(links.names, rival.groups(links))
        rivals[rival] = calls_of(groups, [float(len(group)) for group in groups], truth)
    return Case(truth, watch, standing(engine, truth), rivals, links, ends_ms)


def compare(cases: Sequence[Case], every_ms: int) -> Comparison:
    """Returns the figures of some worlds.

    Args:
        every_ms: event time between two runs of a rival, which are batch methods.
    """
    truths = [case.truth for case in cases]
    n = len(cases)
    ours = Curve([case.ours for case in cases], truths)
    component_curves = [Curve([case.rivals[rival] for case in cases], truths) for rival in COMPONENTS]
    louvain_curves = [Curve([case.rivals[rival] for case in cases], truths) for rival in LOUVAIN]
    components, component_f1 = _rival("components", COMPONENTS, component_curves, cases, every_ms)
    louvain, louvain_f1 = _rival("Louvain", LOUVAIN, louvain_curves, cases, every_ms)
    at_line = _standing_found(cases)
    named: list[tuple[str, float | Callable[[F64], float]]] = [
        ("its alert line", _recall_at(at_line, truths)),
        *((f"{level:.0%}", level) for level in LEVELS),
    ]
    everyone = np.ones(n)
    levels = [
        Level(
            name,
            recall(everyone) if callable(recall) else recall,
            precision_at([ours], recall, n),
            precision_at(component_curves, recall, n),
            precision_at(louvain_curves, recall, n),
            precision_gain(ours, [*component_curves, *louvain_curves], recall, n),
        )
        for name, recall in named
    ]
    return Comparison(
        rings={kind: sum(ring.typology == kind for truth in truths for ring in truth.rings) for kind in TYPOLOGIES},
        linked=sum(ring.linked_ms is not None for truth in truths for ring in truth.rings),
        worlds=n,
        online=_online(cases),
        standing=_detector("at the end", [case.ours for case in cases], LINE, truths, [{} for _ in cases]),
        components=components,
        louvain=louvain,
        candidates=ratio([len(case.watch.surest) for case in cases], [len(truth.rings) for truth in truths]),
        best_f1=(ours.best_f1()[0], component_f1, louvain_f1),
        levels=levels,
    )


def _standing_found(cases: Sequence[Case]) -> list[int]:
    return [len({verdict.ring for verdict in case.ours.at(LINE) if verdict.is_right}) for case in cases]


def _recall_at(found: Sequence[int], truths: Sequence[Truth]) -> Callable[[F64], float]:
    rings = np.array([len(truth.rings) for truth in truths], np.float64)
    right = np.array(found, np.float64)
    return lambda weights: float(weights @ right / (weights @ rings))


def _rival(
    name: str, variants: Sequence[Rival], curves: Sequence[Curve], cases: Sequence[Case], every_ms: int
) -> tuple[Detector, float]:
    """Returns a rival at the variant and least size with the best F1 in these very worlds, and that F1."""
    f1, min_users, rival = max(
        ((*curve.best_f1(), variant) for curve, variant in zip(curves, variants, strict=True)), key=lambda some: some[0]
    )
    found = [
        first_found(rival, int(min_users), case.links, case.truth, _moments(case.ends_ms, every_ms)) for case in cases
    ]
    truths = [case.truth for case in cases]
    calls = [case.rivals[rival] for case in cases]
    return _detector(f"{name}: {rival.name}, {min_users:.0f} or more users", calls, min_users, truths, found), f1


def _moments(ends_ms: Sequence[int], every_ms: int) -> list[int]:
    """Returns the first end in each span of that width, and the last."""
    spans = {end // every_ms: end for end in reversed(ends_ms)}
    return sorted({*spans.values(), ends_ms[-1]})


def _detector(
    name: str, calls: Sequence[Calls], line: float, truths: Sequence[Truth], found_ms: Sequence[dict[int, int]]
) -> Detector:
    right = [{verdict.ring for verdict in some.at(line) if verdict.is_right} for some in calls]
    whole = [{verdict.ring for verdict in some.at(line) if verdict.jaccard_all >= OVERLAP} for some in calls]
    return Detector(
        name,
        point(calls, truths, line),
        _recalls(right, truths),
        _delays(found_ms, truths),
        _recalls(whole, truths)["account_takeover"],
    )


def _online(cases: Sequence[Case]) -> Detector:
    truths = [case.truth for case in cases]
    alerts = [case.watch.alerts for case in cases]
    found = [set(case.watch.found_ms) for case in cases]
    figures = Point(
        recall=ratio([len(some) for some in found], [len(truth.rings) for truth in truths]),
        precision=ratio([sum(v.is_right for v in some) for some in alerts], [len(some) for some in alerts]),
        purity=ratio([sum(v.inside for v in some) for some in alerts], [sum(v.size for v in some) for some in alerts]),
        false_rings=ratio(
            [HONEST_USERS * sum(v.is_false for v in some) for some in alerts], [truth.honest for truth in truths]
        ),
    )
    return Detector(
        "while the stream ran",
        figures,
        _recalls(found, truths),
        _delays([case.watch.found_ms for case in cases], truths),
    )


def _recalls(found: Sequence[set[int]], truths: Sequence[Truth]) -> dict[str, Estimate]:
    return {
        kind: ratio(
            [
                sum(truth.rings[ring].typology == kind for ring in some)
                for some, truth in zip(found, truths, strict=True)
            ],
            [sum(ring.typology == kind for ring in truth.rings) for truth in truths],
        )
        for kind in TYPOLOGIES
    }


def _delays(found_ms: Sequence[dict[int, int]], truths: Sequence[Truth]) -> dict[str, Estimate]:
    return {
        kind: median(
            [
                [
                    (ms - linked) / DAY_MS
                    for number, ms in some.items()
                    if (linked := truth.rings[number].linked_ms) is not None
                    and kind in ("", truth.rings[number].typology)
                ]
                for some, truth in zip(found_ms, truths, strict=True)
            ]
        )
        for kind in ("", *TYPOLOGIES)
    }
