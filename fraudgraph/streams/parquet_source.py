"""Rows of a Parquet file whose columns are named like the fields of an event, as JSON records."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from fraudgraph.streams.sources import TRUNCATED_INPUT, Chunk, partition_name
from fraudgraph.streams.text_sources import beyond_end, cannot_read

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

FOOTER_BYTES = 64 * 1024
ROWS_AT_ONCE = 8192


class ParquetSource:
    """One record per row; positions are row numbers, so a resume skips whole row groups.

    Nulls are left out, integers become text except in `amount` (an event's ids are text), timestamps without a
    zone stay without one, and are then refused by the decoder like any other.
    """

    live = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = 0
        self._file: pq.ParquetFile | None = None
        self._rows_done = 0
        self._chunks: Iterator[Chunk] = iter(())
        self._pending = Chunk()
        self._cursor = 0

    def partition(self) -> str:
        """Names the partition after the file's size, its first bytes and its footer: a Parquet file never grows."""
        try:
            with self._path.open("rb") as file:
                self._size = file.seek(0, os.SEEK_END)
                file.seek(0)
                head = file.read(4096)
                file.seek(max(0, self._size - FOOTER_BYTES))
                footer = file.read()
        except OSError as error:
            raise cannot_read(self._path, error) from error
        return partition_name(self._path.name, b"%d:%b:%b" % (self._size, head, footer))

    def check(self, position: int) -> None:
        """Compares with the number of rows in the footer."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            rows = pq.read_metadata(self._path).num_rows
        except (pa.ArrowException, OSError):
            return  # reported as damage when its turn comes
        if position > rows:
            raise beyond_end(self._path, position, rows, "row")

    def open(self, position: int) -> None:
        """Finds the row group of the position."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.check(position)
        with contextlib.suppress(pa.ArrowException, OSError):
            self._file = pq.ParquetFile(self._path, page_checksum_verification=True)
        self._rows_done = position
        self._chunks = self._read_groups(position)

    def read(self, max_records: int) -> Chunk:
        """Returns rows of at most one slice of a row group."""
        if self._cursor == len(self._pending.values):
            self._pending, self._cursor = next(self._chunks, Chunk(ended=True)), 0
        end = min(len(self._pending.values), self._cursor + max_records)
        window = slice(self._cursor, end)
        self._cursor = end
        damaged, self._pending.damaged = self._pending.damaged, []
        chunk = Chunk(
            self._pending.values[window],
            self._pending.offsets[window],
            self._pending.next_offsets[window],
            damaged,
            self._pending.ended,
        )
        if chunk.next_offsets:
            self._rows_done = chunk.next_offsets[-1]
        return chunk

    def _read_groups(self, position: int) -> Iterator[Chunk]:
        import pyarrow as pa

        if self._file is None:
            if position == 0:  # at a later position an earlier run has reported it
                yield Chunk(damaged=[(0, b"", f"{TRUNCATED_INPUT}: not a readable Parquet file")])
            return
        first = 0
        for group in range(self._file.metadata.num_row_groups):
            after = first + self._file.metadata.row_group(group).num_rows
            row = first
            if after > position:
                try:
                    for batch in self._file.iter_batches(batch_size=ROWS_AT_ONCE, row_groups=[group]):
                        skipped = max(0, min(position - row, batch.num_rows))
                        yield _records(batch.slice(skipped), row + skipped)
                        row += batch.num_rows
                except (pa.ArrowException, OSError):
                    # Reported at the last row that it covers: reading goes on after that one.
                    lost_from = max(row, position)
                    reason = f"{TRUNCATED_INPUT}: rows {lost_from} to {after - 1} cannot be read"
                    yield Chunk(damaged=[(after - 1, b"", reason)])
            first = after

    def progress(self) -> tuple[int, int | None]:
        """Counts rows, in proportion to the file's bytes."""
        rows = self._file.metadata.num_rows if self._file is not None else 0
        return (self._size * self._rows_done // rows if rows else 0), self._size

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()


def _records(batch: pa.RecordBatch, first_row: int) -> Chunk:
    names = batch.schema.names
    columns = [_values(_plain(batch.column(i), name)) for i, name in enumerate(names)]
    encode = msgspec.json.Encoder().encode
    values = [
        encode({name: value for name, value in zip(names, row, strict=True) if value is not None})
        for row in (zip(*columns, strict=True) if columns else ())
    ]
    last = first_row + len(values)
    return Chunk(values, list(range(first_row, last)), list(range(first_row + 1, last + 1)))


def _values(column: Any) -> list[Any]:
    """Returns Python values; a time that Python cannot hold becomes text, which the decoder sees and refuses."""
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError):
        return [_value(cell) for cell in column]
    return values


def _value(cell: Any) -> Any:
    try:
        return cell.as_py()
    except (ValueError, OverflowError):
        return "out of range"


def _plain(column: pa.Array, name: str) -> Any:
    """Returns the column in types that JSON has, or that msgspec writes as RFC 3339."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_integer(kind) and name != "amount":
        return column.cast(pa.string())
    if pa.types.is_timestamp(kind):
        # Python has no nanoseconds; a coarser unit stays, because a cast to a finer one could overflow.
        unit = "us" if kind.unit == "ns" else kind.unit
        return column.cast(pa.timestamp(unit, tz=kind.tz and "UTC"), safe=False)
    if pa.types.is_floating(kind) and pc.any(pc.invert(pc.is_finite(column))).as_py():
        return column.cast(pa.string())  # JSON has no NaN: as text the decoder sees and refuses it
    return column
