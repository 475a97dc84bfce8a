"""Narratives read like a note by a colleague: agreement, references, no accusation, always another reading."""

from __future__ import annotations

import re
from dataclasses import replace

import msgspec
import pytest
from support.snapshots import DAY, EXAMPLES, HOUR, NOW, Builder, card_testing, fake_accounts, takeover

from fraudgraph.errors import DependencyError
from fraudgraph.events.kinds import EntityKind
from fraudgraph.narrative.catalogue import CLAIM_KINDS, EXPLANATIONS, PATTERNS, QUESTIONS
from fraudgraph.narrative.claims import Claim, Plan, PlanError, PlanFault
from fraudgraph.narrative.evidence import Evidence, make_evidence
from fraudgraph.narrative.narrate import narrate, refreshed
from fraudgraph.narrative.pack import EvidencePack
from fraudgraph.narrative.pattern import BORNE_BY, FARM, UNCLEAR
from fraudgraph.narrative.phrases import PHRASES, QUESTIONS_ASKED
from fraudgraph.narrative.port import DISCLAIMER, Failure, Narrative, PlanReply, Sentence
from fraudgraph.narrative.template import STATEMENT, TemplatePlanner, make_plan
from fraudgraph.rings.facts import FACT_KINDS
from fraudgraph.rings.snapshot import RingSnapshot

ACCUSING = re.compile(
    r"fraudster|criminal|guilty|thief|thieves|culprit|perpetrator|scammer|suspect|crook|gang|stole\b|cheat", re.I
)


def text(told: Narrative) -> str:
    rows: list[tuple[Sentence, ...]] = [told.summary, told.risk_reasons, told.innocent_explanations]
    rows += [told.next_actions, told.open_questions]
    return " ".join(s.text for part in rows for s in part)


def tell(snapshot: RingSnapshot, *claims: Claim) -> list[str]:
    """Returns a plan's summary in sentences."""

    class Fixed:
        def plan(self, pack: EvidencePack) -> PlanReply:
            return PlanReply(Plan("unclear", claims, (), (), (), (), False), "fixed", "1")

        def repair(self, pack: EvidencePack, reply: PlanReply, failures: tuple[Failure, ...]) -> None:
            return None

    told = narrate(make_evidence(snapshot), Fixed())
    assert (told.narrator, told.removed) == ("fixed", 0), told.removed_why
    return [s.text for s in told.summary]


@pytest.mark.parametrize("name", [n for n in EXAMPLES if n != "nasty"])
def test_nobody_is_accused_and_sentences_are_sentences(name: str) -> None:
    told = narrate(make_evidence(EXAMPLES[name]()))
    assert not ACCUSING.search(text(told)), ACCUSING.search(text(told))
    assert told.disclaimer == DISCLAIMER
    for s in (*told.summary, *told.risk_reasons, *told.open_questions):
        assert re.fullmatch(r"[A-Z0-9].*[.?]", s.text), s.text
        assert not re.search(r"\{|\}|  |None| ,|\.\.|\(\)", s.text), s.text
        assert not re.search(r"\b1 (?:accounts|orders|cards|times|refunds|chargebacks)\b", s.text), s.text
        assert s.evidence
        assert s.claims


def test_the_same_ring_is_told_in_the_same_words_and_another_in_others() -> None:
    assert narrate(make_evidence(takeover())) == narrate(make_evidence(takeover()))
    openings = {narrate(make_evidence(fake_accounts(n))).summary[0].text.split(",")[0][:12] for n in range(4, 12)}
    assert len(openings) > 1


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_key_facts_of_a_ring_are_all_told(name: str) -> None:
    evidence = make_evidence(EXAMPLES[name]())
    told = narrate(evidence)
    cited = {x for s in (*told.summary, *told.risk_reasons) for x in s.evidence}
    assert {f.id for f in evidence.pack.facts if f.percent > 0} - cited <= {
        f.id for f in [f for f in evidence.pack.facts if f.percent > 0][5:]
    }


