"""The conformance suite over every adapter that the house ships."""

from __future__ import annotations

import gzip
import io
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraudgraph.streams.files import FileStream
from fraudgraph.streams.port import Stream
from fraudgraph.testing.memory_stream import MemoryStream
from fraudgraph.testing.stream_suite import StreamSuite


class _OnDisk(StreamSuite):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path


class TestPlainFile(_OnDisk):
    def make_stream(self, records: Sequence[bytes]) -> Stream:
        path = self.folder / "events.jsonl"
        path.write_bytes(b"".join(record + b"\n" for record in records))
        return FileStream([path])


class TestGzipFile(_OnDisk):
    def make_stream(self, records: Sequence[bytes]) -> Stream:
        path = self.folder / "events.jsonl.gz"
        path.write_bytes(gzip.compress(b"".join(record + b"\n" for record in records), mtime=0))
        return FileStream([path])


class TestParquetFile(_OnDisk):
    def make_stream(self, records: Sequence[bytes]) -> Stream:
        path = self.folder / "events.parquet"
        rows = [msgspec.json.decode(record) for record in records]
        schema = pa.schema([(name, pa.string()) for name in ("type", "event_id", "user_id")])
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, row_group_size=5)
        return FileStream([path])


class TestStandardInput(StreamSuite):
    def make_stream(self, records: Sequence[bytes]) -> Stream:
        return FileStream(["-"], stdin=io.BytesIO(b"".join(record + b"\n" for record in records)))


class TestFolder(_OnDisk):
    def make_stream(self, records: Sequence[bytes]) -> Stream:
        for index in range(3):
            part = self.folder / f"part-{index}.jsonl"
            part.write_bytes(b"".join(record + b"\r\n" for record in records[index::3]))
        return FileStream([self.folder])


class TestMemory(StreamSuite):
    def make_stream(self, records: Sequence[bytes]) -> Stream:
        return MemoryStream({"a": records[::2], "b": records[1::2]})


class TestMemoryEndless(StreamSuite):
    ends = False

    def make_stream(self, records: Sequence[bytes]) -> Stream:
        times = {"a": list(range(len(records)))}
        return MemoryStream({"a": records}, broker_ts=times, endless=True)
