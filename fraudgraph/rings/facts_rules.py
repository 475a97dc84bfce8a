"""Facts about a shop's own rules: which hold of the ring, and with what numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from fraudgraph.rings.facts_kinds import Draft, FactKind, weighed
from fraudgraph.rings.facts_view import RingView
from fraudgraph.rings.rule_hits import Severity

_WEIGHT: Mapping[Severity, float] = MappingProxyType({"low": 0.2, "medium": 0.4, "high": 0.6, "critical": 0.8})
"""How far up a hit stands among the facts: the shop's word for how bad it would be, not how probable it is."""


def rules(view: RingView) -> Iterator[Draft]:
    """Rules that hold; one that is only counted (`shadow`) is no fact."""
    for hit in view.snapshot.rules.hits:
        if hit.mode == "shadow":
            continue
        said = tuple(term.said for term in hit.terms)
        yield Draft(
            f"The shop's rule {hit.rule} ({hit.severity}) holds: {hit.description.rstrip('.')} – {'; '.join(said)}.",
            weighed(_WEIGHT[hit.severity]),
            {
                "rule": hit.rule,
                "rule_version": hit.version,
                "severity": hit.severity,
                "conditions": len(hit.terms),
                "numbers": said,
            },
        )


KINDS = (FactKind("rule", rules, ("rule",)),)
