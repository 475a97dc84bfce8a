"""Every feature and every sum of a ring against the words that define it, on random small worlds."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from statistics import median

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.journal import (
    EVENT_NUMBERS,
    LATENESS_MS,
    SMALL_POLICY,
    SMALL_RULES,
    START_MS,
    Happening,
    Source,
    arrivals_of,
    events_of,
)

from fraudgraph.durations import DAY_MS
from fraudgraph.engine import Engine, EngineRules
from fraudgraph.events.kinds import IDENTIFIER_KINDS, EntityKind, EventType, Status
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.rings.features import RING_FEATURES
from fraudgraph.rings.identity import ring_name
from fraudgraph.rings.measure import Watch
from fraudgraph.rings.money import order_exposure, ring_money
from fraudgraph.testing.canonical import GraphView, LinkView, graph_view, measures_view
from fraudgraph.testing.fakes import FakeScorer
from fraudgraph.testing.memory_store import MemoryStore

SLOWLY = 9
"""So many times slower than the small journals: then months pass, and links begin late in an account's life."""

worlds = st.lists(st.integers(0, EVENT_NUMBERS - 1), min_size=20, max_size=70).map(events_of)


def slowed(happenings: list[Happening]) -> list[Happening]:
    return [replace(event, ts_ms=START_MS + SLOWLY * (event.ts_ms - START_MS)) for event in happenings]


def run(happenings: list[Happening], policy: LinkPolicy, rules: EngineRules, salt: int = 0) -> Engine:
    engine = Engine(policy, rules, FakeScorer())
    delays = np.random.default_rng(salt).integers(0, LATENESS_MS, len(happenings)).tolist()
    source = Source(list(arrivals_of(happenings, delays, 1)))
    engine.apply(source.batch(0, len(source.arrivals)))
    return engine


def log(x: float) -> float:
    return math.log2(1.0 + x)


def within(moments: list[int], width_ms: int) -> int:
    return max((sum(start <= moment <= start + width_ms for moment in moments) for start in moments), default=0)


