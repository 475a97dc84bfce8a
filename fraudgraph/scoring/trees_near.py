"""Means of neighbours' bands, one and two steps away, in fixed point; and whom a change of the graph concerns."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from fraudgraph.graph.hot import GraphChange
from fraudgraph.graph.interning import grown
from fraudgraph.graph.types import I32, I64, Bool, Int
from fraudgraph.kernels import njit
from fraudgraph.scoring.gnn.features import FEATURE_COLUMNS, LINK_STEP_MS, fill_user_bands
from fraudgraph.scoring.trees_kernels import HALF_LIFE_MS, View, is_hub, money_partners

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
        user_row, ident_row: `[users]`, `[idents]` places in a list under construction; -1 between calls.
    """

    user: I64
    user_row: I32
    ident_row: I32
    state: I64


def new_marks() -> Marks:
    """Returns marks for no user and no identifier."""
    return Marks(np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(1, np.int64))


def reserve_marks(marks: Marks, users: int, idents: int) -> Marks:
    """Returns marks with room for so many users and identifiers."""
    if users > len(marks.user):
        marks = marks._replace(user=grown(marks.user, users), user_row=grown(marks.user_row, users, -1))
    if idents > len(marks.ident_row):
        marks = marks._replace(ident_row=grown(marks.ident_row, idents, -1))
    return marks


@njit(cache=True)
def fill_near(view: View, marks: Marks, ids: I32, out: I64) -> None:
    """Fills `[n, 3 x FEATURE_COLUMNS]`: means one step away, two, and over payers and paid, each times `SCALE`.

    One step is from an account to its identifiers that link, and from each to its accounts, the account itself among
    them: a mean of means, as the network takes two layers. Costs the links within that of the accounts asked for.
    """
    links, idents = view.links, view.idents
    inner = _users_around(view, marks, ids)  # the accounts asked for, and those one step away
    found = [np.int32(0) for _ in range(0)]
    for user in inner:
        slot = view.users.links[user]
        while slot >= 0:
            ident = links.ident[slot]
            if marks.ident_row[ident] < 0 and not is_hub(view, ident):
                marks.ident_row[ident] = len(found)
                found.append(ident)
            slot = links.next_of_user[slot]
    around = np.array(found, np.int32)
    everybody = [np.int32(0) for _ in range(0)]
    for user in inner:
        everybody.append(user)
    for ident in around:
        other = idents.links[ident]
        while other >= 0:
            who = links.user[other]
            if marks.user_row[who] < 0:
                marks.user_row[who] = len(everybody)
                everybody.append(who)
            other = links.next_of_ident[other]
    whole = np.array(everybody, np.int32)
    bands = np.zeros((len(whole), _BANDS), np.int32)
    fill_user_bands(view.users, links, idents, view.orders, whole, bands)
    values = bands.astype(np.int64) * SCALE
    of_idents = np.zeros((len(around), _BANDS), np.int64)
    near = np.zeros((len(inner), _BANDS), np.int64)
    for j in range(len(around)):
        _mean_of_users(view, marks, around[j], values, of_idents[j])
    for v in range(len(inner)):
        _mean_of_idents(view, marks, inner[v], of_idents, near[v])
    for i in range(len(ids)):
        out[i, :_BANDS] = near[marks.user_row[ids[i]]]
    done = np.zeros(len(around), np.bool_)
    for i in range(len(ids)):
        slot = view.users.links[ids[i]]
        while slot >= 0:
            j = marks.ident_row[links.ident[slot]]
            if j >= 0 and not done[j]:
                done[j] = True
                of_idents[j] = 0
                _mean_of_users(view, marks, around[j], near, of_idents[j])
            slot = links.next_of_user[slot]
    for i in range(len(ids)):
        _mean_of_idents(view, marks, ids[i], of_idents, out[i, _BANDS : 2 * _BANDS])
    marks.ident_row[around] = -1
    marks.user_row[whole] = -1
    for i in range(len(ids)):
        _mean_of_payments(view, marks, ids[i], out[i, 2 * _BANDS :])


@njit(cache=True)
def _users_around(view: View, marks: Marks, ids: I32) -> I32:
    """Returns the users, and those one step away, and notes their places."""
    inner = [np.int32(0) for _ in range(0)]
    for user in ids:
        if marks.user_row[user] < 0:
            marks.user_row[user] = len(inner)
            inner.append(user)
    for user in ids:
        slot = view.users.links[user]
        while slot >= 0:
            ident = view.links.ident[slot]
            if not is_hub(view, ident):
                other = view.idents.links[ident]
                while other >= 0:
                    who = view.links.user[other]
                    if marks.user_row[who] < 0:
                        marks.user_row[who] = len(inner)
                        inner.append(who)
                    other = view.links.next_of_ident[other]
            slot = view.links.next_of_user[slot]
    return np.array(inner, np.int32)


