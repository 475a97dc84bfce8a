"""Occlusion through the incremental engine is a full recompute, by PyG, of the graph without that part."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.journal import EVENT_NUMBERS, SMALL_POLICY, SMALL_RULES, Source, arrivals_of, events_of

from fraudgraph.events.kinds import EntityKind
from fraudgraph.graph.hot import HotGraph
from fraudgraph.graph.interning import key_halves, look_up_keys
from fraudgraph.graph.links import find_slot, remove_link
from fraudgraph.scoring.gnn.features import head_features
from fraudgraph.scoring.gnn.feed import network_graph
from fraudgraph.scoring.gnn.live import LiveNetwork
from fraudgraph.scoring.reasons import Part, explain_user
from fraudgraph.testing.bundles import random_bundle
from training.gnn.graph import hetero_data, rows_of
from training.gnn.network import TypedSage

BUNDLE = random_bundle(SMALL_POLICY, 11)
MODULE = TypedSage(BUNDLE.weights.schema).load(BUNDLE.weights).double()
TOLERANCE = 2e-4


def log_odds(graph: HotGraph, user: int, as_of_ms: int) -> float:
    """Returns a user's log-odds by a full forward in float64."""
    schema = BUNDLE.weights.schema
    whole = network_graph(graph)
    data = hetero_data(schema, whole.kind, whole.bands, *whole.messages(schema.half_life_ms))
    head = torch.from_numpy(head_features(graph, np.array([user], np.int32), as_of_ms)).double()
    with torch.no_grad():
        row = int(rows_of(whole.kind, len(schema.kinds))[2 * user])
        logit = MODULE.logits(MODULE(data)[-1]["user"][row : row + 1], head).numpy()
    return float(BUNDLE.manifest.calibration.apply(logit)[0])


def without(graph: HotGraph, user: int, part: Part) -> HotGraph:
    """Returns a copy of the graph in which a user never used an identifier."""
    other = copy.deepcopy(graph)
    assert isinstance(part.other, bytes)
    ident = int(look_up_keys(graph.keys, key_halves([part.other]))[0])
    remove_link(other.links, other.users.links, other.idents.links, int(find_slot(other.links, user, ident)))
    other.idents.degree[ident] -= 1
    return other


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(0, EVENT_NUMBERS - 1), min_size=30, max_size=80), st.integers(0, 2**32 - 1))
def test_what_a_link_does_is_what_a_full_recompute_without_it_says(drawn: list[int], salt: int) -> None:
    events = events_of(drawn)
    source = Source(list(arrivals_of(events, [0] * len(events), 1)))
    graph = HotGraph(SMALL_POLICY, SMALL_RULES.limits)
    now_ms = max(event.ts_ms for event in events)
    graph.apply(source.batch(0, len(source.arrivals)), None, now_ms)
    live = LiveNetwork(BUNDLE, graph)
    users = np.flatnonzero(graph.users.last_ms >= 0).tolist()
    for user in (users[salt % len(users)], users[salt // 7 % len(users)]):
        told = explain_user(live, graph, user, now_ms)
        whole = log_odds(graph, user, now_ms)
        assert told.log_odds == pytest.approx(whole, abs=TOLERANCE)
        for part in told.parts:
            if part.kind is not EntityKind.USER:
                rest = log_odds(without(graph, user, part), user, now_ms)
                assert part.log_odds == pytest.approx(whole - rest, abs=TOLERANCE)
        again = explain_user(live, graph, user, now_ms)
        assert again.log_odds == pytest.approx(told.log_odds, abs=1e-5)
