"""Where events come from at the command line: simulated worlds and a shop's own tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.cli import fraudgraph

MAPPING = """
[tables.accounts]
file = "accounts.csv"

[[events]]
table = "accounts"
type = "signup"

[events.fields]
event_id = { template = "signup-{id}" }
ts = { column = "created", time = "iso" }
user_id = "id"
email = "mail"
"""


def test_a_seed_is_a_world(tmp_path: Path) -> None:
    for name in ("a", "b"):
        said = fraudgraph("simulate", "--seed", 5, "--users", 200, "--days", 3, "--out", tmp_path / name)
        assert (said.code, said.out) == (0, "")
        assert "next: fraudgraph ingest" in said.err
    assert (tmp_path / "a" / "events.jsonl").read_bytes() == (tmp_path / "b" / "events.jsonl").read_bytes()
    truth = json.loads((tmp_path / "a" / "truth.json").read_text())
    assert truth["rings"]


@pytest.mark.parametrize("options", [("--users", 3), ("--ring-share", 0.9), ("--typology", "x"), ("--start", "May")])
def test_a_world_that_cannot_be_says_why(tmp_path: Path, options: tuple[object, ...]) -> None:
    said = fraudgraph("simulate", *options, "--out", tmp_path / "world")
    assert said.code in (2, 4)
    assert said.err.startswith("error: ")
    assert not (tmp_path / "world").exists()


def test_a_file_that_is_no_simulated_world_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text("precious\n")
    assert fraudgraph("simulate", "--users", 200, "--days", 1, "--out", tmp_path).code == 2
    assert fraudgraph("demo", "--users", 200, "--days", 1, "--out", tmp_path / "demo").code == 0
    (tmp_path / "demo" / "world" / "truth.json").unlink()
    assert fraudgraph("demo", "--users", 200, "--days", 1, "--out", tmp_path / "demo").code == 2
    assert (tmp_path / "events.jsonl").read_text() == "precious\n"


def test_tables_become_events_and_unusable_rows_are_named(tmp_path: Path) -> None:
    (tmp_path / "shop.toml").write_text(MAPPING)
    (tmp_path / "accounts.csv").write_text(
        "id,created,mail\nu1,2026-01-02T10:00:00Z,a@example.com\nu2,never,canary@example.com\n,2026-01-02T10:00:00Z,\n"
    )
    out, rejects = tmp_path / "events.jsonl", tmp_path / "rejects.jsonl"
    said = fraudgraph("import", tmp_path / "shop.toml", tmp_path, "--out", out, "--rejects", rejects)
    assert (said.code, said.out) == (0, "")
    assert "1 event from 3 rows" in said.err
    assert "not usable: accounts: ts" in said.err
    assert len(rejects.read_text().splitlines()) == 2
    assert "canary" not in said.err + rejects.read_text()
    (event,) = map(json.loads, out.read_text().splitlines())
    assert (event["type"], event["user_id"]) == ("signup", "u1")
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    assert fraudgraph("ingest", out, "--store", url, "--format", "json").json["events"] == 1


def test_names_from_outside_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    said = fraudgraph("ingest", tmp_path / "no\x1b]0;pwn\x07.jsonl", "--store", f"sqlite:///{tmp_path / 'shop.db'}")
    assert said.code == 5
    assert r"no\x1b]0;pwn\x07.jsonl" in said.err
    (tmp_path / "shop.toml").write_text(MAPPING)
    (tmp_path / "accounts.csv").write_text("id,created,mai\x1bl\nu1,2026-01-02T10:00:00Z,a@example.com\n")
    said = fraudgraph("import", tmp_path / "shop.toml", tmp_path, "--out", tmp_path / "events.jsonl")
    assert said.code == 4
    assert "\x1b" not in said.err


def test_a_mapping_under_which_no_row_can_be_used_fails(tmp_path: Path) -> None:
    (tmp_path / "shop.toml").write_text(MAPPING)
    table, out = tmp_path / "accounts.csv", tmp_path / "events.jsonl"
    table.write_text("id,created,mail\nu1,01.02.2026,a@example.com\n")
    said = fraudgraph("import", tmp_path / "shop.toml", tmp_path, "--out", out)
    assert said.code == 1
    assert "next: mend the mapping" in said.err
    assert "fraudgraph ingest" not in said.err
    table.write_text("id,created,mail\n")  # nothing happened yet, which is no failure
    assert fraudgraph("import", tmp_path / "shop.toml", tmp_path, "--out", out).code == 0


@pytest.mark.parametrize(
    ("mapping", "says"),
    [
        (MAPPING.replace('"mail"', '"post"'), "post"),
        (MAPPING.replace("accounts.csv", "people.csv"), "people.csv"),
        (MAPPING.replace("[tables.accounts]", "[tabels.accounts]"), "tables"),
        ("", "maps nothing"),
    ],
)
def test_a_mapping_that_fits_nothing_is_a_configuration_error(tmp_path: Path, mapping: str, says: str) -> None:
    (tmp_path / "shop.toml").write_text(mapping)
    (tmp_path / "accounts.csv").write_text("id,created,mail\nu1,2026-01-02T10:00:00Z,a@example.com\n")
    said = fraudgraph("import", tmp_path / "shop.toml", tmp_path, "--out", tmp_path / "events.jsonl")
    assert said.code in (4, 5)
    assert says in said.err
    assert not (tmp_path / "events.jsonl").exists()
