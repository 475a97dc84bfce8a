"""`fraudgraph score` and a network in force, as a shop sees them: with a bundle in its folder of models."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.cli import Said, fraudgraph

from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.scoring.bundle import write_bundle
from fraudgraph.testing.bundles import random_bundle


@dataclass(frozen=True)
class Shop:
    """A store whose rings a network scored, and what the same events came to without one."""

    folder: Path

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder / 'shop.db'}"

    def run(self, *arguments: object, stdin: str | None = None, bundle: str = "ours") -> Said:
        knobs = ("--set", f"model.folder={self.folder / 'models'}", "--set", f"model.bundle={bundle}")
        return fraudgraph(*arguments, "--store", self.url, *knobs, stdin=stdin)

    def rings(self) -> list[dict[str, Any]]:
        return list(
            fraudgraph("rings", "list", "--min-probability", 0, "--store", self.url, "--format", "json").json["rings"]
        )


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("score")
    fraudgraph("simulate", "--seed", 5, "--users", 600, "--days", 10, "--ring-share", 0.08, "--out", folder)
    write_bundle(random_bundle(LinkPolicy(), 1, name="ours"), folder / "models" / "ours")
    here = Shop(folder)
    said = here.run("ingest", folder / "events.jsonl")
    assert said.code == 0, said.err
    return here


def test_rings_say_which_bundle_scored_them_and_what_the_network_adds(shop: Shop) -> None:
    with sqlite3.connect(shop.folder / "shop.db") as db:
        scorers = {scorer for (scorer,) in db.execute("SELECT DISTINCT scorer FROM rings WHERE status = 'open'")}
    assert scorers == {"network-1/ours"}
    shown = [fraudgraph("rings", "show", ring["ring_id"], "--store", shop.url).out for ring in shop.rings()[:5]]
    assert any("network" in text for text in shown)


def test_an_account_is_scored_and_explained(shop: Shop) -> None:
    ring = shop.rings()[0]["ring_id"]
    member = fraudgraph("rings", "show", ring, "--store", shop.url, "--format", "json").json["members"][0]["user_id"]
    told = shop.run("score", "user", member, "--explain", "--format", "json")
    assert told.code == 0, told.err
    assert 0.0 < told.json["probability"] < 1.0
    assert told.json["bundle"] == "ours"
    kinds = {reason["what"] for reason in told.json["reasons"]}
    assert kinds & {"device", "card", "email", "ip", "phone", "address"}
    text = shop.run("score", "user", member, "--explain").out
    assert member in text
    assert "log-odds" in text


def test_an_event_is_scored_and_nothing_is_written(shop: Shop) -> None:
    lines = (shop.folder / "events.jsonl").read_text().splitlines()
    order = next(event for event in map(json.loads, reversed(lines)) if event["type"] == "order")
    order |= {"event_id": "asked", "order_id": "asked"}
    before = (shop.folder / "shop.db").read_bytes()
    told = shop.run("score", "event", "-", "--format", "json", stdin=json.dumps(order))
    assert told.code == 0, told.err
    assert told.json["known"]
    assert told.json["probability"] != told.json["probability_before"]
    assert (shop.folder / "shop.db").read_bytes() == before
    new = order | {"user_id": "somebody-new"}
    text = shop.run("score", "event", "-", stdin=json.dumps(new)).out
    assert "somebody-new" in text
    assert "(new)" in text


def test_without_a_network_an_event_still_has_its_ring_and_an_account_has_no_score(shop: Shop) -> None:
    lines = (shop.folder / "events.jsonl").read_text().splitlines()
    event = next(event for event in map(json.loads, reversed(lines)) if event["type"] == "order")
    told = shop.run("score", "event", "-", "--format", "json", stdin=json.dumps(event | {"event_id": "x"}), bundle="")
    assert told.code == 0, told.err
    assert told.json["probability"] is None
    refused = shop.run("score", "user", event["user_id"], bundle="")
    assert refused.code == 4
    assert "model.bundle" in refused.err


@pytest.mark.parametrize(
    ("body", "code"), [("no json", 2), ('{"type":"order"}', 2), ("", 2)], ids=["text", "incomplete", "empty"]
)
def test_what_is_no_event_is_refused_without_repeating_it(shop: Shop, body: str, code: int) -> None:
    said = shop.run("score", "event", "-", stdin=body)
    assert said.code == code
    assert body == "" or body not in said.err


def test_a_bundle_that_is_not_there_is_refused_at_the_start(shop: Shop) -> None:
    said = shop.run("score", "user", "u1", bundle="absent")
    assert said.code == 4
    assert "absent" in said.err
