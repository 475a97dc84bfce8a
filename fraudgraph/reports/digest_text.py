"""The digest as text for a terminal, as Markdown, and as JSON; text from outside is made harmless for its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fraudgraph.narrative.headline import percent
from fraudgraph.narrative.port import Sentence
from fraudgraph.reports.digest import Digest, Entry, Group, at_risk
from fraudgraph.reports.escape import markdown, plain
from fraudgraph.reports.json import ring_json, shown_priority
from fraudgraph.reports.model import cited
from fraudgraph.rings.facts_words import count, currency_code, listed, major, minute, money, rfc3339

SHOWN_ALIKE = 15
"""Look-alikes that a person is shown; the JSON has all."""

_CHANGED = {
    "born": "new",
    "grew": "grew",
    "shrank": "shrank",
    "merged": "merged",
    "split": "split",
    "revived": "active again",
}


def render_text(digest: Digest) -> str:
    """Returns the digest for a terminal."""
    lines = [title(digest), _overview(digest)]
    if digest.groups:
        lines += ["", "By pattern"]
        lines += [f"  {_group(group)}" for group in digest.groups]
    for entry in digest.entries:
        lines += ["", plain(f"{entry.place}. {_heading(entry)}"), f"   {plain(entry.headline)}"]
        lines += [f"   - {_cited(s, plain)}" for s in entry.reasons]
        if entry.above:
            lines.append(f"   Above the next: {plain(entry.above)}.")
    lines += ["", _alike_title(digest)]
    lines += [f"  {plain(f.ring.ring_id)}: {_cited(f.explanation, plain)}" for f in digest.look_alikes[:SHOWN_ALIKE]]
    if len(digest.look_alikes) > SHOWN_ALIKE:
        lines.append(f"  and {len(digest.look_alikes) - SHOWN_ALIKE:,} more: --format json lists all")
    return "\n".join(lines) + "\n"


def render_markdown(digest: Digest) -> str:
    """Returns the digest as Markdown."""
    lines = [f"# {markdown(title(digest))}", "", markdown(_overview(digest))]
    if digest.groups:
        lines += ["", "## By pattern", "", *(f"- {markdown(_group(group))}" for group in digest.groups)]
    lines += ["", "## To look at first"]
    for entry in digest.entries:
        lines += ["", f"### {entry.place}. {markdown(_heading(entry))}", "", f"**{markdown(entry.headline)}**", ""]
        lines += [f"- {_cited(s, markdown)}" for s in entry.reasons]
        if entry.above:
            lines += ["", f"Above the next: {markdown(entry.above)}."]
    lines += ["", f"## {markdown(_alike_title(digest))}", ""]
    alike = digest.look_alikes
    lines += [f"- {markdown(f.ring.ring_id)}: {_cited(f.explanation, markdown)}" for f in alike[:SHOWN_ALIKE]]
    if len(alike) > SHOWN_ALIKE:
        lines.append(f"- and {len(alike) - SHOWN_ALIKE:,} more")
    return "\n".join(lines) + "\n"


def digest_json(digest: Digest) -> dict[str, Any]:
    """Returns the digest as a document: money as decimal strings, times in RFC 3339, null before the first event."""
    return {
        "since": rfc3339(digest.since_ms) if digest.as_of_ms else None,
        "as_of": rfc3339(digest.as_of_ms) if digest.as_of_ms else None,
        "rings_waiting": digest.waiting,
        "alerts": digest.alerts,
        "rings_alerted": digest.alerted,
        "changes": dict(digest.changes),
        "rings_closed": digest.closed,
        "patterns": [
            {
                "pattern": group.pattern,
                "rings": list(group.rings),
                "users": group.users,
                "orders": group.orders,
                "at_risk": [
                    {"amount": str(major(minor, currency)), "currency": currency_code(currency)}
                    for currency, minor in sorted(group.at_risk_minor.items())
                    if minor
                ],
            }
            for group in digest.groups
        ],
        "first": [
            {
                "place": entry.place,
                **ring_json(entry.ring),
                "pattern": entry.pattern,
                "recency": round(entry.recency, 4),
                "alerts": entry.alerts,
                "changed": list(entry.changed),
                "headline": entry.headline,
                "reasons": [_sentence(s) for s in entry.reasons],
                "above_the_next": entry.above,
                "narrator": entry.narrative.narrator,
                "claims_verified": entry.narrative.verified,
                "claims_removed": entry.narrative.removed,
            }
            for entry in digest.entries
        ],
        "look_alikes": [
            {**ring_json(found.ring), "explanation": _sentence(found.explanation)} for found in digest.look_alikes
        ],
        "looked_at": digest.looked_at,
    }


def title(digest: Digest) -> str:
    """Returns `The 12 of 4,310 rings to look at first`."""
    if not digest.waiting:
        return "Nothing waits"
    return f"The {len(digest.entries):,} of {count(digest.waiting, 'ring')} to look at first"


def _overview(digest: Digest) -> str:
    if not digest.as_of_ms:
        return "No event has come yet."
    span = f"{minute(digest.since_ms)} to {minute(digest.as_of_ms)} UTC"
    said = f"{span}: {count(digest.alerts, 'alert')} in {count(digest.alerted, 'ring')}"
    changes = [f"{n:,} {_CHANGED[step]}" for step, n in digest.changes.items()]
    looked = len(digest.entries) + digest.looked_at
    if changes:
        said += f". Of the {looked:,} looked at: {listed(changes, 7)}"
    return f"{said}. {count(digest.closed, 'ring')} closed or merged." if digest.closed else f"{said}."


def _group(group: Group) -> str:
    users, orders = count(group.users, "account"), count(group.orders, "order")
    rings = f"{count(len(group.rings), 'ring')} ({listed(group.rings, 4)})"
    return f"{group.words}: {rings}, {users}, {orders}, {at_risk(group)} at stake"


def _heading(entry: Entry) -> str:
    ring = entry.ring
    stake = money(ring.value_at_risk_minor, ring.currency)
    factors = f"{stake} at risk x {percent(ring.probability)} probable x {entry.recency:.2f} recent"
    said = [_CHANGED[step] for step in entry.changed]
    if entry.alerts:
        said.append(count(entry.alerts, "alert"))
    news = f" ({', '.join(said)})" if said else ""
    return f"{ring.ring_id}, priority {shown_priority(ring.priority):,.2f}: {factors}{news}"


def _alike_title(digest: Digest) -> str:
    if not digest.look_alikes:
        return f"None of {count(digest.looked_at, 'ring')} below the alert line can be closed as a look-alike"
    looked = count(digest.looked_at, "ring")
    return f"To close as look-alikes, if the check bears it out: {len(digest.look_alikes):,} of {looked} looked at"


def _cited(sentence: Sentence, escape: Callable[[str], str]) -> str:
    facts = cited(sentence.evidence)
    return escape(sentence.text) + (escape(f" [{', '.join(facts[:6])}]") if facts else "")


def _sentence(sentence: Sentence) -> dict[str, Any]:
    return {"text": sentence.text, "evidence": list(cited(sentence.evidence))}
