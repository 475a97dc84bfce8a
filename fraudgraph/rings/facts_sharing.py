"""Facts about what the members share: identifiers, device farms, takeovers, drop addresses, bridges."""

from __future__ import annotations

from collections.abc import Iterator

from fraudgraph.durations import DAY_MS
from fraudgraph.events.kinds import EntityKind
from fraudgraph.rings.facts_kinds import Draft, FactKind, densest, gaps, median, weighed
from fraudgraph.rings.facts_view import Identifier, RingView
from fraudgraph.rings.facts_words import between, count, duration, listed, money_list, of, parts, sentence
from fraudgraph.rings.money import user_money
from fraudgraph.rings.stress import stress_test

FARM_USERS = 4
FARM_GAP_MS = DAY_MS
"""A device farm: at least so many accounts, one new account per day or faster."""

TAKEOVER_AGE_MS = 30 * DAY_MS
TAKEOVER_WINDOW_MS = 7 * DAY_MS
TAKEOVER_STARTERS = 3
"""As the feature `takeover`: three members begin to use one device or IP within a week, some of them old accounts."""

OWN_DEVICE_MS = 14 * DAY_MS
VISIT_MS = DAY_MS
VISITED = 3
"""A visit: a day at most on a shared device, by an account with a device of its own for two weeks or longer."""

DROP_USERS = 3
MAX_CUTS = 3


def shared_identifiers(view: RingView) -> Iterator[Draft]:
    """One fact per identifier that at least two members use."""
    for i in view.shared:
        n, total = len(i.links), i.users_total
        yield Draft(
            f"{sentence(i.called)} ({i.mask}) is used by {of(n, view.size, 'account')} of the ring"
            f"{_outside(i)}: {count(i.uses, 'time')} {between(i.first_ms, i.last_ms)}.",
            weighed(0.0 if i.hub else i.strength * n / view.size),
            {
                "identifier": i.name,
                "identifier_kind": i.kind.label,
                "mask": i.mask,
                "members": n,
                "ring_users": view.size,
                "users_total": total,
                "first_ms": i.first_ms,
                "last_ms": i.last_ms,
                "count": i.uses,
                "strength": round(i.strength, 4),
                "ties": i.ties,
                "hub": i.hub,
                "user_ids": i.user_ids,
            },
        )


def _outside(i: Identifier) -> str:
    outside = i.users_total - len(i.links)
    if i.benign:
        return f" and {count(outside, 'account')} outside it, and is harmless by {i.benign}: it ties nobody"
    if i.hub:
        return f" and {count(outside, 'account')} outside it, too many for it to tie anybody"
    return f" and {count(outside, 'account')} outside it" if outside else " and by nobody else"


def device_farms(view: RingView) -> Iterator[Draft]:
    """One device that many accounts began to use in short succession."""
    for i in view.shared:
        if i.kind is not EntityKind.DEVICE or i.hub:
            continue
        began = view.beginnings(i)
        if len(began) < FARM_USERS:
            continue
        starts = [x.first_ms for x in began]
        gap = median(gaps(starts))
        if gap > FARM_GAP_MS:
            continue
        span = starts[-1] - starts[0]
        yield Draft(
            f"{count(len(starts), 'account')} began to use device {i.name} one after the other within"
            f" {duration(span)}, typically {duration(gap)} apart.",
            weighed(0.9 * len(starts) / view.size),
            {
                "identifier": i.name,
                "mask": i.mask,
                "members": len(starts),
                "ring_users": view.size,
                "first_ms": starts[0],
                "last_ms": starts[-1],
                "median_gap_ms": gap,
                "user_ids": tuple(x.user_id for x in began),
            },
        )


def takeover_starts(view: RingView) -> Iterator[tuple[Identifier, tuple[str, ...], int, int]]:
    """Yields (identifier, old accounts that began to use it, first and last start) of each likely takeover.

    A new household tablet is no takeover: of the accounts that began together, at least two must be old and share
    nothing else with another one of them that they shared a month before already.
    """
    for i in view.shared:
        if i.kind not in (EntityKind.DEVICE, EntityKind.IP) or i.hub:
            continue
        starts = [(x.first_ms, x.user_id) for x in i.links]
        start, end = densest(starts, TAKEOVER_WINDOW_MS)
        if end - start < TAKEOVER_STARTERS:
            continue
        old = tuple(
            u
            for ms, u in starts[start:end]
            if view.age_ms(u, ms) > TAKEOVER_AGE_MS
            and not any(_acquainted(view, u, other, ms - TAKEOVER_AGE_MS) for _, other in starts[start:end])
        )
        if len(old) >= 2:
            yield i, old, starts[start][0], starts[end - 1][0]


def _acquainted(view: RingView, a: str, b: str, before_ms: int) -> bool:
    """Returns whether two accounts shared an identifier before that time already."""
    return a != b and any(
        not i.hub and sum(x.first_ms < before_ms for x in i.links if x.user_id in (a, b)) == 2 for i in view.by_user[a]
    )


