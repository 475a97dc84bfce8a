"""Each step of a ring's life says what brought it: which tie began or ended, and through what."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support.cases import command_batch, spoken
from support.journal import (
    EVENT_NUMBERS,
    LATENESS_MS,
    SMALL_POLICY,
    SMALL_RULES,
    START_MS,
    Happening,
    Source,
    arrivals_of,
    decoded,
    events_of,
    key,
)

from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.cases.orders import Constrain, Order, Remove
from fraudgraph.cases.reasons import CONSTRAINT_REASONS, ConstraintKind
from fraudgraph.durations import DAY_MS, HOUR_MS
from fraudgraph.engine import Engine, EngineRules
from fraudgraph.events.kinds import EntityKind
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.rings.identity import ring_name
from fraudgraph.stores.port import LineageRow
from fraudgraph.testing.fakes import FakeScorer

UNCUT = replace(SMALL_RULES, max_users=100, max_strangers=100)
DEVICE, CARD, ADDRESS, IP = EntityKind.DEVICE, EntityKind.CARD, EntityKind.ADDRESS, EntityKind.IP


@dataclass
class Shop:
    """An engine with small bands, told in hours since its start."""

    rules: EngineRules = UNCUT
    policy: LinkPolicy = SMALL_POLICY
    engine: Engine = field(init=False)
    said: int = 0
    commands: int = 0

    def __post_init__(self) -> None:
        self.engine = Engine(self.policy, self.rules, FakeScorer())
        self.at(0, *((f"opener{i}", ()) for i in range(3)))

    def at(self, hours: float, *uses: tuple[str, tuple[tuple[EntityKind, str], ...]]) -> list[LineageRow]:
        """Commits uses of identifiers at one moment, and a later event of nobody else that settles them."""
        ts_ms = START_MS + round(hours * HOUR_MS)
        events = [Happening(f"e{self.said + i}", ts_ms, user, links=links) for i, (user, links) in enumerate(uses)]
        rows = [("p", event, self.said + i) for i, event in enumerate(events)]
        self.said += len(rows)
        return self.engine.apply(decoded(rows, names=["p"])).delta.lineage

    def order(self, order: Order) -> list[LineageRow]:
        """Commits a command."""
        self.commands += 1
        return self.engine.apply(command_batch([spoken(self.commands, order)], self.commands)).delta.lineage


def use(user: str, *links: tuple[EntityKind, str]) -> tuple[str, tuple[tuple[EntityKind, str], ...]]:
    return user, links


def told(steps: list[LineageRow]) -> list[tuple[str, str]]:
    return [(step.what, step.cause) for step in steps]


def test_a_ring_is_born_grows_and_merges_through_the_identifier_that_joins() -> None:
    shop = Shop()
    assert not shop.at(1, use("a", (DEVICE, "1")), use("b", (DEVICE, "1")))
    assert told(shop.at(2, use("c", (DEVICE, "1")))) == [
        ("born", "an account used device ••, in use by 2 other accounts of the ring")
    ]
    assert told(shop.at(3, use("d", (CARD, "9")), use("a", (CARD, "9")))) == [
        ("grew", "an account used card ••, in use by 1 other account of the ring")
    ]
    shop.at(4, *(use(user, (DEVICE, "2")) for user in ("x", "y", "z")))
    merged, grew = told(shop.at(5, use("x", (CARD, "9"))))[::-1]
    assert merged == ("merged", "an account used card ••, in use by 2 other accounts of the ring")
    assert grew == ("grew", "an account used card ••, in use by 2 other accounts of the ring")


def test_weak_identifiers_together_are_told_together() -> None:
    shop = Shop()
    both = ((ADDRESS, "1"), (IP, "1"))
    shop.at(1, use("a", (DEVICE, "1")), use("b", (DEVICE, "1")), use("c", *both))
    assert told(shop.at(2, use("a", *both))) == [
        ("born", "two accounts share IP address ip •• and address ••: together enough to tie")
    ]


def test_ties_that_end_say_through_what_and_since_when() -> None:
    shop = Shop()
    shop.at(1, *(use(user, (DEVICE, "1")) for user in "abc"), use("d", (CARD, "1")), use("a", (CARD, "1")))
    shop.at(20, *(use(user, (DEVICE, "1")) for user in "abc"))
    shop.at(40, *(use(user, (DEVICE, "1")) for user in "abc"))
    assert told(shop.at(56, use("clock"))) == [("shrank", "a tie through a card ended: last used on 1970-04-11")]
    assert told(shop.at(240, use("clock"))) == [
        ("closed", "a tie through a device ended: expired, last used on 1970-04-12")
    ]


def test_too_many_users_and_an_analysts_word_are_causes() -> None:
    shop = Shop()
    shop.at(1, *(use(user, (CARD, "1")) for user in "abc"))
    assert told(shop.at(2, use("d", (CARD, "1")))) == [("closed", "card •• has 4 accounts now: too many for it to tie")]
    shop.at(3, *(use(user, (DEVICE, "1")) for user in "xyz"))
    hub = Constrain(ConstraintKind.BENIGN_HUB, DEVICE, key("device 1").hex(), "", "household")
    reason = CONSTRAINT_REASONS[ConstraintKind.BENIGN_HUB][0]
    assert told(shop.order(replace(hub, reason=reason))) == [
        ("closed", "a device is harmless by an analyst's word: it ties nobody")
    ]


def test_what_an_analyst_ties_and_no_longer_ties_is_told_so() -> None:
    shop = Shop()
    shop.at(1, *(use(user, (DEVICE, "1")) for user in "abc"), use("d"))
    reason = CONSTRAINT_REASONS[ConstraintKind.MUST_LINK][0]
    bond = Constrain(ConstraintKind.MUST_LINK, EntityKind.USER, "a", "d", reason)
    assert told(shop.order(bond)) == [("grew", "an analyst ties two of the accounts")]
    assert told(shop.order(Remove("C000001"))) == [("shrank", "an analyst's tie of two accounts ended")]


def test_a_component_cut_into_communities_says_so() -> None:
    shop = Shop(SMALL_RULES)
    shop.at(1, *(use(user, (DEVICE, "1")) for user in "abcd"), *(use(user, (DEVICE, "2")) for user in "wxyz"))
    cut = ("shrank", "their component of 8 accounts is cut into communities")
    assert told(shop.at(2, use("a", (CARD, "1")), use("w", (CARD, "1")))) == [cut, cut]


def test_a_quiet_ring_is_dormant_once_and_wakes_once() -> None:
    rules = replace(SMALL_RULES, priority=PriorityRules(dormant_days=2))
    shop = Shop(rules, replace(SMALL_POLICY, locality_days=30))
    shop.at(1, *(use(user, (DEVICE, "1")) for user in "abc"))
    assert not shop.at(48, use("clock"))
    quiet = shop.at(72, use("clock"))
    assert told(quiet) == [("dormant", "nobody in it was seen since 1970-04-11")]
    assert quiet[0].at_ms == START_MS + HOUR_MS + 2 * DAY_MS + 1
    assert (quiet[0].users_before, quiet[0].users_after) == (3, 3)
    assert not shop.at(73, use("clock"))
    woken = shop.at(74, use("b"), use("clock"))
    assert told(woken) == [("revived", "an account was seen again")]
    assert woken[0].at_ms == START_MS + 74 * HOUR_MS


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, EVENT_NUMBERS - 1), min_size=15, max_size=80).map(events_of), st.integers(0, 2**32 - 1))
def test_every_step_has_a_cause_without_a_pseudonym(happenings: list[Happening], salt: int) -> None:
    rng = np.random.default_rng(salt)
    source = Source(list(arrivals_of(happenings, rng.integers(0, LATENESS_MS, len(happenings)).tolist(), 1)))
    rules = replace(SMALL_RULES, priority=PriorityRules(dormant_days=1))
    engine, at = Engine(SMALL_POLICY, rules, FakeScorer()), 0
    quiet: dict[str, bool] = {}
    while at < len(source.arrivals):
        taken = int(rng.integers(1, 9))
        steps = engine.apply(source.batch(at, min(at + taken, len(source.arrivals)))).delta.lineage
        at += taken
        for step in steps:
            assert step.cause
            assert not re.search("[0-9a-f]{32}|u[0-9]", step.cause)
            if step.what in ("dormant", "revived"):
                assert quiet.get(step.ring_id, False) == (step.what == "revived")
            quiet[step.ring_id] = step.what == "dormant" or (quiet.get(step.ring_id, False) and step.what != "revived")
        for serial, row in engine.rows.items():
            is_quiet = rules.priority.is_dormant(row.last_seen_ms, engine.watermark_ms)
            assert quiet.get(ring_name(serial), False) == is_quiet
