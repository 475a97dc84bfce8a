"""Facts that speak against a ring: clean money, long-standing accounts, slow growth, an identifier handed on."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from fraudgraph.durations import DAY_MS
from fraudgraph.events.kinds import EntityKind
from fraudgraph.rings.facts_kinds import Draft, FactKind, densest, median, weighed
from fraudgraph.rings.facts_view import Identifier, RingView
from fraudgraph.rings.facts_words import between, count, duration, of, sentence

STANDING_MS = 90 * DAY_MS
GROWTH_WINDOW_MS = 7 * DAY_MS
HANDED_ON_MS = 14 * DAY_MS
"""An identifier is handed on where each user but the last had it for so long before the next one began."""

HANDED_ON_KINDS = (EntityKind.DEVICE, EntityKind.PHONE)


def clean_money(view: RingView) -> Iterator[Draft]:
    """Money moved, and nothing of it was declined, refunded or charged back, and nobody is labelled fraud."""
    users = view.users.values()
    orders = sum(u.orders for u in users)
    payments = sum(u.payments for u in users)
    if orders + payments == 0 or any(u.declined or u.refunds or u.chargebacks or u.label > 0 for u in users):
        return
    moved = " and ".join(count(n, noun) for n, noun in ((orders, "order"), (payments, "payment")) if n)
    yield Draft(
        f"None of {moved} was declined, refunded or charged back, and no account is labelled fraud.",
        weighed(-0.5 * min(1.0, (orders + payments) / (2.0 * view.size))),
        {"orders": orders, "payments": payments, "ring_users": view.size},
    )


def long_standing(view: RingView) -> Iterator[Draft]:
    """Accounts that were in use for more than 90 days, where they are half of the ring or more."""
    old = {u.user_id: u.last_ms - u.first_ms for u in view.users.values() if u.last_ms - u.first_ms > STANDING_MS}
    if not old or 2 * len(old) < view.size:
        return
    yield Draft(
        sentence(f"{of(len(old), view.size, 'account')} of the ring {'has' if len(old) == 1 else 'have'} been in use")
        + f" for more than 90 days, typically {duration(median(old.values()))}.",
        weighed(-0.4 * len(old) / view.size),
        {
            "members": len(old),
            "ring_users": view.size,
            "median_span_ms": median(old.values()),
            "user_ids": tuple(old),
        },
    )


def slow_growth(view: RingView) -> Iterator[Draft]:
    """The accounts came one by one: no week holds more than a third of them, or two are a month apart."""
    first = sorted((u.first_ms, u.user_id) for u in view.users.values())
    start, end = densest(first, GROWTH_WINDOW_MS)
    n, span = end - start, first[-1][0] - first[0][0]
    if view.size < 2 or span < 30 * DAY_MS or 3 * n > max(view.size, 3):
        return
    yield Draft(
        f"The accounts came one by one over {duration(span)}: no more than {n:,} of {view.size:,} within any 7 days.",
        weighed(-0.3),
        {"most_in_week": n, "ring_users": view.size, "first_ms": first[0][0], "last_ms": first[-1][0]},
    )


def handed_on(view: RingView) -> Iterator[Draft]:
    """A device or phone number whose users, half of the ring or more, follow one another: sold, or re-issued."""
    for i in view.shared:
        if i.kind in HANDED_ON_KINDS and not i.hub and 2 * len(i.links) >= view.size and _one_after_another(i):
            yield Draft(
                f"{sentence(i.called)} was used by one account after another, never by two at a time"
                f" ({count(len(i.links), 'account')}, {between(i.first_ms, i.last_ms)}).",
                weighed(-0.4 * len(i.links) / view.size),
                {
                    "identifier": i.name,
                    "identifier_kind": i.kind.label,
                    "members": len(i.links),
                    "ring_users": view.size,
                    "first_ms": i.first_ms,
                    "last_ms": i.last_ms,
                    "user_ids": i.user_ids,
                },
            )


def _one_after_another(i: Identifier) -> bool:
    return all(a.last_ms < b.first_ms and a.last_ms - a.first_ms >= HANDED_ON_MS for a, b in pairwise(i.links))


KINDS = (
    FactKind("clean-money", clean_money),
    FactKind("long-standing", long_standing),
    FactKind("slow-growth", slow_growth),
    FactKind("handed-on", handed_on, ("identifier",)),
)
