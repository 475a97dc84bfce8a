"""What is true of a ring, derived from its snapshot a second time: plainly, slowly, and with none of `rings`' facts.

The oracle of the narrator's checks: it shares with the house only the snapshot, the link policy and the words for
numbers and times, so that a mistake in the facts, the pack, the verifier or the phrases shows as a difference.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations, pairwise
from math import prod
from typing import Any

from fraudgraph.durations import DAY_MS, HOUR_MS
from fraudgraph.events.kinds import EntityKind
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.rings.snapshot import RingSnapshot, SnapshotLink

LETTERS = {"D": EntityKind.DEVICE, "IP": EntityKind.IP, "C": EntityKind.CARD}
LETTERS |= {"M": EntityKind.EMAIL, "P": EntityKind.PHONE, "A": EntityKind.ADDRESS}

Numbers = dict[str, Any]
"""Values of one statement: numbers, times in ms, money as (minor, currency), `accounts` as a set of user ids."""


class Truth:
    """One ring, counted anew.

    Attributes:
        identifiers: short name -> its links, one per member.
    """

    def __init__(self, snapshot: RingSnapshot, policy: LinkPolicy | None = None) -> None:
        self.snapshot = snapshot
        self.policy = policy or LinkPolicy()
        self.users = {u.user_id: u for u in snapshot.users}
        self.identifiers = _named(snapshot, self.users)

    @property
    def whole(self) -> int:
        """Members."""
        return len(self.users)

    def of(self, kind: str, subject: str) -> Numbers:
        """Returns the values of a statement of this kind about this subject (an identifier, an account, a currency)."""
        derive: Callable[[str], Numbers] = getattr(self, f"_{kind.replace('-', '_')}")
        return derive(subject)

    def hub(self, name: str) -> bool:
        """Returns whether an identifier ties nobody."""
        return any(x.hub for x in self.identifiers[name])

    def total(self, name: str) -> int:
        """Returns how many users an identifier has in all."""
        links = self.identifiers[name]
        return max(len(links), *(x.users_active for x in links))

    def newcomers(self) -> list[str]:
        """Returns members of whom the stream shows the beginning."""
        births_ms = self.snapshot.births_ms
        if births_ms >= 0:
            return [u for u, x in self.users.items() if x.signup_ms >= 0 or x.first_ms >= births_ms]
        signed = [u for u in self.users if self.users[u].signup_ms >= 0]
        return signed or list(self.users)

    def _shared_identifier(self, name: str) -> Numbers:
        links = self.identifiers[name]
        return {
            "identifier": name,
            "members": len(links),
            "accounts": {x.user_id for x in links},
            "count": sum(x.count for x in links),
            "first": min(x.first_ms for x in links),
            "last": max(x.last_ms for x in links),
            "users_total": self.total(name),
            "outside": self.total(name) - len(links),
            "hub": self.hub(name),
        }

    def _device_farm(self, name: str) -> Numbers:
        began, new = self.identifiers[name], set(self.newcomers())
        if self.snapshot.links_ms >= 0:
            began = [x for x in began if x.first_ms >= self.snapshot.links_ms or x.user_id in new]
        starts = sorted(x.first_ms for x in began)
        return {
            "identifier": name,
            "members": len(starts),
            "accounts": {x.user_id for x in began},
            "first": starts[0],
            "last": starts[-1],
            "median_gap": lower_median(b - a for a, b in pairwise(starts)),
        }

    def _takeover(self, name: str) -> Numbers:
        starts = sorted((x.first_ms, x.user_id) for x in self.identifiers[name])
        window = densest([t for t, _ in starts], 7 * DAY_MS)
        chosen = [(t, u) for t, u in starts if window[0] <= t <= window[1]]
        old = [
            u
            for t, u in chosen
            if t - self.known_since(u) > 30 * DAY_MS
            and not any(self._knew(u, other, t - 30 * DAY_MS) for _, other in chosen if other != u)
        ]
        return {
            "identifier": name,
            "victims": len(old),
            "accounts": set(old),
            "first": window[0],
            "last": window[1],
            "youngest_age": min(window[0] - self.known_since(u) for u in old),
        }

    def known_since(self, user_id: str) -> int:
        """Returns since when the shop has known an account."""
        user = self.users[user_id]
        return user.first_ms if user.signup_ms < 0 else min(user.first_ms, user.signup_ms)

    def _knew(self, a: str, b: str, before_ms: int) -> bool:
        return any(
            {a, b} <= {x.user_id for x in links if x.first_ms < before_ms}
            for name, links in self.identifiers.items()
            if not self.hub(name)
        )

    def _brief_visits(self, _: str) -> Numbers:
        devices = {name: links for name, links in self.identifiers.items() if name.startswith("D")}
        visited: dict[str, str] = {}
        for user_id in self.users:
            mine = {name: x for name, links in devices.items() for x in links if x.user_id == user_id}
            own = any(self.total(n) == 1 and x.last_ms - x.first_ms >= 14 * DAY_MS for n, x in mine.items())
            brief = [
                n
                for n, x in mine.items()
                if len(devices[n]) > 1 and not self.hub(n) and x.last_ms - x.first_ms <= DAY_MS
            ]
            if own and brief:
                visited[user_id] = brief[0]
        return {"members": len(visited), "accounts": set(visited), "identifiers": set(visited.values())}

    def _drop_address(self, name: str) -> Numbers:
        buyers = {x.user_id for x in self.identifiers[name] if self.users[x.user_id].orders}
        cards = [
            n for n, links in self.identifiers.items() if n.startswith("C") and buyers & {x.user_id for x in links}
        ]
        return {
            "identifier": name,
            "members": len(buyers),
            "accounts": buyers,
            "orders": sum(self.users[u].orders for u in buyers),
            "cards": len(cards),
        }

    def _cards_of(self, accounts: set[str]) -> list[str]:
        cards = [(n, links) for n, links in self.identifiers.items() if n.startswith("C")]
        return [n for n, links in cards if accounts & {x.user_id for x in links}]

    def _bridge(self, subject: str) -> Numbers:
        return {"parts": self.parts(subject), "accounts": {subject} & set(self.users)}

    def parts(self, without: str = "") -> tuple[int, ...]:
        """Returns the numbers of accounts in what hangs together without an account, identifier or analyst's tie."""
        return tuple(sorted(map(len, _groups(self.near(without))), reverse=True))

    def near(self, without: str = "") -> dict[str, set[str]]:
        """Returns whom each account is tied to, leaving out an account, an identifier or an analyst's tie."""
        near: dict[str, set[str]] = {u: set() for u in self.users if u != without}

        def join(a: str, b: str) -> None:
            if a in near and b in near:
                near[a].add(b)
                near[b].add(a)

        weak: dict[tuple[str, str], list[tuple[float, str]]] = defaultdict(list)
        for name, links in self.identifiers.items():
            if name == without or len(links) < 2:
                continue
            tied = [x.user_id for x in links if x.ties and not x.hub]
            for a, b in combinations(tied, 2):
                join(a, b)
            if not self.hub(name) and self.total(name) <= self.policy.max_pair_users:
                for x, y in combinations([x for x in links if not x.ties and x.strength > 0], 2):
                    a, b = sorted((x.user_id, y.user_id))
                    weak[a, b].append((min(x.strength, y.strength), name))
        for (one, other), strengths in weak.items():
            together = 1.0 - prod(1.0 - s for s, _ in strengths)
            if together >= self.policy.theta and any(not n.startswith("IP") for _, n in strengths):
                join(one, other)
        for one, other, constraint in self.snapshot.together:
            if constraint != without:
                join(one, other)
        return near

    def _burst(self, _: str) -> Numbers:
        first = sorted((self.users[u].first_ms, u) for u in self.newcomers())
        best: tuple[float, int, tuple[int, int]] = (-1.0, 0, (0, 0))
        for factor, hours in ((0.8, 24), (0.5, 168)):
            window = densest([t for t, _ in first], hours * HOUR_MS)
            n = sum(window[0] <= t <= window[1] for t, _ in first)
            if factor * n > best[0]:
                best = (factor * n, hours, window)
        hours, (start, end) = best[1], best[2]
        accounts = {u for t, u in first if start <= t <= end}
        return {"members": len(accounts), "accounts": accounts, "first": start, "last": end, "window_hours": hours}

    def _velocity(self, _: str) -> Numbers:
        start, end = densest(sorted(o.ts_ms for o in self.snapshot.orders), DAY_MS)
        busy = [o for o in self.snapshot.orders if start <= o.ts_ms <= end]
        buyers = {o.user_id for o in busy}
        return {
            "orders": len(busy),
            "orders_total": len(self.snapshot.orders),
            "members": len(buyers),
            "accounts": buyers,
            "first": start,
            "last": end,
            "declined": sum(o.declined for o in busy),
        }

    def _card_testing(self, _: str) -> Numbers:
        testers = {
            u for u, x in self.users.items() if x.declined >= 3 and x.declined >= 0.3 * max(x.orders + x.payments, 1)
        }
        cards = [
            n for n, links in self.identifiers.items() if n.startswith("C") and testers & {x.user_id for x in links}
        ]
        most = max(self.users[u].declined for u in testers)
        return {
            "members": len(testers),
            "accounts": testers,
            "declined": sum(self.users[u].declined for u in testers),
            "attempts": sum(
                max(self.users[u].orders + self.users[u].payments, self.users[u].declined) for u in testers
            ),
            "cards": len(cards),
            "most_declined": most,
            "most_declined_account": min(u for u in testers if self.users[u].declined == most),
        }

    def _one_order_accounts(self, _: str) -> Numbers:
        return self._who(u for u, x in self.users.items() if x.orders == 1)

    def _quick_spending(self, _: str) -> Numbers:
        waits = {u: self.users[u].first_spend_ms - self.users[u].first_ms for u in self.newcomers()}
        quick = {u: w for u, w in waits.items() if self.users[u].first_spend_ms >= 0 and w <= DAY_MS}
        return {**self._who(quick), "median_wait": lower_median(quick.values())}

    def _labels(self, value: str) -> Numbers:
        sign = 1 if value == "fraud" else -1
        return {**self._who(u for u, x in self.users.items() if x.label == sign), "value": value}

    def _refund_loop(self, _: str) -> Numbers:
        back: Counter[int] = Counter()
        for o in self.snapshot.orders:
            back[o.currency] += o.refunded_minor
        return {
            **self._who(u for u, x in self.users.items() if x.refunds),
            "refunds": sum(x.refunds for x in self.users.values()),
            "orders": sum(x.orders for x in self.users.values()),
            "refunded": _largest(back),
        }

    def _chargeback(self, _: str) -> Numbers:
        back: Counter[int] = Counter()
        new = self.newcomers()
        known = set()
        for o in self.snapshot.orders:
            back[o.currency] += o.charged_minor
            old = o.user_id not in new or o.ts_ms - self.known_since(o.user_id) > 30 * DAY_MS
            if o.charged_minor and old and self.users[o.user_id].chargebacks:
                known.add(o.user_id)
        return {
            **self._who(u for u, x in self.users.items() if x.chargebacks),
            "long_known": len(known),
            "chargebacks": sum(x.chargebacks for x in self.users.values()),
            "charged_back": _largest(back),
        }

    def _transfer_cycle(self, first_user: str) -> Numbers:
        moves = [t for t in self.snapshot.transfers if t.kind == "transfer" and t.from_user_id != t.to_user_id]
        reach = {u: _reached(u, [(t.from_user_id, t.to_user_id) for t in moves]) for u in self.users}
        group = {u for u in self.users if u == first_user or (u in reach[first_user] and first_user in reach[u])}
        inside = [t for t in moves if t.from_user_id in group and t.to_user_id in group]
        amounts: Counter[int] = Counter()
        for t in inside:
            amounts[t.currency] += t.amount_minor
        return {
            **self._who(group),
            "transfers": sum(t.count for t in inside),
            "amount": min(((minor, c) for c, minor in amounts.items()), key=lambda x: (-x[0], x[1])),
            "first": min(t.first_ms for t in inside),
            "last": max(t.last_ms for t in inside),
        }

    def _referral_chain(self, _: str) -> Numbers:
        pairs = sorted(
            {
                (t.from_user_id, t.to_user_id)
                for t in self.snapshot.transfers
                if t.kind == "referral" and t.from_user_id != t.to_user_id
            }
        )
        by: dict[str, str] = {}
        for a, b in pairs:
            by[b] = min(a, by.get(b, a))
        longest = 0
        for name in {x for pair in pairs for x in pair}:
            chain = [name]
            while chain[-1] in by and by[chain[-1]] not in chain:
                chain.append(by[chain[-1]])
            longest = max(longest, len(chain))
        return {
            "referred": len({b for _, b in pairs}),
            "referrers": len({a for a, _ in pairs}),
            "chain": longest,
            "accounts": {x for pair in pairs for x in pair},
        }

    def _transfers_inside(self, currency: str) -> Numbers:
        rows = [t for t in self.snapshot.transfers if t.kind == "transfer" and t.currency == int(currency)]
        return {
            **self._who({x for t in rows for x in (t.from_user_id, t.to_user_id)}),
            "transfers": sum(t.count for t in rows),
            "amount": (sum(t.amount_minor for t in rows), int(currency)),
        }

    def _similar_past_ring(self, decision_id: str) -> Numbers:
        past = next(p for p in self.snapshot.past if p.decision_id == decision_id)
        return {"past": past.ring_id, "verdict": past.verdict, "at": past.at_ms, "accounts": set()}

    def _rule(self, name: str) -> Numbers:
        (hit,) = (hit for hit in self.snapshot.rules.hits if hit.rule == name and hit.mode != "shadow")
        return {"rule": hit.rule, "severity": hit.severity, "accounts": set()}

    def _clean_money(self, _: str) -> Numbers:
        users = self.users.values()
        if any(u.declined or u.refunds or u.chargebacks or u.label > 0 for u in users):
            raise AssertionError("the money is not clean")
        orders, payments = sum(u.orders for u in users), sum(u.payments for u in users)
        return {"orders": orders, "payments": payments, "accounts": set()}

    def _long_standing(self, _: str) -> Numbers:
        spans = {u: x.last_ms - x.first_ms for u, x in self.users.items() if x.last_ms - x.first_ms > 90 * DAY_MS}
        return {**self._who(spans), "median_span": lower_median(spans.values())}

    def _slow_growth(self, _: str) -> Numbers:
        first = sorted(u.first_ms for u in self.users.values())
        start, end = densest(first, 7 * DAY_MS)
        most = sum(start <= t <= end for t in first)
        return {"most_in_week": most, "first": first[0], "last": first[-1], "accounts": set()}

    def _handed_on(self, name: str) -> Numbers:
        links = sorted(self.identifiers[name], key=lambda x: x.first_ms)
        if any(a.last_ms >= b.first_ms for a, b in pairwise(links)):
            raise AssertionError("two had it at a time")
        shared = self._shared_identifier(name)
        return {key: shared[key] for key in ("identifier", "members", "accounts", "first", "last")}

    def _ring(self, _: str) -> Numbers:
        users = self.users.values()
        return {
            "members": self.whole,
            "first": min(u.first_ms for u in users),
            "last": max(u.last_ms for u in users),
            "accounts": set(),
        }

    def _money(self, currency: str) -> Numbers:
        code = int(currency)
        rows = [o for o in self.snapshot.orders if o.currency == code]
        live = [o for o in rows if not o.declined]
        exposed = sum(max(0, o.amount_minor - o.refunded_minor - o.charged_minor) for o in live)
        charged = sum(o.charged_minor for o in rows)
        sent = sum(t.amount_minor for t in self.snapshot.transfers if t.kind == "transfer" and t.currency == code)
        sent += sum(x.amount_minor for x in self.snapshot.sent_outside if x.currency == code)
        return {
            "orders": len(live),
            "declined": len(rows) - len(live),
            "ordered": (sum(o.amount_minor for o in live), code),
            "exposed": (exposed, code),
            "charged_back": (charged, code),
            "refunded": (sum(o.refunded_minor for o in rows), code),
            "at_risk": (exposed + charged, code),
            "sent": (sent, code),
            "accounts": set(),
        }

    def _member(self, user_id: str) -> Numbers:
        user = self.users[user_id]
        first = user.first_ms - user.first_ms % 60_000
        return {
            "accounts": {user_id},
            "orders": user.orders,
            "declined": user.declined,
            "tied_to": len(self.near()[user_id]),
            "first": first,
        }

    def _who(self, accounts: Iterable[str]) -> Numbers:
        chosen = set(accounts)
        return {"members": len(chosen), "accounts": chosen}


