"""Facts about money and favours between members: refunds, chargebacks, circles of transfers, referrals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from fraudgraph.rings.facts_kinds import Draft, FactKind, weighed
from fraudgraph.rings.facts_view import RingView
from fraudgraph.rings.facts_words import between, count, listed, money, money_list
from fraudgraph.rings.money import ring_money

REFUNDS = 3
REFUND_RATIO = 0.25


def refund_loops(view: RingView) -> Iterator[Draft]:
    """A quarter of the orders or more went back, at least three of them."""
    returning = tuple(u.user_id for u in view.users.values() if u.refunds > 0)
    refunds = sum(view.users[u].refunds for u in returning)
    orders = sum(u.orders for u in view.users.values())
    if refunds < REFUNDS or refunds < REFUND_RATIO * orders:
        return
    refunded = {m.currency: m.refunded_minor for m in ring_money(view.snapshot).by_currency if m.refunded_minor}
    ordered = {m.currency: m.ordered_minor for m in ring_money(view.snapshot).by_currency if m.ordered_minor}
    amounts = f", {money_list(refunded)} of {money_list(ordered)}" if refunded else ""
    yield Draft(
        f"{count(refunds, 'refund')} for {count(orders, 'order')} by {count(len(returning), 'account')}{amounts}.",
        weighed(0.8 * min(1.0, refunds / max(orders, 1)) * len(returning) / view.size),
        {
            "refunds": refunds,
            "orders": orders,
            "members": len(returning),
            "ring_users": view.size,
            "currency": max(refunded, key=lambda c: (refunded[c], -c), default=0),
            "refunded_minor": max(refunded.values(), default=0),
            "user_ids": returning,
        },
    )


def chargebacks(view: RingView) -> Iterator[Draft]:
    """What banks took back."""
    charged = tuple(u.user_id for u in view.users.values() if u.chargebacks > 0)
    if not charged:
        return
    total = sum(view.users[u].chargebacks for u in charged)
    amounts = {m.currency: m.charged_back_minor for m in ring_money(view.snapshot).by_currency if m.charged_back_minor}
    yield Draft(
        f"{count(total, 'chargeback')} on {count(len(charged), 'account')} ({listed(charged)})"
        + (f": {money_list(amounts)} lost." if amounts else "."),
        weighed(0.15 + 0.85 * len(charged) / view.size),
        {
            "chargebacks": total,
            "members": len(charged),
            "ring_users": view.size,
            "currency": max(amounts, key=lambda c: (amounts[c], -c), default=0),
            "charged_back_minor": max(amounts.values(), default=0),
            "user_ids": charged,
        },
    )


def transfer_cycles(view: RingView) -> Iterator[Draft]:
    """Groups of members in which money can come back to whoever sent it (strongly connected)."""
    moves = [t for t in view.snapshot.transfers if t.kind == "transfer" and t.from_user_id != t.to_user_id]
    for group in circles({(t.from_user_id, t.to_user_id) for t in moves}):
        inside = [t for t in moves if t.from_user_id in group and t.to_user_id in group]
        amounts: dict[int, int] = defaultdict(int)
        for t in inside:
            amounts[t.currency] += t.amount_minor
        members = tuple(sorted(group))
        transfers = sum(t.count for t in inside)
        first_ms, last_ms = min(t.first_ms for t in inside), max(t.last_ms for t in inside)
        how = "back and forth between" if len(members) == 2 else "in a circle among"
        yield Draft(
            f"Money went {how} {count(len(members), 'account')} ({listed(members)}): {count(transfers, 'transfer')},"
            f" {money_list(amounts)}, {between(first_ms, last_ms)}.",
            weighed(0.7 * len(members) / view.size),
            {
                "members": len(members),
                "ring_users": view.size,
                "transfers": transfers,
                "currency": max(amounts, key=lambda c: (amounts[c], -c)),
                "amount_minor": max(amounts.values()),
                "first_ms": first_ms,
                "last_ms": last_ms,
                "first_user_id": members[0],
                "user_ids": members,
            },
        )


def circles(pairs: set[tuple[str, str]]) -> list[set[str]]:
    """Returns the strongly connected groups of at least two (Kosaraju 1978), by their first name."""
    forward: dict[str, list[str]] = defaultdict(list)
    backward: dict[str, list[str]] = defaultdict(list)
    for a, b in sorted(pairs):
        forward[a].append(b)
        backward[b].append(a)
    names = sorted({name for pair in pairs for name in pair})
    finished: list[str] = []
    seen: set[str] = set()
    for name in names:
        _finish(name, forward, seen, finished)
    groups = []
    seen = set()
    for name in reversed(finished):
        group: list[str] = []
        _finish(name, backward, seen, group)
        if len(group) >= 2:
            groups.append(set(group))
    return sorted(groups, key=min)


def _finish(start: str, edges: dict[str, list[str]], seen: set[str], finished: list[str]) -> None:
    """Appends what can be reached from `start` and was not seen, each after all that follows it."""
    if start in seen:
        return
    seen.add(start)
    stack = [(start, iter(edges.get(start, ())))]
    while stack:
        name, rest = stack[-1]
        fresh = next((n for n in rest if n not in seen), None)
        if fresh is None:
            finished.append(name)
            stack.pop()
        else:
            seen.add(fresh)
            stack.append((fresh, iter(edges.get(fresh, ()))))


def referral_chains(view: RingView) -> Iterator[Draft]:
    """Members that members brought; the chain is the longest way from one who brought to one who was brought."""
    pairs = sorted(
        (t.from_user_id, t.to_user_id)
        for t in view.snapshot.transfers
        if t.kind == "referral" and t.from_user_id != t.to_user_id
    )
    brought = {b for _, b in pairs}
    if len(brought) < 2:
        return
    chain = _longest_chain(pairs)
    involved = tuple(sorted({a for a, _ in pairs} | brought))
    yield Draft(
        f"{count(len(brought), 'account')} of the ring {'was' if len(brought) == 1 else 'were'} brought in by"
        f" {count(len({a for a, _ in pairs}), 'member')}; the longest chain of referrals has"
        f" {count(len(chain), 'account')}: {listed(chain)}.",
        weighed(0.6 * len(brought) / view.size),
        {
            "referred": len(brought),
            "referrers": len({a for a, _ in pairs}),
            "ring_users": view.size,
            "chain": chain,
            "user_ids": involved,
        },
    )


def _longest_chain(pairs: list[tuple[str, str]]) -> tuple[str, ...]:
    """Returns the longest way along referrals, each account once; an account is followed back to its first referrer."""
    parent: dict[str, str] = {}
    for a, b in pairs:
        parent.setdefault(b, a)
    best: tuple[str, ...] = ()
    for start in sorted({name for pair in pairs for name in pair}):
        chain, name = [start], start
        while name in parent and parent[name] not in chain:
            name = parent[name]
            chain.append(name)
        if len(chain) > len(best):
            best = tuple(reversed(chain))
    return best


def transfers_inside(view: RingView) -> Iterator[Draft]:
    """Money that members sent to members, per currency."""
    sums: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    senders: dict[int, set[str]] = defaultdict(set)
    for t in view.snapshot.transfers:
        if t.kind == "transfer":
            sums[t.currency][0] += t.count
            sums[t.currency][1] += t.amount_minor
            senders[t.currency].update((t.from_user_id, t.to_user_id))
    for currency, (number, minor) in sorted(sums.items()):
        members = tuple(sorted(senders[currency]))
        yield Draft(
            f"Members sent each other {money(minor, currency)} in {count(number, 'transfer')}, among"
            f" {count(len(members), 'account')}.",
            weighed(0.3 * len(members) / view.size),
            {
                "transfers": number,
                "currency": currency,
                "amount_minor": minor,
                "members": len(members),
                "ring_users": view.size,
                "user_ids": members,
            },
        )


KINDS = (
    FactKind("chargeback", chargebacks),
    FactKind("refund-loop", refund_loops),
    FactKind("transfer-cycle", transfer_cycles, ("first_user_id",)),
    FactKind("referral-chain", referral_chains),
    FactKind("transfers-inside", transfers_inside, ("currency",)),
)
