"""`fraudgraph rules`, `model drift` and the registry's commands: what they say, leave in the store, and refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cli import ROOT, fraudgraph

from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.scoring.bundle import write_bundle
from fraudgraph.testing.bundles import random_bundle

EVENTS = """\
{"type":"signup","event_id":"1","ts":"2026-01-01T00:00:00Z","user_id":"u1","device_id":"d1"}
{"type":"signup","event_id":"2","ts":"2026-01-01T01:00:00Z","user_id":"u2","device_id":"d1"}
{"type":"signup","event_id":"3","ts":"2026-01-01T02:00:00Z","user_id":"u3","device_id":"d1"}
"""
RULES = """\
version = "{version}"
[[rule]]
name = "crowd"
description = "Accounts on one device"
severity = "high"
mode = "{mode}"
when.all = [{{ feature = "users", op = ">=", value = 3 }}]
"""


@pytest.fixture
def shop(tmp_path: Path) -> dict[str, str]:
    """Returns the environment of a shop with a store and two bundles."""
    (tmp_path / "events.jsonl").write_text(EVENTS)
    for seed, name in enumerate(("spring", "summer")):
        write_bundle(random_bundle(LinkPolicy(), seed, name=name), tmp_path / "models" / name)
    env = {
        "FRAUDGRAPH_STORE__URL": f"sqlite:///{tmp_path / 'shop.db'}",
        "FRAUDGRAPH_MODEL__FOLDER": str(tmp_path / "models"),
        "FRAUDGRAPH_AUTHOR": "ann",
    }
    assert fraudgraph("ingest", tmp_path / "events.jsonl", env=env).code == 0
    return env


def rules(folder: Path, version: str = "1", mode: str = "evidence") -> Path:
    file = folder / f"rules-{version}.toml"
    file.write_text(RULES.format(version=version, mode=mode))
    return file


def changes(env: dict[str, str]) -> list[tuple[str, str, str]]:
    rows = fraudgraph("audit", "list", "--format", "json", env=env).json["audit"]
    return [(row["author"], row["what"], row["subject"]) for row in rows]


def test_a_file_is_checked_and_what_is_wrong_is_said_with_what_is_near(tmp_path: Path) -> None:
    good = fraudgraph("rules", "check", ROOT / "configs" / "rules.toml")
    assert (good.code, "4 rules can be used" in good.err) == (0, True)
    bad = tmp_path / "bad.toml"
    bad.write_text(RULES.format(version="1", mode="alert").replace('"users"', '"user"'))
    said = fraudgraph("rules", "check", bad)
    assert said.code == 4
    assert "rule 'crowd', when.all[0]: there is no feature 'user'" in said.err
    assert "users" in said.err
    features = fraudgraph("rules", "features", "--format", "json").json["features"]
    assert {"users", "value_at_risk", "evidence.burst", "hours_to_spend"} <= {each["name"] for each in features}


def test_rules_are_put_in_force_listed_told_of_and_taken_away(shop: dict[str, str], tmp_path: Path) -> None:
    file = rules(tmp_path)
    assert fraudgraph("rules", "apply", file, env=shop).code == 0
    listed = fraudgraph("rules", "list", "--format", "json", env=shop).json
    assert [(rule["name"], rule["rings"]) for rule in listed["rules"]] == [("crowd", 1)]
    ring = fraudgraph("rings", "list", "--min-probability", "0", "--format", "json", env=shop).json["rings"][0][
        "ring_id"
    ]
    shown = fraudgraph("rings", "show", ring, env=shop).out
    assert "The shop's rule crowd (high) holds" in shown
    dossier = tmp_path / "ring.zip"
    assert fraudgraph("rings", "dossier", ring, "--out", dossier, env=shop).code == 0
    checked = fraudgraph("verify", dossier)
    assert checked.code == 0, checked.err
    assert "rules" in checked.out + checked.err
    none = tmp_path / "none.toml"
    none.write_text('version = "none"\n')
    assert fraudgraph("rules", "apply", none, env=shop).code == 0
    assert fraudgraph("rules", "list", "--format", "json", env=shop).json["rules"] == []
    assert changes(shop) == [("ann", "rules", "1"), ("ann", "rules", "none")]


def test_a_changed_rule_file_is_noticed_at_the_next_start_and_only_then(shop: dict[str, str], tmp_path: Path) -> None:
    file = rules(tmp_path)
    env = shop | {"FRAUDGRAPH_RULES__FILE": str(file)}
    events = tmp_path / "events.jsonl"
    for _ in range(2):
        assert fraudgraph("ingest", events, env=env).code == 0
    assert changes(env) == [("settings", "rules", "1")]
    file.write_text("# another layout\n" + file.read_text())
    fraudgraph("ingest", events, env=env)
    assert len(changes(env)) == 1, "a comment changes nothing"
    file.write_text(RULES.format(version="2", mode="alert"))
    assert "1 new alert" in fraudgraph("ingest", events, env=env).err
    assert changes(env)[1:] == [("settings", "rules", "2")]
    refused = fraudgraph("rules", "apply", rules(tmp_path, "3"), env=env)
    assert refused.code == 2
    assert "rules.file names" in refused.err


def test_a_bundle_is_pushed_pointed_to_and_promoted_by_its_alias(shop: dict[str, str], tmp_path: Path) -> None:
    env = shop | {"FRAUDGRAPH_MODEL__REGISTRY_URL": str(tmp_path / "shared")}
    assert "points to no bundle" in fraudgraph("model", "promote", "@champion", env=env).err
    assert fraudgraph("model", "push", "spring", "--as", "champion", env=env).code == 0
    assert fraudgraph("model", "push", "summer", "--as", "challenger", env=env).code == 0
    listed = fraudgraph("model", "registry", "--format", "json", env=env).json["bundles"]
    assert [(each["name"], each["aliases"]) for each in listed] == [
        ("spring", ["champion"]),
        ("summer", ["challenger"]),
    ]
    elsewhere = env | {"FRAUDGRAPH_MODEL__FOLDER": str(tmp_path / "elsewhere")}
    promoted = fraudgraph("model", "promote", "@champion", env=elsewhere)
    assert promoted.code == 0, promoted.err
    assert (tmp_path / "elsewhere" / "spring" / "bundle.json").exists()
    assert changes(env) == [("ann", "promotion", "spring")]
    fraudgraph("model", "alias", "champion", "summer", env=env)
    assert fraudgraph("model", "promote", "@champion", env=elsewhere).code == 0
    assert changes(env)[1:] == [("ann", "promotion", "summer")]


def test_drift_says_that_there_is_no_reference_and_then_that_nothing_moved(shop: dict[str, str]) -> None:
    env = shop | {"FRAUDGRAPH_MODEL__BUNDLE": "spring"}
    first = fraudgraph("model", "drift", "--exit-code", env=env)
    assert first.code == 0
    assert "has no reference" in first.err
    assert fraudgraph("model", "reference", env=env).code == 0
    report = fraudgraph("model", "drift", "--format", "json", "--exit-code", env=env)
    assert (report.code, report.json["why_not"], report.json["over"]) == (0, "", False)
    assert {each["kind"] for each in report.json["series"]} == {"features", "scores", "graph"}
    assert fraudgraph("model", "drift", "--set", "drift.min_sample=1", env=env).code == 4, "20 is the least"
