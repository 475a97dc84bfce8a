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
    """Returns which components are worth a close look: where by hard ties alone more than `most` groups would come off
    without somebody. Every component with strangers is one of them.

    Args:
        members: user ids of `c` components, one after the other.
        starts: `[c + 1]` where each begins in `members`.
    """
    found = np.zeros(len(starts) - 1, np.bool_)
    for component in range(len(found)):
        for user in members[starts[component] : starts[component + 1]]:
            if _groups_without(user_head, links, idents, user, now_ms, most) - 1 > most:
                found[component] = True
                break
    return found


@njit(cache=True)
def _groups_without(user_head: I32, links: Links, idents: Idents, account: Int, now_ms: Int, most: Int) -> Int:
    """Returns in how many groups, by hard ties, those are whom an account's identifiers tie; 0 where they are few."""
    n: Int = 0
    slot = user_head[account]
    while slot >= 0:
        n += links.tie_ends_ms[slot] > now_ms and idents.degree[links.ident[slot]] > 1
        slot = links.next_of_user[slot]
    groups: Int = 0
    if n < most + 2:
        return groups
    met_users: Int = {np.int32(account)}
    met_idents: Int = {np.int32(-1)}
    mine = user_head[account]
    while mine >= 0:
        first = links.ident[mine]
        if links.tie_ends_ms[mine] > now_ms and idents.degree[first] > 1 and first not in met_idents:
            met_idents.add(first)
            todo: Int = [first]
            people: Int = 0
            while len(todo) > 0:
                slot = idents.links[todo.pop()]
                while slot >= 0:
                    user = links.user[slot]
                    if links.tie_ends_ms[slot] > now_ms and user not in met_users:
                        met_users.add(user)
                        people += 1
                        use = user_head[user]
                        while use >= 0:
                            ident = links.ident[use]
                            ties = links.tie_ends_ms[use] > now_ms and idents.degree[ident] > 1
                            if ties and ident not in met_idents:
                                met_idents.add(ident)
                                todo.append(ident)
                            use = links.next_of_user[use]
                    slot = links.next_of_ident[slot]
            groups += people > 0
        mine = links.next_of_user[mine]
    return groups
