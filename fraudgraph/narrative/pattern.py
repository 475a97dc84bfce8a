"""What a ring looks like: rules over its facts that choose one of a few known patterns, or none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

from fraudgraph.narrative.catalogue import PATTERNS
from fraudgraph.narrative.pack import PackFact
from fraudgraph.narrative.slots import number

MIN_SCORE: Final = 0.4
"""Below this no pattern is named."""

MIN_LEAD: Final = 0.15
"""Nor where another one is borne this nearly as well: that it is unclear is better than a wrong name."""

UNCLEAR: Final = "unclear"


class Weighed(Protocol):
    """A fact as a sign knows it, of the ring or of the pack."""

    @property
    def id(self) -> str:
        """Its number."""
        ...

    @property
    def kind(self) -> str:
        """One of `FACT_KINDS`."""
        ...

    @property
    def weight(self) -> float:
        """How much it speaks for a ring."""
        ...

    @property
    def fields(self) -> Mapping[str, object]:
        """Its numbers."""
        ...


@dataclass(frozen=True, slots=True)
class Sign:
    """Something to be seen in the evidence.

    Attributes:
        shown_by: kind of the facts that show it; "" where only the ring's own row does.
        letters: of the identifiers that such facts are about; "" where they are about none.
        strength: from those facts (at least one, unless `shown_by` is "") and the number of members to [0, 1].
    """

    shown_by: str
    strength: Callable[[Sequence[PackFact], int], float]
    letters: str = ""

    def shows(self, fact: Weighed) -> bool:
        """Returns whether a fact shows it: it speaks for a ring, and is about nothing that half the shop uses."""
        return (
            fact.kind == self.shown_by
            and fact.weight > 0.0
            and not fact.fields.get("hub")
            and (not self.letters or str(fact.fields["identifier"]).rstrip("0123456789") == self.letters)
        )


def _weight(full: float = 1.0) -> Callable[[Sequence[PackFact], int], float]:
    return lambda facts, members: min(1.0, max(fact.weight for fact in facts) / full)


def _widest(facts: Sequence[PackFact], members: int) -> float:
    return max(number(fact, "members") or 0 for fact in facts) / members


def _refunded(facts: Sequence[PackFact], members: int) -> float:
    return min(1.0, (number(facts[0], "refunds") or 0) / max(1, number(facts[0], "orders") or 0))


def _lost(long_known: bool) -> Callable[[Sequence[PackFact], int], float]:
    def strength(facts: Sequence[PackFact], members: int) -> float:
        known = number(facts[0], "long_known") or 0
        lost = known if long_known else (number(facts[0], "members") or 0) - known
        return min(1.0, float((lost / members) ** 0.5))  # one is much, and each further one less

    return strength


SIGNS: Final[Mapping[str, Sign]] = MappingProxyType(
    {
        "declines": Sign("card-testing", _weight()),
        "refunds": Sign("refund-loop", _refunded),
        "losses-of-new-accounts": Sign("chargeback", _lost(long_known=False)),
        "losses-of-old-accounts": Sign("chargeback", _lost(long_known=True)),
        "takeover": Sign("takeover", _weight()),
        "brief-visits": Sign("brief-visits", _weight()),
        "circle": Sign("transfer-cycle", _weight(0.7)),
        "referrals": Sign("referral-chain", _weight(0.6)),
        "burst": Sign("burst", _weight()),
        "farm": Sign("device-farm", _weight()),
        "drop": Sign("drop-address", _weight()),
        "velocity": Sign("velocity", _weight()),
        "single-orders": Sign("one-order-accounts", _weight(0.3)),
        "quick-spending": Sign("quick-spending", _weight(0.35)),
        "one-card": Sign("shared-identifier", _widest, "C"),
        "one-phone": Sign("shared-identifier", _widest, "P"),
        "one-address": Sign("shared-identifier", _widest, "A"),
        "one-network": Sign("shared-identifier", _widest, "IP"),
        "long-known": Sign("", lambda rows, members: sum(number(row, "long_known") or 0 for row in rows) / members),
    }
)
"""Name -> what is seen. Of several facts that show one, the strongest counts."""

BORNE_BY: Final[Mapping[str, Mapping[str, float]]] = MappingProxyType(
    {
        "card-testing": {
            "declines": 3.0,
            "one-card": 0.6,
            "losses-of-new-accounts": 0.5,
            "one-phone": -0.6,
            "refunds": -0.3,
        },
        "payment-abuse": {
            "losses-of-new-accounts": 0.9,
            "losses-of-old-accounts": 0.8,
            "one-card": 1.2,
            "declines": 0.8,
            "single-orders": 0.2,
            "one-phone": -1.2,
            "refunds": -0.5,
        },
        "account-takeover": {
            "takeover": 2.5,
            "brief-visits": 2.0,
            "losses-of-old-accounts": 1.6,
            "long-known": 0.5,
            "one-network": 0.9,
            "one-address": 0.4,
            "one-card": -1.2,
            "single-orders": -0.4,
            "burst": -0.9,
            "quick-spending": -1.0,
            "refunds": -0.4,
        },
        "return-scam": {
            "refunds": 2.6,
            "one-card": 0.4,
        },
        "money-circulation": {
            "circle": 2.0,
        },
        "promo-abuse": {
            "referrals": 1.8,
            "single-orders": 0.7,
            "quick-spending": 0.2,
            "one-phone": 0.2,
            "losses-of-old-accounts": -1.2,
            "losses-of-new-accounts": -0.3,
            "declines": -0.3,
            "refunds": -0.5,
            "long-known": -0.3,
        },
        "fake-accounts": {
            "burst": 1.1,
            "one-phone": 0.8,
            "farm": 0.5,
            "drop": 0.2,
            "velocity": 0.3,
            "losses-of-new-accounts": 0.2,
            "one-card": -1.0,
            "single-orders": -0.2,
            "losses-of-old-accounts": -0.6,
            "refunds": -0.3,
            "long-known": -0.4,
        },
    }
)
"""Name -> what each sign adds, or takes away where honest people or another pattern make it. The order settles equals.

