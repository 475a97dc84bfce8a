"""The report as Markdown (CommonMark with GitHub's tables); every text from outside is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fraudgraph.reports.escape import markdown as md
from fraudgraph.reports.json import shown_priority
from fraudgraph.reports.model import RingReport, against, nothing_against, percent
from fraudgraph.rings.facts_words import date, minute


def render_markdown(report: RingReport, picture: str | None = None) -> str:
    """Returns a ring's report; `picture` is the address of its picture, relative to the file."""
    s = report.snapshot
    lines = [
        f"# Ring {md(s.ring_id)}",
        "",
        f"**{md(report.headline)}**",
        "",
        f"Status {md(s.status)}, priority {md(f'{shown_priority(s.priority):,.2f}')}.",
    ]
    if picture is not None:
        lines += ["", f"![Members of the ring and what they share]({picture})"]
    lines += _section("Money", [f"- {md(line)}" for line in report.money_lines])
    lines += _section("What ties them", [*_ties(report), *_bridges(report)])
    lines += _section("Members", _members(report))
    lines += _section("Evidence", _evidence(report))
    lines += _section("What happened when", [f"- {md(minute(h.at_ms))}: {md(h.text)}" for h in report.happenings])
    innocent = [_bullet(against(e), e.evidence) for e in report.innocent]
    lines += _section("What speaks against it", innocent or [md(nothing_against(report))])
    lines += _section("What to do next", [_bullet(f"{a.text} Why: {a.reason}.", a.evidence) for a in report.actions])
    lines += _section("Why this place in the queue", _factors(report))
    lines += _section("How it was computed", _table(("what", "value"), report.computed))
    return "\n".join(lines) + "\n"


def _section(title: str, body: Sequence[str]) -> list[str]:
    return ["", f"## {title}", "", *(body or ["Nothing."])]


def _bullet(text: str, evidence: Sequence[str]) -> str:
    return f"- {md(text)}" + (f" \\[{', '.join(evidence)}\\]" if evidence else "")


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(header)} |",
        f"|{'---|' * len(header)}",
        *(f"| {' | '.join(md(cell) for cell in row)} |" for row in rows),
    ]


def _ties(report: RingReport) -> list[str]:
    header = ("name", "what", "shown as", "accounts here", "since", "until", "uses", "how rare", "evidence")
    return _table(
        header,
        (
            (
                t.identifier.name,
                t.identifier.noun,
                t.identifier.mask,
                str(len(t.identifier.links)),
                date(t.identifier.first_ms),
                date(t.identifier.last_ms),
                f"{t.identifier.uses:,}",
                t.how_rare,
                t.evidence,
            )
            for t in report.ties
        ),
    )


def _bridges(report: RingReport) -> list[str]:
    texts = [f"- {md(f.text)} \\[{f.id}\\]" for f in report.facts if f.kind == "bridge"]
    return ["", *texts] if texts else []


def _members(report: RingReport) -> list[str]:
    header = ("no.", "account", "role", "risk", "known for", "at stake", "why")
    return _table(
        header,
        (
            (
                str(number),
                m.user.user_id,
                m.role.name.value,
                percent(m.user.probability),
                m.age,
                m.money,
                "; ".join(m.reasons),
            )
            for number, m in enumerate(report.members, 1)
        ),
    )


def _evidence(report: RingReport) -> list[str]:
    return [f"- **{f.id}** ({'against' if f.weight < 0 else md(f.kind)}): {md(f.text)}" for f in report.facts]


def _factors(report: RingReport) -> list[str]:
    rows = [(f.name, f"{f.value}: {f.meaning}") for f in report.factors]
    rows += [(name, f"{value:+.2f} log-odds") for name, value in report.contributions]
    return _table(("factor", "value"), rows)
