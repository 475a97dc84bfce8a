"""From a ring's snapshot to what a narrator may read, and to what its claims are held against."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from fraudgraph.durations import DAY_MS, MINUTE_MS
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.narrative.actions import POSSIBLE, PROBABLE, Action, actions, allowed, open_orders
from fraudgraph.narrative.innocent import Explanation, explanations
from fraudgraph.narrative.pack import ALL, MAX_CHARS, SHOWN_NAMES, EvidencePack, PackFact, Value, line, written
from fraudgraph.rings.facts import facts as facts_of
from fraudgraph.rings.facts_kinds import Fact, FieldValue
from fraudgraph.rings.facts_view import RingView
from fraudgraph.rings.money import CurrencyMoney, ring_money, user_money
from fraudgraph.rings.roles import Role, RoleName, roles
from fraudgraph.rings.snapshot import RingSnapshot

MAX_MEMBERS: Final = 8
MAX_CURRENCIES: Final = 3
FIRST_FOR: Final = 6
FIRST_AGAINST: Final = 3
FIRST_FACTS: Final = 12
FIRST_MEMBERS: Final = 3
"""The strongest facts for a ring, those most against it and its first members come before all others, so that they
always have room."""

LONG_KNOWN_MS: Final = 30 * DAY_MS
"""An account older than this had a life of its own before: it was taken over, or bought, or is honest."""

_ROLE_ORDER: Final = (RoleName.CORE, RoleName.BRIDGE, RoleName.LIKELY_VICTIM, RoleName.PERIPHERY)

_RENAMED: Final[Mapping[str, str]] = {
    "first_ms": "first",
    "last_ms": "last",
    "at_ms": "at",
    "median_gap_ms": "median_gap",
    "median_span_ms": "median_span",
    "median_wait_ms": "median_wait",
    "youngest_age_ms": "youngest_age",
    "refunded_minor": "refunded",
    "charged_back_minor": "charged_back",
    "amount_minor": "amount",
    "user_ids": "accounts",
    "user_id": "account",
    "most_declined_user_id": "most_declined_account",
    "ring_id": "past",
}
_PRIVATE: Final = frozenset({"user_ids", "user_id", "most_declined_user_id", "chain", "ring_id", "constraint", "rule"})
"""What becomes a pseudonym."""

_LEFT_OUT: Final = frozenset(
    {
        "mask",
        "strength",
        "first_user_id",
        "decision_id",
        "identifier_kind",
        "ring_users",
        "rule_version",
        "conditions",
        "numbers",
    }
)
"""A mask may hold what a customer wrote; the rest says nothing to a narrator, or stands elsewhere in the pack."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of a ring when it is told.

    Attributes:
        pack: what a planner gets, and nothing else of this.
        names: pseudonym -> what a report may show: user ids, short names of identifiers, numbers of past rings and of
            analysts' constraints.
        items: facts and rows of the pack by id.
        accounts: id of a fact -> pseudonyms of all accounts that it is about; the pack shows the first few.
        explanations: the innocent ones that the facts allow.
        actions: the steps that the facts call for at this probability; `allowed_actions` those at any.
        facts: all of them, those included for which the pack had no room.
    """

    view: RingView
    facts: tuple[Fact, ...]
    roles: Mapping[str, Role]
    explanations: tuple[Explanation, ...]
    actions: tuple[Action, ...]
    allowed_actions: frozenset[str]
    pack: EvidencePack
    names: Mapping[str, str]
    items: Mapping[str, PackFact]
    accounts: Mapping[str, frozenset[str]]

    @property
    def hash(self) -> str:
        """BLAKE2b (RFC 7693) of the pack, the names, who is in each fact and whether a ring is possible, 128 bits.

        What a narrative says stands as long as this does; time alone does not change it (`EvidencePack.hash`).
        """
        digest = hashlib.blake2b(self.pack.hash.encode(), digest_size=16)
        digest.update(msgspec.json.encode(self.names, order="sorted"))
        digest.update(msgspec.json.encode({name: sorted(who) for name, who in self.accounts.items()}, order="sorted"))
        digest.update(b"possible" if self.possible else b"")
        digest.update(b"probable" if self.probable else b"")
        return digest.hexdigest()

    @property
    def possible(self) -> bool:
        """Whether the score leaves a ring possible; where it does not, no narrator calls the evidence sufficient."""
        return self.snapshot.probability >= POSSIBLE

    @property
    def probable(self) -> bool:
        """Whether the score calls a ring at least as likely as not."""
        return self.snapshot.probability >= PROBABLE

    @property
    def snapshot(self) -> RingSnapshot:
        """The ring as it was read."""
        return self.view.snapshot


def make_evidence(snapshot: RingSnapshot, policy: LinkPolicy | None = None) -> Evidence:
    """Returns what can be told of a ring; a pure function of its snapshot and its link policy."""
    view = RingView(snapshot, policy)
    facts = facts_of(snapshot, policy)
    by_user = roles(view)
    innocent = explanations(view, facts)
    members = _numbered(view, by_user)
    past = {f"{f.fields['ring_id']}": f"K{n}" for n, f in enumerate(_of_kind(facts, "similar-past-ring"), 1)}
    rules = {f"{f.fields['rule']}": f"H{n}" for n, f in enumerate(_of_kind(facts, "rule"), 1)}
    bonds = {constraint: f"T{n}" for n, (_, _, constraint) in enumerate(snapshot.together, 1)}
    rekey = {**members, **past, **bonds}
    items = [_item(fact, rules if fact.kind == "rule" else rekey, view) for fact in facts]
    rows = [
        _ring_row(view, by_user),
        *_money_rows(snapshot),
        *_explanation_rows(innocent),
        *_member_rows(view, by_user, members),
    ]
    pack = _fitted(rows, items, len(snapshot.users))
    names = {short: name for name, short in (*rekey.items(), *rules.items())}
    names |= {i.name: i.name for i in view.identifiers}
    return Evidence(
        view=view,
        facts=facts,
        roles=by_user,
        explanations=innocent,
        actions=actions(view, facts, by_user, innocent),
        allowed_actions=allowed(view, facts, by_user, innocent),
        pack=pack,
        names=names,
        items={item.id: item for item in (*pack.rows, *pack.facts)},
        accounts={fact.id: _accounts(fact, members) for fact in facts},
    )


def _of_kind(facts: Sequence[Fact], kind: str) -> list[Fact]:
    return [f for f in facts if f.kind == kind]


def _numbered(view: RingView, by_user: Mapping[str, Role]) -> dict[str, str]:
    """Returns user id -> `U1`, by what an account did; ids settle equals only."""
    amounts = user_money(view.snapshot)

    def order(user_id: str) -> tuple[object, ...]:
        u = view.users[user_id]
        at_risk = -sum(amounts.get(user_id, {}).values())
        counts = (-u.orders, -u.payments, -u.refunds, -u.logins)
        place = _ROLE_ORDER.index(by_user[user_id].name)
        return place, at_risk, -u.declined, u.first_ms, u.last_ms, *counts, user_id

    return {user_id: f"U{n}" for n, user_id in enumerate(sorted(view.users, key=order), 1)}


def _accounts(fact: Fact, members: Mapping[str, str]) -> frozenset[str]:
    named = fact.fields.get("user_ids")
    alone = fact.fields.get("user_id")
    ids = [*(named if isinstance(named, tuple) else ()), *((alone,) if isinstance(alone, str) else ())]
    return frozenset(members[str(x)] for x in ids)


def _item(fact: Fact, rekey: Mapping[str, str], view: RingView) -> PackFact:
    fields: dict[str, Value] = {}
    for name, value in fact.fields.items():
        if name in _LEFT_OUT or (isinstance(value, bool) and not value):
            continue
        short = _RENAMED.get(name, name)
        if name == "user_ids" and isinstance(value, tuple) and len(value) == view.size:
            fields[short] = ALL
        else:
            _put(fields, short, _pseudonymous(value, rekey) if name in _PRIVATE else value)
    if fact.kind == "shared-identifier" and fact.fields["users_total"] != fact.fields["members"]:
        fields["outside"] = int(fact.fields["users_total"]) - int(fact.fields["members"])  # type: ignore[arg-type]  # both are counts
    if fact.kind == "chargeback" and (known := len(long_known_losers(view))):
        fields["long_known"] = known
    return PackFact(fact.id, fact.kind, _percent(fact.weight), fields)


def _percent(weight: float) -> int:
    """Returns a weight in percent, never 0 where it is not."""
    return round(weight * 100) or (weight > 0) - (weight < 0)


def _pseudonymous(value: FieldValue, rekey: Mapping[str, str]) -> FieldValue:
    if isinstance(value, tuple):
        return tuple(rekey[str(x)] for x in value)
    return None if value is None else rekey[str(value)]


def _put(fields: dict[str, Value], name: str, value: FieldValue) -> None:
    """Sets a field, a list to its first entries with the number of the rest beside it."""
    if value is None:
        return
    fields[name] = tuple(value[:SHOWN_NAMES]) if isinstance(value, tuple) else value
    if isinstance(value, tuple) and len(value) > SHOWN_NAMES:
        fields[f"{name}_more"] = len(value) - SHOWN_NAMES


def _ring_row(view: RingView, by_user: Mapping[str, Role]) -> PackFact:
    users = view.users.values()
    counted = Counter(role.name for role in by_user.values())
    shared = Counter(i.kind.label for i in view.shared if not i.hub)
    known = len(long_known(view))
    fields: dict[str, Value] = {
        "members": view.size,
        **{name.value.replace("-", "_"): counted[name] for name in _ROLE_ORDER if counted[name]},
        **({"long_known": known} if known else {}),
        "first": min((u.first_ms for u in users), default=view.snapshot.as_of_ms),
        "last": max((u.last_ms for u in users), default=view.snapshot.as_of_ms),
        **{f"shared_{kind}": n for kind, n in sorted(shared.items())},
    }
    return PackFact("R", "ring", 0, fields)


def long_known(view: RingView) -> set[str]:
    """Returns the members whom the shop had known for long when they came to what the ring shares.

    That is for more than 30 days, or from before its record begins.
    """
    came: dict[str, int] = {}
    for link in (link for i in view.shared if not i.hub for link in i.links):
        came[link.user_id] = min(link.first_ms, came.get(link.user_id, link.first_ms))
    new = {user.user_id for user in view.newcomers}
    return {u for u in view.users if u not in new or (u in came and view.age_ms(u, came[u]) > LONG_KNOWN_MS)}


def long_known_losers(view: RingView) -> set[str]:
    """Returns the members from whose orders banks took money back, and whom the shop had known for long by then."""
    new = {user.user_id for user in view.newcomers}
    return {
        order.user_id
        for order in view.snapshot.orders
        if order.charged_minor
        and view.users[order.user_id].chargebacks
        and (order.user_id not in new or view.age_ms(order.user_id, order.ts_ms) > LONG_KNOWN_MS)
    }


def _money_rows(snapshot: RingSnapshot) -> Iterator[PackFact]:
    pending = open_orders(snapshot)
    declined = Counter(order.currency for order in snapshot.orders if order.declined)
    for number, m in enumerate(ring_money(snapshot).by_currency[:MAX_CURRENCIES], 1):
        left = pending.get(m.currency, (0, 0))[1]
        yield PackFact(f"V{number}", "money", 0, _money_fields(m, left, declined[m.currency]))


def _money_fields(m: CurrencyMoney, pending: int, declined: int) -> dict[str, Value]:
    amounts: dict[str, Value] = {
        "orders": m.orders,
        "declined": declined,
        "ordered": m.ordered_minor,
        "at_risk": m.at_risk_minor,
        "exposed": m.exposed_minor,
        "charged_back": m.charged_back_minor,
        "refunded": m.refunded_minor,
        "open": pending,
        "sent": m.transferred_minor,
    }
    return {"currency": m.currency, **{name: value for name, value in amounts.items() if value}}


def _explanation_rows(innocent: Sequence[Explanation]) -> Iterator[PackFact]:
    for number, e in enumerate(innocent, 1):
        fields: dict[str, Value] = {"name": e.name}
        _put(fields, "evidence", e.evidence)
        if e.contradicted:
            _put(fields, "contradicted_by", e.contradicted)
        yield PackFact(f"X{number}", "explanation", 0, fields)


def _member_rows(view: RingView, by_user: Mapping[str, Role], members: Mapping[str, str]) -> Iterator[PackFact]:
    for user_id, short in list(members.items())[:MAX_MEMBERS]:
        user, role = view.users[user_id], by_user[user_id]
        counts = {
            "tied_to": role.tied_to,
            "orders": user.orders,
            "declined": user.declined,
            "refunds": user.refunds,
            "chargebacks": user.chargebacks,
        }
        fields: dict[str, Value] = {"role": role.name.value, "first": user.first_ms - user.first_ms % MINUTE_MS}
        yield PackFact(short, "member", 0, {**fields, **{name: n for name, n in counts.items() if n}})


def _fitted(rows: Sequence[PackFact], facts: Sequence[PackFact], members: int) -> EvidencePack:
    """Returns the pack of what fits: rows that are no members, facts by weight, then members."""
    fixed = [row for row in rows if row.kind != "member"]
    left = MAX_CHARS - len(EvidencePack((), (), 10**7, 10**7).text()) - sum(map(_room, fixed))
    chosen: set[str] = set()
    people = [row for row in rows if row.kind == "member"]
    ranked = _by_importance(facts)
    for item in (*ranked[:FIRST_FACTS], *people[:FIRST_MEMBERS], *ranked[FIRST_FACTS:], *people[FIRST_MEMBERS:]):
        cost = _room(item)
        if cost <= left:
            chosen.add(item.id)
            left -= cost
    return EvidencePack(
        facts=tuple(f for f in facts if f.id in chosen),
        rows=tuple(row for row in rows if row.kind != "member" or row.id in chosen),
        facts_total=len(facts),
        members_total=members,
    )


def _room(item: PackFact) -> int:
    """Returns how many characters a line needs, whatever of it fades: so that time alone fits no other facts."""
    fading = len(" +100") if item.id.startswith("E") else 0
    if item.kind == "money" and "ordered" in item.fields:
        fading = len(f" open={written(item, 'ordered')}")
    return len(line(item, fading=False)) + 1 + fading


def _by_importance(facts: Sequence[PackFact]) -> list[PackFact]:
    pro = [f for f in facts if f.percent > 0]
    con = [f for f in reversed(facts) if f.percent < 0]
    rest = [f for f in facts if f.percent == 0]
    return [*pro[:FIRST_FOR], *con[:FIRST_AGAINST], *pro[FIRST_FOR:], *con[FIRST_AGAINST:], *rest]
