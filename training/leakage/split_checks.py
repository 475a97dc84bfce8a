"""Whether the labels and the split keep the order of time, and whether the test set is as fraud is."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fraudgraph.graph.types import I8, Bool
from training.labels import POSITIVE, UNKNOWN
from training.leakage.findings import Finding
from training.leakage.rebuild import Rebuilt, in_order
from training.leakage.table import TEST, Table
from training.splits import disjoint

MAX_RATIO = 1.5
MAX_CHANCE = 1e-3
"""A test set is re-balanced when its share of fraud is off by so much, and by chance so seldom."""


def label_findings(table: Table, rebuilt: Rebuilt) -> Iterator[Finding]:
    """Yields labels that nobody could have had yet, and others that are worth a question."""
    at_end = rebuilt.history.labels.known(rebuilt.history.end_ms)
    late, unheard, known = 0, 0, 0
    by_cut = {int(cut): rebuilt.history.labels.known(int(cut)) for cut in np.unique(rebuilt.label_cut_ms)}
    before = {cut: rebuilt.history.labels.known(cut) for cut in rebuilt.history.moments}
    for row, user in enumerate(table.users):
        told, finally_ = by_cut[int(rebuilt.label_cut_ms[row])].get(user), at_end.get(user)
        arrived, ends = told is not None and told.fraud, finally_ is not None and finally_.fraud
        said = bool(table.label[row])
        late += said != arrived and said == ends and arrived != ends
        unheard += said and not arrived and not ends
        past = before.get(int(table.cut_ms[row]), {}).get(user)
        known += said and past is not None and past.fraud
    if late:
        text = f"{late:,} labels had not arrived when they would have been learnt from: they are of later"
        yield Finding("labels", True, text, late)
    if unheard:
        text = f"{unheard:,} rows are labelled fraud of which no event ever says so: these labels come from elsewhere"
        yield Finding("labels", False, text, unheard)
    if known:
        text = f"{known:,} rows are of accounts that had been reported before their moment: nothing was left to find"
        yield Finding("labels", False, text, known)


def time_findings(table: Table) -> Iterator[Finding]:
    """Yields a split that does not follow time."""
    if table.split is None:
        yield Finding("coverage", False, "the table has no split column: how it was split is not looked at", len(table))
        return
    if in_order(table) or not table.role(TEST).any() or not table.learnt.any():
        return
    first_ms = int(table.cut_ms[table.role(TEST)].min())
    rows = int((table.cut_ms[table.learnt] >= first_ms).sum())
    if rows:
        text = (
            f"{rows:,} rows that were learnt from are as late as rows of the test, or later: the split is not by time"
        )
        yield Finding("time", True, text, rows)


def component_findings(table: Table, rebuilt: Rebuilt, *, claims_disjoint: bool) -> Iterator[Finding]:
    """Yields components of accounts that are on both sides of the split.

    Over time that is as in production, where the rest of a known ring is still to be found: it is a leak where the
    split is said to keep components apart, or where what was learnt from is as late as what is tested.
    """
    test = table.role(TEST) & rebuilt.rebuilt
    if not test.any() or not table.learnt.any():
        return
    shared, abreast = 0, 0
    for cut_ms in np.unique(table.cut_ms[test]).tolist():
        rows = np.flatnonzero(test & (table.cut_ms == cut_ms))
        moment = rebuilt.history.moments[cut_ms]
        component_of = dict(zip(moment.names, moment.component.tolist(), strict=True))
        for late_only in (False, True):
            learnt = _users(table, table.learnt & (table.cut_ms >= cut_ms) if late_only else table.learnt)
            seen = {component_of[user] for user in learnt if user in component_of}
            count = sum(component_of[table.users[row]] in seen for row in rows.tolist())
            shared, abreast = (shared, abreast + count) if late_only else (shared + count, abreast)
    share = shared / int(test.sum())
    if claims_disjoint and shared:
        text = f"{shared:,} test rows ({share:.0%}) share a component with an account that was learnt from"
        yield Finding("components", True, f"{text}, and the split is said to keep components apart", shared)
    elif abreast:
        text = f"{abreast:,} test rows share a component with a row of the same time or later that was learnt from"
        yield Finding("components", True, text, abreast)
    elif shared:
        text = f"{shared:,} test rows ({share:.0%}) share a component with an earlier row that was learnt"
        yield Finding("components", False, f"{text} from; labels.disjoint = true leaves them out", shared)


def base_rate_findings(
    table: Table, rebuilt: Rebuilt, *, horizon_ms: int, keep_known: bool, claims_disjoint: bool
) -> Iterator[Finding]:
    """Yields a test set in which fraud is more, or less, frequent than among all accounts that could be in it."""
    from scipy.stats import binomtest

    test = table.role(TEST) if table.split is not None else np.ones(len(table), np.bool_)
    test &= rebuilt.rebuilt
    fraud, everybody = 0, 0
    for cut_ms in np.unique(table.cut_ms[test]).tolist():
        target = _targets_at(table, rebuilt, cut_ms, horizon_ms, keep_known)
        if claims_disjoint:
            target = _apart(table, rebuilt, cut_ms, target)
        fraud += int((target == POSITIVE).sum())
        everybody += int((target != UNKNOWN).sum())
    rows, found = int(test.sum()), int(table.label[test].sum())
    if not rows or not everybody:
        return
    true, here = fraud / everybody, found / rows
    ratio = max(true, here) / max(min(true, here), 1e-9)
    if ratio > MAX_RATIO and binomtest(found, rows, min(max(true, 1e-9), 1 - 1e-9)).pvalue < MAX_CHANCE:
        text = (
            f"fraud is {here:.2%} of the test rows and {true:.2%} of the {everybody:,} accounts that could be in them"
        )
        yield Finding("base-rate", True, f"{text}: precision on them is not what a shop would see", rows)


def _targets_at(table: Table, rebuilt: Rebuilt, cut_ms: int, horizon_ms: int, keep_known: bool) -> I8:
    moment = rebuilt.history.moments[cut_ms]
    last = [rebuilt.history.last_ms.get(name, int(ms)) for name, ms in zip(moment.names, moment.last_ms, strict=True)]
    rows = table.cut_ms == cut_ms
    return rebuilt.history.labels.targets(
        moment.names,
        np.array(last, np.int64),
        cut_ms=cut_ms,
        horizon_ms=horizon_ms,
        label_cut_ms=int(rebuilt.label_cut_ms[rows].max()),
        maturity_ms=rebuilt.history.maturity_ms,
        keep_known=keep_known,
    ).target


def _apart(table: Table, rebuilt: Rebuilt, cut_ms: int, target: I8) -> I8:
    moment = rebuilt.history.moments[cut_ms]
    kept = disjoint(moment.component, moment.names, frozenset(_users(table, table.learnt)))
    return np.where(kept, target, np.int8(UNKNOWN))


def _users(table: Table, rows: Bool) -> list[str]:
    return [table.users[row] for row in np.flatnonzero(rows).tolist()]
