"""The path between two accounts is the strongest within its limits; hubs are said, not walked."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudgraph.durations import DAY_MS
from fraudgraph.errors import UsageError
from fraudgraph.events.kinds import EntityKind
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.rings.path import LinkSearch, link_path

POLICY = LinkPolicy()
NOW = 1_772_668_800_000
Use = tuple[EntityKind, str]


@dataclass(frozen=True)
class Node:
    kind: EntityKind
    key: str
    mask: str
    users: int


class Reader:
    """A store's read side over links held in memory."""

    def __init__(self, links: dict[tuple[str, EntityKind, str], int], crowd: dict[str, int] | None = None) -> None:
        self.by_user: dict[str, list[tuple[Use, int]]] = defaultdict(list)
        self.by_use: dict[Use, list[tuple[str, int]]] = defaultdict(list)
        self.crowd = crowd or {}
        for (user, kind, key), last_ms in sorted(links.items()):
            self.by_user[user].append(((kind, key), last_ms))
            self.by_use[kind, key].append((user, last_ms))

    def node(self, use: Use) -> Node:
        return Node(use[0], use[1], f"mask of {use[1]}", self.crowd.get(use[1], len(self.by_use[use])))

    def find(self, kind: EntityKind, key: str | bytes) -> Node | None:
        assert kind is EntityKind.USER
        return Node(kind, str(key), "", 0) if key in self.by_user else None

    def users_of(self, entity: Node, limit: int) -> list[tuple[str, int, int, int]]:
        rows = [(u, ms - DAY_MS, ms, 2) for u, ms in self.by_use[entity.kind, entity.key]]
        return sorted(rows, key=lambda row: -row[2])[:limit]

    def identifiers_of(self, user_id: str) -> list[tuple[Node, int, int, int]]:
        return [(self.node(use), ms - DAY_MS, ms, 2) for use, ms in self.by_user[user_id]]


def search(reader: Reader, a: str, b: str, **limits: int) -> LinkSearch:
    return link_path(reader, POLICY, a, b, as_of_ms=NOW, **limits)


USERS = [f"u{i}" for i in range(7)]
KINDS = [EntityKind.DEVICE, EntityKind.CARD, EntityKind.ADDRESS, EntityKind.IP]
LINKS = st.dictionaries(
    st.tuples(
        st.sampled_from(USERS),
        st.sampled_from(KINDS),
        st.sampled_from(["k1", "k2", "k3"]),
    ),
    st.integers(0, 60).map(lambda days: NOW - days * DAY_MS),
    max_size=22,
)


@settings(max_examples=150, deadline=None)
@given(LINKS, st.integers(1, 3))
def test_no_path_is_stronger_than_the_one_found(links: dict[tuple[str, EntityKind, str], int], depth: int) -> None:
    reader = Reader({**links, ("u0", EntityKind.DEVICE, "own0"): NOW, ("u1", EntityKind.DEVICE, "own1"): NOW})
    graph = nx.Graph()
    graph.add_nodes_from(USERS)
    for use, users in reader.by_use.items():
        for user, ms in users:
            strength = POLICY.strength(use[0].label, len(users), NOW - ms)
            if strength > 0.0:
                graph.add_edge(user, use, strength=strength)
    best = 0.0
    for path in nx.all_simple_paths(graph, "u0", "u1", cutoff=2 * depth):
        best = max(best, math.prod(graph[a][b]["strength"] for a, b in nx.utils.pairwise(path)))
    found = search(reader, "u0", "u1", max_depth=depth).path
    if found is None:
        assert best == 0.0
        return
    assert math.isclose(found.strength, best, rel_tol=1e-9)
    assert len(found.steps) <= depth
    assert found.steps[0].near.user_id == "u0"
    assert found.steps[-1].far.user_id == "u1"
    for a, b in nx.utils.pairwise(found.steps):
        assert a.far.user_id == b.near.user_id
    assert found.steps[found.weakest].strength == min(s.strength for s in found.steps)


