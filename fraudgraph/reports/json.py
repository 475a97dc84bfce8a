"""Reports as JSON: the pinned format of `rings list` and `rings show`, which other programs rely on.

Money is a decimal string in major units (`"1234.56"`) with an alpha-3 currency, or null where the ring has none.
Times are RFC 3339 in UTC. `priority` is a number without unit that orders the queue: hundredths of the priority in
minor units, the same division for every currency, so that it falls monotonically down the list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fraudgraph.durations import HOUR_MS
from fraudgraph.narrative.port import Narrative, Sentence
from fraudgraph.reports.model import RingReport
from fraudgraph.rings.facts_kinds import Fact
from fraudgraph.rings.facts_words import currency_code, major, rfc3339

SCHEMA_VERSION = 1

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ListedRing:
    """A row of the queue as plain values; money and `priority` in minor units, times in ms, currency numeric."""

    ring_id: str
    status: str
    probability: float
    priority: float
    value_at_risk_minor: int
    currency: int
    users: int
    identifiers: int
    first_seen_ms: int
    last_seen_ms: int
    reason: str


def ring_json(row: ListedRing) -> Json:
    """Returns one ring as the list shows it."""
    return {
        "ring_id": row.ring_id,
        "status": row.status,
        "probability": round(row.probability, 6),
        "priority": shown_priority(row.priority),
        "value_at_risk": str(major(row.value_at_risk_minor, row.currency)),
        "currency": currency_code(row.currency),
        "users": row.users,
        "identifiers": row.identifiers,
        "first_seen": rfc3339(row.first_seen_ms),
        "last_seen": rfc3339(row.last_seen_ms),
        "reason": row.reason,
    }


def ring_list_json(rows: Iterable[ListedRing]) -> Json:
    """Returns `rings list --format json`; the caller gives the rows best priority first."""
    return {"schema_version": SCHEMA_VERSION, "rings": [ring_json(row) for row in rows]}


def shown_priority(priority_minor: float) -> float:
    """Returns the priority as lists and reports show it."""
    return round(priority_minor / 100.0, 2)


def listed_ring(report: RingReport) -> ListedRing:
    """Returns a report's ring as a row of the queue."""
    s = report.snapshot
    return ListedRing(
        ring_id=s.ring_id,
        status=s.status,
        probability=s.probability,
        priority=s.priority,
        value_at_risk_minor=s.value_at_risk_minor,
        currency=s.currency,
        users=len(s.users),
        identifiers=s.identifiers,
        first_seen_ms=min((u.first_ms for u in s.users), default=s.as_of_ms),
        last_seen_ms=max((u.last_ms for u in s.users), default=s.as_of_ms),
        reason=s.reason,
    )


def report_json(report: RingReport) -> Json:
    """Returns `rings show --format json`: the row of the list, members, evidence, links, lineage, and the report's
    own words (`report`)."""
    s = report.snapshot
    return {
        "schema_version": SCHEMA_VERSION,
        **ring_json(listed_ring(report)),
        "members": [
            {
                "user_id": m.user.user_id,
                "role": m.role.name.value,
                "probability": round(m.user.probability, 6),
                "first_seen": rfc3339(m.user.first_ms),
                "last_seen": rfc3339(m.user.last_ms),
                "reasons": list(m.reasons),
                "evidence": list(m.evidence),
            }
            for m in report.members
        ],
        "evidence": [fact_json(f) for f in report.facts],
        "links": [
            {
                "user_id": link.user_id,
                "identifier": i.name,
                "kind": i.kind.label,
                "mask": i.mask,
                "first_seen": rfc3339(link.first_ms),
                "last_seen": rfc3339(link.last_ms),
                "count": link.count,
                "users": link.users_active,
                "strength": round(link.strength, 4),
                "ties": link.ties,
                "hub": link.hub,
            }
            for i in report.view.identifiers
            for link in i.links
        ],
        "lineage": [
            {
                "what": step.what,
                "at": rfc3339(step.at_ms),
                "users_before": step.users_before,
                "users_after": step.users_after,
                "other_ring_id": step.other_ring_id,
            }
            for step in s.lineage
        ],
        "report": _words(report),
    }


def fact_json(fact: Fact) -> Json:
    """Returns a fact: id, kind, text, weight and its fields; `x_ms` times become `x_at`, spans `x_hours`, and
    `x_minor` money `x`."""
    out: Json = {"id": fact.id, "kind": fact.kind, "text": fact.text, "weight": fact.weight}
    currency = fact.fields.get("currency")
    for name, value in fact.fields.items():
        if name.endswith("_ms") and isinstance(value, int):
            if name in _TIMES:
                out[name.removesuffix("_ms") + "_at"] = rfc3339(value)
            else:
                out[name.removesuffix("_ms") + "_hours"] = round(value / HOUR_MS, 2)
        elif name.endswith("_minor") and isinstance(value, int):
            out[name.removesuffix("_minor")] = str(major(value, currency if isinstance(currency, int) else 0))
        elif name == "currency" and isinstance(value, int):
            out[name] = currency_code(value)
        else:
            out[name] = list(value) if isinstance(value, tuple) else value
    return out


_TIMES = frozenset({"first_ms", "last_ms"})


def narrative_json(told: Narrative) -> Json:
    """Returns what is said of a ring, each sentence with what it rests on; a model's own reading is left out."""

    def sentences(rows: Iterable[Sentence]) -> list[Json]:
        return [
            {"text": s.text, "evidence": [x for x in s.evidence if x.startswith("E")], "claims": list(s.claims)}
            for s in rows
        ]

    return {
        "summary": sentences(told.summary),
        "risk_reasons": sentences(told.risk_reasons),
        "innocent_explanations": sentences(told.innocent_explanations),
        "next_actions": sentences(told.next_actions),
        "open_questions": sentences(told.open_questions),
        "sufficient": told.sufficient,
        "claims_verified": told.verified,
        "claims_removed": told.removed,
        "removed_why": dict(told.removed_why),
        "narrator": told.narrator,
        "narrator_version": told.version,
        "model": told.model,
        "fallback": told.fallback,
        "evidence_hash": told.evidence_hash,
        "prompt_hash": told.prompt_hash,
        "verifier": told.verifier,
        "coverage": told.coverage,
        "disclaimer": list(told.disclaimer),
    }


def _words(report: RingReport) -> Mapping[str, Any]:
    s = report.snapshot
    return {
        "headline": report.headline,
        "pattern": report.pattern.name,
        "narrative": narrative_json(report.narrative),
        "money": list(report.money_lines),
        "timeline": [{"at": rfc3339(h.at_ms), "text": h.text} for h in report.happenings],
        "against": [
            {"name": e.name, "text": e.text, "evidence": list(e.evidence), "contradicted": list(e.contradicted)}
            for e in report.innocent
        ],
        "actions": [
            {"name": a.name, "text": a.text, "reason": a.reason, "evidence": list(a.evidence)} for a in report.actions
        ],
        "recency": round(s.recency, 4),
        "contributions": {name: round(value, 4) for name, value in report.contributions},
        "as_of": rfc3339(s.as_of_ms),
        "versions": dict(sorted(s.versions.items())),
        "positions": dict(sorted(s.positions.items())),
    }
