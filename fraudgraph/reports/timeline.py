"""What happened when: one line per day that moved something, from the snapshot's dates."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from fraudgraph.durations import DAY_MS
from fraudgraph.rings.facts_view import RingView
from fraudgraph.rings.facts_words import count, listed, money_list
from fraudgraph.rings.snapshot import SnapshotStep

MAX_LINES = 25


@dataclass(frozen=True, slots=True)
class Happening:
    """A day of the ring, or the step of its life at `at_ms`; `moved` is how many things it sums up."""

    at_ms: int
    text: str
    moved: int


def timeline(view: RingView) -> tuple[Happening, ...]:
    """Returns what happened, oldest first: per day the accounts first seen, identifiers that came to be shared, orders,
    and steps of the ring's life. Beyond `MAX_LINES` the days that moved least are left out, and counted in a last line.
    """
    days: dict[int, list[tuple[int, str]]] = defaultdict(list)
    _accounts(view, days)
    _sharing(view, days)
    _orders(view, days)
    lines = [
        Happening(day * DAY_MS, "; ".join(text for _, text in parts), sum(n for n, _ in parts))
        for day, parts in days.items()
    ]
    lines += [Happening(s.at_ms, _step(s), _moved(s)) for s in view.snapshot.lineage if s.what in _STEPS]
    if len(lines) > MAX_LINES:
        lines.sort(key=lambda h: (-h.moved, h.at_ms))
        rest = lines[MAX_LINES:]
        lines = lines[:MAX_LINES]
        lines.append(Happening(max(h.at_ms for h in (*lines, *rest)), f"{count(len(rest), 'quieter day')} left out", 0))
    return tuple(sorted(lines, key=lambda h: (h.at_ms, -h.moved)))


def _accounts(view: RingView, days: dict[int, list[tuple[int, str]]]) -> None:
    first: dict[int, list[str]] = defaultdict(list)
    for user in view.users.values():
        first[user.first_ms // DAY_MS].append(user.user_id)
    for day, names in first.items():
        days[day].append((len(names), f"{count(len(names), 'account')} first seen ({listed(names, 3)})"))


def _sharing(view: RingView, days: dict[int, list[tuple[int, str]]]) -> None:
    began: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for identifier in view.shared:
        for link in identifier.links:
            began[link.first_ms // DAY_MS][identifier.name] += 1
    for day, users in began.items():
        most = sorted(users, key=lambda name: -users[name])
        days[day].append((sum(users.values()), f"began to use {listed([f'{n} ({users[n]})' for n in most])}"))


def _orders(view: RingView, days: dict[int, list[tuple[int, str]]]) -> None:
    amounts: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    orders: dict[int, list[bool]] = defaultdict(list)
    for order in view.snapshot.orders:
        day = order.ts_ms // DAY_MS
        orders[day].append(order.declined)
        if not order.declined:
            amounts[day][order.currency] += order.amount_minor
    for day, declined in orders.items():
        text = count(len(declined), "order")
        if amounts[day]:
            text += f" ({money_list(dict(amounts[day]))})"
        if any(declined):
            text += f", {sum(declined):,} declined or cancelled"
        days[day].append((len(declined), text))


_STEPS: dict[str, str] = {
    "born": "found as a ring of {after}",
    "grew": "grew from {before} to {after}",
    "shrank": "shrank from {before} to {after}",
    "merged": "merged with {other}, now {after}",
    "split": "split apart from {other}, now {after}",
    "dormant": "went quiet with {after}",
    "revived": "became active again with {after}",
    "closed": "closed; last it had {before}",
}


def _moved(step: SnapshotStep) -> int:
    """Returns how much a step weighs beside a day's events; birth, merger, split and end are never left out."""
    return 3 * abs(step.users_after - step.users_before) if step.what in ("grew", "shrank") else 1_000


def _step(step: SnapshotStep) -> str:
    text = _STEPS[step.what].format(
        before=count(step.users_before, "account"),
        after=count(step.users_after, "account"),
        other=f"ring {step.other_ring_id}" if step.other_ring_id else "another ring",
    )
    return text[0].upper() + text[1:]
