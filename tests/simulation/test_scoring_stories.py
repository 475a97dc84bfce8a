"""Textbook rings stand out, and honest groups that look like them from afar do not, through the whole engine."""

from __future__ import annotations

import pytest

from fraudgraph.durations import DAY_MS
from fraudgraph.engine import Engine, EngineRules
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.scoring.structural import StructuralScorer
from tests.support.ring_stories import HONEST, RINGS
from training.replay import passing_decoder, replay


def probabilities(story: str) -> list[list[float]]:
    """Returns the probabilities of the living rings every five days and at the end."""
    scorer = StructuralScorer()
    engine = Engine(LinkPolicy(), EngineRules(), scorer)
    lines = (HONEST | RINGS)[story]().lines()
    moments = replay(lines, engine, passing_decoder(), tick_ms=5 * DAY_MS, events_per_commit=8)
    return [scorer.score(candidates.features).probability.tolist() for candidates in moments]


@pytest.mark.parametrize("story", HONEST)
def test_an_honest_group_stays_below_a_fifth_all_along(story: str) -> None:
    found = [p for moment in probabilities(story) for p in moment]
    assert found, "the group must be a candidate, or nothing is tested"
    assert max(found) < 0.2


@pytest.mark.parametrize("story", RINGS)
def test_a_textbook_ring_is_above_three_fifths_in_the_end(story: str) -> None:
    assert max(probabilities(story)[-1]) > 0.6
