"""Facts say what the snapshot holds, in words that carry the right numbers, and can be derived again."""

from __future__ import annotations

import random
import re
from dataclasses import replace

import pytest
from support.snapshots import DAY, EUR, EXAMPLES, HOUR, NOW, Builder, card_testing, fake_accounts, takeover

from fraudgraph.errors import UsageError
from fraudgraph.events.kinds import EntityKind
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.rings.facts import FACT_KINDS, facts, recompute
from fraudgraph.rings.facts_kinds import Fact
from fraudgraph.rings.facts_view import RingView
from fraudgraph.rings.facts_words import count, duration, listed, money, of, parts, plural, rfc3339
from fraudgraph.rings.fingerprint import fingerprint, with_past
from fraudgraph.rings.rule_hits import RingRules, RuleCondition, RuleHit, RuleTerm
from fraudgraph.rings.snapshot import NEVER_MS, PastRing, RingSnapshot


def only(snapshot: RingSnapshot, kind: str) -> Fact:
    """Returns the first fact of a kind."""
    found = [f for f in facts(snapshot) if f.kind == kind]
    assert found, f"no fact of kind {kind}: {sorted({f.kind for f in facts(snapshot)})}"
    return found[0]


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_fact_is_recomputed_from_the_snapshot_alone(name: str) -> None:
    snapshot = EXAMPLES[name]()
    for fact in facts(snapshot):
        forged = replace(fact, text="forged", weight=0.5, fields={**fact.fields, "members": 999})
        assert recompute(snapshot, forged) == fact


@pytest.mark.parametrize("name", EXAMPLES)
def test_facts_do_not_depend_on_the_order_of_rows(name: str) -> None:
    snapshot = EXAMPLES[name]()
    rng = random.Random(5)

    def shuffled(rows: tuple[object, ...]) -> tuple[object, ...]:
        return tuple(rng.sample(rows, len(rows)))

    mixed = replace(
        snapshot,
        users=shuffled(snapshot.users),
        links=shuffled(snapshot.links),
        orders=shuffled(snapshot.orders),
        transfers=shuffled(snapshot.transfers),
    )
    assert facts(mixed) == facts(snapshot)


@pytest.mark.parametrize("name", EXAMPLES)
def test_facts_are_numbered_strongest_first_and_name_no_raw_identifier(name: str) -> None:
    snapshot = EXAMPLES[name]()
    found = facts(snapshot)
    assert [f.id for f in found] == [f"E{n}" for n in range(1, len(found) + 1)]
    assert [f.weight for f in found] == sorted((f.weight for f in found), reverse=True)
    assert all(-1.0 <= f.weight <= 1.0 for f in found)
    said = " ".join(f"{f.text} {dict(f.fields)}" for f in found)
    assert not [x.key for x in snapshot.links if x.key in said]


def test_every_kind_of_fact_has_an_example() -> None:
    seen = {f.kind for build in EXAMPLES.values() for f in facts(build())}
    labelled = Builder()
    for i in range(3):
        labelled.user(f"L{i}", NOW - DAY, label=1 if i else -1)
    seen |= {f.kind for f in facts(labelled.build())}
    twin = PastRing("D000001", "R000001", "confirmed", NOW, fingerprint(RingView(fake_accounts())))
    seen |= {f.kind for f in facts(with_past(fake_accounts(), [twin], LinkPolicy()))}
    crowd = RuleTerm(RuleCondition("users", ">=", 3), "all", len(fake_accounts().users), "accounts: at least 3")
    hit = RuleHit("crowd", "0" * 16, "high", "evidence", "Three accounts or more", (crowd,))
    seen |= {f.kind for f in facts(replace(fake_accounts(), rules=RingRules("0" * 16, (hit,))))}
    assert seen == set(FACT_KINDS)


def test_unknown_kind_and_missing_subject_are_refused() -> None:
    snapshot = fake_accounts()
    fact = facts(snapshot)[0]
    with pytest.raises(UsageError, match="unknown kind"):
        recompute(snapshot, replace(fact, kind="rumour"))
    with pytest.raises(UsageError, match="does not bear"):
        recompute(snapshot, replace(fact, kind="shared-identifier", fields={"identifier": "D99"}))


