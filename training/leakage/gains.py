"""What each leak would have gained: the same quick trees on the honest table and on one that leaks, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fraudgraph.graph.types import F64, I64, Bool
from fraudgraph.scoring.gnn.model import F32
from training.evaluation.figures import Ranking, weights_of
from training.leakage.rebuild import Rebuilt
from training.leakage.table import TEST, TRAIN, Table
from training.ring_figures import Estimate

FOLDS = 4
DRAWS = 500


@dataclass(frozen=True, slots=True)
class Gain:
    """Average precision on the same test rows, without and with a leak.

    Attributes:
        kind: of leak, as of `Finding`; words: what was done.
        beside: what the honest figure is of.
        gain: leaking less honest, paired; intervals of 95 % from resampled components.
    """

    kind: str
    words: str
    beside: str
    honest: Estimate
    leaking: Estimate
    gain: Estimate


@dataclass(frozen=True, slots=True)
class _Rows:
    """All streams' rows together; `group` is the component at the row's cut, numbered over all streams."""

    x: F32
    future: F32
    label: Bool
    late_label: Bool
    train: Bool
    test: Bool
    group: I64


def gains(streams: Sequence[tuple[Table, Rebuilt]], seed: int = 1) -> list[Gain]:
    """Returns what each leak gains over the honest table of one or more streams.

    Args:
        streams: honest tables with all their moments rebuilt.
        seed: of folds, trees and resampling.
    """
    rows = _together(streams)
    rng = np.random.default_rng([seed, 0x1EA])
    truth, group = rows.label[rows.test], rows.group[rows.test]
    place = np.unique(group, return_inverse=True)[1].astype(np.int64)
    units = int(place.max(initial=0)) + 1
    weights = [np.ones(units), *weights_of(units, DRAWS)]

    def told(x: F32, label: Bool) -> F64:
        return _fitted(x[rows.train], label[rows.train], seed)(x[rows.test])

    def gain(kind: str, words: str, beside: str, honest: F64, leaking: F64, kept: Bool | None = None) -> Gain:
        kept = np.ones(len(truth), np.bool_) if kept is None else kept
        plain, bent = Ranking(honest, truth, place), Ranking(leaking[kept], truth[kept], place[kept])
        before = np.array([plain.average_precision(each) for each in weights])
        after = np.array([bent.average_precision(each) for each in weights])
        return Gain(kind, words, beside, _estimate(before), _estimate(after), _estimate(after - before))

    honest = told(rows.x, rows.label)
    at_random, apart = _folds(rows, _random(truth, rng), seed), _folds(rows, _grouped(group, rng), seed)
    even = truth.copy()
    even[rng.permutation(np.flatnonzero(~truth))[: int(truth.sum())]] = True
    return [
        gain("future", "features read at the end of the stream", "by time", honest, told(rows.future, rows.label)),
        gain("labels", "labels learnt that had not arrived", "by time", honest, told(rows.x, rows.late_label)),
        gain("components", "split at random over accounts", "components kept apart", apart, at_random),
        gain("time", "rows of all moments shuffled", "by time", honest, _shuffled(rows, rng, seed)),
        gain("base-rate", "as many honest as fraudulent test rows", "by time", honest, honest, even),
    ]


def _together(streams: Sequence[tuple[Table, Rebuilt]]) -> _Rows:
    parts, groups = [], 0
    for table, rebuilt in streams:
        told = rebuilt.history.labels.known(rebuilt.history.end_ms)
        fraud = {user for user, label in told.items() if label.fraud}
        group = groups + rebuilt.component
        groups = int(group.max(initial=0)) + 1
        late = np.array([user in fraud for user in table.users], np.bool_)
        parts.append((table.x, rebuilt.future, table.label, late, table.role(TRAIN), table.role(TEST), group))
    return _Rows(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _fitted(x: F32, label: Bool, seed: int) -> Callable[[F32], F64]:
    from sklearn.ensemble import HistGradientBoostingClassifier

    model: Any = HistGradientBoostingClassifier(
        learning_rate=0.06,
        max_iter=60,
        max_leaf_nodes=15,
        min_samples_leaf=30,
        early_stopping=False,
        random_state=seed,
    )
    if label.all() or not label.any():
        return lambda some: np.zeros(len(some))
    model.fit(x, label)
    said: Callable[[F32], F64] = model.decision_function
    return said


def _folds(rows: _Rows, fold: I64, seed: int) -> F64:
    """Returns what trees say of the test rows, each fold by those that learnt the other folds."""
    x, label = rows.x[rows.test], rows.label[rows.test]
    out = np.zeros(len(label))
    for number in range(FOLDS):
        held = fold == number
        out[held] = _fitted(x[~held], label[~held], seed)(x[held]) if held.any() else 0.0
    return out


def _shuffled(rows: _Rows, rng: np.random.Generator, seed: int) -> F64:
    """Returns what trees say of the test rows that learnt as many rows as the honest ones, but of all moments."""
    used = np.flatnonzero(rows.train | rows.test)
    fold, many = rng.integers(0, FOLDS, len(used)), int(rows.train.sum())
    out = np.zeros(len(rows.label))
    for number in range(FOLDS):
        others, held = used[fold != number], used[(fold == number) & rows.test[used]]
        drawn = rng.permutation(others)[:many]
        if len(held):
            out[held] = _fitted(rows.x[drawn], rows.label[drawn], seed)(rows.x[held])
    return out[rows.test]


def _random(truth: Bool, rng: np.random.Generator) -> I64:
    return rng.integers(0, FOLDS, len(truth))


def _grouped(group: I64, rng: np.random.Generator) -> I64:
    _, place = np.unique(group, return_inverse=True)
    return rng.integers(0, FOLDS, int(place.max(initial=0)) + 1)[place]


def _estimate(values: F64) -> Estimate:
    kept = values[1:][~np.isnan(values[1:])]
    low, high = np.quantile(kept, (0.025, 0.975)) if len(kept) else (np.nan, np.nan)
    return Estimate(float(values[0]), float(low), float(high))
