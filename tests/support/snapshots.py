"""Realistic ring snapshots: fraud of several kinds, benign look-alikes, and random ones for Hypothesis."""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from hypothesis import strategies as st

from fraudgraph.events.kinds import IDENTIFIER_KINDS, EntityKind
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.rings.money import order_exposure
from fraudgraph.rings.snapshot import (
    RingSnapshot,
    SnapshotLink,
    SnapshotOrder,
    SnapshotStep,
    SnapshotTransfer,
    SnapshotUser,
)

DAY = 86_400_000
HOUR = 3_600_000
NOW = 1_772_668_800_000  # 2026-03-05 00:00 UTC
EUR, USD, JPY = 978, 840, 392

_MASKS = {
    EntityKind.DEVICE: "dev …{:04x}",
    EntityKind.IP: "203.0.{}.0/24",
    EntityKind.CARD: "•••• {:04d}",
    EntityKind.EMAIL: "a…@shop{}.example",
    EntityKind.PHONE: "+49 ••• {:03d}",
    EntityKind.ADDRESS: "•• {:05d}",
}


def pseudonym(kind: EntityKind, key: str) -> str:
    """Returns 32 hex digits, as the edge makes them."""
    return hashlib.blake2b(f"{kind.label}:{key}".encode(), digest_size=16).hexdigest()


class Builder:
    """Puts a snapshot together use by use, and keeps its counts consistent."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = random.Random(seed)
        self.users: dict[str, SnapshotUser] = {}
        self.uses: dict[tuple[str, EntityKind, str], list[int]] = defaultdict(list)
        self.outside: dict[tuple[EntityKind, str], int] = {}
        self.orders: list[SnapshotOrder] = []
        self.transfers: list[SnapshotTransfer] = []

    def user(self, user_id: str, first_ms: int, last_ms: int | None = None, **counts: int) -> None:
        """Adds a member."""
        last = NOW - HOUR if last_ms is None else last_ms
        probability = counts.pop("percent", 80) / 100
        self.users[user_id] = SnapshotUser(user_id, probability, first_ms, last, signup_ms=first_ms, **counts)

    def use(self, user_id: str, kind: EntityKind, key: str, *times: int) -> None:
        """Adds uses of an identifier by a member."""
        self.uses[user_id, kind, key] += times

    def order(
        self,
        user_id: str,
        ts_ms: int,
        amount: int,
        *,
        refunded: int = 0,
        charged: int = 0,
        currency: int = EUR,
        declined: bool = False,
    ) -> None:
        """Adds an order, and counts it on its member."""
        ref = f"o{len(self.orders):04d}"
        self.orders.append(SnapshotOrder(ref, user_id, ts_ms, amount, refunded, charged, currency, declined))
        u = self.users[user_id]
        self.users[user_id] = replace(
            u,
            orders=u.orders + 1,
            declined=u.declined + declined,
            refunds=u.refunds + (refunded > 0),
            chargebacks=u.chargebacks + (charged > 0),
            first_spend_ms=ts_ms if u.first_spend_ms < 0 else min(ts_ms, u.first_spend_ms),
        )

    def transfer(self, a: str, b: str, ts_ms: int, amount: int, *, kind: str = "transfer", currency: int = EUR) -> None:
        """Adds a transfer or referral between two members."""
        self.transfers.append(SnapshotTransfer(a, b, kind, ts_ms, ts_ms + HOUR, 1, amount, currency))

    def build(self, probability: float = 0.9, ring_id: str = "R-000042", **fields: object) -> RingSnapshot:
        """Returns the snapshot, with strengths by the link policy as of `NOW`."""
        policy = LinkPolicy()
        users_of: dict[tuple[EntityKind, str], int] = defaultdict(int)
        for _, kind, key in self.uses:
            users_of[kind, key] += 1
        numbers = {ik: n for n, ik in enumerate(sorted(users_of))}
        links = []
        for (user_id, kind, key), times in self.uses.items():
            active = users_of[kind, key] + self.outside.get((kind, key), 0)
            strength = policy.strength(kind.label, active, NOW - max(times))
            links.append(
                SnapshotLink(
                    user_id,
                    kind,
                    pseudonym(kind, key),
                    _MASKS[kind].format(numbers[kind, key] % 250),
                    min(times),
                    max(times),
                    len(times),
                    active,
                    strength,
                    ties=strength >= policy.theta,
                    hub=active > policy.kinds[kind.label].hub_users,
                )
            )
        first = min(u.first_ms for u in self.users.values())
        half = len(self.users) // 2
        steps = (
            SnapshotStep("born", first + DAY, 0, half, None),
            SnapshotStep("grew", first + 2 * DAY, half, len(self.users), None),
        )
        snapshot = RingSnapshot(
            ring_id=ring_id,
            status="open",
            probability=probability,
            priority=123_456.0,
            value_at_risk_minor=0,
            currency=0,
            recency=0.98,
            reason="burst",
            as_of_ms=NOW,
            users=tuple(self.users.values()),
            links=tuple(links),
            orders=tuple(self.orders),
            transfers=tuple(self.transfers),
            lineage=steps,
            contributions={"burst": 1.2, "declined-payments": 0.4, "long-standing": -0.3},
            versions={"policy": "1", "policy_hash": policy.hash, "scorer": "structural-1", "code": "0.1.0"},
            positions={"events.jsonl": 12_345},
        )
        value, currency = engine_value(snapshot)
        return replace(snapshot, value_at_risk_minor=value, currency=currency, **fields)


def engine_value(snapshot: RingSnapshot) -> tuple[int, int]:
    """Returns (value at risk, main currency) the way the engine's loop adds it up, to compare `ring_money` with."""
    sums: dict[int, int] = defaultdict(int)
    sent: dict[int, int] = defaultdict(int)
    for o in snapshot.orders:
        exposed = order_exposure(o.amount_minor, o.refunded_minor, o.charged_minor, o.declined)
        sums[o.currency] += exposed + o.charged_minor
        sent[o.currency] += 0
    for t in snapshot.transfers:
        if t.kind == "transfer":
            sums[t.currency] += 0
            sent[t.currency] += t.amount_minor
    if not any(sums.values()):
        sums = sent
    if not sums:
        return 0, 0
    currency = min(sums, key=lambda c: (-sums[c], c))
    return sums[currency], currency


