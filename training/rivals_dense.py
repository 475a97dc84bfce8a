"""A dense-subgraph detector after FRAUDAR (Hooi et al., KDD 2016), in the terms of accounts that share identifiers.

Accounts and the identifiers that at least two of them use are two sides of a graph; a link weighs `1 / log(d + 5)`, d
the users of its identifier, so that what everybody shares counts little (their column weights). Greedy peeling takes
away the node with the least weight, again and again; the densest rest (weight per node) is a block. The paper looks for
one block in a graph; a shop has many rings, so each connected component is peeled by itself, and what is left of it
once more, as long as blocks of three accounts come out. Needs no label, and has no notion of time or behaviour.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from fraudgraph.graph.types import F64
from training.gnn.dataset import Slice
from training.gnn.measure import Groups

MIN_USERS = 3
MOST_USERS = 32
"""Identifiers of more accounts are left out: beside them no ring is dense."""
ROUNDS = 4

Links = dict[int, dict[int, float]]
"""Node -> neighbour -> weight; both ways. Identifiers are negative."""


def densest(links: Links) -> tuple[set[int], float]:
    """Returns the densest set of nodes that greedy peeling meets, and its weight per node."""
    weight = {node: sum(near.values()) for node, near in links.items()}
    heap = [(value, node) for node, value in weight.items()]
    heapq.heapify(heap)
    left, total = len(weight), sum(weight.values()) / 2.0
    best, best_left, peeled = total / left, left, []
    while left > 1:
        value, node = heapq.heappop(heap)
        if weight.get(node) != value:
            continue  # an older weight of it
        del weight[node]
        peeled.append(node)
        left -= 1
        total -= value
        for other, share in links[node].items():
            if other in weight:
                weight[other] -= share
                heapq.heappush(heap, (weight[other], other))
        if total / left > best:
            best, best_left = total / left, left
    gone = set(peeled[: len(links) - best_left])
    return set(links) - gone, best


def blocks(accounts: Iterable[int], identifiers: Iterable[int]) -> list[tuple[list[int], float]]:
    """Returns the blocks of a graph of accounts and identifiers, link by link: accounts, ascending, and density."""
    users_of: dict[int, set[int]] = defaultdict(set)
    for account, identifier in zip(accounts, identifiers, strict=True):
        users_of[identifier].add(account)
    links: Links = defaultdict(dict)
    for identifier, users in users_of.items():
        if 2 <= len(users) <= MOST_USERS:
            for account in users:
                links[account][-1 - identifier] = links[-1 - identifier][account] = 1.0 / np.log(len(users) + 5.0)
    found = []
    for _ in range(ROUNDS):
        some = []
        for part in _components(links):
            inside, density = densest({node: links[node] for node in part})
            team = sorted(node for node in inside if node >= 0)
            if len(team) >= MIN_USERS:
                some.append((team, density))
        if not some:
            break
        found += some
        links = _without(links, {account for team, _ in some for account in team})
    return found


class DenseBlocks:
    """Blocks of a slice: an account ranks by the densest one that it is in, and a block is a group of its own."""

    def logits(self, piece: Slice) -> tuple[F64, F64]:
        """Returns densities, of accounts `[u]` and of each ring's members `[m]`; 0 outside all blocks."""
        users = self.of_accounts(piece, self.groups(piece))
        return users, users[piece.rings.member]

    def of_accounts(self, piece: Slice, groups: Groups) -> F64:
        """Returns the density of each account's densest block, `[u]`."""
        users = np.zeros(len(piece.users))
        for team, density in zip(groups.teams, groups.score.tolist(), strict=True):
            users[team] = np.maximum(users[team], density)
        return users

    def groups(self, piece: Slice) -> Groups:
        """Returns the blocks themselves, ranked by density."""
        _, a, b, _ = piece.graph.messages(None)
        hops = piece.graph.kind[b] > 0
        account, identifier = a[hops] // 2, b[hops]
        found = blocks(np.searchsorted(piece.users, account).tolist(), identifier.tolist())
        return Groups([np.array(team, np.int32) for team, _ in found], np.array([density for _, density in found]))


def _components(links: Links) -> list[list[int]]:
    out, seen = [], set()
    for node in links:
        if node in seen:
            continue
        seen.add(node)
        part = [node]
        for each in part:
            for other in links[each]:
                if other not in seen:
                    seen.add(other)
                    part.append(other)
        out.append(part)
    return out


def _without(links: Links, gone: set[int]) -> Links:
    """Returns the graph without some accounts, and without identifiers that fewer than two of the others use."""
    left = {
        node: near
        for node, some in links.items()
        if node < 0 and len(near := {account: share for account, share in some.items() if account not in gone}) >= 2
    }
    out: Links = defaultdict(dict)
    for identifier, near in left.items():
        for account, share in near.items():
            out[identifier][account] = out[account][identifier] = share
    return out
