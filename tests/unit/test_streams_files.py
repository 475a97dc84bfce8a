"""FileStream on the inputs that real life brings: broken, growing, replaced, oversized, missing."""

from __future__ import annotations

import gzip
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraudgraph.errors import ConfigurationError, DependencyError, UsageError
from fraudgraph.streams.files import FileStream
from fraudgraph.streams.port import RawBatch


def drain(
    paths: Sequence[str | Path], positions: Mapping[str, int] | None = None, **options: object
) -> tuple[list[bytes], dict[str, int], list[RawBatch]]:
    """Reads everything; returns (values, positions to resume from, batches)."""
    stream = FileStream(paths, **options)  # type: ignore[arg-type]  # options differ in type
    stream.seek(positions or {})
    values: list[bytes] = []
    after = dict(positions or {})
    batches = []
    while (batch := stream.poll(100)) is not None:
        batches.append(batch)
        values += batch.values
        for part, position in zip(batch.partition_of, batch.next_offsets, strict=True):
            after[batch.partitions[part]] = position
        for partition, offset, _, _ in batch.damaged:  # as the decoder does
            after[partition] = max(after.get(partition, 0), offset + 1)
    stream.close()
    return values, after, batches


def damage(batches: list[RawBatch]) -> list[tuple[int, bytes, str]]:
    return [(offset, seen, reason) for batch in batches for _, offset, seen, reason in batch.damaged]


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        b'{"a":1}\n{"b":2}\n',
        b'{"a":1}\n{"b":2}',
        b'{"a":1}\r\n{"b":2}\r\n',
        b'\xef\xbb\xbf{"a":1}\n\n\r\n{"b":2}\n\n\n',
        b'\n\n{"a":1}\r\n\n{"b":2}\r',
    ],
)
def test_line_ends_marks_and_blank_lines(tmp_path: Path, content: bytes) -> None:
    values, after, _ = drain([write(tmp_path / "e.jsonl", content)])
    assert values == [b'{"a":1}', b'{"b":2}']
    again, _, _ = drain([tmp_path / "e.jsonl"], after)
    assert again == []
    zipped = write(tmp_path / "z.jsonl.gz", gzip.compress(content))
    assert drain([zipped])[0] == values


def test_blocks_cut_lines_anywhere() -> None:
    lines = [b"x" * (i * 37 % 5000) for i in range(1, 400)]

    class Dripping(io.BytesIO):
        def read1(self, size: int | None = -1, /) -> bytes:
            return super().read1(17 + self.tell() % 1000)

    values, _, _ = drain(["-"], stdin=Dripping(b"\n".join(lines)))
    assert values == lines


def test_appending_keeps_the_partition_and_brings_only_what_is_new(tmp_path: Path) -> None:
    path = write(tmp_path / "e.jsonl", b"one\ntwo\n")
    _, after, _ = drain([path])
    path.write_bytes(b"one\ntwo\nthree\n")
    values, later, _ = drain([path], after)
    assert values == [b"three"]
    assert list(later) == list(after)


def test_an_unfinished_line_comes_again_whole_once_it_is_finished(tmp_path: Path) -> None:
    path = write(tmp_path / "e.jsonl", b'one\n{"amo')
    values, after, _ = drain([path])
    assert values == [b"one", b'{"amo']
    assert drain([path], after)[0] == []
    path.write_bytes(b'one\n{"amount":5}\nthree\n')
    assert drain([path], after)[0] == [b'{"amount":5}', b"three"]


def test_a_last_line_that_only_lacked_its_newline_does_not_come_again(tmp_path: Path) -> None:
    path = write(tmp_path / "e.jsonl", b"one\ntwo")
    _, after, _ = drain([path])
    path.write_bytes(b"one\ntwo\r\nthree")
    assert drain([path], after)[0] == [b"three"]


