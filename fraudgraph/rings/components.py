"""The components that a batch touched, with their members, out of the forest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from fraudgraph.graph.types import I32, I64, U64, Bool, Int
from fraudgraph.kernels import njit
from fraudgraph.rings.forest import Forest, collect_at_most, collect_tree, find_root
from fraudgraph.rings.processor import prefetch, trailing_zeros

_AHEAD: Final = 128
_ROOTS_AHEAD: Final = 8
_SMALL: Final = 32
_SPARSE: Final = 1024
_ANY: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Components:
    """`c` components: those large enough for a ring, and those with users of one.

    Attributes:
        members: user ids, one component after the other.
        starts: `[c + 1]` where each begins in `members`.
        same_ring: `[c]` the serial of the ring that has exactly these members, else -1.
        oversized: roots of components beside these, with more users than one ring may have; nobody in them is listed.
    """

    members: I32
    starts: I64
    same_ring: I32
    oversized: I32 = field(default_factory=lambda: np.empty(0, np.int32))

    def __len__(self) -> int:
        return len(self.same_ring)

    def of(self, component: int) -> I32:
        """Returns the members of a component."""
        return self.members[self.starts[component] : self.starts[component + 1]]


class ComponentFinder:
    """Finds the components of nodes, each once.

    Args:
        min_users: fewer are no ring.
        max_users: more are no ring as they are.
    """

    def __init__(self, min_users: int, max_users: int = _ANY) -> None:
        self._min_users = min_users
        self._max_users = max_users
        self._seen = np.empty(0, np.bool_)

    def with_everybody(self, forest: Forest, found: Components) -> Components:
        """Returns the components with the members of the oversized ones too, which come last."""
        if not len(found.oversized):
            return found
        teams = [np.sort(users_of(forest, root, self._tree)) for root in found.oversized.tolist()]
        return Components(
            np.concatenate((found.members, *teams)),
            np.concatenate((found.starts, found.starts[-1] + np.cumsum([len(team) for team in teams]))),
            np.concatenate((found.same_ring, np.full(len(teams), -1, np.int32))),
            found.oversized[:0],
        )

    def __call__(self, forest: Forest, nodes: I32, user_ring: I32, ring_size: I32) -> Components:
        """Returns the components of these nodes that are, or were, a ring.

        What lies in an oversized one is not looked at, so that a giant component costs what `max_users` cost.

        Args:
            nodes: node numbers, with repeats.
            user_ring: `[users]` serial of each user's ring, -1 where none.
            ring_size: `[serials]` how many members each ring has.
        """
        self._reserve(len(forest.nodes))
        roots, starts = np.empty(len(nodes), np.int32), np.zeros(len(nodes) + 1, np.int64)
        same, oversized = np.empty(len(nodes), np.int32), np.empty(len(nodes), np.int32)
        found = find_roots(forest, nodes, self._seen, roots)
        n, more = list_components(
            forest,
            roots[:found],
            user_ring,
            ring_size,
            self._min_users,
            self._max_users,
            self._bits,
            self._tree,
            self._members,
            starts,
            same,
            oversized,
        )
        return Components(self._members[: starts[n]].copy(), starts[: n + 1], same[:n], oversized[:more])

    def _reserve(self, nodes: int) -> None:
        if len(self._seen) >= nodes:
            return
        self._seen = np.zeros(nodes, np.bool_)
        self._bits = np.zeros(nodes // 128 + 1, np.uint64)
        # Room for a component of all nodes; pages that none needs are never touched.
        self._tree, self._members = np.empty(nodes, np.int32), np.empty(nodes, np.int32)


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
    max_users: Int,
    bits: U64,
    tree: I32,
    members: I32,
    starts: I64,
    same: I32,
    oversized: I32,
) -> tuple[Int, Int]:
    """Fills members in ascending order, where each component starts, and the ring that it is, if it is one.

    Leaves out components of fewer than `min_users` users of which none is in a ring, and fills `oversized` with the
    roots of those of more than `max_users`; returns how many there are, and how many of these.
    `tree` and `members` have room for all nodes; `bits` has one for each user, 0 before and after.
    """
    count, begin, more = 0, 0, 0
    for i in range(len(roots)):
        if i + _ROOTS_AHEAD < len(roots):
            prefetch(forest.nodes, forest.nodes[roots[i + _ROOTS_AHEAD]]["child"])
        root, end = roots[i], begin
        n = collect_at_most(forest, root, tree, max_users)
        if n < 0:
            oversized[more] = root
            more += 1
            continue
        for node in tree[:n]:
            members[end] = node >> 1
            end += 1 - (node & 1)
        team = members[begin:end]
        _sort(team, bits)
        in_ring = 0
        for user in team:
            in_ring += user_ring[user] >= 0
        if end == begin or (end - begin < min_users and in_ring == 0):
            continue
        ring = user_ring[team[0]]
        if ring >= 0:
            for user in team:
                if user_ring[user] != ring:
                    ring = np.int32(-1)
                    break
        if ring >= 0 and ring_size[ring] != end - begin:
            ring = np.int32(-1)
        same[count] = ring
        count += 1
        starts[count] = end
        begin = end
    return count, more


@njit(cache=True)
def users_of(forest: Forest, root: Int, tree: I32) -> I32:
    """Returns the users of a tree; `tree` has room for all nodes."""
    nodes = tree[: collect_tree(forest, root, tree)]
    users: I32 = nodes[(nodes & 1) == 0] >> np.int32(1)
    return users


@njit(cache=True)
def largest_component(forest: Forest, users: I32) -> Int:
    """Returns how many of these users are in the component that has most of them; climbs from each to its root."""
    sizes = np.zeros(len(forest.nodes), np.int32)
    most: Int = 0
    for i in range(len(users)):
        if i + _AHEAD < len(users):
            prefetch(forest.nodes, 2 * users[i + _AHEAD])
        root = find_root(forest, 2 * users[i])
        sizes[root] += 1
        most = max(most, sizes[root])
    return most


@njit(cache=True)
def _sort(some: I32, bits: U64) -> None:
    """Sorts distinct users in place."""
    if len(some) <= _SMALL:
        # Most components are small; the library's sort makes a stack of its own for each call.
        for i in range(1, len(some)):
            one, j = some[i], i
            while j > 0 and some[j - 1] > one:
                some[j] = some[j - 1]
                j -= 1
            some[j] = one
        return
    lowest, highest = some[0], some[0]
    for one in some:
        lowest, highest = min(lowest, one), max(highest, one)
    if highest - lowest > _SPARSE * len(some):
        some.sort()
        return
    for one in some:
        bits[one >> 6] |= np.uint64(1) << np.uint64(one & 63)
    n = 0
    for word in range(lowest >> 6, (highest >> 6) + 1):
        left = bits[word]
        bits[word] = 0
        while left != 0:
            some[n] = (word << 6) + trailing_zeros(left)
            left &= left - np.uint64(1)
            n += 1
