"""The report as Markdown (CommonMark with GitHub's tables); every text from outside is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fraudgraph.narrative.headline import percent
from fraudgraph.narrative.port import Sentence
from fraudgraph.reports.escape import markdown as md
from fraudgraph.reports.json import shown_priority
from fraudgraph.reports.model import RingReport, cited, narrator_line, nothing_against
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
    lines += _section("In short", _summary(report))
    for title, sentences in report.told():
        nothing = [] if sentences or "against" not in title else [md(nothing_against(report))]
        lines += _section(title, _bullets(sentences) or nothing)
    lines += _section("What to do next", [*_bullets(report.narrative.next_actions), "", *_disclaimer(report)])
    lines += _section("What to find out", _bullets(report.narrative.open_questions))
    lines += _section("Money", [f"- {md(line)}" for line in report.money_lines])
    lines += _section("What ties them", [*_ties(report), *_bridges(report)])
    lines += _section("Members", _members(report))
    lines += _section("Evidence", _evidence(report))
    lines += _section("What happened when", [f"- {md(minute(h.at_ms))}: {md(h.text)}" for h in report.happenings])
    lines += _section("Why this place in the queue", _factors(report))
    lines += _section("How it was computed", _table(("what", "value"), report.computed))
    return "\n".join(lines) + "\n"


def _section(title: str, body: Sequence[str]) -> list[str]:
    return ["", f"## {title}", "", *(body or ["Nothing."])]


def _summary(report: RingReport) -> list[str]:
    told = " ".join(f"{md(s.text)}{_cite(cited(s.evidence))}" for s in report.narrative.summary)
    lines = [told, ""] if told else []
    if not report.narrative.sufficient:
        lines += ["**The evidence does not suffice to tell a ring from an innocent group.**", ""]
    return [*lines, f"*{md(narrator_line(report.narrative))}*"]


def _bullets(sentences: Iterable[Sentence]) -> list[str]:
    return [_bullet(s.text, cited(s.evidence)) for s in sentences]


def _disclaimer(report: RingReport) -> list[str]:
    return [md(line) for line in report.narrative.disclaimer[1:]]


def _bullet(text: str, evidence: Sequence[str]) -> str:
    return f"- {md(text)}{_cite(evidence)}"


def _cite(evidence: Sequence[str]) -> str:
    return f" \\[{', '.join(evidence)}\\]" if evidence else ""


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
