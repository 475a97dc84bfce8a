"""Each kind of claim passes where it is so and fails where it is not; connectives and patterns too."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from support.snapshots import EXAMPLES, fake_accounts, takeover

from fraudgraph.narrative.claims import Claim, Connective, Plan, Slot
from fraudgraph.narrative.evidence import Evidence, make_evidence
from fraudgraph.narrative.template import make_plan
from fraudgraph.narrative.verifier import Why, check, verify


@pytest.fixture(scope="module")
def ring() -> Evidence:
    return make_evidence(fake_accounts())


def id_of(evidence: Evidence, kind: str, identifier: str = "") -> str:
    """Returns the number of the fact of this kind about this identifier."""
    found = (f for f in evidence.pack.facts if f.kind == kind)
    return next(f.id for f in found if f.fields.get("identifier", "") == identifier)


def why(evidence: Evidence, kind: str, *evidence_ids: str, section: str = "summary", **slots: str) -> Why | None:
    return check(section, Claim(kind, evidence_ids, tuple(Slot(k, v) for k, v in slots.items())), evidence)


def test_statements_cite_one_fact_of_their_kind_and_quote_it_rightly(ring: Evidence) -> None:
    burst, device = id_of(ring, "burst"), id_of(ring, "shared-identifier", "D1")
    assert why(ring, "burst", burst) is None
    assert why(ring, "burst", burst, members=f"{burst}.members=8") is None
    assert why(ring, "burst", burst, members=f"{burst}.members=9") is Why.WRONG_VALUE
    assert why(ring, "burst", burst, members=f"{device}.members") is Why.WRONG_SLOT
    assert why(ring, "burst", burst, members=f"{burst}.first") is Why.WRONG_SLOT
    assert why(ring, "burst", burst, first=f"{burst}.first=2026-03-01") is None
    assert why(ring, "burst", burst, first=f"{burst}.first=2026-03-02") is Why.WRONG_VALUE
    assert why(ring, "burst", burst, verdict="guilty") is Why.WRONG_SLOT
    assert why(ring, "burst", device) is Why.WRONG_EVIDENCE
    assert why(ring, "burst", burst, device) is Why.WRONG_EVIDENCE
    assert why(ring, "burst") is Why.WRONG_EVIDENCE
    assert why(ring, "burst", "E999") is Why.UNKNOWN_EVIDENCE
    assert why(ring, "guilt", burst) is Why.UNKNOWN_KIND


def test_entities_must_stand_in_what_is_cited(ring: Evidence) -> None:
    device = id_of(ring, "shared-identifier", "D1")
    inside = sorted(ring.accounts[device])[0]
    outside = next(u for u in ring.names if u.startswith("U") and u not in ring.accounts[device])
    assert why(ring, "shared-by", device, identifier="D1") is None
    assert why(ring, "shared-by", device, identifier="D2") is Why.WRONG_VALUE
    assert why(ring, "membership", device, account=inside) is None
    assert why(ring, "membership", device, account=outside) is Why.WRONG_VALUE
    assert why(ring, "membership", device, account="U999") is Why.WRONG_VALUE
    assert why(ring, "membership", device) is Why.NOT_TRUE


def test_sharing_inside_and_outside_exclude_each_other(ring: Evidence) -> None:
    here, wide = id_of(ring, "shared-identifier", "D1"), id_of(ring, "shared-identifier", "IP1")
    assert why(ring, "shared-only-here", here) is None
    assert why(ring, "shared-outside", here) is Why.NOT_TRUE
    assert why(ring, "shared-only-here", wide) is Why.NOT_TRUE
    assert why(ring, "shared-outside", wide) is None
    assert why(ring, "ties-nobody", wide) is Why.NOT_TRUE


def test_order_in_time(ring: Evidence) -> None:
    burst, orders = id_of(ring, "burst"), id_of(ring, "velocity")
    assert why(ring, "before", burst, orders) is None
    assert why(ring, "before", orders, burst) is Why.NOT_TRUE
    assert why(ring, "after", orders, burst) is None
    assert why(ring, "before", burst, orders, earlier=f"{orders}.first") is Why.NOT_TRUE
    assert why(ring, "before", burst, id_of(ring, "chargeback")) is Why.NOT_TRUE
    assert why(ring, "earliest", burst) is None
    assert why(ring, "latest", burst) is Why.NOT_TRUE


def test_sets_of_accounts(ring: Evidence) -> None:
    everybody, also = id_of(ring, "burst"), id_of(ring, "velocity")
    some, others = id_of(ring, "shared-identifier", "C1"), id_of(ring, "shared-identifier", "C2")
    assert why(ring, "same-accounts", everybody, also) is None
    assert why(ring, "same-accounts", everybody, some) is Why.NOT_TRUE
    assert why(ring, "among-accounts", some, everybody) is None
    assert why(ring, "among-accounts", everybody, some) is Why.NOT_TRUE
    assert why(ring, "no-common-accounts", some, others) is None
    assert why(ring, "no-common-accounts", some, everybody) is Why.NOT_TRUE


def test_comparisons_rates_and_sums(ring: Evidence) -> None:
    one, two = id_of(ring, "shared-identifier", "D1"), id_of(ring, "shared-identifier", "D2")
    wide, orders = id_of(ring, "shared-identifier", "IP1"), id_of(ring, "velocity")
    assert why(ring, "more-than", one, two) is None
    assert why(ring, "more-than", two, one) is Why.NOT_TRUE
    assert why(ring, "more-than", one, two, more=f"{two}.members", less=f"{one}.members") is Why.NOT_TRUE
    assert why(ring, "more-than", one, two, more=f"{one}.members", less=f"{two}.count") is Why.NOT_TRUE
    assert why(ring, "as-many", one, two) is Why.NOT_TRUE
    assert why(ring, "as-many", id_of(ring, "shared-identifier", "C1"), id_of(ring, "shared-identifier", "C2")) is None
    assert why(ring, "most-shared", one) is None
    assert why(ring, "most-shared", two) is Why.NOT_TRUE
    assert why(ring, "rate", orders) is None
    assert why(ring, "rate", orders, part=f"{orders}.orders", whole=f"{orders}.orders_total=8") is None
    assert why(ring, "rate", orders, part=f"{orders}.orders_total", whole=f"{orders}.members") is Why.NOT_TRUE
    assert why(ring, "sum", wide) is None
    assert why(ring, "sum", one) is Why.NOT_TRUE
    assert why(ring, "sum", "V1", total="V1.at_risk=483.17EUR") is None
    assert why(ring, "sum", "V1", total="V1.ordered") is Why.NOT_TRUE


def test_roles_bridges_and_money(ring: Evidence) -> None:
    assert why(ring, "role", "U1", role="U1.role=core") is None
    assert why(ring, "role", "U1", role="U1.role=likely-victim") is Why.WRONG_VALUE
    assert why(ring, "at-stake", "V1", exposed="V1.exposed=443.17EUR") is None
    assert why(ring, "at-stake", "V1", exposed="V1.exposed=443.17USD") is Why.WRONG_VALUE
    assert why(ring, "sent", "V1") is Why.NOT_TRUE


def test_what_speaks_against_a_ring_is_no_reason_for_risk() -> None:
    evidence = make_evidence(takeover())
    calm = id_of(evidence, "clean-money")
    assert why(evidence, "clean-money", calm) is None
    assert why(evidence, "clean-money", calm, section="risk_reasons") is Why.WRONG_SECTION


def test_explanations_actions_and_questions_are_those_that_the_facts_allow(ring: Evidence) -> None:
    chain = id_of(ring, "shared-identifier", "D1")
    assert why(ring, "shared-building", section="innocent_explanations") is None
    assert why(ring, "household", section="innocent_explanations") is Why.NOT_ALLOWED
    assert why(ring, "shared-building", chain, section="innocent_explanations") is Why.WRONG_EVIDENCE
    assert why(ring, "step-up-verification", section="next_actions") is None
    assert why(ring, "hold-refunds", section="next_actions") is Why.NOT_ALLOWED
    assert why(ring, "whose-device", chain, section="open_questions") is None
    assert why(ring, "whose-card", chain, section="open_questions") is Why.NOT_TRUE
    assert why(ring, "burst", id_of(ring, "burst"), section="open_questions") is Why.UNKNOWN_KIND


def connected(evidence: Evidence, *claims: Claim) -> list[Connective]:
    plan = Plan("unclear", claims, (), (), (), (), False)
    return [held.connective for held in verify(plan, evidence).sections["summary"]]


def test_connectives_that_do_not_hold_are_left_out_and_their_claims_stay(ring: Evidence) -> None:
    burst, orders = id_of(ring, "burst"), id_of(ring, "velocity")
    first = Claim("burst", (burst,), (), "first")
    then = Claim("velocity", (orders,), (), "then")
    assert connected(ring, first, then) == [Connective.FIRST, Connective.THEN]
    swapped = [msgspec.structs.replace(then, connective="first"), msgspec.structs.replace(first, connective="then")]
    assert connected(ring, *swapped) == [Connective.NONE, Connective.NONE]
    for word in ("therefore", "because", "but"):
        assert connected(ring, first, msgspec.structs.replace(then, connective=word))[1] is Connective.NONE


def test_but_stands_between_what_speaks_for_and_against() -> None:
    evidence = make_evidence(takeover())
    moved = Claim("takeover", (id_of(evidence, "takeover", "D1"),))
    calm = Claim("clean-money", (id_of(evidence, "clean-money"),), (), "but")
    assert connected(evidence, moved, calm)[1] is Connective.BUT


def test_a_claim_said_twice_stands_once(ring: Evidence) -> None:
    burst = Claim("burst", (id_of(ring, "burst"),))
    done = verify(Plan("unclear", (burst,), (burst,), (), (), (), False), ring)
    assert done.verified == 1
    assert [(f.section, f.place, f.why) for f in done.failures] == [("risk_reasons", 0, Why.REPEATED)]


@pytest.mark.parametrize(
    ("name", "said", "kept"),
    [
        ("takeover", "account-takeover", "account-takeover"),
        ("takeover", "return-scam", "account-takeover"),
        ("takeover", "murder", "account-takeover"),
        ("takeover", "unclear", "account-takeover"),
        ("dorm", "fake-accounts", "unclear"),
    ],
)
def test_a_pattern_is_the_plans_only_where_the_facts_bear_it(name: str, said: str, kept: str) -> None:
    evidence = make_evidence(EXAMPLES[name]())
    plan = msgspec.structs.replace(make_plan(evidence.pack), pattern=said)
    assert verify(plan, evidence).pattern.name == kept


def test_no_narrator_calls_sufficient_what_is_not() -> None:
    for name in ("household", "dorm", "second-hand"):
        evidence = make_evidence(EXAMPLES[name]())
        plan = msgspec.structs.replace(make_plan(evidence.pack), sufficient=True)
        assert not verify(plan, evidence).sufficient
    unlikely = make_evidence(replace(fake_accounts(), probability=0.1))
    assert not verify(make_plan(unlikely.pack), unlikely).sufficient
