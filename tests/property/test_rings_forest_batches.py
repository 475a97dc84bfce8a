"""Ties in batches, and the components that they touch with their members, against networkx."""

from __future__ import annotations

import networkx as nx
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudgraph.rings.components import ComponentFinder
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


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(2, 400),
    st.integers(1, 300),
    st.sampled_from([1, 1_000]),
    st.sampled_from([1, 2**20]),
)
def test_a_batch_is_its_ties_one_after_the_other(seed: int, users: int, batch: int, spread: int, tick: int) -> None:
    """Sizes and times on both sides of those at which components are sorted, and ends are queued, in another way."""
    random = np.random.default_rng(seed)
    forest, network, now_ms = reserve_nodes(new_forest(4), 2 * users * spread), nx.Graph(), 0
    changed = np.empty(4096, np.int32)
    for _ in range(4):
        ties = 2 * spread * random.integers(0, users, (batch, 2)).astype(np.int32)
        ends_ms = now_ms + tick * random.integers(1, 60, batch)
        insert_ties(forest, ties[:, 0].copy(), ties[:, 1].copy(), ends_ms)
        for a, b, end_ms in zip(*ties.T.tolist(), ends_ms.tolist(), strict=True):
            network.add_edge(a, b, end_ms=max(end_ms, network.get_edge_data(a, b, {}).get("end_ms", 0)))
        now_ms += tick * int(random.integers(0, 40))
        count = cut_ended(forest, now_ms, changed)
        network.remove_edges_from([(a, b) for a, b, end_ms in network.edges(data="end_ms") if end_ms <= now_ms])
        touched = np.concatenate((changed[:count], ties[:, 0]))
        want = {tuple(sorted(nx.node_connected_component(network, node))) for node in touched.tolist()}
        large = sorted([node // 2 for node in part] for part in want if len(part) >= 3)
        assert found(forest, touched) == large
        most = int(random.integers(3, 40))
        assert found(forest, touched, most) == [part for part in large if len(part) <= most]
        assert found(forest, touched, most, everybody=True) == large


def found(forest: Forest, touched: np.ndarray, most: int = 2**31 - 1, *, everybody: bool = False) -> list[list[int]]:
    no_ring = np.full(len(forest.parent) // 2, -1, np.int32)
    finder = ComponentFinder(3, most)
    components = finder(forest, touched, no_ring, np.zeros(1, np.int32))
    if everybody:
        components = finder.with_everybody(forest, components)
        assert not len(components.oversized)
    assert (components.same_ring == -1).all()
    return sorted(components.of(c).tolist() for c in range(len(components)))


def test_a_component_says_which_ring_it_is() -> None:
    forest, finder = new_forest(64), ComponentFinder(3)
    for other in (2, 4, 8, 10):
        insert_tie(forest, other, 1 if other < 6 else 7, 100)
    ring = np.array([-1, 0, 0, -1, 1, 1] + [-1] * 26, np.int32)
    two_rings = finder(forest, np.array([2, 4, 10, 12], np.int32), ring, np.array([2, 3], np.int32))
    assert [two_rings.of(c).tolist() for c in range(len(two_rings))] == [[1, 2], [4, 5]]
    assert two_rings.same_ring.tolist() == [0, -1], "the second has lost a member"
    insert_tie(forest, 4, 7, 100)
    joined = finder(forest, np.array([2, 4, 10], np.int32), ring, np.array([2, 3], np.int32))
    assert joined.members.tolist() == [1, 2, 4, 5]
    assert joined.same_ring.tolist() == [-1]


def test_rebuilding_without_end_needs_no_more_room() -> None:
    """Each rebuild leaves a void entry for each tie in the queue; they are dropped when they fill it."""
    forest, buffer = new_forest(16), np.empty(16, np.int32)
    for turn in range(2_000):
        for user in range(0, 14, 2):
            insert_tie(forest, user, user + 2, 1_000_000 - turn * 7 + user)
        if turn < 1_999:
            scatter_tree(forest, buffer, collect_tree(forest, find_root(forest, 0), buffer))
    assert collect_tree(forest, find_root(forest, 0), buffer) == 8
    assert cut_ended(forest, 1_000_000 - 1_999 * 7 + 11, buffer) == 12
    assert sorted(find_root(forest, user) for user in range(0, 12, 2)) == list(range(0, 12, 2))
    assert find_root(forest, 12) == find_root(forest, 14)
