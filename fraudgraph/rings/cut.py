"""How a component becomes rings: users whom an analyst keeps apart, strangers, and more than one ring may have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from fraudgraph.graph.hot import HotGraph
from fraudgraph.graph.types import I32, I64, Bool
from fraudgraph.rings.components import Components
from fraudgraph.rings.facts_words import count
from fraudgraph.rings.network import tie_network, user_parts
from fraudgraph.rings.partition import partition
from fraudgraph.rings.strangers import reach_widely, without_strangers
from fraudgraph.rings.ties import Ties


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
        max_strangers: an account that alone ties more than so many groups to a ring ties none of them.
    """

    def __init__(
        self,
        graph: HotGraph,
        ties: Ties,
        apart: Mapping[tuple[int, int], str],
        now_ms: int,
        max_users: int,
        max_strangers: int,
    ) -> None:
        self._graph = graph
        self._ties = ties
        self._apart = apart
        self._now_ms = now_ms
        self._max_users = max_users
        self._max_strangers = max_strangers
        self._wide: set[int] = set()
        self._cuts: list[Cut] = []
        self._oversized: list[frozenset[int]] = []
        self._strangers: list[tuple[frozenset[int], int]] = []

    def look_at(self, components: Components) -> None:
        """Notes which components hold an account that may be tied to strangers; to be called before the others."""
        wide = self._reach_widely(components.members, components.starts)
        self._wide = set(components.members[components.starts[:-1][wide]].tolist())

    def torn(self, team: I32) -> bool:
        """Returns whether a component holds a pair that must be apart, or an account that may be tied to strangers."""
        return int(team[0]) in self._wide or (bool(self._apart) and bool(self._pairs_in(team)))

    def split(self, team: I32) -> list[I32]:
        """Returns the parts of a component that is torn or too large."""
        parts = [team]
        if len(team) > self._max_users:
            self._oversized.append(frozenset(team.tolist()))
        if self._apart and (pairs := self._pairs_in(team)):
            parts, cuts = cut_apart(self._graph, self._ties, team, pairs, self._now_ms)
            self._cuts += cuts
        if int(team[0]) in self._wide:
            parts = [piece for part in parts for piece in self._without_strangers(part)]
        return [
            piece for part in parts for piece in partition(self._graph, self._ties, part, self._now_ms, self._max_users)
        ]

    def _without_strangers(self, part: I32) -> list[I32]:
        if not self._reach_widely(part, np.array([0, len(part)], np.int64))[0]:
            return [part]
        pieces = without_strangers(self._graph, self._ties, part, self._now_ms, self._max_strangers)
        if len(pieces) > 1:
            self._strangers.append((frozenset(part.tolist()), len(pieces) - 1))
        return pieces

    def _reach_widely(self, members: I32, starts: I64) -> Bool:
        graph = self._graph
        return reach_widely(
            graph.users.links, graph.links, graph.idents, members, starts, self._now_ms, self._max_strangers
        )

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

    def why_parted(self, team: I32) -> str:
        """Returns why users who hold together are in several rings since this commit, in a clause; else ""."""
        here = team.tolist()
        for component, groups in self._strangers:
            if not component.isdisjoint(here):
                return f"{count(groups, 'group')} of strangers hang on single accounts that use what is theirs"
        for component in self._oversized:
            if not component.isdisjoint(here):
                return f"their component of {count(len(component), 'account')} is cut into communities"
        return ""

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
    return user_parts(network, team), Cut(pair, len(cut.cut), strength)
