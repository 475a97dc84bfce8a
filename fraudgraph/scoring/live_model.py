"""Whatever scores accounts over a living graph: a network, or trees."""

from __future__ import annotations

from typing import TypeAlias

from fraudgraph.graph.hot import HotGraph
from fraudgraph.graph.types import I32
from fraudgraph.scoring.bundle import Bundle
from fraudgraph.scoring.gnn.engine import PULL_DEGREE
from fraudgraph.scoring.gnn.live import LiveNetwork
from fraudgraph.scoring.trees_live import LiveTrees

LiveModel: TypeAlias = LiveNetwork | LiveTrees


def live_model(
    bundle: Bundle, graph: HotGraph, pull_degree: int = PULL_DEGREE, parts: int = 1, only: I32 | None = None
) -> LiveModel:
    """Returns a bundle's model over a graph, warmed, or with more than one part to be warmed (`LiveNetwork`).

    Args:
        only: for these users alone.

    Raises:
        ConfigurationError: the bundle does not fit this version or the graph's link policy.
    """
    kind: type[LiveNetwork] | type[LiveTrees] = LiveTrees if bundle.manifest.kind == "trees" else LiveNetwork
    return kind(bundle, graph, pull_degree, parts, only)
