"""A bundle's trees over a living graph: columns are read when a score is asked for, for those asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fraudgraph.errors import ConfigurationError
from fraudgraph.graph.hot import GraphChange, HotGraph, distinct
from fraudgraph.graph.interning import grown
from fraudgraph.graph.types import F64, I32, I64
from fraudgraph.scoring.bundle import Bundle
from fraudgraph.scoring.fitting import require_fit
from fraudgraph.scoring.gnn.engine import PULL_DEGREE, Figures
from fraudgraph.scoring.gnn.live import LiveNetwork, read_rings
from fraudgraph.scoring.gnn.model import F32
from fraudgraph.scoring.trees_columns import ColumnReader, hubs_of
from fraudgraph.scoring.trees_embedding import embedding_columns
from fraudgraph.scoring.user_calibration import PlattLine

_AS_IT_IS = PlattLine(1.0, 0.0)


class LiveTrees:
    """One bundle's trees over one graph, with the network whose embeddings they read, where they read any.

    Args:
        pull_degree, parts, only: as of `LiveNetwork`.

    Raises:
        ConfigurationError: the bundle has no trees, was trained on other columns, or under another link policy.
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
        if bundle.trees is None or bundle.manifest.trees is None:
            raise ConfigurationError(f"there are no trees in the bundle {bundle.name!r}", do="Name one with trees.")
        self.bundle = bundle
        self.trees = bundle.trees
        self._features = bundle.manifest.trees.features
        self._read = ColumnReader()
        self.inner: LiveNetwork | None = None
        if bundle.network is not None:
            manifest = replace(bundle.manifest, kind="network", trees=None, event_head=None, calibration=_AS_IT_IS)
            self.inner = LiveNetwork(Bundle(manifest, bundle.network), graph, pull_degree, parts, only)
        self._muted = hubs_of(graph)

    def warm(self, graph: HotGraph) -> bool:
        """Takes up the next part of the graph, if one is left; returns whether none is left now."""
        return self.inner is None or self.inner.warm(graph)

    def update(self, graph: HotGraph, change: GraphChange) -> I32:
        """Takes up a change of the graph, just applied to it; returns users whose score may have moved.

        Without a network those are members of rings only: nobody else's score is kept by anybody.
        """
        if len(self._muted) < len(graph.idents.kind):
            self._muted = grown(self._muted, len(graph.idents.kind))
        moved = np.empty(0, np.int32) if self._features == "a" else self._read.concerned(graph, self._muted, change)
        if self.inner is None:
            return moved
        return distinct(np.concatenate((moved, self.inner.update(graph, change))))

    def columns(self, graph: HotGraph, users: I32, as_of_ms: int | I64) -> F32:
        """Returns all columns of users, `[n, k]`, read as of a moment, one for all or one for each `[n]`."""
        columns = self._read(graph, users, as_of_ms, self._features)
        if self.inner is None:
            return columns
        embeddings = self.inner.network.embeddings((2 * users).astype(np.int32))
        return np.hstack((columns, embedding_columns(embeddings, self.inner.log_odds(graph, users, as_of_ms))))

    def log_odds(self, graph: HotGraph, users: I32, as_of_ms: int | I64) -> F64:
        """Returns calibrated log-odds of users, `[n]`, read as of a moment."""
        return self.bundle.manifest.calibration.apply(self.trees.logits(self.columns(graph, users, as_of_ms)))

    def of_rings(self, graph: HotGraph, members: I32, starts: I64) -> tuple[F64, F64]:
        """Returns what `LiveNetwork.of_rings` does."""
        return read_rings(self.log_odds, graph, members, starts)

    def drift(self, graph: HotGraph, most: int) -> float:
        """Returns the network's (`LiveNetwork.drift`); columns do not drift."""
        return 0.0 if self.inner is None else self.inner.drift(graph, most)

    def figures(self) -> Figures:
        """Returns what is held, in numbers."""
        size = len(self.trees.data)
        if self.inner is None:
            return Figures(links=0, slots=0, bytes=size, pushed=0, refreshed=0)
        held = self.inner.figures()
        return replace(held, bytes=held.bytes + size)
