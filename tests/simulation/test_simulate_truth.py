"""The truth beside the stream says what the stream shows, and honest people look like people."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from fraudgraph.events.schema import Event, UserEvent
from fraudgraph.simulate.spec import TYPOLOGIES, WorldSpec
from fraudgraph.simulate.world import simulate

SPEC = WorldSpec(seed=9, users=10_000, days=30)
FIELDS = {"device": "device_id", "ip": "ip", "card": "card", "phone": "phone", "address": "address"}


class Shop:
    """A world as its files show it."""

    def __init__(self, spec: WorldSpec) -> None:
        world = simulate(spec)
        self.events: list[UserEvent] = []
        for chunk in world.lines():
            self.events += [msgspec.json.decode(line, type=Event) for line in chunk.splitlines()]
        self.truth: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(world.truth()))
        self.users_of: dict[tuple[str, str], set[str]] = defaultdict(set)
        for event in self.events:
            for kind, name in FIELDS.items():
                if (value := getattr(event, name)) is not None:
                    self.users_of[kind, value].add(event.user_id)
        self.members = {member["user_id"] for ring in self.truth["rings"] for member in ring["members"]}
        self.active = {event.user_id for event in self.events}

    def of(self, kind: str) -> list[UserEvent]:
        return [event for event in self.events if type(event).__name__ == kind]


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop(SPEC)


def test_every_typology_is_there_and_the_share_of_members_is_as_asked(shop: Shop) -> None:
    assert Counter(ring["typology"] for ring in shop.truth["rings"]).keys() == set(TYPOLOGIES)
    count = sum(len(ring["members"]) for ring in shop.truth["rings"])
    assert count == len(shop.members), "nobody is in two rings"
    assert 0.95 * SPEC.ring_share <= count / SPEC.users <= SPEC.ring_share
    assert shop.truth["spec_hash"] == SPEC.hash
    assert shop.truth["events"] == len(shop.events)


def test_what_a_ring_shares_is_in_the_events_of_those_members(shop: Shop) -> None:
    shared = [(ring, item) for ring in shop.truth["rings"] for item in ring["shared"]]
    for ring, item in shared:
        own = {member["user_id"] for member in ring["members"]}
        assert len(item["users"]) >= 2
        assert set(item["users"]) == shop.users_of[item["kind"], item["value"]] & own
    assert {item["kind"] for _, item in shared} == set(FIELDS)


def test_most_rings_are_visibly_tied_and_some_members_are_not(shop: Shop) -> None:
    tied = {user for ring in shop.truth["rings"] for item in ring["shared"] for user in item["users"]}
    assert 0.75 <= len(tied) / len(shop.members) < 1.0
    reach = [len(largest(ring)) / len(ring["members"]) for ring in shop.truth["rings"]]
    assert sum(share >= 0.6 for share in reach) >= 0.7 * len(reach)


def test_some_members_share_nothing_directly_though_the_chain_ties_them(shop: Shop) -> None:
    indirect = 0
    for ring in shop.truth["rings"]:
        component = largest(ring)
        together = {
            frozenset((a, b)) for item in ring["shared"] for a in item["users"] for b in item["users"] if a != b
        }
        indirect += len(component) * (len(component) - 1) // 2 > sum(pair <= component for pair in together)
    assert indirect >= len(shop.truth["rings"]) // 3


def test_fraudulent_orders_are_members_orders_in_the_rings_time(shop: Shop) -> None:
    orders = {event.order_id: event for event in shop.of("Order")}
    for ring in shop.truth["rings"]:
        own = {member["user_id"] for member in ring["members"]}
        assert {orders[order].user_id for order in ring["orders"]} <= own
        late = timedelta(hours=3)
        first, last = moment(ring["active_from"]), moment(ring["active_until"])
        assert all(first <= orders[order].ts <= last + late for order in ring["orders"])
        pause, resume = map(moment, ring["dormant"] or (ring["active_until"], ring["active_until"]))
        assert not [order for order in ring["orders"] if pause + late < orders[order].ts < resume]
    assert sum(bool(ring["orders"]) for ring in shop.truth["rings"]) >= 0.8 * len(shop.truth["rings"])


def test_victims_are_old_accounts_and_nobody_else_is_a_victim(shop: Shop) -> None:
    opened = {event.user_id for event in shop.of("Signup")}
    victims = [
        (ring["typology"], member["user_id"])
        for ring in shop.truth["rings"]
        for member in ring["members"]
        if member["role"] == "victim"
    ]
    assert victims
    assert {typology for typology, _ in victims} == {"account_takeover"}
    assert not opened & {user for _, user in victims}


def test_labels_arrive_after_what_they_are_about_and_many_after_the_stream(shop: Shop) -> None:
    labels = shop.truth["labels"]
    assert all(moment(label["arrived_ts"]) > moment(label["about_ts"]) for label in labels)
    assert labels == sorted(labels, key=lambda label: label["arrived_ts"])
    banks = [label for label in labels if label["source"] == "chargeback"]
    end = shop.events[-1].ts
    late = [label for label in banks if moment(label["arrived_ts"]) > end]
    assert len(late) > len(banks) / 2
    shown = {f"order:{event.order_id}" for event in shop.of("Chargeback")}
    assert shown == {label["target"] for label in banks if label not in late}
    assert {label["correct"] for label in labels} == {True, False}


def test_a_label_says_the_truth_where_it_says_so(shop: Shop) -> None:
    fraudulent = {f"order:{order}" for ring in shop.truth["rings"] for order in ring["orders"]}
    fraudulent |= {f"user:{user}" for user in shop.members}
    for label in shop.truth["labels"]:
        assert ((label["target"] in fraudulent) == (label["value"] == "fraud")) == label["correct"]
    reported = {label["target"] for label in shop.truth["labels"]}
    assert fraudulent - reported, "some fraud is never reported"


def test_honest_people_share_too(shop: Shop) -> None:
    shared = {user for (kind, _), users in shop.users_of.items() if kind != "ip" and len(users) > 1 for user in users}
    honest = shop.active - shop.members
    assert 0.2 <= len(shared & honest) / len(honest) <= 0.6
    largest_ip = max(len(users) for (kind, _), users in shop.users_of.items() if kind == "ip")
    assert largest_ip >= 200, "carrier networks"
    kinds = Counter(group["kind"] for group in shop.truth["groups"])
    assert kinds.keys() == {"household", "dorm", "office", "kiosk", "refurbished", "second_account"}
    assert not shop.members & {user for group in shop.truth["groups"] for user in group["users"]} - victims(shop)


def test_the_shop_has_a_shops_rates(shop: Shop) -> None:
    count = Counter(type(event).__name__ for event in shop.events)
    assert 0.15 <= len(shop.events) / SPEC.users / SPEC.days <= 0.6
    assert 0.03 <= count["Refund"] / count["Order"] <= 0.12
    assert count["Chargeback"] / count["Order"] <= 0.01
    declined = sum(event.status == "declined" for event in shop.of("Payment"))
    assert 0.03 <= declined / count["Payment"] <= 0.2
    hours = Counter(event.ts.hour for event in shop.of("Login"))
    assert hours[20] > 4 * hours[4]
    money = sorted(float(event.amount) for event in shop.of("Order"))
    assert 20 <= money[len(money) // 2] <= 80
    assert money[-1] > 10 * money[len(money) // 2]


def test_refunds_and_chargebacks_follow_their_order_and_never_exceed_it(shop: Shop) -> None:
    orders = {event.order_id: event for event in shop.of("Order")}
    for event in shop.of("Refund") + shop.of("Chargeback"):
        order = orders[event.order_id]
        assert (event.user_id, event.currency) == (order.user_id, order.currency)
        assert event.ts > order.ts
        assert 0 < event.amount <= order.amount
        assert order.status == "approved"


def test_nothing_happens_to_a_new_account_before_it_is_opened(shop: Shop) -> None:
    opened = {event.user_id: event.ts for event in shop.of("Signup")}
    assert len(opened) == len(shop.of("Signup"))
    early = [event for event in shop.events if event.ts < opened.get(event.user_id, event.ts)]
    assert early == []


def largest(ring: dict[str, Any]) -> set[str]:
    """Returns the largest set of members that the shared identifiers connect."""
    groups: list[set[str]] = []
    for item in ring["shared"]:
        joined = set(item["users"])
        for group in [group for group in groups if group & joined]:
            groups.remove(group)
            joined |= group
        groups.append(joined)
    return max(groups, key=len, default=set())


def victims(shop: Shop) -> set[str]:
    return {m["user_id"] for ring in shop.truth["rings"] for m in ring["members"] if m["role"] == "victim"}


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
