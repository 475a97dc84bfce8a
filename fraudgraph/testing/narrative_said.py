"""The right values for every place of every phrase, from what is derived anew; nothing where a claim does not hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from fraudgraph.narrative import phrases
from fraudgraph.rings.facts_view import RingView
from fraudgraph.rings.facts_words import between, count, date, duration, listed, minute, money, of, parts, plural
from fraudgraph.rings.fingerprint import fingerprint, similarity
from fraudgraph.rings.roles import roles
from fraudgraph.testing.narrative_truth import Numbers, Truth

NOUNS: Final = {
    "D": "device",
    "IP": "IP address",
    "C": "card",
    "M": "e-mail address",
    "P": "phone number",
    "A": "address",
}
NAME: Final = re.compile(r"\b(?:IP|[DCMPA])[1-9][0-9]*\b")

Options = dict[str, set[str]]


@dataclass(frozen=True, slots=True)
class Item:
    """What a sentence cites: kind of fact or row, subject, and its values derived anew."""

    id: str
    kind: str
    subject: str
    numbers: Numbers


@dataclass(frozen=True, slots=True)
class Ring:
    """One ring as the checks read it; `subjects` says what each fact is about: (kind, subject)."""

    truth: Truth
    view: RingView
    subjects: Mapping[str, tuple[str, str]]


def noun(name: str) -> str:
    return NOUNS[name.rstrip("0123456789")]


def thing(name: str) -> set[str]:
    if not NAME.fullmatch(name):
        return {f"account {name}"}
    kind = noun(name)
    return {name, f"{kind} {name}", f"the same {kind}", "it"}


Say = Callable[[Ring, Sequence[Item]], "dict[str, str | set[str]] | None"]


def _cash(value: tuple[int, int]) -> str:
    return money(*value)


def _shared(c: Ring, items: Sequence[Item]) -> dict[str, str | set[str]]:
    n = items[0].numbers
    return {
        "uses": count(n["count"], "time"),
        "between": between(n["first"], n["last"]),
        "outside": count(n["outside"], "account"),
        "outside_s": "s" if n["outside"] == 1 else "",
        "users_total": count(n["users_total"], "user"),
    }


def _where(say: Say, holds: Callable[[Numbers], bool]) -> Say:
    return lambda c, items: say(c, items) if holds(items[0].numbers) else None


def _spread(c: Ring, items: Sequence[Item]) -> dict[str, str | set[str]]:
    n = items[0].numbers
    return {
        "span": duration(n["last"] - n["first"]),
        "between": between(n["first"], n["last"]),
        "gap": duration(n.get("median_gap", 0)),
        "victims": count(n.get("victims", 0), "account"),
        "age": duration(n.get("youngest_age", 0)),
        "at": minute(n["first"]),
        "n": f"{n.get('most_in_week', 0):,}",
        "orders": of(n["orders"], n["orders_total"], "order") if "orders_total" in n else "",
    }


def _plain(c: Ring, items: Sequence[Item]) -> dict[str, str | set[str]]:
    n = items[0].numbers
    wait = n.get("median_wait", 0)
    return {
        "value": str(n.get("value", "")),
        "wait": f"after {duration(wait)}" if wait >= 3_600_000 else "within the hour",
        "span": duration(n.get("median_span", 0)),
        "things": listed(sorted(n.get("identifiers", ()))),
    }


def _drop(c: Ring, items: Sequence[Item]) -> dict[str, str | set[str]]:
    n = items[0].numbers
    return {"orders": count(n["orders"], "order"), "cards": f" and {count(n['cards'], 'card')}" if n["cards"] else ""}


def _testing(c: Ring, items: Sequence[Item]) -> dict[str, str | set[str]]:
    n = items[0].numbers
    one, worst = n["members"] == 1, n["most_declined_account"]
    return {
        "only": f" ({worst})" if one else "",
        "declined": f"{n['declined']:,}",
        "attempts": f"{n['attempts']:,}",
        "cards": f", over {count(n['cards'], 'card')}" if n["cards"] else "",
        "most_by": "" if one else f"; most by account {worst}, with {n['most_declined']:,}",
        "alone": "" if one else f", account {worst} alone {n['most_declined']:,} of them",
    }


def _refunds(c: Ring, items: Sequence[Item]) -> dict[str, str | set[str]]:
    n = items[0].numbers
    return {
        "refunds": count(n["refunds"], "refund"),
        "orders": count(n["orders"], "order"),
        "amount": f", {_cash(n['refunded'])} in all" if n["refunded"][0] else "",
    }


def _chargebacks(c: Ring, items: Sequence[Item]) -> dict[str, str | set[str]]:
    n = items[0].numbers
    return {
        "chargebacks": count(n["chargebacks"], "chargeback"),
        "were_n": "was" if n["chargebacks"] == 1 else "were",
        "amount": f": {_cash(n['charged_back'])} lost" if n["charged_back"][0] else "",
        "known": _known(n["long_known"], n["members"]),
    }


def _known(known: int, members: int) -> str:
    if members == 1 and known:
        return "; the account was long known to the shop"
    verb = "was" if known == 1 else "were"
    return f"; {of(known, members, 'account')} {verb} long known to the shop" if known else ""


def _transfers(c: Ring, items: Sequence[Item]) -> dict[str, str | set[str]]:
    n = items[0].numbers
    pair = n["members"] == 2
    return {
        "transfers": count(n["transfers"], "transfer"),
        "amount": _cash(n["amount"]),
        "round": "back and forth between" if pair else "in a circle among",
        "round_they": "back and forth" if pair else "round in a circle",
        "between": between(n["first"], n["last"]) if "first" in n else "",
    }


def _referrals(c: Ring, items: Sequence[Item]) -> dict[str, str | set[str]]:
    n = items[0].numbers
    return {
        "referred": count(n["referred"], "account"),
        "were_n": "was" if n["referred"] == 1 else "were",
        "referrers": count(n["referrers"], "member"),
        "chain": count(n["chain"], "account"),
    }


def _bridge(c: Ring, items: Sequence[Item]) -> dict[str, str | set[str]] | None:
    sizes = items[0].numbers["parts"]
    return {"parts": parts(sizes)} if len(sizes) > len(c.truth.parts()) else None


def _past(c: Ring, items: Sequence[Item]) -> dict[str, str | set[str]]:
    n = items[0].numbers
    past = next(p for p in c.truth.snapshot.past if p.decision_id == items[0].subject)
    alike = similarity(fingerprint(c.view), past.fingerprint)
    return {
        "past": n["past"],
        "verdict": {"confirmed": "confirmed as a fraud ring", "false-positive": "found to be honest"}[n["verdict"]],
        "at": date(n["at"]),
        "similarity": f"{alike:.0%}".replace("%", " %"),
    }


def _clean(c: Ring, items: Sequence[Item]) -> dict[str, str | set[str]]:
    n = items[0].numbers
    return {"moved": listed([count(n[f"{noun}s"], noun) for noun in ("order", "payment") if n[f"{noun}s"]])}


def _stake(c: Ring, items: Sequence[Item]) -> dict[str, str | set[str]] | None:
    n = items[0].numbers
    words = (("exposed", "can still be lost"), ("charged_back", "was charged back"), ("refunded", "was refunded"))
    split = [f"{_cash(n[f])} {said}" for f, said in words if n[f][0]]
    said = {listed(split)}
    if len(split) == 1 and n["exposed"] == n["ordered"]:
        said = {"all of it can still be lost", "none of it was refunded or charged back"}
    return {
        "orders": count(n["orders"], "order"),
        "are_n": "is" if n["orders"] == 1 else "are",
        "ordered": _cash(n["ordered"]),
        "apart": f", besides {n['declined']:,} declined or cancelled" if n["declined"] else "",
        "split": said,
    }


def _event(item: Item) -> str:
    name = f"{noun(item.subject)} {item.subject}" if NAME.fullmatch(item.subject) else ""
    return phrases.EVENTS[item.kind].format(name=name)


def _order(later_first: bool) -> Say:
    def say(c: Ring, items: Sequence[Item]) -> dict[str, str | set[str]] | None:
        earlier, later = reversed(items) if later_first else items
        gap = later.numbers["first"] - earlier.numbers["first"]
        return {"earlier": _event(earlier), "later": _event(later), "gap": duration(gap)} if gap > 0 else None

    return say


def _extreme(latest: bool) -> Say:
    def say(c: Ring, items: Sequence[Item]) -> dict[str, str | set[str]] | None:
        times = [n["first"] for k, s in c.subjects.values() if "first" in (n := c.truth.of(k, s))]
        mine = items[0].numbers["first"]
        holds = len(times) > 1 and mine == (max(times) if latest else min(times))
        return {"event": _event(items[0]), "at": date(mine)} if holds else None

    return say


def _sets(holds: Callable[[set[str], set[str]], bool]) -> Say:
    def say(c: Ring, items: Sequence[Item]) -> dict[str, str | set[str]] | None:
        a, b = (x.numbers["accounts"] for x in items)
        said: dict[str, str | set[str]] = {"first": items[0].id, "second": items[1].id}
        return {**said, "n": count(len(a), "account"), "m": f"{len(b):,}"} if a and b and holds(a, b) else None

    return say


def _membership(c: Ring, items: Sequence[Item]) -> dict[str, str | set[str]]:
    return {"account": set(items[0].numbers["accounts"]), "first": items[0].id}


def _cover(c: Ring, items: Sequence[Item]) -> dict[str, str | set[str]]:
    groups: dict[str, list[str]] = {}
    for x in items:
        groups.setdefault(noun(x.subject), []).append(x.subject)
    things = listed([f"{plural(len(names), what)} {listed(names)}" for what, names in groups.items()])
    n = len(set().union(*(x.numbers["accounts"] for x in items)))
    return {"things": things, "who": of(n, c.truth.whole, "account"), "s": {"", "s"}}


def _most(c: Ring, items: Sequence[Item]) -> dict[str, str | set[str]] | None:
    name = items[0].subject
    alike = [
        len(x)
        for n, x in c.truth.identifiers.items()
        if n != name and n.rstrip("0123456789") == name.rstrip("0123456789") and len(x) > 1
    ]
    called = noun(name)
    holds = bool(alike) and len(c.truth.identifiers[name]) > max(alike)
    return {"noun": called, "nouns": plural(2, called)} if holds else None


_FIELDS: Final = {
    "members": ("has", "have", "account", ""),
    "count": ("has", "have", "use", ""),
    "users_total": ("has", "have", "user", ""),
    "outside": ("has", "have", "user", " outside"),
    "orders": ("has", "have", "order", ""),
    "cards": ("has", "have", "card", ""),
    "declined": ("has", "have", "declined attempt", ""),
    "tied_to": ("is tied to", "are tied to", "account", ""),
}


def _compare(equal: bool) -> Say:
    def say(c: Ring, items: Sequence[Item]) -> dict[str, str | set[str]] | None:
        options: dict[str, set[str]] = {k: set() for k in ("more", "less", "verb", "verb_both", "n", "m", "unit")}
        for (a, b), (field, words) in product((items, items[::-1]), _FIELDS.items()):
            n, m = a.numbers.get(field), b.numbers.get(field)
            if n is None or m is None or (n != m if equal else n <= m):
                continue
            unit = f"{plural(n, words[2])}{words[3]}"
            for key, value in zip(
                options, (_called(a), _called(b), words[0], words[1], f"{n:,}", f"{m:,}", unit), strict=True
            ):
                options[key].add(value)
        return {**options} if options["n"] else None

    return say


def _called(item: Item) -> str:
    return f"{noun(item.subject)} {item.subject}" if NAME.fullmatch(item.subject) else f"account {item.subject}"


_WHOLES: Final = {
    "card-testing": (("declined", "attempts", "attempts"),),
    "velocity": (("orders", "orders_total", "orders in all"), ("declined", "orders", "orders")),
    "refund-loop": (("refunds", "orders", "orders"),),
}
_MONEYSAID: Final = (
    ("exposed", "ordered", "can still be lost"),
    ("refunded", "ordered", "was refunded"),
    ("charged_back", "at_risk", "was charged back"),
)


def _rate(c: Ring, items: Sequence[Item]) -> dict[str, str | set[str]] | None:
    item = items[0]
    n = item.numbers
    options: dict[str, set[str]] = {"part": set(), "whole": set(), "share": set()}
    if item.kind == "money":
        rows = [(n[p][0], n[w][0], _cash(n[p]), f"{_cash(n[w])} {said}") for p, w, said in _MONEYSAID]
    else:
        rows = [(n[p], n[w], f"{n[p]:,}", f"{n[w]:,} {said}") for p, w, said in _WHOLES.get(item.kind, ())]
        mine = n.get("members", n.get("victims", n.get("referred", 0))) if item.id.startswith("E") else 0
        rows.append((mine, c.truth.whole, f"{mine:,}", f"{c.truth.whole:,} accounts"))
    for part, whole, said, said_whole in rows:
        if 0 < part <= whole:
            share = round(100 * part / whole + 1e-9)
            shown = min(99, share) if part < whole else 100
            options["part"].add(said)
            options["whole"].add(said_whole)
            options["share"] |= {f"{max(1, shown)} %"}
    return {**options} if options["part"] else None


def _sum(c: Ring, items: Sequence[Item]) -> dict[str, str | set[str]] | None:
    item, n = items[0], items[0].numbers
    if item.kind == "shared-identifier":
        said = listed([f"{n['members']:,} here", f"{n['outside']:,} elsewhere"])
        return {"parts": said, "total": f"{n['users_total']:,} users"} if n["outside"] else None
    if item.kind == "money":
        if not (n["exposed"][0] and n["charged_back"][0]):
            return None
        both = listed([f"{_cash(n['exposed'])} that can still be lost", f"{_cash(n['charged_back'])} charged back"])
        return {"parts": both, "total": f"{_cash(n['at_risk'])} at stake"}
    names = [r.name.value for r in roles(c.view).values()]
    words = {"core": "core", "bridge": "bridges", "likely-victim": "likely victims", "periphery": "periphery"}
    present = [f"{names.count(role):,} {word}" for role, word in words.items() if role in names]
    if len(present) < 2:
        return None
    return {"parts": listed(present), "total": f"{len(names):,} accounts"}


SAID: Final[dict[str, Say]] = {
    "shared-by": _shared,
    "shared-only-here": _where(_shared, lambda n: n["outside"] == 0),
    "shared-outside": _where(_shared, lambda n: n["outside"] > 0),
    "ties-nobody": _where(_shared, lambda n: n["hub"]),
    **dict.fromkeys(("device-farm", "burst", "takeover", "velocity", "slow-growth", "handed-on"), _spread),
    **dict.fromkeys(("brief-visits", "one-order-accounts", "quick-spending", "labelled", "long-standing"), _plain),
    **dict.fromkeys(("ring-size", "active-between"), _spread),
    "drop-address": _drop,
    "card-testing": _testing,
    "refund-loop": _refunds,
    "chargeback": _chargebacks,
    **dict.fromkeys(("transfer-cycle", "transfers-inside"), _transfers),
    "referral-chain": _referrals,
    "bridge": _bridge,
    "similar-past": _past,
    "rule": lambda c, items: {name: str(items[0].numbers[name]) for name in ("rule", "severity")},
    "clean-money": _clean,
    "at-stake": _stake,
    "sent": lambda c, items: {"sent": _cash(items[0].numbers["sent"])},
    "before": _order(later_first=False),
    "after": _order(later_first=True),
    "earliest": _extreme(latest=False),
    "latest": _extreme(latest=True),
    "same-accounts": _sets(lambda a, b: a == b),
    "among-accounts": _sets(lambda a, b: a < b),
    "no-common-accounts": _sets(lambda a, b: not a & b),
    "membership": _membership,
    "together-cover": _cover,
    "most-shared": _most,
    "more-than": _compare(equal=False),
    "as-many": _compare(equal=True),
    "rate": _rate,
    "sum": _sum,
}
