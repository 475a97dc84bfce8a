"""A restart from the local snapshot, and one from the store alone, are the same restart."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.cli import fraudgraph

FIRST = datetime(2026, 1, 1, tzinfo=UTC)


def _write(path: Path, *, transfers: int) -> None:
    """Writes transfers between many pairs, so that columns grow, over more days than a transfer is remembered."""
    with path.open("w") as out:
        for n in range(transfers):
            ts = (FIRST + timedelta(hours=n * 24)).isoformat()
            event = {"type": "transfer", "event_id": f"t{n}", "ts": ts, "user_id": f"a{n}", "to_user_id": f"b{n}"}
            out.write(json.dumps(event | {"amount": "10.00", "currency": "EUR"}) + "\n")


@pytest.mark.parametrize("keep_snapshot", [True, False])
def test_more_events_after_a_restart(tmp_path: Path, keep_snapshot: bool) -> None:
    events, url = tmp_path / "events.jsonl", f"sqlite:///{tmp_path / 'shop.db'}"
    _write(events, transfers=700)
    assert fraudgraph("ingest", events, "--store", url, "--format", "json").json["events"] == 700
    snapshot = tmp_path / "shop.db.snapshot"
    assert snapshot.exists()
    if not keep_snapshot:
        snapshot.unlink()
    _write(events, transfers=800)
    assert fraudgraph("ingest", events, "--store", url, "--format", "json").json["events"] == 100
    assert fraudgraph("ingest", events, "--store", url, "--format", "json").json["events"] == 0
