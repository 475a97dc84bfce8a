"""What a commit leaves to be written later is lost by no crash, and never stands over something newer."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fraudgraph.events.kinds import EntityKind
from fraudgraph.stores.neo4j.behind import Behind, Limits, as_columns, matrix, unpack
from fraudgraph.stores.port import LINK_COLUMNS, USER_COLUMNS, CommitDelta

USERS = 6
SLOTS = 12


class Graph:
    """The database: rows, and what waits beside them."""

    def __init__(self) -> None:
        self.links: dict[int, list[int]] = {}
        self.users: dict[int, list[int]] = {}
        self.packed: dict[int, bytes] = {}

    def columns(self):  # type: ignore[no-untyped-def]  # two tables
        tables = ((self.links, LINK_COLUMNS), (self.users, USER_COLUMNS))
        return [
            {name: np.array([rows[key][place] for key in sorted(rows)], np.int64) for place, name in enumerate(names)}
            for rows, names in tables
        ]

    def apply(self, delta: CommitDelta, links, users) -> None:  # type: ignore[no-untyped-def]  # columns
        for slot in delta.links_deleted:
            self.links.pop(slot, None)
        for _, user in delta.entities_deleted:
            self.users.pop(user, None)
        for row in matrix(links, LINK_COLUMNS).tolist():
            self.links[row[0]] = row
        for row in matrix(users, USER_COLUMNS).tolist():
            self.users[row[0]] = row


def _drawn(chance: random.Random) -> dict[str, set[int]]:
    """Draws what a commit changes: sometimes nearly all, sometimes one thing."""
    much = chance.random() < 0.5

    def some(of: int, share: float) -> set[int]:
        return {number for number in range(of) if chance.random() < share}

    return {
        "links": some(SLOTS, 0.6 if much else 0.1),
        "users": some(USERS, 0.6 if much else 0.1),
        "links_deleted": some(SLOTS, 0.05),
        "users_deleted": some(USERS, 0.03),
        "joined": some(USERS, 0.02),
    }


def _delta(commit: int, drawn: dict[str, set[int]]) -> CommitDelta:
    links = [[slot, slot % USERS, 1, slot, *(commit * 100 + place for place in range(7))] for slot in drawn["links"]]
    users = [[user, *(commit * 100 + place for place in range(14))] for user in drawn["users"]]
    return CommitDelta(
        commit=commit,
        watermark_ms=commit,
        links=as_columns(np.array(links, np.int64).reshape(-1, len(LINK_COLUMNS)), LINK_COLUMNS),
        users=as_columns(np.array(users, np.int64).reshape(-1, len(USER_COLUMNS)), USER_COLUMNS),
        links_deleted=sorted(drawn["links_deleted"]),
        entities_deleted=[(EntityKind.USER, user) for user in drawn["users_deleted"]],
        members={"R-1": [(user, 0.5) for user in drawn["joined"]]} if drawn["joined"] else {},
    )


@given(st.integers(0, 1 << 32), st.integers(0, 4), st.integers(8, 60), st.integers(1, 6))
def test_what_waits_over_what_is_written_is_what_a_store_that_writes_all_holds(
    seed: int, straight: int, rows: int, commits: int
) -> None:
    chance, graph, truth = random.Random(seed), Graph(), Graph()
    limits = Limits(straight_rows=straight, rows=rows, commits=commits)
    behind = Behind(limits=limits)
    for commit in range(1, 25):
        if chance.random() < 0.1:  # a crash
            behind = Behind([unpack(*item) for item in sorted(graph.packed.items())], behind.members, limits)
        each = _drawn(chance)
        delta = _delta(commit, each)
        behind.plan(delta)  # a try that failed leaves nothing
        plan = behind.plan(delta)
        graph.apply(delta, plan.links, plan.users)
        truth.apply(delta, delta.links, delta.users)
        graph.packed = {at: body for at, body in graph.packed.items() if at > plan.drops}
        if plan.keeps is not None:
            graph.packed[commit] = plan.keeps.pack()
        behind.done(plan)
        if chance.random() < 0.05 and behind.waiting:
            rest = behind.settle(rows)
            graph.apply(CommitDelta(commit=0, watermark_ms=0), rest.links, rest.users)
            graph.packed = {at: body for at, body in graph.packed.items() if at > rest.drops}
            behind.done(rest)
        assert len(graph.packed) == len(behind.waiting) <= commits
        found = graph.columns()
        Behind([unpack(*item) for item in sorted(graph.packed.items())]).overlay(*found)
        for ours, theirs in zip(found, truth.columns(), strict=True):
            for name in theirs:
                np.testing.assert_array_equal(ours[name], theirs[name])
        for user in behind.members.tolist():  # a ring's evidence is read from what is written
            assert graph.users.get(user) == truth.users.get(user)
        for slot, row in truth.links.items():
            assert row[1] not in behind.members or graph.links[slot] == row


def test_packing_keeps_every_number() -> None:
    delta = _delta(3, {"links": {1, 5}, "users": {2}, "links_deleted": set(), "users_deleted": set(), "joined": set()})
    behind = Behind(limits=Limits(straight_rows=0))
    behind.done(behind.plan(delta))
    kept = behind.plan(delta).keeps
    assert kept is not None
    again = unpack(3, kept.pack())
    np.testing.assert_array_equal(again.links, matrix(delta.links, LINK_COLUMNS))
    np.testing.assert_array_equal(again.users, matrix(delta.users, USER_COLUMNS))
