"""How good probabilities are: reliability, Brier score, calibration error, average precision with an interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

BINS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Edges by probability: narrow where nearly all candidates are."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Candidates with a probability in [low, high): how many (weighted), what was said, what was true."""

    low: float
    high: float
    count: int
    said: float
    true: float


def reliability(probability: F64, truth: Bool, weight: F64) -> list[Bin]:
    """Returns the bins that hold anything."""
    place = np.digitize(probability, BINS[1:-1])
    out = []
    for b in range(len(BINS) - 1):
        rows = place == b
        if rows.any():
            said = float(np.average(probability[rows], weights=weight[rows]))
            true = float(np.average(truth[rows], weights=weight[rows]))
            out.append(Bin(BINS[b], BINS[b + 1], int(rows.sum()), said, true))
    return out


def calibration_error(probability: F64, truth: Bool, weight: F64) -> float:
    """Returns the mean distance between what was said and what was true over the bins of `reliability`."""
    place = np.digitize(probability, BINS[1:-1])
    error = 0.0
    for b in np.unique(place):
        rows = place == b
        error += abs(float(np.sum(weight[rows] * (probability[rows] - truth[rows]))))
    return error / float(weight.sum())


def brier(probability: F64, truth: Bool, weight: F64) -> float:
    """Returns the mean squared distance from the truth (Brier, 1950)."""
    return float(np.average((probability - truth) ** 2, weights=weight))


def average_precision(probability: F64, truth: Bool) -> float:
    """Returns the area under precision over recall; nan where nothing is true."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(truth, probability)) if truth.any() else float("nan")


def precision_interval(
    probability: F64, truth: Bool, world: npt.NDArray[np.int64], *, resamples: int = 500, seed: int = 0
) -> tuple[float, float]:
    """Returns a 95 % interval of the average precision by resampling whole worlds, whose rings are not independent."""
    rng = np.random.default_rng(seed)
    rows = [np.flatnonzero(world == number) for number in np.unique(world)]
    found = []
    for _ in range(resamples):
        drawn = np.concatenate([rows[k] for k in rng.integers(0, len(rows), len(rows))])
        found.append(average_precision(probability[drawn], truth[drawn]))
    low, high = np.nanquantile(found, (0.025, 0.975))
    return float(low), float(high)
