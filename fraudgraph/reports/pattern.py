"""What a ring looks like: rules over its facts that choose one of a few known patterns, or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fraudgraph.rings.facts_kinds import Fact

MIN_SCORE = 0.2
"""Below this no pattern is named."""

PATTERNS: dict[str, tuple[str, dict[str, float]]] = {
    "card-testing": ("payment abuse (card testing)", {"card-testing": 2.0, "chargeback": 0.3}),
    "payment-abuse": ("payment abuse (disputed payments)", {"chargeback": 0.6}),
    "account-takeover": ("account takeover", {"takeover": 2.5, "brief-visits": 1.5}),
    "return-scam": ("a return scam", {"refund-loop": 2.5}),
    "money-circulation": ("circulation of money", {"transfer-cycle": 2.0}),
    "promo-abuse": ("promotion abuse", {"referral-chain": 1.5, "one-order-accounts": 1.6}),
    "fake-accounts": (
        "fake accounts",
        {"burst": 0.8, "device-farm": 0.4, "drop-address": 0.3, "velocity": 0.3},
    ),
    # A farm without newcomers says how the accounts are run, and not where they come from.
    "shared-devices": ("many accounts behind few devices", {"device-farm": 0.6}),
}
"""Name -> (words, what each kind of fact adds per unit of its weight). The order settles equals."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """What it looks like; `name` is a key of `PATTERNS` or `unclear`, `evidence` the facts that say so."""

    name: str
    words: str
    evidence: tuple[str, ...]


def pattern(facts: Sequence[Fact]) -> Pattern:
    """Returns the pattern that the facts bear best; `unclear` where none reaches `MIN_SCORE`."""
    scores = {
        name: sum(factors.get(f.kind, 0.0) * max(f.weight, 0.0) for f in facts)
        for name, (_, factors) in PATTERNS.items()
    }
    best = max(scores, key=lambda name: scores[name])
    if scores[best] < MIN_SCORE:
        return Pattern("unclear", "no known pattern", ())
    words, factors = PATTERNS[best]
    return Pattern(best, words, tuple(f.id for f in facts if f.kind in factors and f.weight > 0.0))
