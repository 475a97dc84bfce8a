"""Worlds to train on: varied, the same for the same seed, reported late; truth only where it is asked for."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from fraudgraph.durations import DAY_MS
from fraudgraph.engine import Engine, EngineRules
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.scoring.structural import StructuralScorer
from fraudgraph.simulate.spec import WorldSpec
from fraudgraph.simulate.world import World, simulate
from training.gnn.dataset import replay_slices
from training.gnn.worlds import REPORTS, draw, draw_shop, labels_of, payments, tell_truth
from training.labels import UNKNOWN
from training.replay import passing_decoder, raw_batches
from training.ring_truth import truth_of
from training.splits import Cut
from training.worlds import events_of

SPEC = WorldSpec(seed=95_002, users=300, days=40, ring_share=0.2, label_wrong=0.3)


@pytest.fixture(scope="module")
def world() -> World:
    return simulate(SPEC)


def test_no_two_worlds_are_alike_and_a_seed_is_one_world() -> None:
    drawn = [draw(seed, 5_000) for seed in range(90_000, 90_012)]
    assert [draw(seed, 5_000) for seed in range(90_000, 90_012)] == drawn
    assert len({(each.spec.users, each.spec.days, each.spec.ring_share) for each in drawn}) == 12
    assert {each.reports for each in drawn} == set(REPORTS)
    assert any(len(each.spec.typologies) < 5 for each in drawn)
    assert draw_shop(1, 5_000).spec != draw(1, 5_000).spec


def test_a_payment_platform_sees_devices_and_cards_by_the_day_and_nothing_comes_too_late(world: World) -> None:
    lines = list(payments(events_of(world), SPEC.seed))
    events = [msgspec.json.decode(line) for line in lines]
    assert {event["type"] for event in events} <= {"login", "transfer", "chargeback"}
    assert {name for event in events for name in event}.isdisjoint({"ip", "email", "phone", "address"})
    assert all(event["ts"].endswith("T00:00:00Z") for event in events if event["type"] == "login")
    engine, decoder = Engine(LinkPolicy(), EngineRules(), StructuralScorer()), passing_decoder()
    letters = [engine.apply(decoder.decode(raw)).delta.dead_letters for raw in raw_batches(lines)]
    assert not any(letters)


def test_labels_are_what_was_reported_until_the_end_and_not_what_is_true(world: World) -> None:
    log = labels_of(world)
    told = [label for label in world.labels if label.arrived_ms < SPEC.end_ms]
    assert len(log.labels) == len(told)
    assert {label.arrived_ms for label in log.labels.values()} == {label.arrived_ms for label in told}
    names = {member["user_id"] for ring in world.truth()["rings"] for member in ring["members"]}
    known = log.known(SPEC.end_ms)
    assert {user for user, label in known.items() if not label.fraud} & names, "analysts err, and the log with them"
    assert names - set(known), "and fraud that nobody reports is not known"


def test_truth_is_told_of_rings_and_accounts_and_victims_are_neither(world: World) -> None:
    cut = Cut(SPEC.start_ms + 30 * DAY_MS, SPEC.end_ms)
    stream = replay_slices(events_of(world), [cut], Engine(LinkPolicy(), EngineRules(), StructuralScorer()))
    truth = truth_of(world)
    tell_truth(stream.slices, truth)
    (piece,) = stream.slices
    assert piece.is_ring is not None and piece.is_fraud is not None
    assert piece.is_ring.any() and len(piece.is_ring) == len(piece.rings)
    victims = {user for ring in truth.rings for user in ring.victims}
    left_out = {name for name, of in zip(piece.names, piece.is_fraud.tolist(), strict=True) if of == UNKNOWN}
    assert left_out == victims & set(piece.names)
    assert 0 < np.count_nonzero(piece.is_fraud == 1) < len(piece.names) / 2
