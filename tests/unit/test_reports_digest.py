"""The digest: order, reasons for it, what changed, what may be closed; in text, Markdown and JSON."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.cli import fraudgraph
from support.snapshots import EXAMPLES, NOW, card_testing, household, nasty

from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.durations import DAY_MS, HOUR_MS
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.reports.digest import Digest, Span, make_digest, why_above
from fraudgraph.reports.digest_text import digest_json, render_markdown, render_text
from fraudgraph.reports.json import ListedRing, listed_ring
from fraudgraph.reports.model import RingReport, build_report
from fraudgraph.rings.snapshot import SnapshotStep

RULES = PriorityRules()
SINCE = NOW - DAY_MS


def _report(name: str, ring_id: str, *, steps: tuple[str, ...] = ()) -> RingReport:
    snapshot = EXAMPLES[name]()
    lineage = tuple(SnapshotStep(what, NOW - HOUR_MS, 3, 4, None) for what in steps)
    return build_report(replace(snapshot, ring_id=ring_id, lineage=lineage))


def _digest(first: list[RingReport], rest: list[RingReport], alerts: dict[str, int] | None = None) -> Digest:
    waiting = [listed_ring(report) for report in (*first, *rest)]
    return make_digest(Span(SINCE, NOW, waiting, alerts or {}, 2), first, rest, RULES)


def _ring(ring_id: str, **values: object) -> ListedRing:
    row = replace(listed_ring(_report("fake-accounts", ring_id)), **values)  # type: ignore[arg-type]
    rank = RULES.rank(row.value_at_risk_minor, row.users, row.probability, row.last_seen_ms)
    return replace(row, priority=RULES.priority(rank, NOW))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"value_at_risk_minor": 1}, r"^more at risk \(.+ EUR against 0.01 EUR\) than B$"),
        ({"probability": 0.4}, r"^more probable \(93 % against 40 %\) than B$"),
        ({"last_seen_ms": NOW - 9 * DAY_MS}, r"^more recent \(quiet for .+ against 9 days\) than B$"),
        ({"users": 2, "value_at_risk_minor": 0}, r"^more at risk"),
        ({}, r"^about as urgent as B$"),
    ],
)
def test_why_a_ring_stands_above_another(changed: dict[str, object], says: str) -> None:
    assert re.search(says, why_above(_ring("A"), _ring("B", **changed), RULES, NOW))


def test_a_factor_that_speaks_against_the_order_is_said_too() -> None:
    upper, lower = _ring("A", value_at_risk_minor=500_000, probability=0.6), _ring("B", probability=0.9)
    text = why_above(upper, lower, RULES, NOW)
    assert text.startswith("more at risk (5,000.00 EUR against")
    assert text.endswith("than B, though less probable (60 % against 90 %)")


ROW = st.builds(
    dict,
    value_at_risk_minor=st.integers(0, 10**7),
    users=st.integers(2, 60),
    probability=st.floats(0.01, 0.99),
    last_seen_ms=st.integers(NOW - 60 * DAY_MS, NOW),
)


@given(ROW, ROW)
def test_whatever_stands_above_has_a_reason_for_it(a: dict[str, object], b: dict[str, object]) -> None:
    upper, lower = sorted((_ring("A", **a), _ring("B", **b)), key=lambda r: -r.priority)
    text = why_above(upper, lower, RULES, NOW)
    reasons = text.partition(" than ")[0]
    ratio = upper.priority / max(lower.priority, 1e-12)
    if not text.startswith("about"):
        assert reasons.startswith(("more", "fewer"))
        assert "less" not in reasons
    else:
        assert ratio < 1.16  # three factors below the one that is worth a word


def test_what_it_says() -> None:
    first = [_report("fake-accounts", "A", steps=("born",)), _report("card-testing", "B", steps=("grew", "merged"))]
    rest = [_report("household", "C"), _report("two-halves", "D", steps=("grew",))]
    digest = _digest(first, rest, {"A": 2, "D": 1})
    assert [(e.place, e.ring.ring_id, e.alerts, e.changed) for e in digest.entries] == [
        (1, "A", 2, ("born",)),
        (2, "B", 0, ("grew", "merged")),
    ]
    assert digest.entries[0].above
    assert not digest.entries[1].above
    assert (digest.waiting, digest.alerts, digest.alerted, digest.closed) == (4, 3, 2, 2)
    assert digest.changes == {"born": 1, "grew": 2, "merged": 1}
    assert [f.ring.ring_id for f in digest.look_alikes] == ["C"]
    assert digest.look_alikes[0].explanation.text.startswith("One household")
    assert {(g.pattern, g.rings) for g in digest.groups} == {("fake-accounts", ("A",)), ("card-testing", ("B",))}
    assert sum(g.orders for g in digest.groups) == sum(len(r.snapshot.orders) for r in first)
    for entry in digest.entries:
        facts = {f.id for f in first[entry.place - 1].facts}
        assert entry.reasons
        assert all({e for e in s.evidence if e[0] == "E"} <= facts for s in entry.reasons)


def test_all_three_forms_say_the_same_and_no_id_breaks_out() -> None:
    first = [build_report(replace(s, ring_id=i)) for i, s in (("A", nasty()), ("B", card_testing()))]
    digest = _digest(first, [build_report(replace(household(), ring_id="C"))])
    text, md, document = render_text(digest), render_markdown(digest), json.loads(json.dumps(digest_json(digest)))
    assert "The 2 of 3 rings to look at first" in text
    assert "# The 2 of 3 rings to look at first" in md
    assert [r["ring_id"] for r in document["first"]] == ["A", "B"]
    for raw in ("\x1b", "\u202e", "\u200b"):
        assert raw not in text + md
    for raw in ("<script>", "[click](", "\n# heading"):
        assert raw not in md


def test_nothing_waits() -> None:
    digest = _digest([], [])
    assert render_text(digest).startswith("Nothing waits")
    assert digest_json(digest)["first"] == []


def test_the_command_writes_what_is_asked_for(tmp_path: Path) -> None:
    from fraudgraph.stores.url import open_store

    url = f"sqlite:///{tmp_path / 'shop.db'}"
    open_store(url, LinkPolicy(), RULES).close()
    said = fraudgraph("triage", "--store", url)
    assert said.code == 0
    assert "Nothing waits" in said.out
    assert "No event has come yet." in said.out
    assert not {"1969", "1970"} & set(re.findall(r"\d{4}", said.out))
    assert fraudgraph("triage", "--store", url, "--exit-code").code == 0
    assert fraudgraph("triage", "--store", url, "--out", tmp_path / "x.md").code == 0
    assert (tmp_path / "x.md").read_text().startswith("# Nothing waits")
    empty = fraudgraph("triage", "--store", url, "--format", "json").json
    assert (empty["rings_waiting"], empty["since"], empty["as_of"]) == (0, None, None)
