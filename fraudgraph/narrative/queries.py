"""Questions about one ring: a closed set, answered by code from the frozen snapshot, each answer with its evidence."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

import msgspec

from fraudgraph.durations import MINUTE_MS
from fraudgraph.errors import UsageError
from fraudgraph.events.kinds import IDENTIFIER_KINDS, EntityKind
from fraudgraph.narrative.evidence import Evidence
from fraudgraph.narrative.port import Sentence
from fraudgraph.rings.facts_view import Identifier, RingView
from fraudgraph.rings.facts_words import count, duration, listed, minute, money, money_list, parts
from fraudgraph.rings.money import order_exposure, user_money
from fraudgraph.rings.roles import RoleName
from fraudgraph.rings.stress import stress_test

KINDS: Final = tuple(kind.label for kind in IDENTIFIER_KINDS)
CANNOT: Final = "This cannot be answered from the evidence."
MAX_LISTED: Final = 12


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of `QUERIES` with its arguments; "" and 0 stand for none.

    Attributes:
        account, other: `U3`, or the shop's own user id.
        identifier: `D2`, as the report names it.
        kind: one of `KINDS`; nth: from 1, by time of first use.
        after: a date or an RFC 3339 time.
    """

    query: str
    account: str = ""
    other: str = ""
    identifier: str = ""
    kind: str = ""
    nth: int = 0
    after: str = ""


