"""The evaluation end to end on small worlds: it can be repeated, and its hostile worlds are what they claim to be."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from fraudgraph.durations import HOUR_MS
from fraudgraph.events.kinds import EventType
from fraudgraph.simulate.spec import WorldSpec
from fraudgraph.simulate.world import World, simulate
from fraudgraph.streams.port import RawBatch
from training.evaluate_rings import Scale, calibration_seeds, evaluate, lines_of
from training.hostile import Hostility, hostile
from training.replay import passing_decoder
from training.ring_results import document
from training.ring_truth import truth_of
from training.ring_watch import Watch, new_engine, run, standing

SPEC = WorldSpec(seed=4, users=1_500, days=10, ring_share=0.06)
HOSTILITY = Hostility(kiosk_users=300, collision_users=60, planted_users=80, share=0.1)


@pytest.fixture(scope="module")
def world() -> World:
    return simulate(SPEC)


def test_truth_knows_when_a_ring_shows(world: World) -> None:
    truth = truth_of(world)
    assert truth.honest == SPEC.users - sum(len(ring.members | ring.victims) for ring in truth.rings)
    for ring, drawn in zip(truth.rings, world.rings, strict=True):
        assert len(ring.members) == len(drawn.users) - sum(drawn.victim)
        assert ring.linked_ms is None or drawn.start_ms <= ring.linked_ms < SPEC.end_ms


def test_a_run_can_be_repeated_and_misses_no_alert(world: World) -> None:
    truth, lines = truth_of(world), lines_of(world)
    seen = []
    for _ in range(2):
        engine, watch = new_engine(), Watch(truth, 0.3)
        ends = list(run(lines, engine, 12 * HOUR_MS, watch.see))
        assert ends == sorted(set(ends)) and ends[-1] > lines[-1][0]
        calls = standing(engine, truth)
        called = {verdict.ring for verdict in calls.at(0.3) if verdict.is_right}
        assert called <= set(watch.found_ms), "what stands at the end was seen while it came"
        assert all(watch.surest[ring] >= 0.3 for ring in watch.found_ms)
        seen.append((watch.found_ms, watch.surest, sorted(watch.called), calls.score.tolist()))
    assert seen[0] == seen[1]


def test_hostile_structure_is_as_large_as_it_claims(world: World) -> None:
    added = hostile(world, HOSTILITY, seed=1)
    assert added == hostile(world, HOSTILITY, seed=1)
    assert added.lines == sorted(added.lines, key=lambda line: line[0])
    assert len(added.lines) == pytest.approx(HOSTILITY.share * (len(world.events) + len(added.lines)), abs=1)
    events = [msgspec.json.decode(line) for _, line in added.lines]
    devices = Counter(event["device_id"] for event in events if "device_id" in event)
    assert (devices["kiosk-0001"], devices["0" * 16]) == (300, 60)
    assert all(event["ip"].startswith("188.20.") for event in events if "ip" in event)
    assert [len(added.touched[name]) for name in ("kiosk", "collision", "attack")] == [300, 60, 80]
    assert not any(user in truth_of(world).ring_of for users in added.touched.values() for user in users)
    n = len(events)
    raw = RawBatch([line for _, line in added.lines], ["p"], [0] * n, list(range(n)), list(range(1, n + 1)))
    batch = passing_decoder().decode(raw)
    assert batch.dead_letters == []
    assert set(batch.type.tolist()) == {int(EventType.LOGIN)}
    assert len(batch.link_key) == len(events), "each ties somebody to something"


def test_one_command_writes_the_note_and_says_what_was_not_measured(tmp_path: Path) -> None:
    scale = Scale(worlds=2, planted=1, hostile=1, users=800, days=6, members=40, hostility=Hostility(100, 50, 40, 0.1))
    text = document(evaluate(scale, tmp_path))
    assert text.count("Not measured") == 3
    for heading in ("Simulated shops", "Rings planted", "Real payments", "E-commerce", "Hostile"):
        assert f"## {heading}" in text
    assert f"of the calibration {calibration_seeds(scale)}" in text.replace("\n", " ")
    with pytest.raises(SystemExit):
        calibration_seeds(replace(scale, first_seeds=(1_000, 71_001, 73_001)))
    assert "nan" not in text
