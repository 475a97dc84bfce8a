"""Opens tables: their columns, and their rows in batches with the number of each row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fraudgraph.errors import ConfigurationError
from fraudgraph.tables.spec import Table

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_AT_ONCE = 32_768
CSV_BLOCK_BYTES = 4 << 20
"""The longest row of a CSV file, too."""


@dataclass(slots=True)
class Rows:
    """A batch of rows of one file.

    Attributes:
        columns: name -> values; text of CSV as undecoded bytes where it was not valid in its encoding.
        numbers: number of each row in its file; the first row under the header is 1.
        torn: numbers of rows before the end of this batch that do not have the header's number of columns.
    """

    columns: dict[str, pa.Array]
    numbers: Sequence[int]
    torn: list[int] = field(default_factory=list)


def table_files(folder: Path, name: str, table: Table) -> list[Path]:
    """Returns the files of a table, sorted.

    Raises:
        ConfigurationError: there is none.
    """
    exact = folder / table.file
    files = [exact] if exact.is_file() else sorted(path for path in folder.glob(table.file) if path.is_file())
    if not files:
        raise ConfigurationError(
            f"[tables.{name}]: there is no file {table.file} in {folder}", do="Check the name and the folder."
        )
    return files


def is_parquet(path: Path, table: Table) -> bool:
    """Says how a file is read."""
    return table.format == "parquet" or (table.format is None and path.suffix in (".parquet", ".pq"))


def column_names(path: Path, table: Table) -> list[str]:
    """Returns the names of a file's columns.

    Raises:
        ConfigurationError: the file is empty or is not what it is said to be, or two columns have one name.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if is_parquet(path, table):
            names: list[str] = list(pq.read_schema(path).names)
        else:
            with _open_csv(path, table, [], [], []) as reader:
                names = list(reader.schema.names)
    except (pa.ArrowException, OSError, UnicodeError, LookupError) as error:
        raise _unreadable(path, error) from error
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ConfigurationError(f"{path.name} has two columns `{doubled[0]}`", do="Rename one of them in the table.")
    return names


def count_rows(path: Path, table: Table) -> int | None:
    """Returns how many rows there are where that is known without reading them."""
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows) if is_parquet(path, table) else None


def read_rows(path: Path, table: Table, names: list[str], all_names: list[str]) -> Iterator[Rows]:
    """Yields the columns that are asked for.

    Raises:
        ConfigurationError: the file breaks off or cannot be decoded.
    """
    import pyarrow as pa

    try:
        if is_parquet(path, table):
            yield from _read_parquet(path, names)
        else:
            yield from _read_csv(path, table, names, all_names)
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise _unreadable(path, error) from error


def _read_parquet(path: Path, names: list[str]) -> Iterator[Rows]:
    import pyarrow.parquet as pq

    first = 1
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=names):
            columns = {name: batch.column(name) for name in names}
            yield Rows(columns, range(first, first + batch.num_rows))
            first += batch.num_rows


def _read_csv(path: Path, table: Table, names: list[str], all_names: list[str]) -> Iterator[Rows]:
    torn: list[int] = []
    row = 1
    with _open_csv(path, table, names, all_names, torn) as reader:
        for batch in reader:
            bad = set(torn)
            numbers: list[int] = []
            while len(numbers) < batch.num_rows:
                if row not in bad:
                    numbers.append(row)
                row += 1
            before = [number for number in torn if number < row]
            torn[:] = [number for number in torn if number >= row]
            yield Rows({name: batch.column(name) for name in names}, numbers, before)
    if torn:
        yield Rows({}, (), torn)


def _open_csv(path: Path, table: Table, names: list[str], all_names: list[str], torn: list[int]) -> Any:
    """Opens a CSV file with every column as bytes, so that no number, date or leading zero is guessed at."""
    import pyarrow as pa
    import pyarrow.csv as pacsv

    def note(row: pacsv.InvalidRow) -> str:
        torn.append(row.number - 1)  # the header is line 1
        return "skip"

    return pacsv.open_csv(
        path,
        # One thread, because only then rows have numbers.
        read_options=pacsv.ReadOptions(use_threads=False, block_size=CSV_BLOCK_BYTES, encoding=table.encoding),
        parse_options=pacsv.ParseOptions(
            delimiter=delimiter(path, table),
            quote_char='"' if table.quotes else False,
            newlines_in_values=True,
            invalid_row_handler=note,
        ),
        convert_options=pacsv.ConvertOptions(
            check_utf8=False,
            column_types=dict.fromkeys(all_names, pa.binary()),
            include_columns=names,
            null_values=[],
        ),
    )


def check_quotes(path: Path, table: Table) -> None:
    """Refuses a CSV file in which a quote opens and never closes: everything after it would be one cell.

    Raises:
        ConfigurationError: with the row in which the quote opens.
    """
    import pyarrow as pa

    if is_parquet(path, table) or not table.quotes:
        return
    quotes = 0
    try:
        with pa.input_stream(path) as stream:
            while block := stream.read(CSV_BLOCK_BYTES):
                quotes += block.count(b'"')
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from error
    if quotes % 2 == 0:
        return
    # An odd number may be right (5" in an unquoted cell); the slower parser knows, and knows where.
    row = 0
    try:
        with (
            pa.input_stream(path) as stream,
            io.TextIOWrapper(stream, encoding=table.encoding, errors="replace", newline="") as text,
        ):
            for _ in csv.reader(text, delimiter=delimiter(path, table), strict=True):
                row += 1
    except csv.Error as error:
        raise ConfigurationError(
            f"{path.name}: a quote opens in row {row} and does not close",
            do="Mend the row, or set `quotes = false` for the table if its quotes are ordinary characters.",
        ) from error


def delimiter(path: Path, table: Table) -> str:
    """Returns what separates the cells of a CSV file."""
    return table.delimiter or ("\t" if ".tsv" in path.suffixes else ",")


def _unreadable(path: Path, error: Exception) -> ConfigurationError:
    # Arrow's own words may quote the row, so only the kind of error is told.
    kind = (
        "is empty" if path.is_file() and path.stat().st_size == 0 else "cannot be read as its format and encoding say"
    )
    return ConfigurationError(
        f"{path.name} {kind} ({type(error).__name__})",
        do="Check the file, and `format`, `delimiter` and `encoding` of its table in the mapping.",
    )
