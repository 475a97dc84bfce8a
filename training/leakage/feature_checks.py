"""Whether features see what they must not: later events, or the target itself."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fraudgraph.graph.types import F64, I64, Bool
from fraudgraph.scoring.gnn.model import F32
from training.labels import LabelLog
from training.leakage.findings import Finding
from training.leakage.rebuild import COLUMNS, Moment, Rebuilt
from training.leakage.table import Table

CLOSE = 1e-4
"""Relative; below 1 absolute. What training and serving may differ by."""
MIN_ROWS = 5
MIN_SHARE = 0.02
"""Of the rows in which past and end differ, those that must hold the end's value: fewer may be coincidence."""
SAME_SHARE = 0.95
"""Of the rows that must hold the rebuilt value for a column to count as checked."""
TARGET_AUC = 0.99
MIN_POSITIVES = 10


def feature_findings(table: Table, rebuilt: Rebuilt) -> list[Finding]:
    """Returns what is wrong with the features, those that cannot be compared with anything among them."""
    out: list[Finding] = []
    checked: set[str] = set()
    for at, name in enumerate(table.names):
        values = table.x[:, at]
        if name in COLUMNS:
            place = COLUMNS.index(name)
            found = _future_rows(table, values, rebuilt, place)
            if found:
                out.append(_future(name, name, found))
            same = float(_close(values, rebuilt.causal[:, place])[rebuilt.rebuilt].mean()) if found == 0 else 0.0
            if same >= SAME_SHARE:
                checked.add(name)
            elif not found:
                text = f"{name} holds what is rebuilt for its moment in {same:.0%} of the rows: it is made differently"
                out.append(Finding("coverage", False, text, int(rebuilt.rebuilt.sum()), name))
        else:
            known = _known_by_value(table, values, rebuilt)
            if known is not None:
                out.append(_future(name, *known))
    out += _targets(table, rebuilt, checked)
    unknown = [name for name in table.names if name not in COLUMNS]
    if unknown:
        text = (
            f"{len(unknown)} features are not among those that are rebuilt; of them only copies of later states and of"
            f" the target are seen: {', '.join(unknown[:8])}{' …' if len(unknown) > 8 else ''}"
        )
        out.append(Finding("coverage", False, text, len(table)))
    return out


def _future(name: str, like: str, rows: int) -> Finding:
    of = "" if name == like else f" {like}"
    text = f"in {rows:,} rows {name} holds what{of} is at the end of the stream, not at the row's moment"
    return Finding("future", True, text, rows, name)


def _future_rows(table: Table, values: F32, rebuilt: Rebuilt, place: int) -> int:
    """Returns how many rows hold the end's value and not their moment's; 0 where so few do that it may be chance."""
    causal, future = rebuilt.causal[:, place], rebuilt.future[:, place]
    differ = rebuilt.rebuilt & ~np.isnan(future) & ~_close(causal, future)
    late = differ & _close(values, future)
    for part in (table.learnt, ~table.learnt):
        if int((late & part).sum()) >= max(MIN_ROWS, MIN_SHARE * int((differ & part).sum())):
            return int(late.sum())
    return 0


def _known_by_value(table: Table, values: F32, rebuilt: Rebuilt) -> tuple[str, int] | None:
    """Returns which rebuilt feature a column under another name is the end's value of, and in how many rows."""
    best: tuple[str, int] | None = None
    for place, name in enumerate(COLUMNS):
        causal, future = rebuilt.causal[:, place], rebuilt.future[:, place]
        seen = rebuilt.rebuilt & ~np.isnan(future)
        differ = seen & ~_close(causal, future)
        late = int((differ & _close(values, future)).sum())
        if late < MIN_ROWS or late < 0.5 * int(differ.sum()) or _close(values, future)[seen].mean() < SAME_SHARE:
            continue
        if best is None or late > best[1]:
            best = name, late
    return best


def _holds_past(values: F32, rebuilt: Rebuilt) -> bool:
    """Returns whether a column is a rebuilt feature as of its moment, under whatever name."""
    same = _close(values[:, None], rebuilt.causal)[rebuilt.rebuilt]
    return bool((same.mean(axis=0) >= SAME_SHARE).any())


