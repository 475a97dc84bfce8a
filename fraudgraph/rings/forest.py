"""A spanning forest on the moment at which ties end: components under insertion and expiry, without any search.

Each node has at most one parent, and the edge to it ends at `ends_ms`. Over all moments t, the trees that are left when
edges with `ends_ms <= t` are cut have the same nodes as the components of the ties that live after t: the forest
keeps the maximum spanning forest's connectivity (sliding-window connectivity, arXiv 2410.00884), not its edges, so a
tie may be stood for by an equivalent edge. Parents have a higher pseudo-random rank, which keeps the expected
depth logarithmic, as in union by random rank; a giant component is no exception.

Inserting a tie (u, v, w) climbs from both ends over edges that last at least as long as w to u' and v'. The one with
the lower rank takes the other as its parent until w, and the edge that this displaces, weaker than w, is inserted in
turn. When an edge ends, its whole subtree is the part that falls off. What the forest cannot do is to end a tie early:
then the component's edges are cut and its ties inserted again.

Node numbers: user u is 2u, identifier i is 2i + 1.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fraudgraph.graph.types import I32, I64, Int
from fraudgraph.kernels import njit
from fraudgraph.rings.processor import prefetch
from fraudgraph.rings.wheel import (
    BLOCK,
    ENTRY,
    Wheel,
    advance_wheel,
    level_of,
    new_wheel,
    reserve_entries,
    slot_at,
    take_all,
    take_block,
    wheel_now,
    wheel_put,
)

NEVER = np.iinfo(np.int64).max

NODE: Final = np.dtype(
    [
        ("ends_ms", np.int64),
        ("queued_ms", np.int64),
        ("parent", np.int32),
        ("child", np.int32),
        ("next", np.int32),
        ("prev", np.int32),
    ],
    align=True,
)
"""All that a step reads of a node, in half a cache line: the forest's speed is the number of lines it waits for."""

Records: TypeAlias = npt.NDArray[np.void]
_LINE_BYTES: Final = 64
_AHEAD: Final = 128
_TREE_AHEAD: Final = 64


class Forest(NamedTuple):
    """A forest of `[cap]` nodes.

    Attributes:
        nodes: `[cap]` records: `ends_ms`, when the edge to the parent ends; `queued_ms`, the node's moment in the queue
            (at or before `ends_ms`; `NEVER` where it is not there); `parent`, -1 at a root; `child`, `next`, `prev`,
            the list of children, -1 at its end.
        queue: nodes under a moment at which their edge may end. An entry at another moment than `queued_ms` is void.
    """

    nodes: Records
    queue: Wheel

    @property
    def parent(self) -> npt.NDArray[Any]:
        """Each node's parent, -1 at a root; a view."""
        return self.nodes["parent"]

    @property
    def ends_ms(self) -> npt.NDArray[Any]:
        """When each node's edge to its parent ends, `NEVER` at a root; a view."""
        return self.nodes["ends_ms"]


def new_forest(capacity: int) -> Forest:
    """Returns a forest of single nodes."""
    return Forest(_single_nodes(capacity), new_wheel(2 * capacity))


