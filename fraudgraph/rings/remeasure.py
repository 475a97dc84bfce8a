"""A ring's features and members once more, from its snapshot alone: the engine's kernels over a graph of one ring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fraudgraph.events.kinds import EntityKind, EventType, Status
from fraudgraph.graph.hot import GraphLimits, HotGraph
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.graph.restore import Rows, restore_graph
from fraudgraph.graph.types import F64, I64
from fraudgraph.graph.users import COUNTS
from fraudgraph.rings.measure import RingMeasure, Watch
from fraudgraph.rings.snapshot import RingSnapshot
from fraudgraph.rings.tie_tables import tie_tables


def remeasure(snapshot: RingSnapshot, policy: LinkPolicy, watch: Watch) -> tuple[F64, I64]:
    """Returns `[1, len(RING_FEATURES)]` features and `[1, len(RING_MONEY)]` money of the snapshot's ring.

    All features are of members, and of identifiers by how many members and how many users use them: a snapshot has
    both. Sums of floats may differ from the engine's in their last bits, since members come in another order.

    Args:
        policy: the one that the snapshot was read under.
        watch: since when the stream shows beginnings; the engine's, at the snapshot's commit.
    """
    graph = HotGraph(policy, GraphLimits())
    number = {user.user_id: place for place, user in enumerate(snapshot.users)}
    outside = len(number)
    idents = {key: place for place, key in enumerate(sorted({(link.kind, link.key) for link in snapshot.links}))}
    restore_graph(
        graph,
        entities=[
            *((int(EntityKind.USER), place, user_id) for user_id, place in number.items()),
            (int(EntityKind.USER), outside, ""),
            *((int(kind), place, _key(place)) for (kind, _), place in idents.items()),
        ],
        links=_links(snapshot, number, idents),
        users=_users(snapshot),
        orders=_orders(snapshot, number),
        order_keys=[_key(place) for place in range(len(snapshot.orders))],
        transfers=_transfers(snapshot, number, outside),
        labels=[],
    )
    for link in snapshot.links:
        graph.idents.degree[idents[link.kind, link.key]] = link.users_active
        graph.idents.benign[idents[link.kind, link.key]] = bool(link.benign)
    members = np.arange(outside, dtype=np.int32)
    return RingMeasure()(graph, tie_tables(policy).limit, watch, members, np.array([0, outside], np.int64))


def _key(place: int) -> bytes:
    return place.to_bytes(16, "big")


def _users(snapshot: RingSnapshot) -> Rows:
    users = snapshot.users
    names = ("first_ms", "last_ms", "signup_ms", "first_spend_ms", *COUNTS, "label")
    return {"user": _column(range(len(users)))} | {name: _column([getattr(u, name) for u in users]) for name in names}


def _links(snapshot: RingSnapshot, number: dict[str, int], idents: dict[tuple[EntityKind, str], int]) -> Rows:
    links = snapshot.links
    return {
        "slot": _column(range(len(links))),
        "user": _column([number[link.user_id] for link in links]),
        "ident": _column([idents[link.kind, link.key] for link in links]),
        "first_ms": _column([link.first_ms for link in links]),
        "last_ms": _column([link.last_ms for link in links]),
        "count": _column([link.count for link in links]),
        **{name: _column([0] * len(links)) for name in ("sources", "prev_first_ms", "prev_last_ms", "prev_count")},
    }


def _orders(snapshot: RingSnapshot, number: dict[str, int]) -> Rows:
    orders = snapshot.orders
    return {
        "slot": _column(range(len(orders))),
        "user": _column([number[order.user_id] for order in orders]),
        "status": _column([1 << (Status.DECLINED if order.declined else Status.APPROVED) for order in orders]),
        **{
            name: _column([getattr(order, name) for order in orders])
            for name in ("ts_ms", "amount_minor", "refunded_minor", "charged_minor", "currency")
        },
    }


def _transfers(snapshot: RingSnapshot, number: dict[str, int], outside: int) -> Rows:
    """Returns transfers between members, and what a member sent elsewhere as one transfer to an account outside."""
    rows: list[tuple[int, ...]] = [
        (
            number[t.from_user_id],
            number[t.to_user_id],
            t.first_ms,
            t.last_ms,
            t.count,
            t.amount_minor,
            t.currency,
            int(EventType[t.kind.upper()]),
        )
        for t in snapshot.transfers
    ]
    rows += [
        (number[s.user_id], outside, snapshot.as_of_ms, snapshot.as_of_ms, 1, s.amount_minor, s.currency, _TRANSFER)
        for s in snapshot.sent_outside
    ]
    names = ("from_user", "to_user", "first_ms", "last_ms", "count", "amount_minor", "currency", "kind")
    return {"slot": _column(range(len(rows)))} | {
        name: _column([row[place] for row in rows]) for place, name in enumerate(names)
    }


_TRANSFER = int(EventType.TRANSFER)


def _column(values: Sequence[Any]) -> npt.NDArray[np.generic]:
    return np.array(values, np.int64)