Set on simulated rings, rounded by hand, and tried on others: docs/narrative.md has the table of both.
"""

COMMON: Final = frozenset({"shared-identifier", "drop-address", "one-order-accounts"})
"""Kinds of fact that honest groups have as well: they alone are no pattern."""

AKIN: Final = frozenset({"card-testing", "payment-abuse"})
"""The same fraud at two of its stages: which of them it looks like more need not be clear."""

FARM: Final = "shared-devices", 0.4
"""Where nothing else is clear, a farm of devices at least this strong is a pattern of its own: it says how the accounts
are run, and not what for."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """What it looks like; `name` is a key of `PATTERNS`, `evidence` the facts that say so."""

    name: str
    evidence: tuple[str, ...]

    @property
    def words(self) -> str:
        """What it is, for a sentence."""
        return PATTERNS[self.name]


def scores(items: Iterable[PackFact]) -> dict[str, float]:
    """Returns how well the evidence bears each pattern: the facts, and the ring's row, which says how many they are."""
    rows = tuple(items)
    ring = next(row for row in rows if row.kind == "ring")
    seen = {name: _seen(sign, rows, ring) for name, sign in SIGNS.items()}
    return {name: sum(points * seen[sign] for sign, points in signs.items()) for name, signs in BORNE_BY.items()}


def _seen(sign: Sign, rows: Sequence[PackFact], ring: PackFact) -> float:
    shown = [row for row in rows if sign.shows(row)] if sign.shown_by else [ring]
    return sign.strength(shown, max(1, number(ring, "members") or 0)) if shown else 0.0


def named(name: str, facts: Iterable[Weighed]) -> Pattern:
    """Returns a pattern with the facts that bear it."""
    kinds = [SIGNS[sign] for sign, points in BORNE_BY.get(name, {}).items() if points > 0.0 and SIGNS[sign].shown_by]
    if name == FARM[0]:
        kinds = [SIGNS["farm"]]
    return Pattern(name, tuple(fact.id for fact in facts if any(sign.shows(fact) for sign in kinds)))


def pattern(items: Iterable[PackFact]) -> Pattern:
    """Returns the pattern that the evidence bears best; `unclear` where none is borne well, or two about as well."""
    rows = tuple(items)
    found = scores(rows)
    best = max(found, key=lambda name: found[name])
    rival = max(found[name] for name in found if name != best and {name, best} != AKIN)
    looks = named(best, rows)
    did = any(row.kind not in COMMON for row in rows if row.id in looks.evidence)
    if did and found[best] >= MIN_SCORE and found[best] - rival >= MIN_LEAD:
        return looks
    farm = named(FARM[0], rows)
    return farm if any(row.weight >= FARM[1] for row in rows if row.id in farm.evidence) else named(UNCLEAR, rows)