class Slow:
    """The definitions in `rings.features` and `rings.money`, word for word."""

    def __init__(self, view: GraphView, team: frozenset[str], watch: Watch) -> None:
        self.view, self.team, self.watch = view, team, watch
        self.users = {name: view.users[name] for name in team}
        self.uses: dict[tuple[EntityKind, bytes], dict[str, LinkView]] = defaultdict(dict)
        for (user, identifier), link in view.links.items():
            if user in team:
                self.uses[identifier][user] = link
        self.shared = {
            identifier: uses
            for identifier, uses in self.uses.items()
            if len(uses) >= 2 and not any(link.hub for link in uses.values())
        }
        self.solid = {identifier: uses for identifier, uses in self.shared.items() if identifier[0] != EntityKind.IP}

    def features(self) -> dict[str, float]:
        found = self.structure() | self.time() | self.activity() | self.money_features() | self.transfers()
        assert set(found) == set(RING_FEATURES)
        return found

    def structure(self) -> dict[str, float]:
        n = len(self.team)
        plural = {EntityKind.ADDRESS: "addresses"}
        shared = {
            f"shared_{plural.get(kind, f'{kind.label}s')}": float(sum(one == kind for one, _ in self.shared))
            for kind in IDENTIFIER_KINDS
        }
        of_kind = {kind: sum(len(uses) for (one, _), uses in self.uses.items() if one == kind) for kind in EntityKind}
        return shared | {
            "users": n,
            "max_share": max((len(uses) for uses in self.solid.values()), default=0) / n,
            "ties_per_user": sum(len(uses) for uses in self.solid.values()) / n,
            "devices_per_user": of_kind[EntityKind.DEVICE] / n,
            "cards_per_user": of_kind[EntityKind.CARD] / n,
            "emails_per_user": of_kind[EntityKind.EMAIL] / n,
        }

    def is_new(self, user: str) -> bool:
        return self.users[user].signup_ms >= 0 or self.users[user].first_ms >= self.watch.births_ms

    def is_late(self, user: str, link: LinkView) -> bool:
        return link.first_ms - self.users[user].first_ms > 30 * DAY_MS

    def time(self) -> dict[str, float]:
        n = len(self.team)
        born = [one.first_ms for name, one in self.users.items() if self.is_new(name)]
        gaps, touching = [], 0
        for uses in self.solid.values():
            ordered = sorted(uses.items(), key=lambda use: (use[1].first_ms, use[1].last_ms, self.is_new(use[0])))
            for (one, before), (other, after) in pairwise(ordered):
                if all(
                    link.first_ms >= self.watch.links_ms or self.is_new(user)
                    for user, link in ((one, before), (other, after))
                ):
                    gaps.append((after.first_ms - before.first_ms) / DAY_MS)
                    touching += after.first_ms <= before.last_ms + DAY_MS
        late = [self.is_late(user, link) for uses in self.solid.values() for user, link in uses.items()]
        taken_over = {
            user
            for (kind, _), uses in self.shared.items()
            if kind in (EntityKind.DEVICE, EntityKind.IP)
            for user, link in uses.items()
            if self.is_late(user, link)
            and sum(abs(other.first_ms - link.first_ms) <= 7 * DAY_MS for other in uses.values()) >= 3
        }
        quick = [
            one
            for name, one in self.users.items()
            if self.is_new(name) and 0 <= one.first_spend_ms <= one.first_ms + DAY_MS
        ]
        return {
            "burst_day": within(born, DAY_MS) / n,
            "burst_week": within(born, 7 * DAY_MS) / n,
            "successions": log(len(gaps)),
            "succession_days": log(median(gaps)) if gaps else 0.0,
            "overlap": touching / len(gaps) if gaps else 0.0,
            "span_days": sum(log((one.last_ms - one.first_ms) / DAY_MS) for one in self.users.values()) / n,
            "quick_spend": len(quick) / n,
            "late_share": sum(late) / len(late) if late else 0.0,
            "takeover": len(taken_over) / n,
        }

    def activity(self) -> dict[str, float]:
        n = len(self.team)
        people = list(self.users.values())
        total = {name: sum(one.counts[name] for one in people) for name in people[0].counts}
        tried = total["orders"] + total["payments"]
        return {
            "logins_per_user": log(total["logins"] / n),
            "orders_per_user": log(total["orders"] / n),
            "one_order": sum(one.counts["orders"] == 1 for one in people) / n,
            "declined_ratio": min(1.0, total["declined"] / tried) if tried else 0.0,
            "declined_per_user": log(total["declined"] / n),
            "refund_ratio": min(1.0, total["refunds"] / total["orders"]) if total["orders"] else 0.0,
            "chargebacks_per_user": total["chargebacks"] / n,
            "chargeback_members": sum(one.counts["chargebacks"] > 0 for one in people) / n,
            "fraud_labels": sum(one.label > 0 for one in people) / n,
            "legitimate_labels": sum(one.label < 0 for one in people) / n,
            "transfers_per_user": log((total["transfers_out"] + total["transfers_in"]) / n),
        }

    def transfers(self) -> dict[str, float]:
        n = len(self.team)
        sent = {(a, b, code) for a, b, kind, code in self.view.transfers if kind == EventType.TRANSFER}
        # A pair counts once per currency.
        inside = [(a, b) for a, b, _ in sent if a in self.team and b in self.team and a != b]
        back = [(a, b) for a, b in inside if any((b, a) == pair[:2] for pair in sent)]
        referrals = sum(
            count
            for (a, b, kind, _), (_, _, count, _) in self.view.transfers.items()
            if kind == EventType.REFERRAL and a in self.team and b in self.team and a != b
        )
        return {
            "referrals_inside": referrals / n,
            "transfers_inside": len({a for a, _ in inside}) / n,
            "transfers_back": len(back) / len(inside) if inside else 0.0,
        }

    def money(self) -> tuple[int, int, dict[int, int], dict[int, int]]:
        """Returns value at risk, main currency, and what was ordered and refunded by currency."""
        at_risk, sent = defaultdict(int), defaultdict(int)
        ordered, refunded = defaultdict(int), defaultdict(int)
        for order in self.view.orders.values():
            if order.user in self.team:
                seen = {status for status in Status if order.status & 1 << status}
                stopped = Status.CANCELLED in seen or (Status.DECLINED in seen and Status.APPROVED not in seen)
                exposed = order_exposure(order.amount_minor, order.refunded_minor, order.charged_minor, stopped)
                at_risk[order.currency] += exposed + order.charged_minor
                ordered[order.currency] += 0 if stopped else order.amount_minor
                refunded[order.currency] += order.refunded_minor
        for (sender, _, kind, currency), (_, _, _, amount) in self.view.transfers.items():
            if sender in self.team and kind == EventType.TRANSFER:
                sent[currency] += amount
        value = at_risk if any(at_risk.values()) else sent
        currencies = at_risk.keys() | sent.keys()
        main = min(currencies, key=lambda code: (-value[code], code), default=0)
        return value[main], main, ordered, refunded

    def money_features(self) -> dict[str, float]:
        _, main, ordered, refunded = self.money()
        return {"refunded_money": min(1.0, refunded[main] / ordered[main]) if ordered[main] else 0.0}

    def sums(self) -> dict[str, int]:
        value, currency, _, _ = self.money()
        return {
            "value_at_risk_minor": value,
            "currency": currency,
            "identifiers": len(self.shared),
            "first_ms": min(one.first_ms for one in self.users.values()),
            "last_ms": max(one.last_ms for one in self.users.values()),
        }


