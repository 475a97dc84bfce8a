"""Rows of the hot graph as a store keeps them: the columns of `stores.port`, by slot."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from fraudgraph.graph.hot import HotGraph
from fraudgraph.graph.interning import key_bytes
from fraudgraph.graph.types import I32
from fraudgraph.graph.users import COUNTS

Rows = dict[str, npt.NDArray[np.generic]]


def entity_rows(graph: HotGraph) -> Iterator[tuple[int, int, str | bytes]]:
    """Yields (kind, id, key) of every user and identifier."""
    for user, name in enumerate(graph.user_table.key_of):
        if name is not None:
            yield 0, user, name
    idents = np.flatnonzero(graph.idents.degree > 0).astype(np.int32)
    yield from zip(graph.idents.kind[idents].tolist(), idents.tolist(), key_bytes(graph.keys, idents), strict=True)


def link_rows(graph: HotGraph, slots: I32) -> Rows:
    """Returns the links in `slots`."""
    links = graph.links
    ident = links.ident[slots]
    return {
        "slot": slots,
        "user": links.user[slots],
        "kind": graph.idents.kind[ident],
        "ident": ident,
        "first_ms": links.first_ms[slots],
        "last_ms": links.last_ms[slots],
        "count": links.uses[slots],
        "sources": links.sources[slots],
        "prev_first_ms": links.prev_first_ms[slots],
        "prev_last_ms": links.prev_last_ms[slots],
        "prev_count": links.prev_uses[slots],
    }


def user_rows(graph: HotGraph, ids: I32) -> Rows:
    """Returns the users with these ids."""
    users = graph.users
    counts = users.counts[ids]
    return {
        "user": ids,
        "first_ms": users.first_ms[ids],
        "last_ms": users.last_ms[ids],
        "signup_ms": users.signup_ms[ids],
        "first_spend_ms": users.first_spend_ms[ids],
        **{name: counts[:, place] for place, name in enumerate(COUNTS)},
        "label": users.label[ids],
    }


def order_rows(graph: HotGraph, slots: I32) -> tuple[Rows, list[bytes]]:
    """Returns the orders in `slots`, and their keys."""
    orders = graph.orders
    rows: Rows = {
        "slot": slots,
        "user": orders.user[slots],
        "ts_ms": orders.ts_ms[slots],
        "amount_minor": orders.amount_minor[slots],
        "refunded_minor": orders.refunded_minor[slots],
        "charged_minor": orders.charged_minor[slots],
        "currency": orders.currency[slots],
        "status": orders.status[slots],
    }
    return rows, key_bytes(graph.order_keys, slots)


def transfer_rows(graph: HotGraph, slots: list[int]) -> Rows:
    """Returns the transfers and referrals in `slots`."""
    at = np.array(slots, np.int32)
    c = graph.transfers.columns
    return {
        "slot": at,
        "from_user": c.sender[at],
        "to_user": c.receiver[at],
        "first_ms": c.first_ms[at],
        "last_ms": c.last_ms[at],
        "count": c.uses[at],
        "amount_minor": c.amount_minor[at],
        "currency": c.currency[at],
        "kind": c.kind[at],
    }