def test_shared_identifier_counts_users_inside_and_outside_the_ring() -> None:
    fact = next(f for f in facts(fake_accounts(8)) if f.fields.get("identifier") == "IP1")
    assert fact.fields["members"] == 3
    assert fact.fields["users_total"] == 43
    assert "3 of the 8 accounts" in fact.text
    assert "40 accounts outside it" in fact.text
    assert "9 times from 2026-03-01 to 2026-03-02" in fact.text


def test_short_names_go_to_the_most_shared_identifier_first() -> None:
    b = Builder()
    for i in range(4):
        b.user(f"U{i}", NOW - 9 * DAY)
    b.use("U0", EntityKind.DEVICE, "early", NOW - 9 * DAY)
    for i in range(3):
        b.use(f"U{i}", EntityKind.DEVICE, "wide", NOW - DAY)
    names = {i.name: len(i.links) for i in RingView(b.build()).identifiers}
    assert names == {"D1": 3, "D2": 1}


def test_hub_is_said_to_tie_nobody_and_weighs_nothing() -> None:
    fact = next(f for f in facts(EXAMPLES["big"]()) if f.fields.get("hub"))
    assert "too many for it to tie anybody" in fact.text
    assert fact.weight == 0.0


def test_burst_prefers_the_day_over_the_week() -> None:
    b = Builder()
    for i in range(6):
        b.user(f"U{i}", NOW - 9 * DAY + (i * HOUR if i < 4 else i * DAY))
    day = only(b.build(), "burst")
    assert (day.fields["window_hours"], day.fields["members"]) == (24, 4)
    assert "4 of the 6 accounts" in day.text
    assert "within 3 hours" in day.text

    for i in range(2, 4):
        b.user(f"U{i}", NOW - 9 * DAY + i * 2 * DAY)
    week = only(b.build(), "burst")
    assert (week.fields["window_hours"], week.fields["members"]) == (168, 6)
    assert week.text.startswith("All 6 accounts")


def test_accounts_older_than_the_stream_begin_nothing() -> None:
    b = Builder()
    for i in range(8):
        b.user(f"U{i}", NOW - 9 * DAY + i * HOUR, first_spend_ms=NOW - 9 * DAY + i * HOUR)
    assert {"burst", "quick-spending"} <= {f.kind for f in facts(b.build())}
    for i in range(2, 8):  # two signed up in the stream, the others were there before it
        b.users[f"U{i}"] = replace(b.users[f"U{i}"], signup_ms=-1)
    assert not {"burst", "quick-spending"} & {f.kind for f in facts(b.build())}
    for i in range(2):  # nobody did: the ring does not show whether the stream has sign-ups
        b.users[f"U{i}"] = replace(b.users[f"U{i}"], signup_ms=-1)
    assert {"burst", "quick-spending"} <= {f.kind for f in facts(b.build())}


def test_no_burst_where_accounts_come_slowly() -> None:
    b = Builder()
    for i in range(6):
        b.user(f"U{i}", NOW - i * 20 * DAY - DAY)
    kinds = {f.kind for f in facts(b.build())}
    assert "burst" not in kinds
    assert "slow-growth" in kinds


def test_card_testing_counts_cards_declines_and_the_worst() -> None:
    fact = only(card_testing(5), "card-testing")
    # Each of five accounts: five declined orders and two declined payments among six orders and three payments.
    assert fact.fields["declined"] == 35
    assert fact.fields["attempts"] == 45
    assert fact.fields["cards"] == 31
    assert "35 of 45" in fact.text
    assert "31 cards" in fact.text
    assert "7 declined (7 cards)" in fact.text


def test_one_declined_payment_each_is_no_card_testing() -> None:
    b = Builder()
    for i in range(8):
        b.user(f"U{i}", NOW - DAY, payments=3, declined=1)
    assert "card-testing" not in {f.kind for f in facts(b.build())}