def test_neighbours_are_told_together_and_referred_to() -> None:
    snapshot = fake_accounts()
    evidence = make_evidence(snapshot)
    by_name = {str(f.fields["identifier"]): f.id for f in evidence.pack.facts if f.kind == "shared-identifier"}
    d1, d2 = by_name["D1"], by_name["D2"]
    both = tell(snapshot, Claim("shared-by", (d1,)), Claim("shared-by", (d2,)), Claim("shared-only-here", (d1,)))
    assert "device D1 (5 accounts) and device D2 (4)" in both[0]
    one = tell(snapshot, Claim("shared-by", (d1,)), Claim("shared-only-here", (d1,)))
    assert len(one) == 1
    assert re.search(r"evice D1.*, and .*\bit\b", one[0])
    apart = tell(snapshot, Claim("shared-by", (d1,)), Claim("device-farm", (first(evidence, "device-farm"),)))
    assert "the same device" in apart[1].lower()


def first(evidence: Evidence, kind: str) -> str:
    return next(f.id for f in evidence.pack.facts if f.kind == kind)


def test_groups_that_were_just_named_are_not_named_again() -> None:
    snapshot = takeover()
    evidence = make_evidence(snapshot)
    moved, visits = first(evidence, "takeover"), first(evidence, "brief-visits")
    said = tell(snapshot, Claim("takeover", (moved,)), Claim("brief-visits", (visits,)))
    assert "V0, V1, V2 and V3" in said[0]
    assert "V0" not in said[1]
    assert said[1].startswith("The same 4 accounts")


def test_a_single_account_is_said_in_the_singular() -> None:
    b = Builder()
    for i in range(3):
        b.user(f"U{i}", NOW - DAY, payments=8 if i == 0 else 1, declined=6 if i == 0 else 0)
        b.use(f"U{i}", EntityKind.DEVICE, "d", NOW - DAY, NOW - HOUR)
    snapshot = b.build()
    said = tell(snapshot, Claim("card-testing", (first(make_evidence(snapshot), "card-testing"),)))[0]
    assert "1 account (U0)" in said
    assert "most by" not in said
    assert "most by" in text(narrate(make_evidence(card_testing()))) or "alone" in text(
        narrate(make_evidence(card_testing()))
    )


def test_every_kind_can_be_said() -> None:
    assert set(PHRASES) == set(CLAIM_KINDS)
    assert set(QUESTIONS_ASKED) == set(QUESTIONS)
    assert {*BORNE_BY, FARM[0], UNCLEAR} == set(PATTERNS)
    assert {STATEMENT.get(kind, kind) for kind in FACT_KINDS} <= set(CLAIM_KINDS)
    assert sum(len(options) > 1 for options in PHRASES.values()) > 30


def test_relations_are_said() -> None:
    snapshot = fake_accounts()
    evidence = make_evidence(snapshot)
    ids = {str(f.fields["identifier"]): f.id for f in evidence.pack.facts if f.kind == "shared-identifier"}
    burst, orders = first(evidence, "burst"), first(evidence, "velocity")
    pairs = {
        Claim("before", (burst, orders)): "60 minutes|1 hour",
        Claim("same-accounts", (burst, orders)): "very same 8 accounts",
        Claim("among-accounts", (ids["C1"], burst)): "2 accounts of",
        Claim("no-common-accounts", (ids["C1"], ids["C2"])): "no account in common",
        Claim("together-cover", (ids["D1"], ids["D2"])): "all 8 accounts",
        Claim("most-shared", (ids["D1"],)): "D1",
        Claim("more-than", (ids["D1"], ids["D2"])): "5 accounts|5 against 4",
        Claim("rate", (ids["D1"],)): "5 of 8 accounts, that is 63 %",
        Claim("sum", (ids["IP1"],)): "3 here and 40 elsewhere make 43 users",
        Claim("role", ("U1",)): "at the core",
        Claim("earliest", (burst,)): "2026-03-01",
    }
    for claim, said in pairs.items():
        assert re.search(said, tell(snapshot, claim)[0]), (claim.kind, tell(snapshot, claim))


# Who speaks


