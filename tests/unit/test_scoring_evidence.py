"""The evidence: each reason grows with what it names, is bounded, and takes silence for nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudgraph.rings.features import FEATURE_INDEX, RING_FEATURES
from fraudgraph.scoring.evidence import REASONS, EvidenceRules, contributions

RULES = EvidenceRules()

FRACTIONS = {
    "max_share",
    "burst_day",
    "burst_week",
    "overlap",
    "quick_spend",
    "late_share",
    "takeover",
    "one_order",
    "declined_ratio",
    "refund_ratio",
    "refunded_money",
    "chargeback_members",
    "fraud_labels",
    "legitimate_labels",
    "transfers_inside",
    "transfers_back",
}
# More of the first never lowers, or never raises, what the whole evidence comes to.
RISKIER = (
    "burst_day",
    "burst_week",
    "quick_spend",
    "one_order",
    "takeover",
    "declined_ratio",
    "declined_per_user",
    "refund_ratio",
    "refunded_money",
    "chargeback_members",
    "fraud_labels",
    "referrals_inside",
    "transfers_back",
    "cards_per_user",
    "shared_devices",
    "successions",
)
SAFER = ("legitimate_labels", "span_days", "succession_days")


def rows(**values: float) -> np.ndarray:
    """Returns one row of features; what is not named is 0."""
    row = np.zeros((1, len(RING_FEATURES)))
    for name, value in values.items():
        row[0, FEATURE_INDEX[name]] = value
    return row


def total(features: np.ndarray) -> float:
    return float(contributions(features, RULES).sum())


def added(reason: str, **values: float) -> float:
    return float(contributions(rows(**values), RULES)[0, REASONS.index(reason)])


@st.composite
def any_row(draw: st.DrawFn) -> np.ndarray:
    row = np.zeros((1, len(RING_FEATURES)))
    for name, at in FEATURE_INDEX.items():
        top = 1.0 if name in FRACTIONS else 12.0
        row[0, at] = draw(st.floats(0.0, top)) if name != "users" else draw(st.integers(3, 200))
    return row


@given(any_row(), st.sampled_from(RISKIER + SAFER), st.floats(0.0, 12.0))
def test_more_of_a_sign_never_points_the_other_way(row: np.ndarray, name: str, more: float) -> None:
    raised = row.copy()
    at = FEATURE_INDEX[name]
    raised[0, at] = min(row[0, at] + more, 1.0 if name in FRACTIONS else np.inf)
    change = total(raised) - total(row)
    if name in RISKIER:
        assert change >= -1e-9
    else:
        assert change <= 1e-9


@given(any_row())
def test_every_reason_stays_within_its_weight(row: np.ndarray) -> None:
    found = contributions(row, RULES)[0]
    assert np.isfinite(found).all()
    for reason, value in zip(REASONS, found, strict=True):
        weight = RULES.burst_day + RULES.burst_week if reason == "burst" else None
        name = {"one-order-accounts": "one_order"}.get(reason, reason.replace("-", "_"))
        weight = weight if weight is not None else getattr(RULES, name)
        assert abs(value) <= weight + 1e-9, reason


@given(any_row(), any_row())
def test_a_ring_is_judged_by_itself(first: np.ndarray, second: np.ndarray) -> None:
    both = contributions(np.vstack([first, second]), RULES)
    np.testing.assert_array_equal(both[:1], contributions(first, RULES))
    np.testing.assert_array_equal(both[1:], contributions(second, RULES))


@given(st.integers(3, 200))
def test_a_stream_that_knows_nothing_says_nothing_beyond_size(users: int) -> None:
    found = dict(zip(REASONS, contributions(rows(users=users), RULES)[0].tolist(), strict=True))
    about_size = {"large-group", "sprawl", "household-like"}
    assert all(value == 0.0 for reason, value in found.items() if reason not in about_size)


BUSY = {
    "users": 8,
    "shared_devices": 2,
    "max_share": 0.6,
    "burst_day": 0.8,
    "burst_week": 1.0,
    "successions": 2.5,
    "succession_days": 1.0,
    "span_days": 2.0,
    "quick_spend": 0.9,
    "one_order": 0.8,
    "orders_per_user": 1.2,
    "declined_ratio": 0.3,
    "declined_per_user": 1.5,
    "refund_ratio": 0.5,
    "refunded_money": 0.5,
    "chargeback_members": 0.2,
    "fraud_labels": 0.2,
    "referrals_inside": 0.4,
    "cards_per_user": 3.0,
}


@pytest.mark.parametrize(
    "kind",
    [
        ("orders_per_user", "one_order", "quick_spend", "refund_ratio", "refunded_money"),
        ("declined_ratio", "declined_per_user"),
        ("chargeback_members", "chargebacks_per_user"),
        ("fraud_labels", "legitimate_labels"),
        ("cards_per_user", "shared_cards"),
        ("referrals_inside",),
    ],
    ids=lambda names: names[0],
)
def test_what_a_stream_lacks_never_looks_suspicious(kind: tuple[str, ...]) -> None:
    assert total(rows(**BUSY)) >= total(rows(**(BUSY | dict.fromkeys(kind, 0.0))))


def test_a_family_with_a_new_router_is_no_takeover_but_six_strangers_are() -> None:
    swift = {"takeover": 0.75, "successions": 2.0, "succession_days": 1.0}
    family = added("takeover", users=3, **swift)
    household = added("takeover", users=6, max_share=1.0, **swift)
    strangers = added("takeover", users=8, max_share=1.0, **swift)
    assert family == 0.0
    assert 0.0 < household < 0.5 * RULES.takeover
    assert strangers == RULES.takeover
    assert added("takeover", users=8, max_share=1.0, **(swift | {"transfers_inside": 0.5})) == 0.0
    assert added("takeover", users=8, max_share=1.0, **(swift | {"succession_days": 4.0})) == 0.0


def test_two_of_a_family_together_are_a_coincidence_and_four_accounts_are_not() -> None:
    assert added("burst", users=4, burst_day=0.25, burst_week=0.25) == 0.0
    few = added("burst", users=3, burst_day=1.0, burst_week=1.0)
    many = added("burst", users=4, burst_day=1.0, burst_week=1.0)
    assert few < many == RULES.burst_day + RULES.burst_week


def test_a_wide_loose_group_speaks_against_and_its_size_no_longer_for() -> None:
    loose = rows(users=40, max_share=0.1, shared_devices=40, shared_cards=30)
    tight = rows(users=40, max_share=0.9, shared_devices=40, shared_cards=30)
    assert total(loose) < 0.0 < total(tight)
    assert added("large-group", users=80, max_share=0.1) == 0.0


def test_a_device_of_a_crowd_is_a_kiosk_and_one_of_a_dozen_is_not() -> None:
    assert added("crowd", users=25, max_share=1.0) == 0.0
    assert -RULES.crowd < added("crowd", users=40, max_share=1.0) < 0.0
    assert added("crowd", users=200, max_share=1.0) == -RULES.crowd
    assert added("crowd", users=200, max_share=0.1) == 0.0, "many accounts with little in common are a sprawl"


def test_returns_of_a_fashion_shop_say_nothing_until_most_comes_back() -> None:
    usual = {"users": 5, "orders_per_user": 2.0, "refund_ratio": 0.25, "refunded_money": 0.8}
    assert added("refunds", **usual) == 0.0
    assert added("refunds", **(usual | {"refund_ratio": 0.5})) == pytest.approx(RULES.refunds / 2.0)
    assert added("refunds", **(usual | {"refund_ratio": 0.75})) == RULES.refunds


def test_the_hash_names_the_constants() -> None:
    assert EvidenceRules().hash == RULES.hash
    assert EvidenceRules(refunds=1.7).hash != RULES.hash
