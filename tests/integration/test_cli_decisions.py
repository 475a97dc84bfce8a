"""Deciding at the command line: at once, beside a daemon, taken back, and checked afterwards."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.cli import Said, command, environment, fraudgraph

from fraudgraph.stores.lock import at_work


@dataclass(frozen=True)
class Shop:
    """A store with rings, and the events that it was made of."""

    events: Path
    file: Path

    @property
    def url(self) -> str:
        """The store's URL."""
        return f"sqlite:///{self.file}"

    def say(self, *arguments: object, stdin: str | None = None) -> Said:
        """Runs a command on the store as Ann."""
        return fraudgraph(*arguments, "--store", self.url, stdin=stdin, env={"FRAUDGRAPH_AUTHOR": "ann"})

    def json(self, *arguments: object) -> Any:
        """Returns what a command says to programs."""
        said = self.say(*arguments, "--format", "json")
        assert said.code == 0, said.err
        return said.json

    def rings(self, *arguments: object) -> list[dict[str, Any]]:
        """The queue, improbable rings too."""
        return list(self.json("rings", "list", "--min-probability", "0", *arguments)["rings"])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("decisions")
    world = fraudgraph("simulate", "--seed", 3, "--users", 1500, "--days", 14, "--ring-share", 0.05, "--out", folder)
    assert world.code == 0, world.err
    shop = Shop(folder / "events.jsonl", folder / "shop.db")
    assert shop.say("ingest", shop.events).code == 0
    return shop


@pytest.fixture
def shop(made: Shop, tmp_path: Path) -> Shop:
    for file in made.file.parent.glob("shop.db*"):
        shutil.copy(file, tmp_path)
    return Shop(made.events, tmp_path / "shop.db")


def contents(shop: Shop) -> dict[str, list[Any]]:
    """Graph, rings and members as stored."""
    with sqlite3.connect(shop.file) as db:
        return {
            name: db.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall()  # noqa: S608 - names from this line
            for name in ("entities", "links", "users", "orders", "rings", "members")
        }


def test_a_verdict_is_seen_everywhere_and_taken_back_without_a_trace(shop: Shop) -> None:
    before, (ring, *_) = contents(shop), shop.rings()
    note = "bank says <b>so</b>; \u20ac"
    decided = shop.json("rings", "decide", ring["ring_id"], "confirmed", "--reason", "chargebacks", "--note", note)
    decision = decided["decision"]
    assert (decided["state"], decided["command"]) == ("applied", 1)
    assert (decision["decision_id"], decision["author"], decision["note"]) == ("D000001", "ann", note)
    assert ring["ring_id"] not in [row["ring_id"] for row in shop.rings()]
    (confirmed,) = shop.rings("--status", "confirmed")
    assert confirmed["ring_id"] == ring["ring_id"]
    assert confirmed["probability"] > ring["probability"]
    shown = shop.json("rings", "show", ring["ring_id"])
    assert sorted(user["user_id"] for user in shown["members"]) == decision["members"]
    assert shown["decisions"] == [decision]
    story = shop.json("rings", "history", ring["ring_id"])["history"]
    assert [moment["what"] for moment in story][0 :: len(story) - 1] == ["born", "confirmed"]
    (user, *_) = decision["members"]
    assert [row["ring_id"] for row in shop.json("find", "--user", user)["users"][0]["rings"]] == [ring["ring_id"]]
    kept = shop.json("rings", "show", ring["ring_id"], "--as-decided", "D000001")
    assert (kept["status"], kept["probability"]) == (ring["status"], ring["probability"])
    text = shop.say("rings", "show", ring["ring_id"])
    assert note in text.out

    assert shop.say("rings", "undo", "D000001").code == 0
    assert contents(shop) == before
    again = shop.say("rings", "undo", "D000001")
    assert again.code == 2
    assert "undone already" in again.err
    (undone,) = shop.json("rings", "show", ring["ring_id"])["decisions"]
    assert undone["undone_by"] == "ann"
    assert shop.json("audit", "verify")["wrong"] == []