def test_a_strong_long_way_beats_a_weak_short_one_unless_the_depth_forbids_it() -> None:
    reader = Reader(
        {
            ("a", EntityKind.IP, "net"): NOW,
            ("b", EntityKind.IP, "net"): NOW,
            ("a", EntityKind.DEVICE, "d"): NOW,
            ("m", EntityKind.DEVICE, "d"): NOW,
            ("m", EntityKind.CARD, "c"): NOW,
            ("b", EntityKind.CARD, "c"): NOW,
        }
    )
    long = search(reader, "a", "b").path
    assert long is not None
    assert [s.kind for s in long.steps] == [EntityKind.DEVICE, EntityKind.CARD]
    short = search(reader, "a", "b", max_depth=1).path
    assert short is not None
    assert [s.kind for s in short.steps] == [EntityKind.IP]
    assert short.steps[0].near.count == 2
    assert short.steps[0].far.last_ms == NOW


def test_a_short_weak_way_is_kept_where_the_strong_one_leaves_no_step_to_go_on() -> None:
    pairs = [("a", "x", EntityKind.DEVICE), ("x", "m", EntityKind.CARD), ("a", "m", EntityKind.ADDRESS)]
    pairs.append(("m", "b", EntityKind.DEVICE))
    reader = Reader({(user, kind, f"{a}{b}"): NOW for a, b, kind in pairs for user in (a, b)})
    path = search(reader, "a", "b", max_depth=2).path
    assert path is not None
    assert [s.kind for s in path.steps] == [EntityKind.ADDRESS, EntityKind.DEVICE]


def test_weakest_step_is_the_one_with_the_lower_product() -> None:
    reader = Reader(
        {
            ("a", EntityKind.DEVICE, "d"): NOW,
            ("m", EntityKind.DEVICE, "d"): NOW,
            ("m", EntityKind.ADDRESS, "home"): NOW,
            ("b", EntityKind.ADDRESS, "home"): NOW,
        }
    )
    path = search(reader, "a", "b").path
    assert path is not None
    assert path.weakest == 1


@pytest.mark.parametrize(("users", "limits", "why"), [(5_000, {}, "hub"), (40, {"max_degree": 10}, "too-many-users")])
def test_what_is_shared_too_widely_is_not_followed_and_said(users: int, limits: dict[str, int], why: str) -> None:
    links = {("a", EntityKind.DEVICE, "kiosk"): NOW, ("b", EntityKind.DEVICE, "kiosk"): NOW}
    found = search(Reader(links, {"kiosk": users}), "a", "b", **limits)
    assert found.path is None
    assert [(n.mask, n.users, n.why) for n in found.not_followed] == [("mask of kiosk", users, why)]


def test_an_expired_link_is_not_followed_and_said() -> None:
    old = NOW - 400 * DAY_MS
    links = {("a", EntityKind.DEVICE, "d"): old, ("b", EntityKind.DEVICE, "d"): NOW}
    found = search(Reader(links), "a", "b")
    assert found.path is None
    assert [n.why for n in found.not_followed] == ["expired"]


def test_the_search_gives_up_and_says_so() -> None:
    links = {(f"u{i}", EntityKind.DEVICE, f"d{j}"): NOW for i in range(30) for j in (i, i + 1)}
    links["far", EntityKind.DEVICE, "elsewhere"] = NOW
    found = search(Reader(links), "u0", "far", max_users=5, max_depth=20)
    assert found.path is None
    assert found.gave_up


def test_unknown_and_equal_accounts_are_refused_without_naming_them() -> None:
    reader = Reader({("a", EntityKind.DEVICE, "d"): NOW})
    with pytest.raises(UsageError, match="second account is not in the store") as refused:
        search(reader, "a", "secret@example.org")
    assert "secret" not in str(refused.value)
    with pytest.raises(UsageError, match="same account"):
        search(reader, "a", "a")


def test_a_pair_tied_by_an_analyst_counts_as_such_and_says_so() -> None:
    reader = Reader(
        {(user, EntityKind.DEVICE, f"d {user}"): NOW for user in "abc"} | {("c", EntityKind.CARD, "c"): NOW}
    )
    assert search(reader, "a", "b").path is None
    together = {("a", "c"): "C000002", ("b", "c"): "C000005"}
    path = link_path(reader, POLICY, "a", "b", as_of_ms=NOW, together=together).path
    assert path is not None
    assert [step.constraint for step in path.steps] == ["C000002", "C000005"]
    assert [(step.near.user_id, step.far.user_id) for step in path.steps] == [("a", "c"), ("c", "b")]
    assert path.strength == 1.0
