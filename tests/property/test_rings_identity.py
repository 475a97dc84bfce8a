"""Ring ids over time: never used again, kept by the largest share, and a log that tells the whole story."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support.journal import (
    EVENT_NUMBERS,
    LATENESS_MS,
    SMALL_POLICY,
    SMALL_RULES,
    Happening,
    Source,
    arrivals_of,
    events_of,
)

from fraudgraph.engine import Engine
from fraudgraph.rings.components import Components
from fraudgraph.rings.identity import RingMoves, RingRegister, Step, ring_name, ring_serial
from fraudgraph.testing.canonical import graph_view, rings_view
from fraudgraph.testing.fakes import FakeScorer
from fraudgraph.testing.memory_store import MemoryStore

USERS = 12
MIN_USERS = 2
# Each step says for every user in which component they are now.
steps = st.lists(st.lists(st.integers(0, 4), min_size=USERS, max_size=USERS), min_size=1, max_size=12)


def components_of(groups: Sequence[int], before: Sequence[int], user_ring: np.ndarray, sizes: np.ndarray) -> Components:
    """Returns the components that changed, as the finder would: those large enough, and those with users of a ring."""
    teams = []
    for group in sorted(set(groups)):
        team = [user for user in range(USERS) if groups[user] == group]
        was = {tuple(u for u in range(USERS) if before[u] == before[user]) for user in team}
        known = any(user_ring[user] >= 0 for user in team)
        if was != {tuple(team)} and (len(team) >= MIN_USERS or known):
            teams.append(team)
    same = []
    for team in teams:
        rings = {int(user_ring[user]) for user in team}
        ring = rings.pop() if len(rings) == 1 else -1
        same.append(ring if ring >= 0 and sizes[ring] == len(team) else -1)
    starts = np.zeros(len(teams) + 1, np.int64)
    np.cumsum([len(team) for team in teams], out=starts[1:])
    return Components(np.array([user for team in teams for user in team], np.int32), starts, np.array(same, np.int32))


class Log:
    """What a reader of the steps alone knows."""

    def __init__(self) -> None:
        self.sizes: dict[int, int] = {}
        self.went: dict[int, int | None] = {}

    def read(self, step: Step) -> None:
        if step.what in ("born", "split"):
            assert step.serial not in self.sizes and step.serial not in self.went
            assert (step.what == "split") == (step.other is not None)
            self.sizes[step.serial] = step.users_after
            return
        assert self.sizes[step.serial] == step.users_before
        if step.what in ("grew", "shrank"):
            assert (step.users_after > step.users_before) == (step.what == "grew")
            self.sizes[step.serial] = step.users_after
        elif step.what in ("dormant", "revived"):
            assert step.users_after == step.users_before
        else:
            assert step.what in ("merged", "closed")
            assert (step.what == "merged") == (step.other is not None)
            del self.sizes[step.serial]
            self.went[step.serial] = step.other

    def resolve(self, serial: int) -> int | None:
        at: int | None = serial
        while at is not None and at not in self.sizes:
            at = self.went[at]
        return at


def check_survivors(before: dict[int, set[int]], after: dict[int, set[int]], moves: RingMoves) -> None:
    """A ring lives on in a team only if no ring has a larger claim there; a team is new only if no claim was free."""
    for serial in before.keys() & after.keys():
        kept = len(before[serial] & after[serial])
        assert kept > 0
        for other, members in before.items():
            if other != serial and len(members & after[serial]) > kept:
                # The larger claim was better used elsewhere.
                assert other in after and len(before[other] & after[other]) >= len(members & after[serial])
        for team in after.values():
            if len(before[serial] & team) > kept:
                owner = next(ring for ring, members in after.items() if members == team)
                assert owner in before and len(before[owner] & team) >= len(before[serial] & team)
    for serial in before.keys() - after.keys():
        goes_to = moves.ended[serial]
        overlaps = {ring: len(before[serial] & members) for ring, members in after.items()}
        if goes_to is None:
            assert not any(overlaps.values())
        else:
            assert overlaps[goes_to] == max(overlaps.values()) > 0


@settings(max_examples=1000, deadline=None)
@given(steps)
def test_steps_tell_the_whole_story(states: list[list[int]]) -> None:
    register, log = RingRegister(MIN_USERS), Log()
    user_ring = np.full(USERS, -1, np.int32)
    groups = list(range(100, 100 + USERS))
    serials: set[int] = set()
    for state in states:
        before = {serial: set(team.tolist()) for serial, team in register.members.items()}
        components = components_of(state, groups, user_ring, register.sizes)
        moves = register.update(components, user_ring, USERS, lambda team: [team], lambda user: f"u{user:02d}")
        groups = state
        after = {serial: set(team.tolist()) for serial, team in register.members.items()}
        teams = [{user for user in range(USERS) if state[user] == group} for group in set(state)]
        assert sorted(map(sorted, after.values())) == sorted(sorted(team) for team in teams if len(team) >= MIN_USERS)
        born = after.keys() - before.keys()
        assert not born & serials
        serials |= born
        for step in moves.steps:
            log.read(step)
        assert log.sizes == {serial: len(team) for serial, team in after.items()}
        for serial in serials:
            lives = log.resolve(serial)
            assert lives is None or lives in after
        check_survivors(before, after, moves)
        for serial, team in after.items():
            assert {user for user in range(USERS) if user_ring[user] == serial} == team
            assert register.sizes[serial] == len(team)
        assert np.count_nonzero(user_ring >= 0) == sum(map(len, after.values()))
        assert {serial: set(team.tolist()) for serial, team in moves.alive.items()}.items() <= after.items()
        assert moves.reshaped >= {serial for serial in after if before.get(serial) != after[serial]}


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, EVENT_NUMBERS - 1), min_size=20, max_size=80).map(events_of), st.integers(0, 2**32 - 1))
def test_the_stored_log_reproduces_the_living_rings(happenings: list[Happening], salt: int) -> None:
    """Over whole engines, with rings cut out of large components; and what is stored of members is what is so."""
    rng = np.random.default_rng(salt)
    source = Source(list(arrivals_of(happenings, rng.integers(0, LATENESS_MS, len(happenings)).tolist(), 1)))
    engine, store = Engine(SMALL_POLICY, SMALL_RULES, FakeScorer()), MemoryStore(SMALL_POLICY, SMALL_RULES.priority)
    store.claim()
    log, at = Log(), 0
    while at < len(source.arrivals):
        taken = int(rng.integers(1, 9))
        outcome = engine.apply(source.batch(at, min(at + taken, len(source.arrivals))))
        at += taken
        store.commit(outcome.delta)
        for row in outcome.delta.lineage:
            other = None if row.other_ring_id is None else ring_serial(row.other_ring_id)
            log.read(Step(ring_serial(row.ring_id), row.what, row.users_before, row.users_after, other))
        living = rings_view(engine)
        assert log.sizes == {serial: len(team) for serial, team in living.items()}
        components = graph_view(engine).components
        for serial, team in living.items():
            snapshot = store.snapshot(ring_name(serial))
            assert snapshot is not None
            assert {user.user_id for user in snapshot.users} == team
            assert any(team <= component for component in components)
            assert store.resolve_ring(ring_name(serial)) == ring_name(serial)
        for serial, goes_to in log.went.items():
            lives = log.resolve(serial)
            resolved = store.resolve_ring(ring_name(serial))
            assert resolved is not None
            assert goes_to is None or lives is None or resolved == ring_name(lives)
    assert engine.register.next_serial == 1 + len(log.sizes) + len(log.went)
