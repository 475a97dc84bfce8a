"""Figures of the narrator: on simulated shops with FRAUDGRAPH_PROOFS=whole, on rings of every kind and size without."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from support.ring_stories import HONEST, Story
from support.snapshots import (
    EXAMPLES,
    big,
    card_testing,
    dorm,
    fake_accounts,
    household,
    referrals,
    return_scam,
    two_halves,
)

from fraudgraph.app import open_ingest, open_reader
from fraudgraph.cli.evaluate_narrator import simulated
from fraudgraph.narrative.evidence import make_evidence
from fraudgraph.narrative.narrate import narrate
from fraudgraph.settings import load_settings
from fraudgraph.testing.narrative_judge import JudgedRing, VerifierFigures, judge_narrator, judge_verifier, table
from fraudgraph.testing.narrators import Liar, RandomJson

WHOLE = os.environ.get("FRAUDGRAPH_PROOFS") == "whole"
WORLDS, USERS, DAYS = 5, 6000, 45
MUTANTS = 10_000


@pytest.fixture(scope="module")
def rings() -> list[JudgedRing]:
    """Rings of every kind and size, and every group that the engine finds in simulated shops."""
    fraud = (fake_accounts, card_testing, return_scam, referrals)
    built = [JudgedRing(build(n), innocent=False) for build in fraud for n in range(3, 11)]
    built += [JudgedRing(build(n), innocent=True) for build in (household, dorm) for n in range(3, 12)]
    built += [JudgedRing(big(n)) for n in (20, 90)] + [JudgedRing(two_halves(n, 7 - n)) for n in (2, 3, 4)]
    built += [JudgedRing(build()) for build in EXAMPLES.values()]
    if not WHOLE:
        return built
    settings = load_settings(environment={}).settings
    return built + [ring for k in range(WORLDS) for ring in simulated(settings, 101 + k, USERS, DAYS)]


@pytest.fixture(scope="module")
def verifier(rings: list[JudgedRing]) -> VerifierFigures:
    """The verifier on mutants of true claims."""
    return judge_verifier(reversed(rings), 7, most=MUTANTS)


def test_there_is_enough_to_judge(rings: list[JudgedRing]) -> None:
    assert len(rings) >= (1000 if WHOLE else 60)
    assert sum(ring.innocent for ring in rings) >= (800 if WHOLE else 18)


def test_every_published_number_name_and_relation_is_so(rings: list[JudgedRing]) -> None:
    for name, planner in (("template", None), ("liar", Liar(1)), ("random", RandomJson(1))):
        figures = judge_narrator(rings, planner, floor=planner is None)
        print("\n".join(table([(name, figures)], VerifierFigures())[:3]))
        assert not figures.faults, (name, figures.faults[:3])
        assert figures.sentences > 5 * len(rings) if planner is None else figures.sentences > len(rings)
        assert (figures.removed == 0) == (planner is None)
        assert figures.most_tokens <= 1500


def test_the_template_tells_every_key_fact_and_calls_innocent_groups_insufficient(rings: list[JudgedRing]) -> None:
    figures = judge_narrator(rings)
    assert figures.top_told == figures.top > len(rings)
    assert figures.calm >= 0.95 * figures.innocent > 0


def test_the_verifier_catches_what_is_false_and_passes_what_is_true(verifier: VerifierFigures) -> None:
    print("\n".join(table([], verifier)[2:]))
    assert verifier.made.total() >= MUTANTS
    assert set(verifier.made) == {
        "plus-minus-one",
        "swapped-entity",
        "negated",
        "rearranged",
        "unit",
        "date",
        "comparison",
    }
    assert verifier.killed >= 0.99
    assert verifier.rejected <= 0.01 * verifier.true


@pytest.mark.parametrize("name", HONEST)
def test_honest_groups_are_told_as_such(name: str, tmp_path: Path) -> None:
    story: Callable[[], Story] = HONEST[name]
    file = tmp_path / "events.jsonl"
    lines = story().lines()
    if name == "office":
        lines = lines[: 2 * len(lines) // 3]  # later its evidence has expired
    file.write_bytes(b"\n".join(lines) + b"\n")
    settings = load_settings(environment={}, flags={"store.url": f"sqlite:///{tmp_path / 'shop.db'}"}).settings
    with open_ingest(settings, [file], environment={}) as ready:
        ready.daemon.run()
    with closing(open_reader(settings)) as reader:
        snapshots = [reader.snapshot(row.ring_id) for row in reader.rings(min_probability=0.0)]
    assert snapshots
    for snapshot in snapshots:
        assert snapshot is not None
        told = narrate(make_evidence(snapshot))
        assert not told.sufficient
        assert told.innocent_explanations
        assert told.headline.startswith(("May well be", "The evidence does not suffice", "Too little"))
