"""Builds the hot graph from a store's rows, in bulk."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from fraudgraph.events.batch import LabelRow
from fraudgraph.graph.heap import Heap, keyed_put
from fraudgraph.graph.hot import HotGraph, new_idents
from fraudgraph.graph.interning import gaps_below, key_halves, restore_keys
from fraudgraph.graph.links import Links, enlist, new_links, place_slots, table_size
from fraudgraph.graph.orders import Orders, list_order, new_orders, reserve_orders
from fraudgraph.graph.types import I32, I64, U8, Int
from fraudgraph.graph.users import COUNTS, new_users
from fraudgraph.kernels import njit

Rows = dict[str, npt.NDArray[np.generic]]


def restore_graph(
    graph: HotGraph,
    *,
    entities: Iterable[tuple[int, int, str | bytes]],
    links: Rows,
    users: Rows,
    orders: Rows,
    order_keys: list[bytes],
    transfers: Rows,
    labels: list[LabelRow],
) -> None:
    """Fills an empty graph; rows as in `stores.port.StoredState`."""
    people: list[tuple[int, str]] = []
    kinds: list[int] = []
    ids: list[int] = []
    keys: list[bytes] = []
    for kind, entity, key in entities:
        if isinstance(key, str):
            people.append((entity, key))
        else:
            kinds.append(kind)
            ids.append(entity)
            keys.append(key)
    graph.user_table.restore(people)
    graph.keys = restore_keys(np.array(ids, np.int64), key_halves(keys))
    _restore_users(graph, users)
    _restore_links(graph, links, np.array(ids, np.int64), np.array(kinds, np.uint8))
    _restore_orders(graph, orders, order_keys)
    graph.transfers.restore(
        graph.users.transfers_out,
        graph.users.transfers_in,
        {name: column.astype(np.int64) for name, column in transfers.items()},
    )
    for row in labels:
        graph.labels.add(row)


def _restore_users(graph: HotGraph, rows: Rows) -> None:
    top = graph.user_table.top
    users = new_users(max(1024, top * 5 // 4))
    ids = rows["user"].astype(np.int64)
    for name in ("first_ms", "last_ms", "signup_ms", "first_spend_ms", "label"):
        getattr(users, name)[ids] = rows[name]
    for place, name in enumerate(COUNTS):
        users.counts[ids, place] = rows[name]
    users.signups[0] = (users.signup_ms >= 0).sum()
    graph.users = users._replace(ends=_heap(users.last_ms[ids] + graph.user_ttl_ms, ids, users.ends))


def _restore_links(graph: HotGraph, rows: Rows, ident_ids: I64, ident_kinds: U8) -> None:
    capacity = max(1024, int(ident_ids.max(initial=-1) + 1) * 5 // 4)
    idents = new_idents(capacity)
    idents.kind[ident_ids] = ident_kinds
    graph.idents = idents
    slots = rows["slot"].astype(np.int64)
    top = int(slots.max(initial=-1)) + 1
    links = new_links(max(1024, top * 5 // 4))
    columns = {
        "user": "user",
        "ident": "ident",
        "first_ms": "first_ms",
        "last_ms": "last_ms",
        "count": "uses",
        "sources": "sources",
        "prev_first_ms": "prev_first_ms",
        "prev_last_ms": "prev_last_ms",
        "prev_count": "prev_uses",
    }
    for stored, column in columns.items():
        getattr(links, column)[slots] = rows[stored]
    gaps = gaps_below(top, slots)
    links.free[: len(gaps)] = gaps
    links.state[:] = (len(slots), top, len(gaps))
    ends_ms = links.last_ms[slots] + graph.ttl_ms[idents.kind[links.ident[slots]]]
    links = links._replace(
        ends=_heap(ends_ms, slots, links.ends), table=np.full(table_size(max(1024, len(slots))), -1, np.int32)
    )
    place_slots(links.table, links.user, links.ident, top)
    enlist_all(links, graph.users.links, idents.links, idents.degree, slots)
    graph.links = links


def _restore_orders(graph: HotGraph, rows: Rows, keys: list[bytes]) -> None:
    slots = rows["slot"].astype(np.int64)
    graph.order_keys = restore_keys(slots, key_halves(keys))
    orders = reserve_orders(new_orders(), int(slots.max(initial=-1)) + 1)
    for name in ("user", "ts_ms", "amount_minor", "refunded_minor", "charged_minor", "currency", "status"):
        getattr(orders, name)[slots] = rows[name]
    list_all(orders, graph.users.orders, slots, graph.order_ttl_ms)
    graph.orders = orders


def _heap(ends_ms: I64, items: I64, empty: Heap) -> Heap:
    """Returns a heap of these entries; sorted entries are one already."""
    order = np.argsort(ends_ms, kind="stable")
    n = len(items)
    empty.when_ms[:n] = ends_ms[order]
    empty.item[:n] = items[order]
    empty.size[0] = n
    return empty


@njit(cache=True)
def enlist_all(links: Links, user_head: I32, ident_head: I32, degree: I32, slots: I64) -> None:
    """Puts links into the lists of their ends, and counts the users of each identifier."""
    for slot in slots:
        enlist(links, user_head, ident_head, slot)
        degree[links.ident[slot]] += 1


@njit(cache=True)
def list_all(orders: Orders, user_orders: I32, slots: I64, ttl_ms: Int) -> None:
    """Puts orders into their users' lists and into the queue of those to forget."""
    for slot in slots:
        list_order(orders, user_orders, slot)
        keyed_put(orders.ends, orders.ts_ms[slot] + ttl_ms, slot)