def test_part_of_a_ring_and_one_instead_of_another(shop: Shop) -> None:
    ring = max(shop.rings(), key=lambda row: row["users"])
    members = [user["user_id"] for user in shop.json("rings", "show", ring["ring_id"])["members"]]
    decide = ("rings", "decide", ring["ring_id"])
    first = shop.json(*decide, "needs-info", "--reason", "unclear", "--members", ",".join(members[:2]))["decision"]
    assert first["members"] == sorted(members[:2])
    assert shop.say("rings", "show", ring["ring_id"], "--as-decided", "D000001").code == 0
    second = shop.json(*decide, "false-positive", "--reason", "household", "--undo-of", "D000001")["decision"]
    assert second["members"] == sorted(members)
    assert [row["status"] for row in shop.rings("--status", "false-positive")] == ["false-positive"]
    none = shop.say("rings", "show", ring["ring_id"], "--as-decided", "D000002")
    assert (none.code, "a false positive keeps none" in none.err) == (2, True)
    stranger = shop.say(*decide, "confirmed", "--reason", "other", "--members", f"{members[0]},somebody@example.com")
    assert stranger.code == 2
    assert "somebody" not in stranger.err
    wrong = shop.say(*decide, "confirmed", "--reason", "household")
    assert (wrong.code, "chargebacks" in wrong.err) == (2, True)


def test_a_verdict_and_what_is_harmless_in_one_breath(shop: Shop) -> None:
    ring = shop.rings()[0]["ring_id"]
    decide = ("rings", "decide", ring, "false-positive", "--reason", "shared-network")
    made = shop.json(*decide, "--benign-hub", "ip:203.0.113.7", "--benign-hub", "device:kiosk-1")
    assert made["decision"]["decision_id"] == "D000001"
    constraints = shop.json("constraints", "list")["constraints"]
    assert [(each["kind"], each["reason"]) for each in constraints] == [("benign-hub", "shared-network")] * 2
    nothing = shop.say(*decide, "--benign-hub", "email:someone@example.com")
    assert (nothing.code, "someone" in nothing.err) == (2, False)
    assert shop.say(*decide, "--note", "x" * 2_001).code == 2
    hidden = shop.say(*decide, "--note", "a\x1b[31mb")
    assert (hidden.code, "control" in hidden.err) == (2, True)
    assert len(shop.json("audit", "list")["audit"]) == 3


def test_two_people_where_the_configuration_wants_two(shop: Shop) -> None:
    two = ("--set", "cases.second_reader=true")
    ring = shop.rings()[0]["ring_id"]
    decide = ("rings", "decide", ring, "confirmed", "--reason", "chargebacks", *two)
    assert shop.say(*decide).code == 0
    assert [row["ring_id"] for row in shop.rings("--status", "needs-second-reader")] == [ring]
    assert shop.say(*decide).code == 0
    assert not shop.rings("--status", "confirmed")
    assert shop.say(*decide, "--author", "bob").code == 0
    assert [row["ring_id"] for row in shop.rings("--status", "confirmed")] == [ring]
    assert [row["author"] for row in shop.json("audit", "list")["audit"]] == ["ann", "ann", "bob"]


def test_beside_a_daemon_a_command_waits_and_is_never_lost(shop: Shop) -> None:
    ring = shop.rings()[0]["ring_id"]
    with at_work(shop.file):
        said = shop.say("rings", "decide", ring, "false-positive", "--reason", "household")
        assert (said.code, said.out) == (0, "")
        assert "recorded #1, pending" in said.err
        assert shop.json("rings", "undo", "D000001") == {
            "schema_version": 1,
            "command": 2,
            "state": "pending",
            "undone": "D000001",
        }
        assert not shop.json("audit", "list")["audit"]
    done = shop.json("ingest", shop.events)
    assert (done["commands"], done["events"]) == (2, 0)
    assert [row["what"] for row in shop.json("audit", "list")["audit"]] == ["decide", "undo"]
    assert shop.json("ingest", shop.events)["commands"] == 0


