"""Forgetting at the command line: nothing in the file says the account's name any more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.cli import fraudgraph


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("forget")
    said = fraudgraph("simulate", "--seed", 5, "--users", 800, "--days", 10, "--ring-share", 0.05, "--out", folder)
    assert said.code == 0
    return folder / "events.jsonl"


def test_no_byte_of_the_file_holds_the_name_afterwards(world: Path, tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    store = ("--store", f"sqlite:///{file}")
    assert fraudgraph("ingest", world, *store).code == 0
    ring = fraudgraph("rings", "list", *store, "--format", "json", "--min-probability", 0).json["rings"][0]["ring_id"]
    shown = fraudgraph("rings", "show", ring, *store, "--format", "json").json
    user = shown["members"][0]["user_id"]
    bad = tmp_path / "bad.jsonl"
    bad.write_text(json.dumps({"type": "order", "event_id": "bad", "user_id": user}) + "\n")
    assert fraudgraph("ingest", bad, *store).code == 0
    decided = fraudgraph(
        "rings",
        "decide",
        ring,
        "confirmed",
        "--reason",
        "chargebacks",
        "--members",
        user,
        "--note",
        f"it was {user}",
        *store,
    )
    assert decided.code == 0, decided.err
    assert any(user.encode() in path.read_bytes() for path in tmp_path.glob("shop.db*"))
    forgotten = fraudgraph("forget", user, "--reason", "asked-for", *store)
    assert forgotten.code == 0, forgotten.err
    assert "1 dead letter" in forgotten.err
    assert fraudgraph("dead-letters", "list", *store).out == ""
    assert fraudgraph("audit", "verify", *store).code == 0
    assert "nothing is known" in fraudgraph("find", "--user", user, *store).err
    for path in tmp_path.glob("shop.db*"):
        assert user.encode() not in path.read_bytes(), path.name
    again = fraudgraph("forget", user, "--reason", "asked-for", *store)
    assert again.code == 2
    assert user not in again.err


def test_a_reason_is_needed_and_personal_data_is_no_argument(world: Path, tmp_path: Path) -> None:
    store = ("--store", f"sqlite:///{tmp_path / 'shop.db'}")
    assert fraudgraph("ingest", world, *store).code == 0
    assert fraudgraph("forget", "u1", "--reason", "because", *store).code == 2
    assert fraudgraph("forget", "jane@example.com", "--reason", "asked-for", *store).code == 2
    assert fraudgraph("forget", "-", "--reason", "asked-for", *store, stdin="jane@example.com\n").code == 2
