"""The queue and one ring on a small store written by hand: what is listed, what old ids lead to, what is never said."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from support.cli import fraudgraph, terminal

from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.cli.queue import FIELDS
from fraudgraph.durations import DAY_MS
from fraudgraph.events.kinds import EntityKind
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.stores.port import LINK_COLUMNS, USER_COLUMNS, CommitDelta, LineageRow, RingRow
from fraudgraph.stores.url import open_store

NOW_MS = 1_772_668_800_000  # 2026-03-05 00:00 UTC
RULES = PriorityRules()
MEMBERS = ("anna", "[bold]bert", "carl\u202e")  # markup and direction marks are text, not orders to the terminal


def _ring(ring_id: str, *, value: int, probability: float, quiet_days: int = 0, status: str = "open") -> RingRow:
    last_ms = NOW_MS - quiet_days * DAY_MS
    return RingRow(
        ring_id=ring_id,
        status=status,
        probability=probability,
        rank=RULES.rank(value, 3, probability, last_ms),
        value_at_risk_minor=value,
        currency=978,
        users=3,
        identifiers=1,
        first_seen_ms=last_ms - DAY_MS,
        last_seen_ms=last_ms,
        reason="burst, quick spend, card rotation",
        scorer="test-1",
        contributions={"burst": 2.0},
    )


def _columns(names: tuple[str, ...], rows: list[dict[str, int]]) -> dict[str, np.ndarray]:
    return {name: np.array([row.get(name, -1 if name.endswith("_ms") else 0) for row in rows]) for name in names}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with three living rings, one that was merged and one that is closed."""
    url = f"sqlite:///{tmp_path_factory.mktemp('rings') / 'shop.db'}"
    writer = open_store(url, LinkPolicy(), RULES)
    writer.claim()
    writer.bind(key_id="00000000", policy_hash=LinkPolicy().hash, policy_version="1")
    times = {"first_ms": NOW_MS - DAY_MS, "last_ms": NOW_MS}
    writer.commit(
        CommitDelta(
            commit=1,
            watermark_ms=NOW_MS,
            positions={"file:a.jsonl#1": 10},
            entities=[(EntityKind.USER, n, name, "") for n, name in enumerate(MEMBERS)]
            + [(EntityKind.DEVICE, 0, b"d" * 16, "device 6464")],
            users=_columns(USER_COLUMNS, [{"user": n, "orders": 1, **times} for n in range(3)]),
            links=_columns(
                LINK_COLUMNS,
                [
                    {"slot": n, "user": n, "kind": EntityKind.DEVICE, "ident": 0, "count": 2, "sources": 1, **times}
                    for n in range(3)
                ],
            ),
            rings=[
                _ring("R000001", value=100_00, probability=0.9),
                _ring("R000002", value=900_00, probability=0.9),
                _ring("R000003", value=900_00, probability=0.3, quiet_days=40),
                _ring("R000004", value=1_00, probability=0.5, status="merged"),
                _ring("R000005", value=1_00, probability=0.5, status="closed"),
            ],
            members={"R000001": [(n, 0.9) for n in range(3)], "R000002": [], "R000003": []},
            lineage=[
                LineageRow("R000001", "born", NOW_MS - DAY_MS, 0, 3),
                LineageRow("R000004", "merged", NOW_MS, 3, 3, "R000001"),
            ],
        )
    )
    writer.close()
    return url


def _ids(said_json: dict[str, list[dict[str, str]]]) -> list[str]:
    return [ring["ring_id"] for ring in said_json["rings"]]


def test_the_list_is_the_pinned_document_best_priority_first(store: str) -> None:
    document = fraudgraph("rings", "list", "--store", store, "--format", "json").json
    assert document["schema_version"] == 1
    assert _ids(document) == ["R000002", "R000001", "R000003"]
    assert all(tuple(ring) == FIELDS for ring in document["rings"])
    first = document["rings"][0]
    assert (first["status"], first["value_at_risk"], first["currency"]) == ("open", "900.00", "EUR")
    assert (first["first_seen"], first["last_seen"]) == ("2026-03-04T00:00:00Z", "2026-03-05T00:00:00Z")
    assert document["rings"][2]["status"] == "dormant"
    priorities = [ring["priority"] for ring in document["rings"]]
    assert priorities == sorted(priorities, reverse=True)