class Failing:
    """A planner that does not answer."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def plan(self, pack: EvidencePack) -> PlanReply:
        raise self._error

    def repair(self, pack: EvidencePack, reply: PlanReply, failures: tuple[Failure, ...]) -> None:
        raise AssertionError("nothing to repair")


class Mending:
    """A planner whose first plan is half wrong and whose second one is right."""

    def __init__(self) -> None:
        self.asked: list[tuple[Failure, ...]] = []

    def plan(self, pack: EvidencePack) -> PlanReply:
        plan = make_plan(pack)
        wrong = tuple(Claim("burst", ("E999",)) for _ in plan.summary)
        return PlanReply(msgspec.structs.replace(plan, summary=wrong), "mending", "7")

    def repair(self, pack: EvidencePack, reply: PlanReply, failures: tuple[Failure, ...]) -> PlanReply:
        self.asked.append(failures)
        return PlanReply(make_plan(pack), "mending", "7")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (DependencyError("the endpoint is down", do="Wait."), "no answer"),
        (PlanError(PlanFault.NOT_JSON), "no plan (not-json)"),
    ],
)
def test_the_template_speaks_where_a_planner_does_not(error: Exception, why: str) -> None:
    evidence = make_evidence(takeover())
    told = narrate(evidence, Failing(error))
    assert told.narrator == "template"
    assert told.fallback == why
    assert told.summary == narrate(evidence).summary


def test_one_round_of_repair() -> None:
    planner = Mending()
    told = narrate(make_evidence(takeover()), planner)
    assert (told.narrator, told.removed, told.fallback) == ("mending", 0, "")
    assert len(planner.asked) == 1
    assert {f.why for f in planner.asked[0]} == {"unknown-evidence"}


def test_a_plan_of_which_little_holds_gives_way_to_the_template() -> None:
    class Wrong(TemplatePlanner):
        def plan(self, pack: EvidencePack) -> PlanReply:
            lies = tuple(Claim("burst", (f"E{900 + n}",)) for n in range(9))
            return PlanReply(Plan("unclear", lies, (), (), (), (), True), "wrong", "1")

    told = narrate(make_evidence(takeover()), Wrong())
    assert told.narrator == "template"
    assert told.fallback == "only 0 of 9 claims held"


def test_what_a_planner_leaves_out_of_explanations_and_steps_is_said_all_the_same() -> None:
    evidence = make_evidence(takeover())
    bare = Plan("unclear", (Claim("ring-size", ("R",)),), (), (), (), (), True)

    class Bare(TemplatePlanner):
        def plan(self, pack: EvidencePack) -> PlanReply:
            return PlanReply(bare, "bare", "1")

    told = narrate(evidence, Bare())
    assert told.narrator == "bare"
    assert {k for s in told.innocent_explanations for k in s.claims} == {e.name for e in evidence.explanations}
    assert {k for s in told.next_actions for k in s.claims} == {a.name for a in evidence.actions}
    assert "contact-likely-victims" in {k for s in told.next_actions for k in s.claims}


def test_what_was_removed_is_counted() -> None:
    evidence = make_evidence(takeover())

    class OneLie(TemplatePlanner):
        def plan(self, pack: EvidencePack) -> PlanReply:
            plan = make_plan(pack)
            return PlanReply(msgspec.structs.replace(plan, summary=(*plan.summary, Claim("guilt"))), "model", "1")

    told = narrate(evidence, OneLie())
    assert told.count_words == f"{told.verified} of {told.verified + 1} claims verified, 1 removed"
    assert dict(told.removed_why) == {"unknown-kind": 1}


def test_a_kept_narrative_follows_the_score_and_not_other_evidence() -> None:
    snapshot = takeover()
    kept = narrate(make_evidence(snapshot))
    surer = replace(snapshot, probability=0.99)
    again = refreshed(kept, make_evidence(surer))
    assert again is not None
    assert "almost certainly" in again.headline
    assert again.summary == kept.summary
    assert refreshed(kept, make_evidence(replace(snapshot, probability=0.05))) is None
    assert refreshed(kept, make_evidence(fake_accounts())) is None


def test_explanations_come_from_the_closed_list() -> None:
    for build in EXAMPLES.values():
        told = narrate(make_evidence(build()))
        assert {k for s in told.innocent_explanations for k in s.claims} <= set(EXPLANATIONS)