def fake_accounts(n: int = 8, seed: int = 1) -> RingSnapshot:
    """Accounts opened in a night on two devices, one drop address, one order each."""
    b = Builder(seed)
    start = NOW - 4 * DAY
    for i in range(n):
        at = start + i * 17 * 60_000
        b.user(f"U{100 + i}", at, at + 2 * DAY, logins=2)
        b.use(f"U{100 + i}", EntityKind.DEVICE, f"dev{i % 2 if n > 5 else 0}", at, at + HOUR)
        if n > 5 and i == n // 2:
            b.use(f"U{100 + i}", EntityKind.DEVICE, f"dev{(i + 1) % 2}", at + HOUR)
        b.use(f"U{100 + i}", EntityKind.ADDRESS, "drop", at + HOUR)
        b.use(f"U{100 + i}", EntityKind.EMAIL, f"mail{i}", at)
        b.use(f"U{100 + i}", EntityKind.IP, f"net{i % 3}", at, at + HOUR, at + DAY)
        b.use(f"U{100 + i}", EntityKind.CARD, f"card{i // 2}", at + HOUR)
        b.order(f"U{100 + i}", at + HOUR, 4_000 + 777 * (i % 7), charged=4_000 if i == 1 else 0)
    b.outside[EntityKind.IP, "net0"] = 40
    return b.build(0.93)


def card_testing(n: int = 5, seed: int = 2) -> RingSnapshot:
    """Accounts that try many cards on one device, most declined."""
    b = Builder(seed)
    start = NOW - 2 * DAY
    for i in range(n):
        user, at = f"T{i}", start + i * 20 * 60_000
        b.user(user, at, at + 6 * HOUR, payments=3, declined=2)
        b.use(user, EntityKind.DEVICE, "tester", at, at + HOUR)
        for k in range(6):
            b.use(user, EntityKind.CARD, f"c{i}-{k}", at + k * 60_000)
            b.order(user, at + k * 60_000, 199, declined=k != 5)
        b.use(user, EntityKind.CARD, "common", at + 2 * HOUR)
    return b.build(0.97)