def test_all_formats_say_the_same(store: str) -> None:
    rings = fraudgraph("rings", "list", "--store", store, "--format", "json").json["rings"]
    lines = fraudgraph("rings", "list", "--store", store, "--format", "ndjson").out.splitlines()
    assert [json.loads(line) for line in lines] == [{"schema_version": 1, **ring} for ring in rings]
    table = list(csv.DictReader(io.StringIO(fraudgraph("rings", "list", "--store", store, "--format", "csv").out)))
    assert table == [{name: str(value) for name, value in ring.items()} for ring in rings]
    text = fraudgraph("rings", "list", "--store", store).out.splitlines()
    assert [line.split()[0] for line in text] == ["ring", *(ring["ring_id"] for ring in rings)]
    assert "\x1b" not in "".join(text)
    assert all(line == line.rstrip() for line in text)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--limit", "1"), ["R000002"]),
        (("--min-probability", "0.5"), ["R000002", "R000001"]),
        (("--status", "dormant"), ["R000003"]),
        (("--status", "open"), ["R000002", "R000001"]),
        (("--status", "merged", "--status", "closed"), ["R000004", "R000005"]),
        (("--since", "24h"), ["R000002", "R000001"]),
        (("--since", "41d"), ["R000002", "R000001", "R000003"]),
        (("--since", "2026-03-05"), ["R000002", "R000001"]),
        (("--since", "2026-03-05T01:00:00+01:00"), ["R000002", "R000001"]),
        (("--since", "2026-03-05T00:00:01Z"), []),
    ],
)
def test_filters(store: str, options: tuple[str, ...], expected: list[str]) -> None:
    assert _ids(fraudgraph("rings", "list", "--store", store, "--format", "json", *options).json) == expected


def test_exit_code_says_findings_only_where_asked(store: str) -> None:
    assert fraudgraph("rings", "list", "--store", store).code == 0
    assert fraudgraph("rings", "list", "--store", store, "--exit-code").code == 3
    none = fraudgraph("rings", "list", "--store", store, "--exit-code", "--min-probability", "1")
    assert (none.code, none.out) == (0, "")
    assert "no ring matches" in none.err


@pytest.mark.parametrize("since", ["yesterday", "2026-03-05T00:00:00", "7y", "-7d"])
def test_a_time_that_is_none_is_a_usage_error(store: str, since: str) -> None:
    said = fraudgraph("rings", "list", "--store", store, f"--since={since}")
    assert said.code == 2
    assert "is no time" in said.err
    assert "next: " in said.err


def test_an_old_id_leads_to_the_ring_of_now_and_says_so(store: str) -> None:
    old = fraudgraph("rings", "show", "R000004", "--store", store, "--format", "json")
    assert old.json == fraudgraph("rings", "show", "R000001", "--store", store, "--format", "json").json
    assert "R000004 is now part of ring R000001" in old.err


def test_an_unknown_ring_is_a_usage_error(store: str) -> None:
    said = fraudgraph("rings", "show", "R999999", "--store", store)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: no ring has the id 'R999999'\nnext: ")
    assert fraudgraph("rings", "report", "R999999", "--store", store).code == 2


@pytest.mark.parametrize("arguments", [("show",), ("show", "--format", "json"), ("report", "--format", "html")])
def test_a_ring_that_is_closed_says_where_its_story_is(store: str, arguments: tuple[str, ...]) -> None:
    said = fraudgraph("rings", *arguments, "R000005", "--store", store)
    assert (said.code, said.out) == (2, "")
    assert "ring R000005 lives no more\nnext: `fraudgraph rings history R000005`" in said.err


