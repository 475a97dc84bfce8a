"""Facts about what the members do and when: bursts, velocity, card testing, single orders, labels."""

from __future__ import annotations

from collections.abc import Iterator

from fraudgraph.durations import DAY_MS, HOUR_MS
from fraudgraph.events.kinds import EntityKind
from fraudgraph.rings.facts_kinds import Draft, FactKind, densest, median, weighed
from fraudgraph.rings.facts_view import RingView
from fraudgraph.rings.facts_words import between, count, duration, listed, minute, money_list, of, sentence

BURST_WINDOWS = ((0.8, 24), (0.5, 168))
"""What a full window weighs, and its hours."""

VELOCITY_WINDOW_MS = DAY_MS
VELOCITY_ORDERS = 5
TESTING_DECLINES = 5
TESTING_MEMBER_DECLINES = 3
TESTING_RATIO = 0.3
"""Card testing: from so many declined attempts, and this part of all attempts of the members concerned."""


def bursts(view: RingView) -> Iterator[Draft]:
    """Half of the members or more were first seen within 24 hours, or within 7 days: whichever weighs more."""
    first = sorted((u.first_ms, u.user_id) for u in view.newcomers)
    slices = [(factor, hours, *densest(first, hours * HOUR_MS)) for factor, hours in BURST_WINDOWS]
    factor, hours, start, end = max(slices, key=lambda row: row[0] * (row[3] - row[2]))
    n = end - start
    if n < 3 or 2 * n < view.size:
        return
    first_ms, last_ms = first[start][0], first[end - 1][0]
    yield Draft(
        sentence(
            f"{of(n, view.size, 'account')} of the ring were first seen within {duration(last_ms - first_ms)}"
            f" of each other, {between(first_ms, last_ms)}."
        ),
        weighed(factor * n / view.size),
        {
            "window_hours": hours,
            "members": n,
            "ring_users": view.size,
            "first_ms": first_ms,
            "last_ms": last_ms,
            "user_ids": tuple(u for _, u in first[start:end]),
        },
    )


def velocity(view: RingView) -> Iterator[Draft]:
    """The busiest 24 hours of orders, where they hold at least five orders of two members and half of all orders."""
    orders = sorted(view.snapshot.orders, key=lambda o: (o.ts_ms, o.order_ref))
    start, end = densest([(o.ts_ms, o.order_ref) for o in orders], VELOCITY_WINDOW_MS)
    busy = orders[start:end]
    buyers = tuple(sorted({o.user_id for o in busy}))
    if len(busy) < VELOCITY_ORDERS or 2 * len(busy) < len(orders) or len(buyers) < 2:
        return
    amounts: dict[int, int] = {}
    for order in busy:
        if not order.declined:
            amounts[order.currency] = amounts.get(order.currency, 0) + order.amount_minor
    first_ms, last_ms = busy[0].ts_ms, busy[-1].ts_ms
    yield Draft(
        f"{count(len(busy), 'order')} of {count(len(buyers), 'account')} came within {duration(last_ms - first_ms)}"
        f" from {minute(first_ms)} ({money_list(amounts)} not declined); the ring has {count(len(orders), 'order')}"
        " in all.",
        weighed(0.5 * len(busy) / len(orders) * len(buyers) / view.size),
        {
            "orders": len(busy),
            "orders_total": len(orders),
            "members": len(buyers),
            "first_ms": first_ms,
            "last_ms": last_ms,
            "declined": sum(o.declined for o in busy),
            "user_ids": buyers,
        },
    )


def card_testing(view: RingView) -> Iterator[Draft]:
    """Members with repeated declined attempts over cards."""
    testers = tuple(
        u.user_id
        for u in view.users.values()
        if u.declined >= TESTING_MEMBER_DECLINES and u.declined >= TESTING_RATIO * max(u.orders + u.payments, 1)
    )
    declined = sum(view.users[u].declined for u in testers)
    if declined < TESTING_DECLINES:
        return
    attempts = sum(max(view.users[u].orders + view.users[u].payments, view.users[u].declined) for u in testers)
    cards_of = {u: sum(i.kind is EntityKind.CARD for i in view.by_user[u]) for u in testers}
    cards = {i.name for u in testers for i in view.by_user[u] if i.kind is EntityKind.CARD}
    worst = min(testers, key=lambda u: (-view.users[u].declined, u))
    text = f"{count(len(testers), 'account')} had {declined:,} of {attempts:,} orders and payments declined"
    text += f", with {count(len(cards), 'card')}" if cards else ""
    most = f" ({count(cards_of[worst], 'card')})" if cards_of[worst] else ""
    yield Draft(
        f"{text}; most by account {worst}: {view.users[worst].declined:,} declined{most}.",
        weighed(0.9 * len(testers) / view.size * min(1.0, declined / (3.0 * len(testers)))),
        {
            "members": len(testers),
            "ring_users": view.size,
            "declined": declined,
            "attempts": attempts,
            "cards": len(cards),
            "most_declined": view.users[worst].declined,
            "most_declined_user_id": worst,
            "user_ids": testers,
        },
    )


def one_order_accounts(view: RingView) -> Iterator[Draft]:
    """Accounts that ordered exactly once, where they are at least three and half of the ring."""
    once = tuple(u.user_id for u in view.users.values() if u.orders == 1)
    if len(once) < 3 or 2 * len(once) < view.size:
        return
    yield Draft(
        sentence(f"{of(len(once), view.size, 'account')} of the ring ordered exactly once."),
        weighed(0.3 * len(once) / view.size),
        {"members": len(once), "ring_users": view.size, "user_ids": once},
    )


def quick_spending(view: RingView) -> Iterator[Draft]:
    """Members that spent within a day of being first seen, where they are at least three and half of the ring."""
    waits = {
        u.user_id: u.first_spend_ms - u.first_ms
        for u in view.newcomers
        if u.first_spend_ms >= 0 and u.first_spend_ms - u.first_ms <= DAY_MS
    }
    if len(waits) < 3 or 2 * len(waits) < view.size:
        return
    typical = median(waits.values())
    yield Draft(
        sentence(
            f"{of(len(waits), view.size, 'account')} of the ring spent within 24 hours of being first seen, typically"
            f" {'after ' + duration(typical) if typical >= HOUR_MS else 'within the hour'}."
        ),
        weighed(0.35 * len(waits) / view.size),
        {"members": len(waits), "ring_users": view.size, "median_wait_ms": typical, "user_ids": tuple(waits)},
    )


def labels(view: RingView) -> Iterator[Draft]:
    """What members are labelled; a label of legitimate speaks against the ring."""
    for label, word, weight in ((1, "fraud", 1.0), (-1, "legitimate", -0.6)):
        labelled = tuple(u.user_id for u in view.users.values() if u.label == label)
        if not labelled:
            continue
        yield Draft(
            sentence(
                f"{of(len(labelled), view.size, 'account')} of the ring"
                f" {'is' if len(labelled) == 1 else 'are'} labelled {word}: {listed(labelled)}."
            ),
            weighed(weight * len(labelled) / view.size),
            {"value": word, "members": len(labelled), "ring_users": view.size, "user_ids": labelled},
        )


KINDS = (
    FactKind("card-testing", card_testing),
    FactKind("labels", labels, ("value",)),
    FactKind("burst", bursts),
    FactKind("velocity", velocity),
    FactKind("quick-spending", quick_spending),
    FactKind("one-order-accounts", one_order_accounts),
)