def reserve_nodes(forest: Forest, capacity: int) -> Forest:
    """Returns a forest with room for that many nodes."""
    have = len(forest.nodes)
    if capacity <= have:
        return forest
    capacity = (capacity + capacity // 2 + 1) & ~1
    nodes = _single_nodes(capacity)
    nodes[:have] = forest.nodes
    return Forest(nodes, reserve_entries(forest.queue, 2 * capacity))


def _single_nodes(capacity: int) -> Records:
    # numpy aligns to 16 bytes; then every second node would lie across two cache lines.
    raw = np.empty(capacity * NODE.itemsize + _LINE_BYTES, np.uint8)
    begin = -raw.ctypes.data % _LINE_BYTES
    nodes = raw[begin : begin + capacity * NODE.itemsize].view(NODE)
    nodes[:] = (NEVER, NEVER, -1, -1, -1, -1)
    return nodes


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
    nodes = forest.nodes
    while nodes[node]["parent"] >= 0:
        node = nodes[node]["parent"]
    return node


@njit(cache=True)
def _cut(nodes: Records, node: Int) -> Int:
    up = _unlist(nodes, node)
    cut = nodes[node]
    cut["parent"] = -1
    cut["ends_ms"] = NEVER
    cut["next"] = -1
    cut["prev"] = -1
    return up


@njit(cache=True)
def _unlist(nodes: Records, node: Int) -> Int:
    """Takes a node out of its parent's list of children; returns the parent."""
    up, before, after = nodes[node]["parent"], nodes[node]["prev"], nodes[node]["next"]
    if before >= 0:
        nodes[before]["next"] = after
    else:
        nodes[up]["child"] = after
    if after >= 0:
        nodes[after]["prev"] = before
    return up


@njit(cache=True)
def _attach(nodes: Records, node: Int, up: Int, ends_ms: Int) -> None:
    first = nodes[up]["child"]
    nodes[up]["child"] = node
    if first >= 0:
        nodes[first]["prev"] = node
    attached = nodes[node]
    attached["next"] = first
    attached["prev"] = -1
    attached["parent"] = up
    attached["ends_ms"] = ends_ms


@njit(cache=True)
def _queue(nodes: Records, queue: Wheel, ends_ms: Int, node: Int) -> None:
    nodes[node]["queued_ms"] = ends_ms
    if not wheel_put(queue, ends_ms, node):
        # Void entries took the room; without them there is at most one entry for each node, half of the room.
        for entry in take_all(queue):
            if nodes[entry["item"]]["queued_ms"] == entry["when_ms"]:
                wheel_put(queue, entry["when_ms"], entry["item"])
        wheel_put(queue, ends_ms, node)


@njit(cache=True)
def insert_tie(forest: Forest, a: Int, b: Int, ends_ms: Int) -> None:
    """Adds a tie, or makes one last longer.

    Idempotent. Expected O(log n) climbs for random ranks.
    """
    _insert(forest.nodes, forest.queue, a, b, ends_ms)


@njit(cache=True)
def _insert(nodes: Records, queue: Wheel, a: Int, b: Int, ends_ms: Int) -> None:
    while True:
        while nodes[a]["parent"] >= 0 and nodes[a]["ends_ms"] >= ends_ms:
            a = nodes[a]["parent"]
        while nodes[b]["parent"] >= 0 and nodes[b]["ends_ms"] >= ends_ms:
            b = nodes[b]["parent"]
        if a == b:
            return
        if _rank(a) > _rank(b):
            a, b = b, a
        up, displaced_ms = nodes[a]["parent"], nodes[a]["ends_ms"]
        if up == b:
            nodes[a]["ends_ms"] = ends_ms
            return
        if up >= 0:
            _unlist(nodes, a)
        _attach(nodes, a, b, ends_ms)
        if nodes[a]["queued_ms"] > ends_ms:
            _queue(nodes, queue, ends_ms, a)
        if up < 0:
            return
        a, ends_ms = up, displaced_ms


@njit(cache=True)
def insert_ties(forest: Forest, a: I32, b: I32, ends_ms: I64) -> None:
    """Adds ties `[n]` each; the same as one after the other, but memory is waited for less."""
    nodes, queue = forest.nodes, forest.queue
    for start in range(0, len(a), _AHEAD):
        stop = min(start + _AHEAD, len(a))
        for i in range(start, stop):
            prefetch(nodes, a[i])
            prefetch(nodes, b[i])
        for i in range(start, stop):
            _fetch_around(nodes, a[i])
            _fetch_around(nodes, b[i])
        for i in range(start, stop):
            _insert(nodes, queue, a[i], b[i], ends_ms[i])


@njit(cache=True)
def _fetch_around(nodes: Records, node: Int) -> None:
    """Asks for the memory that a change of this node's edge will need."""
    record = nodes[node]
    prefetch(nodes, record["parent"])
    prefetch(nodes, record["child"])
    prefetch(nodes, record["next"])
    prefetch(nodes, record["prev"])


@njit(cache=True)
def cut_ended(forest: Forest, now_ms: Int, changed: I32) -> Int:
    """Cuts all edges that end at or before `now_ms`; fills `changed` with nodes of the parts.

    Returns the number of nodes in `changed` (two per cut), or -1 - that number where `changed` is full: then the
    caller makes room and calls again. Time does not go back: an earlier moment than the last one cuts nothing.
    """
    nodes, queue = forest.nodes, forest.queue
    last_ms = wheel_now(queue)
    if now_ms < last_ms:
        return 0
    buffer = np.empty(BLOCK, ENTRY)
    level = level_of(last_ms, now_ms)
    n = 0
    for slot in range(256 * level):
        if queue.slots[slot] >= 0:
            n = _cut_slot(nodes, queue, slot, now_ms, buffer, changed, n)
    for slot in range(slot_at(level, last_ms), slot_at(level, now_ms)):
        if queue.slots[slot] >= 0:
            n = _cut_slot(nodes, queue, slot, now_ms, buffer, changed, n)
    if n < 0:
        return n
    advance_wheel(queue, now_ms, buffer)
    return _cut_slot(nodes, queue, slot_at(0, now_ms), now_ms, buffer, changed, n)


@njit(cache=True)
def _cut_slot(nodes: Records, queue: Wheel, slot: Int, now_ms: Int, buffer: Records, changed: I32, n: Int) -> Int:
    """Cuts what has ended of a slot whose entries are all due; takes and returns `n` as `cut_ended` returns it."""
    while n >= 0 and queue.slots[slot] >= 0:
        due = buffer[: take_block(queue, slot, buffer)]
        for entry in due:
            prefetch(nodes, entry["item"])
        for entry in due:
            _fetch_around(nodes, entry["item"])
        for entry in due:
            node, when_ms = entry["item"], entry["when_ms"]
            record = nodes[node]
            if n < 0:
                wheel_put(queue, when_ms, node)
            elif record["queued_ms"] == when_ms:
                if record["parent"] < 0:
                    record["queued_ms"] = NEVER
                elif record["ends_ms"] > now_ms:
                    _queue(nodes, queue, record["ends_ms"], node)
                elif n + 2 <= len(changed):
                    record["queued_ms"] = NEVER
                    changed[n] = node
                    changed[n + 1] = _cut(nodes, node)
                    n += 2
                else:
                    wheel_put(queue, when_ms, node)
                    n = -1 - n
    return n


@njit(cache=True)
def collect_tree(forest: Forest, root: Int, out: I32) -> Int:
    """Fills `out` with the nodes of a tree, parents before children; returns how many."""
    return collect_at_most(forest, root, out, len(out))


@njit(cache=True)
def collect_at_most(forest: Forest, root: Int, out: I32, max_users: Int) -> Int:
    """Fills `out` with the nodes of a tree, parents before children; returns how many, or -1 as soon as it meets more
    users than `max_users`.
    """
    nodes = forest.nodes
    out[0] = root
    n, at = 1, 0
    room: Int = max_users
    # Children and siblings are walks that do not wait for each other. Whether a node has any cannot be predicted, and
    # a wrong guess costs more than a write that the next one covers.
    while at < n < len(out) - 1 and room >= 0:
        record = nodes[out[at]]
        room -= 1 - (out[at] & 1)
        at += 1
        first, second = record["child"], record["next"]
        if at + _TREE_AHEAD < n:
            prefetch(nodes, out[at + _TREE_AHEAD])
        else:
            prefetch(nodes, first)
            prefetch(nodes, second)
        out[n] = first
        n += first >= 0
        out[n] = second
        n += second >= 0
    # With no room for such a write.
    while at < n and room >= 0:
        record = nodes[out[at]]
        room -= 1 - (out[at] & 1)
        at += 1
        for follower in (record["child"], record["next"]):
            if follower >= 0:
                out[n] = follower
                n += 1
    return n if room >= 0 else -1


@njit(cache=True)
def scatter_tree(forest: Forest, nodes: I32, count: Int) -> None:
    """Cuts every edge of a collected tree."""
    for node in nodes[:count]:
        record = forest.nodes[node]
        record["parent"] = -1
        record["ends_ms"] = NEVER
        record["child"] = -1
        record["next"] = -1
        record["prev"] = -1
