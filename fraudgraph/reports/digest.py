"""The digest: what of the queue to look at first and why, what has changed, and what can be closed as look-alikes."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.narrative.headline import percent
from fraudgraph.narrative.port import Narrative, Sentence
from fraudgraph.reports.json import ListedRing
from fraudgraph.reports.model import RingReport
from fraudgraph.rings.facts_words import duration, listed, money, money_list

MATTERS: Final = 1.05
"""A factor that differs by less is not worth a word."""

MAX_REASONS: Final = 3
"""Sentences of a ring's narrative that a digest shows."""

STEPS: Final[tuple[str, ...]] = ("born", "grew", "shrank", "merged", "split", "revived")


@dataclass(frozen=True, slots=True)
class Entry:
    """A ring of the digest.

    Attributes:
        place: from 1.
        alerts: how often it, or what became part of it, was alerted in the span.
        changed: steps of its life in the span, as `STEPS`.
        reasons: what speaks for it, or in short what it is; verified sentences.
        above: why it stands above the next one; "" for the last.
    """

    place: int
    ring: ListedRing
    pattern: str
    alerts: int
    changed: tuple[str, ...]
    recency: float
    headline: str
    reasons: tuple[Sentence, ...]
    above: str
    narrative: Narrative


@dataclass(frozen=True, slots=True)
class Group:
    """Rings of the digest that look alike, over all their users and orders."""

    pattern: str
    words: str
    rings: tuple[str, ...]
    users: int
    orders: int
    at_risk_minor: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class LookAlike:
    """A ring that an innocent explanation fits, with nothing against it."""

    ring: ListedRing
    explanation: Sentence


@dataclass(frozen=True, slots=True)
class Digest:
    """A span of event time, [since_ms, as_of_ms].

    Attributes:
        waiting: rings that wait and were active in the span.
        alerts, alerted: alerts in the span, and rings that they are about now.
        changes: rings of those looked at by what happened to them in the span, as `STEPS`.
        closed: rings that closed or were merged away in the span.
        looked_at: rings below the alert line that were held against innocent explanations.
    """

    since_ms: int
    as_of_ms: int
    waiting: int
    alerts: int
    alerted: int
    changes: Mapping[str, int]
    closed: int
    entries: tuple[Entry, ...]
    groups: tuple[Group, ...]
    look_alikes: tuple[LookAlike, ...]
    looked_at: int


@dataclass(frozen=True, slots=True)
class Span:
    """What the store says of a span of time.

    Attributes:
        waiting: rings that wait and were active, best first.
        alerts: ring (under its present id) -> alerts.
        closed: rings that closed or were merged away.
    """

    since_ms: int
    as_of_ms: int
    waiting: Sequence[ListedRing]
    alerts: Mapping[str, int]
    closed: int


def make_digest(span: Span, first: Sequence[RingReport], rest: Sequence[RingReport], rules: PriorityRules) -> Digest:
    """Returns the digest.

    Args:
        first: the rings to look at first, as `span.waiting` has them.
        rest: some that follow, below the alert line; those that an innocent explanation fits are named.
    """
    rows = {row.ring_id: row for row in span.waiting}
    told = [(rows[report.snapshot.ring_id], report) for report in first]
    entries = []
    for place, (row, report) in enumerate(told, 1):
        below = told[place][0] if place < len(told) else None
        narrative = report.narrative
        entries.append(
            Entry(
                place=place,
                ring=row,
                pattern=report.pattern.name,
                alerts=span.alerts.get(row.ring_id, 0),
                changed=_changed(report, span.since_ms),
                recency=rules.recency(row.last_seen_ms, span.as_of_ms),
                headline=report.headline,
                reasons=(narrative.risk_reasons or narrative.summary)[:MAX_REASONS],
                above="" if below is None else why_above(row, below, rules, span.as_of_ms),
                narrative=narrative,
            )
        )
    alike = [found for report in rest if (found := _look_alike(rows[report.snapshot.ring_id], report)) is not None]
    changes = Counter(step for report in (*first, *rest) for step in _changed(report, span.since_ms))
    return Digest(
        since_ms=span.since_ms,
        as_of_ms=span.as_of_ms,
        waiting=len(span.waiting),
        alerts=sum(span.alerts.values()),
        alerted=len(span.alerts),
        changes={step: changes[step] for step in STEPS if changes[step]},
        closed=span.closed,
        entries=tuple(entries),
        groups=_groups(report for _, report in told),
        look_alikes=tuple(alike),
        looked_at=len(rest),
    )


