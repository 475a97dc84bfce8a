"""What relations say: the values of their phrases, from what they set in relation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from fraudgraph.narrative.pack import PackFact
from fraudgraph.narrative.phrases import EVENTS, ROLES
from fraudgraph.narrative.relations import SUMS, compared, part_of, union
from fraudgraph.narrative.said_words import Values, cash_of, identifier_of, noun_of, number_of
from fraudgraph.narrative.verifier import Held
from fraudgraph.rings.facts_words import count, date, duration, listed, of, plural

if TYPE_CHECKING:
    from fraudgraph.narrative.speaker import Speaker

Say = Callable[["Speaker", Held], Values]


def event(item: PackFact) -> str:
    """Returns what began, for a sentence about order in time."""
    name = str(item.fields.get("identifier", ""))
    return EVENTS[item.kind].format(name=f"{noun_of(name)} {name}" if name else "")


def _order(speaker: Speaker, held: Held) -> Values:
    earlier, later = held.items if held.kind == "before" else held.items[::-1]
    gap = duration(number_of(later, "first") - number_of(earlier, "first"))
    return {"earlier": event(earlier), "later": event(later), "gap": gap}


def _extreme(speaker: Speaker, held: Held) -> Values:
    item = held.items[0]
    return {"event": event(item), "at": date(number_of(item, "first"))}


def _set(speaker: Speaker, held: Held) -> Values:
    first, second = held.items[0], held.items[-1]
    n, m = (len(speaker.evidence.accounts[item.id]) for item in (first, second))
    return {"first": first.id, "second": second.id, "n": count(n, "account"), "m": f"{m:,}"}


def _membership(speaker: Speaker, held: Held) -> Values:
    return {"account": speaker.account(held.claim.slot("account") or ""), "first": held.items[0].id}


def _cover(speaker: Speaker, held: Held) -> Values:
    n = len(union(held.items, speaker.evidence))
    return {"things": speaker.things([identifier_of(x) for x in held.items]), "who": of(n, speaker.whole, "account")}


def _most(speaker: Speaker, held: Held) -> Values:
    noun = noun_of(identifier_of(held.items[0]))
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
    n, m = number_of(more, field), number_of(less, field)
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
    return f"account {speaker.account(item.id)}" if item.kind == "member" else speaker.things([identifier_of(item)])


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
        return {"part": cash_of(item, part), "whole": f"{cash_of(item, whole)} {said}", "share": percent(n, m)}
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
    present = [name for name in names if number_of(item, name)]
    if item.kind == "money":
        said = {"exposed": "that can still be lost", "charged_back": "charged back"}
        return {
            "parts": listed([f"{cash_of(item, name)} {said[name]}" for name in present]),
            "total": f"{cash_of(item, total)} at stake",
        }
    words = {"members": "here", "outside": "elsewhere", "likely_victim": "likely victims", "bridge": "bridges"}
    noun = "users" if item.kind == "shared-identifier" else "accounts"
    return {
        "parts": listed([f"{number_of(item, name):,} {words.get(name, name)}" for name in present]),
        "total": f"{number_of(item, total):,} {noun}",
    }


def _role(speaker: Speaker, held: Held) -> Values:
    pseudonym = held.items[0].id
    account = speaker.account(pseudonym)
    role = speaker.evidence.roles[account]
    return {"account": account, "role": ROLES[role.name.value], "reason": listed(list(role.reasons), 2)}


RELATED: Final[Mapping[str, Say]] = MappingProxyType(
    {
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
"""Kind of claim -> values of its phrases' places."""
