"""A new key at the command line: what people look up is found under both, and the steps of the manual work."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import ROOT, fraudgraph

from fraudgraph.events.keys import renew_key_file
from fraudgraph.stores.lock import at_work

OLD, NEW = "11" * 32, "22" * 32
STEPS = re.compile(r"## A new key.*?<!-- run -->\n```console\n(.*?)```", re.S)
KEYS = {"FRAUDGRAPH_KEY": OLD}
BOTH = {"FRAUDGRAPH_KEY": NEW, "FRAUDGRAPH_KEY_PREVIOUS": OLD}


def day(number: int, users: int = 6) -> str:
    """Returns events of a day: accounts, some of them known by an e-mail address, share a card; one line is poison."""
    events = [
        {
            "type": "order",
            "event_id": f"day {number} event {user}",
            "ts": f"2026-03-{number:02d}T10:{user:02d}:00Z",
            "user_id": f"buyer{user}@example.com" if user % 2 else f"buyer{user}",
            "device_id": "till",
            "card": "4242424242424242",
            "email": f"inbox{user}@example.com",
            "order_id": f"order {user}",
            "amount": "10.00",
            "currency": "EUR",
        }
        for user in range(users)
    ]
    return "".join(json.dumps(event) + "\n" for event in events) + '{"type": "buyer1@example.com\n'


@pytest.fixture
def shop(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "1.jsonl").write_text(day(1))
    (tmp_path / "2.jsonl").write_text(day(2))
    store = ("--store", f"sqlite:///{tmp_path / 'shop.db'}")
    assert fraudgraph("ingest", tmp_path / "1.jsonl", *store, env=KEYS).code == 0
    return store


def accounts(*arguments: str, stdin: str = "", env: dict[str, str]) -> set[str]:
    said = fraudgraph("find", *arguments, "--format", "json", stdin=stdin, env=env)
    assert said.code == 0, said.err
    return {account["user_id"] for account in said.json["users"]}


def test_everything_is_found_before_and_after_it_was_seen_again(shop: tuple[str, str], tmp_path: Path) -> None:
    card = "4242424242424242\n"
    assert len(accounts("--card", "-", *shop, stdin=card, env=KEYS)) == 6
    assert fraudgraph("store", "rotate-key", *shop, env=BOTH).code == 0
    before = accounts("--card", "-", *shop, stdin=card, env=BOTH)
    assert len(before) == 6
    mail = accounts("--user", "-", *shop, stdin="buyer1@example.com\n", env=BOTH)
    assert mail < before
    assert accounts("--order", "order 1", *shop, env=BOTH) == mail
    hub = ("constraints", "add", "benign-hub", "device:till", "--reason", "shop-terminal", "--author", "zoe")
    assert fraudgraph(*hub, *shop, env=BOTH).code == 0
    assert fraudgraph("ingest", tmp_path / "2.jsonl", *shop, env=BOTH).code == 0
    after = accounts("--card", "-", *shop, stdin=card, env=BOTH)
    assert len(after) == 6
    assert {user for user in before if not user.startswith("u_")} == {u for u in after if not u.startswith("u_")}
    renamed = accounts("--user", "-", *shop, stdin="buyer1@example.com\n", env=BOTH)
    assert renamed < after
    assert not renamed & mail
    assert accounts("--order", "order 1", *shop, env=BOTH) == renamed
    (constraint,) = fraudgraph("constraints", "list", *shop, "--format", "json", env=BOTH).json["constraints"]
    device = fraudgraph("find", "--device", "till", *shop, "--format", "json", env=BOTH).json["query"]["shown"]
    assert constraint["on"] == [device]
    assert fraudgraph("audit", "verify", *shop, env=BOTH).code == 0
    left = fraudgraph("store", "rotate-key", "--finish", *shop, env=BOTH)
    assert left.code == 3
    assert "6 orders may still need" in left.err
    ended = fraudgraph("store", "rotate-key", "--finish", "--even-so", *shop, env=BOTH)
    assert ended.code == 0
    assert accounts("--card", "-", *shop, stdin=card, env={"FRAUDGRAPH_KEY": NEW}) == after
    revealed = fraudgraph("dead-letters", "list", "--reveal", "--format", "json", *shop, env={"FRAUDGRAPH_KEY": NEW})
    assert revealed.code == 0, revealed.err


def test_how_far_it_is_can_be_asked_beside_a_daemon(shop: tuple[str, str], tmp_path: Path) -> None:
    with at_work(tmp_path / "shop.db"):
        refused = fraudgraph("store", "rotate-key", *shop, env=BOTH)
    assert refused.code == 4
    assert "a daemon is at work" in refused.err
    assert fraudgraph("store", "rotate-key", *shop, env=BOTH).code == 0
    with at_work(tmp_path / "shop.db"):
        asked = fraudgraph("store", "rotate-key", *shop, env=BOTH)
        assert fraudgraph("store", "rotate-key", "--finish", *shop, env=BOTH).code == 4
    assert asked.code == 0, asked.err
    assert "8 identifiers, 3 accounts, 6 orders" in asked.err


def test_an_account_is_forgotten_in_the_period_with_its_dead_letters(shop: tuple[str, str], tmp_path: Path) -> None:
    assert fraudgraph("store", "rotate-key", *shop, env=BOTH).code == 0
    forget = ("forget", "-", "--reason", "asked-for", "--author", "zoe")
    said = fraudgraph(*forget, *shop, stdin="buyer1@example.com\n", env=BOTH)
    assert said.code == 0, said.err
    assert "1 dead letter" in said.err
    assert fraudgraph("ingest", tmp_path / "2.jsonl", *shop, env=BOTH).code == 0
    again = fraudgraph(*forget, *shop, stdin="buyer3@example.com\n", env=BOTH)
    assert again.code == 0, again.err
    assert accounts("--user", "-", *shop, stdin="buyer3@example.com\n", env=BOTH) == set()


def test_a_key_too_few_or_a_wrong_one_is_refused(shop: tuple[str, str], tmp_path: Path) -> None:
    same = fraudgraph("store", "rotate-key", *shop, env=KEYS)
    assert same.code == 4
    assert "already" in same.err
    assert fraudgraph("store", "rotate-key", *shop, env={"FRAUDGRAPH_KEY": NEW}).code == 4
    assert fraudgraph("store", "rotate-key", "--finish", *shop, env=KEYS).code == 4
    assert fraudgraph("store", "rotate-key", "--even-so", *shop, env=KEYS).code == 2
    assert fraudgraph("ingest", tmp_path / "2.jsonl", *shop, env=BOTH).code == 0, (
        "not begun: the old key is the store's"
    )
    assert fraudgraph("store", "rotate-key", *shop, env=BOTH).code == 0
    alone = fraudgraph("ingest", tmp_path / "2.jsonl", *shop, env={"FRAUDGRAPH_KEY": NEW})
    assert alone.code == 4
    assert "FRAUDGRAPH_KEY_PREVIOUS" in alone.err
    assert fraudgraph("ingest", tmp_path / "2.jsonl", *shop, env=KEYS).code == 4
    swapped = {"FRAUDGRAPH_KEY": OLD, "FRAUDGRAPH_KEY_PREVIOUS": NEW}
    assert fraudgraph("ingest", tmp_path / "2.jsonl", *shop, env=swapped).code == 0, "the store knows which is which"
    assert NEW not in alone.err + same.err
    assert OLD not in alone.err + same.err


def test_a_key_file_is_renewed_and_the_old_one_kept(tmp_path: Path) -> None:
    (tmp_path / "1.jsonl").write_text(day(1))
    (tmp_path / "2.jsonl").write_text(day(2))
    store = ("--store", f"sqlite:///{tmp_path / 'shop.db'}")
    assert fraudgraph("ingest", tmp_path / "1.jsonl", *store).code == 0
    file = tmp_path / "shop.db.key"
    old = file.read_bytes()
    begun = fraudgraph("store", "rotate-key", *store)
    assert begun.code == 0, begun.err
    assert (tmp_path / "shop.db.key.previous").read_bytes() == old
    assert file.read_bytes() != old
    assert file.stat().st_mode & 0o077 == 0
    new = file.read_bytes()
    assert fraudgraph("store", "rotate-key", *store).code == 0
    assert file.read_bytes() == new
    assert fraudgraph("ingest", tmp_path / "2.jsonl", *store).code == 0
    assert fraudgraph("doctor", *store).code == 0
    assert fraudgraph("store", "rotate-key", "--finish", "--even-so", *store).code == 0
    (tmp_path / "shop.db.key.previous").unlink()
    assert fraudgraph("find", "--device", "till", *store).code == 0


def test_a_key_file_that_was_renewed_before_a_crash_is_used(tmp_path: Path) -> None:
    (tmp_path / "1.jsonl").write_text(day(1))
    store = ("--store", f"sqlite:///{tmp_path / 'shop.db'}")
    assert fraudgraph("ingest", tmp_path / "1.jsonl", *store).code == 0
    renew_key_file(tmp_path / "shop.db.key")
    assert fraudgraph("find", "--device", "till", *store).code == 0
    new = (tmp_path / "shop.db.key").read_bytes()
    assert fraudgraph("store", "rotate-key", *store).code == 0
    assert (tmp_path / "shop.db.key").read_bytes() == new


def test_the_steps_of_the_manual_work(tmp_path: Path) -> None:
    (tmp_path / "1.jsonl").write_text(day(1))
    (tmp_path / "today.jsonl").write_text(day(2))
    (steps,) = STEPS.findall((ROOT / "docs" / "operations.md").read_text())
    lines = [line.removeprefix("$ ") for line in steps.splitlines()]
    assert len(lines) == 7
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FRAUDGRAPH_")}
    environment |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "FRAUDGRAPH_KEY": OLD}
    script = "\n".join(["set -e", "fraudgraph ingest 1.jsonl", *lines])
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 3, done.stderr
    assert "6 orders may still need the old one" in done.stderr.splitlines()[-2]
