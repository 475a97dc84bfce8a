"""The headline: what a ring looks like, how sure, how much money. No narrator has a say in how sure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from fraudgraph.events.kinds import EntityKind
from fraudgraph.narrative.actions import POSSIBLE
from fraudgraph.narrative.innocent import Explanation
from fraudgraph.narrative.pattern import UNCLEAR, Pattern
from fraudgraph.rings.facts_view import NOUN, RingView
from fraudgraph.rings.facts_words import count, listed, money

_SURE: Final[tuple[tuple[float, str], ...]] = (
    (0.95, "almost certainly"),
    (0.80, "very likely"),
    (0.55, "likely"),
    (0.45, "about as likely as not"),
    (0.20, "unlikely to be"),
    (0.05, "very unlikely to be"),
    (0.0, "almost certainly not"),
)
"""Words of estimative probability (US ICD 203, 2015), by the lowest probability that they stand for."""


def sure(probability: float) -> str:
    """Returns a probability in words and in figures: `very likely a fraud ring (93 %)`."""
    words = next(w for lowest, w in _SURE if probability >= lowest)
    return f"{words} a fraud ring ({percent(probability)})"


def percent(probability: float) -> str:
    """Returns `93 %`; never 0 % or 100 %, which no score can promise."""
    if probability < 0.01:
        return "< 1 %"
    return "> 99 %" if probability > 0.99 else f"{probability:.0%}".replace("%", " %")


def headline(view: RingView, looks: Pattern, innocent: Sequence[Explanation]) -> str:
    """Returns one sentence; where the probability is below a half and nothing contradicts it, the innocent reading."""
    s = view.snapshot
    shared = _shared_words(view)
    tied = f" that share {shared}" if shared else ""
    accounts = count(view.size, "account")
    allowed = next((e for e in innocent if e.strong), None)
    if s.probability < 0.5 and allowed is not None and allowed.name == "insufficient-evidence":
        what = f"The evidence does not suffice: {accounts}{tied}"
    elif s.probability < 0.5 and allowed is not None:
        what = f"May well be {allowed.words}: {accounts}{tied}"
    elif s.probability < POSSIBLE:
        what = f"Too little to call it a ring: {accounts}{tied}"
    elif looks.name == UNCLEAR:
        what = f"{accounts}{tied} fit no known pattern"
    else:
        what = f"{'Looks like' if s.probability >= 0.45 else 'Some signs of'} {looks.words}: {accounts}{tied}"
    at_stake = money(s.value_at_risk_minor, s.currency) if s.value_at_risk_minor else "no known money"
    return f"{what}; {sure(s.probability)}, with {at_stake} at stake."


def _shared_words(view: RingView) -> str:
    """Returns `2 devices and one card`: what at least two members share; IP addresses only where nothing else is."""
    by_kind = Counter(i.kind for i in view.shared if not i.hub)
    kinds: list[EntityKind] = [k for k in sorted(by_kind) if k is not EntityKind.IP] or sorted(by_kind)
    return listed([f"one {NOUN[k]}" if by_kind[k] == 1 else count(by_kind[k], NOUN[k]) for k in kinds]) if kinds else ""
