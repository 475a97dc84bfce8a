"""The part of a graph that decides about some of its users, cut out as a store's rows with small ids of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from fraudgraph.events.batch import LabelRow
from fraudgraph.events.kinds import EntityKind
from fraudgraph.graph.hot import HotGraph, Idents, distinct
from fraudgraph.graph.interning import key_bytes
from fraudgraph.graph.links import Links
from fraudgraph.graph.rows import Rows, link_rows, order_rows, transfer_rows, user_rows
from fraudgraph.graph.transfers import TransferColumns
from fraudgraph.graph.types import I32, I64, Bool, Int
from fraudgraph.graph.users import Users
from fraudgraph.kernels import njit

_NONE: Final = np.empty(0, np.int32)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Rows of a part of a graph, as `graph.restore` takes them.

    Attributes:
        users: ids in the whole graph, ascending; the place of one is its id here.
    """

    users: I32
    entities: list[tuple[int, int, str | bytes]]
    links: Rows
    user_rows: Rows
    orders: Rows
    order_keys: list[bytes]
    transfers: Rows
    labels: list[LabelRow]

    def here(self, users: I32) -> I32:
        """Returns the ids here of users that are part of it."""
        return np.searchsorted(self.users, users).astype(np.int32)


def surroundings(graph: HotGraph, core: I32, idents: I32 = _NONE) -> Surroundings:
    """Returns all that ties and scores of the users in `core` depend on, in a network of up to two layers.

    Those are the users that share an identifier that links with them, or money, and the same once more; each with all
    links, orders and transfers. Of a hub there are as many users as make it one.

    Args:
        idents: identifiers that are to be hubs there too where they are hubs.
    """
    view = _view(graph)
    inner = distinct(np.concatenate((core, partners(view, core))))
    whole = distinct(np.concatenate((inner, partners(view, inner))))
    slots = distinct(np.concatenate((links_of(view, whole), links_of_hubs(view, inner), hub_links(view, idents))))
    users = distinct(np.concatenate((whole, graph.links.user[slots])))
    return _rows(graph, users, whole, slots)


class Near(NamedTuple):
    """Ids of what a network of up to two layers reads for some users.

    Attributes:
        users, links, transfers: ids in the graph; links include those of identifiers that one user less would let link.
    """

    users: I32
    links: I32
    transfers: I32


def near(graph: HotGraph, core: I32) -> Near:
    """Returns what scores of users depend on, in the graph as it is."""
    view = _view(graph)
    inner = distinct(np.concatenate((core, partners(view, core))))
    whole = distinct(np.concatenate((inner, partners(view, inner))))
    is_whole = np.zeros(len(graph.users.last_ms) + 1, np.bool_)  # the last one is nobody, -1
    is_whole[whole] = True
    columns = graph.transfers.columns
    return Near(
        whole,
        distinct(np.concatenate((links_of(view, whole), links_of_hubs(view, core)))),
        np.flatnonzero(is_whole[columns.sender] & is_whole[columns.receiver]).astype(np.int32),
    )


def users_sharing(graph: HotGraph, idents: I32, most: I64) -> I32:
    """Returns the users of identifiers with at most `most` `[kinds]` users; others link nobody."""
    found = [
        user
        for ident in idents.tolist()
        if graph.idents.degree[ident] <= most[graph.idents.kind[ident]] and not graph.idents.benign[ident]
        for user in _owners(graph, ident)
    ]
    return distinct(np.array(found, np.int32))


def _owners(graph: HotGraph, ident: int) -> list[int]:
    owners, slot = [], int(graph.idents.links[ident])
    while slot >= 0:
        owners.append(int(graph.links.user[slot]))
        slot = int(graph.links.next_of_ident[slot])
    return owners