class Answer(msgspec.Struct, frozen=True):
    """What code found; no sentences where the evidence does not say."""

    question: Question
    sentences: tuple[Sentence, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """A question that can be answered: `needs` are the arguments that it takes, `may` those that narrow it."""

    says: str
    run: Callable[[_Ring, Question], Iterable[Sentence]]
    needs: tuple[str, ...] = ()
    may: tuple[str, ...] = ()


def ask(evidence: Evidence, question: Question) -> Answer:
    """Returns the answer of code to a question.

    Raises:
        UsageError: there is no such query, or an argument is missing or names nothing in this ring.
    """
    query = QUERIES.get(question.query)
    if query is None:
        raise UsageError(f"there is no query {question.query!r}", do=f"Known: {', '.join(QUERIES)}.")
    missing = [name for name in query.needs if not getattr(question, name)]
    if missing:
        raise UsageError(
            f"{question.query} needs {' and '.join(missing)}", do=f"It says {query.says}; `ask --list` shows all."
        )
    return Answer(question, tuple(query.run(_Ring(evidence), question)))


class _Ring:
    """The ring as queries read it: arguments resolved, names as a report shows them."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.view: RingView = evidence.view
        self.short = {name: short for short, name in evidence.names.items() if name in self.view.users}

    def account(self, text: str) -> str:
        """Returns the user id behind `U3`, or behind itself."""
        user_id = text if text in self.view.users else self.evidence.names.get(text.upper(), "")
        if user_id not in self.view.users:
            raise UsageError(f"{text!r} is no account of this ring", do="`rings show` lists them; U1 is the first.")
        return user_id

    def identifier(self, text: str) -> Identifier:
        found = next((i for i in self.view.identifiers if i.name == text.upper()), None)
        if found is None:
            raise UsageError(f"{text!r} is no identifier of this ring", do="`rings show` names them: D1, C2, IP1.")
        return found

    def kind(self, text: str) -> EntityKind:
        found = next((kind for kind in IDENTIFIER_KINDS if kind.label == text), None)
        if found is None:
            raise UsageError(f"{text!r} is no kind of identifier", do=f"One of {', '.join(KINDS)}.")
        return found

    def time(self, text: str) -> int:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise UsageError(f"{text!r} is no time", do="Write 2026-03-01 or 2026-03-01T14:05:00Z.") from None
        return round(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000)

    def called(self, user_id: str) -> str:
        return f"{user_id} ({self.short[user_id]})"

    def listed(self, user_ids: Sequence[str]) -> str:
        return listed([self.called(u) for u in user_ids], MAX_LISTED)

    def cite(self, *identifiers: Identifier) -> tuple[str, ...]:
        """Returns the facts about these identifiers; where only one account used them, there are none, its row."""
        names = {i.name for i in identifiers}
        facts = (f for f in self.evidence.facts if f.kind == "shared-identifier" and f.fields["identifier"] in names)
        return tuple(f.id for f in facts) or self.rows(i.user_ids[0] for i in identifiers)

    def rows(self, user_ids: Iterable[str]) -> tuple[str, ...]:
        return tuple(self.short[u] for u in user_ids)


def _sentence(query: str, text: str, *evidence: str) -> Sentence:
    return Sentence(text, tuple(dict.fromkeys(evidence))[:MAX_LISTED], (query,))


def _brought_in(ring: _Ring, q: Question) -> Iterable[Sentence]:
    """The n-th of a kind by first use: of those that members share, where they share any."""
    kind = ring.kind(q.kind)
    of_kind = [i for i in ring.view.shared if i.kind is kind] or [i for i in ring.view.identifiers if i.kind is kind]
    of_kind.sort(key=lambda i: (i.first_ms, i.name))
    if 0 < q.nth <= len(of_kind):
        i = of_kind[q.nth - 1]
        shared = "that members share" if len(i.links) > 1 else "of the ring"
        place = (
            f"number {q.nth} of the {count(len(of_kind), i.noun)} {shared}"
            if len(of_kind) > 1
            else (f"the only {i.noun} {shared}")
        )
        yield _sentence(q.query, f"By time of first use {i.name} is {place}.", *ring.cite(i))
        yield from _first_use(ring, msgspec.structs.replace(q, identifier=i.name))


def _first_use(ring: _Ring, q: Question) -> Iterable[Sentence]:
    i = ring.identifier(q.identifier)
    first, *others = i.links
    cited = (*ring.cite(i), ring.short[first.user_id])
    text = f"{ring.called(first.user_id)} used {i.called} first, on {minute(first.first_ms)} UTC"
    if not others:
        yield _sentence(q.query, f"{text}; no other member used it.", *cited)
        return
    then = others[0]
    gap = then.first_ms - first.first_ms
    followed = (
        f"{ring.called(then.user_id)} followed {duration(gap)} later"
        if gap >= MINUTE_MS
        else (f"{ring.called(then.user_id)} within the same minute")
    )
    yield _sentence(q.query, f"{text}; {followed}.", *cited, ring.short[then.user_id])


def _users_of(ring: _Ring, q: Question) -> Iterable[Sentence]:
    i = ring.identifier(q.identifier)
    outside = i.users_total - len(i.links)
    beyond = f", and {count(outside, 'account')} outside the ring" if outside else ""
    yield _sentence(q.query, f"{count(len(i.links), 'member')} used {i.called}{beyond}.", *ring.cite(i))
    for link in i.links[:MAX_LISTED]:
        span = f"from {minute(link.first_ms)} to {minute(link.last_ms)} UTC"
        text = f"{ring.called(link.user_id)}: {count(link.count, 'use')}, {span}."
        yield _sentence(q.query, text, *ring.cite(i), ring.short[link.user_id])


def _identifiers_of(ring: _Ring, q: Question) -> Iterable[Sentence]:
    user_id = ring.account(q.account)
    own = ring.view.by_user[user_id]
    shared = [i for i in own if len(i.links) > 1]
    alone = [i.name for i in own if len(i.links) == 1]
    for i in shared[:MAX_LISTED]:
        others = [x for x in i.user_ids if x != user_id]
        text = f"{ring.called(user_id)} used {i.called} together with {ring.listed(others)}."
        yield _sentence(q.query, text, *ring.cite(i), ring.short[user_id])
    if alone:
        text = f"No other member used {listed(alone, MAX_LISTED)}."
        yield _sentence(q.query, text, ring.short[user_id])


def _links(ring: _Ring, q: Question) -> Iterable[Sentence]:
    """What two accounts share, else the shortest way between them through shared identifiers of the ring."""
    a, b = ring.account(q.account), ring.account(q.other)
    way = _way(ring.view, a, b)
    for one, i, other in way:
        text = f"{ring.called(one)} and {ring.called(other)} share {i.called}"
        weak = ", which is too widely shared to tie anybody" if i.hub else ""
        yield _sentence(q.query, f"{text}{weak}.", *ring.cite(i), *ring.rows((one, other)))
    if len(way) == 1:
        first = way[0][1]
        rest = [i for i in ring.view.shared if i is not first and {a, b} <= set(i.user_ids)]
        if rest:
            text = f"They also share {listed([i.called for i in rest], MAX_LISTED)}."
            yield _sentence(q.query, text, *ring.cite(*rest))


def _way(view: RingView, start: str, end: str) -> list[tuple[str, Identifier, str]]:
    """Returns the steps of a shortest way, identifiers that tie first, hubs last."""
    came: dict[str, tuple[str, Identifier] | None] = {start: None}
    waiting = deque([start])
    while waiting and end not in came:
        here = waiting.popleft()
        for i in sorted(view.by_user[here], key=lambda i: (i.hub, not i.ties, i.name)):
            for other in i.user_ids:
                if other not in came:
                    came[other] = (here, i)
                    waiting.append(other)
    steps: list[tuple[str, Identifier, str]] = []
    here = end
    while step := came.get(here):
        steps.append((step[0], step[1], here))
        here = step[0]
    return steps[::-1]


def _member_since(ring: _Ring, q: Question) -> Iterable[Sentence]:
    user_id = ring.account(q.account)
    user, row = ring.view.users[user_id], ring.short[user_id]
    signed = f"; it signed up on {minute(user.signup_ms)} UTC" if user.signup_ms >= 0 else ""
    yield _sentence(q.query, f"{ring.called(user_id)} was first seen on {minute(user.first_ms)} UTC{signed}.", row)
    joined = [(link.first_ms, i) for i in ring.view.by_user[user_id] for link in i.links if link.user_id == user_id]
    shared = sorted(((ms, i) for ms, i in joined if len(i.links) > 1 and not i.hub), key=lambda x: (x[0], x[1].name))
    if shared:
        ms, i = shared[0]
        text = f"What it shares with others began on {minute(ms)} UTC, with {i.called}."
        yield _sentence(q.query, text, *ring.cite(i), row)


def _came_after(ring: _Ring, q: Question) -> Iterable[Sentence]:
    after_ms = ring.time(q.after)
    came = [
        u for u in sorted(ring.view.users.values(), key=lambda u: (u.first_ms, u.user_id)) if u.first_ms >= after_ms
    ]
    names = [u.user_id for u in came]
    who = f": {ring.listed(names)}" if names else ""
    text = f"{count(len(came), 'account')} of {ring.view.size:,} came at or after {minute(after_ms)} UTC{who}."
    yield _sentence(q.query, text, "R", *ring.rows(names))


def _came_first(ring: _Ring, q: Question) -> Iterable[Sentence]:
    order = sorted(ring.view.users.values(), key=lambda u: (u.first_ms, u.user_id))
    first, *rest = order
    then = f"; then {ring.called(rest[0].user_id)}, on {minute(rest[0].first_ms)}" if rest else ""
    text = f"{ring.called(first.user_id)} was seen first, on {minute(first.first_ms)} UTC{then}."
    yield _sentence(q.query, text, *ring.rows(u.user_id for u in order[:2]))


def _money(ring: _Ring, q: Question) -> Iterable[Sentence]:
    amounts = user_money(ring.view.snapshot)
    ranked = sorted(
        ((u, by) for u, by in amounts.items() if any(by.values())), key=lambda x: (-max(x[1].values()), x[0])
    )
    for user_id, by in ranked[:MAX_LISTED]:
        text = f"{ring.called(user_id)}: {money_list(by)} at stake."
        yield _sentence(q.query, text, ring.short[user_id])
    if len(ranked) > MAX_LISTED:
        yield _sentence(q.query, f"{count(len(ranked) - MAX_LISTED, 'more account')} with less.", "R")


def _orders(ring: _Ring, q: Question) -> Iterable[Sentence]:
    after_ms = ring.time(q.after) if q.after else -1
    who = ring.account(q.account) if q.account else None
    orders = [o for o in ring.view.snapshot.orders if o.ts_ms >= after_ms and who in (None, o.user_id)]
    subject = ring.called(who) if who else "Members"
    since = f" at or after {minute(after_ms)} UTC" if q.after else ""
    sums: dict[int, int] = {}
    for o in orders:
        if not o.declined:
            sums[o.currency] = sums.get(o.currency, 0) + o.amount_minor
    refused = sum(o.declined for o in orders)
    text = f"{subject} placed {count(len(orders), 'order')}{since}"
    if sums:
        text += f", worth {money_list(sums)}"
    if refused:
        text += f"; {refused:,} declined or cancelled, which is not counted in it"
    yield _sentence(q.query, f"{text}.", *(ring.rows([who]) if who else ("R",)))
    largest = max(orders, key=lambda o: (o.amount_minor, o.ts_ms), default=None)
    if largest is not None and len(orders) > 1:
        left = order_exposure(largest.amount_minor, largest.refunded_minor, largest.charged_minor, largest.declined)
        stake = f"{money(left, largest.currency)} of it can still be lost"
        text = (
            f"The largest, {money(largest.amount_minor, largest.currency)}, is of {minute(largest.ts_ms)} UTC; {stake}."
        )
        yield _sentence(q.query, text, ring.short[largest.user_id])


def _outcomes(ring: _Ring, q: Question) -> Iterable[Sentence]:
    who = [ring.account(q.account)] if q.account else list(ring.short)
    rows = []
    for user_id in who:
        u = ring.view.users[user_id]
        counted = ((u.chargebacks, "chargeback"), (u.declined, "declined attempt"), (u.refunds, "refund"))
        said = [count(n, noun) for n, noun in counted if n]
        if said or q.account:
            rows.append((-u.chargebacks, -u.declined, -u.refunds, user_id, listed(said) if said else "none of these"))
    for *_, user_id, words in sorted(rows)[:MAX_LISTED]:
        yield _sentence(q.query, f"{ring.called(user_id)}: {words}.", ring.short[user_id])


_ROLES: Final[Mapping[RoleName, str]] = MappingProxyType(
    {
        RoleName.CORE: "is at the core of the ring",
        RoleName.BRIDGE: "is a bridge of the ring",
        RoleName.PERIPHERY: "is at the edge of the ring",
        RoleName.LIKELY_VICTIM: "is likely a victim",
    }
)


def _role(ring: _Ring, q: Question) -> Iterable[Sentence]:
    user_id = ring.account(q.account)
    role = ring.evidence.roles[user_id]
    text = f"{ring.called(user_id)} {_ROLES[role.name]}: {'; '.join(role.reasons)}."
    yield _sentence(q.query, text, ring.short[user_id])


def _without(ring: _Ring, q: Question) -> Iterable[Sentence]:
    if q.identifier:
        name, user_id = ring.identifier(q.identifier).name, None
        called, cited = name, ring.cite(ring.identifier(name))
    elif q.account:
        name, user_id = None, ring.account(q.account)
        called, cited = ring.called(user_id), ring.rows([user_id])
    else:
        raise UsageError("without needs an account or an identifier", do="Name one of them, such as D1 or U2.")
    cut = next((c for c in stress_test(ring.view) if (c.identifier, c.user_id) == (name, user_id)), None)
    left = "holds together" if cut is None else f"falls into {parts(cut.parts)}"
    yield _sentence(q.query, f"Without {called} the ring {left}.", *cited)


def _sent(ring: _Ring, q: Question) -> Iterable[Sentence]:
    who = ring.account(q.account) if q.account else None
    for t in sorted(ring.view.snapshot.transfers, key=lambda t: (-t.amount_minor, t.first_ms))[:MAX_LISTED]:
        if who not in (None, t.from_user_id, t.to_user_id):
            continue
        pair = f"{ring.called(t.from_user_id)}", f"{ring.called(t.to_user_id)}"
        if t.kind == "referral":
            text = f"{pair[0]} brought in {pair[1]}, on {minute(t.first_ms)} UTC."
        else:
            text = f"{pair[0]} sent {pair[1]} {money(t.amount_minor, t.currency)} in {count(t.count, 'transfer')}."
        yield _sentence(q.query, text, *ring.rows((t.from_user_id, t.to_user_id)))


QUERIES: Final[Mapping[str, Query]] = MappingProxyType(
    {
        "first-use": Query("who used an identifier first, and who followed", _first_use, ("identifier",)),
        "brought-in": Query(
            "who used the n-th device, card, … first, by time of first use", _brought_in, ("kind", "nth")
        ),
        "users-of": Query("which members used an identifier, how often, from when to when", _users_of, ("identifier",)),
        "identifiers-of": Query("what an account used, and with whom", _identifiers_of, ("account",)),
        "what-links": Query("what two accounts share, or the way between them", _links, ("account", "other")),
        "member-since": Query("since when an account is known, and shares with others", _member_since, ("account",)),
        "came-after": Query("which accounts came at or after a time", _came_after, ("after",)),
        "came-first": Query("which account was seen first", _came_first),
        "money-by-member": Query("what is at stake with each account", _money),
        "orders": Query("how many orders, worth what", _orders, (), ("account", "after")),
        "outcomes": Query("chargebacks, declined attempts and refunds by account", _outcomes, (), ("account",)),
        "role-of": Query("what an account is in the ring, and why", _role, ("account",)),
        "without": Query(
            "what the ring falls into without an account or identifier", _without, (), ("account", "identifier")
        ),
        "sent": Query("who sent money to whom, or brought whom in", _sent, (), ("account",)),
    }
)
"""Every question that can be asked; whoever picks one, a person, a rule or a model, gets the same answer."""
