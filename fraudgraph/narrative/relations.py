"""What each kind of claim asserts, as a function of what it cites: the claim holds where it returns true."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from fraudgraph.narrative.claims import Claim
from fraudgraph.narrative.evidence import Evidence
from fraudgraph.narrative.pack import PackFact
from fraudgraph.narrative.slots import Reference, number, read_slot

Relation = Callable[[Claim, Sequence[PackFact], Evidence], bool]

RATES: Final[Mapping[str, tuple[tuple[str, str], ...]]] = MappingProxyType(
    {
        "card-testing": (("declined", "attempts"), ("members", "R.members")),
        "velocity": (("orders", "orders_total"), ("members", "R.members"), ("declined", "orders")),
        "refund-loop": (("refunds", "orders"), ("members", "R.members")),
        "takeover": (("victims", "R.members"),),
        "referral-chain": (("referred", "R.members"),),
        "money": (("exposed", "ordered"), ("refunded", "ordered"), ("charged_back", "at_risk")),
    }
)
"""Kind of fact -> (part, whole) that may be set in relation; the first is meant where a claim does not say. Of every
other fact it is its members of the ring's."""

_MEMBERS: Final = (("members", "R.members"),)

SUMS: Final[Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]]] = MappingProxyType(
    {
        "shared-identifier": (("users_total", ("members", "outside")),),
        "ring": (("members", ("core", "bridge", "likely_victim", "periphery")),),
        "money": (("at_risk", ("exposed", "charged_back")),),
    }
)
"""Kind of fact -> (total, its parts)."""

COMPARED: Final = ("members", "count", "users_total", "outside", "orders", "cards", "median_gap", "tied_to", "declined")
"""Fields in which two facts, or two members, may be compared; the first that both have where a claim does not say."""


def begins(items: Sequence[PackFact]) -> int | None:
    """Returns when what is cited began, in ms; None where it has no time."""
    times = [t for item in items if (t := number(item, "first")) is not None]
    return min(times) if times else None


def overlaps(some: Sequence[PackFact], others: Sequence[PackFact]) -> bool:
    """Returns whether what is cited here and there has a moment in common."""
    spans = []
    for items in (some, others):
        first = begins(items)
        lasts = [t for item in items if (t := number(item, "last")) is not None]
        if first is None or not lasts:
            return False
        spans.append((first, max(lasts)))
    (a, b), (c, d) = spans
    return a <= d and c <= b


def open_question(name: str, item: PackFact) -> bool:
    """Returns whether a question can be asked of a fact: whose card, where it is about a card."""
    identifier = str(item.fields.get("identifier", ""))
    kind = identifier.rstrip("0123456789")
    asked = {"whose-device": "D", "who-lives-there": "A", "whose-card": "C"}.get(name)
    if asked is not None:
        return kind == asked or (not identifier and name in ("whose-card", "whose-device"))
    return name != "who-else-uses-it" or (bool(item.fields.get("outside")) and not item.fields.get("hub"))


def compared(claim: Claim, items: Sequence[PackFact]) -> tuple[tuple[PackFact, str], tuple[PackFact, str]] | None:
    """Returns (item, field) of what a comparison calls more and less; None where the two cannot be compared."""
    if len(items) != 2 or items[0].kind != items[1].kind or not all(_has_subject(item) for item in items):
        return None
    refs = [read_slot(value) if (value := claim.slot(name)) else None for name in ("more", "less")]
    by_id = {item.id: item for item in items}
    if refs == [None, None]:
        field = next((f for f in COMPARED if all(number(item, f) is not None for item in items)), None)
        return None if field is None else ((items[0], field), (items[1], field))
    if not all(isinstance(ref, Reference) and ref.item in by_id for ref in refs):
        return None
    more, less = (ref for ref in refs if isinstance(ref, Reference))
    alike = more.field == less.field and more.field in COMPARED and more.item != less.item
    return ((by_id[more.item], more.field), (by_id[less.item], less.field)) if alike else None


def _has_subject(item: PackFact) -> bool:
    return item.kind == "member" or isinstance(item.fields.get("identifier"), str)


def part_of(claim: Claim, item: PackFact, evidence: Evidence) -> tuple[str, int, str, int] | None:
    """Returns (part, its number, whole, its number) of a rate; None where the two do not belong together."""
    pairs = RATES.get(item.kind, _MEMBERS if item.id.startswith("E") else ())
    asked = [_field(claim.slot(name), item) for name in ("part", "whole")]
    for part, whole in pairs:
        if all(a is None or a == p for a, p in zip(asked, (part, whole), strict=True)):
            n = number(item, part)
            m = number(evidence.items["R"], "members") if whole == "R.members" else number(item, whole)
            if n is not None and m:
                return part, n, whole, m
    return None


def _field(value: str | None, item: PackFact) -> str | None:
    found = read_slot(value) if value is not None else None
    if value is None:
        return None
    if not isinstance(found, Reference):
        return ""
    return found.field if found.item == item.id else f"{found.item}.{found.field}"


def union(items: Sequence[PackFact], evidence: Evidence) -> frozenset[str]:
    """Returns the accounts that what is cited is about."""
    return frozenset().union(*(evidence.accounts.get(item.id, frozenset()) for item in items))


def _before(claim: Claim, items: Sequence[PackFact], evidence: Evidence) -> bool:
    return _ordered(claim, items[0], items[1])


def _after(claim: Claim, items: Sequence[PackFact], evidence: Evidence) -> bool:
    return _ordered(claim, items[1], items[0])


