"""A figure of one model with its bootstrap, and the figures of a ranking under any weights of its units.

Every figure keeps what it was in each resample. All models are measured in the same resamples, so the difference of two
figures has its interval from their draws, one by one: what all models have in common cancels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from fraudgraph.graph.types import F64, I64
from training.reliability import BINS

Bool = npt.NDArray[np.bool_]

ACCOUNTS: Final = "accounts"
RINGS: Final = "rings"
RESAMPLES: Final = 1_000
SEED: Final = 0
_KEPT: Final = 8_000_000
"""Weights that are drawn once for all figures; more of them are drawn again each time."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What one model reaches.

    Attributes:
        level: `ACCOUNTS` or `RINGS`.
        part: of what: all of them where empty, else `typology: …` or `segment: …`.
        value: nan where it cannot be had; low, high: its 95 % bootstrap interval.
        draws: `[resamples]` its value in each.
    """

    level: str
    name: str
    model: str
    part: str
    value: float
    draws: F64 = field(repr=False, compare=False)

    @property
    def low(self) -> float:
        """The lower end of the interval."""
        return self._quantile(0.025)

    @property
    def high(self) -> float:
        """The upper end of the interval."""
        return self._quantile(0.975)

    def over(self, rival: Figure) -> Figure:
        """Returns how much more this is than a rival's figure of the same name, in the same resamples."""
        return Figure(
            self.level,
            self.name,
            f"{self.model} over {rival.model}",
            self.part,
            self.value - rival.value,
            self.draws - rival.draws,
        )

    def relative_to(self, rival: Figure) -> Figure:
        """Returns by what part this is more than a rival's, in the same resamples; 0.25 is a quarter more."""
        draws = np.full(len(self.draws), np.nan)
        np.divide(self.draws, rival.draws, out=draws, where=rival.draws > 0)
        value = self.value / rival.value - 1.0 if rival.value > 0 else float("nan")
        return Figure(self.level, self.name, f"{self.model} over {rival.model}", self.part, value, draws - 1.0)

    def _quantile(self, q: float) -> float:
        kept = self.draws[~np.isnan(self.draws)]
        return float(np.quantile(kept, q)) if len(kept) else float("nan")


def weights_of(units: int, resamples: int = RESAMPLES) -> Iterator[F64]:
    """Yields how often each unit is drawn, `[units]`, resample by resample; the same for the same arguments."""
    if units * resamples <= _KEPT:
        yield from _kept(units, resamples)
    else:
        yield from _drawn(units, resamples)


@lru_cache(maxsize=2)
def _kept(units: int, resamples: int) -> tuple[F64, ...]:
    return tuple(_drawn(units, resamples))


def _drawn(units: int, resamples: int) -> Iterator[F64]:
    rng = np.random.default_rng(SEED)
    for _ in range(resamples):
        yield np.bincount(rng.integers(0, units, units), minlength=units).astype(np.float64)


def bootstrap(figure: Callable[[F64], float], units: int, resamples: int = RESAMPLES) -> tuple[float, F64]:
    """Returns a figure of weighted units as it is, and in each resample."""
    return figure(np.ones(units)), np.array([figure(weights) for weights in weights_of(units, resamples)])


def ratio(above: F64, below: F64) -> Callable[[F64], float]:
    """Returns the ratio of two sums over weighted units; nan where there is nothing below."""

    def figure(weights: F64) -> float:
        total = float(weights @ below)
        return float(weights @ above) / total if total > 0 else float("nan")

    return figure


def mean(values: F64) -> Callable[[F64], float]:
    """Returns the mean over the units that have the figure."""
    has = ~np.isnan(values)
    return ratio(np.where(has, values, 0.0), has.astype(np.float64))


class Ranking:
    """Rows in the order of a score, sorted once; equal scores stand at one place.

    Args:
        score: `[n]`, higher is riskier. truth: `[n]`. unit: `[n]` of each row.
    """

    def __init__(self, score: F64, truth: Bool, unit: I64) -> None:
        order = np.argsort(-score, kind="stable")
        self._truth = truth[order].astype(np.float64)
        self._unit = unit[order]
        last = np.append(np.diff(score[order]) != 0, True) if len(order) else np.empty(0, np.bool_)
        self._ends = np.flatnonzero(last)

    def average_precision(self, weights: F64) -> float:
        """Returns the area under precision over recall, as scikit-learn's `average_precision_score` does."""
        true, all_ = self._counts(weights)
        if not len(true) or true[-1] <= 0:
            return float("nan")
        precision = np.divide(true, all_, out=np.zeros(len(true)), where=all_ > 0)
        return float(np.diff(true, prepend=0.0) @ precision / true[-1])

    def roc_auc(self, weights: F64) -> float:
        """Returns the area under the receiver operating characteristic."""
        true, all_ = self._counts(weights)
        if not len(true) or true[-1] <= 0 or all_[-1] <= true[-1]:
            return float("nan")
        false = all_ - true
        return float(np.trapezoid(np.append(0.0, true), np.append(0.0, false)) / (true[-1] * false[-1]))

    def lift(self, weights: F64, share: float = 0.01) -> float:
        """Returns how many times more often the first share of all rows is true than a row at random.

        Of rows with one score that the share cuts through, the part that fits counts.
        """
        true, all_ = self._counts(weights)
        if not len(true) or true[-1] <= 0:
            return float("nan")
        found = np.interp(share * all_[-1], np.append(0.0, all_), np.append(0.0, true))
        return float(found / true[-1] / share)

    def curve(self, points: int = 200) -> tuple[list[float], list[float]]:
        """Returns recall and precision at up to so many places, unweighted: to be drawn."""
        true, all_ = np.cumsum(self._truth)[self._ends], (self._ends + 1).astype(np.float64)
        if not len(true) or true[-1] <= 0:
            return [], []
        # By recall and not by place: nearly all places lie where nothing is found any more.
        at = np.unique(np.searchsorted(true, np.linspace(true[0], true[-1], points)))
        return (true[at] / true[-1]).tolist(), (true[at] / all_[at]).tolist()

    def _counts(self, weights: F64) -> tuple[F64, F64]:
        each = weights[self._unit]
        return np.cumsum(each * self._truth)[self._ends], np.cumsum(each)[self._ends]


def brier(said: F64, truth: Bool, unit: I64, units: int) -> Callable[[F64], float]:
    """Returns the mean squared distance of probabilities `[n]` from the truth (Brier, 1950), by weights of units."""
    return ratio(np.bincount(unit, (said - truth) ** 2, units), np.bincount(unit, minlength=units).astype(np.float64))


def calibration_error(said: F64, truth: Bool, unit: I64, units: int) -> Callable[[F64], float]:
    """Returns the expected calibration error over the bins of `training.reliability`, by weights of units."""
    bins = len(BINS) - 1
    place = unit * bins + np.digitize(said, BINS[1:-1])
    off = np.bincount(place, said - truth, units * bins).reshape(units, bins)
    rows = np.bincount(unit, minlength=units).astype(np.float64)

    def figure(weights: F64) -> float:
        total = float(weights @ rows)
        return float(np.abs(weights @ off).sum()) / total if total > 0 else float("nan")

    return figure
