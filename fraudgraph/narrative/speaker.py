"""The speaker: fills a clause with numbers, names and times of what it cites, and remembers what was just mentioned."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from fraudgraph.durations import HOUR_MS
from fraudgraph.narrative.evidence import Evidence
from fraudgraph.narrative.pack import PackFact
from fraudgraph.narrative.phrases import EVENTS, PHRASES, ROLES, VERDICTS
from fraudgraph.narrative.relations import SUMS, compared, part_of, union
from fraudgraph.narrative.slots import number
from fraudgraph.narrative.verifier import Held
from fraudgraph.rings.facts_words import between, count, date, duration, listed, minute, money, of, parts, plural

NOUNS: Final[Mapping[str, str]] = MappingProxyType(
    {"D": "device", "IP": "IP address", "C": "card", "M": "e-mail address", "P": "phone number", "A": "address"}
)
"""What an identifier is, by the letters of its short name."""

Values = dict[str, str]


def noun_of(name: str) -> str:
    """Returns `device` for `D3`."""
    return NOUNS[name.rstrip("0123456789")]


class Speaker:
    """Says clauses of one ring, one after the other; the same pack and claims give the same words.

    `sentence_ends` is called after each sentence: `it` reaches within a sentence, `the same device` into the next one.
    Where the evidence does not suffice, it speaks of a group and not of a ring.
    """

    def __init__(self, evidence: Evidence, *, sufficient: bool = True) -> None:
        self.evidence = evidence
        self.ring = "ring" if sufficient else "group"
        self._hash = evidence.pack.hash
        self._named: set[str] = set()
        self._here: list[str] = []
        self._before: list[str] = []
        self._group: frozenset[str] = frozenset()
        self._listed: frozenset[str] = frozenset()
        self._within = False

    def sentence_ends(self) -> None:
        """Forgets what `it` may mean."""
        self._before, self._here = self._here, []

    def choose(self, options: Sequence[str], *place: object) -> str:
        """Returns one of several phrasings, by the pack's hash and the place."""
        digest = hashlib.blake2b(f"{self._hash}:{place}".encode(), digest_size=4).digest()
        return options[int.from_bytes(digest) % len(options)]

    def clause(self, held: Held, place: tuple[object, ...], *, within: bool = False) -> str:
        """Returns a claim in words, without a capital and a full stop; `within` says that a sentence has begun."""
        self._within = within
        values = _VALUES[held.kind](self, held)
        phrase = self.choose(PHRASES[held.kind], *place)
        said = phrase.format_map(_Lazy(self, held, values))
        accounts = self._accounts(held.items[0])
        self._listed = accounts if "{named}" in phrase or "{names}" in phrase else frozenset()
        self._group = accounts or self._group
        return said

    def just_named(self, item: PackFact) -> bool:
        """Returns whether the last clause listed the very accounts of this fact."""
        return bool(self._listed) and self._listed == self._accounts(item)

    # What is mentioned

    def thing(self, name: str) -> str:
        """Returns `device D1` at first mention, then `it`, `the same device` or `D1`."""
        if self._here == [name]:
            return "it"
        recent = self._before == [name] and not self._here
        said = self.plainly(name)
        return f"the same {noun_of(name)}" if recent else said

    def plainly(self, name: str) -> str:
        """Returns `device D1` at first mention, then `D1`: never a reference."""
        first = name not in self._named
        self._named.add(name)
        self._here.append(name)
        return f"{noun_of(name)} {name}" if first else name

    def joint(self, item: PackFact) -> str:
        """Returns what holds parts together: an identifier, an account, or an analyst's word."""
        if "account" in item.fields:
            return f"account {self.evidence.names[str(item.fields['account'])]}"
        if "constraint" in item.fields:
            return f"the analyst's tie {self.evidence.names[str(item.fields['constraint'])]}"
        return self.plainly(_identifier(item))

    def things(self, names: Sequence[str]) -> str:
        """Returns `devices D1 and D2 and card C1`."""
        groups: dict[str, list[str]] = {}
        for name in names:
            self._named.add(name)
            self._here.append(name)
            groups.setdefault(noun_of(name), []).append(name)
        return listed([f"{plural(len(of_kind), noun)} {listed(of_kind)}" for noun, of_kind in groups.items()])

    def who(self, item: PackFact) -> str:
        """Returns `all 8 accounts`, `5 of the 8 accounts`, or `the same 5 accounts` right after they were named."""
        n = self.size(item)
        accounts = self._accounts(item)
        if accounts and accounts == self._group and n > 1:
            if n < self.whole:
                return f"the same {n:,} accounts"
            if self._within:
                return "both of them" if n == 2 else "all of them"
        return of(n, self.whole, "account")

    def size(self, item: PackFact) -> int:
        """Returns how many accounts a fact is about."""
        return number(item, "members") or number(item, "victims") or len(self._accounts(item))

    @property
    def whole(self) -> int:
        """Members of the ring."""
        return self.evidence.view.size

    def names(self, item: PackFact) -> str:
        """Returns the accounts of a fact by the names that a report shows, the first few of them."""
        fact = next(f for f in self.evidence.facts if f.id == item.id)
        ids = fact.fields.get("user_ids")
        return listed([str(x) for x in ids]) if isinstance(ids, tuple) else ""

    def account(self, pseudonym: str) -> str:
        """Returns the account's own id."""
        return self.evidence.names[pseudonym]

    def _accounts(self, item: PackFact) -> frozenset[str]:
        return self.evidence.accounts.get(item.id, frozenset())