def test_takeover_names_the_victims_but_not_the_new_account() -> None:
    fact = only(takeover(), "takeover")
    assert fact.fields["user_ids"] == ("V0", "V1", "V2", "V3")
    assert "4 accounts" in fact.text
    assert "V0, V1, V2 and V3" in fact.text
    assert "mule" not in fact.text


def test_brief_visits_need_a_device_of_ones_own_and_a_short_stay() -> None:
    fact = only(EXAMPLES["visited"](), "brief-visits")
    assert fact.fields["members"] == 5
    assert fact.text.startswith("All 5 accounts of the ring (W0, W1, W2, W3 and W4)")
    assert "brief-visits" not in {f.kind for f in facts(EXAMPLES["household"]())}
    assert "brief-visits" not in {f.kind for f in facts(fake_accounts())}


@pytest.mark.parametrize("name", ["household", "dorm", "second-hand"])
def test_those_who_shared_before_are_not_taken_over(name: str) -> None:
    assert "takeover" not in {f.kind for f in facts(EXAMPLES[name]())}


def test_a_familys_new_tablet_is_no_takeover() -> None:
    b = Builder()
    for i in range(4):
        b.user(f"H{i}", NOW - 400 * DAY)
        b.use(f"H{i}", EntityKind.ADDRESS, "home", NOW - 390 * DAY, NOW - DAY)
        b.use(f"H{i}", EntityKind.DEVICE, "tablet", NOW - 5 * DAY + i * DAY)
    assert "takeover" not in {f.kind for f in facts(b.build())}


def test_refund_loop_says_the_money() -> None:
    fact = only(EXAMPLES["return-scam"](), "refund-loop")
    assert (fact.fields["refunds"], fact.fields["orders"]) == (12, 18)
    assert fact.fields["refunded_minor"] == 144_000
    assert "12 refunds for 18 orders by 6 accounts, 1,440.00 EUR of 2,160.00 EUR" in fact.text


def test_circle_of_money_leaves_out_who_only_receives() -> None:
    fact = only(EXAMPLES["money-circle"](), "transfer-cycle")
    assert fact.fields["user_ids"] == ("P0", "P1", "P2", "P3")
    assert fact.fields["amount_minor"] == 200_000
    assert "in a circle among 4 accounts" in fact.text
    assert "2,000.00 EUR" in fact.text


def test_money_sent_one_way_is_no_circle() -> None:
    b = Builder()
    for name in "ABC":
        b.user(name, NOW - DAY)
    b.transfer("A", "B", NOW - HOUR, 100)
    b.transfer("B", "C", NOW - HOUR, 100)
    assert "transfer-cycle" not in {f.kind for f in facts(b.build())}


def test_referral_chain_in_order() -> None:
    fact = only(EXAMPLES["referrals"](), "referral-chain")
    assert fact.fields["chain"] == tuple(f"N{i}" for i in range(7))
    assert "6 accounts" in fact.text
    assert "7 accounts" in fact.text


def test_referrals_in_a_ring_of_three_end() -> None:
    b = Builder()
    for name in "ABC":
        b.user(name, NOW - DAY)
    for a, c in ("AB", "BC", "CA"):
        b.transfer(a, c, NOW - HOUR, 0, kind="referral")
    assert len(only(b.build(), "referral-chain").fields["chain"]) == 3


def test_chargeback_says_what_is_lost() -> None:
    fact = only(fake_accounts(), "chargeback")
    assert fact.fields["charged_back_minor"] == 4_000
    assert fact.text == "1 chargeback on 1 account (U101): 40.00 EUR lost."


def test_bridge_says_what_remains() -> None:
    fact = next(f for f in facts(EXAMPLES["two-halves"]()) if f.fields.get("user_id") == "mid")
    assert fact.fields["parts"] == (6, 5)
    assert fact.text == "Without account mid, the ring falls into 6 + 5 accounts."


