"""Accounts that use what belongs to many strangers: they are tied to all of them, and tie none of them to a ring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fraudgraph.graph.hot import HotGraph, Idents
from fraudgraph.graph.links import Links
from fraudgraph.graph.types import I32, I64, Bool, Int
from fraudgraph.kernels import njit
from fraudgraph.rings.network import MUST, tie_network, user_parts
from fraudgraph.rings.ties import Ties

if TYPE_CHECKING:
    import igraph


def without_strangers(graph: HotGraph, ties: Ties, users: I32, now_ms: int, most: int) -> list[I32]:
    """Returns users of a component in the parts that they are in without the strangers of accounts.

    Without an account, a ring that holds together stays in one part. Where more than `most` other parts come off, the
    account is all that ties them: it used what belongs to people who have nothing to do with each other, as anybody
    can who wants company in a ring. It keeps the part with most accounts (of equals, the one that shares more with it,
    then the one whose first name comes first), and those that an analyst ties to it. Pure: users and ties decide; all
    such accounts are found before anything is cut.
    """
    name = graph.user_table.key_of
    team = sorted(users.tolist(), key=lambda user: name[user] or "")
    network = tie_network(graph, ties, team, now_ms)
    network.delete_edges(_to_strangers(network, len(team), most))
    return [np.array(sorted(part), np.int32) for part in user_parts(network, team)]


def _to_strangers(network: igraph.Graph, users: int, most: int) -> list[int]:
    """Returns the edges between accounts and their strangers; the first `users` vertices are accounts."""
    edges = []
    for account in range(users):
        if sum(other >= users for other in network.neighbors(account)) <= most + 1:
            continue
        rest = network.copy()
        rest.delete_edges(network.incident(account))
        part_of = rest.connected_components().membership
        sizes = np.bincount(part_of[:users], minlength=max(part_of) + 1)
        ends: dict[int, list[int]] = {}
        shared = set()
        for edge in network.incident(account):
            one, other = network.es[edge].tuple
            end = other if one == account else one
            ends.setdefault(part_of[end], []).append(edge)
            if end >= users and sizes[part_of[end]] > 0:
                shared.add(part_of[end])
        if len(shared) - 1 <= most:
            continue
        home = min(shared, key=lambda part: (-sizes[part], -len(ends[part]), part_of.index(part)))
        for part in shared - {home}:
            if all(network.es[edge]["strength"] < MUST for edge in ends[part]):
                edges += ends[part]
    return edges


@njit(cache=True)
def reach_widely(
    user_head: I32, links: Links, idents: Idents, members: I32, starts: I64, now_ms: Int, most: Int
) -> Bool:
    """Returns which components are worth a close look: where somebody is tied to more than `most` + 1 others, each by
    an identifier of their own. Every component with strangers is one of them.

    Args:
        members: user ids of `c` components, one after the other.
        starts: `[c + 1]` where each begins in `members`.
    """
    found = np.zeros(len(starts) - 1, np.bool_)
    partners = np.empty(most + 2, np.int32)
    for component in range(len(found)):
        for user in members[starts[component] : starts[component + 1]]:
            if _partners(user_head, links, idents, user, now_ms, partners) == len(partners):
                found[component] = True
                break
    return found


@njit(cache=True)
def _partners(user_head: I32, links: Links, idents: Idents, user: Int, now_ms: Int, partners: I32) -> Int:
    """Fills `partners` with one new user from each identifier that ties this one; returns how many, at most all."""
    n: Int = 0
    mine = user_head[user]
    while mine >= 0 and n < len(partners):
        ident = links.ident[mine]
        ties = links.tie_ends_ms[mine] > now_ms and idents.degree[ident] > 1
        slot = idents.links[ident] if ties else np.int32(-1)
        while slot >= 0:
            other = links.user[slot]
            if other != user and links.tie_ends_ms[slot] > now_ms and not (partners[:n] == other).any():
                partners[n] = other
                n += 1
                break
            slot = links.next_of_ident[slot]
        mine = links.next_of_user[mine]
    return n