def takeovers(view: RingView) -> Iterator[Draft]:
    """Old accounts that got the same new device or IP within days."""
    for i, old, first_ms, last_ms in takeover_starts(view):
        kind_weight = 1.0 if i.kind is EntityKind.DEVICE else 0.4
        youngest = min(view.age_ms(u, first_ms) for u in old)
        yield Draft(
            f"{count(len(old), 'account')} that had existed for {duration(youngest)} or longer ({listed(old)}) began"
            f" to use {i.called} within {duration(last_ms - first_ms)}, {between(first_ms, last_ms)}.",
            weighed(kind_weight * len(old) / view.size),
            {
                "identifier": i.name,
                "identifier_kind": i.kind.label,
                "mask": i.mask,
                "victims": len(old),
                "ring_users": view.size,
                "first_ms": first_ms,
                "last_ms": last_ms,
                "youngest_age_ms": youngest,
                "user_ids": old,
            },
        )


def visits(view: RingView) -> Iterator[tuple[str, Identifier, Identifier]]:
    """Yields (account, shared device, own device) where an account with a device of its own, in use for weeks, was on
    a shared one for a day at most: as when somebody else enters it. Once per account.
    """
    own: dict[str, Identifier] = {}
    brief: dict[str, Identifier] = {}
    for i in view.identifiers:
        if i.kind is not EntityKind.DEVICE:
            continue
        alone, together = i.users_total == 1, len(i.links) >= 2 and not i.hub
        for x in i.links:
            if alone and x.last_ms - x.first_ms >= OWN_DEVICE_MS:
                own.setdefault(x.user_id, i)
            if together and x.last_ms - x.first_ms <= VISIT_MS:
                brief.setdefault(x.user_id, i)
    yield from ((user_id, brief[user_id], own[user_id]) for user_id in own if user_id in brief)


def brief_visits(view: RingView) -> Iterator[Draft]:
    """At least three accounts and a third of the ring, each with a device of its own, were briefly on shared ones."""
    found = sorted(visits(view), key=lambda row: row[0])
    if len(found) < VISITED or 3 * len(found) < view.size:
        return
    names = tuple(user_id for user_id, _, _ in found)
    shared = tuple(sorted({i.name for _, i, _ in found}))
    yield Draft(
        sentence(
            f"{of(len(found), view.size, 'account')} of the ring ({listed(names)}) have devices of their own, in use"
            f" for weeks, and were on a shared device ({listed(shared)}) for a day at most."
        ),
        weighed(0.7 * len(found) / view.size),
        {"members": len(found), "ring_users": view.size, "identifiers": shared, "user_ids": names},
    )


def drop_addresses(view: RingView) -> Iterator[Draft]:
    """An address that at least three ordering members and a sixth of the ring use."""
    amounts = user_money(view.snapshot)
    for i in view.shared:
        if i.kind is not EntityKind.ADDRESS or i.hub:
            continue
        buyers = tuple(u for u in i.user_ids if view.users[u].orders > 0)
        if len(buyers) < DROP_USERS or 6 * len(buyers) < view.size:
            continue
        orders = sum(view.users[u].orders for u in buyers)
        cards = {c.name for u in buyers for c in view.by_user[u] if c.kind is EntityKind.CARD}
        at_risk: dict[int, int] = {}
        for u in buyers:
            for currency, minor in amounts.get(u, {}).items():
                at_risk[currency] = at_risk.get(currency, 0) + minor
        yield Draft(
            f"{count(len(buyers), 'account')} with {count(orders, 'order')} ({money_list(at_risk)} at stake) use"
            f" address {i.name}" + (f", with {count(len(cards), 'card')}." if cards else "."),
            weighed(0.5 * len(buyers) / view.size),
            {
                "identifier": i.name,
                "mask": i.mask,
                "members": len(buyers),
                "ring_users": view.size,
                "orders": orders,
                "cards": len(cards),
                "user_ids": buyers,
            },
        )


def bridges(view: RingView) -> Iterator[Draft]:
    """What the ring falls apart without; at most the three that part most."""
    names = {i.name: i.called for i in view.identifiers}
    bonds = {constraint: (a, b) for a, b, constraint in view.snapshot.together}
    for cut in stress_test(view)[:MAX_CUTS]:
        if cut.constraint is not None:
            subject = f"{cut.constraint}, by which an analyst ties {listed(bonds[cut.constraint])}"
        elif cut.identifier is not None:
            subject = names[cut.identifier]
        else:
            subject = f"account {cut.user_id}"
        yield Draft(
            f"Without {subject}, the ring falls into {parts(cut.parts)}.",
            weighed(0.1 * cut.apart / view.size),
            {
                "identifier": cut.identifier,
                "user_id": cut.user_id,
                "constraint": cut.constraint,
                "parts": cut.parts,
            },
        )


KINDS = (
    FactKind("takeover", takeovers, ("identifier",)),
    FactKind("brief-visits", brief_visits),
    FactKind("device-farm", device_farms, ("identifier",)),
    FactKind("shared-identifier", shared_identifiers, ("identifier",)),
    FactKind("drop-address", drop_addresses, ("identifier",)),
    FactKind("bridge", bridges, ("identifier", "user_id", "constraint")),
)
