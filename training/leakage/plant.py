"""Leaks put into a clean table on purpose, one of each kind: what an audit has to find."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from training.leakage.rebuild import COLUMNS, Rebuilt
from training.leakage.table import TEST, TRAIN, Table

Plant = Callable[[Table, Rebuilt, np.random.Generator], Table]


def future_feature(table: Table, rebuilt: Rebuilt, rng: np.random.Generator) -> Table:
    """Returns the table with one feature as it is at the end of the stream."""
    return _with_future(table, rebuilt, rng, np.ones(len(table), np.bool_))


def future_in_training(table: Table, rebuilt: Rebuilt, rng: np.random.Generator) -> Table:
    """Returns the table with one feature as it is at the end of the stream, in the rows that are learnt from alone."""
    return _with_future(table, rebuilt, rng, table.role(TRAIN))


def renamed_future(table: Table, rebuilt: Rebuilt, rng: np.random.Generator) -> Table:
    """Returns the table with one feature more, that of the end of the stream, under a name that says nothing."""
    place = _that_moves(rebuilt, rng)
    return _with_column(table, "f_17", rebuilt.future[:, place])


def early_labels(table: Table, rebuilt: Rebuilt, rng: np.random.Generator) -> Table:
    """Returns the table with the labels of the end of the stream in the rows that are learnt from."""
    told = rebuilt.history.labels.known(rebuilt.history.end_ms)
    fraud = np.array([user in told and told[user].fraud for user in table.users], np.bool_)
    return replace(table, label=np.where(table.role(TEST), table.label, fraud))


def mates_apart(table: Table, rebuilt: Rebuilt, rng: np.random.Generator) -> Table:
    """Returns the rows of the last moment, split at random over accounts: components are on both sides."""
    last = table.take(table.cut_ms == table.cut_ms.max())
    return replace(last, split=np.where(rng.random(len(last)) < 0.5, TRAIN, TEST))


def shuffled_rows(table: Table, rebuilt: Rebuilt, rng: np.random.Generator) -> Table:
    """Returns the table with its rows dealt to the parts of the split without regard to time."""
    assert table.split is not None
    return replace(table, split=rng.permutation(table.split))


def balanced_test(table: Table, rebuilt: Rebuilt, rng: np.random.Generator) -> Table:
    """Returns the table with as many honest rows as fraudulent ones in its test."""
    test = table.role(TEST)
    honest = np.flatnonzero(test & ~table.label)
    kept = ~test | table.label
    kept[rng.permutation(honest)[: int((test & table.label).sum())]] = True
    return table.take(kept)


def target_feature(table: Table, rebuilt: Rebuilt, rng: np.random.Generator) -> Table:
    """Returns the table with a feature that is the target, blurred."""
    return _with_column(table, "risk", table.label + rng.normal(0.0, 0.1, len(table)))


def component_label(table: Table, rebuilt: Rebuilt, rng: np.random.Generator) -> Table:
    """Returns the table with a feature that says whether anybody of the account's component is labelled fraud."""
    out = np.zeros(len(table))
    for cut_ms in rebuilt.history.moments:
        rows = np.flatnonzero((table.cut_ms == cut_ms) & rebuilt.rebuilt)
        out[rows] = np.isin(rebuilt.component[rows], rebuilt.component[rows][table.label[rows]])
    return _with_column(table, "ring_is_bad", out)


PLANTS: Mapping[str, tuple[str, Plant]] = {
    "a feature of the end of the stream": ("future", future_feature),
    "the same in the rows learnt from alone": ("future", future_in_training),
    "the same under another name": ("future", renamed_future),
    "labels that had not arrived": ("labels", early_labels),
    "one moment, split at random": ("components", mates_apart),
    "rows shuffled in time": ("time", shuffled_rows),
    "a balanced test set": ("base-rate", balanced_test),
    "the target as a feature": ("target", target_feature),
    "the component's label as a feature": ("target", component_label),
}
"""What is planted, the kind of finding that has to name it, and how."""


def _that_moves(rebuilt: Rebuilt, rng: np.random.Generator) -> int:
    """Returns a feature whose values at the end differ from those at the moments in many rows."""
    moved = (np.abs(rebuilt.future - rebuilt.causal) > 1e-3)[rebuilt.rebuilt].mean(axis=0)
    return int(rng.choice(np.flatnonzero(moved >= min(0.05, float(moved.max())))))


def _with_future(table: Table, rebuilt: Rebuilt, rng: np.random.Generator, rows: np.ndarray) -> Table:
    place = table.names.index(COLUMNS[_that_moves(rebuilt, rng)])
    x = table.x.copy()
    late = rows & ~np.isnan(rebuilt.future[:, place])
    x[late, place] = rebuilt.future[late, place]
    return replace(table, x=x)


def _with_column(table: Table, name: str, values: np.ndarray) -> Table:
    return replace(table, names=(*table.names, name), x=np.column_stack((table.x, values)).astype(np.float32))