def densest(times: Sequence[int], width_ms: int) -> tuple[int, int]:
    """Returns first and last of the most sorted times within a width; of equals the earliest."""
    best = (times[0], times[0])
    most = 0
    for start in times:
        inside = [t for t in times if start <= t <= start + width_ms]
        if len(inside) > most:
            most, best = len(inside), (inside[0], inside[-1])
    return best


def lower_median(values: Iterable[int]) -> int:
    """Returns the lower median."""
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2]


def _largest(amounts: Counter[int]) -> tuple[int, int]:
    """Returns the largest amount with its currency; of equals the lower code, and nothing of no currency."""
    ordered = sorted((-minor, currency) for currency, minor in amounts.items() if minor)
    return (-ordered[0][0], ordered[0][1]) if ordered else (0, 0)


def _groups(near: dict[str, set[str]]) -> list[set[str]]:
    left, out = set(near), []
    while left:
        group = _reached(next(iter(left)), [(a, b) for a, others in near.items() for b in others])
        out.append(group)
        left -= group
    return out


def _reached(start: str, edges: Iterable[tuple[str, str]]) -> set[str]:
    """Returns what can be reached, the start included."""
    following: dict[str, set[str]] = defaultdict(set)
    for a, b in edges:
        following[a].add(b)
    seen, todo = {start}, [start]
    while todo:
        for name in following[todo.pop()] - seen:
            seen.add(name)
            todo.append(name)
    return seen


def _named(snapshot: RingSnapshot, users: Iterable[str]) -> dict[str, list[SnapshotLink]]:
    members = set(users)
    rows: dict[tuple[EntityKind, str], list[SnapshotLink]] = defaultdict(list)
    for x in snapshot.links:
        if x.user_id in members:
            rows[x.kind, x.key].append(x)
    out = {}
    for letters, kind in LETTERS.items():
        mine = [(-len(links), min(x.first_ms for x in links), key) for (k, key), links in rows.items() if k == kind]
        for number, (_, _, key) in enumerate(sorted(mine), 1):
            out[f"{letters}{number}"] = rows[kind, key]
    return out
