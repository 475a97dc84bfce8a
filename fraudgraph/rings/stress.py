"""Stress test: what holds a ring together, and what remains without it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

from fraudgraph.events.kinds import EntityKind
from fraudgraph.rings.facts_view import Identifier, RingView

Node = tuple[str, str]
"""(`user`, user id) or (`identifier`, short name)."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What one account, one identifier or one tie of an analyst holds together.

    Attributes:
        user_id: the account, or None where it is something else.
        identifier: the short name, or None where it is something else.
        parts: sizes in accounts of what remains without it, largest first.
        constraint: the analyst's constraint, or None where it is something else.
    """

    user_id: str | None
    identifier: str | None
    parts: tuple[int, ...]
    constraint: str | None = None

    @property
    def apart(self) -> int:
        """Accounts that end outside the largest part."""
        return sum(self.parts[1:])


@dataclass(frozen=True, slots=True)
class SoftTie:
    """Two members joined by weak identifiers together, none of which would do alone."""

    user_a: str
    user_b: str
    strength: float
    identifiers: tuple[str, ...]


def soft_ties(view: RingView, without: str | None = None) -> tuple[SoftTie, ...]:
    """Returns the pairs whose weak links reach `theta` by noisy-OR, at least one of them not an IP.

    A weak identifier takes part with at most `max_pair_users` active users; a shared one counts with the weaker
    of its two links, and `without` names one to leave out.
    """
    shared: dict[tuple[str, str], list[tuple[Identifier, float]]] = defaultdict(list)
    for identifier in view.shared:
        if identifier.hub or identifier.name == without or identifier.users_total > view.policy.max_pair_users:
            continue
        weak = [x for x in identifier.links if not x.ties and x.strength > 0.0]
        for a, b in combinations(sorted(weak, key=lambda x: x.user_id), 2):
            shared[a.user_id, b.user_id].append((identifier, min(a.strength, b.strength)))
    found = []
    for (a_id, b_id), links in sorted(shared.items()):
        strength = 1.0 - math.prod(1.0 - s for _, s in links)
        if strength >= view.policy.theta and any(i.kind is not EntityKind.IP for i, _ in links):
            found.append(SoftTie(a_id, b_id, strength, tuple(i.name for i, _ in links)))
    return tuple(found)


def tie_graph(view: RingView, without: str | None = None) -> dict[Node, set[Node]]:
    """Returns the ring's ties: members to identifiers (hard), members to members (soft, or by an analyst's word).

    Args:
        without: the short name of an identifier, or an analyst's constraint, to leave out.
    """
    graph: dict[Node, set[Node]] = {("user", user_id): set() for user_id in view.users}
    edges: list[tuple[Node, Node]] = [
        (("user", link.user_id), ("identifier", identifier.name))
        for identifier in view.shared
        if identifier.name != without
        for link in identifier.links
        if link.ties and not link.hub
    ]
    edges += [(("user", t.user_a), ("user", t.user_b)) for t in soft_ties(view, without)]
    edges += [(("user", a), ("user", b)) for a, b, constraint in view.snapshot.together if constraint != without]
    for a, b in edges:
        graph.setdefault(a, set()).add(b)
        graph.setdefault(b, set()).add(a)
    return graph


def part_sizes(graph: Mapping[Node, set[Node]], without: Node | None = None) -> tuple[int, ...]:
    """Returns the numbers of accounts in the connected parts, largest first, leaving one node out."""
    seen: set[Node] = set() if without is None else {without}
    sizes = []
    for start in graph:
        if start in seen or start[0] != "user":
            continue
        seen.add(start)
        todo, users = [start], 0
        while todo:
            node = todo.pop()
            users += node[0] == "user"
            fresh = graph[node] - seen
            seen |= fresh
            todo.extend(fresh)
        sizes.append(users)
    return tuple(sorted(sizes, reverse=True))


def articulation_points(graph: Mapping[Node, Iterable[Node]]) -> set[Node]:
    """Returns the nodes whose removal disconnects their component (Tarjan 1972, without recursion)."""
    order: dict[Node, int] = {}
    low: dict[Node, int] = {}
    found: set[Node] = set()
    for root in graph:
        if root in order:
            continue
        order[root] = low[root] = len(order)
        root_children = 0
        stack: list[tuple[Node, Node | None, list[Node]]] = [(root, None, list(graph[root]))]
        while stack:
            node, parent, rest = stack[-1]
            if rest:
                child = rest.pop()
                if child == parent:
                    continue
                if child in order:
                    low[node] = min(low[node], order[child])
                else:
                    order[child] = low[child] = len(order)
                    root_children += node == root
                    stack.append((child, node, list(graph[child])))
                continue
            stack.pop()
            if parent is not None:
                low[parent] = min(low[parent], low[node])
                if parent != root and low[node] >= order[parent]:
                    found.add(parent)
        if root_children > 1:
            found.add(root)
    return found


def stress_test(view: RingView) -> tuple[Cut, ...]:
    """Returns the accounts, identifiers and ties of analysts without which the ring falls apart, the one that parts
    most first.
    """
    graph = tie_graph(view)
    whole = part_sizes(graph)
    cuts = []
    for node in articulation_points(graph):
        kind, name = node
        parts = part_sizes(graph, without=node)
        if len(parts) > len(whole):
            cuts.append(Cut(name, None, parts) if kind == "user" else Cut(None, name, parts))
    weak = {name for tie in soft_ties(view) for name in tie.identifiers}
    for name in weak:  # a weak identifier is no node of the graph: the soft ties without it must be found anew
        parts = part_sizes(tie_graph(view, without=name))
        if len(parts) > len(whole):
            cuts.append(Cut(None, name, parts))
    for _, _, constraint in view.snapshot.together:
        parts = part_sizes(tie_graph(view, without=constraint))
        if len(parts) > len(whole):
            cuts.append(Cut(None, None, parts, constraint))
    unique = {(c.user_id, c.identifier, c.constraint): c for c in cuts}
    return tuple(
        sorted(unique.values(), key=lambda c: (-c.apart, c.identifier or "", c.user_id or "", c.constraint or ""))
    )