class _Lazy(dict[str, str]):
    """Values of a phrase; `{thing}` and `{who}` are made where the phrase has them, in its order."""

    def __init__(self, speaker: Speaker, held: Held, values: Values) -> None:
        super().__init__(values)
        self._speaker, self._held = speaker, held

    def __missing__(self, name: str) -> str:
        speaker, item = self._speaker, self._held.items[0]
        if name == "thing":
            return speaker.thing(_identifier(item))
        if name == "who":
            return speaker.who(item)
        if name == "names":
            return speaker.names(item)
        if name == "named":
            return "" if speaker.just_named(item) else f" ({speaker.names(item)})"
        if name == "ring":
            return speaker.ring
        one = speaker.size(item) == 1
        return _AGREEMENT[name][not one]


_AGREEMENT: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "was": ("was", "were"),
        "has": ("has", "have"),
        "is": ("is", "are"),
        "s": ("s", ""),
        "their": ("its", "their"),
    }
)
"""Forms for one account and for several."""


def _identifier(item: PackFact) -> str:
    return str(item.fields["identifier"])


def _n(item: PackFact, field: str) -> int:
    return number(item, field) or 0


def _between(item: PackFact) -> str:
    return between(_n(item, "first"), _n(item, "last"))


def _span(item: PackFact) -> str:
    return duration(_n(item, "last") - _n(item, "first"))


def _cash(item: PackFact, field: str) -> str:
    return money(_n(item, field), _n(item, "currency"))


def _is(n: int) -> str:
    return "is" if n == 1 else "are"


def _was(n: int) -> str:
    return "was" if n == 1 else "were"