def _targets(table: Table, rebuilt: Rebuilt, checked: set[str]) -> Iterator[Finding]:
    """Yields the features that are the target; one that holds its rebuilt values is none, however good it is."""
    from sklearn.metrics import roc_auc_score

    if min(int(table.label.sum()), int((~table.label).sum())) < MIN_POSITIVES:
        yield Finding("coverage", False, "too few rows of one label to tell a feature that is the target", len(table))
        return
    shared, mates = _shared_labels(table, rebuilt), _with_mates(table, rebuilt)
    for at, name in enumerate(table.names):
        values = np.nan_to_num(table.x[:, at].astype(np.float64), nan=-1.0)
        if name in checked or values.min() == values.max():
            continue
        area = float(roc_auc_score(table.label, values))
        if max(area, 1 - area) >= TARGET_AUC:
            if _holds_past(table.x[:, at], rebuilt):
                continue
            text = f"{name} alone tells fraud from the rest (ROC-AUC {max(area, 1 - area):.3f}): it is the target"
            yield Finding("target", True, text, len(table), name)
            continue
        for words, of_table, of_past in shared:
            same, rows = _close(values, of_table), mates & (of_table != of_past)
            told = rows & same
            if int(told.sum()) >= max(MIN_ROWS, SAME_SHARE * int(rows.sum())) and same[mates].mean() >= SAME_SHARE:
                text = f"{name} is {words} by the table's own labels, not by those known at the row's moment"
                yield Finding("target", True, text, int(told.sum()), name)
                break


def _shared_labels(table: Table, rebuilt: Rebuilt) -> list[tuple[str, F64, F64]]:
    """Returns what a component's labels could be made into, by the table's labels and by those known at the cut."""
    size = len(table)
    words = {
        "any": "whether anybody of the component is fraud",
        "count": "how many of the component are fraud",
        "share": "which part of the component's rows is fraud",
        "others": "how many others of the component are fraud",
    }
    of_table, of_past = ({name: np.zeros(size) for name in words} for _ in range(2))
    for cut_ms, moment in rebuilt.history.moments.items():
        rows = np.flatnonzero((table.cut_ms == cut_ms) & rebuilt.rebuilt)
        if not len(rows):
            continue
        component, own = rebuilt.component[rows], table.label[rows]
        _aggregate(of_table, rows, component, component[own], own)
        known = _known_fraud(rebuilt.history.labels, moment, cut_ms)
        reported = moment.component[moment.rows_of(known)].astype(np.int64)
        _aggregate(of_past, rows, component, reported, np.isin(np.array(table.users)[rows], known))
    return [(words[name], of_table[name], of_past[name]) for name in words]


def _with_mates(table: Table, rebuilt: Rebuilt) -> Bool:
    """Returns which rows' accounts are not alone in their component at that moment, `[n]`."""
    out = np.zeros(len(table), np.bool_)
    for cut_ms, moment in rebuilt.history.moments.items():
        rows = np.flatnonzero((table.cut_ms == cut_ms) & rebuilt.rebuilt)
        out[rows] = np.bincount(moment.component)[rebuilt.component[rows]] > 1
    return out


def _known_fraud(labels: LabelLog, moment: Moment, cut_ms: int) -> list[str]:
    """Returns the accounts of a moment of which fraud had been reported by then."""
    there = set(moment.names)
    return [name for name, label in labels.known(cut_ms).items() if label.fraud and name in there]


def _aggregate(out: dict[str, F64], rows: I64, component: I64, fraud_in: I64, own: Bool) -> None:
    """Fills what components' labels say; `fraud_in` has the component of each fraud, `own` says which rows are some."""
    size = int(max(component.max(initial=0), fraud_in.max(initial=0))) + 1
    fraud = np.bincount(fraud_in, minlength=size)[component]
    out["count"][rows] = fraud
    out["any"][rows] = fraud > 0
    out["share"][rows] = fraud / np.bincount(component, minlength=size)[component]
    out["others"][rows] = fraud - own


def _close(a: F32 | F64, b: F32 | F64) -> Bool:
    both = np.isnan(a) & np.isnan(b)
    return both | (np.abs(a - b) <= CLOSE * np.maximum(1.0, np.abs(b)))
