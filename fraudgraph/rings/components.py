"""The components that a batch touched, with their members, out of the forest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from fraudgraph.graph.interning import grown
from fraudgraph.graph.types import I32, I64, Bool, Int
from fraudgraph.rings.forest import Forest, collect_tree, find_root


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

    def __call__(self, forest: Forest, nodes: I32, user_ring: I32, ring_size: I32) -> Components:
        """Returns the components of these nodes that are, or were, a ring.

        Args:
            nodes: node numbers, with repeats.
            user_ring: `[users]` serial of each user's ring, -1 where none.
            ring_size: `[serials]` how many members each ring has.
        """
        if len(self._seen) < len(forest.parent):
            self._seen = grown(self._seen, len(forest.parent))
        roots = np.empty(len(nodes), np.int32)
        counts = np.zeros(2, np.int64)
        find_components(forest, nodes, user_ring, self._min_users, self._seen, roots, counts)
        n, room = int(counts[0]), int(counts[1])
        members, starts = np.empty(room, np.int32), np.zeros(n + 1, np.int64)
        same = np.empty(n, np.int32)
        buffer = np.empty(len(forest.parent), np.int32)
        list_members(forest, roots[:n], user_ring, ring_size, buffer, members, starts, same)
        return Components(members, starts, same)


@njit(cache=True)
def find_components(
    forest: Forest, nodes: I32, user_ring: I32, min_users: Int, seen: Bool, roots: I32, counts: I64
) -> None:
    """Fills `roots` and `counts`: how many, and how many users they have."""
    all_roots = np.empty(len(nodes), np.int32)
    n = 0
    for node in nodes:
        root = find_root(forest, node)
        if not seen[root]:
            seen[root] = True
            all_roots[n] = root
            n += 1
    for root in all_roots[:n]:
        seen[root] = False
        users = forest.users[root]
        if users == 0:
            continue
        if users < min_users and not _has_ring(forest, root, user_ring):
            continue
        roots[counts[0]] = root
        counts[0] += 1
        counts[1] += users


@njit(cache=True)
def _has_ring(forest: Forest, root: Int, user_ring: I32) -> Int:
    """Returns whether a user of a small tree is in a ring."""
    if root & 1 == 0 and user_ring[root >> 1] >= 0:
        return True
    child = forest.child[root]
    while child >= 0:
        if forest.users[child] > 0 and _has_ring(forest, child, user_ring):
            return True
        child = forest.next[child]
    return False


@njit(cache=True)
def list_members(
    forest: Forest,
    roots: I32,
    user_ring: I32,
    ring_size: I32,
    buffer: I32,
    members: I32,
    starts: I64,
    same: I32,
) -> None:
    """Fills members in ascending order, where each component starts, and the ring that it is, if it is one."""
    at = 0
    for c in range(len(roots)):
        n = collect_tree(forest, roots[c], buffer)
        begin = at
        ring = np.int32(-2)
        for i in range(n):
            if buffer[i] & 1 == 0:
                user = buffer[i] >> 1
                members[at] = user
                at += 1
                if ring == -2:
                    ring = user_ring[user]
                elif ring != user_ring[user]:
                    ring = np.int32(-1)
        members[begin:at].sort()
        starts[c + 1] = at
        if ring >= 0 and ring_size[ring] != at - begin:
            ring = np.int32(-1)
        same[c] = ring
