"""Orders with their money, each counted once, however many events speak of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fraudgraph.events.kinds import EventType
from fraudgraph.graph.heap import KeyedHeap, keyed_put, keyed_remove, new_keyed_heap, reserve_items
from fraudgraph.graph.interning import grown
from fraudgraph.graph.types import I32, I64, U8, U16, Bool, Int
from fraudgraph.kernels import njit

_ORDER, _REFUND, _CHARGEBACK = int(EventType.ORDER), int(EventType.REFUND), int(EventType.CHARGEBACK)


OWNED = 1 << 7
"""Bit of `Orders.status`: who ordered is who an order event says, not who a payment or refund was booked on."""


class Orders(NamedTuple):
    """Columns by slot (the id of the order's key), `[cap]`. Money in minor units.

    Attributes:
        user: int32, who ordered; -1 where the slot is free.
        ts_ms: int64, the earliest event that speaks of it.
        amount_minor: int64, the largest amount that an order or payment named.
        refunded_minor, charged_minor: int64, sums over refunds and chargebacks.
        currency: uint16, ISO 4217 number; 0 where no event named one.
        status: uint8, bit `1 << Status` for each status seen, and `OWNED` where an order event named the user.
        next, prev: int32 list of the user's orders.
        ends: slots by the moment at which they are forgotten.
    """

    user: I32
    ts_ms: I64
    amount_minor: I64
    refunded_minor: I64
    charged_minor: I64
    currency: U16
    status: U8
    next: I32
    prev: I32
    ends: KeyedHeap


def new_orders(capacity: int = 1024) -> Orders:
    """Returns columns for `capacity` orders, all free."""
    return Orders(
        user=np.full(capacity, -1, np.int32),
        ts_ms=np.zeros(capacity, np.int64),
        amount_minor=np.zeros(capacity, np.int64),
        refunded_minor=np.zeros(capacity, np.int64),
        charged_minor=np.zeros(capacity, np.int64),
        currency=np.zeros(capacity, np.uint16),
        status=np.zeros(capacity, np.uint8),
        next=np.full(capacity, -1, np.int32),
        prev=np.full(capacity, -1, np.int32),
        ends=new_keyed_heap(capacity),
    )


def reserve_orders(orders: Orders, top: int) -> Orders:
    """Returns columns with room for slots below `top`."""
    if top > len(orders.user):
        capacity = top * 3 // 2
        columns = {
            name: grown(column, capacity, -1 if name == "user" else 0)
            for name, column in orders._asdict().items()
            if name != "ends"
        }
        orders = orders._replace(ends=reserve_items(orders.ends, capacity), **columns)
    return orders


@njit(cache=True)
def list_order(orders: Orders, user_orders: I32, slot: Int) -> None:
    """Puts an order at the head of its user's list."""
    first = user_orders[orders.user[slot]]
    orders.next[slot] = first
    orders.prev[slot] = -1
    if first >= 0:
        orders.prev[first] = slot
    user_orders[orders.user[slot]] = slot


@njit(cache=True)
def unlist_order(orders: Orders, user_orders: I32, slot: Int) -> None:
    """Takes an order out of its user's list."""
    before, after = orders.prev[slot], orders.next[slot]
    if before >= 0:
        orders.next[before] = after
    else:
        user_orders[orders.user[slot]] = after
    if after >= 0:
        orders.prev[after] = before


@njit(cache=True)
def move_order(orders: Orders, user_orders: I32, slot: Int, user: Int) -> None:
    """Gives an order to another user."""
    unlist_order(orders, user_orders, slot)
    orders.user[slot] = user
    list_order(orders, user_orders, slot)


@njit(cache=True)
def count_orders(
    orders: Orders,
    user_orders: I32,
    slot: I32,
    user: I32,
    kind: U8,
    status: U8,
    amount: I64,
    currency: U16,
    ts_ms: I64,
    ttl_ms: Int,
    claims: Bool,
) -> None:
    """Applies `[n]` events, in any order, to the orders that they speak of.

    Fills `claims` `[n]`: events that name another user for their order with as much right as the one before.
    """
    for i in range(len(slot)):
        at = slot[i]
        claims[i] = False
        if orders.user[at] >= 0 and ts_ms[i] >= orders.ts_ms[at] + ttl_ms:
            # Forgotten, or about to be: whichever came first must not matter.
            unlist_order(orders, user_orders, at)
            orders.user[at] = -1
            claims[:i] &= slot[:i] != at
        by_order = kind[i] == _ORDER
        if orders.user[at] < 0:
            orders.user[at] = user[i]
            orders.ts_ms[at] = ts_ms[i]
            orders.amount_minor[at] = 0
            orders.refunded_minor[at] = 0
            orders.charged_minor[at] = 0
            orders.currency[at] = 0
            orders.status[at] = 0
            list_order(orders, user_orders, at)
            keyed_put(orders.ends, ts_ms[i] + ttl_ms, at)
        elif orders.user[at] != user[i]:
            owned = orders.status[at] & OWNED != 0
            if by_order and not owned:
                move_order(orders, user_orders, at, user[i])
            elif by_order == owned:
                claims[i] = True
        if by_order:
            orders.status[at] |= OWNED
        if ts_ms[i] < orders.ts_ms[at]:
            orders.ts_ms[at] = ts_ms[i]
            keyed_put(orders.ends, ts_ms[i] + ttl_ms, at)
        orders.currency[at] = max(orders.currency[at], currency[i])
        if kind[i] == _REFUND:
            orders.refunded_minor[at] += amount[i]
        elif kind[i] == _CHARGEBACK:
            orders.charged_minor[at] += amount[i]
        else:
            orders.amount_minor[at] = max(orders.amount_minor[at], amount[i])
            orders.status[at] |= 1 << status[i]


@njit(cache=True)
def forget_orders(orders: Orders, user_orders: I32, now_ms: Int, out: I32, out_user: I32) -> Int:
    """Fills `out` with orders that are over, `out_user` with their users; returns how many, at most len(out)."""
    n = 0
    while n < len(out) and orders.ends.size[0] > 0 and orders.ends.when_ms[0] <= now_ms:
        slot = orders.ends.item[0]
        keyed_remove(orders.ends, slot)
        unlist_order(orders, user_orders, slot)
        out[n] = slot
        out_user[n] = orders.user[slot]
        orders.user[slot] = -1
        n += 1
    return n
