"""Whether rings keep still: how often a member leaves a ring and is back in it within a day of event time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.cli import fraudgraph

from fraudgraph.durations import DAY_MS, HOUR_MS
from fraudgraph.engine import Engine, EngineRules
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.scoring.structural import StructuralScorer
from training.replay import passing_decoder, replay


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flicker")
    world = ("--seed", 21, "--users", 3000, "--days", 60, "--ring-share", 0.08)
    assert fraudgraph("simulate", *world, "--out", folder).code == 0
    return folder / "events.jsonl"


def flickers(events: Path, rules: EngineRules) -> tuple[int, int, int]:
    """Returns how many (ring, member) pairs there ever were, how many came back within a day, and how many rings."""
    engine = Engine(LinkPolicy(), rules, StructuralScorer())
    left_ms: dict[tuple[int, str], int] = {}
    inside: set[tuple[int, str]] = set()
    ever: set[tuple[int, str]] = set()
    returned: set[tuple[int, str]] = set()
    for state in replay(events, engine, passing_decoder(), tick_ms=HOUR_MS, events_per_commit=20):
        now = {(serial, user) for serial, team in zip(state.serials, state.members, strict=True) for user in team}
        left_ms |= dict.fromkeys(inside - now, state.as_of_ms)
        returned |= {pair for pair in now - inside if pair in left_ms and state.as_of_ms - left_ms[pair] <= DAY_MS}
        ever |= now
        inside = now
    return len(ever), len(returned), len({serial for serial, _ in ever})


def test_members_rarely_flicker(events: Path) -> None:
    pairs, returned, rings = flickers(events, EngineRules())
    print(f"{returned} of {pairs} memberships of {rings} rings flickered")
    assert pairs > 400
    assert returned <= 0.02 * pairs


def test_members_rarely_flicker_where_most_rings_are_cut(events: Path) -> None:
    """Cutting is from cold, each time; it is lineage that keeps ids in place."""
    pairs, returned, rings = flickers(events, replace(EngineRules(), max_users=8))
    print(f"{returned} of {pairs} memberships of {rings} rings flickered")
    assert returned <= 0.04 * pairs