def why_above(upper: ListedRing, lower: ListedRing, rules: PriorityRules, as_of_ms: int) -> str:
    """Returns which of the three factors put a ring above another, and which speak against it.

    Priorities are products, so their ratio is the product of the factors' ratios: those above 1 are the reason.
    """
    ratios = {
        "value": _value(upper, rules) / _value(lower, rules),
        "probability": max(upper.probability, 1e-9) / max(lower.probability, 1e-9),
        "recency": rules.recency(upper.last_seen_ms, as_of_ms) / rules.recency(lower.last_seen_ms, as_of_ms),
    }
    ranked = sorted(ratios, key=lambda name: -abs(math.log(ratios[name])))
    reasons = [_compared(n, ratios[n], upper, lower, as_of_ms) for n in ranked if ratios[n] >= MATTERS]
    against = [_compared(n, ratios[n], upper, lower, as_of_ms) for n in ranked if ratios[n] <= 1 / MATTERS]
    if not reasons:
        return f"about as urgent as {lower.ring_id}"
    though = f", though {listed(against)}" if against else ""
    return f"{listed(reasons)} than {lower.ring_id}{though}"


def _value(ring: ListedRing, rules: PriorityRules) -> int:
    return max(1, ring.value_at_risk_minor + rules.account_value_minor * ring.users)


def _compared(name: str, ratio: float, upper: ListedRing, lower: ListedRing, as_of_ms: int) -> str:
    more = ratio > 1.0
    if name == "value":
        mine, theirs = (money(r.value_at_risk_minor, r.currency) for r in (upper, lower))
        if mine == theirs:
            return f"{'more' if more else 'fewer'} accounts ({upper.users:,} against {lower.users:,})"
        return f"{'more' if more else 'less'} at risk ({mine} against {theirs})"
    if name == "probability":
        mine, theirs = percent(upper.probability), percent(lower.probability)
        return f"{'more' if more else 'less'} probable ({mine} against {theirs})"
    mine, theirs = (duration(max(0, as_of_ms - r.last_seen_ms)) for r in (upper, lower))
    return f"{'more' if more else 'less'} recent (quiet for {mine} against {theirs})"


def _changed(report: RingReport, since_ms: int) -> tuple[str, ...]:
    steps = {step.what for step in report.snapshot.lineage if step.at_ms >= since_ms}
    return tuple(step for step in STEPS if step in steps)


def _groups(reports: Iterable[RingReport]) -> tuple[Group, ...]:
    """Returns the rings by pattern, most of them first."""
    grouped: dict[str, list[RingReport]] = defaultdict(list)
    for report in reports:
        grouped[report.pattern.name].append(report)
    groups = []
    for name, alike in grouped.items():
        at_risk: Counter[int] = Counter()
        for report in alike:
            at_risk[report.snapshot.currency] += report.snapshot.value_at_risk_minor
        groups.append(
            Group(
                pattern=name,
                words=alike[0].pattern.words,
                rings=tuple(report.snapshot.ring_id for report in alike),
                users=sum(len(report.snapshot.users) for report in alike),
                orders=sum(len(report.snapshot.orders) for report in alike),
                at_risk_minor=dict(at_risk),
            )
        )
    return tuple(sorted(groups, key=lambda g: (-len(g.rings), g.pattern)))


def _look_alike(ring: ListedRing, report: RingReport) -> LookAlike | None:
    """Returns the ring where the house's own rules propose to close it."""
    if not any(action.name == "close-as-innocent" for action in report.actions):
        return None
    return LookAlike(ring, report.narrative.innocent_explanations[0])


def at_risk(group: Group) -> str:
    """Returns the money of a group in words."""
    return money_list(dict(group.at_risk_minor))
