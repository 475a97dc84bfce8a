"""What a ring's row must say, by its snapshot: links, money, priority, and the scorer's reasons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.durations import DAY_MS
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.rings.linking import linking
from fraudgraph.rings.money import ring_money
from fraudgraph.rings.snapshot import UNKNOWN_MS, RingSnapshot
from fraudgraph.scoring.calibration import Calibration

if TYPE_CHECKING:
    from fraudgraph.graph.types import F64
    from fraudgraph.rings.measure import Watch
    from fraudgraph.scoring.evidence import EvidenceRules

SCORER = "structural-1"
"""The scorer whose reasons a snapshot can give again."""

_SHOWN, _ROUNDED = 0.05, 0.0005 + 1e-9
"""Contributions below the first are not stored; the others are stored to three digits."""
_CLOSE = 1e-9


@dataclass(frozen=True, slots=True)
class Basis:
    """What a ring was judged by.

    Attributes:
        started_ms: the earliest event of the stream.
        warmup_days: so long after it everybody seems new.
    """

    policy: LinkPolicy
    priority: PriorityRules
    calibration: Calibration
    evidence: EvidenceRules
    started_ms: int
    warmup_days: int


def row_differences(snapshot: RingSnapshot, basis: Basis) -> Iterator[str]:
    """Yields what the snapshot says of itself, and its links, users and orders say otherwise."""
    yield from _links(snapshot, basis.policy)
    money = ring_money(snapshot)
    shared: dict[tuple[int, str], int] = {}
    for link in snapshot.links:
        shared[link.kind, link.key] = shared.get((link.kind, link.key), 0) + (not link.hub)
    last_ms = max((user.last_ms for user in snapshot.users), default=snapshot.as_of_ms)
    rank = basis.priority.rank(snapshot.value_at_risk_minor, len(snapshot.users), snapshot.probability, last_ms)
    expected: list[tuple[str, object, object]] = [
        ("value_at_risk_minor", snapshot.value_at_risk_minor, money.value_at_risk_minor),
        ("currency", snapshot.currency, money.currency),
        ("identifiers", snapshot.identifiers, sum(n >= 2 for n in shared.values())),
    ]
    yield from (f"{name}: says {said}, derived {found}" for name, said, found in expected if said != found)
    close = (
        ("priority", snapshot.priority, basis.priority.priority(rank, snapshot.as_of_ms)),
        ("recency", snapshot.recency, basis.priority.recency(last_ms, snapshot.as_of_ms)),
    )
    yield from (
        f"{name}: says {said!r}, derived {found!r}"
        for name, said, found in close
        if abs(said - found) > _CLOSE * max(1.0, abs(found))
    )
    bound = snapshot.versions.get("policy_hash")
    if bound != basis.policy.hash:
        yield f"versions.policy_hash: says {bound}, the link policy's is {basis.policy.hash}"


def score_differences(snapshot: RingSnapshot, basis: Basis) -> list[str]:
    """Returns what the ring's score says, and its features, measured again from the snapshot, say otherwise.

    Contributions of the evidence are computed anew; that of the Isolation Forest, which knows the whole shop, is taken
    as stored. The probability must then lie where the digits that were stored leave it. A snapshot of before it noted
    since when the stream shows beginnings leaves open whether members without a sign-up count as new: that depends on
    whether anybody in the stream signed up, which only a ring with a sign-up shows, and otherwise either will do. Only
    for `SCORER`.
    """
    from fraudgraph.rings.forest import NEVER
    from fraudgraph.rings.measure import Watch
    from fraudgraph.rings.remeasure import remeasure

    settled_ms = basis.started_ms + basis.warmup_days * DAY_MS
    births: tuple[int, ...] = (NEVER,) if any(user.signup_ms >= 0 for user in snapshot.users) else (NEVER, settled_ms)
    if snapshot.births_ms != UNKNOWN_MS:
        births, settled_ms = (snapshot.births_ms,), snapshot.links_ms
    found: list[str] = []
    for births_ms in births:
        watch: Watch = Watch(births_ms=births_ms, links_ms=settled_ms)
        features, _ = remeasure(snapshot, basis.policy, watch)
        found = list(_against(snapshot, features, basis))
        if not found:
            return []
    return found


def rule_differences(snapshot: RingSnapshot, basis: Basis) -> Iterator[str]:
    """Yields what the rules are said to have measured, and the ring, measured again from its snapshot, is not so.

    What depends on since when the stream shows beginnings is not looked at in a snapshot of before it noted that.
    """
    from fraudgraph.rings.measure import Watch
    from fraudgraph.rings.remeasure import remeasure
    from fraudgraph.rules.judge import measured, term_holds
    from fraudgraph.rules.table import table_of_snapshot

    if not snapshot.rules.hits or snapshot.births_ms == UNKNOWN_MS:
        return
    watch = Watch(births_ms=snapshot.births_ms, links_ms=snapshot.links_ms)
    table = table_of_snapshot(snapshot, *remeasure(snapshot, basis.policy, watch))
    for hit in snapshot.rules.hits:
        for place, term in enumerate(hit.terms):
            found = measured(term.condition, term.group, table, 0)
            if found != term:
                yield f"rules.{hit.rule}[{place}]: says {term.said!r}, derived {found.said!r}"
            elif not term_holds(term, table, 0):
                yield f"rules.{hit.rule}[{place}]: {term.said!r} does not hold"


def _links(snapshot: RingSnapshot, policy: LinkPolicy) -> Iterator[str]:
    for place, link in enumerate(snapshot.links):
        made = linking(
            policy,
            link.kind,
            users_active=link.users_active,
            idle_ms=snapshot.as_of_ms - link.last_ms,
            benign=link.benign,
        )
        for name, said, found in (
            ("strength", link.strength, made.strength),
            ("ties", link.ties, made.ties),
            ("hub", link.hub, made.hub),
        ):
            if abs(said - found) > _CLOSE:
                yield f"links[{place}].{name}: says {said}, derived {found}"


def _against(snapshot: RingSnapshot, features: F64, basis: Basis) -> Iterator[str]:
    import numpy as np

    from fraudgraph.scoring.evidence import REASONS, contributions
    from fraudgraph.scoring.port import RingScores
    from fraudgraph.scoring.structural import UNUSUAL

    row = basis.calibration.slope * contributions(features, basis.evidence)[0]
    said = snapshot.contributions
    for name in sorted(said.keys() - {*REASONS, UNUSUAL}):
        yield f"contributions.{name}: no reason of {SCORER}"
    for name, value in zip(REASONS, row.tolist(), strict=True):
        close = abs(value) < _SHOWN + _CLOSE if name not in said else abs(value - said[name]) <= _ROUNDED
        if not close:
            yield f"contributions.{name}: says {said.get(name, 0.0)}, derived {value:.3f}"
    unusual = said.get(UNUSUAL, 0.0)
    slack = _ROUNDED if UNUSUAL in said else _SHOWN
    log_odds = basis.calibration.intercept + float(row.sum()) + unusual
    low, high = (1.0 / (1.0 + float(np.exp(-(log_odds + shift)))) for shift in (-slack, slack))
    if not low - 1e-6 <= snapshot.probability <= high + 1e-6:
        yield f"probability: says {snapshot.probability}, derived {low:.6f} to {high:.6f}"
    scores = RingScores(np.zeros(1), np.append(row, unusual)[None, :], (*REASONS, UNUSUAL))
    reason = scores.reason_of(0)
    if snapshot.reason.partition(";")[0] != reason:
        yield f"reason: says {snapshot.reason!r}, derived {reason!r}"
