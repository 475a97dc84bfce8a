"""The components that a batch touched, with their members, out of the forest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit

from fraudgraph.graph.interning import grown
from fraudgraph.graph.types import I32, I64, Bool, Int
from fraudgraph.rings.forest import Forest, collect_tree, find_root
from fraudgraph.rings.prefetch import prefetch

_AHEAD: Final = 128
_SMALL: Final = 32


@dataclass(frozen=True, slots=True)
class Components:
    """`c` components: those large enough for a ring, and those with users of one.

    Attributes:
        members: user ids, one component after the other.
        starts: `[c + 1]` where each begins in `members`.
        same_ring: `[c]` the serial of the ring that has exactly these members, else -1.
    """

    members: I32
    starts: I64
    same_ring: I32

    def __len__(self) -> int:
        return len(self.same_ring)

    def of(self, component: int) -> I32:
        """Returns the members of a component."""
        return self.members[self.starts[component] : self.starts[component + 1]]


class ComponentFinder:
    """Finds the components of nodes, each once."""

    def __init__(self, min_users: int) -> None:
        self._min_users = min_users
        self._seen = np.zeros(1024, np.bool_)
        self._tree = np.empty(1024, np.int32)
        self._members = np.empty(1024, np.int32)

    def __call__(self, forest: Forest, nodes: I32, user_ring: I32, ring_size: I32) -> Components:
        """Returns the components of these nodes that are, or were, a ring.

        Args:
            nodes: node numbers, with repeats.
            user_ring: `[users]` serial of each user's ring, -1 where none.
            ring_size: `[serials]` how many members each ring has.
        """
        cap = len(forest.nodes)
        if len(self._seen) < cap:
            # Room for all nodes; pages that no component needs are never touched.
            self._seen, self._tree, self._members = (
                grown(self._seen, cap),
                np.empty(cap, np.int32),
                np.empty(cap, np.int32),
            )
        roots, starts = np.empty(len(nodes), np.int32), np.zeros(len(nodes) + 1, np.int64)
        same = np.empty(len(nodes), np.int32)
        found = find_roots(forest, nodes, self._seen, roots)
        n = list_components(
            forest,
            roots[:found],
            user_ring,
            ring_size,
            self._min_users,
            self._tree,
            self._members,
            starts,
            same,
        )
        return Components(self._members[: starts[n]].copy(), starts[: n + 1], same[:n])


@njit(cache=True)
def find_roots(forest: Forest, nodes: I32, seen: Bool, roots: I32) -> Int:
    """Fills `roots` with the roots of nodes, each once; returns how many. `seen` is False before and after."""
    n = 0
    for start in range(0, len(nodes), _AHEAD):
        for node in nodes[start : start + _AHEAD]:
            prefetch(forest.nodes, node)
        for node in nodes[start : start + _AHEAD]:
            root = find_root(forest, node)
            if not seen[root]:
                seen[root] = True
                roots[n] = root
                n += 1
    for root in roots[:n]:
        seen[root] = False
    return n


@njit(cache=True)
def list_components(
    forest: Forest,
    roots: I32,
    user_ring: I32,
    ring_size: I32,
    min_users: Int,
    tree: I32,
    members: I32,
    starts: I64,
    same: I32,
) -> Int:
    """Fills members in ascending order, where each component starts, and the ring that it is, if it is one.

    Leaves out components of fewer than `min_users` users of which none is in a ring; returns how many there are.
    """
    count, at = 0, 0
    for root in roots:
        begin = at
        in_ring = False
        ring = np.int32(-2)
        for node in tree[: collect_tree(forest, root, tree)]:
            if node & 1 == 0:
                user = node >> 1
                members[at] = user
                at += 1
                in_ring |= user_ring[user] >= 0
                if ring == -2:
                    ring = user_ring[user]
                elif ring != user_ring[user]:
                    ring = np.int32(-1)
        if at == begin or (at - begin < min_users and not in_ring):
            at = begin
            continue
        _sort(members[begin:at])
        if ring >= 0 and ring_size[ring] != at - begin:
            ring = np.int32(-1)
        same[count] = ring
        count += 1
        starts[count] = at
    return count


@njit(cache=True)
def _sort(some: I32) -> None:
    # Most components are small; the library's sort makes a stack of its own for each call.
    if len(some) > _SMALL:
        some.sort()
        return
    for i in range(1, len(some)):
        one, j = some[i], i
        while j > 0 and some[j - 1] > one:
            some[j] = some[j - 1]
            j -= 1
        some[j] = one
