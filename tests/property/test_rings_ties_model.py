"""Ties against a plain rebuild from the link table, by the policy's own definition, at every moment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations

import networkx as nx
import numpy as np
from hypothesis import event, given, settings
from hypothesis import strategies as st
from support.journal import EVENT_NUMBERS, KINDS, SMALL_POLICY, SMALL_RULES, START_MS, Happening, decoded, events_of

from fraudgraph.durations import DAY_MS, HOUR_MS
from fraudgraph.events.kinds import EntityKind
from fraudgraph.graph.hot import HotGraph
from fraudgraph.graph.policy import KindPolicy, LinkPolicy
from fraudgraph.rings.forest import find_root
from fraudgraph.rings.ties import Ties

LAGS_MS = (0, HOUR_MS, 6 * HOUR_MS, 3 * DAY_MS)
PASSES_MS = (0, 0, 0, HOUR_MS, DAY_MS, DAY_MS + 1, 2 * DAY_MS)


def batches(happenings: list[Happening], salt: int) -> Iterator[tuple[list[Happening], int]]:
    """Yields events in batches, each with a watermark that no event of it is behind; sometimes only time passes."""
    rng = np.random.default_rng(salt)
    now_ms = START_MS - 1
    rest = list(happenings)
    while rest:
        taken, rest = rest[: (count := int(rng.integers(1, 6)))], rest[count:]
        if taken[0].ts_ms >= now_ms:
            now_ms = max(now_ms, taken[0].ts_ms - LAGS_MS[rng.integers(0, len(LAGS_MS))])
            yield taken, now_ms
        now_ms += PASSES_MS[rng.integers(0, len(PASSES_MS))]
        yield [], now_ms
        rest = [one for one in rest if one.ts_ms >= now_ms]


def tied(graph: HotGraph, policy: LinkPolicy, now_ms: int) -> tuple[nx.Graph, int]:
    """Returns users and shared identifiers with every tie that lives now, and how many of them are soft."""
    network = nx.Graph()
    network.add_nodes_from(2 * user for user in graph.user_table.id_of.values())
    links = graph.links
    weak: dict[int, dict[int, tuple[str, int]]] = defaultdict(dict)
    users = np.bincount(links.ident[links.user >= 0], minlength=1)
    for slot in np.flatnonzero(links.user >= 0).tolist():
        user, ident, last_ms = int(links.user[slot]), int(links.ident[slot]), int(links.last_ms[slot])
        kind = EntityKind(int(graph.idents.kind[ident])).label
        assert graph.idents.degree[ident] == users[ident]
        if policy.is_weak(kind):
            weak[user][ident] = (kind, last_ms)
        elif users[ident] > 1 and policy.strength(kind, int(users[ident]), now_ms - last_ms) >= policy.theta:
            network.add_edge(2 * user, 2 * ident + 1)
    soft = 0
    for one, other in combinations(sorted(weak), 2):
        strengths, solid = [], False
        for ident in weak[one].keys() & weak[other].keys():
            (kind, first), (_, second) = weak[one][ident], weak[other][ident]
            if users[ident] <= policy.max_pair_users:
                strength = policy.strength(kind, int(users[ident]), now_ms - min(first, second))
                strengths.append(strength)
                solid |= kind != "ip" and strength > 0.0
        if solid and 1.0 - float(np.prod([1.0 - x for x in strengths])) >= policy.theta:
            network.add_edge(2 * one, 2 * other)
            soft += 1
    return network, soft


def check(graph: HotGraph, ties: Ties, policy: LinkPolicy, now_ms: int) -> int:
    network, soft = tied(graph, policy, now_ms)
    parts = list(nx.connected_components(network))
    roots = [{int(find_root(ties.forest, node)) for node in part} for part in parts]
    assert all(len(found) == 1 for found in roots)
    assert len(set().union(*roots)) == len(parts)
    return soft


@settings(max_examples=1200, deadline=None)
@given(st.lists(st.integers(0, EVENT_NUMBERS - 1), min_size=15, max_size=80).map(events_of), st.integers(0, 2**32 - 1))
def test_components_equal_those_of_the_ties_made_anew(happenings: list[Happening], salt: int) -> None:
    graph, ties = HotGraph(SMALL_POLICY, SMALL_RULES.limits), Ties(SMALL_POLICY)
    soft, hubs, offset = 0, False, 0
    components: dict[int, frozenset[int]] = {}
    for taken, now_ms in batches(happenings, salt):
        batch = decoded([("p", one, offset + i) for i, one in enumerate(taken)], names=["p"])
        offset += len(taken)
        change = graph.apply(batch, None, now_ms)
        nodes = ties.update(graph, change, now_ms)
        soft = max(soft, check(graph, ties, SMALL_POLICY, now_ms))
        limits = ties.tables.limit[graph.idents.kind]
        hubs |= bool((graph.idents.degree > limits).any())
        # What did not change need not be named, and what did must be.
        named = {int(find_root(ties.forest, int(node))) for node in nodes}
        now = {user: component(graph, ties, user) for user in graph.user_table.id_of.values()}
        for user, members in now.items():
            if components.get(user, frozenset({user})) != members:
                assert int(find_root(ties.forest, 2 * user)) in named
        components = now
        fresh = Ties(SMALL_POLICY)
        kept = graph.idents.hold_ms.copy(), graph.links.tie_ends_ms.copy()
        fresh.restore(graph, now_ms)
        check(graph, fresh, SMALL_POLICY, now_ms)
        shared = np.flatnonzero((graph.links.user >= 0) & (graph.idents.degree[graph.links.ident] > 1))
        ends = [np.where(column > now_ms, column, -1)[shared] for column in (kept[1], graph.links.tie_ends_ms)]
        assert ends[0].tolist() == ends[1].tolist()
        graph.idents.hold_ms[:], graph.links.tie_ends_ms[:] = kept
    event(f"soft ties: {soft > 0}")
    event(f"hubs: {hubs}")


def component(graph: HotGraph, ties: Ties, user: int) -> frozenset[int]:
    root = find_root(ties.forest, 2 * user)
    return frozenset(other for other in graph.user_table.id_of.values() if find_root(ties.forest, 2 * other) == root)


policies = st.builds(
    lambda priors, hubs, ttls, rarity, days, locality: LinkPolicy(
        kinds={
            kind: KindPolicy(prior=prior, hub_users=hub, ttl_days=ttl)
            for kind, prior, hub, ttl in zip(
                ("device", "card", "email", "phone", "address", "ip"), [*priors, 0.3], hubs, ttls, strict=True
            )
        },
        rarity_per_band=rarity,
        locality_days=days,
        locality_per_band=locality,
    ),
    st.lists(st.floats(0.2, 1.0), min_size=5, max_size=5),
    st.lists(st.integers(1, 300), min_size=6, max_size=6),
    st.lists(st.integers(1, 400), min_size=6, max_size=6),
    st.floats(0.5, 1.0),
    st.integers(1, 40),
    st.floats(0.5, 1.0),
)


@settings(max_examples=500, deadline=None)
@given(
    policies, st.sampled_from(sorted({kind.label for kind in KINDS})), st.integers(1, 400), st.integers(0, 400 * DAY_MS)
)
def test_hold_is_exact(policy: LinkPolicy, kind: str, users: int, idle_ms: int) -> None:
    hold_ms = policy.hold_ms(kind, users)
    for at_ms in (0, hold_ms - 1, hold_ms, hold_ms + 1, idle_ms):
        if at_ms >= 0:
            assert (policy.strength(kind, users, at_ms) >= policy.theta) == (at_ms < hold_ms)
