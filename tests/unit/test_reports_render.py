"""Each renderer carries the whole report, whatever the user ids are."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from rich.console import Console
from support.snapshots import EXAMPLES, NASTY_IDS, fake_accounts

from fraudgraph.reports.html import render_html
from fraudgraph.reports.json import ListedRing, report_json, ring_list_json, shown_priority
from fraudgraph.reports.markdown import render_markdown
from fraudgraph.reports.model import RingReport, build_report
from fraudgraph.reports.terminal import print_report

SECTIONS = (
    "In short",
    "What speaks for a ring",
    "What speaks against it",
    "What to do next",
    "What to find out",
    "Money",
    "What ties them",
    "Members",
    "Evidence",
    "What happened when",
    "How it was computed",
)


def sections(report: RingReport) -> list[str]:
    """Returns the titles in the order in which a report has them: the innocent reading first where it may hold."""
    titles = list(SECTIONS)
    if not report.narrative.sufficient:
        titles[1], titles[2] = titles[2], titles[1]
    return titles


def in_terminal(report: RingReport, width: int, *, color: bool) -> str:
    """Returns what a terminal of that width would get."""
    out = io.StringIO()
    print_report(report, Console(file=out, width=width, force_terminal=color, no_color=not color))
    return out.getvalue()


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("width", [60, 80, 160])
def test_terminal_fits_its_width_and_says_everything_in_order(name: str, width: int) -> None:
    report = build_report(EXAMPLES[name]())
    text = in_terminal(report, width, color=False)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "\x1b" not in text
    places = [text.index(f"\n{title}\n") for title in sections(report)]
    assert places == sorted(places)


def test_where_no_explanation_fits_what_lowers_the_score_is_said() -> None:
    report = build_report(fake_accounts())
    report = replace(report, narrative=msgspec.structs.replace(report.narrative, innocent_explanations=()))
    for said in (in_terminal(report, 200, color=False), render_markdown(report), render_html(report, "<svg></svg>")):
        assert "No innocent explanation that we know fits the facts" in said
        assert "long standing (-0.30)" in said.replace("\\", "")
    report = replace(report, contributions=(("burst", 1.2),))
    assert "What lowers the score" not in in_terminal(report, 200, color=False)


def test_terminal_colours_only_where_asked() -> None:
    report = build_report(EXAMPLES["nasty"]())
    text = in_terminal(report, 120, color=True)
    assert "\x1b[" in text
    assert "\x1b[31mred" not in text
    assert "\u202e" not in text
    assert "[bold]rich[/bold]" in re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_markdown_says_everything_in_order() -> None:
    report = build_report(EXAMPLES["takeover"]())
    text = render_markdown(report, "ring.png")
    places = [text.index(f"## {title}\n") for title in SECTIONS]
    assert places == sorted(places)
    assert "(ring.png)" in text
    for fact in report.facts:
        assert f"**{fact.id}**" in text


def test_markdown_tables_keep_their_columns_whatever_the_ids() -> None:
    text = render_markdown(build_report(EXAMPLES["nasty"]()))
    rows = [line for line in text.split("## Members")[1].split("## Evidence")[0].splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(NASTY_IDS)
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {8}


class Page(HTMLParser):
    """Collects tags and text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.titles: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self.tags and self.tags[-1][0] == "h2" and data.strip():
            self.titles.append(data)


@pytest.mark.parametrize("name", EXAMPLES)
def test_html_is_self_contained_accessible_and_safe(name: str) -> None:
    report = build_report(EXAMPLES[name]())
    page = Page()
    page.feed(render_html(report, "<svg><title>x</title></svg>"))
    tags = [tag for tag, _ in page.tags]
    text = " ".join(page.text)
    assert not {"script", "iframe", "link", "object", "img"} & set(tags)
    assert not [a for _, attrs in page.tags for a in attrs if a.startswith("on")]
    assert all((attrs["href"] or "").startswith("#E") for tag, attrs in page.tags if tag == "a")
    assert tags.count("h1") == 1
    assert "main" in tags
    assert all("scope" in attrs for tag, attrs in page.tags if tag == "th")
    assert dict(page.tags)["html"] == {"lang": "en"}
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {(attrs["href"] or "")[1:] for tag, attrs in page.tags if tag == "a"} <= set(ids)
    assert report.headline in text
    titles = [title for title in page.titles if title in SECTIONS]
    assert titles == sections(report)


def test_html_shows_nasty_ids_as_text() -> None:
    page = Page()
    page.feed(render_html(build_report(EXAMPLES["nasty"]())))
    text = "".join(page.text)
    assert "<script>alert(1)</script>" in text
    assert "{{ 7*7 }}{% raw %}" in text
    assert "\\u202e" in text
    assert "\u202e" not in text


