"""The shipped mappings over the real data: every row is accounted for, and the decoder takes every event."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fraudgraph.events import identity
from fraudgraph.events.decoder import Decoder
from fraudgraph.events.kinds import EntityKind, EventType
from fraudgraph.events.pseudonyms import Pseudonymiser
from fraudgraph.events.vault import Vault
from fraudgraph.streams.files import FileStream
from fraudgraph.tables import ImportReport, import_tables, load_mapping

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not DATA.is_dir(), reason="the real data is not there (../shared/data)"),
]


def run(name: str, tmp_path: Path) -> tuple[ImportReport, list[dict[str, Any]], Path]:
    out = tmp_path / "events.jsonl"
    report = import_tables(load_mapping(ROOT / "configs" / "datasets" / f"{name}.toml"), DATA / name, out)
    return report, [msgspec.json.decode(line) for line in out.read_bytes().splitlines()], out


def decoded(path: Path) -> Counter[tuple[str, str]]:
    """Sends a file through the stream and the decoder; returns events per type and links per (type, kind)."""
    decoder = Decoder(Pseudonymiser(b"k" * 32), Vault(b"v" * 32), default_region=None, default_currency=None)
    stream = FileStream([path])
    counts: Counter[tuple[str, str]] = Counter()
    while (raw := stream.poll(20_000)) is not None:
        batch = decoder.decode(raw)
        assert batch.dead_letters == []
        types = [EventType(t).name.lower() for t in batch.type]
        counts.update((t, "") for t in types)
        counts.update(
            (types[event], EntityKind(kind).label)
            for event, kind in zip(batch.link_event.tolist(), batch.link_kind.tolist(), strict=True)
        )
    return counts


def test_p2p(tmp_path: Path) -> None:
    report, events, out = run("p2p", tmp_path)
    assert {(b.table, b.event, b.rows, b.events, b.left_out) for b in report.blocks} == {
        ("cards", "login", 98_826, 98_826, 0),
        ("devices", "login", 41_806, 41_806, 0),
        ("transfers", "transfer", 74_345, 74_345, 0),
        ("users", "chargeback", 33_315, 168, 33_147),
    }
    assert report.rejected == 0
    assert len({e["card"] for e in events if "card" in e}) == 91_816
    assert len({e["device_id"] for e in events if "device_id" in e}) == 39_323
    assert len({e["user_id"] for e in events} | {e["to_user_id"] for e in events if "to_user_id" in e}) == 33_315
    times = [datetime.fromisoformat(e["ts"]) for e in events]
    assert times == sorted(times)
    assert times[-1] < datetime(2018, 7, 1, tzinfo=UTC)
    assert all(t.hour == 23 for t, e in zip(times, events, strict=True) if e["type"] == "chargeback")
    assert decoded(out) == {
        ("login", ""): 140_632,
        ("login", "card"): 98_826,
        ("login", "device"): 41_806,
        ("transfer", ""): 74_345,
        ("chargeback", ""): 168,
    }


def test_ecom(tmp_path: Path) -> None:
    report, events, out = run("ecom", tmp_path)
    assert {(b.event, b.rows, b.events, b.left_out) for b in report.blocks} == {
        ("signup", 51_689, 51_689, 0),
        ("order", 51_689, 51_689, 0),
    }
    assert report.rejected == 0
    assert len({e["device_id"] for e in events}) == 48_918
    assert len({e["ip"] for e in events if "ip" in e}) == 29_156
    assert not any("class" in e or e["type"] == "label" for e in events)
    assert sum("ip" in e for e in events) == 2 * 30_189
    routable = sum(identity.ip(e["ip"]) is not None for e in events if e["type"] == "order" and "ip" in e)
    assert 25_000 < routable < 30_189
    assert decoded(out) == {
        ("signup", ""): 51_689,
        ("signup", "device"): 51_689,
        ("signup", "ip"): routable,
        ("order", ""): 51_689,
        ("order", "device"): 51_689,
        ("order", "ip"): routable,
    }
