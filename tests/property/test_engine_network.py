"""The core's laws with a network in the engine: exact against PyG, the same for any cut, never stale, there again."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
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

from fraudgraph.engine import Engine
from fraudgraph.events.kinds import EntityKind, EventType
from fraudgraph.scoring.gnn.feed import network_graph
from fraudgraph.testing.bundles import random_bundle
from fraudgraph.testing.canonical import graph_view, rings_view
from fraudgraph.testing.fakes import FakeScorer
from fraudgraph.testing.memory_store import MemoryStore
from training.gnn.graph import hetero_data, rows_of
from training.gnn.network import TypedSage

BUNDLE = random_bundle(SMALL_POLICY, 3)
TOLERANCE = 1e-4
events = st.lists(st.integers(0, EVENT_NUMBERS - 1), min_size=15, max_size=80).map(events_of).filter(is_settled)
salts = st.integers(0, 2**32 - 1)
slow = (HealthCheck.too_slow,)


def start(max_users: int = SMALL_RULES.max_users, pull_degree: int = 512) -> Engine:
    rules = replace(SMALL_RULES, max_users=max_users, pull_degree=pull_degree)
    return Engine(SMALL_POLICY, rules, FakeScorer(), bundle=BUNDLE)


def journal(happenings: list[Happening], salt: int) -> Source:
    delays = np.random.default_rng(salt).integers(0, LATENESS_MS, len(happenings)).tolist()
    return Source(list(arrivals_of(happenings, delays, 1 + salt % 3)))


def cuts(salt: int, count: int) -> list[int]:
    rng = np.random.default_rng(salt)
    return sorted({0, count, *np.flatnonzero(rng.random(count) < rng.random()).tolist()})


def logits(engine: Engine) -> dict[str, float]:
    live, table = engine.serving.live, engine.graph.user_table
    assert live is not None
    users = np.array(sorted(table.id_of.values()), np.int32)
    values = live.log_odds(engine.graph, users, engine.graph.users.last_ms[users])
    return {table.key_of[user] or "": value for user, value in zip(users.tolist(), values.tolist(), strict=True)}


def assert_pyg(engine: Engine) -> None:
    """Every account's embedding is PyG's forward, in float64, on the graph built anew."""
    live = engine.serving.live
    assert live is not None
    weights = live.bundle.weights
    whole = network_graph(engine.graph)
    data = hetero_data(weights.schema, whole.kind, whole.bands, *whole.messages(weights.schema.half_life_ms))
    with torch.no_grad():
        expected = TypedSage(weights.schema).load(weights).double()(data)[-1]["user"].numpy()
    users = np.flatnonzero(whole.kind == 0).astype(np.int32)
    rows = rows_of(whole.kind, len(weights.schema.kinds))[users]
    np.testing.assert_allclose(live.network.embeddings(users), expected[rows], rtol=0, atol=TOLERANCE)


def assert_fresh(engine: Engine) -> None:
    """Every living ring's row says what scoring it now would say."""
    for serial, team in engine.register.members.items():
        judgement = engine.records.judge(team, np.array([0, len(team)])).judgement
        row = engine.rows[serial]
        assert row.probability == pytest.approx(float(judgement.scores.probability[0]), abs=TOLERANCE)
        assert row.scorer == "network-1/random-1"


@settings(max_examples=60, deadline=None, suppress_health_check=slow)
@given(events, salts, salts, st.sampled_from((0, 2, 512)))
def test_scores_are_pygs_and_no_ring_rests_on_a_stale_one(
    happenings: list[Happening], salt: int, how: int, pull_degree: int
) -> None:
    source = journal(happenings, salt)
    engine = start(pull_degree=pull_degree)
    for begin, end in pairwise(cuts(how, len(source.arrivals))):
        engine.apply(source.batch(begin, end))
        assert_fresh(engine)
    assert_pyg(engine)


@settings(max_examples=60, deadline=None, suppress_health_check=slow)
@given(events, salts, salts)
def test_any_cut_gives_the_same_scores(happenings: list[Happening], salt: int, how: int) -> None:
    source = journal(happenings, salt)
    count = len(source.arrivals)
    whole, parts = start(1000), start(1000)
    whole.apply(source.batch(0, count))
    for begin, end in pairwise(cuts(how, count)):
        parts.apply(source.batch(begin, end))
    assert logits(parts) == pytest.approx(logits(whole), abs=TOLERANCE)
    scores = [
        {team: engine.rows[serial].probability for serial, team in rings_view(engine).items()}
        for engine in (whole, parts)
    ]
    assert scores[1] == pytest.approx(scores[0], abs=TOLERANCE)


@settings(max_examples=40, deadline=None, suppress_health_check=slow)
@given(events, salts, salts)
def test_a_restart_goes_on_with_the_same_scores(happenings: list[Happening], salt: int, how: int) -> None:
    source = journal(happenings, salt)
    rng = np.random.default_rng(how)
    store = MemoryStore(SMALL_POLICY, SMALL_RULES.priority)
    store.claim()
    never, often = start(), start()
    for begin, end in pairwise(cuts(how, len(source.arrivals))):
        batch = source.batch(begin, end)
        told, again = never.apply(batch), often.apply(batch)
        assert [alert.ring_id for alert in again.delta.alerts] == [alert.ring_id for alert in told.delta.alerts]
        store.commit(again.delta)
        if rng.random() < 0.5 and not source.holds(end, told.delta.positions):
            often = start()
            often.restore(store.load())
    assert graph_view(often) == graph_view(never)
    assert logits(often) == pytest.approx(logits(never), abs=TOLERANCE)
    assert often.rows.keys() == never.rows.keys()
    for serial, row in never.rows.items():
        assert often.rows[serial].probability == pytest.approx(row.probability, abs=TOLERANCE)


def test_a_ring_follows_an_account_that_pays_very_many() -> None:
    """What that account sends is pulled, so the members' scores move without anybody telling."""
    engine = start(pull_degree=6)
    device = ((EntityKind.DEVICE, "shared"),)
    members = [Happening(f"r{i}", START_MS, f"r{i}", EventType.LOGIN, device) for i in range(3)]
    paid = [
        Happening(f"t{i}", START_MS, "payer", EventType.TRANSFER, other=to, amount_minor=100, currency=978)
        for i, to in enumerate(("r0", *(f"s{i}" for i in range(12))))
    ]
    spends = [
        Happening(f"o{i}", START_MS + i, "payer", EventType.ORDER, ((EntityKind.CARD, f"{i}"),), None, 90_000, 978)
        for i in range(4)
    ]
    source = Source([("p0", event) for event in (*members, *paid, *spends)])
    first = len(members) + len(paid)
    engine.apply(source.batch(0, first))
    (serial,) = engine.rows
    before = engine.rows[serial].probability
    engine.apply(source.batch(first, first + len(spends)))
    assert engine.serving.live is not None
    assert engine.serving.live.feed.busy
    assert abs(engine.rows[serial].probability - before) > TOLERANCE
    assert_fresh(engine)
    assert_pyg(engine)