def _rows(graph: HotGraph, users: I32, whole: I32, slots: I32) -> Surroundings:
    idents = distinct(graph.links.ident[slots])
    links = link_rows(graph, slots)
    links["slot"] = np.arange(len(slots))
    links["user"] = np.searchsorted(users, links["user"])
    links["ident"] = np.searchsorted(idents, links["ident"])
    people = user_rows(graph, users)
    people["user"] = np.arange(len(users))
    is_whole = np.zeros(len(graph.users.last_ms) + 1, np.bool_)
    is_whole[whole] = True
    orders, order_keys = order_rows(graph, np.flatnonzero(is_whole[graph.orders.user]).astype(np.int32))
    orders["slot"] = np.arange(len(order_keys))
    orders["user"] = np.searchsorted(users, orders["user"])
    columns = graph.transfers.columns
    transfers = transfer_rows(graph, np.flatnonzero(is_whole[columns.sender] & is_whole[columns.receiver]).tolist())
    transfers["slot"] = np.arange(len(transfers["slot"]))
    for name in ("from_user", "to_user"):
        transfers[name] = np.searchsorted(users, transfers[name])
    names = [graph.user_table.key_of[user] or "" for user in users.tolist()]
    known = set(names)
    kinds, keys = graph.idents.kind[idents].tolist(), key_bytes(graph.keys, idents)
    return Surroundings(
        users=users,
        entities=[
            *((0, place, name) for place, name in enumerate(names)),
            *((kind, place, key) for place, (kind, key) in enumerate(zip(kinds, keys, strict=True))),
        ],
        links=links,
        user_rows=people,
        orders=orders,
        order_keys=order_keys,
        transfers=transfers,
        labels=[row for row in graph.labels.rows() if row.about_user in known],
    )


class _View(NamedTuple):
    users: Users
    links: Links
    idents: Idents
    transfers: TransferColumns
    limits: I64


def _view(graph: HotGraph) -> _View:
    limits = np.zeros(len(EntityKind), np.int64)
    for name, kind in graph.policy.kinds.items():
        limits[EntityKind[name.upper()]] = kind.hub_users
    return _View(graph.users, graph.links, graph.idents, graph.transfers.columns, limits)


@njit(cache=True, inline="always")
def _is_hub(view: _View, ident: Int) -> Bool:
    return view.idents.degree[ident] > view.limits[view.idents.kind[ident]] or view.idents.benign[ident]


@njit(cache=True)
def partners(view: _View, ids: I32) -> I32:
    """Returns users that share an identifier that links, or money, with one of these, with repeats."""
    found = [np.int32(0) for _ in range(0)]
    for user in ids:
        slot = view.users.links[user]
        while slot >= 0:
            ident = view.links.ident[slot]
            if not _is_hub(view, ident):
                other = view.idents.links[ident]
                while other >= 0:
                    found.append(view.links.user[other])
                    other = view.links.next_of_ident[other]
            slot = view.links.next_of_user[slot]
        slot = view.users.transfers_out[user]
        while slot >= 0:
            found.append(view.transfers.receiver[slot])
            slot = view.transfers.next_out[slot]
        slot = view.users.transfers_in[user]
        while slot >= 0:
            found.append(view.transfers.sender[slot])
            slot = view.transfers.next_in[slot]
    return np.array(found, np.int32)


@njit(cache=True)
def links_of(view: _View, ids: I32) -> I32:
    """Returns the slots of all links of users."""
    found = [np.int32(0) for _ in range(0)]
    for user in ids:
        slot = view.users.links[user]
        while slot >= 0:
            found.append(np.int32(slot))
            slot = view.links.next_of_user[slot]
    return np.array(found, np.int32)


@njit(cache=True)
def links_of_hubs(view: _View, ids: I32) -> I32:
    """Returns, of each hub of these users, as many slots as make it one, with repeats."""
    return hub_links(view, view.links.ident[links_of(view, ids)])


@njit(cache=True)
def hub_links(view: _View, idents: I32) -> I32:
    """Returns, of each hub among these identifiers, as many slots as make it one, with repeats."""
    found = [np.int32(0) for _ in range(0)]
    for ident in idents:
        if _is_hub(view, ident):
            more = view.limits[view.idents.kind[ident]] + 1
            slot = view.idents.links[ident]
            while slot >= 0 and more > 0:
                found.append(np.int32(slot))
                slot = view.links.next_of_ident[slot]
                more -= 1
    return np.array(found, np.int32)
