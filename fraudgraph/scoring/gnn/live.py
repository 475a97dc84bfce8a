"""A bundle's network over a living graph: kept exact from commit to commit, read when a score is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from fraudgraph.graph.hot import GraphChange, HotGraph
from fraudgraph.graph.surroundings import near
from fraudgraph.graph.types import F64, I32, I64
from fraudgraph.scoring.bundle import Bundle
from fraudgraph.scoring.fitting import require_fit
from fraudgraph.scoring.gnn.engine import PULL_DEGREE, Figures, IncrementalNetwork
from fraudgraph.scoring.gnn.features import head_features
from fraudgraph.scoring.gnn.feed import NetworkFeed, hub_limits, tops_of, users_of
from fraudgraph.scoring.ring_head import reading_times, summarise

SUMMARY_DECIMALS: Final = 4
"""What the network says of a ring is rounded to so many decimals before it decides anything. Sums of floats depend on
the order of additions, by about 1e-6; what remains is a value that lies that near to the middle of two."""


class LiveNetwork:
    """One bundle's network over one graph; its state is derived, and made anew from the graph at a start.

    Args:
        pull_degree: nodes with more links than this are pulled from at read (`scoring.gnn.engine`). Above the most
            users of an identifier that is no hub it concerns only accounts that pay, or are paid by, that many others.
        parts: in so many the graph is taken up, by `warm`; 1 is taken up at once. In between every change of the graph
            is to be told, and scores are not to be read.
        only: takes up what the scores of these users depend on, who alone can be asked for, and follows no change.

    Raises:
        ConfigurationError: the bundle was trained on other features, or under another link policy.
    """

    def __init__(
        self,
        bundle: Bundle,
        graph: HotGraph,
        pull_degree: int = PULL_DEGREE,
        parts: int = 1,
        only: I32 | None = None,
    ) -> None:
        require_fit(bundle.manifest, graph.policy.hash)
        self.bundle = bundle
        # The network goes on pulling from a node until it has fewer links than half of the limit.
        self.feed = NetworkFeed(
            graph.policy, bundle.weights.schema.half_life_ms, busy_from=pull_degree // 2, in_parts=parts > 1
        )
        self._tops = tops_of(graph)
        users, idents, links, _ = self._tops
        nodes, links = (2 * max(users, idents), links) if only is None else (0, 0)
        self.network = IncrementalNetwork(
            bundle.weights, pull_degree=pull_degree, nodes=max(1024, nodes), links=max(1024, links)
        )
        self._pulls_idents = pull_degree < hub_limits(graph.policy).max()
        self._parts, self._done = parts, 0
        if only is not None:
            features, operations = self.feed.only(graph, near(graph, only))
            self.network.apply(operations, features)
        elif parts == 1:
            self.warm(graph)

    def warm(self, graph: HotGraph) -> bool:
        """Takes up the next part of the graph, if one is left; returns whether none is left now."""
        if self._done < self._parts:
            features, links = self.feed.part(graph, self._tops, self._done, self._parts)
            self.network.apply(links, features)
            self._done += 1
        return self._done == self._parts

    def update(self, graph: HotGraph, change: GraphChange) -> I32:
        """Takes up a change of the graph, just applied to it; returns users whose score may have moved.

        Of those who read a message that is pulled, they are all members of living rings: what they read may have
        moved without them, and no ring may rest on a stale score.
        """
        features, links = self.feed.update(graph, change)
        moved = users_of(self.network.apply(links, features).nodes)
        if self._pulls_idents or self.feed.busy:
            members = np.flatnonzero((graph.users.ring >= 0) & (graph.users.last_ms >= 0)).astype(np.int32)
            moved = np.concatenate((moved, members[self.network.pulls(2 * members)]))
        return moved

    def log_odds(self, graph: HotGraph, users: I32, as_of_ms: int | I64) -> F64:
        """Returns calibrated log-odds of users, `[n]`, read as of a moment (`features.head_features`)."""
        logits = self.network.logits((2 * users).astype(np.int32)).astype(np.float64)
        if len(self.bundle.weights.head_x):
            logits += head_features(graph, users, as_of_ms).astype(np.float64) @ self.bundle.weights.head_x
        return self.bundle.manifest.calibration.apply(logits)

    def of_rings(self, graph: HotGraph, members: I32, starts: I64) -> tuple[F64, F64]:
        """Returns the members' log-odds `[n]` and the rings' summaries `[r, len(RING_SUMMARIES)]`.

        A ring is read as of its members' last event, not as of the watermark: so its score moves only when something
        happens, and is the same for any cut into commits.

        Args:
            members: user ids of `r` rings, one ring after the other; starts: `[r + 1]`.
        """
        return read_rings(self.log_odds, graph, members, starts)

    def drift(self, graph: HotGraph, most: int) -> float:
        """Returns the largest error of the cached means of at most so many users, evenly chosen (`sums`)."""
        users = np.flatnonzero(graph.users.last_ms >= 0).astype(np.int32)
        return self.network.drift(2 * users[:: max(1, -(-len(users) // most))])

    def figures(self) -> Figures:
        """Returns what the network holds, in numbers."""
        return self.network.figures()


def read_rings(
    log_odds_of: Callable[[HotGraph, I32, I64], F64], graph: HotGraph, members: I32, starts: I64
) -> tuple[F64, F64]:
    """Returns what `LiveNetwork.of_rings` does, of any model that knows log-odds of users as of moments."""
    if not len(members):
        return np.empty(0), summarise(np.empty(0), starts)
    log_odds = log_odds_of(graph, members, reading_times(graph.users.last_ms[members], starts))
    return log_odds, np.round(summarise(log_odds, starts), SUMMARY_DECIMALS)
