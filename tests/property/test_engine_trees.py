"""The core's laws with trees in the engine: never stale, the same for any cut, and a restart goes on."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.journal import (
    EVENT_NUMBERS,
    LATENESS_MS,
    SMALL_POLICY,
    SMALL_RULES,
    START_MS,
    Happening,
    Source,
    arrivals_of,
    events_of,
    is_settled,
)

from fraudgraph.durations import DAY_MS
from fraudgraph.engine import Engine
from fraudgraph.events.kinds import EntityKind, EventType
from fraudgraph.graph.hot import GraphLimits, HotGraph
from fraudgraph.graph.types import F64
from fraudgraph.scoring.bundle import Bundle
from fraudgraph.scoring.trees_columns import ColumnReader, FeatureSet
from fraudgraph.scoring.trees_live import LiveTrees
from fraudgraph.testing.bundles import random_bundle, random_trees_bundle
from fraudgraph.testing.canonical import graph_view, rings_view
from fraudgraph.testing.fakes import FakeScorer
from fraudgraph.testing.memory_store import MemoryStore

SETS: tuple[FeatureSet, ...] = ("a", "b", "c")
BUNDLES: dict[str, Bundle] = {
    features: random_trees_bundle(SMALL_POLICY, 3, features=features) for features in (*SETS, "d")
}
events = st.lists(st.integers(0, EVENT_NUMBERS - 1), min_size=15, max_size=80).map(events_of).filter(is_settled)
salts = st.integers(0, 2**32 - 1)
slow = (HealthCheck.too_slow,)


def start(features: str = "c", max_users: int = SMALL_RULES.max_users) -> Engine:
    return Engine(SMALL_POLICY, replace(SMALL_RULES, max_users=max_users), FakeScorer(), bundle=BUNDLES[features])


def journal(happenings: list[Happening], salt: int) -> Source:
    delays = np.random.default_rng(salt).integers(0, LATENESS_MS, len(happenings)).tolist()
    return Source(list(arrivals_of(happenings, delays, 1 + salt % 3)))


def cuts(salt: int, count: int) -> list[int]:
    rng = np.random.default_rng(salt)
    return sorted({0, count, *np.flatnonzero(rng.random(count) < rng.random()).tolist()})


def columns(engine: Engine) -> dict[str, F64]:
    table = engine.graph.user_table
    users = np.array(sorted(table.id_of.values()), np.int32)
    rows = ColumnReader()(engine.graph, users, engine.graph.users.last_ms[users])
    return {table.key_of[user] or "": row for user, row in zip(users.tolist(), rows, strict=True)}


def assert_fresh(engine: Engine) -> None:
    """Every living ring's row says what scoring it now would say."""
    for serial, team in engine.register.members.items():
        judgement = engine.records.judge(team, np.array([0, len(team)])).judgement
        assert engine.rows[serial].probability == pytest.approx(float(judgement.scores.probability[0]), abs=1e-9)
        assert engine.rows[serial].scorer == "trees-1/trees-1"


@settings(max_examples=40, deadline=None, suppress_health_check=slow)
@given(events, salts, salts, st.sampled_from(SETS))
def test_no_ring_rests_on_a_stale_score(happenings: list[Happening], salt: int, how: int, features: str) -> None:
    source = journal(happenings, salt)
    engine = start(features)
    for begin, end in pairwise(cuts(how, len(source.arrivals))):
        engine.apply(source.batch(begin, end))
        assert_fresh(engine)


@settings(max_examples=40, deadline=None, suppress_health_check=slow)
@given(events, salts, salts)
def test_whose_columns_moved_is_said(happenings: list[Happening], salt: int, how: int) -> None:
    """Everybody counts as a member of a ring: whose columns differ after a change must be among those that it named."""
    source = journal(happenings, salt)
    graph, read = HotGraph(SMALL_POLICY, GraphLimits()), ColumnReader()
    live = LiveTrees(BUNDLES["c"], graph)
    as_of_ms = max(happening.ts_ms for happening in happenings) + DAY_MS
    for begin, end in pairwise(cuts(how, len(source.arrivals))):
        there = np.flatnonzero(graph.users.last_ms >= 0).astype(np.int32)
        before = read(graph, there, as_of_ms)
        batch = source.batch(begin, end)
        change = graph.apply(batch, None, int(batch.ts_ms.min(initial=as_of_ms)) - LATENESS_MS)
        graph.users.ring[:] = 0
        moved = live.update(graph, change)
        differ = there[(read(graph, there, as_of_ms) != before).any(axis=1) & (graph.users.last_ms[there] >= 0)]
        assert set(differ.tolist()) <= set(moved.tolist())


