"""Facts about rings of the past: one with a verdict that this one looks like."""

from __future__ import annotations

from collections.abc import Iterator

from fraudgraph.rings.facts_kinds import Draft, FactKind, weighed
from fraudgraph.rings.facts_view import RingView
from fraudgraph.rings.facts_words import date
from fraudgraph.rings.fingerprint import fingerprint, similarity

_WEIGHT = {"confirmed": 0.4, "false-positive": -0.4}
_WORDS = {"confirmed": "a confirmed fraud ring", "false-positive": "a group that turned out to be honest"}


def similar_past_rings(view: RingView) -> Iterator[Draft]:
    """Rings with a verdict whose shape and behaviour this one has, without an account in common."""
    if not view.snapshot.past:
        return
    ours = fingerprint(view)
    for past in view.snapshot.past:
        alike = similarity(ours, past.fingerprint)
        yield Draft(
            f"Looks like ring {past.ring_id}, {_WORDS[past.verdict]} by {past.decision_id}"
            f" ({date(past.at_ms)}): {alike:.0%} alike in shape and behaviour, with no account in common.".replace(
                "%", " %"
            ),
            weighed(_WEIGHT[past.verdict] * alike),
            {
                "decision_id": past.decision_id,
                "ring_id": past.ring_id,
                "verdict": past.verdict,
                "at_ms": past.at_ms,
                "similarity": alike,
            },
        )


KINDS = (FactKind("similar-past-ring", similar_past_rings, ("decision_id",)),)