@njit(cache=True)
def _mean_of_users(view: View, marks: Marks, ident: Int, values: I64, out: I64) -> None:
    latest: Int = np.int64(-1)
    total = np.int64(0)
    slot = view.idents.links[ident]
    while slot >= 0:
        latest = max(latest, view.links.last_ms[slot] // _STEP)
        slot = view.links.next_of_ident[slot]
    slot = view.idents.links[ident]
    while slot >= 0:
        behind = latest - view.links.last_ms[slot] // _STEP
        if behind < len(_WEIGHTS):
            total += _WEIGHTS[behind]
            row = marks.user_row[view.links.user[slot]]
            for k in range(_BANDS):
                out[k] += _WEIGHTS[behind] * values[row, k]
        slot = view.links.next_of_ident[slot]
    for k in range(_BANDS):
        out[k] = (out[k] + total // 2) // max(total, 1)


@njit(cache=True)
def _mean_of_idents(view: View, marks: Marks, user: Int, values: I64, out: I64) -> None:
    latest: Int = np.int64(-1)
    total = np.int64(0)
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
            total += _WEIGHTS[behind]
            for k in range(_BANDS):
                out[k] += _WEIGHTS[behind] * values[row, k]
        slot = view.links.next_of_user[slot]
    for k in range(_BANDS):
        out[k] = (out[k] + total // 2) // max(total, 1)


@njit(cache=True)
def _mean_of_payments(view: View, marks: Marks, user: Int, out: I64) -> None:
    marks.state[0] += 1
    partners = money_partners(view, marks, user)
    bands = np.zeros((len(partners), _BANDS), np.int32)
    fill_user_bands(view.users, view.links, view.idents, view.orders, partners, bands)
    for k in range(_BANDS):
        total = np.int64(0)
        for i in range(len(partners)):
            total += bands[i, k]
        out[k] = total * SCALE // max(len(partners), 1)


def concerned(view: View, marks: Marks, muted: Bool, change: GraphChange) -> I32:
    """Returns members of rings whose columns a change, just applied, may have moved.

    Those are within two steps of whatever changed, and whoever pays them or is paid. A path over a link that is gone
    breaks into two, and each begins at an end of that link. Of an identifier whose number of users changed, all users
    are where a path may begin.

    Args:
        muted: `[idents]` whether each was a hub before; brought up to date.
    """
    touched = np.unique(np.concatenate((change.idents, change.deleted_idents)))
    seeds = np.unique(np.concatenate((change.users, change.deleted_users, change.erased)))
    return _around(view, marks, muted, seeds.astype(np.int32), touched.astype(np.int32))


@njit(cache=True)
def _around(view: View, marks: Marks, muted: Bool, seeds: I32, touched: I32) -> I32:
    met = _seeds(view, marks, muted, seeds, touched)
    paid = [np.int32(0) for _ in range(0)]
    for who in met:
        for partner in money_partners(view, marks, who):
            paid.append(partner)
    for who in paid:
        marks.user[who] = 0  # whoever is also a step away goes on from there
    passed = [np.int32(0) for _ in range(0)]
    fresh = met
    for _ in range(2):
        fresh = _step_over(view, marks, fresh, passed)
        met = np.concatenate((met, fresh))
    for ident in passed:
        marks.ident_row[ident] = -1
    members = [np.int32(0) for _ in range(0)]
    for who in met:
        if view.users.ring[who] >= 0 and view.users.last_ms[who] >= 0:
            members.append(who)
    for who in paid:
        if marks.user[who] != marks.state[0] and view.users.ring[who] >= 0 and view.users.last_ms[who] >= 0:
            members.append(who)
    return np.array(members, np.int32)


@njit(cache=True)
def _seeds(view: View, marks: Marks, muted: Bool, seeds: I32, touched: I32) -> I32:
    """Returns where paths begin, each once, and marks them."""
    marks.state[0] += 1
    met = [np.int32(0) for _ in range(0)]
    for user in seeds:
        if marks.user[user] != marks.state[0]:
            marks.user[user] = marks.state[0]
            met.append(user)
    for ident in touched:
        hub = is_hub(view, ident)
        slot = np.int32(-1) if hub and muted[ident] else view.idents.links[ident]
        while slot >= 0:
            who = view.links.user[slot]
            if marks.user[who] != marks.state[0]:
                marks.user[who] = marks.state[0]
                met.append(who)
            slot = view.links.next_of_ident[slot]
        muted[ident] = hub
    return np.array(met, np.int32)


@njit(cache=True)
def _step_over(view: View, marks: Marks, users: I32, passed: list[Int]) -> I32:
    """Returns accounts one step on that are not marked yet, and marks them; no identifier is passed twice."""
    met = [np.int32(0) for _ in range(0)]
    for user in users:
        slot = view.users.links[user]
        while slot >= 0:
            ident = view.links.ident[slot]
            if marks.ident_row[ident] < 0:
                marks.ident_row[ident] = 0
                passed.append(ident)
                other = np.int32(-1) if is_hub(view, ident) else view.idents.links[ident]
                while other >= 0:
                    who = view.links.user[other]
                    if marks.user[who] != marks.state[0]:
                        marks.user[who] = marks.state[0]
                        met.append(who)
                    other = view.links.next_of_ident[other]
            slot = view.links.next_of_user[slot]
    return np.array(met, np.int32)