def takeover(seed: int = 3) -> RingSnapshot:
    """Four old accounts that came onto one new device within two days, and one new account that receives."""
    b = Builder(seed)
    start = NOW - 3 * DAY
    for i in range(4):
        user, born = f"V{i}", NOW - (200 + 50 * i) * DAY
        b.user(user, born, logins=30)
        b.use(user, EntityKind.DEVICE, f"own{i}", born, NOW - 10 * DAY)
        b.use(user, EntityKind.CARD, f"owncard{i}", born)
        b.use(user, EntityKind.DEVICE, "thief", start + i * 9 * HOUR)
        b.use(user, EntityKind.ADDRESS, "newdrop", start + i * 9 * HOUR)
        b.order(user, born + 10 * DAY, 3_000)
        b.order(user, start + i * 9 * HOUR + HOUR, 40_000)
    b.user("mule", start, percent=95)
    b.use("mule", EntityKind.DEVICE, "thief", start, start + DAY)
    return b.build(0.88)


def visited(seed: int = 13) -> RingSnapshot:
    """Accounts with devices of their own that somebody entered, one after the other, from devices that change."""
    b = Builder(seed)
    for i in range(5):
        user, seen = f"W{i}", NOW - 60 * DAY
        b.user(user, seen, logins=20)
        b.use(user, EntityKind.DEVICE, f"own{i}", seen, NOW - DAY)
        b.use(user, EntityKind.DEVICE, f"burner{i // 2}", NOW - (40 - 10 * i) * DAY)
        b.use(user, EntityKind.DEVICE, f"burner{(i + 1) // 2}", NOW - (39 - 10 * i) * DAY)
        b.order(user, NOW - (40 - 10 * i) * DAY, 15_000, charged=15_000 if i < 3 else 0)
    return b.build(0.7)


def return_scam(n: int = 6, seed: int = 4) -> RingSnapshot:
    """Accounts that send nearly everything back, on shared cards and one phone number."""
    b = Builder(seed)
    for i in range(n):
        user, at = f"S{i}", NOW - (40 - 3 * i) * DAY
        b.user(user, at)
        b.use(user, EntityKind.CARD, f"card{i // 3}", at, at + 9 * DAY)
        b.use(user, EntityKind.PHONE, "phone", at)
        for k in range(3):
            b.order(user, at + k * 3 * DAY, 12_000, refunded=12_000 if k < 2 else 0)
    return b.build(0.85)


def money_circle(seed: int = 5) -> RingSnapshot:
    """Accounts without any order that send money round and round."""
    b = Builder(seed)
    names = [f"P{i}" for i in range(5)]
    for i, name in enumerate(names):
        at = NOW - (20 - i) * DAY
        b.user(name, at, transfers_out=1, transfers_in=1, first_spend_ms=at + HOUR)
        b.use(name, EntityKind.DEVICE, "pad", at)
    for i in range(4):
        b.transfer(names[i], names[(i + 1) % 4], NOW - 5 * DAY + i * HOUR, 50_000)
    b.transfer("P0", "P4", NOW - 4 * DAY, 1_000)
    return b.build(0.8)


def referrals(n: int = 7, seed: int = 6) -> RingSnapshot:
    """Accounts that bring each other for the benefit, and order once."""
    b = Builder(seed)
    for i in range(n):
        at = NOW - (12 - i) * DAY
        b.user(f"N{i}", at, referrals=int(i < n - 1))
        b.use(f"N{i}", EntityKind.DEVICE, "tablet", at)
        b.order(f"N{i}", at + HOUR, 1_500)
        if i:
            b.transfer(f"N{i - 1}", f"N{i}", at, 0, kind="referral", currency=0)
    return b.build(0.75)


