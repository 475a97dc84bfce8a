"""On rings that the engine found in a simulated world: the report's own sums are those of the queue."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from support.cli import fraudgraph

from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.reports.json import listed_ring, report_json
from fraudgraph.reports.model import build_report
from fraudgraph.rings.facts import facts, recompute
from fraudgraph.rings.money import ring_money
from fraudgraph.rings.snapshot import RingSnapshot
from fraudgraph.stores.port import RingRow
from fraudgraph.stores.url import open_reader

Found = list[tuple[RingRow, RingSnapshot]]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """The queue of a small world with all kinds of ring, with each ring's snapshot."""
    folder: Path = tmp_path_factory.mktemp("reconcile")
    url = f"sqlite:///{folder / 'shop.db'}"
    world = ("--seed", 11, "--users", 1500, "--days", 45, "--ring-share", 0.1)
    assert fraudgraph("simulate", *world, "--out", folder).code == 0
    said = fraudgraph("ingest", folder / "events.jsonl", "--store", url)
    assert said.code == 0, said.err
    with closing(open_reader(url, LinkPolicy(), PriorityRules())) as reader:
        rows = [(row, reader.snapshot(row.ring_id)) for row in reader.rings()]
    assert len(rows) >= 20
    return [(row, snapshot) for row, snapshot in rows if snapshot is not None]


def test_money_at_risk_is_the_engines(found: Found) -> None:
    for row, snapshot in found:
        money = ring_money(snapshot)
        if not money.from_transfers:
            assert (money.value_at_risk_minor, money.currency) == (row.value_at_risk_minor, row.currency)
    assert sum(row.value_at_risk_minor for row, _ in found) > 0


def test_the_report_shows_the_row_of_the_queue(found: Found) -> None:
    for row, snapshot in found:
        listed = listed_ring(build_report(snapshot))
        assert (listed.users, listed.identifiers) == (row.users, row.identifiers)
        assert (listed.first_seen_ms, listed.last_seen_ms) == (row.first_seen_ms, row.last_seen_ms)


def test_every_fact_of_every_ring_is_recomputed_and_no_pseudonym_is_shown(found: Found) -> None:
    for _, snapshot in found:
        for fact in facts(snapshot):
            assert recompute(snapshot, fact) == fact
        text = json.dumps(report_json(build_report(snapshot)), allow_nan=False)
        assert not [link.key for link in snapshot.links if link.key in text]