def test_a_replaced_file_is_another_partition(tmp_path: Path) -> None:
    path = write(tmp_path / "e.jsonl", b"one\ntwo\n")
    _, after, _ = drain([path])
    path.write_bytes(b"eins\nzwei\n")
    values, later, _ = drain([path], after)
    assert values == [b"eins", b"zwei"]
    assert len(later) == 2


@pytest.mark.parametrize("name", ["e.jsonl", "e.jsonl.gz", "e.parquet"])
def test_a_cut_file_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    content = b"one\ntwo\n"
    if name.endswith("parquet"):
        pq.write_table(pa.table({"a": [1, 2]}), path)
    else:
        path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    _, after, _ = drain([path])
    (partition,) = after
    with pytest.raises(DependencyError, match="cut or replaced"):
        drain([path], {partition: after[partition] + 5})


def test_too_long_lines_are_reported_and_the_others_come(tmp_path: Path) -> None:
    big = b"x" * 3_000_000
    content = b"one\n" + big + b"\ntwo\n" + b"y" * 1001 + b"\n" + b"z" * 1000 + b"\r\n" + big
    path = write(tmp_path / "e.jsonl", content)
    values, after, batches = drain([path], max_record_bytes=1000)
    assert values == [b"one", b"two", b"z" * 1000]
    found = damage(batches)
    assert [offset for offset, _, _ in found] == [4, content.index(b"yyy"), content.rindex(b"\r\n") + 2]
    assert all(reason.startswith("too-large: ") and len(seen) <= 4096 for _, seen, reason in found)
    again, final, batches = drain([path], after, max_record_bytes=1000)
    assert (again, damage(batches), final) == ([], [], after)


@pytest.mark.parametrize("kind", ["plain", "gzip", "stdin"])
def test_resume_right_after_a_too_long_line(tmp_path: Path, kind: str) -> None:
    content = b"one\n" + b"x" * 5000 + b"\ntwo\n"
    path = tmp_path / ("e.jsonl.gz" if kind == "gzip" else "e.jsonl")
    path.write_bytes(gzip.compress(content) if kind == "gzip" else content)

    def run(positions: Mapping[str, int]) -> tuple[list[bytes], dict[str, int], list[RawBatch]]:
        if kind == "stdin":
            return drain(["-"], positions, stdin=io.BytesIO(content), max_record_bytes=1000)
        return drain([path], positions, max_record_bytes=1000)

    _, after, batches = run({})
    (partition,) = after
    ((offset, _, _),) = damage(batches)
    values, _, batches = run({partition: offset + 1})
    assert values == [b"two"]
    assert damage(batches) == []


