"""Erases an account: all that hangs on it ends now, and leaves by the same door as what ends by itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fraudgraph.graph.heap import Heap, keyed_put
from fraudgraph.graph.links import Links
from fraudgraph.graph.orders import Orders
from fraudgraph.graph.transfers import Transfers
from fraudgraph.graph.types import I32, I64, U8
from fraudgraph.graph.users import Users


def end_accounts(
    users: Users,
    links: Links,
    orders: Orders,
    transfers: Transfers,
    gone: Sequence[int],
    now_ms: int,
    *,
    ident_kind: U8,
    ttl_ms: I64,
    user_ttl_ms: int,
) -> None:
    """Lets all links, orders and transfers of users, and the users, end at `now_ms`; the next expiry takes them.

    It reads whole heaps: rare, and some 0.1 s for a million links.
    """
    slots = [slot for user in gone for slot in _list(users.links[user], links.next_of_user)]
    at = np.array(slots, np.int64)
    links.last_ms[at] = now_ms - ttl_ms[ident_kind[links.ident[at]]]
    _bring_forward(links.ends, np.array(slots, np.int32), now_ms)
    for user in gone:
        for slot in _list(users.orders[user], orders.next):
            keyed_put(orders.ends, now_ms, slot)
    transfers.end([slot for user in gone for slot in _both(users, transfers, user)], now_ms)
    ids = np.array(gone, np.int32)
    users.last_ms[ids] = now_ms - user_ttl_ms
    _bring_forward(users.ends, ids, now_ms)


def _list(head: int | np.int32, following: I32) -> list[int]:
    slots, at = [], int(head)
    while at >= 0:
        slots.append(at)
        at = int(following[at])
    return slots


def _both(users: Users, transfers: Transfers, user: int) -> list[int]:
    columns = transfers.columns
    return sorted(
        {*_list(users.transfers_out[user], columns.next_out), *_list(users.transfers_in[user], columns.next_in)}
    )


def _bring_forward(heap: Heap, items: I32, now_ms: int) -> None:
    """Sets the moments of these entries; sorted entries are a heap."""
    n = int(heap.size[0])
    due = np.isin(heap.item[:n], items)
    heap.when_ms[:n][due] = np.minimum(heap.when_ms[:n][due], now_ms)
    order = np.argsort(heap.when_ms[:n], kind="stable")
    heap.when_ms[:n] = heap.when_ms[:n][order]
    heap.item[:n] = heap.item[:n][order]
