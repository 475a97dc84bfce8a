"""The forest against networkx: ties come, last longer, run out, and end early by being made again."""

from __future__ import annotations

import networkx as nx
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudgraph.rings.forest import (
    collect_tree,
    cut_ended,
    find_root,
    insert_tie,
    new_forest,
    reserve_nodes,
    scatter_tree,
)

NODES = 14
node = st.integers(0, NODES - 1)
# Near and far: the queue of ends sorts times by their bytes.
span = st.one_of(st.integers(0, 12), st.integers(0, 700), st.integers(65_000, 70_000), st.integers(0, 2**34))
ops = st.lists(
    st.one_of(
        st.tuples(st.just("tie"), node, node, span),
        st.tuples(st.just("tie"), node, node, span),
        st.tuples(st.just("pass"), span, st.integers(0, 1), st.just(0)),
        st.tuples(st.just("drop"), node, node, st.just(0)),
    ),
    max_size=60,
)


@settings(max_examples=1500, deadline=None)
@given(ops)
def test_components_equal_networkx(steps: list[tuple[str, int, int, int]]) -> None:
    forest = new_forest(8)
    network = nx.Graph()
    network.add_nodes_from(range(NODES))
    now = 0
    for what, a, b, length in steps:
        forest = reserve_nodes(forest, NODES)
        if what == "tie" and a != b:
            ends = now + 1 + length
            network.add_edge(a, b, ends=max(ends, network.edges[a, b]["ends"] if network.has_edge(a, b) else 0))
            insert_tie(forest, a, b, ends)
        elif what == "pass":
            now += a
            touched = cut_all(forest, now, room=2 + 2 * (b % 2))
            before = components(network)
            network.remove_edges_from([(u, v) for u, v, ends in network.edges(data="ends") if ends <= now])
            changed = set().union(*(before ^ components(network))) if before != components(network) else set()
            assert changed <= {v for part in touched for v in nx.node_connected_component(network, part)}
        elif what == "drop" and network.has_edge(a, b):
            network.remove_edge(a, b)
            nodes = collect(forest, a)
            scatter_tree(forest, nodes, len(nodes))
            for u, v, ends in network.edges(nodes.tolist(), data="ends"):
                insert_tie(forest, u, v, ends)
        check(forest, network)


def cut_all(forest, now: int, room: int) -> set[int]:
    """Cuts what ended, with so little room for what changed that it takes several calls."""
    touched: set[int] = set()
    while True:
        changed = np.empty(room, np.int32)
        count = cut_ended(forest, now, changed)
        touched.update(changed[: count if count >= 0 else -1 - count].tolist())
        if count >= 0:
            return touched


def collect(forest, inside: int):
    buffer = np.empty(len(forest.parent), np.int32)
    return buffer[: collect_tree(forest, find_root(forest, inside), buffer)].copy()


def components(network: nx.Graph) -> set[frozenset[int]]:
    return {frozenset(part) for part in nx.connected_components(network)}


def check(forest, network: nx.Graph) -> None:
    for part in components(network):
        roots = {int(find_root(forest, member)) for member in part}
        assert len(roots) == 1
        (root,) = roots
        tree = collect(forest, root).tolist()
        assert sorted(tree) == sorted(part)
        assert {int(forest.parent[member]) for member in part} <= {-1, *part}


def test_a_long_chain_of_refreshes_keeps_the_forest_shallow() -> None:
    """Union by random rank: a path of ten thousand ties is no path of ten thousand climbs."""
    count = 10_000
    forest = new_forest(2 * count)
    for place in range(count - 1):
        insert_tie(forest, 2 * place, 2 * place + 2, 1_000_000 + place % 97)
    depths = []
    for member in range(0, 2 * count, 2 * 101):
        depth, at = 0, member
        while forest.parent[at] >= 0:
            at, depth = int(forest.parent[at]), depth + 1
        depths.append(depth)
    assert max(depths) < 100
    assert len(collect(forest, 0)) == count
