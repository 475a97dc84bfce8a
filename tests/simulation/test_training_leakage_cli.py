"""`audit-leakage` as people run it: on events, on their own table, on a store whose sources are still there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.cli import fraudgraph
from support.gangs import shop_with_gangs

from fraudgraph.app import stored_events
from fraudgraph.cases.book import SOURCE
from fraudgraph.settings import load_settings
from training.leakage.table import TEST, read_table, write_table
from training.prepared import survey
from training.replay import EventSource

PLAN = "[labels]\nhorizon_days = 3\nfit_cuts = 2\n"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Writes a shop's events, a training, and the pipeline's own table."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "events").mkdir()
    lines = shop_with_gangs(11)
    middle = len(lines) // 2
    (folder / "events" / "1.jsonl").write_bytes(b"".join(line + b"\n" for line in lines[:middle]))
    (folder / "events" / "2.jsonl").write_bytes(b"".join(line + b"\n" for line in lines[middle:]))
    (folder / "plan.toml").write_text(PLAN)
    said = fraudgraph(
        *("audit-leakage", "--config", folder / "plan.toml", "--data", folder / "events"),
        *("--no-gains", "--write-table", folder / "own.parquet"),
    )
    assert said.code == 0, said.out + said.err
    assert " 0 leaks" in said.err
    return folder


def audited(shop: Path, *more: object) -> tuple[int, dict[str, object]]:
    said = fraudgraph(
        "audit-leakage", "--config", shop / "plan.toml", "--data", shop / "events", "--no-gains", "--json", *more
    )
    return said.code, json.loads(said.out)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_is_clean_until_somebody_bends_it(shop: Path, suffix: str) -> None:
    own = read_table(shop / "own.parquet")
    path = shop / f"theirs{suffix}"
    write_table(own, path)
    assert read_table(path).label.tolist() == own.label.tolist()
    assert audited(shop, "--table", path)[0] == 0
    test = own.role(TEST)
    kept = ~test | own.label | (np.cumsum(test & ~own.label) <= int((test & own.label).sum()))
    write_table(own.take(kept), path)
    code, document = audited(shop, "--table", path)
    assert code == 3
    assert {each["kind"] for each in document["findings"] if each["leak"]} == {"base-rate"}  # type: ignore[attr-defined]


def test_a_label_cut_that_somebody_names_is_the_one_that_counts(shop: Path) -> None:
    code, document = audited(shop, "--table", shop / "own.parquet", "--label-cut", "2026-01-20")
    assert code == 3
    assert {each["kind"] for each in document["findings"] if each["leak"]} == {"labels"}  # type: ignore[attr-defined]


def test_a_store_is_audited_by_what_it_read(shop: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shop.db"
    assert fraudgraph("ingest", shop / "events", "--store", url).code == 0
    base = ("audit-leakage", "--config", shop / "plan.toml", "--data", url, "--no-gains", "--json")
    said = fraudgraph(*base)
    assert said.code == 2
    assert "1.jsonl, 2.jsonl" in said.err
    assert "--sources" in said.err
    said = fraudgraph(*base, "--sources", shop / "events" / "1.jsonl")
    assert said.code == 5
    assert "2.jsonl" in said.err
    # What came after the last commit is not the store's.
    grown = tmp_path / "grown"
    grown.mkdir()
    (grown / "1.jsonl").write_bytes((shop / "events" / "1.jsonl").read_bytes())
    more = b'{"type":"signup","event_id":"new","ts":"2027-06-01T00:00:00Z","user_id":"new"}\n'
    (grown / "2.jsonl").write_bytes((shop / "events" / "2.jsonl").read_bytes() + more)
    said = fraudgraph(*base, "--sources", grown)
    assert (said.code, said.json) == (0, {**audited(shop)[1]})


def test_what_investigators_decided_is_among_a_stores_labels(shop: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shop.db"
    assert fraudgraph("ingest", shop / "events", "--store", url).code == 0
    ring = fraudgraph("rings", "list", "--min-probability", "0", "--store", url, "--format", "json").json["rings"][0][
        "ring_id"
    ]
    decide = ("rings", "decide", ring, "confirmed", "--reason", "chargebacks", "--author", "zoe", "--store", url)
    assert fraudgraph(*decide).code == 0
    settings = load_settings(flags={"store.url": url})
    stored = stored_events(settings.settings, [shop / "events"])
    log = survey(EventSource(stored.read, stored.labels), stored.decoder).labels
    assert len({label.user for label in log.labels.values() if label.source == SOURCE}) >= 3
    assert any(label.source == "chargeback" for label in log.labels.values())