def test_labels_speak_for_and_against() -> None:
    b = Builder()
    b.user("good", NOW - DAY, label=-1)
    b.user("bad", NOW - DAY, label=1)
    b.user("new", NOW - DAY)
    by_value = {f.fields["value"]: f for f in facts(b.build()) if f.kind == "labels"}
    assert by_value["fraud"].weight > 0 > by_value["legitimate"].weight
    assert by_value["fraud"].text == "1 of the 3 accounts of the ring is labelled fraud: bad."


def test_handed_on_needs_long_use_without_overlap() -> None:
    assert only(EXAMPLES["second-hand"](), "handed-on").fields["members"] == 3
    assert "handed-on" not in {f.kind for f in facts(EXAMPLES["return-scam"]())}
    assert "handed-on" not in {f.kind for f in facts(EXAMPLES["household"]())}


def test_clean_money_is_gone_with_one_decline() -> None:
    b = Builder()
    for name in "AB":
        b.user(name, NOW - DAY)
        b.order(name, NOW - HOUR, 100)
    assert "clean-money" in {f.kind for f in facts(b.build())}
    b.order("A", NOW - HOUR, 100, declined=True)
    assert "clean-money" not in {f.kind for f in facts(b.build())}


@pytest.mark.parametrize(
    ("number", "noun", "said"),
    [
        (1, "account", "1 account"),
        (2, "address", "2 addresses"),
        (0, "e-mail address", "0 e-mail addresses"),
        (4212, "user", "4,212 users"),
        (3, "party", "3 parties"),
        (2, "day", "2 days"),
    ],
)
def test_counted_nouns(number: int, noun: str, said: str) -> None:
    assert count(number, noun) == said
    assert said.endswith(plural(number, noun))


def test_wholes_and_lists() -> None:
    assert [of(k, n, "account") for k, n in ((1, 1), (2, 2), (3, 3), (1, 3))] == [
        "the only account",
        "both accounts",
        "all 3 accounts",
        "1 of the 3 accounts",
    ]
    assert listed([]) == "nobody"
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(list("abcdefg")) == "a, b, c, d, e and 2 more"
    assert parts((6, 5)) == "6 + 5 accounts"
    assert parts((6, 1, 1)) == "6 accounts and 2 single ones"
    assert parts((1, 1, 1)) == "single accounts"


def test_money_by_its_currencys_own_exponent() -> None:
    assert money(123_456, EUR) == "1,234.56 EUR"
    assert money(123_456, 392) == "123,456 JPY"
    assert money(1_234_567, 48) == "1,234.567 BHD"
    assert money(-50, EUR) == "-0.50 EUR"
    assert not re.search("[A-Z]", money(500, 0))


def test_times() -> None:
    assert rfc3339(NOW) == "2026-03-05T00:00:00Z"
    assert rfc3339(NOW + 5) == "2026-03-05T00:00:00.005Z"
    assert duration(40 * 60_000) == "40 minutes"
    assert duration(DAY) == "24 hours"
    assert duration(400 * DAY) == "13 months"
    assert duration(800 * DAY) == "2 years"


def test_beginnings_are_those_that_the_score_counts() -> None:
    """What was there before the stream, or in its first days, only seems to begin."""
    ring = fake_accounts(6)
    kinds = {"burst", "quick-spending", "device-farm"}
    assert kinds <= {f.kind for f in facts(ring)}
    first_ms, last_ms = min(u.first_ms for u in ring.users), max(u.first_ms for u in ring.users)
    signed_up = replace(ring, users=tuple(replace(u, signup_ms=u.first_ms) for u in ring.users))
    silent = replace(ring, users=tuple(replace(u, signup_ms=-1) for u in ring.users))
    watched = {"births_ms": first_ms, "links_ms": first_ms}
    late = {"births_ms": last_ms + 1, "links_ms": max(x.first_ms for x in ring.links) + 1}
    assert kinds <= {f.kind for f in facts(replace(silent, **watched))}
    assert kinds <= {f.kind for f in facts(replace(signed_up, **late | {"births_ms": NEVER_MS}))}
    assert not kinds & {f.kind for f in facts(replace(silent, **late))}
    assert not kinds & {f.kind for f in facts(replace(silent, **late | {"births_ms": NEVER_MS}))}
