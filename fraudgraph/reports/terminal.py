"""The report in a terminal, with rich; as wide as the console is, and plain where colour is off."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from fraudgraph.narrative.headline import percent
from fraudgraph.narrative.port import READING_NOTE, Sentence
from fraudgraph.reports.escape import plain
from fraudgraph.reports.json import shown_priority
from fraudgraph.reports.model import RingReport, cited, narrator_line, nothing_against
from fraudgraph.rings.facts_view import Identifier
from fraudgraph.rings.facts_words import date, minute
from fraudgraph.rings.roles import RoleName

MAX_MEMBERS = 40
MAX_TIES = 25

_ROLE_STYLE = {
    RoleName.CORE: "bold red",
    RoleName.BRIDGE: "bold yellow",
    RoleName.PERIPHERY: "default",
    RoleName.LIKELY_VICTIM: "bold cyan",
}


def print_report(report: RingReport, console: Console) -> None:
    """Prints a ring's report."""
    console.print(render(report))


def render(report: RingReport) -> RenderableType:
    """Returns a ring's report as something that rich prints at any width."""
    s = report.snapshot
    title = Text(f"Ring {plain(s.ring_id)} · {plain(s.status)} · priority {shown_priority(s.priority):,.2f}")
    return Group(
        Panel(Text(plain(report.headline), style="bold"), title=title, title_align="left"),
        *_section("In short", _summary(report)),
        *_told(report),
        *_section("What to do next", _sentences(report.narrative.next_actions)),
        *_section("What to find out", _sentences(report.narrative.open_questions)),
        *_section("Money", [Text(plain(line)) for line in report.money_lines]),
        *_section("What ties them", [_ties(report), *_soft(report), *_cuts(report)]),
        *_section("Members", [_members(report)]),
        *_section("Evidence", [_evidence(report)]),
        *_section("What happened when", [_timeline(report)]),
        *_section("Why this place in the queue", [_factors(report)]),
        *_section("How it was computed", [_pairs(report.computed)]),
    )


_MASK_COLUMNS = 24
"""Columns that an identifier's mask keeps for itself; a user agent's or a long phone number's may fold."""


def _section(title: str, body: list[RenderableType]) -> list[RenderableType]:
    return [Text(), Text(title, style="bold underline"), *(body or [Text("Nothing.", style="dim")])]


def _table(*columns: str, right: Iterable[str] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return table


def _bullets(rows: Iterable[tuple[str, tuple[str, ...]]]) -> list[RenderableType]:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1, 0, 0))
    table.add_column(width=1)
    table.add_column(overflow="fold")
    empty = True
    for text, evidence in rows:
        empty = False
        line = Text(plain(text))
        if evidence:
            line.append(f" [{', '.join(evidence[:6])}{' …' if len(evidence) > 6 else ''}]", style="dim")
        table.add_row("•", line)
    return [] if empty else [table]


def _sentences(sentences: Iterable[Sentence]) -> list[RenderableType]:
    return _bullets((s.text, cited(s.evidence)) for s in sentences)


def _summary(report: RingReport) -> list[RenderableType]:
    """Returns what is said in short, as a paragraph, and who says it; a model's own reading below, marked."""
    told = Text()
    for s in report.narrative.summary:
        told.append(plain(s.text))
        if evidence := cited(s.evidence):
            told.append(f" [{', '.join(evidence)}]", style="dim")
        told.append(" ")
    out: list[RenderableType] = [told] if report.narrative.summary else []
    if not report.narrative.sufficient:
        out.append(Text("The evidence does not suffice to tell a ring from an innocent group.", style="bold"))
    out.append(Text(plain(narrator_line(report.narrative)), style="dim"))
    if report.narrative.reading:
        out += [Text(READING_NOTE, style="dim"), *(Text(plain(text), style="dim") for text in report.narrative.reading)]
    return out


def _told(report: RingReport) -> Iterable[RenderableType]:
    for title, sentences in report.told():
        body = _sentences(sentences)
        if not body and "against" in title:
            body = [Text(plain(nothing_against(report)))]
        yield from _section(title, body)


def _pairs(rows: Iterable[tuple[str, str]]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", overflow="fold")
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(Text(plain(name)), Text(plain(value)))
    return table


def _shown(identifier: Identifier) -> str:
    """Returns kind and mask; a network, and a mask that begins with the kind, say both."""
    if identifier.noun == "IP address" or identifier.mask.startswith(identifier.noun):
        return identifier.mask
    return f"{identifier.noun.removesuffix(' number')} {identifier.mask}"


def _ties(report: RingReport) -> RenderableType:
    if not report.ties:
        return Text("No identifier is shared by two members.")
    table = _table("", "what", "here", "since", "until", "uses", "how rare", "", right=("here", "uses"))
    shown = report.ties[:MAX_TIES]
    # What gives way in a narrow terminal is how rare it is: half an address is none.
    table.columns[1].min_width = min(_MASK_COLUMNS, max(len(plain(_shown(tie.identifier))) for tie in shown))
    table.columns[-1].min_width = max(len(tie.evidence) for tie in shown)
    table.padding = (0, 1, 0, 0)
    for tie in shown:
        i = tie.identifier
        table.add_row(
            Text(i.name, style="dim" if i.hub else "bold"),
            Text(plain(_shown(i))),
            f"{len(i.links)}",
            date(i.first_ms),
            date(i.last_ms),
            f"{i.uses:,}",
            tie.how_rare,
            Text(tie.evidence, style="dim"),
        )
    if len(report.ties) > MAX_TIES:
        table.caption = f"and {len(report.ties) - MAX_TIES:,} more"
    return table


def _soft(report: RingReport) -> list[RenderableType]:
    if not report.soft:
        return []
    tie = report.soft[0]
    more = f" (and {len(report.soft) - 1:,} more such pairs)" if len(report.soft) > 1 else ""
    names = " with ".join(tie.identifiers)
    return [Text(f"Tied by weak identifiers together: {plain(tie.user_a)} and {plain(tie.user_b)} by {names}{more}.")]


def _cuts(report: RingReport) -> list[RenderableType]:
    texts = [f.text for f in report.facts if f.kind == "bridge"]
    return [Text(plain(text), style="italic") for text in texts]


def _members(report: RingReport) -> Table:
    table = _table("account", "role", "risk", "known for", "at stake", "why", right=("risk", "at stake"))
    for m in report.members[:MAX_MEMBERS]:
        table.add_row(
            Text(plain(m.user.user_id)),
            Text(m.role.name.value, style=_ROLE_STYLE[m.role.name]),
            percent(m.user.probability),
            m.age,
            m.money,
            Text(plain("; ".join(m.reasons))),
        )
    if len(report.members) > MAX_MEMBERS:
        table.caption = f"and {len(report.members) - MAX_MEMBERS:,} more: see the JSON or HTML report"
    return table


def _evidence(report: RingReport) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for fact in report.facts:
        if fact.kind not in ("shared-identifier", "bridge"):
            table.add_row(fact.id, Text(plain(fact.text)))
    return table


def _timeline(report: RingReport) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for h in report.happenings:
        table.add_row(minute(h.at_ms).removesuffix(" 00:00"), Text(plain(h.text)))
    return table


def _factors(report: RingReport) -> Table:
    table = _pairs((f.name, f"{f.value}: {f.meaning}") for f in report.factors)
    for name, value in report.contributions:
        table.add_row(Text(plain(name)), f"{value:+.2f} log-odds")
    return table