@settings(max_examples=40, deadline=None, suppress_health_check=slow)
@given(events, salts, salts)
def test_any_cut_gives_the_same_columns_and_scores(happenings: list[Happening], salt: int, how: int) -> None:
    source = journal(happenings, salt)
    count = len(source.arrivals)
    whole, parts = start(max_users=1000), start(max_users=1000)
    whole.apply(source.batch(0, count))
    for begin, end in pairwise(cuts(how, count)):
        parts.apply(source.batch(begin, end))
    one, other = columns(whole), columns(parts)
    assert one.keys() == other.keys()
    for name, row in one.items():
        assert other[name].tobytes() == row.tobytes(), name
    scores = [
        {team: engine.rows[serial].probability for serial, team in rings_view(engine).items()}
        for engine in (whole, parts)
    ]
    assert scores[1] == scores[0]


@settings(max_examples=20, deadline=None, suppress_health_check=slow)
@given(events, salts, salts, st.sampled_from((*SETS, "d")))
def test_a_restart_goes_on_with_the_same_scores(
    happenings: list[Happening], salt: int, how: int, features: str
) -> None:
    source = journal(happenings, salt)
    rng = np.random.default_rng(how)
    store = MemoryStore(SMALL_POLICY, SMALL_RULES.priority)
    store.claim()
    never, often = start(features), start(features)
    for begin, end in pairwise(cuts(how, len(source.arrivals))):
        batch = source.batch(begin, end)
        told, again = never.apply(batch), often.apply(batch)
        store.commit(again.delta)
        if rng.random() < 0.5 and not source.holds(end, told.delta.positions):
            often = start(features)
            often.restore(store.load())
    assert graph_view(often) == graph_view(never)
    assert often.rows.keys() == never.rows.keys()
    for serial, row in never.rows.items():
        assert often.rows[serial].probability == pytest.approx(row.probability, abs=1e-4)


def test_what_happens_two_steps_away_concerns_an_account_and_three_do_not() -> None:
    device, card, phone = ((kind, "shared") for kind in (EntityKind.DEVICE, EntityKind.CARD, EntityKind.PHONE))
    chain = {"u": (device,), "v": (device, card), "w": (card, phone), "x": (phone,)}
    tied = [Happening(name, START_MS, name, EventType.LOGIN, links) for name, links in chain.items()]
    again = Happening("again", START_MS + 3 * DAY_MS, "u", EventType.LOGIN)
    source = Source([("p0", event) for event in (*tied, again)])
    graph, read = HotGraph(SMALL_POLICY, GraphLimits()), ColumnReader()
    live = LiveTrees(BUNDLES["c"], graph)
    live.update(graph, graph.apply(source.batch(0, 4), None, START_MS))
    graph.users.ring[:] = 0
    users = np.array([graph.user_table.id_of[name] for name in chain], np.int32)
    before = read(graph, users, again.ts_ms)
    moved = live.update(graph, graph.apply(source.batch(4, 5), None, START_MS))
    assert (read(graph, users, again.ts_ms) != before).any(axis=1).tolist() == [True, True, True, False]
    assert sorted(moved.tolist()) == sorted(users[:3].tolist())


@pytest.mark.parametrize("shadow", ["a", "d"])
def test_trees_look_on_beside_a_network_and_change_nothing(shadow: str) -> None:
    happenings = events_of(list(range(0, 900_000, 15_013)))
    source = journal(happenings, 7)
    network = random_bundle(SMALL_POLICY, 3)
    alone = Engine(SMALL_POLICY, SMALL_RULES, FakeScorer(), bundle=network)
    watched = Engine(SMALL_POLICY, SMALL_RULES, FakeScorer(), bundle=network, shadow=BUNDLES[shadow])
    for begin, end in pairwise(cuts(5, len(source.arrivals))):
        alone.apply(source.batch(begin, end))
        watched.apply(source.batch(begin, end))
    assert {serial: row.probability for serial, row in watched.rows.items()} == {
        serial: row.probability for serial, row in alone.rows.items()
    }
    assert watched.serving.shadow_figures.rings > 0
    assert watched.serving.shadow_figures.max_difference > 0
