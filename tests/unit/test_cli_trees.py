"""A bundle of trees on the command line: listed, shown, promoted, asked about an account and an order, rolled back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.cli import fraudgraph

from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.scoring.bundle import write_bundle
from fraudgraph.scoring.manifest import Metric
from fraudgraph.testing.bundles import random_bundle, random_trees_bundle, with_event_head

EVENTS = "".join(
    json.dumps({"type": "signup", "event_id": f"{at}", "ts": f"2026-01-01T0{at}:00:00Z", "user_id": f"u{at}", **used})
    + "\n"
    for at in range(4)
    for used in ({"device_id": "d1", "card": "4242424242424242"},)
)
ORDER = {
    "type": "order",
    "event_id": "o1",
    "ts": "2026-01-02T00:00:00Z",
    "user_id": "u1",
    "device_id": "d1",
    "order_id": "1",
    "amount": "20.00",
    "currency": "EUR",
}


@pytest.fixture
def shop(tmp_path: Path) -> dict[str, str]:
    """Returns the environment of a shop with a store, a network and trees."""
    folder = tmp_path / "models"
    write_bundle(random_bundle(LinkPolicy(), 1, name="network"), folder / "network")
    trees = with_event_head(random_trees_bundle(LinkPolicy(), 2, name="trees"), 3)
    figure = Metric("simulated", "ring", "average precision", "trees-1/trees", 0.7, 0.6, 0.8)
    write_bundle(replace(trees, manifest=replace(trees.manifest, metrics=(figure,))), folder / "trees")
    events = tmp_path / "events.jsonl"
    events.write_text(EVENTS)
    (tmp_path / "order.json").write_text(json.dumps(ORDER))
    env = {
        "FRAUDGRAPH_STORE__URL": f"sqlite:///{tmp_path / 'shop.db'}",
        "FRAUDGRAPH_MODEL__FOLDER": str(folder),
        "FRAUDGRAPH_AUTHOR": "ann",
    }
    assert fraudgraph("ingest", events, env=env).code == 0
    return env


def test_trees_are_listed_shown_and_compared(shop: dict[str, str]) -> None:
    listed = {each["name"]: each for each in fraudgraph("model", "list", "--format", "json", env=shop).json["bundles"]}
    assert (listed["trees"]["kind"], listed["trees"]["event_head"], listed["trees"]["usable"]) == ("trees", True, True)
    assert (listed["network"]["kind"], listed["network"]["event_head"]) == ("network", False)
    assert "30 trees (c)" in fraudgraph("model", "list", env=shop).out
    card = fraudgraph("model", "show", "trees", env=shop).out
    assert "boosted trees over" in card and "How it reads one order" in card
    assert "0.700" in fraudgraph("model", "compare", "trees", "network", env=shop).out


def test_trees_are_put_in_force_asked_and_rolled_back(shop: dict[str, str], tmp_path: Path) -> None:
    assert fraudgraph("model", "promote", "network", env=shop).code == 0
    assert fraudgraph("model", "promote", "trees", env=shop).err.splitlines()[-1] == "trees is in force"
    told = fraudgraph("score", "user", "u1", "--explain", "--format", "json", env=shop).json
    assert told["bundle"] == "trees" and 0 < told["probability"] < 1
    assert "adds, beside an average account" in fraudgraph("score", "user", "u1", "--explain", env=shop).out
    asked = fraudgraph("score", "event", tmp_path / "order.json", "--format", "json", env=shop).json
    assert 0 < asked["order_fraud"] < 1
    assert asked["ring"]["after"]["scorer"] == "trees-1/trees"
    assert "this order: " in fraudgraph("score", "event", tmp_path / "order.json", env=shop).out
    assert fraudgraph("model", "rollback", env=shop).err.splitlines()[-1] == "network is in force"
    asked = fraudgraph("score", "event", tmp_path / "order.json", "--format", "json", env=shop).json
    assert asked["order_fraud"] is None
