"""What each user did: lifetime counters in columns, forgotten when a user was silent for long."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fraudgraph.events.kinds import EventType, Status
from fraudgraph.graph.heap import Heap, heap_pop, heap_push, heap_replace_top, new_heap, reserve_heap
from fraudgraph.graph.interning import grown
from fraudgraph.graph.types import I8, I32, I64, U8, Int
from fraudgraph.kernels import njit

COUNTS = (
    "logins",
    "orders",
    "payments",
    "declined",
    "refunds",
    "chargebacks",
    "referrals",
    "transfers_out",
    "transfers_in",
)
LOGINS, ORDERS, PAYMENTS, DECLINED, REFUNDS, CHARGEBACKS, REFERRALS, TRANSFERS_OUT, TRANSFERS_IN = range(9)

# numba needs plain ints for globals.
_SIGNUP, _LOGIN, _ORDER, _PAYMENT = (
    int(EventType.SIGNUP),
    int(EventType.LOGIN),
    int(EventType.ORDER),
    int(EventType.PAYMENT),
)
_REFUND, _TRANSFER, _REFERRAL, _CHARGEBACK = (
    int(EventType.REFUND),
    int(EventType.TRANSFER),
    int(EventType.REFERRAL),
    int(EventType.CHARGEBACK),
)
_DECLINED = int(Status.DECLINED)


class Users(NamedTuple):
    """Columns by user id, `[cap]`.

    Attributes:
        first_ms, last_ms: int64, first and last event; -1 where the id is free.
        signup_ms, first_spend_ms: int64, -1 where it did not happen.
        counts: `[cap, 9]` int32 in the order of `COUNTS`.
        label: int8, 1 fraud, -1 legitimate, 0 unknown.
        links: int32 head of the list of links; -1 where empty.
        orders: int32 head of the list of orders.
        transfers_out, transfers_in: int32 heads of the lists of transfers and referrals.
        ring: int32 serial of the ring that the user is in; -1 where none.
        ends: heap of users by a moment at which they may be forgotten.
        signups: `[1]` int64, how many of them signed up in the stream.
    """

    first_ms: I64
    last_ms: I64
    signup_ms: I64
    first_spend_ms: I64
    counts: I32
    label: I8
    links: I32
    orders: I32
    transfers_out: I32
    transfers_in: I32
    ring: I32
    ends: Heap
    signups: I64


def new_users(capacity: int = 1024) -> Users:
    """Returns columns for `capacity` users, all free."""

    def times() -> I64:
        return np.full(capacity, -1, np.int64)

    def heads() -> I32:
        return np.full(capacity, -1, np.int32)

    return Users(
        first_ms=times(),
        last_ms=times(),
        signup_ms=times(),
        first_spend_ms=times(),
        counts=np.zeros((capacity, len(COUNTS)), np.int32),
        label=np.zeros(capacity, np.int8),
        links=heads(),
        orders=heads(),
        transfers_out=heads(),
        transfers_in=heads(),
        ring=heads(),
        ends=new_heap(capacity),
        signups=np.zeros(1, np.int64),
    )


def reserve_users(users: Users, top: int, more: int) -> Users:
    """Returns columns with room for ids below `top`, and `more` pushes."""
    if top > len(users.first_ms):
        capacity = top * 3 // 2
        fresh = {"counts": 0, "label": 0}
        columns = {
            name: grown(column, capacity, fresh.get(name, -1))
            for name, column in users._asdict().items()
            if name not in ("ends", "signups")
        }
        users = users._replace(**columns)
    return users._replace(ends=reserve_heap(users.ends, more))


@njit(cache=True)
def _see(users: Users, user: Int, ts_ms: Int, ttl_ms: Int) -> bool:
    """Widens a user's time; returns False where the event belongs to a life that is over."""
    last = users.last_ms[user]
    if last < 0:
        heap_push(users.ends, ts_ms + ttl_ms, user)
        users.first_ms[user] = ts_ms
        users.last_ms[user] = ts_ms
        return True
    if ts_ms >= last + ttl_ms:
        # Silent for so long that they were forgotten, or are about to be: whichever came first must not matter.
        users.first_ms[user] = ts_ms
        users.signups[0] -= users.signup_ms[user] >= 0
        users.signup_ms[user] = -1
        users.first_spend_ms[user] = -1
        users.counts[user] = 0
    elif ts_ms <= users.first_ms[user] - ttl_ms:
        return False
    if ts_ms > users.last_ms[user]:
        users.last_ms[user] = ts_ms
    if ts_ms < users.first_ms[user]:
        users.first_ms[user] = ts_ms
    return True


@njit(cache=True)
def count_activity(
    users: Users, user: I32, counterparty: I32, kind: U8, status: U8, amount: I64, ts_ms: I64, ttl_ms: Int
) -> None:
    """Counts `[n]` events; `user` is -1 for those about nobody, `counterparty` -1 where there is none."""
    for i in range(len(user)):
        who, when, what = user[i], ts_ms[i], kind[i]
        if counterparty[i] >= 0 and _see(users, counterparty[i], when, ttl_ms) and what == _TRANSFER:
            users.counts[counterparty[i], TRANSFERS_IN] += 1
        if who < 0 or not _see(users, who, when, ttl_ms):
            continue
        if what == _SIGNUP:
            users.signups[0] += users.signup_ms[who] < 0
            if users.signup_ms[who] < 0 or when < users.signup_ms[who]:
                users.signup_ms[who] = when
        elif what == _LOGIN:
            users.counts[who, LOGINS] += 1
        elif what == _ORDER:
            users.counts[who, ORDERS] += 1
        elif what == _PAYMENT:
            users.counts[who, PAYMENTS] += 1
        elif what == _REFUND:
            users.counts[who, REFUNDS] += 1
        elif what == _CHARGEBACK:
            users.counts[who, CHARGEBACKS] += 1
        elif what == _REFERRAL:
            users.counts[who, REFERRALS] += 1
        elif what == _TRANSFER:
            users.counts[who, TRANSFERS_OUT] += 1
        if what in (_ORDER, _PAYMENT, _TRANSFER):
            if status[i] == _DECLINED:
                users.counts[who, DECLINED] += 1
            if amount[i] > 0 and (users.first_spend_ms[who] < 0 or when < users.first_spend_ms[who]):
                users.first_spend_ms[who] = when


@njit(cache=True)
def forget_silent(users: Users, now_ms: Int, ttl_ms: Int, out: I32) -> Int:
    """Fills `out` with users that were silent for `ttl_ms`, and clears them; returns how many, at most len(out)."""
    n = 0
    while n < len(out) and users.ends.size[0] > 0 and users.ends.when_ms[0] <= now_ms:
        user = users.ends.item[0]
        ends = users.last_ms[user] + ttl_ms
        if ends > now_ms:
            heap_replace_top(users.ends, ends, user)
            continue
        if users.links[user] >= 0 or users.orders[user] >= 0:
            # Cannot be: links and orders live shorter than users and are used only by them.
            heap_replace_top(users.ends, now_ms + 1, user)
            continue
        heap_pop(users.ends)
        users.signups[0] -= users.signup_ms[user] >= 0
        users.first_ms[user] = -1
        users.last_ms[user] = -1
        users.signup_ms[user] = -1
        users.first_spend_ms[user] = -1
        users.counts[user] = 0
        users.label[user] = 0
        out[n] = user
        n += 1
    return n