def _shared(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    outside = _n(item, "outside")
    return {
        "uses": count(_n(item, "count"), "time"),
        "between": _between(item),
        "outside": count(outside, "account"),
        "outside_s": "s" if outside == 1 else "",
        "users_total": count(_n(item, "users_total"), "user"),
    }


def _spread(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    return {"span": _span(item), "between": _between(item), "gap": duration(_n(item, "median_gap"))}


def _takeover(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    return {
        "victims": count(_n(item, "victims"), "account"),
        "age": duration(_n(item, "youngest_age")),
        "span": _span(item),
        "between": _between(item),
    }


def _visits(speaker: Speaker, held: Held) -> Values:
    fact = next(f for f in speaker.evidence.facts if f.id == held.items[0].id)
    names = fact.fields["identifiers"]
    return {"things": listed([str(x) for x in names] if isinstance(names, tuple) else [])}


def _drop(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    cards = _n(item, "cards")
    return {
        "members": count(_n(item, "members"), "account"),
        "orders": count(_n(item, "orders"), "order"),
        "cards": f" and {count(cards, 'card')}" if cards else "",
    }


def _velocity(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    return {
        "orders": of(_n(item, "orders"), _n(item, "orders_total"), "order"),
        "members": count(_n(item, "members"), "account"),
        "span": _span(item),
        "at": minute(_n(item, "first")),
    }


def _testing(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    cards = _n(item, "cards")
    worst = f"account {speaker.account(str(item.fields['most_declined_account']))}"
    most = f"{_n(item, 'most_declined'):,}"
    single = _n(item, "members") == 1
    return {
        "members": count(_n(item, "members"), "account"),
        "only": f" ({worst.removeprefix('account ')})" if single else "",
        "declined": f"{_n(item, 'declined'):,}",
        "attempts": f"{_n(item, 'attempts'):,}",
        "cards": f", over {count(cards, 'card')}" if cards else "",
        "most_by": "" if single else f"; most by {worst}, with {most}",
        "alone": "" if single else f", {worst} alone {most} of them",
    }


def _waits(speaker: Speaker, held: Held) -> Values:
    typical = _n(held.items[0], "median_wait")
    return {"wait": f"after {duration(typical)}" if typical >= HOUR_MS else "within the hour"}


def _labelled(speaker: Speaker, held: Held) -> Values:
    return {"value": str(held.items[0].fields["value"])}


def _refunds(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    amount = f", {_cash(item, 'refunded')} in all" if _n(item, "refunded") else ""
    return {
        "refunds": count(_n(item, "refunds"), "refund"),
        "orders": count(_n(item, "orders"), "order"),
        "members": count(_n(item, "members"), "account"),
        "amount": amount,
    }


def _chargebacks(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    n = _n(item, "chargebacks")
    return {
        "chargebacks": count(n, "chargeback"),
        "were_n": _was(n),
        "members": count(_n(item, "members"), "account"),
        "amount": f": {_cash(item, 'charged_back')} lost" if _n(item, "charged_back") else "",
        "known": _known(_n(item, "long_known"), _n(item, "members")),
    }


def _known(known: int, members: int) -> str:
    """Returns how many of those accounts the shop had long known when they ordered."""
    if not known:
        return ""
    who = "the account was" if members == 1 else f"{of(known, members, 'account')} {_was(known)}"
    return f"; {who} long known to the shop"


def _transfers(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    pair = _n(item, "members") == 2
    return {
        "members": count(_n(item, "members"), "account"),
        "transfers": count(_n(item, "transfers"), "transfer"),
        "amount": _cash(item, "amount"),
        "round": "back and forth between" if pair else "in a circle among",
        "round_they": "back and forth" if pair else "round in a circle",
        **({"between": _between(item)} if "first" in item.fields else {}),
    }


def _referrals(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    chain = item.fields["chain"]
    length = (len(chain) if isinstance(chain, tuple) else 0) + _n(item, "chain_more")
    return {
        "referred": count(_n(item, "referred"), "account"),
        "were_n": _was(_n(item, "referred")),
        "referrers": count(_n(item, "referrers"), "member"),
        "chain": count(length, "account"),
    }


def _bridge(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    return {"parts": _parts(speaker, item), "thing": speaker.joint(item)}


def _parts(speaker: Speaker, item: PackFact) -> str:
    fact = next(f for f in speaker.evidence.facts if f.id == item.id)
    sizes = fact.fields["parts"]
    return parts([int(n) for n in sizes]) if isinstance(sizes, tuple) else ""


def _past(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    return {
        "past": speaker.evidence.names[str(item.fields["past"])],
        "verdict": VERDICTS[str(item.fields["verdict"])],
        "at": date(_n(item, "at")),
        "similarity": f"{float(str(item.fields['similarity'])):.0%}".replace("%", " %"),
    }


def _rule(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    return {"rule": speaker.evidence.names[str(item.fields["rule"])], "severity": str(item.fields["severity"])}


def _clean(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    moved = [count(_n(item, f"{noun}s"), noun) for noun in ("order", "payment") if _n(item, f"{noun}s")]
    return {"moved": listed(moved)}


def _standing(speaker: Speaker, held: Held) -> Values:
    return {"span": duration(_n(held.items[0], "median_span"))}


def _slow(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    return {"span": _span(item), "n": f"{_n(item, 'most_in_week'):,}"}


def _handed(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    return {"members": count(_n(item, "members"), "account"), "between": _between(item)}


def _ring(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    return {"members": count(_n(item, "members"), "account"), "between": _between(item)}


def _stake(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    orders = _n(item, "orders")
    split = [
        f"{_cash(item, field)} {words}"
        for field, words in (
            ("exposed", "can still be lost"),
            ("charged_back", "was charged back"),
            ("refunded", "was refunded"),
        )
        if _n(item, field)
    ]
    if len(split) == 1 and _n(item, "exposed") == _n(item, "ordered"):
        split = ["all of it can still be lost" if speaker.ring == "ring" else "none of it was refunded or charged back"]
    declined = _n(item, "declined")
    return {
        "orders": count(orders, "order"),
        "apart": f", besides {declined:,} declined or cancelled" if declined else "",
        "are_n": _is(orders),
        "ordered": _cash(item, "ordered"),
        "split": listed(split),
    }


def _sent(speaker: Speaker, held: Held) -> Values:
    return {"sent": _cash(held.items[0], "sent")}


def event(item: PackFact) -> str:
    """Returns what began, for a sentence about order in time."""
    name = str(item.fields.get("identifier", ""))
    return EVENTS[item.kind].format(name=f"{noun_of(name)} {name}" if name else "")


def _order(speaker: Speaker, held: Held) -> Values:
    earlier, later = held.items if held.kind == "before" else held.items[::-1]
    gap = duration(_n(later, "first") - _n(earlier, "first"))
    return {"earlier": event(earlier), "later": event(later), "gap": gap}


def _extreme(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    return {"event": event(item), "at": date(_n(item, "first"))}


def _set(speaker: Speaker, held: Held) -> Values:
    first, second = held.items[0], held.items[-1]
    n, m = (len(speaker.evidence.accounts[item.id]) for item in (first, second))
    return {"first": first.id, "second": second.id, "n": count(n, "account"), "m": f"{m:,}"}


def _membership(speaker: Speaker, held: Held) -> Values:
    return {"account": speaker.account(held.claim.slot("account") or ""), "first": held.items[0].id}


def _cover(speaker: Speaker, held: Held) -> Values:
    n = len(union(held.items, speaker.evidence))
    return {"things": speaker.things([_identifier(x) for x in held.items]), "who": of(n, speaker.whole, "account")}


def _most(speaker: Speaker, held: Held) -> Values:
    noun = noun_of(_identifier(held.items[0]))
    return {"noun": noun, "nouns": plural(2, noun)}


_UNIT_WORDS: Final[Mapping[str, tuple[str, str, str, str]]] = MappingProxyType(
    {
        "members": ("has", "have", "account", ""),
        "count": ("has", "have", "use", ""),
        "users_total": ("has", "have", "user", ""),
        "outside": ("has", "have", "user", " outside"),
        "orders": ("has", "have", "order", ""),
        "cards": ("has", "have", "card", ""),
        "tied_to": ("is tied to", "are tied to", "account", ""),
        "declined": ("has", "have", "declined attempt", ""),
    }
)


def _compare(speaker: Speaker, held: Held) -> Values:
    sides = compared(held.claim, held.items)
    assert sides is not None, "only verified claims are said"
    (more, field), (less, _) = sides
    n, m = _n(more, field), _n(less, field)
    if field == "median_gap":
        one, several, unit, said = "has a typical gap of", "have a typical gap of", "", (duration(n), duration(m))
    else:
        one, several, noun, where = _UNIT_WORDS[field]
        unit, said = f"{plural(n, noun)}{where}", (f"{n:,}", f"{m:,}")
    return {
        "more": _subject(speaker, more),
        "less": _subject(speaker, less),
        "verb": one,
        "verb_both": several,
        "n": said[0],
        "m": said[1],
        "unit": unit,
    }


def _subject(speaker: Speaker, item: PackFact) -> str:
    return f"account {speaker.account(item.id)}" if item.kind == "member" else speaker.things([_identifier(item)])


_PART_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "declined": "declined",
        "attempts": "attempts",
        "orders": "orders",
        "orders_total": "orders in all",
        "refunds": "refunds",
        "members": "accounts",
        "victims": "accounts",
        "referred": "accounts that were brought in",
        "R.members": "accounts",
    }
)


def _rate(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    found = part_of(held.claim, item, speaker.evidence)
    assert found is not None, "only verified claims are said"
    part, n, whole, m = found
    if item.kind == "money":
        said = {"exposed": "can still be lost", "refunded": "was refunded", "charged_back": "was charged back"}[part]
        return {"part": _cash(item, part), "whole": f"{_cash(item, whole)} {said}", "share": percent(n, m)}
    return {"part": f"{n:,}", "whole": f"{m:,} {_PART_WORDS[whole]}", "share": percent(n, m)}


def percent(part: int, whole: int) -> str:
    """Returns a share in whole percent, rounded half up; never 100 % or 0 % where it is not quite."""
    share = (200 * part + whole) // (2 * whole)
    if part < whole:
        share = min(share, 99)
    return f"{max(share, 1)} %"


def _sum(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    total, names = SUMS[item.kind][0]
    present = [name for name in names if _n(item, name)]
    if item.kind == "money":
        said = {"exposed": "that can still be lost", "charged_back": "charged back"}
        return {
            "parts": listed([f"{_cash(item, name)} {said[name]}" for name in present]),
            "total": f"{_cash(item, total)} at stake",
        }
    words = {"members": "here", "outside": "elsewhere", "likely_victim": "likely victims", "bridge": "bridges"}
    noun = "users" if item.kind == "shared-identifier" else "accounts"
    return {
        "parts": listed([f"{_n(item, name):,} {words.get(name, name)}" for name in present]),
        "total": f"{_n(item, total):,} {noun}",
    }


def _role(speaker: Speaker, held: Held) -> Values:
    pseudonym = held.items[0].id
    account = speaker.account(pseudonym)
    role = speaker.evidence.roles[account]
    return {"account": account, "role": ROLES[role.name.value], "reason": listed(list(role.reasons), 2)}


_VALUES: Final[Mapping[str, Callable[[Speaker, Held], Values]]] = MappingProxyType(
    {
        **dict.fromkeys(("shared-by", "shared-only-here", "shared-outside", "ties-nobody"), _shared),
        **dict.fromkeys(("device-farm", "burst"), _spread),
        "takeover": _takeover,
        "brief-visits": _visits,
        "drop-address": _drop,
        "velocity": _velocity,
        "card-testing": _testing,
        "one-order-accounts": lambda speaker, held: {},
        "quick-spending": _waits,
        "labelled": _labelled,
        "refund-loop": _refunds,
        "chargeback": _chargebacks,
        **dict.fromkeys(("transfer-cycle", "transfers-inside"), _transfers),
        "referral-chain": _referrals,
        "bridge": _bridge,
        "similar-past": _past,
        "rule": _rule,
        "clean-money": _clean,
        "long-standing": _standing,
        "slow-growth": _slow,
        "handed-on": _handed,
        **dict.fromkeys(("ring-size", "active-between"), _ring),
        "at-stake": _stake,
        "sent": _sent,
        **dict.fromkeys(("before", "after"), _order),
        **dict.fromkeys(("earliest", "latest"), _extreme),
        **dict.fromkeys(("same-accounts", "among-accounts", "no-common-accounts"), _set),
        "membership": _membership,
        "together-cover": _cover,
        "most-shared": _most,
        **dict.fromkeys(("more-than", "as-many"), _compare),
        "rate": _rate,
        "sum": _sum,
        "role": _role,
    }
)
