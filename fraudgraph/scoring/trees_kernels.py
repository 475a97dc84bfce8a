"""Kernels behind the trees' columns: what an account did, what it shares, and whom it can see from there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from fraudgraph.durations import DAY_MS, HOUR_MS
from fraudgraph.events.kinds import EntityKind, Status
from fraudgraph.graph.hot import Idents
from fraudgraph.graph.links import Links
from fraudgraph.graph.orders import Orders
from fraudgraph.graph.transfers import TransferColumns
from fraudgraph.graph.types import I32, I64, Bool, Int
from fraudgraph.graph.users import (
    DECLINED,
    LOGINS,
    ORDERS,
    PAYMENTS,
    REFERRALS,
    REFUNDS,
    TRANSFERS_IN,
    TRANSFERS_OUT,
    Users,
)
from fraudgraph.kernels import bare, njit
from fraudgraph.scoring.gnn.model import F32

if TYPE_CHECKING:
    from fraudgraph.scoring.trees_near import Marks

WINDOWS_MS: Final = (DAY_MS, 7 * DAY_MS, 30 * DAY_MS)
HALF_LIFE_MS: Final = 30 * DAY_MS
"""Age at which a link weighs half as much as a fresh one in the means of neighbours."""
NARROW_USERS: Final = 32
"""A step from account to account goes over identifiers of at most so many, as of `LinkPolicy.max_pair_users`: what more
people share says little of any two of them, and would make a step long."""

OWN_COLUMNS: Final = 33
SHARED_COLUMNS: Final = 36

_DAY, _HOUR, _WEEK = DAY_MS, HOUR_MS, 7 * DAY_MS
_KINDS: Final = len(EntityKind) - 1
_WINDOWS: Final = np.array(WINDOWS_MS, np.int64)
_COUNT: Final = len(WINDOWS_MS)
_APPROVED, _FAILED = 1 << Status.APPROVED, 1 << Status.DECLINED | 1 << Status.CANCELLED


class View(NamedTuple):
    """The columns of a graph that are read, and of each EntityKind two facts.

    Attributes:
        limits: `[kinds]` the most users of an identifier that is no hub; ties: whether one ties by itself.
    """

    users: Users
    links: Links
    idents: Idents
    orders: Orders
    transfers: TransferColumns
    limits: I64
    ties: Bool


@bare(inline="always")
def is_hub(view: View, ident: Int) -> Bool:
    """Returns whether an identifier links nobody: too many use it, or an analyst calls it benign."""
    return view.idents.degree[ident] > view.limits[view.idents.kind[ident]] or view.idents.benign[ident]


@bare(inline="always")
def is_narrow(view: View, ident: Int) -> bool:
    """Returns whether a step goes over an identifier."""
    return not (view.idents.degree[ident] > NARROW_USERS or is_hub(view, ident))


@njit(cache=True)
def fill_own(view: View, ids: I32, as_of_ms: I64, out: F32) -> None:
    """Fills `[n, OWN_COLUMNS]` of zeros."""
    users, links, orders = view.users, view.links, view.orders
    for i in range(len(ids)):
        user, now, row = ids[i], as_of_ms[i], out[i]
        counts = users.counts[user]
        row[0] = users.signup_ms[user] >= 0
        row[1] = max(now - users.first_ms[user], 0) / _DAY
        row[2] = max(now - users.last_ms[user], 0) / _DAY
        row[3] = (users.last_ms[user] - users.first_ms[user]) / _DAY
        row[4] = counts[LOGINS]
        row[5] = counts[ORDERS]
        row[6] = counts[PAYMENTS]
        row[7] = counts[DECLINED]
        row[8] = counts[REFUNDS]
        row[9] = counts[REFERRALS]
        row[10] = counts[TRANSFERS_OUT]
        row[11] = counts[TRANSFERS_IN]
        row[12] = counts[DECLINED] / max(1, counts[ORDERS] + counts[PAYMENTS] + counts[TRANSFERS_OUT])
        first_spend = users.first_spend_ms[user]
        row[13] = -1.0 if first_spend < 0 else (first_spend - users.first_ms[user]) / _HOUR
        spent, most, placed, refunded = np.int64(0), np.int64(0), 0, np.int64(0)
        spent_in = np.zeros(len(_WINDOWS), np.int64)
        slot = users.orders[user]
        while slot >= 0:
            status, amount, when = orders.status[slot], orders.amount_minor[slot], orders.ts_ms[slot]
            went_through = status & _APPROVED != 0 or status & _FAILED == 0
            placed += 1
            refunded += orders.refunded_minor[slot]
            most = max(most, np.int64(amount))
            if went_through:
                spent += amount
            for w in range(len(_WINDOWS)):
                if when > now - _WINDOWS[w]:
                    row[18 + w] += 1
                    if went_through:
                        spent_in[w] += amount
            slot = orders.next[slot]
        row[14] = spent
        row[15] = most
        row[16] = spent / max(1, placed)
        row[17] = refunded / max(spent, np.int64(1))
        for w in range(len(_WINDOWS)):
            row[21 + w] = spent_in[w]
        slot = users.links[user]
        while slot >= 0:
            for w in range(len(_WINDOWS)):
                row[24 + w] += links.first_ms[slot] > now - _WINDOWS[w]
            row[26 + view.idents.kind[links.ident[slot]]] += 1
            slot = links.next_of_user[slot]


@bare()
def fill_shared(view: View, marks: Marks, ids: I32, as_of_ms: I64, out: F32) -> None:
    """Fills `[n, SHARED_COLUMNS]` of zeros: what is shared, and what is counted of whom that leads to."""
    users, links, idents = view.users, view.links, view.idents
    for i in range(len(ids)):
        user, now = ids[i], as_of_ms[i]
        slot = users.links[user]
        while slot >= 0:
            ident = links.ident[slot]
            kind, degree = idents.kind[ident], idents.degree[ident]
            if is_hub(view, ident):
                out[i, 12] += 1
            else:
                out[i, kind - 1] += degree > 1
                out[i, 5 + kind] = max(out[i, 5 + kind], np.float32(degree))
                if degree <= NARROW_USERS:
                    _count_joined(view, slot, out, i)
            slot = links.next_of_user[slot]
        marks.state[0] += 1
        out[i, 15] = list_money_partners(view, marks, user, 0)
        marks.state[0] += 1
        marks.user[user] = marks.state[0]
        near = _step(view, marks, user, 0, False)
        out[i, 16] = near
        for at in range(near):
            other = marks.met[at]
            _count_other(users, other, now, out, i, 18)
            for w in range(_COUNT):
                out[i, 30 + w] += users.first_spend_ms[other] > now - _WINDOWS[w]
            out[i, 33] += users.counts[other, ORDERS]
            out[i, 34] += users.counts[other, DECLINED]
            out[i, 35] += users.counts[other, REFUNDS]
        end = near
        for at in range(near):
            end = _step(view, marks, marks.met[at], end, True)
        out[i, 17] = end - near
        for at in range(near, end):
            _count_other(users, marks.met[at], now, out, i, 21)


@bare()
def _count_joined(view: View, slot: Int, out: F32, i: Int) -> None:
    links = view.links
    began = links.first_ms[slot]
    other = view.idents.links[links.ident[slot]]
    while other >= 0:
        if other != slot:
            apart = abs(links.first_ms[other] - began)
            out[i, 13] += apart <= _DAY
            out[i, 14] += apart <= _WEEK
        other = links.next_of_ident[other]


@bare()
def _count_other(users: Users, other: Int, now: Int, out: F32, i: Int, at: Int) -> None:
    for w in range(_COUNT):
        out[i, at + w] += users.first_ms[other] > now - _WINDOWS[w]
        out[i, at + 6 + w] += users.last_ms[other] > now - _WINDOWS[w]


@bare()
def _step(view: View, marks: Marks, user: Int, end: Int, ties: bool) -> Int:
    """Lists accounts a step away that are not marked yet, from `end` on, and marks them; returns where the list ends.

    Args:
        ties: only over identifiers of kinds that tie by themselves.
    """
    links, idents = view.links, view.idents
    slot = view.users.links[user]
    while slot >= 0:
        ident = links.ident[slot]
        if (not ties or view.ties[idents.kind[ident]]) and is_narrow(view, ident):
            other = idents.links[ident]
            while other >= 0:
                who = links.user[other]
                if marks.user[who] != marks.state[0]:
                    marks.user[who] = marks.state[0]
                    marks.met[end] = who
                    end += 1
                other = links.next_of_ident[other]
        slot = links.next_of_user[slot]
    return end


@bare()
def list_money_partners(view: View, marks: Marks, user: Int, end: Int) -> Int:
    """Lists accounts that pay or bring a user, or are paid or brought, as `_step` does."""
    slot = view.users.transfers_out[user]
    while slot >= 0:
        who = view.transfers.receiver[slot]
        if marks.user[who] != marks.state[0]:
            marks.user[who] = marks.state[0]
            marks.met[end] = who
            end += 1
        slot = view.transfers.next_out[slot]
    slot = view.users.transfers_in[user]
    while slot >= 0:
        who = view.transfers.sender[slot]
        if marks.user[who] != marks.state[0]:
            marks.user[who] = marks.state[0]
            marks.met[end] = who
            end += 1
        slot = view.transfers.next_in[slot]
    return end