def test_a_running_daemon_takes_a_command_and_whoever_waits_hears_of_it(shop: Shop) -> None:
    """A real daemon, on standard input that stays open, in a process of its own."""
    lines = shop.events.read_text().splitlines()
    ring = shop.rings()[0]["ring_id"]
    daemon = subprocess.Popen(
        command(["ingest", "-", "--store", shop.url]), stdin=subprocess.PIPE, env=environment(), text=True
    )
    assert daemon.stdin is not None
    try:
        waiting = None
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            daemon.stdin.write(
                f"{lines[-1]}\n"
            )  # it comes in again and again: a duplicate that keeps the daemon polling
            daemon.stdin.flush()
            time.sleep(0.2)
            if waiting is None and _locked(shop):
                decide = ["rings", "decide", ring, "confirmed", "--reason", "other", "--wait", "--format", "json"]
                waiting = subprocess.Popen(
                    command([*decide, "--store", shop.url]), stdout=subprocess.PIPE, env=environment(), text=True
                )
            elif waiting is not None and waiting.poll() is not None:
                break
        assert waiting is not None
        out, _ = waiting.communicate(timeout=10)
        assert daemon.poll() is None, "the daemon ended before the command was obeyed"
        assert json.loads(out)["state"] == "applied"
    finally:
        daemon.stdin.close()
        assert daemon.wait(timeout=60) == 0


def _locked(shop: Shop) -> bool:
    from fraudgraph.stores.lock import alone

    with alone(shop.file) as nobody_else:
        return not nobody_else


def test_constraints_change_the_graph_and_leave_no_trace_when_removed(shop: Shop) -> None:
    before = contents(shop)
    ring = next(row for row in shop.rings() if row["users"] >= 4)["ring_id"]
    shown = shop.json("rings", "show", ring)
    a, b = (user["user_id"] for user in shown["members"][:2])
    made = shop.json("constraints", "add", "cannot-link", b, a, "--reason", "different-people")["constraint"]
    assert (made["constraint_id"], made["on"]) == ("C000001", sorted((a, b)))
    homes = [{row["ring_id"] for row in shop.json("find", "--user", user)["users"][0]["rings"]} for user in (a, b)]
    assert not homes[0] & homes[1]
    story = [moment["cause"] for moment in shop.json("rings", "history", ring)["history"] if "cause" in moment]
    assert all(story)
    assert any("kept apart by C000001" in cause for cause in story)
    assert shop.say("constraints", "add", "must-link", a, "nobody-7", "--reason", "same-person").code == 2
    assert shop.say("constraints", "remove", "C000001").code == 0
    assert len(shop.json("constraints", "list")["constraints"]) == 0
    assert len(shop.json("constraints", "list", "--all")["constraints"]) == 1
    after = contents(shop)
    assert {name: after[name] for name in ("entities", "links", "users", "orders")} == {
        name: before[name] for name in ("entities", "links", "users", "orders")
    }
    assert teams(after) == teams(before)


def teams(stored: dict[str, list[Any]]) -> set[frozenset[int]]:
    """Who is in a ring with whom, whatever the rings are called."""
    rings: dict[str, set[int]] = {}
    for ring_id, user, _ in stored["members"]:
        rings.setdefault(ring_id, set()).add(user)
    return {frozenset(team) for team in rings.values()}


