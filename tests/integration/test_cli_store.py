"""A store is backed up, restored and moved, and goes on as if nothing had been."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from support.cli import fraudgraph, store_contents

OF_THE_PLACE = ("state", "sqlite_sequence", "seen")
"""Tables that tell of commits and not of what is kept; event ids are there once per commit, or once in a copy."""


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("halves")
    world = fraudgraph("simulate", "--seed", 5, "--users", 800, "--days", 10, "--ring-share", 0.05, "--out", folder)
    assert world.code == 0
    lines = (folder / "events.jsonl").read_bytes().splitlines(keepends=True)
    first, second = folder / "first.jsonl", folder / "second.jsonl"
    first.write_bytes(b"".join(lines[: len(lines) // 2]))
    second.write_bytes(b"".join(lines[len(lines) // 2 :]))
    return first, second


@pytest.fixture
def shop(halves: tuple[Path, Path], tmp_path: Path) -> Path:
    """A store of the first half, with a decision and a command that waits for nobody."""
    file = tmp_path / "shop.db"
    assert fraudgraph("ingest", halves[0], "--store", _url(file)).code == 0
    ring = fraudgraph("rings", "list", "--store", _url(file), "--format", "json", "--min-probability", 0).json["rings"][
        0
    ]
    decided = fraudgraph(
        "rings", "decide", ring["ring_id"], "confirmed", "--reason", "chargebacks", "--store", _url(file)
    )
    assert decided.code == 0, decided.err
    return file


def test_a_restored_backup_goes_on_as_the_store_itself(halves: tuple[Path, Path], shop: Path, tmp_path: Path) -> None:
    backup, restored = tmp_path / "backup.db", tmp_path / "restored.db"
    said = fraudgraph("store", "backup", backup, "--store", _url(shop))
    assert said.code == 0, said.err
    assert "commit" in said.err
    assert (
        fraudgraph("rings", "list", "--store", _url(backup)).out
        == fraudgraph("rings", "list", "--store", _url(shop)).out
    )
    assert fraudgraph("store", "restore", backup, "--store", _url(restored)).code == 0
    shutil.copy(f"{shop}.key", f"{restored}.key")
    for file in (shop, restored):
        assert fraudgraph("ingest", halves[1], "--store", _url(file)).code == 0
    assert _contents(restored) == _contents(shop)
    assert fraudgraph("audit", "verify", "--store", _url(restored)).code == 0


def test_a_move_to_another_store_leaves_the_old_one(shop: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    before = _contents(shop)
    assert fraudgraph("store", "migrate", "--to", _url(other), "--store", _url(shop)).code == 0
    assert _contents(other) == _contents(shop) == before


def test_nothing_is_replaced(shop: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup.db"
    assert fraudgraph("store", "backup", backup, "--store", _url(shop)).code == 0
    again = fraudgraph("store", "backup", backup, "--store", _url(shop))
    assert again.code == 2
    assert "already" in again.err
    before = _contents(shop)
    into_used = fraudgraph("store", "restore", backup, "--store", _url(shop))
    assert into_used.code != 0
    assert "in use" in into_used.err
    assert _contents(shop) == before
    assert fraudgraph("store", "restore", tmp_path / "none.db", "--store", _url(tmp_path / "new.db")).code == 5


def _url(file: Path) -> str:
    return f"sqlite:///{file}"


def _contents(file: Path) -> dict[str, list[tuple[Any, ...]]]:
    return store_contents(file, OF_THE_PLACE)