def _ordered(claim: Claim, earlier: PackFact, later: PackFact) -> bool:
    for name, item in (("earlier", earlier), ("later", later)):
        value = claim.slot(name)
        found = read_slot(value) if value is not None else None
        if value is not None and not (isinstance(found, Reference) and (found.item, found.field) == (item.id, "first")):
            return False
    a, b = number(earlier, "first"), number(later, "first")
    return a is not None and b is not None and a < b and "member" not in (earlier.kind, later.kind)


def _all_begin(evidence: Evidence) -> list[int]:
    return [t for fact in evidence.facts if isinstance(t := fact.fields.get("first_ms"), int)]


def _earliest(claim: Claim, items: Sequence[PackFact], evidence: Evidence) -> bool:
    mine, times = _fact_begins(items[0]), _all_begin(evidence)
    return mine is not None and len(times) > 1 and mine <= min(times)


def _latest(claim: Claim, items: Sequence[PackFact], evidence: Evidence) -> bool:
    mine, times = _fact_begins(items[0]), _all_begin(evidence)
    return mine is not None and len(times) > 1 and mine >= max(times)


def _fact_begins(item: PackFact) -> int | None:
    return number(item, "first") if item.id.startswith("E") else None


def _sets(items: Sequence[PackFact], evidence: Evidence) -> tuple[frozenset[str], frozenset[str]] | None:
    a, b = (evidence.accounts.get(item.id, frozenset()) for item in items)
    return (a, b) if a and b else None


def _same(claim: Claim, items: Sequence[PackFact], evidence: Evidence) -> bool:
    sets = _sets(items, evidence)
    return sets is not None and sets[0] == sets[1]


def _among(claim: Claim, items: Sequence[PackFact], evidence: Evidence) -> bool:
    sets = _sets(items, evidence)
    return sets is not None and sets[0] < sets[1]


def _apart(claim: Claim, items: Sequence[PackFact], evidence: Evidence) -> bool:
    sets = _sets(items, evidence)
    return sets is not None and not sets[0] & sets[1]


def _member(claim: Claim, items: Sequence[PackFact], evidence: Evidence) -> bool:
    account = claim.slot("account")
    return account is not None and account in evidence.accounts.get(items[0].id, frozenset())


def _covers(claim: Claim, items: Sequence[PackFact], evidence: Evidence) -> bool:
    return not any(item.fields.get("hub") for item in items)


def _most_shared(claim: Claim, items: Sequence[PackFact], evidence: Evidence) -> bool:
    name = str(items[0].fields["identifier"])
    sizes = {
        str(f.fields["identifier"]): int(str(f.fields["members"]))
        for f in evidence.facts
        if f.kind == "shared-identifier"
        and str(f.fields["identifier"]).rstrip("0123456789") == name.rstrip("0123456789")
    }
    others = [n for other, n in sizes.items() if other != name]
    return bool(others) and sizes[name] > max(others)


def _more(claim: Claim, items: Sequence[PackFact], evidence: Evidence) -> bool:
    a, b = _numbers(claim, items)
    return a is not None and b is not None and a > b


def _as_many(claim: Claim, items: Sequence[PackFact], evidence: Evidence) -> bool:
    a, b = _numbers(claim, items)
    return a is not None and a == b


def _numbers(claim: Claim, items: Sequence[PackFact]) -> tuple[int | None, int | None]:
    sides = compared(claim, items)
    if sides is None:
        return None, None
    (more, field), (less, _) = sides
    return number(more, field), number(less, field)


def _rate(claim: Claim, items: Sequence[PackFact], evidence: Evidence) -> bool:
    found = part_of(claim, items[0], evidence)
    return found is not None and 0 < found[1] <= found[3]


def _sum(claim: Claim, items: Sequence[PackFact], evidence: Evidence) -> bool:
    item = items[0]
    total, parts = SUMS[item.kind][0]
    named = {_field(slot.value, item) for slot in claim.slots if slot.name == "part"}
    asked = _field(claim.slot("total"), item)
    present = [p for p in parts if number(item, p)]
    if (named and named != set(present)) or asked not in (None, total):
        return False
    return len(present) > 1 and sum(number(item, p) or 0 for p in present) == number(item, total)


def _role(claim: Claim, items: Sequence[PackFact], evidence: Evidence) -> bool:
    user_id = evidence.names[items[0].id]
    return evidence.roles[user_id].name.value == items[0].fields["role"]


def _flag(field: str, wanted: bool) -> Relation:
    def holds(claim: Claim, items: Sequence[PackFact], evidence: Evidence) -> bool:
        return bool(items[0].fields.get(field)) is wanted

    return holds


def _outside(claim: Claim, items: Sequence[PackFact], evidence: Evidence) -> bool:
    return bool(items[0].fields.get("outside")) and not items[0].fields.get("hub")


RELATIONS: Final[Mapping[str, Relation]] = MappingProxyType(
    {
        "shared-only-here": _flag("outside", wanted=False),
        "shared-outside": _outside,
        "ties-nobody": _flag("hub", wanted=True),
        "at-stake": _flag("at_risk", wanted=True),
        "sent": _flag("sent", wanted=True),
        "before": _before,
        "after": _after,
        "earliest": _earliest,
        "latest": _latest,
        "same-accounts": _same,
        "among-accounts": _among,
        "no-common-accounts": _apart,
        "membership": _member,
        "together-cover": _covers,
        "most-shared": _most_shared,
        "more-than": _more,
        "as-many": _as_many,
        "rate": _rate,
        "sum": _sum,
        "role": _role,
    }
)
"""What is asserted beyond the slots; a statement that is not here says its fact and no more."""

REFERRING: Final = frozenset({"before", "after", "more-than", "as-many", "rate", "sum"})
"""Relations whose slots name what is set in relation, by a reference."""