def household(n: int = 3, seed: int = 7) -> RingSnapshot:
    """A family: one address, one tablet, one card, years of clean orders."""
    b = Builder(seed)
    for i in range(n):
        user, born = f"H{i}", NOW - (700 - 90 * i) * DAY
        b.user(user, born, logins=60, percent=8)
        b.use(user, EntityKind.ADDRESS, "home", born, NOW - 5 * DAY)
        b.use(user, EntityKind.DEVICE, "tablet", born, NOW - 3 * DAY)
        b.use(user, EntityKind.IP, "home-net", NOW - 20 * DAY, NOW - 2 * DAY)
        if i < 2:
            b.use(user, EntityKind.CARD, "family", born, NOW - 5 * DAY)
        for k in range(4):
            b.order(user, born + k * 60 * DAY, 2_500)
    return b.build(0.08)


def second_hand(seed: int = 8) -> RingSnapshot:
    """One phone, sold twice."""
    b = Builder(seed)
    for i in range(3):
        at = NOW - (150 - 50 * i) * DAY
        b.user(f"F{i}", at, at + 30 * DAY, percent=5)
        b.use(f"F{i}", EntityKind.DEVICE, "phone", at, at + 30 * DAY)
        b.use(f"F{i}", EntityKind.ADDRESS, f"home{i}", at)
        b.order(f"F{i}", at + 5 * DAY, 6_000)
    return b.build(0.15)


def dorm(n: int = 12, seed: int = 9) -> RingSnapshot:
    """Students at one address and on one network, each with their own device and card."""
    b = Builder(seed)
    for i in range(n):
        at = NOW - (160 - 11 * i) * DAY
        b.user(f"S{i:02d}", at, percent=10)
        b.use(f"S{i:02d}", EntityKind.ADDRESS, "dorm", at, NOW - 3 * DAY)
        b.use(f"S{i:02d}", EntityKind.IP, "campus", NOW - 20 * DAY, NOW - DAY)
        b.use(f"S{i:02d}", EntityKind.DEVICE, f"own{i}", at, NOW - DAY)
        b.use(f"S{i:02d}", EntityKind.CARD, f"card{i}", at)
        b.order(f"S{i:02d}", at + 2 * DAY, 3_500)
        b.order(f"S{i:02d}", at + 4 * DAY, 1_500)
    return b.build(0.12)


def two_halves(a: int = 6, b_size: int = 5, seed: int = 10) -> RingSnapshot:
    """Two groups on a device each, and one account on both: it is the bridge."""
    b = Builder(seed)
    for i in range(a + b_size):
        user, at = f"B{i:02d}", NOW - 9 * DAY + i * 5 * HOUR
        b.user(user, at)
        b.use(user, EntityKind.DEVICE, "left" if i < a else "right", at)
        b.order(user, at + HOUR, 9_900)
    b.user("mid", NOW - 9 * DAY)
    b.use("mid", EntityKind.DEVICE, "left", NOW - 9 * DAY)
    b.use("mid", EntityKind.DEVICE, "right", NOW - 8 * DAY)
    return b.build(0.7)


def big(n: int = 60, seed: int = 11) -> RingSnapshot:
    """A rotating ring: devices and cards change every few accounts, with a shared drop and two networks."""
    b = Builder(seed)
    rng = b.rng
    start = NOW - 25 * DAY
    for i in range(n):
        user, at = f"acct-{i:03d}", start + i * 9 * HOUR + rng.randrange(6 * HOUR)
        b.user(user, at, at + rng.randrange(2 * DAY), logins=3)
        b.use(user, EntityKind.DEVICE, f"dev{i // 7}", at, at + HOUR)
        if i % 7 == 0 and i:
            b.use(user, EntityKind.DEVICE, f"dev{i // 7 - 1}", at + HOUR)
        if rng.random() < 0.5:
            b.use(user, EntityKind.CARD, f"card{i // 4}", at + HOUR)
        b.use(user, EntityKind.EMAIL, f"mail{i}", at)
        b.use(user, EntityKind.IP, f"net{i % 5}", at)
        b.use(user, EntityKind.ADDRESS, f"drop{i % 3}", at + HOUR)
        currency = USD if i % 10 == 0 else EUR
        b.order(user, at + HOUR, 2_000 + rng.randrange(20_000), declined=rng.random() < 0.15, currency=currency)
    b.outside[EntityKind.IP, "net0"] = 4_000
    return b.build(0.91)


