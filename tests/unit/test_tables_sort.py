"""Events of several files in the order of time, none lost."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from support.cli import fraudgraph

from fraudgraph.tables.sort import sort_events


def line(number: int, second: int) -> bytes:
    return json.dumps({"event_id": f"e{number}", "ts": f"2026-01-01T00:{second // 60:02}:{second % 60:02}Z"}).encode()


@given(st.lists(st.lists(st.integers(0, 3599), max_size=20), min_size=1, max_size=3))
def test_sorted_by_time_and_then_by_place(tmp_path_factory, files: list[list[int]]) -> None:  # type: ignore[no-untyped-def]  # pytest's fixture
    folder = tmp_path_factory.mktemp("sort")
    number, expected = 0, []
    for place, seconds in enumerate(files):
        lines = []
        for second in seconds:
            lines.append(line(number, second))
            expected.append((second, number))
            number += 1
        (folder / f"{place}.jsonl").write_bytes(b"".join(each + b"\n" for each in lines))
    done = sort_events([folder], folder / "out.sorted")
    written = (folder / "out.sorted").read_bytes().splitlines()
    assert written == [line(each, second) for second, each in sorted(expected)]
    assert (done.lines, done.without_time, done.unreadable) == (number, 0, 0)


def test_what_has_no_time_stays_beside_its_neighbour(tmp_path: Path) -> None:
    lines = [line(1, 50), b"no json", b'{"event_id": "e2"}', line(3, 10)]
    (tmp_path / "e.jsonl").write_bytes(b"\n".join(lines))
    done = sort_events([tmp_path / "e.jsonl"], tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_bytes().splitlines() == [lines[3], *lines[:3]]
    assert (done.lines, done.without_time) == (4, 2)


def test_a_back_fill_in_any_order_has_no_late_event(tmp_path: Path) -> None:
    world = fraudgraph("simulate", "--seed", 2, "--users", 200, "--days", 5, "--out", tmp_path)
    assert world.code == 0
    lines = (tmp_path / "events.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "shuffled.jsonl").write_bytes(b"".join(lines[1::2] + lines[::2]))
    said = fraudgraph("sort", tmp_path / "shuffled.jsonl", "--out", tmp_path / "sorted.jsonl")
    assert said.code == 0, said.err
    assert f"{len(lines):,} events" in said.err
    done = fraudgraph(
        "ingest", tmp_path / "sorted.jsonl", "--store", f"sqlite:///{tmp_path / 'a.db'}", "--format", "json"
    )
    assert done.json["dead_letters"] == {}
    assert done.json["events"] == len(lines)
    same = fraudgraph("sort", tmp_path / "sorted.jsonl", "--out", tmp_path / "sorted.jsonl")
    assert same.code == 2
