"""The hot graph against plain Python that sorts all events first, for any order of arrival within the lateness."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import groupby, pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support.journal import (
    EVENT_NUMBERS,
    LATENESS_MS,
    SMALL_POLICY,
    SMALL_RULES,
    Happening,
    decoded,
    events_of,
    is_settled,
    key,
)

from fraudgraph.durations import DAY_MS
from fraudgraph.events.kinds import EntityKind, EventType, Status
from fraudgraph.graph.hot import HotGraph
from fraudgraph.graph.interning import key_bytes
from fraudgraph.graph.links import add_link, new_links, reserve_links, use_link
from fraudgraph.graph.orders import OWNED
from fraudgraph.graph.users import COUNTS

journals = st.lists(st.integers(0, EVENT_NUMBERS - 1), min_size=10, max_size=60).map(events_of).filter(is_settled)
MONEY = (EventType.ORDER, EventType.PAYMENT, EventType.TRANSFER)
USER_MS, ORDER_MS, TRANSFER_MS = (
    days * DAY_MS
    for days in (SMALL_RULES.limits.user_days, SMALL_RULES.limits.order_days, SMALL_RULES.limits.transfer_days)
)


def played(happenings: list[Happening], salt: int) -> tuple[HotGraph, int]:
    """Returns a graph that saw the events out of order and in batches, and how far time went."""
    rng = np.random.default_rng(salt)
    arrival = [event.ts_ms + int(rng.integers(0, LATENESS_MS)) for event in happenings]
    order = sorted(range(len(happenings)), key=lambda i: arrival[i])
    graph, now_ms, latest_ms, at = HotGraph(SMALL_POLICY, SMALL_RULES.limits), 0, 0, 0
    while order:
        taken, order = order[: (count := int(rng.integers(1, 12)))], order[count:]
        rows = [("p", happenings[i], at + n) for n, i in enumerate(taken)]
        at += len(taken)
        latest_ms = max(latest_ms, *(happenings[i].ts_ms for i in taken))
        now_ms = max(now_ms, latest_ms - LATENESS_MS)
        graph.apply(decoded(rows, names=["p"]), None, now_ms)
    return graph, now_ms


def runs(times: Iterable[int], gap_ms: int) -> list[list[int]]:
    """Returns sorted times in runs with gaps below `gap_ms`."""
    found: list[list[int]] = []
    for moment in sorted(times):
        if found and moment - found[-1][-1] < gap_ms:
            found[-1].append(moment)
        else:
            found.append([moment])
    return found


@settings(max_examples=500, deadline=None)
@given(journals, st.integers(0, 2**32 - 1))
def test_links_are_the_last_runs_of_uses(happenings: list[Happening], salt: int) -> None:
    graph, now_ms = played(happenings, salt)
    uses = defaultdict(list)
    for event in happenings:
        for kind, text in event.links:
            uses[event.user, kind, key(f"{kind.label} {text}")].append(event)
    expected = {}
    for (user, kind, name), events in uses.items():
        last = runs((event.ts_ms for event in events), int(graph.ttl_ms[kind]))[-1]
        if last[-1] + graph.ttl_ms[kind] > now_ms:
            sources = {1 << event.type for event in events if event.ts_ms >= last[0]}
            expected[user, kind, name] = (last[0], last[-1], len(last), sum(sources))
    links = graph.links
    slots = np.flatnonzero(links.user >= 0)
    idents = links.ident[slots]
    found = {
        (graph.user_table.key_of[user], EntityKind(kind), name): (first, last, count, sources & 0xFFFF)
        for user, kind, name, first, last, count, sources in zip(
            links.user[slots].tolist(),
            graph.idents.kind[idents].tolist(),
            key_bytes(graph.keys, idents),
            *(column[slots].tolist() for column in (links.first_ms, links.last_ms, links.uses, links.sources)),
            strict=True,
        )
    }
    assert found == expected
    check_lists(graph)


def check_lists(graph: HotGraph) -> None:
    """Every link is in the lists of both its ends, once, and degrees count them."""
    links = graph.links
    slots = np.flatnonzero(links.user >= 0).tolist()
    for heads, after, before, end in (
        (graph.users.links, links.next_of_user, links.prev_of_user, links.user),
        (graph.idents.links, links.next_of_ident, links.prev_of_ident, links.ident),
    ):
        seen = []
        for owner in np.flatnonzero(heads >= 0).tolist():
            walk = [int(heads[owner])]
            while after[walk[-1]] >= 0:
                walk.append(int(after[walk[-1]]))
            assert all(before[later] == earlier for earlier, later in pairwise(walk))
            assert before[walk[0]] == -1
            assert {int(end[slot]) for slot in walk} == {owner}
            seen += walk
        assert sorted(seen) == slots
    degree = np.bincount(links.ident[slots], minlength=len(graph.idents.degree))
    assert graph.idents.degree.tolist() == degree.tolist()
    assert graph.keys.state[0] == np.count_nonzero(degree)


@settings(max_examples=500, deadline=None)
@given(journals, st.integers(0, 2**32 - 1))
def test_users_are_what_they_did_since_they_were_last_silent_for_long(happenings: list[Happening], salt: int) -> None:
    graph, now_ms = played(happenings, salt)
    times = defaultdict(list)
    for event in happenings:
        for name in {event.user, event.other} - {"", None}:
            times[name].append(event.ts_ms)
    expected = {}
    for user, moments in times.items():
        life = runs(moments, USER_MS)[-1]
        if life[-1] + USER_MS > now_ms:
            mine = [event for event in happenings if event.user == user and event.ts_ms >= life[0]]
            received = [
                event
                for event in happenings
                if event.other == user and event.ts_ms >= life[0] and event.type is EventType.TRANSFER
            ]
            of_type = {kind: sum(event.type is kind for event in mine) for kind in EventType}
            counts = {
                "logins": of_type[EventType.LOGIN],
                "orders": of_type[EventType.ORDER],
                "payments": of_type[EventType.PAYMENT],
                "declined": sum(event.type in MONEY and event.status is Status.DECLINED for event in mine),
                "refunds": of_type[EventType.REFUND],
                "chargebacks": of_type[EventType.CHARGEBACK],
                "referrals": of_type[EventType.REFERRAL],
                "transfers_out": of_type[EventType.TRANSFER],
                "transfers_in": len(received),
            }
            signups = [event.ts_ms for event in mine if event.type is EventType.SIGNUP]
            spent = [event.ts_ms for event in mine if event.type in MONEY and event.amount_minor > 0]
            expected[user] = (
                life[0],
                life[-1],
                min(signups, default=-1),
                min(spent, default=-1),
                [counts[name] for name in COUNTS],
                verdict(happenings, user),
            )
    users = graph.users
    found = {
        name: (
            *(int(column[i]) for column in (users.first_ms, users.last_ms, users.signup_ms, users.first_spend_ms)),
            users.counts[i].tolist(),
            int(users.label[i]),
        )
        for name, i in graph.user_table.id_of.items()
    }
    assert found == expected


def verdict(happenings: list[Happening], user: str) -> int:
    taken_back = {event.label[2] for event in happenings if event.label is not None}
    standing = [
        (event.ts_ms, key(event.id), event.label[0])
        for event in happenings
        if event.label is not None and event.label[1] == user and event.id not in taken_back
    ]
    return 0 if not standing else 1 if max(standing)[2] else -1


@settings(max_examples=500, deadline=None)
@given(journals, st.integers(0, 2**32 - 1))
def test_orders_count_money_once_and_have_one_owner(happenings: list[Happening], salt: int) -> None:
    graph, now_ms = played(happenings, salt)
    expected = {}
    of_order = defaultdict(list)
    for event in happenings:
        if event.order is not None:
            of_order[key(f"order {event.order}")].append(event)
        elif event.type in (EventType.ORDER, EventType.REFUND, EventType.CHARGEBACK):
            of_order[key(event.id)].append(event)
    for name, events in of_order.items():
        life: list[Happening] = []
        for event in events:
            life = [*life, event] if life and event.ts_ms < life[0].ts_ms + ORDER_MS else [event]
        if life[0].ts_ms + ORDER_MS > now_ms:
            named = [event.user for event in life if event.type is EventType.ORDER]
            spoken = [event for event in life if event.type not in (EventType.REFUND, EventType.CHARGEBACK)]
            bits = {1 << event.status for event in spoken} | ({OWNED} if named else set())
            expected[name] = (
                min(named or [event.user for event in life]),
                life[0].ts_ms,
                max((event.amount_minor for event in spoken), default=0),
                sum(event.amount_minor for event in life if event.type is EventType.REFUND),
                sum(event.amount_minor for event in life if event.type is EventType.CHARGEBACK),
                max(event.currency for event in life),
                sum(bits),
            )
    orders = graph.orders
    slots = np.flatnonzero(orders.user >= 0).astype(np.int32)
    columns = (orders.ts_ms, orders.amount_minor, orders.refunded_minor, orders.charged_minor, orders.currency)
    found = {
        name: (graph.user_table.key_of[user], *row, status)
        for name, user, *row, status in zip(
            key_bytes(graph.order_keys, slots),
            orders.user[slots].tolist(),
            *(column[slots].tolist() for column in columns),
            orders.status[slots].tolist(),
            strict=True,
        )
    }
    assert found == expected


@settings(max_examples=500, deadline=None)
@given(journals, st.integers(0, 2**32 - 1))
def test_transfers_add_up_by_pair_kind_and_currency(happenings: list[Happening], salt: int) -> None:
    graph, now_ms = played(happenings, salt)

    def pair(event: Happening) -> tuple[str, str, int, int]:
        return event.user, event.other or "", int(event.type), event.currency

    expected = {}
    sent = sorted((event for event in happenings if event.other is not None), key=pair)
    for which, group in groupby(sent, key=pair):
        events = list(group)
        last = runs((event.ts_ms for event in events), TRANSFER_MS)[-1]
        if last[-1] + TRANSFER_MS > now_ms:
            amount = sum(event.amount_minor for event in events if event.ts_ms >= last[0])
            expected[which] = (last[0], last[-1], len(last), amount)
    name = graph.user_table.key_of
    c = graph.transfers.columns
    found = {
        (name[c.sender[i]], name[c.receiver[i]], int(c.kind[i]), int(c.currency[i])): (
            int(c.first_ms[i]),
            int(c.last_ms[i]),
            int(c.uses[i]),
            int(c.amount_minor[i]),
        )
        for i in np.flatnonzero(c.sender >= 0).tolist()
    }
    assert found == expected
    assert len(graph.transfers) == len(expected)


@settings(max_examples=1000, deadline=None)
@given(
    st.lists(st.sampled_from([0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 12]), min_size=1, max_size=20),
    st.lists(st.integers(0, 4), min_size=20, max_size=20),
)
def test_runs_of_one_link_do_not_depend_on_the_order_of_arrival(steps: list[int], delays: list[int]) -> None:
    """Gaps at, just below and just above the time to live of ten; late uses that join two runs."""
    ttl_ms, lateness_ms = 10, 5
    times = np.cumsum(steps).tolist()
    arrival = sorted(range(len(times)), key=lambda i: times[i] + delays[i])
    links, heads = reserve_links(new_links(4), 1), [np.full(1, -1, np.int32) for _ in range(2)]
    slot = add_link(links, *heads, 0, 0, times[arrival[0]], 1 << arrival[0] % 10, ttl_ms)
    for i in arrival[1:]:
        use_link(links, slot, times[i], 1 << i % 10, ttl_ms)
    *_, last = found = runs(times, ttl_ms)
    assert [links.first_ms[slot], links.last_ms[slot], links.uses[slot]] == [last[0], last[-1], len(last)]
    assert links.sources[slot] & 0xFFFF == sum({1 << i % 10 for i, moment in enumerate(times) if moment >= last[0]})
    # The run before counts for as long as a late use can join it.
    if len(found) > 1 and found[-2][-1] + ttl_ms > times[-1] - lateness_ms:
        before = found[-2]
        row = [links.prev_first_ms[slot], links.prev_last_ms[slot], links.prev_uses[slot]]
        assert row == [before[0], before[-1], len(before)]