def nasty(seed: int = 12) -> RingSnapshot:
    """A ring whose user ids attack whatever shows them."""
    b = Builder(seed)
    for i, user in enumerate(NASTY_IDS):
        at = NOW - 3 * DAY + i * HOUR
        b.user(user, at)
        b.use(user, EntityKind.DEVICE, "d", at)
        b.order(user, at + HOUR, 1_000, charged=1_000 if i < 3 else 0)
    return b.build(0.9)


NASTY_IDS = (
    "<script>alert(1)</script>",
    '=HYPERLINK("http://evil")',
    "[click](javascript:alert(1))",
    "\x1b[31mred\x1b[0m\x07",
    "user\u202etxt.exe\u202c",
    "| a | b |\n# heading",
    "[bold]rich[/bold]",
    "{{ 7*7 }}{% raw %}",
    "&amp;\"'<!--",
    "a\u200bb\u2066c",
)

EXAMPLES: dict[str, Callable[[], RingSnapshot]] = {
    "fake-accounts": fake_accounts,
    "fake-accounts-3": partial(fake_accounts, 3),
    "card-testing": card_testing,
    "takeover": takeover,
    "visited": visited,
    "return-scam": return_scam,
    "money-circle": money_circle,
    "referrals": referrals,
    "household": household,
    "second-hand": second_hand,
    "dorm": dorm,
    "two-halves": two_halves,
    "big": big,
    "nasty": nasty,
}


@dataclass(frozen=True, slots=True)
class _Sizes:
    users: int = 8
    identifiers: int = 6
    orders: int = 10
    transfers: int = 8


@st.composite
def snapshots(draw: st.DrawFn, sizes: _Sizes = _Sizes()) -> RingSnapshot:
    """Random rings: any sharing, orders in three currencies, transfers and referrals, all times within two years."""
    b = Builder()
    n = draw(st.integers(2, sizes.users))
    names = [f"U{i}" for i in range(n)]
    times = st.integers(NOW - 700 * DAY, NOW)
    counts = st.integers(0, 6)
    for name in names:
        first = draw(times)
        b.user(
            name,
            first,
            draw(st.integers(first, NOW)),
            payments=draw(counts),
            declined=draw(counts),
            refunds=draw(counts),
            chargebacks=draw(st.integers(0, 1)),
            label=draw(st.sampled_from((-1, 0, 0, 0, 1))),
        )
    for k in range(draw(st.integers(0, sizes.identifiers))):
        kind = draw(st.sampled_from(IDENTIFIER_KINDS))
        for name in draw(st.sets(st.sampled_from(names), min_size=1)):
            b.use(name, kind, f"k{k}", *draw(st.lists(times, min_size=1, max_size=3)))
        b.outside[kind, f"k{k}"] = draw(st.sampled_from((0, 0, 1, 5, 40, 5_000)))
    for _ in range(draw(st.integers(0, sizes.orders))):
        amount = draw(st.integers(0, 10**9))
        b.order(
            draw(st.sampled_from(names)),
            draw(times),
            amount,
            refunded=draw(st.sampled_from((0, 0, amount, amount // 3, amount + 5))),
            charged=draw(st.sampled_from((0, 0, amount, amount // 2))),
            currency=draw(st.sampled_from((EUR, USD, JPY))),
            declined=draw(st.booleans()),
        )
    for _ in range(draw(st.integers(0, sizes.transfers))):
        a, c = draw(st.sampled_from(names)), draw(st.sampled_from(names))
        kind = draw(st.sampled_from(("transfer", "referral")))
        b.transfer(a, c, draw(times), draw(st.integers(0, 10**6)) if kind == "transfer" else 0, kind=kind)
    return b.build(draw(st.floats(0.0, 1.0)))