def test_a_truncated_gzip_brings_what_is_whole_and_says_so_once(tmp_path: Path) -> None:
    lines = [msgspec.json.encode({"n": i, "salt": f"{i * 7919 % 10007:x}"}) for i in range(5000)]
    whole = gzip.compress(b"\n".join(lines) + b"\n")
    path = write(tmp_path / "e.jsonl.gz", whole[: len(whole) // 2])
    good = write(tmp_path / "f.jsonl", b"after\n")
    values, after, batches = drain([path, good])
    assert 1000 < len(values) < 5000
    assert values[:-1] == lines[: len(values) - 1]
    assert values[-1] == b"after"
    ((_, seen, reason),) = damage(batches)
    assert lines[len(values) - 1].startswith(seen)
    assert reason.startswith("truncated-input: ")
    again, final, batches = drain([path, good], after)
    assert (again, damage(batches), final) == ([], [], after)


def test_a_position_behind_the_break_of_a_gzip_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "e.jsonl.gz", gzip.compress(b"one\ntwo\n" + bytes(range(33, 127)) * 50)[:-40])
    _, after, _ = drain([path])
    (partition,) = after
    with pytest.raises(DependencyError, match="decompressed byte"):
        drain([path], {partition: 10_000})


def test_damage_counts_towards_a_batch(tmp_path: Path) -> None:
    path = write(tmp_path / "e.jsonl", (b"x" * 50 + b"\n") * 20_000 + b"one\n")
    values, _, batches = drain([path], max_record_bytes=10)
    assert values == [b"one"]
    assert len(damage(batches)) == 20_000
    assert max(len(batch.damaged) for batch in batches) <= 256 * 1024 // 51 + 1  # those of one block


@pytest.mark.parametrize("content", [b"\x1f\x8b\x08garbage", b"not gzip at all", gzip.compress(b"one\n") + b"tail"])
def test_what_is_not_gzip_is_reported_once(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path / "e.jsonl.gz", content)
    values, after, batches = drain([path])
    assert values in ([], [b"one"])
    ((_, _, reason),) = damage(batches)
    assert reason.startswith("truncated-input: ")
    assert "b'" not in reason  # nothing of the content
    assert damage(drain([path], after)[2]) == []


def test_gzip_under_a_plain_name_and_appended_members(tmp_path: Path) -> None:
    path = write(tmp_path / "e.jsonl", gzip.compress(b"one\n") + gzip.compress(b"two\n"))
    values, after, _ = drain([path])
    assert values == [b"one", b"two"]
    path.write_bytes(path.read_bytes() + gzip.compress(b"three\n"))
    assert drain([path], after)[0] == [b"three"]


def test_parquet_rows_become_records_of_plain_types(tmp_path: Path) -> None:
    moment = datetime(2026, 3, 1, 14, 5, 1, 500, tzinfo=UTC)
    table = pa.table(
        {
            "user_id": pa.array([12, None]),
            "ts": pa.array([moment, moment], pa.timestamp("ns", tz="UTC")),
            "amount": pa.array([Decimal("1.50"), None], pa.decimal128(10, 2)),
            "device_id": pa.array(["d", "e"]).dictionary_encode(),
            "score": pa.array([float("nan"), 0.1]),
        }
    )
    path = tmp_path / "e.parquet"
    pq.write_table(table, path)
    first, second = map(msgspec.json.decode, drain([path])[0])
    assert first == {
        "user_id": "12",
        "ts": "2026-03-01T14:05:01.000500Z",
        "amount": "1.50",
        "device_id": "d",
        "score": "nan",
    }
    assert second == {"ts": first["ts"], "device_id": "e", "score": "0.1"}


def test_parquet_times_that_no_clock_shows(tmp_path: Path) -> None:
    days = pa.array([2**31 - 1, 0], pa.int32()).cast(pa.date32())
    path = tmp_path / "e.parquet"
    for unit in ("ms", "us", "ns"):
        for tz in (None, "America/New_York"):
            times = pa.array([2**63 - 1, 1], pa.timestamp(unit, tz=tz))
            pq.write_table(pa.table({"ts": times, "day": days}), path)
            first, second = map(msgspec.json.decode, drain([path])[0])
            assert first["day"] == "out of range"
            assert second["day"] == "1970-01-01"
            assert second["ts"].startswith("1970-01-01T00:00:00") and second["ts"].endswith("Z") == bool(tz)
            assert unit == "ns" or first["ts"] == "out of range"


def test_a_corrupt_row_group_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    table = pa.table({"event_id": [f"e{i:06}" for i in range(300)]})
    pq.write_table(table, path, row_group_size=100, compression="none", use_dictionary=False, write_page_checksum=True)
    content = bytearray(path.read_bytes())
    at = content.index(b"e000150")
    content[at : at + 7] = b"\xff" * 7
    path.write_bytes(content)
    values, after, batches = drain([path])
    assert [msgspec.json.decode(v)["event_id"] for v in values] == [f"e{i:06}" for i in (*range(100), *range(200, 300))]
    ((offset, _, reason),) = damage(batches)
    assert (offset, reason) == (199, "truncated-input: rows 100 to 199 cannot be read")
    (partition,) = after
    assert len(drain([path], {partition: offset + 1})[0]) == 100


def test_an_unreadable_parquet_is_reported_once_and_stops_nothing(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", b"PAR1 nonsense")
    write(tmp_path / "b.jsonl", b"one\n")
    values, after, batches = drain([tmp_path])
    assert values == [b"one"]
    assert damage(batches) == [(0, b"", "truncated-input: not a readable Parquet file")]
    assert damage(drain([tmp_path], after)[2]) == []


def test_folders_are_read_in_the_order_of_names_and_other_files_left_alone(tmp_path: Path) -> None:
    for name in ("b.ndjson", "a.jsonl", "c.json", "notes.txt", ".hidden.jsonl"):
        write(tmp_path / name, name.encode())
    values, after, batches = drain([tmp_path, tmp_path / "a.jsonl"])
    assert values == [b"a.jsonl", b"b.ndjson", b"c.json"]
    assert [name for batch in batches for name in batch.ended] == list(after)


def test_copies_of_a_file_are_partitions_of_their_own(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "e~1.jsonl", b"one\n")
    values, after, _ = drain([tmp_path / "a", tmp_path / "b"])
    assert values == [b"one", b"one"]
    assert len(after) == 2
    assert drain([tmp_path / "a", tmp_path / "b"], after)[0] == []


def test_a_batch_is_bounded_in_bytes_too(tmp_path: Path) -> None:
    path = write(tmp_path / "e.jsonl", (b"x" * 99_999 + b"\n") * 100)
    _, _, batches = drain([path], max_batch_bytes=500_000)
    assert max(sum(map(len, batch.values)) for batch in batches) <= 500_000 + 400_000  # and one block
    assert sum(map(len, batches)) == 100


def test_slow_input_is_handed_over_as_it_comes() -> None:
    class Slow(io.BytesIO):
        def read1(self, size: int | None = -1, /) -> bytes:
            return self.readline()

    stream = FileStream(["-"], stdin=Slow(b"one\ntwo\n"))
    first = stream.poll(100)
    assert first is not None
    assert first.values == [b"one"]
    assert stream.progress()[1] is None


def test_another_input_on_stdin_is_another_partition() -> None:
    _, after, _ = drain(["-"], stdin=io.BytesIO(b"one\ntwo\n"))
    assert drain(["-"], after, stdin=io.BytesIO(b"one\ntwo\nthree\n"))[0] == [b"three"]
    assert drain(["-"], after, stdin=io.BytesIO(b"uno\ntwo\n"))[0] == [b"uno", b"two"]
    with pytest.raises(DependencyError, match="standard input ends at line 1"):
        drain(["-"], after, stdin=io.BytesIO(b"one\n"))


def test_paths_that_hold_no_events(tmp_path: Path) -> None:
    with pytest.raises(DependencyError, match="no file"):
        FileStream([tmp_path / "missing.jsonl"])
    with pytest.raises(DependencyError, match="holds no events"):
        FileStream([tmp_path])
    with pytest.raises(ConfigurationError, match="fraudgraph import"):
        FileStream([write(tmp_path / "orders.csv", b"a,b\n")])
    with pytest.raises(ConfigurationError, match="no file was named"):
        FileStream([])


def test_a_file_that_vanishes_before_it_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "e.jsonl", b"one\n")
    stream = FileStream([path])
    path.unlink()
    with pytest.raises(DependencyError, match="cannot be read"):
        stream.seek({})


def test_an_empty_file_ends_at_once(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl.gz"):
        write(tmp_path / name, b"")
    values, _, batches = drain([tmp_path])
    assert values == []
    assert sum(len(batch.ended) for batch in batches) == 2


@pytest.mark.parametrize(
    "content", [b'[{"a": 1},\n{"a": 2}]', b'[{"a":1}]', b'{\n  "a": 1\n}\n', b"\xef\xbb\xbf\n [\n1]"]
)
@pytest.mark.parametrize("name", ["e.jsonl", "e.json.gz"])
def test_one_document_over_many_lines_is_refused_with_how_to_mend_it(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    with pytest.raises(UsageError, match="one a line") as caught:
        drain([path])
    assert "jq -c" in caught.value.do
