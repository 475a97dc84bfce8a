"""How much of a shop hangs together in one component is told by every run, with a warning where it is too much."""

from __future__ import annotations

from pathlib import Path

import msgspec
from support.cli import fraudgraph


def shop(folder: Path, together: int, alone: int) -> Path:
    """Writes a shop in which so many accounts use one device, and so many their own."""
    devices = ["kiosk"] * together + [f"own {place}" for place in range(alone)]
    events = [
        {
            "type": "login",
            "event_id": f"e{place}",
            "ts": f"2026-01-01T{place // 60:02}:{place % 60:02}:00Z",
            "user_id": f"u{place}",
            "device_id": device,
        }
        for place, device in enumerate(devices)
    ]
    file = folder / "events.jsonl"
    file.write_bytes(b"\n".join(msgspec.json.encode(event) for event in events))
    return file


def test_a_share_above_the_alarm_is_warned_of(tmp_path: Path) -> None:
    file = shop(tmp_path, 150, 150)
    said = fraudgraph("ingest", file, "--store", f"sqlite:///{tmp_path / 'a.db'}")
    assert said.code == 0
    assert "largest component: 50.0 % of 300 accounts" in said.err
    assert "warning: that is more than 5 %" in said.err
    calm = ("--set", "rings.largest_share_alarm=0.6", "--format", "json")
    told = fraudgraph("ingest", file, "--store", f"sqlite:///{tmp_path / 'b.db'}", *calm)
    assert (told.json["users"], told.json["largest_component_users"]) == (300, 150)
    assert told.json["largest_component_share"] == 0.5
    quiet = fraudgraph("ingest", file, "--store", f"sqlite:///{tmp_path / 'a.db'}", *calm[:2])
    assert "warning" not in quiet.err
    assert "largest component: 50.0 %" in quiet.err


def test_a_few_accounts_are_no_alarm_in_a_small_shop(tmp_path: Path) -> None:
    said = fraudgraph("ingest", shop(tmp_path, 20, 20), "--store", f"sqlite:///{tmp_path / 'a.db'}")
    assert "largest component: 50.0 % of 40 accounts" in said.err
    assert "warning" not in said.err
