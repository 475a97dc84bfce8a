"""How well models rank accounts and rings, world by world, with intervals over worlds: what a bundle says of itself.

Models are compared by `training.evaluation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fraudgraph.graph.types import F64, I32
from fraudgraph.scoring.manifest import Metric
from training.gnn.dataset import Slice
from training.labels import POSITIVE, UNKNOWN
from training.reliability import average_precision
from training.ring_figures import resamples

Bool = npt.NDArray[np.bool_]

USER_BUDGETS, RING_BUDGETS = (50, 200), (10, 30)
"""Alerts that somebody has the time for: accounts, and rings, at one reading of one world."""
AT_LINE = "precision at the alert line", "living rings at the alert line"
"""At the last reading of a world: of the rings with a probability of at least 0.5, and of all living true rings."""
OUTSIDE_RINGS = -20.0
"""Log-odds of an account that is in no ring, for a scorer that knows only rings."""


@dataclass(frozen=True, slots=True)
class Groups:
    """Groups that a model found by itself: rows of the slice's accounts, and a score of each, higher is surer."""

    teams: Sequence[I32]
    score: F64


@dataclass(frozen=True, slots=True)
class Said:
    """What a model says of one slice: log-odds of its accounts `[u]` and its rings `[r]`.

    Attributes:
        groups: what it would call rings in place of the slice's own; None where it has none.
    """

    users: F64
    rings: F64
    groups: Groups | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of each world, `[worlds]`; nan where a world cannot have it."""

    level: str
    name: str
    model: str
    worlds: F64


def metrics(found: Iterable[Figure], data: str) -> tuple[Metric, ...]:
    """Returns the means over worlds with their intervals; figures that no world has are left out."""
    return tuple(
        Metric(data, each.level, each.name, each.model, *interval(each.worlds))
        for each in found
        if not np.isnan(each.worlds).all()
    )


def figures(worlds: Sequence[Sequence[tuple[Slice, Mapping[str, Said]]]]) -> list[Figure]:
    """Returns the figures of all models.

    Average precision is over all readings of a world at once; precision at a budget is the mean of its readings; at
    the alert line it is that of the last.

    Args:
        worlds: for each world its slices, with the truth, and what each model says of them.
    """
    found: dict[tuple[str, str, str], list[float]] = {}
    for readings in worlds:
        for model in readings[0][1]:
            users, rings = [], []
            for piece, said in readings:
                assert piece.is_fraud is not None and piece.is_ring is not None
                sure = piece.is_fraud != UNKNOWN
                users.append((said[model].users[sure], piece.is_fraud[sure] == POSITIVE))
                rings.append((said[model].rings, piece.is_ring))
            for level, pairs, budgets in (("user", users, USER_BUDGETS), ("ring", rings, RING_BUDGETS)):
                for name, value in _of_world(pairs, budgets):
                    found.setdefault((level, name, model), []).append(value)
            for name, value in zip(AT_LINE, _at_line(*rings[-1]), strict=True):
                found.setdefault(("ring", name, model), []).append(value)
    return [Figure(*key, np.array(values)) for key, values in found.items()]


def interval(values: F64) -> tuple[float, float, float]:
    """Returns the mean over worlds that have the figure, with its 95 % bootstrap interval; nan where none has."""
    kept = values[~np.isnan(values)]
    if not len(kept):
        return float("nan"), float("nan"), float("nan")
    weights = resamples(len(kept))
    low, high = np.quantile(weights @ kept / weights.sum(axis=1), (0.025, 0.975))
    return float(kept.mean()), float(low), float(high)


def _at_line(log_odds: F64, truth: Bool) -> tuple[float, float]:
    called = log_odds >= 0.0
    right = float((called & truth).sum())
    return right / called.sum() if called.any() else float("nan"), right / truth.sum() if truth.any() else float("nan")


def _of_world(pairs: Sequence[tuple[F64, Bool]], budgets: Sequence[int]) -> list[tuple[str, float]]:
    said = np.concatenate([score for score, _ in pairs])
    truth = np.concatenate([true for _, true in pairs])
    out = [("average precision", average_precision(said, truth))]
    for budget in budgets:
        each = [float(true[np.argsort(-score, kind="stable")[:budget]].mean()) for score, true in pairs if true.any()]
        out.append((f"precision at {budget}", float(np.mean(each)) if each else float("nan")))
    return out