PINNED = {
    "ring_id": str,
    "status": str,
    "probability": float,
    "priority": float,
    "value_at_risk": str,
    "currency": str,
    "users": int,
    "identifiers": int,
    "first_seen": str,
    "last_seen": str,
    "reason": str,
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_show_json_has_the_pinned_fields(name: str) -> None:
    report = build_report(EXAMPLES[name]())
    shown = json.loads(json.dumps(report_json(report), allow_nan=False))
    assert shown["schema_version"] == 1
    for field, kind in PINNED.items():
        assert isinstance(shown[field], kind), field
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z", shown["first_seen"])
    assert [set(m) >= {"user_id", "role", "probability"} for m in shown["members"]] == [True] * shown["users"]
    assert {m["role"] for m in shown["members"]} <= {"core", "bridge", "periphery", "likely-victim"}
    assert [e["id"] for e in shown["evidence"]] == [f"E{n}" for n in range(1, len(report.facts) + 1)]
    assert all({"kind", "text"} <= set(e) for e in shown["evidence"])
    assert len(shown["links"]) == len(report.snapshot.links)
    assert [step["what"] for step in shown["lineage"]] == ["born", "grew"]


def test_evidence_fields_are_typed_for_programs() -> None:
    shown = report_json(build_report(fake_accounts()))
    chargeback = next(e for e in shown["evidence"] if e["kind"] == "chargeback")
    assert (chargeback["charged_back"], chargeback["currency"]) == ("40.00", "EUR")
    burst = next(e for e in shown["evidence"] if e["kind"] == "burst")
    assert burst["first_at"].startswith("2026-03-01T00:00:00")
    assert len(burst["user_ids"]) == 8
    farm = next(e for e in shown["evidence"] if e["kind"] == "device-farm")
    assert farm["median_gap_hours"] == pytest.approx(34 / 60, abs=0.01)


def test_list_json_is_the_pinned_shape_with_exact_money() -> None:
    rows = [
        ListedRing("R-1", "open", 0.9, 12_345.0, 123_456, 978, 5, 2, 0, 86_400_000, "burst"),
        ListedRing("R-2", "dormant", 0.5, 10.0, 900, 392, 3, 1, 0, 1, "reuse"),
        ListedRing("R-3", "open", 0.5, 5.0, 0, 0, 3, 1, 0, 1, "reuse"),
    ]
    shown = ring_list_json(rows)
    assert set(shown) == {"schema_version", "rings"}
    assert [list(r) for r in shown["rings"]] == [list(PINNED)] * 3
    assert [(r["value_at_risk"], r["currency"]) for r in shown["rings"]] == [
        ("1234.56", "EUR"),
        ("900", "JPY"),
        ("0.00", None),
    ]
    assert [r["priority"] for r in shown["rings"]] == [123.45, 0.1, 0.05]
    assert shown["rings"][0]["last_seen"] == "1970-01-02T00:00:00Z"


def test_shown_priority_keeps_the_order_of_the_queue() -> None:
    values = [10.0**k for k in range(9)]
    assert [shown_priority(v) for v in values] == sorted(shown_priority(v) for v in values)


@pytest.mark.parametrize(
    ("module", "light"),
    [
        ("fraudgraph.reports.terminal", ("numpy", "matplotlib", "networkx", "jinja2", "numba", "pyarrow")),
        ("fraudgraph.reports.json", ("numpy", "matplotlib", "networkx", "jinja2", "rich")),
        ("fraudgraph.reports.html", ("numpy", "matplotlib", "networkx")),
        ("fraudgraph.reports.picture", ("numpy", "matplotlib", "networkx")),
        ("fraudgraph.rings.path", ("numpy", "networkx")),
    ],
)
def test_reading_a_ring_starts_without_the_heavy_libraries(module: str, light: tuple[str, ...]) -> None:
    root = Path(__file__).parents[1]
    code = (
        f"import sys; sys.path.insert(0, {str(root)!r}); import {module}\n"
        f"loaded = [m for m in {light!r} if m in sys.modules]\nassert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_building_and_writing_a_report_needs_no_numpy() -> None:
    code = (
        "import sys\n"
        "from fraudgraph.reports.model import build_report\n"
        "from fraudgraph.reports.json import report_json\n"
        "from fraudgraph.rings.snapshot import RingSnapshot, SnapshotUser\n"
        "user = SnapshotUser('a', 0.5, 0, 1)\n"
        "ring = RingSnapshot('R', 'open', 0.5, 1.0, 0, 0, 1.0, '', 2, (user,), (), (), (), ())\n"
        "report_json(build_report(ring))\n"
        "assert not {'numpy', 'networkx', 'matplotlib'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
