"""What became of alerted rings, and that equal configurations differ in nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.cli import fraudgraph

from fraudgraph.backtest import AlertedRing, difference


def ring(ring_id: str, users: str, at_ms: int = 0) -> AlertedRing:
    """A ring with a user per letter."""
    return AlertedRing(ring_id, at_ms, 0.9, 100, 978, frozenset(users))


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        (["abc"], ["abc"], ["kept"]),
        (["abc"], ["abcdefgh"], ["kept"]),
        (["abc"], [], ["lost"]),
        ([], ["abc"], ["added"]),
        (["abcd"], ["defg"], ["lost", "added"]),
        (["abc", "def"], ["abcdef"], ["merged"]),
        (["abcdef"], ["abc", "def"], ["split"]),
        (["abcd", "efgh"], ["abef", "cdgh"], ["regrouped"]),
    ],
)
def test_changes_have_the_names_that_people_give_them(before: list[str], after: list[str], what: list[str]) -> None:
    old = [ring(f"A{i}", users, i) for i, users in enumerate(before)]
    new = [ring(f"B{i}", users, 10 + i) for i, users in enumerate(after)]
    assert [change.what for change in difference(old, new)] == what


_sides = st.lists(st.frozensets(st.sampled_from("abcdefgh"), min_size=3), max_size=6)


@given(_sides, _sides)
def test_every_ring_is_in_exactly_one_change(before: list[frozenset[str]], after: list[frozenset[str]]) -> None:
    old = [ring(f"A{i}", "".join(users), i) for i, users in enumerate(before)]
    new = [ring(f"B{i}", "".join(users), i) for i, users in enumerate(after)]
    changes = difference(old, new)
    assert sorted(r.ring_id for c in changes for r in c.before) == sorted(r.ring_id for r in old)
    assert sorted(r.ring_id for c in changes for r in c.after) == sorted(r.ring_id for r in new)
    assert {c.what for c in difference(old, old)} <= {"kept"}
    mirrored = {"added": "lost", "lost": "added", "merged": "split", "split": "merged"}
    assert sorted(c.what for c in difference(new, old)) == sorted(mirrored.get(c.what, c.what) for c in changes)


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backtest")
    assert (
        fraudgraph("simulate", "--seed", 9, "--users", 800, "--days", 12, "--ring-share", 0.08, "--out", folder).code
        == 0
    )
    return folder / "events.jsonl"


def test_a_lower_line_only_adds(events: Path) -> None:
    said = fraudgraph("backtest", events, "--change", "alerts.min_probability=0.05", "--format", "json")
    assert said.code == 0, said.err
    document = said.json
    assert document["before"]["events"] == document["after"]["events"] > 0
    assert document["after"]["alerted_rings"] > document["before"]["alerted_rings"] > 0
    assert "lost" not in {change["what"] for change in document["changes"]}
    table = fraudgraph("backtest", events, "--change", "alerts.min_probability=0.05")
    assert "added" in table.out
    assert "alerted rings" in table.out


def test_the_same_configuration_twice_keeps_everything(events: Path) -> None:
    said = fraudgraph("backtest", events, "--change", "logging.level=error", "--format", "json").json
    assert said["before"] == said["after"]
    assert {change["what"] for change in said["changes"]} == {"kept"}


RULES = """
version = "test"
[[rule]]
name = "everybody"
description = "Holds of every candidate"
severity = "low"
mode = "alert"
when.all = [{ feature = "users", op = ">=", value = 3 }]
[[rule]]
name = "four-newcomers"
description = "Four accounts first seen within a week"
severity = "high"
mode = "shadow"
when.all = [{ feature = "new_accounts", window = "7d", op = ">=", value = 4 }]
[[rule]]
name = "nobody"
description = "Holds of none"
severity = "high"
mode = "alert"
when.all = [{ feature = "users", op = ">", value = 100000 }]
"""


def test_rules_alert_what_the_model_does_not_and_a_shadow_is_only_counted(events: Path, tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(RULES)
    said = fraudgraph("backtest", events, "--rules", file, "--format", "json").json
    everybody, four, nobody = said["rules"]["after"]
    assert said["rules"]["before"] == []
    assert said["after"]["alerted_rings"] > said["before"]["alerted_rings"] > 0
    assert "lost" not in {change["what"] for change in said["changes"]}
    assert everybody["rings"] >= said["after"]["alerted_rings"], "what rests on a weak tie is held back"
    assert 0 < four["rings"] < everybody["rings"]
    assert (nobody["rings"], nobody["with_model"], nobody["precision"]) == (0, 0, None)
    assert everybody["with_model"] == said["before"]["alerted_rings"], "the model alerts nothing that is no candidate"
    table = fraudgraph("backtest", events, "--rules", file)
    assert "four-newcomers" in table.out


def test_what_cannot_be_compared_is_refused(events: Path) -> None:
    assert fraudgraph("backtest", events).code == 2
    assert fraudgraph("backtest", events, "--change", "identity.default_currency=USD").code == 4