def test_a_harmless_identifier_is_given_by_standard_input_and_said_by_its_mask_only(shop: Shop) -> None:
    events = [json.loads(line) for line in shop.events.read_text().splitlines()]
    holders: dict[str, set[str]] = {}
    for event in events:
        if event.get("card"):
            holders.setdefault(event["card"], set()).add(event["user_id"])
    card, users = max(holders.items(), key=lambda item: len(item[1]))
    add = ("constraints", "add", "benign-hub")
    typed = shop.say(*add, f"card:{card}", "--reason", "test-accounts")
    assert (typed.code, card in typed.err) == (2, False)
    piped = shop.say(*add, "card:-", "--reason", "test-accounts", stdin=f"{card}\n")
    assert piped.code == 0, piped.err
    assert card not in piped.err
    assert card.encode() not in b"".join(file.read_bytes() for file in shop.file.parent.glob("shop.db*"))
    a, b = sorted(users)[:2]
    path = shop.json("link", a, b)
    assert "benign-hub" in [left["why"] for left in path["not_followed"]] or path["path"]
    assert all(step["kind"] != "card" for step in path["path"])
    assert shop.say(*add, "ip:203.0.113.7", "--reason", "shared-network", "--until", "2020-01-01").code == 2


@pytest.mark.parametrize(
    "tamper",
    [
        "UPDATE audit SET author = 'somebody else' WHERE number = 1",
        "DELETE FROM audit WHERE number = 1",
        "DELETE FROM audit WHERE number = 2",
        "UPDATE decisions SET body = json_set(body, '$.note', 'nothing to see')",
        "DELETE FROM decisions",
        "INSERT INTO decisions SELECT 'D000009', json_set(body, '$.decision_id', 'D000009') FROM decisions",
    ],
)
def test_whoever_rewrites_the_record_is_found(shop: Shop, tamper: str) -> None:
    ring = shop.rings()[0]["ring_id"]
    assert shop.say("rings", "decide", ring, "confirmed", "--reason", "other").code == 0
    assert shop.say("rings", "undo", "D000001").code == 0
    head = shop.json("audit", "verify")["head"]
    assert shop.say("audit", "verify", "--head", head).code == 0
    with sqlite3.connect(shop.file) as db:
        if "audit" in tamper:
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                db.execute(tamper)
            db.execute("DROP TRIGGER audit_stays")
            db.execute("DROP TRIGGER audit_stays_so")
        db.execute(tamper)
    assert shop.say("audit", "verify", "--head", head).code == 3


def test_a_store_of_an_older_version_is_brought_up_to_date_by_its_writer(tmp_path: Path) -> None:
    from fraudgraph.alerts.priority import PriorityRules
    from fraudgraph.graph.policy import LinkPolicy
    from fraudgraph.stores.port import CommitDelta, LineageRow
    from fraudgraph.stores.sqlite import schema
    from fraudgraph.stores.sqlite.store import SqliteStore

    file = tmp_path / "shop.db"
    with sqlite3.connect(file, isolation_level=None) as db:
        for statement in schema.MIGRATIONS[0]:
            db.execute(statement)
        db.execute(
            """
            INSERT INTO state (id, store_id, epoch, commit_no, watermark_ms, ring_serial, key_id, policy_hash,
                policy_version)
            VALUES (1, 'old', 0, 0, 0, 0, '', '', '')"""
        )
        db.execute(
            "INSERT INTO lineage (ring_id, what, at_ms, users_before, users_after) VALUES ('R1', 'born', 1, 0, 3)"
        )
    said = fraudgraph("rings", "list", "--store", f"sqlite:///{file}")
    assert (said.code, "Run `fraudgraph ingest`" in said.err) == (1, True)
    store = SqliteStore(file, LinkPolicy(), PriorityRules())
    assert store.record_command(b"{}") == 1
    assert store.lineage("R1") == [LineageRow("R1", "born", 1, 0, 3)]
    store.claim()
    store.commit(CommitDelta(commit=1, watermark_ms=0, lineage=[LineageRow("R1", "shrank", 2, 3, 2, None, "C1")]))
    assert store.lineage("R1")[1].cause == "C1"
    store.close()
