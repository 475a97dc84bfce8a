"""The ties among some users as a graph: what cuts and communities are made on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from fraudgraph.graph.hot import HotGraph, Idents
from fraudgraph.graph.links import Links
from fraudgraph.graph.types import F64, I32, I64, Int
from fraudgraph.kernels import njit
from fraudgraph.rings.tie_tables import TieTables, locality_at
from fraudgraph.rings.ties import Ties

if TYPE_CHECKING:
    import igraph

MUST: Final = 1_000.0
"""Strength of a tie that an analyst demands: above what any two accounts share, so it is cut last."""


def tie_network(graph: HotGraph, ties: Ties, team: list[int], now_ms: int) -> igraph.Graph:
    """Returns users, in the order of the team, and the identifiers that tie them, in the order of their keys.

    Edges are sorted, and have their `strength` at `now_ms`: of a link, by noisy-OR of a soft tie, `MUST` where an
    analyst demands it.
    """
    # igraph takes 0.1 s to import, and most shops never cut a component.
    import igraph

    members = np.array(team, np.int32)
    places, idents, strength = living_ties(ties.tables, graph.users.links, graph.links, graph.idents, members, now_ms)
    # Ids and the order of a user's links are accidents of history; the names of their other ends are not.
    found, vertex = np.unique(idents, return_inverse=True)
    rank = np.empty(len(found), np.int64)
    rank[np.lexsort((graph.keys.low[found], graph.keys.high[found]))] = np.arange(len(found))
    strengths = dict(
        zip(zip(places.tolist(), (len(team) + rank[vertex]).tolist(), strict=True), strength.tolist(), strict=True)
    )
    place_of = {user: place for place, user in enumerate(team)}
    for (a, b), soft in ties.soft_pairs(graph, team, now_ms).items():
        if a in place_of and b in place_of:
            strengths[_ordered(place_of[a], place_of[b])] = soft
    for a, b in ties.together:
        if a in place_of and b in place_of:
            strengths[_ordered(place_of[a], place_of[b])] = MUST
    edges = sorted(strengths)
    network = igraph.Graph(n=len(team) + len(found), edges=edges)
    network.es["strength"] = [strengths[edge] for edge in edges]
    return network


def user_parts(network: igraph.Graph, team: list[int]) -> list[list[int]]:
    """Returns the users of each connected part, in the order of the team."""
    parts: dict[int, list[int]] = {}
    for user, part in zip(team, network.connected_components().membership, strict=False):
        parts.setdefault(part, []).append(user)
    return list(parts.values())


def _ordered(a: int, b: int) -> tuple[int, int]:
    return min(a, b), max(a, b)


@njit(cache=True)
def living_ties(
    tables: TieTables, user_head: I32, links: Links, idents: Idents, team: I32, now_ms: Int
) -> tuple[I64, I32, F64]:
    """Returns place in the team, identifier and strength at `now_ms` of each link that ties now.

    An identifier of one user joins nobody, and whether its tie ended is not kept up to date: it is left out.
    """
    n: Int = 0
    for user in team:
        slot = user_head[user]
        while slot >= 0:
            n += links.tie_ends_ms[slot] > now_ms and idents.degree[links.ident[slot]] > 1
            slot = links.next_of_user[slot]
    places, found, strength = np.empty(n, np.int64), np.empty(n, np.int32), np.empty(n, np.float64)
    at = 0
    for place in range(len(team)):
        slot = user_head[team[place]]
        while slot >= 0:
            ident = links.ident[slot]
            if links.tie_ends_ms[slot] > now_ms and idents.degree[ident] > 1:
                places[at] = place
                found[at] = ident
                step, _ = locality_at(tables, now_ms - links.last_ms[slot])
                strength[at] = tables.rarity[idents.kind[ident], idents.degree[ident]] * tables.locality[step]
                at += 1
            slot = links.next_of_user[slot]
    return places, found, strength
