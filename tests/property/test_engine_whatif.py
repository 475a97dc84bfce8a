"""What an event would do is what it does to a whole copy of the engine, and the engine asked stays as it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.journal import (
    EVENT_NUMBERS,
    LATENESS_MS,
    SMALL_POLICY,
    SMALL_RULES,
    Happening,
    Source,
    arrivals_of,
    decoded,
    events_of,
    is_settled,
)

from fraudgraph.engine import Engine
from fraudgraph.errors import UsageError
from fraudgraph.graph.hot import GraphLimits, HotGraph
from fraudgraph.scoring.live_model import live_model
from fraudgraph.scoring.reasons import explain_user
from fraudgraph.testing.bundles import random_bundle, random_trees_bundle
from fraudgraph.testing.canonical import graph_view, rings_view
from fraudgraph.testing.fakes import FakeScorer
from fraudgraph.whatif import what_if

BUNDLES = {"network": random_bundle(SMALL_POLICY, 5), "trees": random_trees_bundle(SMALL_POLICY, 5)}
_NOBODY = explain_user(
    live_model(BUNDLES["trees"], HotGraph(SMALL_POLICY, GraphLimits())),
    HotGraph(SMALL_POLICY, GraphLimits()),
    0,
    0,
)
_BASE = sum(part.log_odds for part in _NOBODY.parts) - _NOBODY.log_odds
"""What the parts by trees leave out is the same for everybody: the average account."""
events = st.lists(st.integers(0, EVENT_NUMBERS - 1), min_size=20, max_size=80).map(events_of).filter(is_settled)
salts = st.integers(0, 2**32 - 1)


def start(kind: str = "network") -> Engine:
    return Engine(SMALL_POLICY, SMALL_RULES, FakeScorer(), bundle=BUNDLES[kind])


def after(happenings: list[Happening], salt: int, kind: str) -> Engine:
    delays = np.random.default_rng(salt).integers(0, LATENESS_MS, len(happenings)).tolist()
    source = Source(list(arrivals_of(happenings, delays, 1)))
    engine = start(kind)
    engine.apply(source.batch(0, len(source.arrivals)))
    return engine


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(events, salts, st.sampled_from(tuple(BUNDLES)))
@example(
    events_of([*[0] * 12, 84, 482, 1016, 181440, 237463, 45919012, 201977535, 3_678_168_532]), 0, "network"
)  # a hub of others
def test_what_an_event_would_do_is_what_it_does(happenings: list[Happening], salt: int, kind: str) -> None:
    *before, last = happenings
    event = replace(last, id="asked", user=last.user or "u3", label=None)
    if last.label is not None:
        event = replace(event, type=happenings[0].type, other=None)
    engine = after(before, salt, kind)
    view, rows = graph_view(engine), dict(engine.rows)
    batch = decoded([("asked", event, 0)], names=["asked"])
    told = what_if(engine, batch)
    assert graph_view(engine) == view
    assert engine.rows == rows
    real = start(kind)
    real.restore(engine.export())
    real.apply(batch, backfill=True)
    live, user = real.serving.live, real.graph.user_table.id_of[event.user]
    assert live is not None
    as_of_ms = max(event.ts_ms, int(real.graph.users.last_ms[user]))
    log_odds = float(live.log_odds(real.graph, np.array([user], np.int32), as_of_ms)[0])
    assert told.after == pytest.approx(1.0 / (1.0 + np.exp(-log_odds)), abs=1e-4)
    assert told.explanation is not None
    if kind == "trees":
        added = sum(part.log_odds for part in told.explanation.parts)
        assert added - told.explanation.log_odds == pytest.approx(_BASE, abs=1e-3)
    assert told.known == (event.user in engine.graph.user_table.id_of)
    serial = int(real.graph.users.ring[user])
    assert told.joins == (serial >= 0)
    if serial >= 0:
        assert told.ring_after is not None
        row = real.rows[serial]
        assert told.ring_after.probability == pytest.approx(row.probability, abs=1e-4)
        assert (told.ring_after.users, told.ring_after.identifiers) == (row.users, row.identifiers)
        assert told.ring_after.value_at_risk_minor == row.value_at_risk_minor
        assert len(rings_view(real)[serial]) == told.ring_after.users


def test_anything_but_one_event_of_an_account_is_refused() -> None:
    engine = start()
    with pytest.raises(UsageError):
        what_if(engine, decoded([], names=["asked"]))
