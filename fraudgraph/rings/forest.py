"""A spanning forest on the moment at which ties end: components under insertion and expiry, without any search.

Each node has at most one parent, and the edge to it ends at `ends_ms`. Over all moments t, the trees that are left when
edges with `ends_ms <= t` are cut have the same nodes as the components of the ties that live after t: the forest
keeps the maximum spanning forest's connectivity (sliding-window connectivity, arXiv 2410.00884), not its edges, so a
tie may be stood for by an equivalent edge. Parents have a higher pseudo-random rank, which keeps the expected
depth logarithmic, as in union by random rank; a giant component is no exception.

Inserting a tie (u, v, w) climbs from both ends over edges that last at least as long as w to u' and v'. The one with
the lower rank takes the other as its parent until w, and the edge that this displaces, weaker than w, is inserted in
turn. Edges are cut in the order of their ends, so when one is cut, its whole subtree is the part that falls
off. What the forest cannot do is to end a tie early: then the component's edges are cut and its ties inserted again.

Node numbers: user u is 2u, identifier i is 2i + 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from fraudgraph.graph.heap import KeyedHeap, keyed_put, keyed_remove, new_keyed_heap, reserve_items
from fraudgraph.graph.interning import grown
from fraudgraph.graph.types import I32, I64, Int

NEVER = np.iinfo(np.int64).max


class Forest(NamedTuple):
    """Columns by node, `[cap]`.

    Attributes:
        parent: int32, -1 at a root.
        ends_ms: int64, when the edge to the parent ends.
        child, next, prev: int32, the list of children; -1 at its end.
        users: int32, users in the subtree.
        queue: nodes with a parent, under a moment at which that edge may end (never after it does).
    """

    parent: I32
    ends_ms: I64
    child: I32
    next: I32
    prev: I32
    users: I32
    queue: KeyedHeap


def new_forest(capacity: int) -> Forest:
    """Returns a forest of single nodes."""
    users = np.zeros(capacity, np.int32)
    users[::2] = 1
    return Forest(
        np.full(capacity, -1, np.int32),
        np.full(capacity, NEVER, np.int64),
        np.full(capacity, -1, np.int32),
        np.full(capacity, -1, np.int32),
        np.full(capacity, -1, np.int32),
        users,
        new_keyed_heap(capacity),
    )


def reserve_nodes(forest: Forest, capacity: int) -> Forest:
    """Returns a forest with room for that many nodes."""
    have = len(forest.parent)
    if capacity <= have:
        return forest
    capacity = (capacity + capacity // 2 + 1) & ~1
    users = grown(forest.users, capacity)
    users[have + have % 2 :: 2] = 1
    return Forest(
        grown(forest.parent, capacity, -1),
        grown(forest.ends_ms, capacity, NEVER),
        grown(forest.child, capacity, -1),
        grown(forest.next, capacity, -1),
        grown(forest.prev, capacity, -1),
        users,
        reserve_items(forest.queue, capacity),
    )


@njit(cache=True, inline="always")
def _rank(node: Int) -> Int:
    """Returns a pseudo-random rank; distinct for distinct nodes (a bijection on 32 bits, Wellons' lowbias32)."""
    x = np.uint32(node)
    x ^= x >> np.uint32(16)
    x = np.uint32(x * np.uint32(0x7FEB352D))
    x ^= x >> np.uint32(15)
    x = np.uint32(x * np.uint32(0x846CA68B))
    x ^= x >> np.uint32(16)
    return x


@njit(cache=True)
def find_root(forest: Forest, node: Int) -> Int:
    """Returns the root of a node's tree; the component's name until the next change."""
    while forest.parent[node] >= 0:
        node = forest.parent[node]
    return node


@njit(cache=True)
def cut_from_parent(forest: Forest, node: Int) -> Int:
    """Cuts a node with its subtree from its parent, which is returned."""
    up = forest.parent[node]
    before, after = forest.prev[node], forest.next[node]
    if before >= 0:
        forest.next[before] = after
    else:
        forest.child[up] = after
    if after >= 0:
        forest.prev[after] = before
    forest.parent[node] = -1
    forest.ends_ms[node] = NEVER
    forest.next[node] = -1
    forest.prev[node] = -1
    above = up
    while above >= 0:
        forest.users[above] -= forest.users[node]
        above = forest.parent[above]
    return up


@njit(cache=True)
def _attach(forest: Forest, node: Int, up: Int, ends_ms: Int) -> None:
    first = forest.child[up]
    forest.next[node] = first
    if first >= 0:
        forest.prev[first] = node
    forest.child[up] = node
    forest.parent[node] = up
    forest.ends_ms[node] = ends_ms
    above = up
    while above >= 0:
        forest.users[above] += forest.users[node]
        above = forest.parent[above]
    at = forest.queue.position[node]
    if at < 0 or forest.queue.when_ms[at] > ends_ms:
        keyed_put(forest.queue, ends_ms, node)


@njit(cache=True)
def insert_tie(forest: Forest, a: Int, b: Int, ends_ms: Int) -> None:
    """Adds a tie, or makes one last longer.

    Idempotent. Expected O(log n) climbs for random ranks.
    """
    while True:
        while forest.parent[a] >= 0 and forest.ends_ms[a] >= ends_ms:
            a = forest.parent[a]
        while forest.parent[b] >= 0 and forest.ends_ms[b] >= ends_ms:
            b = forest.parent[b]
        if a == b:
            return
        if _rank(a) > _rank(b):
            a, b = b, a
        if forest.parent[a] == b:
            forest.ends_ms[a] = ends_ms
            return
        displaced_ms = forest.ends_ms[a]
        up = -1
        if forest.parent[a] >= 0:
            up = cut_from_parent(forest, a)
        _attach(forest, a, b, ends_ms)
        if up < 0:
            return
        a, ends_ms = up, displaced_ms


@njit(cache=True)
def cut_ended(forest: Forest, now_ms: Int, changed: I32) -> Int:
    """Cuts all edges that end at or before `now_ms`, in order; fills `changed` with nodes of the parts.

    Returns the number of nodes in `changed` (two per cut), or -1 - that number where `changed` is full: then the
    caller makes room and calls again.
    """
    n = 0
    while forest.queue.size[0] > 0 and forest.queue.when_ms[0] <= now_ms:
        node = forest.queue.item[0]
        if forest.parent[node] < 0:
            keyed_remove(forest.queue, node)
        elif forest.ends_ms[node] > forest.queue.when_ms[0]:
            keyed_put(forest.queue, forest.ends_ms[node], node)
        elif n + 2 > len(changed):
            return -1 - n
        else:
            keyed_remove(forest.queue, node)
            changed[n] = node
            changed[n + 1] = cut_from_parent(forest, node)
            n += 2
    return n


@njit(cache=True)
def collect_tree(forest: Forest, root: Int, out: I32) -> Int:
    """Fills `out` with the nodes of a tree, parents before children; returns how many."""
    out[0] = root
    n, at = 1, 0
    while at < n:
        child = forest.child[out[at]]
        while child >= 0:
            out[n] = child
            n += 1
            child = forest.next[child]
        at += 1
    return n


@njit(cache=True)
def scatter_tree(forest: Forest, nodes: I32, count: Int) -> None:
    """Cuts every edge of a collected tree."""
    for i in range(count):
        node = nodes[i]
        forest.parent[node] = -1
        forest.ends_ms[node] = NEVER
        forest.child[node] = -1
        forest.next[node] = -1
        forest.prev[node] = -1
        forest.users[node] = 1 - (node & 1)
