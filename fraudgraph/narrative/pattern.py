"""What a ring looks like: rules over its facts that choose one of a few known patterns, or none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

from fraudgraph.narrative.catalogue import PATTERNS

MIN_SCORE: Final = 0.2
"""Below this no pattern is named."""

UNCLEAR: Final = "unclear"

BORNE_BY: Final[Mapping[str, Mapping[str, float]]] = MappingProxyType(
    {
        "card-testing": {"card-testing": 3.0, "chargeback": 0.5},
        "payment-abuse": {"chargeback": 1.2},
        # Newcomers have nothing that could be taken over.
        "account-takeover": {"takeover": 2.5, "brief-visits": 2.2, "burst": -0.6},
        "return-scam": {"refund-loop": 3.0},
        "money-circulation": {"transfer-cycle": 2.0},
        "promo-abuse": {"referral-chain": 2.0, "one-order-accounts": 0.6},
        "fake-accounts": {
            "burst": 0.8,
            "device-farm": 0.4,
            "drop-address": 0.3,
            "velocity": 0.3,
            "one-order-accounts": 0.3,
        },
        # A farm without newcomers says how the accounts are run, and not where they come from.
        "shared-devices": {"device-farm": 0.6},
    }
)
"""Name -> what each kind of fact adds per unit of its weight, or takes away. The order settles equals.

What only one pattern does (refunds, referrals, long-used accounts on a new device) counts for more than what several do
(newcomers, single orders). Set by hand, on simulated rings: `evaluate-narrator` shows how often it is right.
"""


class Weighed(Protocol):
    """A fact as the rules read it, of the ring or of the pack."""

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


@dataclass(frozen=True, slots=True)
class Pattern:
    """What it looks like; `name` is a key of `PATTERNS`, `evidence` the facts that say so."""

    name: str
    evidence: tuple[str, ...]

    @property
    def words(self) -> str:
        """What it is, for a sentence."""
        return PATTERNS[self.name]


def scores(facts: Iterable[Weighed]) -> dict[str, float]:
    """Returns how well the facts bear each pattern."""
    found = dict.fromkeys(BORNE_BY, 0.0)
    for fact in facts:
        for name, factors in BORNE_BY.items():
            found[name] += factors.get(fact.kind, 0.0) * max(fact.weight, 0.0)
    return found


def named(name: str, facts: Iterable[Weighed]) -> Pattern:
    """Returns a pattern with the facts that bear it."""
    factors = BORNE_BY.get(name, {})
    return Pattern(name, tuple(f.id for f in facts if factors.get(f.kind, 0.0) > 0.0 and f.weight > 0.0))


def pattern(facts: Iterable[Weighed]) -> Pattern:
    """Returns the pattern that the facts bear best; `unclear` where none reaches `MIN_SCORE`."""
    rows = tuple(facts)
    found = scores(rows)
    best = max(found, key=lambda name: found[name])
    return named(best if found[best] >= MIN_SCORE else UNCLEAR, rows)
