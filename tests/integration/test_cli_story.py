"""A shop's whole story at the command line: simulate, ingest, read the queue, look people up, mend what was refused."""

from __future__ import annotations

import base64
import json
import os
import signal
import sqlite3
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.cli import Said, command, environment, fraudgraph, process, store_contents

SECRET_KINDS = ("email", "card", "phone", "address")


@dataclass(frozen=True)
class Shop:
    """A simulated world and the store that it was read into."""

    events: Path
    url: str
    said: Said

    def rings(self) -> list[dict[str, Any]]:
        """The queue."""
        return list(fraudgraph("rings", "list", "--store", self.url, "--format", "json").json["rings"])

    def show(self, ring_id: str) -> dict[str, Any]:
        """One ring."""
        return dict(fraudgraph("rings", "show", ring_id, "--store", self.url, "--format", "json").json)

    def records(self) -> Iterator[dict[str, str]]:
        """The events as the shop wrote them."""
        with self.events.open() as lines:
            yield from map(json.loads, lines)


def _contents(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of a store but its counters of commits and epochs."""
    return store_contents(Path(url.removeprefix("sqlite:///")), ("state", "sqlite_sequence"))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("story")
    world = fraudgraph("simulate", "--seed", 3, "--users", 1500, "--days", 14, "--ring-share", 0.05, "--out", folder)
    assert (world.code, world.out) == (0, "")
    url = f"sqlite:///{folder / 'shop.db'}"
    said = fraudgraph("ingest", folder / "events.jsonl", "--store", url, "--set", "ingest.batch_events=200")
    assert said.code == 0, said.err
    return Shop(folder / "events.jsonl", url, said)


@pytest.fixture(scope="module")
def ring(shop: Shop) -> dict[str, Any]:
    """The first ring of the queue."""
    return shop.show(shop.rings()[0]["ring_id"])


def test_ingest_says_what_it_did(shop: Shop) -> None:
    events = sum(1 for _ in shop.records())
    assert shop.said.out == ""
    assert f"{events:,} events applied" in shop.said.err
    assert f"{len(shop.rings()):,} rings in the queue" in shop.said.err
    assert "made the key" in shop.said.err
    key = Path(shop.url.removeprefix("sqlite:///") + ".key")
    assert key.stat().st_mode & 0o777 == 0o600


def test_a_second_run_changes_nothing(shop: Shop) -> None:
    before = _contents(shop.url)
    again = fraudgraph("ingest", shop.events, "--store", shop.url, "--format", "json")
    assert again.json["events"] == 0
    assert "made the key" not in again.err
    assert _contents(shop.url) == before


def test_every_ring_is_told_the_same_way_everywhere(shop: Shop) -> None:
    for listed in shop.rings()[:15]:
        shown = shop.show(listed["ring_id"])
        assert {name: shown[name] for name in listed} == listed
        assert len(shown["members"]) == listed["users"]
        for member in shown["members"][:2]:
            found = fraudgraph("find", "--user", member["user_id"], "--store", shop.url, "--format", "json").json
            assert listed in found["users"][0]["rings"]


def test_find_leads_from_each_kind_of_identifier_to_its_users(shop: Shop, ring: dict[str, Any]) -> None:
    member = ring["members"][0]["user_id"]
    asked: dict[str, str] = {}
    for record in shop.records():
        if record.get("user_id") == member:
            asked |= {k: record[k] for k in (*SECRET_KINDS, "ip", "device_id", "order_id") if k in record}
    assert set(asked) > set(SECRET_KINDS), "the member has too few identifiers for this test"
    for name, value in asked.items():
        option = name.removesuffix("_id")
        given, stdin = ("-", value + "\n") if option in SECRET_KINDS else (value, None)
        said = fraudgraph("find", f"--{option}", given, "--store", shop.url, "--format", "json", stdin=stdin)
        assert said.code == 0, said.err
        assert member in {user["user_id"] for user in said.json["users"]}, option
        if option in SECRET_KINDS:
            assert value not in said.out + said.err


def test_link_ties_members_of_a_ring_and_marks_the_weakest(shop: Shop, ring: dict[str, Any]) -> None:
    by_identifier: dict[str, list[str]] = defaultdict(list)
    for link in ring["links"]:
        if link["ties"]:
            by_identifier[link["identifier"]].append(link["user_id"])
    first, second = max(by_identifier.values(), key=len)[:2]
    said = fraudgraph("link", first, second, "--store", shop.url, "--format", "json", "--exit-code")
    assert said.code == 3
    path = said.json["path"]
    assert (path[0]["from"]["user_id"], path[-1]["to"]["user_id"]) == (first, second)
    assert path[said.json["weakest"]]["strength"] == min(step["strength"] for step in path)
    text = fraudgraph("link", first, second, "--store", shop.url).out
    assert first in text
    assert second in text
    assert fraudgraph("link", first, first, "--store", shop.url).code == 2
    assert fraudgraph("link", first, "nobody", "--store", shop.url).code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("find", "--email", "canary.person@example.com"),
        ("find", "--card", "4242424242424242"),
        ("find", "--phone", "+4915112345678"),
        ("find", "--address", "Canary Street 1, 12345 Oldtown"),
        ("find", "canary.person@example.com"),
        ("find", "--user", "canary.person@example.com"),
        ("link", "canary.person@example.com", "u1"),
    ],
)
def test_personal_data_on_the_command_line_is_refused_and_not_repeated(shop: Shop, arguments: tuple[str, ...]) -> None:
    said = fraudgraph(*arguments, "--store", shop.url)
    assert (said.code, said.out) == (2, "")
    assert "shell's history" in said.err
    assert arguments[-1] not in said.err
    assert arguments[1] not in said.err or arguments[1].startswith("--")


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "says"),
    [
        (("--email", "-"), "canary\n", 2, "not an e-mail address"),
        (("--email", "-"), "", 2, "nothing came"),
        (("--phone", "-"), "0151 12345678\n", 2, "national form"),
        (("--phone", "-", "--country", "DE"), "0151 12345678\n", 0, "nothing is known"),
        (("--email", "-"), "canary@example.com\n", 0, "nothing is known"),
        (("--ip", "10.0.0.1"), None, 2, "nobody in particular"),
        (("--ip", "canary"), None, 2, "not an IP address"),
        (("--order", "o-none"), None, 0, "nothing is known"),
        (("--user", "nobody"), None, 0, "nothing is known"),
        ((), None, 2, "got 0"),
        (("--ip", "198.51.100.7", "--user", "u"), None, 2, "got 2"),
    ],
)
def test_find_says_what_is_wrong_without_the_value(
    shop: Shop, arguments: tuple[str, ...], stdin: str | None, code: int, says: str
) -> None:
    said = fraudgraph("find", *arguments, "--store", shop.url, stdin=stdin)
    assert (said.code, said.out) == (code, "")
    assert says in said.err
    assert "canary" not in said.err
    assert "12345678" not in said.err


def test_another_key_is_refused_and_a_lost_one_is_not_replaced(shop: Shop) -> None:
    other = {"FRAUDGRAPH_KEY": "ab" * 32}
    for arguments in (("ingest", shop.events), ("find", "--ip", "198.51.100.7"), ("dead-letters", "replay")):
        said = fraudgraph(*arguments, "--store", shop.url, env=other)
        assert said.code == 4, arguments
        assert "abab" not in said.err
    key = Path(shop.url.removeprefix("sqlite:///") + ".key")
    away = key.rename(key.with_suffix(".away"))
    try:
        assert fraudgraph("ingest", shop.events, "--store", shop.url).code == 4
        assert fraudgraph("find", "--ip", "198.51.100.7", "--store", shop.url).code == 4
        assert not key.exists()
        assert fraudgraph("rings", "list", "--store", shop.url).code == 0
        assert fraudgraph("find", "--user", "nobody", "--store", shop.url).code == 0
        assert fraudgraph("doctor", "--store", shop.url).code == 4
    finally:
        away.rename(key)


def test_doctor_is_content(shop: Shop) -> None:
    said = fraudgraph("doctor", "--store", shop.url, "--format", "json")
    assert said.code == 0
    states = {check["name"]: check["state"] for check in said.json["checks"]}
    expected = {"python", "packages", "settings", "store", "key", "link policy", "dead letters", "disk", "narrator"}
    assert set(states) == expected
    assert {state for name, state in states.items() if name != "disk"} == {"ok"}
    wrong = fraudgraph("doctor", "--store", shop.url, "--set", "links.theta=0.7")
    assert wrong.code == 4
    assert "link policy" in wrong.out


def test_killed_and_resumed_equals_one_run(shop: Shop, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    key = Path(shop.url.removeprefix("sqlite:///") + ".key")
    env = {"FRAUDGRAPH_KEY": key.read_text().strip()}
    words = command(("ingest", shop.events, "--store", url, "--set", "ingest.batch_events=200"))
    for number in (signal.SIGKILL, signal.SIGTERM):
        at = _commits(tmp_path / "shop.db")
        running = subprocess.Popen(words, env=environment(env), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 120
        while _commits(tmp_path / "shop.db") < at + 3 and running.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        running.send_signal(number)
        _, err = running.communicate(timeout=120)
        if number == signal.SIGTERM and b"stopped before the end" in err:
            assert running.returncode == 0
    assert _commits(tmp_path / "shop.db") > 3
    last = fraudgraph("ingest", shop.events, "--store", url, "--set", "ingest.batch_events=200", env=env)
    assert last.code == 0, last.err
    assert _contents(url) == _contents(shop.url)


def _commits(path: Path) -> int:
    """Returns the number of the last commit, 0 where there is no store yet."""
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
            return int(db.execute("SELECT commit_no FROM state").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


BAD_LINES = {
    "malformed-json": b'{"type": "login", "event_id": ',
    "unknown-type": b'{"type":"gift","event_id":"b1","ts":"2026-01-02T10:00:00Z","user_id":"u1"}',
    "missing-field": b'{"type":"login","event_id":"b2","ts":"2026-01-02T10:00:00Z"}',
    "invalid-identifier": b'{"type":"login","event_id":"3","ts":"2026-01-02T10:00:00Z","user_id":"u","email":"canary"}',
    "invalid-amount": b'{"type":"order","event_id":"b4","ts":"2026-01-02T10:00:00Z","user_id":"u1","amount":"-1"}',
}
NATIONAL = (
    b'{"type":"login","event_id":"n1","ts":"2026-01-02T10:00:00Z","user_id":"u2","phone":"0151 99887766"}'  # no country
)


@pytest.fixture
def damaged(tmp_path: Path) -> Shop:
    """A store that read a file with a bad line of each kind."""
    events = tmp_path / "events.jsonl"
    good = [
        json.dumps({"type": "login", "event_id": f"g{n}", "ts": f"2026-01-02T1{n}:00:00Z", "user_id": f"u{n}"}).encode()
        for n in range(3)
    ]
    events.write_bytes(b"\n".join([*good, *BAD_LINES.values(), NATIONAL]) + b"\n")
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    return Shop(events, url, fraudgraph("ingest", events, "--store", url))


def test_bad_lines_become_dead_letters_with_reason_and_position(damaged: Shop) -> None:
    assert damaged.said.code == 0
    assert "3 events applied" in damaged.said.err
    said = fraudgraph("dead-letters", "list", "--store", damaged.url, "--format", "json", "--exit-code")
    assert said.code == 3
    letters = said.json["dead_letters"]
    assert [letter["reason"] for letter in letters] == [*BAD_LINES, "invalid-identifier"]
    assert all(letter["bytes_base64"] is None for letter in letters)
    assert all(letter["position"].startswith("file:events.jsonl#") for letter in letters)
    for reason in BAD_LINES:
        assert reason in damaged.said.err
    one = fraudgraph("dead-letters", "list", "--store", damaged.url, "--reason", "unknown-type")
    assert len(one.out.splitlines()) == 2
    assert fraudgraph("dead-letters", "list", "--store", damaged.url, "--reason", "bad").code == 2


def test_originals_are_revealed_only_where_asked(damaged: Shop) -> None:
    said = fraudgraph("dead-letters", "list", "--store", damaged.url, "--format", "json", "--reveal")
    originals = [base64.b64decode(letter["bytes_base64"]) for letter in said.json["dead_letters"]]
    assert originals == [*BAD_LINES.values(), NATIONAL]
    assert fraudgraph("dead-letters", "list", "--store", damaged.url, "--reveal").code == 2
    for file in Path(damaged.events).parent.glob("shop.db*"):
        assert b"canary" not in file.read_bytes()
        assert b"99887766" not in file.read_bytes()


def test_replay_applies_what_settings_now_let_in_and_keeps_the_rest(damaged: Shop) -> None:
    nothing = fraudgraph("dead-letters", "replay", "--store", damaged.url)
    assert (nothing.code, nothing.out) == (0, "")
    assert "0 events applied" in nothing.err
    mended = fraudgraph("dead-letters", "replay", "--store", damaged.url, "--set", "identity.default_region=DE")
    assert "1 event applied" in mended.err
    left = fraudgraph("dead-letters", "list", "--store", damaged.url, "--format", "json").json["dead_letters"]
    assert [letter["reason"] for letter in left] == list(BAD_LINES)
    found = fraudgraph("find", "--phone", "-", "--store", damaged.url, "--format", "json", stdin="+4915199887766")
    assert [user["user_id"] for user in found.json["users"]] == ["u2"]


def test_a_late_event_is_a_dead_letter_and_replay_back_fills_it(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    days = ["2026-01-02", "2026-01-02", "2026-01-03", "2026-01-01"]
    events.write_text(
        "".join(
            json.dumps({"type": "login", "event_id": f"e{n}", "ts": f"{day}T10:00:00Z", "user_id": f"u{n}"}) + "\n"
            for n, day in enumerate(days)
        )
    )
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    assert fraudgraph("ingest", events, "--store", url, "--format", "json").json["dead_letters"] == {"too-late": 1}
    assert "1 event applied" in fraudgraph("dead-letters", "replay", "--store", url, "--reason", "too-late").err
    assert "every event was applied" in fraudgraph("dead-letters", "list", "--store", url).err
    assert fraudgraph("find", "--user", "u3", "--store", url, "--format", "json").json["users_total"] == 1


@pytest.mark.parametrize(
    ("name", "content", "code", "says"),
    [
        ("none.jsonl", None, 5, "there is no file"),
        ("events.xlsx", b"x", 4, "not a kind of file"),
        ("empty.jsonl", b"", 0, "the input is empty"),
        ("torn.jsonl.gz", b"\x1f\x8b\x08\x00torn", 0, "next: fraudgraph dead-letters list --store sqlite:///"),
    ],
)
def test_files_that_hold_no_events(tmp_path: Path, name: str, content: bytes | None, code: int, says: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    said = fraudgraph("ingest", tmp_path / name, "--store", f"sqlite:///{tmp_path / 'shop.db'}")
    assert said.code == code, said.err
    assert says in said.err
    if code:
        assert said.err.startswith("error: ")
        assert "\nnext: " in said.err
        assert not (tmp_path / "shop.db").exists()


def test_standard_input_is_a_source(tmp_path: Path) -> None:
    line = json.dumps({"type": "login", "event_id": "e", "ts": "2026-01-02T10:00:00Z", "user_id": "u"})
    said = process("ingest", "-", "--store", f"sqlite:///{tmp_path / 'shop.db'}", "--format", "json", stdin=line + "\n")
    assert said.json["events"] == 1


def test_demo_prints_queue_and_report_and_leaves_files(tmp_path: Path) -> None:
    said = fraudgraph("demo", "--out", tmp_path / "demo", "--users", 800, "--days", 7)
    assert said.code == 0, said.err
    assert said.out.startswith("ring ")
    assert "What speaks against it" in said.out
    assert (tmp_path / "demo" / "ring.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "demo" / "ring.html").read_text()
    again = fraudgraph("demo", "--out", tmp_path / "demo", "--users", 800, "--days", 7)
    assert again.out.partition("What ties them")[0] == said.out.partition("What ties them")[0]  # then come pseudonyms


def test_a_list_starts_without_the_heavy_libraries(shop: Shop) -> None:
    heavy = ("numpy", "numba", "pyarrow", "matplotlib", "networkx", "sklearn", "torch", "igraph", "structlog")
    words = command(("rings", "list", "--store", shop.url))
    for arguments in (words, [*words[:2], "rings", "show", shop.rings()[0]["ring_id"], "--store", shop.url]):
        done = subprocess.run(
            [arguments[0], "-X", "importtime", *arguments[1:]], capture_output=True, text=True, env=environment()
        )
        assert done.returncode == 0
        imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
        assert "fraudgraph.stores.sqlite.reader" in imported
        assert imported.isdisjoint(heavy)


def test_a_closed_pipe_and_no_color_behave(shop: Shop) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        command(("rings", "list", "--store", shop.url)), stdout=write, stderr=subprocess.PIPE, env=environment()
    )
    os.close(write)
    assert b"Traceback" not in done.stderr
    assert b"BrokenPipe" not in done.stderr
    plain = process("rings", "list", "--store", shop.url, env={"NO_COLOR": "1"})
    assert (plain.code, plain.err) == (0, "")
    assert "\x1b" not in plain.out


def test_alerts_are_listed_with_where_their_ring_is_now(shop: Shop) -> None:
    alerts = fraudgraph("alerts", "list", "--store", shop.url, "--format", "json").json["alerts"]
    assert alerts
    assert [alert["at"] for alert in alerts] == sorted((alert["at"] for alert in alerts), reverse=True)
    living = {ring["ring_id"] for ring in shop.rings()}
    assert living & {alert["ring_id_now"] for alert in alerts}
    sizes = {ring["ring_id"]: (ring["users"], ring["value_at_risk"], ring["currency"]) for ring in shop.rings()}
    for alert in alerts:
        if alert["ring_id_now"] in sizes:
            assert (alert["users_now"], alert["value_at_risk_now"], alert["currency"]) == sizes[alert["ring_id_now"]]
    newest = fraudgraph("alerts", "list", "--store", shop.url, "--limit", 1, "--since", alerts[0]["at"], "--exit-code")
    assert newest.code == 3
    assert alerts[0]["ring_id"] in newest.out
    assert fraudgraph("alerts", "list", "--store", shop.url, "--since", "2099-01-01").out == ""
