"""A component too large to be one ring is cut into communities: a pure function of its ties."""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING, Final

import numpy as np

from fraudgraph.graph.hot import HotGraph
from fraudgraph.graph.types import I32
from fraudgraph.rings.network import MUST, tie_network
from fraudgraph.rings.ties import Ties

if TYPE_CHECKING:
    import igraph


def partition(graph: HotGraph, ties: Ties, users: I32, now_ms: int, max_users: int) -> list[I32]:
    """Returns a component's users in communities of at most `max_users`.

    Leiden (Traag, Waltman, van Eck 2019; igraph) with modularity on the strengths of the living ties, hard and soft,
    from cold, in the order of the users' keys and with a seed made of those keys: the same members with the same ties
    give the same parts, whatever happened before. Users whom an analyst ties count as one. A part that stays too
    large is cut again. One that Leiden does not cut hangs on a few identifiers that crowds share; they do not say who
    belongs together, so it is left in the parts that it has without them.
    """
    keys = graph.user_table.key_of
    ordered = sorted(users.tolist(), key=lambda user: keys[user] or "")
    parts, waiting = [], [ordered]
    while waiting:
        team = waiting.pop()
        if len(team) <= max_users:
            parts.append(np.array(sorted(team), np.int32))
            continue
        names = "\n".join(keys[user] or "" for user in team)
        seed = int.from_bytes(hashlib.blake2b(names.encode(), digest_size=8).digest(), "big")
        membership = _communities(tie_network(graph, ties, team, now_ms), len(team), seed)
        pieces: dict[int, list[int]] = {}
        for user, community in zip(team, membership, strict=False):
            pieces.setdefault(community, []).append(user)
        waiting.extend(pieces.values())
    return parts


_LEIDEN_ROUNDS: Final = 32
"""Most find nothing to move after a few. igraph's own "until stable" (`n_iterations=-1`) never ends on some graphs of a
dozen vertices, where rounding makes a move look like a gain each time."""


def _communities(network: igraph.Graph, users: int, seed: int) -> list[int]:
    """Returns the community of each vertex, of which the first `users` are those; they are in two at least."""
    import igraph

    demanded = network.es.select(strength_ge=MUST)
    together = network.subgraph_edges(demanded, delete_vertices=False).connected_components().membership
    merged = network.copy()
    merged.contract_vertices(together)
    merged.simplify(combine_edges="sum")
    igraph.set_random_number_generator(random.Random(seed))
    found: list[int] = list(range(merged.vcount()))
    for _ in range(_LEIDEN_ROUNDS):
        before, found = found, _leiden_round(merged, found)
        if found == before:
            break
    igraph.set_random_number_generator(random)
    membership = [found[vertex] for vertex in together]
    return membership if len(set(membership[:users])) > 1 else _without_most_shared(network, users)


def _leiden_round(network: igraph.Graph, membership: list[int]) -> list[int]:
    """Returns the community of each vertex after one more round, numbered by first vertex."""
    found = network.community_leiden(
        objective_function="modularity", weights="strength", n_iterations=1, initial_membership=membership
    ).membership
    number: dict[int, int] = {}
    return [number.setdefault(community, len(number)) for community in found]


def _without_most_shared(network: igraph.Graph, users: int) -> list[int]:
    """Returns the part of each vertex once as few as possible of the most shared identifiers are left out, and where
    users hold together without any, as few as possible of the weakest ties between them.

    Args:
        network: `users` vertices of users, then those of identifiers.
    """
    shared = network.degree(range(users, network.vcount()))
    rest = network
    for limit in sorted(set(shared), reverse=True):
        rest = network.copy()
        rest.delete_vertices([users + i for i, count in enumerate(shared) if count >= limit])
        membership: list[int] = rest.connected_components().membership
        if len(set(membership[:users])) > 1:
            return membership
    membership = list(range(users))
    for strength in sorted(set(rest.es["strength"])):
        rest.delete_edges(rest.es.select(strength_le=strength))
        membership = rest.connected_components().membership
        if len(set(membership[:users])) > 1:
            break
    return membership
