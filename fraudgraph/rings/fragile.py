"""What a ring rests on: the parts that remain without its weak bridges."""

from __future__ import annotations

import numpy as np

from fraudgraph.graph.hot import HotGraph
from fraudgraph.graph.types import I32
from fraudgraph.rings.network import tie_network, user_parts
from fraudgraph.rings.ties import Ties

_FEWEST = 2
"""A tie to one account is how that account belongs to the ring, and holds nothing else together."""


def parts_without_weak_bridges(graph: HotGraph, ties: Ties, team: I32, now_ms: int, weak_strength: float) -> list[I32]:
    """Returns the parts in which a ring's users are left without its weak bridges, largest first; one if it has none.

    A bridge is a tie that alone joins two groups of at least two accounts (Tarjan 1974; igraph). It is weak where its
    strength at `now_ms` is below `weak_strength`: two weak identifiers together, an identifier of many, or one that was
    last used long ago. What an analyst ties is never weak.
    """
    members = sorted(team.tolist())
    network = tie_network(graph, ties, members, now_ms)
    n = len(members)
    weak = []
    for edge in network.bridges():
        if network.es[edge]["strength"] >= weak_strength:
            continue
        without = network.copy()
        without.delete_edges([edge])
        membership = without.connected_components().membership
        sides = [sum(side == membership[end] for side in membership[:n]) for end in network.es[edge].tuple]
        if min(sides) >= _FEWEST:
            weak.append(edge)
    network.delete_edges(weak)
    parts = user_parts(network, members)
    return [np.array(part, np.int32) for part in sorted(parts, key=lambda part: (-len(part), part))]