def check(engine: Engine, salt: int) -> None:
    view = graph_view(engine)
    rng = np.random.default_rng(salt)
    names = sorted(view.users)
    anyone = [frozenset(rng.permutation(names)[: int(rng.integers(1, len(names) + 1))].tolist()) for _ in range(3)]
    teams = {*view.components, *anyone}
    for team, measured in measures_view(engine, teams).items():
        slow = Slow(view, team, engine.watch)
        assert measured == pytest.approx(slow.features() | slow.sums(), abs=1e-9)


@settings(max_examples=250, deadline=None)
@given(worlds, st.integers(0, 2**32 - 1), st.integers(0, 3))
def test_features_and_sums_over_months(happenings: list[Happening], salt: int, warmup_days: int) -> None:
    rules = EngineRules(clock=SMALL_RULES.clock, warmup_days=30 * warmup_days)
    check(run(slowed(happenings), LinkPolicy(), rules, salt), salt)


@settings(max_examples=200, deadline=None)
@given(worlds, st.integers(0, 2**32 - 1))
def test_features_and_sums_where_identifiers_are_hubs_soon(happenings: list[Happening], salt: int) -> None:
    check(run(happenings, SMALL_POLICY, replace(SMALL_RULES, max_users=1000), salt), salt)


def test_many_currencies_are_told_apart() -> None:
    orders = [
        Happening(f"o{code}", START_MS, "u0", EventType.ORDER, amount_minor=code, currency=code, order=f"{code}")
        for code in range(1, 180)
    ]
    engine = run([*orders, orders[0]], SMALL_POLICY, SMALL_RULES)
    (measured,) = measures_view(engine, [frozenset({"u0"})]).values()
    assert (measured["value_at_risk_minor"], measured["currency"]) == (179, 179)


@settings(max_examples=150, deadline=None)
@given(worlds, st.integers(0, 2**32 - 1))
def test_money_in_the_queue_is_money_in_the_report(happenings: list[Happening], salt: int) -> None:
    engine = Engine(SMALL_POLICY, SMALL_RULES, FakeScorer())
    store = MemoryStore(SMALL_POLICY, SMALL_RULES.priority)
    store.claim()
    delays = np.random.default_rng(salt).integers(0, LATENESS_MS, len(happenings)).tolist()
    source = Source(list(arrivals_of(happenings, delays, 1)))
    count = len(source.arrivals)
    for begin in range(0, count, 9):
        store.commit(engine.apply(source.batch(begin, min(begin + 9, count))).delta)
        for serial, row in engine.rows.items():
            snapshot = store.snapshot(ring_name(serial))
            assert snapshot is not None
            money = ring_money(snapshot)
            assert (money.value_at_risk_minor, money.currency) == (row.value_at_risk_minor, row.currency)
            assert len(snapshot.users) == row.users
