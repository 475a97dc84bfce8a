"""What the feed tells the network, over any journal in any cut, is the graph as the network sees it from scratch."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.journal import (
    EVENT_NUMBERS,
    LATENESS_MS,
    PARTITIONS,
    SMALL_POLICY,
    SMALL_RULES,
    Source,
    arrivals_of,
    events_of,
)

from fraudgraph.durations import DAY_MS
from fraudgraph.graph.hot import HotGraph
from fraudgraph.scoring.gnn.engine import FeatureBatch, IncrementalNetwork, LinkBatch
from fraudgraph.scoring.gnn.features import network_schema
from fraudgraph.scoring.gnn.feed import NetworkFeed, NetworkGraph, network_graph
from fraudgraph.scoring.gnn.kernels import FORGET, MUTE, PUT, REMOVE, UNMUTE
from fraudgraph.scoring.gnn.model import NetworkWeights
from training.gnn.graph import hetero_data, rows_of
from training.gnn.network import TypedSage

SCHEMA = network_schema(layers=2, width=8, half_life_ms=20 * DAY_MS)
numbers = st.lists(st.integers(0, EVENT_NUMBERS - 1), min_size=5, max_size=80)
salts = st.integers(0, 2**32 - 1)


class Told:
    """Takes the operations down in dictionaries."""

    def __init__(self) -> None:
        self.nodes: dict[int, tuple[int, ...]] = {}
        self.links: dict[tuple[int, int, int], int] = {}
        self.muted: set[int] = set()

    def apply(self, links: LinkBatch, features: FeatureBatch) -> None:
        for node, kind, bands in zip(
            features.node.tolist(), features.kind.tolist(), features.bands.tolist(), strict=True
        ):
            assert self.nodes.get(node, (kind,))[0] == kind
            assert self.nodes.get(node) != (kind, *bands), "told twice"
            self.nodes[node] = (kind, *bands)
        for i, (op, *key) in enumerate(
            zip(links.op.tolist(), links.family.tolist(), links.a.tolist(), links.b.tolist(), strict=True)
        ):
            node = key[1]
            if op == PUT:
                assert links.last_ms is not None
                assert {node, key[2]} <= set(self.nodes)
                self.links[key[0], node, key[2]] = int(links.last_ms[i])
            elif op == REMOVE:
                del self.links[key[0], node, key[2]]
            elif op == MUTE:
                assert node not in self.muted
                self.muted.add(node)
            elif op == UNMUTE:
                self.muted.remove(node)
            else:
                assert op == FORGET
                assert not any(node in link[1:] for link in self.links)
                del self.nodes[node]
                self.muted.discard(node)

    def check(self, whole: NetworkGraph) -> None:
        expected = {
            node: (int(whole.kind[node]), *whole.bands[node].tolist())
            for node in np.flatnonzero(whole.kind >= 0).tolist()
        }
        assert self.nodes == expected
        links = zip(*(column.tolist() for column in (whole.family, whole.a, whole.b, whole.last_ms)), strict=True)
        assert self.links == {(family, a, b): last for family, a, b, last in links}
        assert self.muted == set(np.flatnonzero(whole.muted).tolist())


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(numbers, salts, salts)
def test_the_feed_over_any_journal_is_the_graph_from_scratch_and_scores_as_pyg_does(
    drawn: list[int], salt: int, how: int
) -> None:
    events = events_of(drawn)
    rng = np.random.default_rng(how)
    source = Source(list(arrivals_of(events, rng.integers(0, LATENESS_MS, len(events)).tolist(), PARTITIONS)))
    graph, feed, told = (
        HotGraph(SMALL_POLICY, SMALL_RULES.limits),
        NetworkFeed(SMALL_POLICY, SCHEMA.half_life_ms),
        Told(),
    )
    weights = NetworkWeights.random(SCHEMA, salt)
    network = IncrementalNetwork(weights, nodes=4, links=4)
    count = len(source.arrivals)
    cuts = sorted({0, count, *np.flatnonzero(rng.random(count) < rng.random()).tolist()})
    now_ms = 0
    for start, stop in pairwise(cuts):
        batch = source.batch(start, stop)
        now_ms = max(now_ms, int(batch.ts_ms.max(initial=0)) - LATENESS_MS)
        change = graph.apply(batch, None, now_ms)
        features, links = feed.update(graph, change)
        network.apply(links, features)
        told.apply(links, features)
        told.check(network_graph(graph))
    fresh = Told()
    features, links = NetworkFeed(SMALL_POLICY, SCHEMA.half_life_ms).everything(graph)
    fresh.apply(links, features)
    fresh.check(network_graph(graph))
    assert_pyg(graph, network, weights)


def assert_pyg(graph: HotGraph, network: IncrementalNetwork, weights: NetworkWeights) -> None:
    whole = network_graph(graph)
    data = hetero_data(SCHEMA, whole.kind, whole.bands, *whole.messages(SCHEMA.half_life_ms))
    module = TypedSage(SCHEMA).load(weights).double()
    with torch.no_grad():
        expected = module(data)[-1]["user"].numpy()
    users = np.flatnonzero(whole.kind == 0).astype(np.int32)
    rows = rows_of(whole.kind, len(SCHEMA.kinds))[users]
    np.testing.assert_allclose(network.embeddings(users), expected[rows], rtol=0, atol=1e-4)
