"""A component too large to be one ring is cut into communities: a pure function of its ties."""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING

import numpy as np

from fraudgraph.graph.hot import HotGraph
from fraudgraph.graph.types import I32

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

    place = {user: i for i, user in enumerate(team)}
    vertex_of: dict[int, int] = {}
    edges = []
    links = graph.links
    for user in team:
        slot = int(graph.users.links[user])
        while slot >= 0:
            if links.tie_ends_ms[slot] > now_ms:
                ident = int(links.ident[slot])
                vertex = vertex_of.setdefault(ident, len(team) + len(vertex_of))
                edges.append((place[user], vertex))
            slot = int(links.next_of_user[slot])
    # The order of a user's links is an accident of history; the names of their other ends are not.
    name_of = {vertex: ident for ident, vertex in vertex_of.items()}
    halves = {v: (int(graph.keys.high[i]), int(graph.keys.low[i])) for v, i in name_of.items()}
    canonical = {v: len(team) + n for n, v in enumerate(sorted(halves, key=lambda v: halves[v]))}
    edges = sorted((user, canonical[vertex]) for user, vertex in edges)
    network = igraph.Graph(n=len(team) + len(vertex_of), edges=edges)
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
