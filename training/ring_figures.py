"""Figures about called rings over several worlds, with intervals from resampling whole worlds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.ring_truth import Truth
from training.ring_watch import Calls

F64 = npt.NDArray[np.float64]

RESAMPLES = 1_000
HONEST_USERS = 10_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval; nan where it cannot be had."""

    value: float
    low: float
    high: float


def resamples(worlds: int, seed: int = 0) -> F64:
    """Returns `[RESAMPLES, worlds]` how often each world is drawn (bootstrap; rings of one world depend)."""
    drawn = np.random.default_rng(seed).integers(0, worlds, (RESAMPLES, worlds))
    return np.stack([np.bincount(row, minlength=worlds) for row in drawn]).astype(np.float64)


def estimate(figure: Callable[[F64], float], worlds: int) -> Estimate:
    """Returns a figure of weighted worlds, with its interval over resampled weights."""
    found = [figure(weights) for weights in resamples(worlds)]
    kept = [value for value in found if not np.isnan(value)]
    low, high = np.quantile(kept, (0.025, 0.975)) if kept else (np.nan, np.nan)
    return Estimate(figure(np.ones(worlds)), float(low), float(high))


def ratio(above: Sequence[float], below: Sequence[float]) -> Estimate:
    """Returns the ratio of two sums over worlds."""
    a, b = np.array(above, np.float64), np.array(below, np.float64)

    def figure(weights: F64) -> float:
        total = float(weights @ b)
        return float(weights @ a) / total if total else float("nan")

    return estimate(figure, len(a))


def median(values: Sequence[Sequence[float]]) -> Estimate:
    """Returns the median over all worlds' values."""
    world = np.repeat(np.arange(len(values)), [len(some) for some in values])
    everything = np.array([x for some in values for x in some], np.float64)

    def figure(weights: F64) -> float:
        repeated = np.repeat(everything, weights[world].astype(np.int64))
        return float(np.median(repeated)) if len(repeated) else float("nan")

    return estimate(figure, len(values))


@dataclass(frozen=True, slots=True)
class Point:
    """What a detector does at one setting.

    Attributes:
        recall: rings found of all rings.
        precision: called groups that are a true ring, of all called.
        purity: users in called groups who belong to the ring that their group overlaps most, of all users in them.
        false_rings: called groups of which most users belong to no one ring, per 10,000 honest users.
    """

    recall: Estimate
    precision: Estimate
    purity: Estimate
    false_rings: Estimate


def point(calls: Sequence[Calls], truths: Sequence[Truth], line: float) -> Point:
    """Returns the figures of the groups with at least a score of `line`."""
    called = [some.at(line) for some in calls]
    return Point(
        recall=ratio(
            [len({v.ring for v in some if v.is_right}) for some in called], [len(truth.rings) for truth in truths]
        ),
        precision=ratio([sum(v.is_right for v in some) for some in called], [len(some) for some in called]),
        purity=ratio([sum(v.inside for v in some) for some in called], [sum(v.size for v in some) for some in called]),
        false_rings=ratio(
            [HONEST_USERS * sum(v.is_false for v in some) for some in called], [truth.honest for truth in truths]
        ),
    )


class Curve:
    """Precision and recall of one ranking of groups, over weighted worlds."""

    def __init__(self, calls: Sequence[Calls], truths: Sequence[Truth]) -> None:
        score = np.concatenate([some.score for some in calls])
        world = np.repeat(np.arange(len(calls)), [len(some.judged) for some in calls])
        judged = [verdict for some in calls for verdict in some.judged]
        order = np.argsort(-score, kind="stable")
        self._world = world[order]
        self._right = np.array([judged[i].is_right for i in order.tolist()], np.float64)
        self._found = np.zeros(len(order))
        seen = set()
        for row, i in enumerate(order.tolist()):
            ring = (int(world[i]), judged[i].ring)
            if judged[i].is_right and ring not in seen:
                seen.add(ring)
                self._found[row] = 1.0
        self.score = score[order]
        # Groups of one score are called together or not at all.
        self._ends = np.flatnonzero(np.append(np.diff(self.score) != 0, True)) if len(order) else np.empty(0, np.intp)
        self._rings = np.array([len(truth.rings) for truth in truths], np.float64)

    def points(self, weights: F64) -> tuple[F64, F64]:
        """Returns recall and precision at each distinct score, falling."""
        each = weights[self._world]
        called = np.cumsum(each)[self._ends]
        right = np.cumsum(each * self._right)[self._ends]
        found = np.cumsum(each * self._found)[self._ends]
        precision = np.divide(right, called, out=np.zeros(len(called)), where=called > 0)
        return found / (weights @ self._rings), precision

    def precision_at(self, recall: float, weights: F64) -> float:
        """Returns the best precision at which at least so much is found; nan where it never is."""
        found, precision = self.points(weights)
        reached = found >= recall - 1e-9
        return float(precision[reached].max()) if reached.any() else float("nan")

    def best_f1(self) -> tuple[float, float]:
        """Returns the best F1 over all scores, and its score."""
        recall, precision = self.points(np.ones(len(self._rings)))
        both = recall + precision
        f1 = np.divide(2 * recall * precision, both, out=np.zeros(len(both)), where=both > 0)
        if not len(f1):
            return 0.0, 0.0
        best = int(f1.argmax())
        return float(f1[best]), float(self.score[self._ends[best]])


def precision_at(curves: Sequence[Curve], recall: float | Callable[[F64], float], worlds: int) -> Estimate:
    """Returns the precision of the best of some rankings at a recall; nan where none reaches it."""
    return estimate(lambda weights: _best(curves, recall, weights), worlds)


def precision_gain(
    ours: Curve, rivals: Sequence[Curve], recall: float | Callable[[F64], float], worlds: int
) -> Estimate:
    """Returns how much more precise `ours` is at a recall than the best of the rivals, in the same worlds."""
    return estimate(lambda weights: _best([ours], recall, weights) - _best(rivals, recall, weights), worlds)


def _best(curves: Sequence[Curve], recall: float | Callable[[F64], float], weights: F64) -> float:
    level = recall(weights) if callable(recall) else recall
    found = [curve.precision_at(level, weights) for curve in curves]
    return max((value for value in found if not np.isnan(value)), default=float("nan"))
