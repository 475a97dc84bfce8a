"""A model is promoted by a command of the journal: swapped between commits, audited, there again after a restart."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from support.journal import (
    SMALL_POLICY,
    SMALL_RULES,
    START_MS,
    Happening,
    Source,
    decoded,
)

from fraudgraph.cases.audit import verify
from fraudgraph.cases.promotion import write_promotion
from fraudgraph.durations import DAY_MS
from fraudgraph.engine import Engine
from fraudgraph.errors import ConfigurationError
from fraudgraph.events.batch import DecodedBatch
from fraudgraph.events.kinds import EntityKind, EventType, RejectReason
from fraudgraph.events.schema import Command
from fraudgraph.scoring.bundle import Bundle
from fraudgraph.stores.port import CommitDelta
from fraudgraph.testing.bundles import random_bundle
from fraudgraph.testing.fakes import FakeScorer
from fraudgraph.testing.memory_store import MemoryStore

BUNDLES = {name: random_bundle(SMALL_POLICY, seed, name=name) for seed, name in enumerate(("first", "second"))}
BUNDLES["other-features"] = random_bundle(SMALL_POLICY, 3, name="other-features", features_hash="0" * 16)


def library(name: str) -> Bundle:
    try:
        return BUNDLES[name]
    except KeyError:
        raise ConfigurationError(f"there is no bundle {name!r}", do="Name another.") from None


def start(bundle: str | None = None, *, rescored_rings: int = 256, warmed_users: int = 8_192) -> Engine:
    rules = replace(SMALL_RULES, rescored_rings=rescored_rings, warmed_users=warmed_users)
    return Engine(SMALL_POLICY, rules, FakeScorer(), bundle=bundle and BUNDLES[bundle], library=library)


def source(seed: int) -> Source:
    """Returns 150 events of six groups of four accounts, each with its devices and cards."""
    rng = np.random.default_rng(seed)
    moments = np.sort(rng.integers(0, DAY_MS, 150))
    events = []
    for place, moment in enumerate(moments.tolist()):
        who = int(rng.integers(0, 24))
        kind = (EventType.LOGIN, EventType.ORDER, EventType.SIGNUP)[int(rng.integers(0, 3))]
        links = ((EntityKind.DEVICE, f"{who // 4}"), (EntityKind.CARD, f"{who // 4} {int(rng.integers(0, 2))}"))
        events.append(Happening(f"e{place}", START_MS + moment, f"u{who}", kind, links, amount_minor=500, currency=978))
    return Source([("p0", event) for event in events])


def said(bundle: str, number: int = 0) -> DecodedBatch:
    """Returns a batch that holds one promotion, as the store's own partition would."""
    name, arguments = write_promotion(bundle)
    event = f"promotion {number}"
    batch = decoded([("commands", Happening(event, START_MS, type=EventType.COMMAND), number)], names=["commands"])
    command = Command(
        event_id=event, ts=datetime(2026, 11, 24, tzinfo=UTC), name=name, author="me", arguments=arguments
    )
    return replace(batch, commands=[(0, command)])


def run(engine: Engine, events: Source, first: int, last: int) -> list[CommitDelta]:
    return [engine.apply(events.batch(at, at + 10)).delta for at in range(first, last, 10)]


def probabilities(engine: Engine) -> dict[int, float]:
    return {serial: row.probability for serial, row in engine.rows.items()}


def test_a_promoted_bundle_is_in_force_with_the_same_commit_and_scores_as_if_it_always_had() -> None:
    events = source(1)
    engine, always = start(), start("second")
    run(engine, events, 0, 150)
    run(always, events, 0, 150)
    assert engine.rows, "the world has rings"
    assert {row.scorer for row in engine.rows.values()} == {"fake-1"}
    outcome = engine.apply(said("second"))
    assert outcome.commands == 1
    assert engine.serving.name == "second"
    assert {row.scorer for row in engine.rows.values()} == {"network-1/second"}
    assert probabilities(engine) == pytest.approx(probabilities(always), abs=1e-4)
    (row,) = outcome.delta.audit
    assert (row.what, row.author, row.before, row.after) == ("promotion", "me", "structural", "second")
    assert verify([row], {}) == []


