"""A component too large to be one ring is cut into communities: a pure function of its ties."""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING

import numpy as np

from fraudgraph.graph.hot import HotGraph
from fraudgraph.graph.links import Links
from fraudgraph.graph.types import I32, I64, Int
from fraudgraph.kernels import njit

if TYPE_CHECKING:
    import igraph


def partition(graph: HotGraph, users: I32, now_ms: int, max_users: int) -> list[I32]:
    """Returns a component's users in communities of at most `max_users`.

    Leiden (Traag, Waltman, van Eck 2019; igraph) with modularity on the living ties, from cold, in the order of the
    users' keys and with a seed made of those keys: the same members with the same ties give the same parts, whatever
    happened before. A part that stays too large is cut again. One that Leiden does not cut hangs on a few identifiers
    that crowds share; they do not say who belongs together, so it is left in the parts that it has without them.
    """
    keys = graph.user_table.key_of
    ordered = sorted(users.tolist(), key=lambda user: keys[user] or "")
    parts, waiting = [], [ordered]
    while waiting:
        team = waiting.pop()
        if len(team) <= max_users:
            parts.append(np.array(sorted(team), np.int32))
            continue
        waiting.extend(_communities(graph, team, now_ms))
    return parts


def _communities(graph: HotGraph, team: list[int], now_ms: int) -> list[list[int]]:
    # igraph takes 0.1 s to import, and most shops never have an oversized component.
    import igraph

    users, idents = living_ties(graph.users.links, graph.links, np.array(team, np.int32), now_ms)
    # An identifier of one user joins nobody, and whether its tie ended is not kept up to date.
    shared = graph.idents.degree[idents] > 1
    users, idents = users[shared], idents[shared]
    # Ids and the order of a user's links are accidents of history; the names of their other ends are not.
    found, vertex = np.unique(idents, return_inverse=True)
    rank = np.empty(len(found), np.int64)
    rank[np.lexsort((graph.keys.low[found], graph.keys.high[found]))] = np.arange(len(found))
    vertex = len(team) + rank[vertex]
    order = np.lexsort((vertex, users))
    network = igraph.Graph(n=len(team) + len(found), edges=np.column_stack((users[order], vertex[order])))
    names = "\n".join(graph.user_table.key_of[user] or "" for user in team)
    seed = int.from_bytes(hashlib.blake2b(names.encode(), digest_size=8).digest(), "big")
    igraph.set_random_number_generator(random.Random(seed))
    membership = network.community_leiden(objective_function="modularity", n_iterations=-1).membership
    igraph.set_random_number_generator(random)
    if len(set(membership[: len(team)])) == 1:
        membership = _without_most_shared(network, len(team))
    pieces: dict[int, list[int]] = {}
    for user, community in zip(team, membership, strict=False):
        pieces.setdefault(community, []).append(user)
    return list(pieces.values())


@njit(cache=True)
def living_ties(user_head: I32, links: Links, team: I32, now_ms: Int) -> tuple[I64, I32]:
    """Returns place in the team and identifier of each link that ties now."""
    n = 0
    for user in team:
        slot = user_head[user]
        while slot >= 0:
            n += links.tie_ends_ms[slot] > now_ms
            slot = links.next_of_user[slot]
    places, idents = np.empty(n, np.int64), np.empty(n, np.int32)
    at = 0
    for place in range(len(team)):
        slot = user_head[team[place]]
        while slot >= 0:
            if links.tie_ends_ms[slot] > now_ms:
                places[at] = place
                idents[at] = links.ident[slot]
                at += 1
            slot = links.next_of_user[slot]
    return places, idents


def _without_most_shared(network: igraph.Graph, users: int) -> list[int]:
    """Returns the part of each vertex once as few as possible of the most shared identifiers are left out.

    Args:
        network: `users` vertices of users, then those of identifiers.
    """
    shared = network.degree(range(users, network.vcount()))
    membership = list(range(users))
    for limit in sorted(set(shared), reverse=True):
        rest = network.copy()
        rest.delete_vertices([users + i for i, count in enumerate(shared) if count >= limit])
        membership = rest.connected_components().membership
        if len(set(membership[:users])) > 1:
            break
    return membership
