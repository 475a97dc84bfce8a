"""Users whom an analyst keeps apart: their component is cut where that costs the least strength."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fraudgraph.events.kinds import EntityKind
from fraudgraph.graph.hot import HotGraph
from fraudgraph.graph.types import I32
from fraudgraph.rings.facts_words import count
from fraudgraph.rings.partition import living_ties, partition
from fraudgraph.rings.ties import Ties

if TYPE_CHECKING:
    import igraph

_MUST = 1_000.0
"""Capacity of a tie that an analyst demands: above what any two accounts share, so it is cut last."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What separated a pair of users.

    Attributes:
        pair: the lower id first.
        ties: how many were cut.
        strength: their sum.
    """

    pair: tuple[int, int]
    ties: int
    strength: float


class Splitter:
    """Cuts the components of one commit; a pure function of their ties, and of the pairs that must be apart.

    Args:
        apart: pairs of users, the lower id first -> the constraint that says so.
        max_users: more than so many are cut into communities.
    """

    def __init__(
        self, graph: HotGraph, ties: Ties, apart: Mapping[tuple[int, int], str], now_ms: int, max_users: int
    ) -> None:
        self._graph = graph
        self._ties = ties
        self._apart = apart
        self._now_ms = now_ms
        self._max_users = max_users
        self._cuts: list[Cut] = []

    def torn(self, team: I32) -> bool:
        """Returns whether a component holds a pair that must be apart."""
        return bool(self._apart) and bool(self._pairs_in(team))

    def split(self, team: I32) -> list[I32]:
        """Returns the parts of a component that is torn or too large."""
        parts = [team]
        if self._apart and (pairs := self._pairs_in(team)):
            parts, cuts = cut_apart(self._graph, self._ties, team, pairs, self._now_ms)
            self._cuts += cuts
        return [piece for part in parts for piece in partition(self._graph, part, self._now_ms, self._max_users)]

    def cause_of(self, team: I32 | None) -> str:
        """Returns what constraint cut users off from these ones in this commit, in a clause; "" where none did."""
        if team is None or not self._cuts:
            return ""
        here = set(team.tolist())
        return "; ".join(
            f"kept apart by {self._apart[cut.pair]}: {count(cut.ties, 'tie')} cut, strength {cut.strength:.2f}"
            for cut in self._cuts
            if not here.isdisjoint(cut.pair)
        )

    def _pairs_in(self, team: I32) -> list[tuple[int, int]]:
        here = set(team.tolist())
        return [(a, b) for a, b in self._apart if a in here and b in here]


def cut_apart(
    graph: HotGraph, ties: Ties, users: I32, apart: Iterable[tuple[int, int]], now_ms: int
) -> tuple[list[I32], list[Cut]]:
    """Returns a component's users in parts that hold no pair of `apart`, and the cuts.

    One pair after the other, in the order of the users' keys, by minimum cut on the strength of ties at `now_ms`
    (igraph, push-relabel by Goldberg and Tarjan 1988). Pure: users, ties and pairs decide, whatever happened before.
    """
    name = graph.user_table.key_of
    pairs = sorted(apart, key=lambda pair: sorted((name[pair[0]] or "", name[pair[1]] or "")))
    parts = [sorted(users.tolist(), key=lambda user: name[user] or "")]
    cuts: list[Cut] = []
    for pair in pairs:
        for part in parts:
            if pair[0] in part and pair[1] in part:
                parts.remove(part)
                pieces, cut = _cut_one(graph, ties, part, pair, now_ms)
                parts.extend(pieces)
                cuts.append(cut)
                break
    return [np.array(sorted(part), np.int32) for part in parts], cuts


def _cut_one(
    graph: HotGraph, ties: Ties, team: list[int], pair: tuple[int, int], now_ms: int
) -> tuple[list[list[int]], Cut]:
    network = tie_network(graph, ties, team, now_ms)
    source, target = sorted((team.index(pair[0]), team.index(pair[1])))
    cut = network.st_mincut(source, target, capacity="strength")
    strength = sum(network.es[edge]["strength"] for edge in cut.cut)
    network.delete_edges(cut.cut)
    pieces: dict[int, list[int]] = {}
    for user, piece in zip(team, network.connected_components().membership, strict=False):
        pieces.setdefault(piece, []).append(user)
    return list(pieces.values()), Cut(pair, len(cut.cut), strength)


def tie_network(graph: HotGraph, ties: Ties, team: list[int], now_ms: int) -> igraph.Graph:
    """Returns users, in the order of the team, and the identifiers that tie them, in the order of their keys.

    Edges have their `strength` at `now_ms`; a tie that an analyst demands has more than 1.
    """
    import igraph

    members = np.array(team, np.int32)
    places, idents = living_ties(graph.users.links, graph.links, members, now_ms)
    found, vertex = np.unique(idents, return_inverse=True)
    rank = np.empty(len(found), np.int64)
    rank[np.lexsort((graph.keys.low[found], graph.keys.high[found]))] = np.arange(len(found))
    strengths: dict[tuple[int, int], float] = {}
    for place, ident, to in zip(places.tolist(), idents.tolist(), (len(team) + rank[vertex]).tolist(), strict=True):
        strengths[place, to] = _strength(graph, team[place], ident, now_ms)
    place_of = {user: place for place, user in enumerate(team)}
    for a, b in ties.soft_pairs(graph, team, now_ms):
        if a in place_of and b in place_of:
            strengths[_ordered(place_of[a], place_of[b])] = _soft_strength(graph, ties, a, b, now_ms)
    for a, b in ties.together:
        if a in place_of and b in place_of:
            strengths[_ordered(place_of[a], place_of[b])] = _MUST
    edges = sorted(strengths)
    network = igraph.Graph(n=len(team) + len(found), edges=edges)
    network.es["strength"] = [strengths[edge] for edge in edges]
    return network


def _strength(graph: HotGraph, user: int, ident: int, now_ms: int) -> float:
    """Returns the strength of a link now."""
    kind = EntityKind(int(graph.idents.kind[ident])).label
    idle_ms = max(0, now_ms - _last_uses(graph, user)[ident])
    return graph.policy.strength(kind, int(graph.idents.degree[ident]), idle_ms)


def _soft_strength(graph: HotGraph, ties: Ties, a: int, b: int, now_ms: int) -> float:
    """Returns noisy-OR over the weak identifiers that two users share."""
    ours, theirs = _last_uses(graph, a), _last_uses(graph, b)
    none = 1.0
    for strength in sorted(
        graph.policy.strength(
            EntityKind(int(graph.idents.kind[ident])).label,
            int(graph.idents.degree[ident]),
            max(0, now_ms - min(ours[ident], theirs[ident])),
        )
        for ident in ours.keys() & theirs.keys()
        if ties.makes_soft_ties(graph, ident)
    ):
        none *= 1.0 - strength
    return 1.0 - none


def _last_uses(graph: HotGraph, user: int) -> Mapping[int, int]:
    """Returns when a user last used each identifier, in ms."""
    uses = {}
    slot = int(graph.users.links[user])
    while slot >= 0:
        uses[int(graph.links.ident[slot])] = int(graph.links.last_ms[slot])
        slot = int(graph.links.next_of_user[slot])
    return uses


def _ordered(a: int, b: int) -> tuple[int, int]:
    return min(a, b), max(a, b)