def test_in_a_large_graph_the_network_is_made_beside_the_one_in_force_and_swapped_at_a_commit_that_replays() -> None:
    events = source(7)
    always = start("second")
    run(always, events, 0, 150)
    store = MemoryStore(SMALL_POLICY, SMALL_RULES.priority)
    store.claim()
    engine = start("first", warmed_users=5)
    for delta in (*run(engine, events, 0, 60), engine.apply(said("second")).delta):
        store.commit(delta)
    parts = -(-len(engine.graph.user_table) // 5)
    assert parts > 3
    swap = engine.commit + parts
    for delta in run(engine, events, 60, 80):
        store.commit(delta)
    again = start("first", warmed_users=1)
    again.restore(store.load())
    for one in (engine, again):
        assert {row.scorer for row in one.rows.values()} == {"network-1/first"}
        for delta in run(one, events, 80, 60 + 10 * (parts - 1)):
            assert delta.scorer_state is None
        assert (one.commit, one.serving.name) == (swap - 1, "first")
        (delta,) = run(one, events, 60 + 10 * (parts - 1), 60 + 10 * parts)
        assert delta.scorer_state is not None
        assert (one.commit, one.serving.name) == (swap, "second")
        run(one, events, 60 + 10 * parts, 150)
        assert {row.scorer for row in one.rows.values()} == {"network-1/second"}
        assert probabilities(one) == pytest.approx(probabilities(always), abs=1e-4)


def test_what_is_promoted_next_takes_the_place_of_what_is_still_being_made() -> None:
    engine = start(warmed_users=5)
    run(engine, source(8), 0, 100)
    engine.apply(said("first"))
    outcome = engine.apply(said("structural", 1))
    assert [(row.before, row.after) for row in outcome.delta.audit] == [("structural", "structural")]
    run(engine, source(8), 100, 150)
    assert engine.serving.live is None


def test_structure_alone_can_be_promoted_back() -> None:
    events = source(2)
    engine, never = start("first"), start()
    run(engine, events, 0, 150)
    run(never, events, 0, 150)
    engine.apply(said("structural"))
    assert engine.serving.live is None
    assert engine.rows.keys() == never.rows.keys()
    assert probabilities(engine) == probabilities(never)


@pytest.mark.parametrize("bundle", ["absent", "other-features", "../second", ""])
def test_what_cannot_be_put_in_force_is_a_dead_letter_and_changes_nothing(bundle: str) -> None:
    engine = start("first")
    run(engine, source(3), 0, 100)
    delta = engine.apply(said(bundle)).delta
    assert engine.serving.name == "first"
    assert [letter.reason for letter in delta.dead_letters] == [RejectReason.INVALID_FIELD]
    assert delta.scorer_state is None
    assert delta.audit == []


def test_a_restart_goes_on_with_what_was_promoted_and_knows_its_command() -> None:
    events = source(4)
    store = MemoryStore(SMALL_POLICY, SMALL_RULES.priority)
    store.claim()
    engine = start("first")
    for delta in (*run(engine, events, 0, 80), engine.apply(said("second")).delta):
        store.commit(delta)
    again = start("first")
    again.restore(store.load())
    assert again.serving.name == "second"
    assert again.apply(said("second")).duplicates == 1
    engine.apply(said("second"))
    run(again, events, 80, 150)
    run(engine, events, 80, 150)
    assert probabilities(again) == pytest.approx(probabilities(engine), abs=1e-4)


def test_a_bundle_that_is_another_by_now_is_not_taken_for_the_promoted_one() -> None:
    store = MemoryStore(SMALL_POLICY, SMALL_RULES.priority)
    store.claim()
    store.commit(start("first").apply(said("second")).delta)

    def overwritten(name: str) -> Bundle:
        return random_bundle(SMALL_POLICY, 9, name=name, width=4)

    again = Engine(SMALL_POLICY, SMALL_RULES, FakeScorer(), library=overwritten)
    with pytest.raises(ConfigurationError, match="not the one that was promoted"):
        again.restore(store.load())


def test_a_promotion_rewrites_a_large_store_in_several_commits() -> None:
    events = source(5)
    engine = start(rescored_rings=1)
    run(engine, events, 0, 150)
    count = len(engine.rows)
    assert count > 1
    written = len(engine.apply(said("first")).delta.rings)
    assert written == 1
    for _ in range(count - 1):
        engine.apply(events.batch(150, 150))
    assert {row.scorer for row in engine.rows.values()} == {"network-1/first"}


def test_a_bundle_of_other_features_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigurationError, match="trained on features"):
        start("other-features")


def test_a_shadow_is_counted_and_changes_nothing() -> None:
    events = source(6)
    plain = start()
    watched = Engine(SMALL_POLICY, SMALL_RULES, FakeScorer(), shadow=BUNDLES["first"])
    run(plain, events, 0, 150)
    run(watched, events, 0, 150)
    assert watched.rows == plain.rows
    figures = watched.serving.shadow_figures
    assert figures.rings > 0
    assert 0.0 < figures.sum_difference <= figures.rings * figures.max_difference
