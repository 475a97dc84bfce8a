"""What a ring looks like is read from what was done in it, and is unclear rather than wrong."""

from __future__ import annotations

import pytest
from support.snapshots import DAY, HOUR, NOW, Builder, dorm, fake_accounts, household

from fraudgraph.events.kinds import EntityKind
from fraudgraph.narrative.evidence import make_evidence
from fraudgraph.narrative.pack import PackFact
from fraudgraph.narrative.pattern import BORNE_BY, MIN_LEAD, MIN_SCORE, SIGNS, UNCLEAR, pattern, scores
from fraudgraph.rings.snapshot import RingSnapshot

RING = PackFact("R", "ring", 0, {"members": 6})


def fact(number: int, kind: str, percent: int, **fields: object) -> PackFact:
    return PackFact(f"E{number}", kind, percent, fields)  # type: ignore[arg-type]  # the tests' own values


BURST = fact(1, "burst", 80, members=6)
REFUNDS = fact(2, "refund-loop", 60, members=5, refunds=8, orders=9)
PHONE = fact(3, "shared-identifier", 60, members=6, identifier="P1")
CARD = fact(4, "shared-identifier", 60, members=6, identifier="C1")


@pytest.mark.parametrize(
    ("facts", "name", "evidence"),
    [
        ((BURST, PHONE), "fake-accounts", ("E1", "E3")),
        ((REFUNDS,), "return-scam", ("E2",)),
        ((CARD,), UNCLEAR, ()),
        ((PHONE,), UNCLEAR, ()),
        ((fact(1, "one-order-accounts", 30, members=6),), UNCLEAR, ()),
        ((fact(1, "device-farm", 50, members=5, identifier="D1"),), "shared-devices", ("E1",)),
        ((fact(1, "device-farm", 20, members=3, identifier="D1"),), UNCLEAR, ()),
        ((fact(1, "chargeback", 70, members=4, long_known=4),), "account-takeover", ("E1",)),
        ((fact(1, "chargeback", 70, members=4),), "payment-abuse", ("E1",)),
        ((fact(1, "chargeback", 70, members=4, long_known=2),), UNCLEAR, ()),
    ],
)
def test_a_pattern_rests_on_what_was_done(facts: tuple[PackFact, ...], name: str, evidence: tuple[str, ...]) -> None:
    looks = pattern((RING, *facts))
    assert (looks.name, looks.evidence) == (name, evidence)


def test_two_patterns_borne_about_as_well_are_unclear() -> None:
    weak = fact(2, "refund-loop", 30, members=2, refunds=7, orders=20)
    rows = (RING, BURST, weak)
    found = sorted(scores(rows).values())
    assert found[-1] >= MIN_SCORE
    assert found[-1] - found[-2] < MIN_LEAD
    assert pattern(rows).name == UNCLEAR


def test_what_half_the_shop_uses_is_no_sign() -> None:
    hub = fact(3, "shared-identifier", 60, members=6, identifier="P1", hub=True)
    assert scores((RING, BURST, hub)) == scores((RING, BURST))


def test_every_sign_counts_somewhere() -> None:
    assert {sign for signs in BORNE_BY.values() for sign in signs} == set(SIGNS)


@pytest.mark.parametrize("build", [household, dorm])
def test_sharing_alone_is_no_pattern(build: type) -> None:
    evidence = make_evidence(build())
    assert pattern(evidence.items.values()).name == UNCLEAR


def charged(age_days: int) -> RingSnapshot:
    b = Builder()
    for n in range(4):
        b.user(f"u{n}", NOW - age_days * DAY + n * HOUR)
        b.use(f"u{n}", EntityKind.DEVICE, "one", NOW - DAY + n * HOUR)
        b.order(f"u{n}", NOW - DAY + n * HOUR, 5_000, charged=5_000)
    return b.build()


def test_the_pack_says_which_losses_hit_accounts_of_long_standing() -> None:
    for age_days, known in ((200, 4), (10, None)):
        evidence = make_evidence(charged(age_days))
        losses = next(f for f in evidence.pack.facts if f.kind == "chargeback")
        assert losses.fields.get("long_known") == known
        assert evidence.items["R"].fields.get("long_known") == known
    assert "long_known" not in make_evidence(fake_accounts()).items["R"].fields
