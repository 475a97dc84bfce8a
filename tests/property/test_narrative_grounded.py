"""Whatever the ring and whoever plans, every published sentence is so, by an oracle that counts everything anew."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from support.snapshots import snapshots, takeover

from fraudgraph.narrative.claims import SECTIONS, Plan, PlanError, read_plan, write_plan
from fraudgraph.narrative.evidence import make_evidence
from fraudgraph.narrative.narrate import narrate
from fraudgraph.narrative.pack import MAX_CHARS
from fraudgraph.narrative.template import make_plan
from fraudgraph.narrative.verifier import check
from fraudgraph.rings.snapshot import RingSnapshot
from fraudgraph.testing.narrative_checker import Checker
from fraudgraph.testing.narrative_judge import JudgedRing, judge_narrator
from fraudgraph.testing.narrative_mutants import Claims
from fraudgraph.testing.narrators import Liar, RandomJson


@settings(max_examples=60, deadline=None)
@given(snapshots())
def test_the_template_says_only_what_is_so_and_all_of_it_is_verified(snapshot: RingSnapshot) -> None:
    evidence = make_evidence(snapshot)
    told = narrate(evidence)
    assert not Checker(snapshot).faults(told)
    assert told.removed == 0
    assert told.verified == sum(len(getattr(make_plan(evidence.pack), section)) for section in SECTIONS)
    assert len(evidence.pack.text()) <= MAX_CHARS
    assert read_plan(write_plan(make_plan(evidence.pack))) == make_plan(evidence.pack)


@settings(max_examples=60, deadline=None)
@given(snapshots(), st.integers(0, 1_000_000))
def test_nothing_false_is_published_of_what_a_liar_or_chance_writes(snapshot: RingSnapshot, seed: int) -> None:
    for planner in (Liar(seed), RandomJson(seed)):
        figures = judge_narrator([JudgedRing(snapshot)], planner, floor=False)
        assert not figures.faults


@settings(max_examples=40, deadline=None)
@given(snapshots(), st.integers(0, 1_000_000))
def test_true_claims_pass_and_what_is_made_false_of_them_does_not(snapshot: RingSnapshot, seed: int) -> None:
    evidence = make_evidence(snapshot)
    claims, rng = Claims(evidence, Checker(snapshot)), random.Random(seed)
    for claim in claims.true_claims():
        assert check("summary", claim, evidence) is None, claim
        for mutant in claims.mutants(claim, rng):
            assert check("summary", mutant.claim, evidence) is not None, mutant


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10_000), st.binary(max_size=6), st.integers(0, 6))
def test_no_bytes_break_the_reader_of_plans(place: int, noise: bytes, cut: int) -> None:
    honest = write_plan(make_plan(make_evidence(takeover()).pack))
    place %= len(honest)
    content = honest[:place] + noise + honest[place + cut :]
    try:
        plan = read_plan(content)
    except PlanError:
        return
    assert isinstance(plan, Plan)
