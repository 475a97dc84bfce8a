"""Means of neighbours' bands, one and two steps away, in fixed point; and whom a change of the graph concerns."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from fraudgraph.graph.hot import GraphChange
from fraudgraph.graph.interning import grown
from fraudgraph.graph.types import I32, I64, Bool, Int
from fraudgraph.kernels import bare, njit
from fraudgraph.scoring.gnn.features import FEATURE_COLUMNS, LINK_STEP_MS, fill_user_bands
from fraudgraph.scoring.trees_kernels import HALF_LIFE_MS, View, is_hub, is_narrow, list_money_partners

SCALE: Final = 1 << 16
"""Means are whole numbers of this part: with bands below 16 and weights up to 2^20, sums of 2^19 links fit 64 bits."""

_STEP: Final = LINK_STEP_MS
_BANDS: Final = FEATURE_COLUMNS
_WEIGHTS: Final = np.rint(np.exp2(20.0 - np.arange(128) * LINK_STEP_MS / HALF_LIFE_MS)).astype(np.int64)
"""Of a link by how many steps its last use is behind the latest one of the same mean; what is older weighs nothing."""


class Marks(NamedTuple):
    """Scratch of walks.

    Attributes:
        user: `[users]` number of the walk that met a user last; `state` `[1]` the number of the current one.
        met, passed: `[users]`, `[idents]` lists under construction.
        user_row, ident_row: `[users]`, `[idents]` places in those; -1 between calls.
    """

    user: I64
    met: I32
    passed: I32
    user_row: I32
    ident_row: I32
    state: I64


def new_marks() -> Marks:
    """Returns marks for no user and no identifier."""
    none = np.zeros(0, np.int32)
    return Marks(np.zeros(0, np.int64), none, none, none, none, np.zeros(1, np.int64))


def reserve_marks(marks: Marks, users: int, idents: int) -> Marks:
    """Returns marks with room for so many users and identifiers."""
    if users > len(marks.user):
        marks = marks._replace(
            user=grown(marks.user, users), met=grown(marks.met, users), user_row=grown(marks.user_row, users, -1)
        )
    if idents > len(marks.ident_row):
        marks = marks._replace(passed=grown(marks.passed, idents), ident_row=grown(marks.ident_row, idents, -1))
    return marks


def near_means(view: View, marks: Marks, ids: I32) -> I64:
    """Returns `[n, 3 x FEATURE_COLUMNS]`: means one step away, two, and over payers and paid, each times `SCALE`.

    One step is from an account to its narrow identifiers, and from each to its accounts, the account itself among them:
    a mean of means, as the network takes two layers. Costs the links within that of the accounts asked for.
    """
    sizes = np.zeros(3, np.int64)
    _list_around(view, marks, ids, sizes)
    inner, passed, everybody = sizes.tolist()
    whole, around = marks.met[:everybody].copy(), marks.passed[:passed].copy()
    bands = np.zeros((everybody, _BANDS), np.int32)
    fill_user_bands(view.users, view.links, view.idents, view.orders, whole, bands)
    out = np.zeros((len(ids), 3 * _BANDS), np.int64)
    _average(
        view,
        marks,
        ids,
        whole[:inner],
        around,
        bands.astype(np.int64) * SCALE,
        np.zeros((2, passed, _BANDS), np.int64),
        np.zeros((inner, _BANDS), np.int64),
        np.zeros(passed, np.bool_),
        out,
    )
    marks.ident_row[around] = -1
    marks.user_row[whole] = -1
    _fill_paid(view, marks, ids, out)
    return out


@bare()
def _list_around(view: View, marks: Marks, ids: I32, sizes: I64) -> None:
    """Lists the users, those one step away, and two; and the narrow identifiers of all but the last.

    Fills `sizes`: how many are at most one step away, identifiers, all users.
    """
    links, idents, count = view.links, view.idents, 0
    for user in ids:
        if marks.user_row[user] < 0:
            marks.user_row[user] = count
            marks.met[count] = user
            count += 1
    passed, done = 0, 0
    for layer in range(2):
        end = count
        for at in range(done, end):
            slot = view.users.links[marks.met[at]]
            while slot >= 0:
                ident = links.ident[slot]
                if marks.ident_row[ident] < 0 and is_narrow(view, ident):
                    marks.ident_row[ident] = passed
                    marks.passed[passed] = ident
                    passed += 1
                    other = idents.links[ident]
                    while other >= 0:
                        who = links.user[other]
                        if marks.user_row[who] < 0:
                            marks.user_row[who] = count
                            marks.met[count] = who
                            count += 1
                        other = links.next_of_ident[other]
                slot = links.next_of_user[slot]
        done = end
        if layer == 0:
            sizes[0] = count
    sizes[1], sizes[2] = passed, count


@bare()
def _average(
    view: View,
    marks: Marks,
    ids: I32,
    inner: I32,
    around: I32,
    values: I64,
    of_idents: I64,
    near: I64,
    done: Bool,
    out: I64,
) -> None:
    """Fills the first two thirds of `out`; everything else that is filled is zeros before."""
    for j in range(len(around)):
        _mean_of_users(view, marks, around[j], values, of_idents[0], j)
    for v in range(len(inner)):
        _mean_of_idents(view, marks, inner[v], of_idents[0], near, v, 0)
    for i in range(len(ids)):
        row = marks.user_row[ids[i]]
        for k in range(_BANDS):
            out[i, k] = near[row, k]
        slot = view.users.links[ids[i]]
        while slot >= 0:
            j = marks.ident_row[view.links.ident[slot]]
            if j >= 0 and not done[j]:
                done[j] = True
                _mean_of_users(view, marks, around[j], near, of_idents[1], j)
            slot = view.links.next_of_user[slot]
    for i in range(len(ids)):
        _mean_of_idents(view, marks, ids[i], of_idents[1], out, i, _BANDS)


@bare()
def _mean_of_users(view: View, marks: Marks, ident: Int, values: I64, out: I64, at: Int) -> None:
    """Adds the mean over an identifier's users to a row of zeros."""
    latest: Int = -1
    total: Int = 0
    slot = view.idents.links[ident]
    while slot >= 0:
        latest = max(latest, view.links.last_ms[slot] // _STEP)
        slot = view.links.next_of_ident[slot]
    slot = view.idents.links[ident]
    while slot >= 0:
        behind = latest - view.links.last_ms[slot] // _STEP
        if behind < len(_WEIGHTS):
            weight = _WEIGHTS[behind]
            total += weight
            row = marks.user_row[view.links.user[slot]]
            for k in range(_BANDS):
                out[at, k] += weight * values[row, k]
        slot = view.links.next_of_ident[slot]
    for k in range(_BANDS):
        out[at, k] = (out[at, k] + total // 2) // max(total, 1)


@bare()
def _mean_of_idents(view: View, marks: Marks, user: Int, values: I64, out: I64, at: Int, column: Int) -> None:
    """Adds the mean over a user's narrow identifiers to a row of zeros, from a column on."""
    latest: Int = -1
    total: Int = 0
    slot = view.users.links[user]
    while slot >= 0:
        if marks.ident_row[view.links.ident[slot]] >= 0:
            latest = max(latest, view.links.last_ms[slot] // _STEP)
        slot = view.links.next_of_user[slot]
    slot = view.users.links[user]
    while slot >= 0:
        row = marks.ident_row[view.links.ident[slot]]
        behind = latest - view.links.last_ms[slot] // _STEP
        if row >= 0 and behind < len(_WEIGHTS):
            weight = _WEIGHTS[behind]
            total += weight
            for k in range(_BANDS):
                out[at, column + k] += weight * values[row, k]
        slot = view.links.next_of_user[slot]
    for k in range(_BANDS):
        out[at, column + k] = (out[at, column + k] + total // 2) // max(total, 1)


@njit(cache=True)
def _fill_paid(view: View, marks: Marks, ids: I32, out: I64) -> None:
    """Fills the last third of `out`."""
    for i in range(len(ids)):
        user = ids[i]
        if view.users.transfers_out[user] < 0 and view.users.transfers_in[user] < 0:
            continue
        marks.state[0] += 1
        count = list_money_partners(view, marks, user, 0)
        bands = np.zeros((count, _BANDS), np.int32)
        fill_user_bands(view.users, view.links, view.idents, view.orders, marks.met[:count].copy(), bands)
        for k in range(_BANDS):
            total = np.int64(0)
            for row in range(count):
                total += bands[row, k]
            out[i, 2 * _BANDS + k] = total * SCALE // max(count, 1)


def concerned(view: View, marks: Marks, muted: Bool, change: GraphChange) -> I32:
    """Returns members of rings whose columns a change, just applied, may have moved.

    Those are within two steps of whatever changed, and whoever pays them or is paid. A path over a link that is gone
    breaks into two, and each begins at an end of that link. Of an identifier whose number of users changed, or that was
    narrow until now, all users are where a path may begin.

    Args:
        muted: `[idents]` whether each was a hub before; brought up to date.
    """
    touched = np.unique(np.concatenate((change.idents, change.deleted_idents)))
    seeds = np.unique(np.concatenate((change.users, change.deleted_users, change.erased)))
    count = _walk(view, marks, muted, seeds.astype(np.int32), touched.astype(np.int32))
    met = marks.met[:count]
    users = view.users
    return met[(users.ring[met] >= 0) & (users.last_ms[met] >= 0)]


@bare()
def _walk(view: View, marks: Marks, muted: Bool, seeds: I32, touched: I32) -> Int:
    """Lists whoever is where a path begins, two steps on, or pays them or is paid; returns how many."""
    links = view.links
    marks.state[0] += 1
    count = 0
    for user in seeds:
        marks.user[user] = marks.state[0]
        marks.met[count] = user
        count += 1
    for ident in touched:
        hub = is_hub(view, ident)
        if not hub or not muted[ident]:
            count = _list_users(view, marks, ident, count)
        muted[ident] = hub
    begun, first, passed = count, 0, 0
    for _ in range(2):
        last = count
        for at in range(first, last):
            slot = view.users.links[marks.met[at]]
            while slot >= 0:
                ident = links.ident[slot]
                if marks.ident_row[ident] < 0:
                    marks.ident_row[ident] = 0
                    marks.passed[passed] = ident
                    passed += 1
                    if is_narrow(view, ident):
                        count = _list_users(view, marks, ident, count)
                slot = links.next_of_user[slot]
        first = last
    for at in range(passed):
        marks.ident_row[marks.passed[at]] = -1
    for at in range(begun):
        count = list_money_partners(view, marks, marks.met[at], count)
    return count


@bare()
def _list_users(view: View, marks: Marks, ident: Int, end: Int) -> Int:
    """Lists an identifier's users that are not marked yet, from `end` on, and marks them; returns where it ends."""
    slot = view.idents.links[ident]
    while slot >= 0:
        who = view.links.user[slot]
        if marks.user[who] != marks.state[0]:
            marks.user[who] = marks.state[0]
            marks.met[end] = who
            end += 1
        slot = view.links.next_of_ident[slot]
    return end