def test_show_agrees_with_the_list_and_has_the_pinned_parts(store: str) -> None:
    listed = fraudgraph("rings", "list", "--store", store, "--format", "json").json["rings"][1]
    shown = fraudgraph("rings", "show", "R000001", "--store", store, "--format", "json").json
    assert {name: shown[name] for name in FIELDS} == listed
    assert {m["user_id"] for m in shown["members"]} == set(MEMBERS)
    assert all({"user_id", "role", "probability"} <= set(m) for m in shown["members"])
    assert all({"id", "kind", "text"} <= set(e) for e in shown["evidence"])
    assert len(shown["links"]) == 3
    assert [step["what"] for step in shown["lineage"]] == ["born"]


def test_text_is_text_whatever_the_shops_ids_hold(store: str) -> None:
    text = fraudgraph("rings", "show", "R000001", "--store", store).out
    assert "[bold]bert" in text
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_reports_go_where_they_are_sent(store: str, tmp_path: Path) -> None:
    page, picture = tmp_path / "ring.html", tmp_path / "ring.png"
    said = fraudgraph("rings", "report", "R000001", "--store", store, "--out", page, "--picture", picture)
    assert (said.code, said.out) == (0, "")
    assert "<svg" in page.read_text()
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert str(page) in said.err
    assert str(picture) in said.err
    markdown = fraudgraph("rings", "report", "R000001", "--store", store, "--out", "-")
    assert markdown.out.startswith("# Ring R000001")
    shown = fraudgraph("rings", "show", "R000001", "--store", store, "--format", "json").json
    assert fraudgraph("rings", "report", "R000001", "--store", store, "--format", "json").json == shown


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--out", "ring.docx"), 2),
        (("--picture", "ring.bmp"), 2),
        (("--out", "/nowhere/ring.md"), 5),
    ],
)
def test_a_report_that_cannot_be_written_says_why(store: str, options: tuple[str, ...], code: int) -> None:
    said = fraudgraph("rings", "report", "R000001", "--store", store, *options)
    assert (said.code, said.out) == (code, "")
    assert said.err.startswith("error: ")


def test_an_empty_store_and_no_store_are_told_apart(tmp_path: Path) -> None:
    missing = fraudgraph("rings", "list", "--store", f"sqlite:///{tmp_path / 'none.db'}")
    assert missing.code == 5
    assert "ingest" in missing.err
    url = f"sqlite:///{tmp_path / 'new.db'}"
    open_store(url, LinkPolicy(), RULES).close()
    empty = fraudgraph("rings", "list", "--store", url)
    assert (empty.code, empty.out) == (0, "")
    assert empty.err.startswith("no rings yet: nothing has been ingested")
    assert fraudgraph("rings", "list", "--store", url, "--format", "json").json["rings"] == []


@pytest.mark.parametrize("url", ["postgres://user:canary@host/db", "shop.db", "sqlite:///"])
def test_a_store_that_cannot_be_named_is_a_configuration_error(url: str) -> None:
    said = fraudgraph("rings", "list", "--store", url)
    assert said.code == 4
    assert "canary" not in said.out + said.err


def test_another_link_policy_is_refused_where_strengths_would_be_false(store: str) -> None:
    said = fraudgraph("rings", "show", "R000001", "--store", store, "--set", "links.theta=0.6")
    assert said.code == 4
    assert "link policy" in said.err


def test_debug_shows_the_traceback(store: str) -> None:
    with pytest.raises(Exception, match="R999999"):
        fraudgraph("--debug", "rings", "show", "R999999", "--store", store)


@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_shows_whole_words_within_its_width(store: str, columns: int) -> None:
    lines = terminal("rings", "list", "--store", store, columns=columns).splitlines()
    assert max(map(len, lines)) <= columns
    first = next(i for i, line in enumerate(lines) if line.startswith("R000002"))
    assert "900.00 EUR" in lines[first]
    reason = lines[first if columns == 120 else first + 1]
    assert reason.rstrip().endswith("  burst, quick spend, card rotation")
    shown = terminal("rings", "show", "R000001", "--store", store, columns=columns).splitlines()
    assert max(map(len, shown)) <= columns
