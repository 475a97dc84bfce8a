"""The report says the right thing of each kind of ring, and never accuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.snapshots import DAY, EUR, EXAMPLES, HOUR, JPY, NOW, USD, Builder, fake_accounts, household

from fraudgraph.events.kinds import EntityKind
from fraudgraph.narrative.catalogue import ACTIONS, EXPLANATIONS
from fraudgraph.narrative.headline import percent, sure
from fraudgraph.narrative.realise import against
from fraudgraph.reports.model import build_report
from fraudgraph.reports.timeline import MAX_LINES
from fraudgraph.rings.roles import RoleName
from fraudgraph.rings.snapshot import SnapshotSent


@pytest.mark.parametrize(
    ("name", "pattern", "words"),
    [
        ("fake-accounts", "fake-accounts", "Looks like fake accounts: 8 accounts that share 2 devices"),
        ("card-testing", "card-testing", "card testing"),
        ("takeover", "account-takeover", "account takeover: 5 accounts that share one device and one address"),
        ("visited", "account-takeover", "account takeover: 5 accounts"),
        ("return-scam", "return-scam", "a return scam: 6 accounts"),
        ("money-circle", "money-circulation", "circulation of money: 5 accounts"),
        ("referrals", "promo-abuse", "promotion abuse: 7 accounts"),
    ],
)
def test_headline_names_the_pattern_how_sure_and_the_money(name: str, pattern: str, words: str) -> None:
    snapshot = EXAMPLES[name]()
    report = build_report(snapshot)
    assert report.pattern.name == pattern
    assert report.pattern.evidence
    assert words in report.headline
    assert f"({percent(snapshot.probability)})" in report.headline
    assert report.factors[0].value in report.headline


@pytest.mark.parametrize(
    ("name", "explanation"),
    [
        ("household", "household"),
        ("household", "family-card"),
        ("second-hand", "second-hand-device"),
        ("dorm", "shared-building"),
        ("dorm", "office-network"),
        ("dorm", "gift-buyers"),
    ],
)
def test_benign_look_alikes_get_their_innocent_explanation(name: str, explanation: str) -> None:
    report = build_report(EXAMPLES[name]())
    found = {e.name: e for e in report.innocent}
    assert explanation in found
    assert found[explanation].strong
    assert found[explanation].evidence
    assert report.headline.startswith("May well be")
    assert "unlikely" in report.headline
    assert "close-as-innocent" in {a.name for a in report.actions}
    assert not {"block-identifier-after-confirmation", "step-up-verification"} & {a.name for a in report.actions}


def test_what_contradicts_an_innocent_explanation_is_said() -> None:
    report = build_report(EXAMPLES["fake-accounts"]())
    building = next(e for e in report.innocent if e.name == "shared-building")
    harsh = {f.id for f in report.facts if f.kind in ("burst", "device-farm", "chargeback")}
    assert set(building.contradicted) == harsh
    assert "Against this stand E" in against(building)


def test_sharing_without_behaviour_is_insufficient_evidence() -> None:
    b = Builder()
    for i in range(3):
        b.user(f"U{i}", NOW - i * 20 * DAY - DAY)
        b.use(f"U{i}", EntityKind.DEVICE, "dev", NOW - i * 20 * DAY - DAY, NOW - HOUR)
    report = build_report(b.build(0.3))
    assert "insufficient-evidence" in {e.name for e in report.innocent}
    assert "request-information" in {a.name for a in report.actions}


def test_everything_said_comes_from_a_closed_list_and_accuses_nobody() -> None:
    for build in EXAMPLES.values():
        report = build_report(build())
        assert {a.name for a in report.actions} <= set(ACTIONS)
        assert [a.name for a in report.actions] == sorted((a.name for a in report.actions), key=list(ACTIONS).index)
        assert {e.name for e in report.innocent} <= set(EXPLANATIONS)
        said = " ".join((report.headline, *(a.text for a in report.actions), *(e.text for e in report.innocent)))
        assert not {w for w in ("fraudster", "criminal", "guilty", "thief", "culprit") if w in said.lower()}


def test_takeover_report_contacts_victims_and_does_not_step_them_up() -> None:
    report = build_report(EXAMPLES["takeover"]())
    by_name = {a.name: a.text for a in report.actions}
    assert "V0, V1, V2 and V3" in by_name["contact-likely-victims"]
    assert "V0" not in by_name.get("step-up-verification", "")
    assert [m.role.name for m in report.members].index(RoleName.LIKELY_VICTIM) == 1


def test_open_orders_are_those_of_the_last_week_that_can_still_be_lost() -> None:
    b = Builder()
    for name in "AB":
        b.user(name, NOW - 20 * DAY)
    b.order("A", NOW - DAY, 10_000, refunded=2_500)
    b.order("A", NOW - DAY, 7_000, declined=True)
    b.order("B", NOW - DAY, 5_000, refunded=5_000)
    b.order("B", NOW - 8 * DAY, 9_900)
    action = next(a for a in build_report(b.build()).actions if a.name == "review-open-orders")
    assert "the order of the last 7 days" in action.text
    assert "75.00 EUR" in action.reason


def test_money_is_said_per_currency_and_the_main_one_is_in_the_headline() -> None:
    b = Builder()
    b.user("A", NOW - DAY)
    b.user("B", NOW - DAY)
    b.order("A", NOW - HOUR, 10_000, currency=EUR, refunded=1_000, charged=2_000)
    b.order("A", NOW - HOUR, 500, currency=USD)
    b.order("B", NOW - HOUR, 300, currency=JPY)
    b.order("B", NOW - HOUR, 9_999_999, currency=JPY, declined=True)
    report = build_report(b.build())
    assert "90.00 EUR at stake" in report.headline
    assert any("70.00 EUR can still be lost" in x and "20.00 EUR lost to chargebacks" in x for x in report.money_lines)
    assert any("10.00 EUR refunded" in x and "at stake 90.00 EUR" in x for x in report.money_lines)
    assert any("300 JPY" in x for x in report.money_lines)
    assert "1 order declined or cancelled: not counted." in report.money_lines
    assert not any("9,999,999" in x for x in report.money_lines)


def test_money_sent_to_outside_counts_and_is_said() -> None:
    circle = EXAMPLES["money-circle"]()
    inside = build_report(circle).money.main.transferred_minor
    sender = circle.users[0].user_id
    report = build_report(replace(circle, sent_outside=(SnapshotSent(sender, circle.currency, 123_400, 2),)))
    assert report.money.main.transferred_minor == inside + 123_400
    assert any("1,234.00 EUR of it to accounts outside the ring" in line for line in report.money_lines)


def test_timeline_is_in_order_bounded_and_holds_the_rings_life() -> None:
    report = build_report(EXAMPLES["big"]())
    times = [h.at_ms for h in report.happenings]
    assert times == sorted(times)
    assert len(times) <= MAX_LINES + 1
    texts = " / ".join(h.text for h in report.happenings)
    assert "Found as a ring of 30 accounts" in texts
    assert "Grew from 30 accounts to 60 accounts" in texts


def test_factors_and_computation_are_shown() -> None:
    report = build_report(fake_accounts())
    assert [f.name for f in report.factors] == ["value at risk", "probability", "recency"]
    assert report.contributions[0] == ("burst", 1.2)
    computed = dict(report.computed)
    assert computed["scorer"] == "structural-1"
    assert computed["position of events.jsonl"] == "12,345"
    assert computed["as of"].startswith("2026-03-05 00:00")


@pytest.mark.parametrize(
    ("probability", "said"),
    [
        (0.0, "almost certainly not a fraud ring (< 1 %)"),
        (0.1, "very unlikely to be a fraud ring (10 %)"),
        (0.3, "unlikely to be a fraud ring (30 %)"),
        (0.5, "about as likely as not a fraud ring (50 %)"),
        (0.7, "likely a fraud ring (70 %)"),
        (0.9, "very likely a fraud ring (90 %)"),
        (1.0, "almost certainly a fraud ring (> 99 %)"),
    ],
)
def test_probability_in_words(probability: float, said: str) -> None:
    assert sure(probability) == said


def test_the_same_snapshot_gives_the_same_report() -> None:
    first, second = build_report(household()), build_report(household())
    assert (first.headline, first.facts, first.members, first.actions) == (
        second.headline,
        second.facts,
        second.members,
        second.actions,
    )
