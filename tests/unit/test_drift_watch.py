"""What an engine sees is held against the reference of what is in force; verdicts count from when they arrived."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from support.journal import SMALL_POLICY, SMALL_RULES, START_MS, Happening, Source

from fraudgraph.alerts.policy import AlertPolicy
from fraudgraph.drift_watch import DriftWatch, outcomes, reference_of, sample_of
from fraudgraph.durations import HOUR_MS
from fraudgraph.engine import Engine
from fraudgraph.errors import ConfigurationError
from fraudgraph.events.kinds import EntityKind, EventType
from fraudgraph.rings.features import RING_FEATURES
from fraudgraph.scoring.drift import DriftRules, Reference
from fraudgraph.stores.port import AlertRow
from fraudgraph.testing.bundles import random_bundle
from fraudgraph.testing.fakes import FakeScorer
from fraudgraph.testing.memory_store import MemoryStore

RULES = DriftRules(min_sample=5, min_verdicts=1)
EAGER = replace(SMALL_RULES, alerts=AlertPolicy(min_probability=0.0, weak_tie_strength=0.0))


def group(ring: int, users: int) -> list[tuple[str, Happening]]:
    device = ((EntityKind.DEVICE, f"d{ring}"),)
    return [
        ("p0", Happening(f"e{ring}-{n}", START_MS + n * HOUR_MS, f"r{ring}u{n}", EventType.LOGIN, device))
        for n in range(users)
    ]


def start(bundle: str = "") -> Engine:
    network = random_bundle(SMALL_POLICY, 1, name=bundle) if bundle else None
    return Engine(SMALL_POLICY, EAGER, FakeScorer(), bundle=network)


def apply(engine: Engine, arrivals: list[tuple[str, Happening]]) -> list[AlertRow]:
    source = Source(sorted(arrivals, key=lambda each: each[1].ts_ms))
    return engine.apply(source.batch(0, len(arrivals))).delta.alerts


def many(rings: Iterable[int], users: int = 4) -> list[tuple[str, Happening]]:
    return [each for ring in rings for each in group(ring, users)]


def test_an_engine_has_not_drifted_from_itself_and_has_from_another_shape() -> None:
    engine = start("net")
    apply(engine, many(range(30)))
    reference = reference_of(engine, "itself")
    assert set(RING_FEATURES) <= reference.series.keys()
    assert {"ring_log_odds", "account_log_odds", "links_on_hubs", "accounts_per_device"} <= reference.series.keys()
    same = DriftWatch(engine, lambda name: reference, RULES, list)()
    assert (same.why_not, same.over) == ("", False)
    other = start("net")
    apply(other, many(range(30), users=3))
    moved = DriftWatch(other, lambda name: reference, RULES, list)()
    assert {each.name for each in moved.series if each.over} >= {"users", "accounts_per_device", "accounts_per_group"}


@pytest.mark.parametrize("changes", [{"digest": "0" * 16}, {"policy_hash": "0" * 16}, None])
def test_a_reference_that_does_not_fit_is_said_to_be_none(changes: dict[str, str] | None) -> None:
    engine = start("net")
    apply(engine, many(range(3)))
    asked: list[str] = []

    def references(name: str) -> Reference | None:
        asked.append(name)
        return None if changes is None else replace(reference_of(engine, "itself"), **changes)

    report = DriftWatch(engine, references, RULES, list)()
    assert asked == ["net"]
    assert report.why_not
    assert report.series == ()
    assert not report.over


def test_a_damaged_reference_is_reported_and_stops_nobody() -> None:
    engine = start()

    def references(name: str) -> Reference | None:
        raise ConfigurationError("it is torn", do="Make it again.")

    assert DriftWatch(engine, references, RULES, list)().why_not == "it is torn"


def test_only_what_arrived_after_the_alert_is_a_verdict() -> None:
    engine = start()
    alerts = apply(engine, many(range(3)))
    assert len(alerts) == 3
    assert outcomes(engine, alerts) == []
    later = START_MS + 30 * HOUR_MS

    def label(name: str, about: str, fraud: bool) -> tuple[str, Happening]:
        return "p0", Happening(name, later, type=EventType.LABEL, label=(fraud, about, None))

    apply(engine, [label("l0", "r0u0", True), label("l1", "r1u0", False)])
    found = outcomes(engine, alerts)
    assert sorted(each.fraud for each in found) == [False, True]
    late = [replace(alert, at_ms=later + HOUR_MS) for alert in alerts]
    assert outcomes(engine, late) == [], "it was known when the ring was scored"


def test_a_restored_engine_sees_what_the_one_before_it_saw() -> None:
    engine, store = start(), MemoryStore(SMALL_POLICY, EAGER.priority)
    store.claim()
    source = Source(many(range(5)))
    store.commit(engine.apply(source.batch(0, len(source.arrivals))).delta)
    again = start()
    again.restore(store.load())
    values, before = sample_of(again).values, sample_of(engine).values
    assert values.keys() == before.keys()
    for name, (_, column) in values.items():
        assert sorted(column.tolist()) == pytest.approx(sorted(before[name][1].tolist())), name


def test_a_sample_reads_and_changes_nothing() -> None:
    engine = start("net")
    apply(engine, many(range(5)))
    before = dict(engine.rows), engine.serving.shadow_figures
    values = sample_of(engine).values
    assert (dict(engine.rows), engine.serving.shadow_figures) == before
    assert all(np.isfinite(column).all() for _, column in values.values())
