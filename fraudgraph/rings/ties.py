"""Ties: which links and pairs of users hold together, and until when.

A hard tie joins a user and an identifier for as long as the link's banded strength is at least theta. A soft tie joins
two users by noisy-OR over the identifiers of weak kinds that they share, each with at most `max_pair_users` users and
at least one of them not an IP. Strength only falls between events, in known steps, so the moment at which a tie ends is
known when it is written; it is the tie's key in the forest.

Until a tie ends that moment can only come nearer by a change of rarity: one more user of an identifier that enters a
new band or becomes a hub; or by an analyst's word. Then the components concerned are taken apart and tied again from
the links.

Analysts' constraints: a benign identifier ties nobody, as a hub; two users that must be together have a tie until the
constraint ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from fraudgraph.graph.hot import GraphChange, HotGraph, distinct
from fraudgraph.graph.interning import grown
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.graph.types import I32
from fraudgraph.rings.forest import (
    Forest,
    collect_tree,
    cut_ended,
    find_root,
    insert_tie,
    insert_ties,
    new_forest,
    reserve_nodes,
    scatter_tree,
)
from fraudgraph.rings.retie import TieLists, retie, tie_hard
from fraudgraph.rings.soft import makes_soft_ties, soft_ties, tie_softly
from fraudgraph.rings.tie_tables import tie_tables


@dataclass(slots=True)
class TieNews:
    """What the last update did to ties, beside the passing of time.

    Attributes:
        fresh: slots of links that tie, and did not before.
        stopped: identifiers that tied and now tie nobody: too many users, or an analyst's word.
        bound, parted: pairs of users whom an analyst ties anew, or no longer.
    """

    fresh: I32 = field(default_factory=lambda: np.empty(0, np.int32))
    stopped: I32 = field(default_factory=lambda: np.empty(0, np.int32))
    bound: list[tuple[int, int]] = field(default_factory=list)
    parted: list[tuple[int, int]] = field(default_factory=list)


class Ties:
    """Keeps the forest equal to the ties that the graph's links make."""

    def __init__(self, policy: LinkPolicy) -> None:
        self.tables = tie_tables(policy)
        self.forest: Forest = new_forest(2048)
        self._soft = np.zeros(1024, np.bool_)
        self.together: dict[tuple[int, int], int] = {}
        self.news = TieNews()

    def update(
        self,
        graph: HotGraph,
        change: GraphChange,
        now_ms: int,
        together: Mapping[tuple[int, int], int] = MappingProxyType({}),
    ) -> I32:
        """Takes up a change of the graph; returns nodes of every component that may have changed, with repeats.

        Args:
            together: pairs of users that an analyst tied, the lower id first -> when that ends, in ms.
        """
        users = len(graph.users.first_ms)
        self.forest = reserve_nodes(self.forest, 2 * max(users, len(graph.idents.kind)))
        if len(self._soft) < users:
            self._soft = grown(self._soft, users)
        ended = self._cut(now_ms)
        parted = [pair for pair, until in self.together.items() if together.get(pair, 0) < until and until > now_ms]
        joined = [pair for pair, until in together.items() if self.together.get(pair, 0) < until]
        self.news = TieNews(
            bound=[pair for pair in joined if pair not in self.together],
            parted=[pair for pair in self.together if pair not in together],
        )
        self.together = dict(together)
        for a, b in joined:
            insert_tie(self.forest, 2 * a, 2 * b, together[a, b])
        bound = np.array([2 * user for pair in (*parted, *joined) for user in pair], np.int32)
        # Ties outlive no link but those of an account that is erased, so nothing else would cut them.
        loosened = np.concatenate((np.array([u for pair in parted for u in pair], np.int32), change.erased))
        touched = self._retie(graph, change.idents, change.links, loosened, now_ms)
        return np.concatenate((ended, touched, bound, 2 * change.users))

    def restore(
        self, graph: HotGraph, now_ms: int, together: Mapping[tuple[int, int], int] = MappingProxyType({})
    ) -> None:
        """Builds the forest anew from the links, and from `together` as of `update`."""
        idents = np.flatnonzero(graph.idents.degree > 0).astype(np.int32)
        graph.idents.hold_ms[:] = -1
        graph.links.tie_ends_ms[:] = -1
        slots = np.flatnonzero(graph.links.user >= 0).astype(np.int32)
        none = np.empty(0, np.int32)
        change = GraphChange(slots, none, idents, none, none, [], [], none, none)
        self.update(graph, change, now_ms, together)

    def soft_pairs(self, graph: HotGraph, users: list[int], now_ms: int) -> dict[tuple[int, int], float]:
        """Returns the pairs (lower id, higher id) of users in a living soft tie that has one of these users -> strength
        at `now_ms`.
        """
        return {
            (min(user, other), max(user, other)): strength
            for user in users
            if self._soft[user]
            for other, _, strength in soft_ties(self.tables, graph.links, graph.idents, graph.users.links, user, now_ms)
        }

    def makes_soft_ties(self, graph: HotGraph, ident: int) -> bool:
        """Returns whether an identifier counts for soft ties now."""
        return bool(makes_soft_ties(self.tables, graph.idents, ident))

    def _cut(self, now_ms: int) -> I32:
        parts = []
        while True:
            out = np.empty(65_536, np.int32)
            n = cut_ended(self.forest, now_ms, out)
            parts.append(out[: n if n >= 0 else -1 - n])
            if n >= 0:
                return np.concatenate(parts)

    def _retie(self, graph: HotGraph, idents: I32, slots: I32, apart: I32, now_ms: int) -> I32:
        links, columns = graph.links, graph.idents
        room = 2 * int(columns.degree[idents].sum()) + len(slots)
        tied = np.empty(room, np.int32)
        loosened = np.empty(room, np.int32)
        soft = np.empty(room, np.int32)
        renewed = np.empty(room, np.int32)
        fresh = np.empty(room, np.bool_)
        stopped = np.empty(len(idents), np.int32)
        counts = np.zeros(5, np.int64)
        lists = TieLists(tied, loosened, soft, renewed, fresh, stopped, counts)
        retie(self.tables, links, columns, idents, slots, now_ms, self._soft, lists)
        renewed = renewed[: counts[3]]
        self.news.fresh, self.news.stopped = renewed[fresh[: counts[3]]], stopped[: counts[4]]
        insert_ties(self.forest, 2 * links.user[renewed], 2 * links.ident[renewed] + 1, links.tie_ends_ms[renewed])
        nodes = [tied[: counts[0]]]
        if counts[2]:
            candidates = distinct(soft[: counts[2]])
            joined = np.zeros(len(candidates), np.bool_)
            tie_softly(
                self.tables, self.forest, links, columns, graph.users.links, candidates, now_ms, self._soft, joined
            )
            nodes.append(2 * candidates[joined])
        if counts[1] or len(apart):
            users = distinct(np.concatenate((loosened[: counts[1]], apart)))
            nodes.append(self._rebuild(graph, users, now_ms))
        return np.concatenate(nodes)

    def _rebuild(self, graph: HotGraph, users: I32, now_ms: int) -> I32:
        """Takes apart the components of these users and ties them again; returns their user nodes."""
        parts = []
        done = set()
        buffer = np.empty(len(self.forest.parent), np.int32)
        for user in users.tolist():
            root = int(find_root(self.forest, 2 * user))
            if root not in done:
                n = int(collect_tree(self.forest, root, buffer))
                done.add(root)
                parts.append(buffer[:n].copy())
        nodes = np.concatenate(parts)
        scatter_tree(self.forest, nodes, len(nodes))
        members = nodes[nodes % 2 == 0] // 2
        tie_hard(self.forest, graph.links, graph.users.links, members, now_ms)
        softly = members[self._soft[members]]
        self._soft[softly] = False
        joined = np.zeros(len(softly), np.bool_)
        tie_softly(
            self.tables,
            self.forest,
            graph.links,
            graph.idents,
            graph.users.links,
            softly,
            now_ms,
            self._soft,
            joined,
        )
        if self.together:
            here = set(members.tolist())
            for (a, b), until in self.together.items():
                if a in here or b in here:
                    insert_tie(self.forest, 2 * a, 2 * b, until)
        again: I32 = (2 * members).astype(np.int32)
        return again
