"""Data to standard output, everything else to standard error; plain where nobody looks."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import typer

from fraudgraph.errors import DependencyError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

SCHEMA_VERSION = 1
_FOLDED_COLUMNS = 30
"""A column that folds into fewer than this is hard to read: it goes under its row."""
_GAP = 2

_encoder = msgspec.json.Encoder(decimal_format="number")


def without_password(url: str) -> str:
    """Returns a URL without the user and password that it may carry."""
    return re.sub(r"//[^/@]*@", "//…@", url)


def note(text: str) -> None:
    """Says something to the person, beside the data; control and invisible characters in it are shown as codes."""
    from fraudgraph.reports.escape import plain

    typer.echo("\n".join(map(plain, text.split("\n"))), err=True)


def json_text(document: Mapping[str, object]) -> str:
    """Returns a document as JSON with its `schema_version` first, indented for people and programs alike."""
    versioned = {"schema_version": SCHEMA_VERSION, **document}
    return msgspec.json.format(_encoder.encode(versioned), indent=2).decode()


def print_json(document: Mapping[str, object]) -> None:
    """Writes a document as `json_text`."""
    typer.echo(json_text(document))


def write_text(text: str, out: Path | None) -> None:
    """Writes a document to a file, or to standard output where it is None or `-`.

    Raises:
        DependencyError: the file cannot be written.
    """
    if out is None or str(out) == "-":
        typer.echo(text, nl=not text.endswith("\n"))
        return
    write_bytes(text.encode(), out)


def write_bytes(content: bytes, out: Path) -> None:
    """Writes a file and says so.

    Raises:
        DependencyError: it cannot be written.
    """
    try:
        out.write_bytes(content)
    except OSError as error:
        raise DependencyError(
            f"{out} cannot be written ({error.strerror})", do="Name a file in an existing folder that you may write to."
        ) from error
    note(f"wrote {out}")


def print_ndjson(rows: Iterable[Mapping[str, object]]) -> None:
    """Writes one compact object a line, each with its `schema_version`."""
    for row in rows:
        typer.echo(_encoder.encode({"schema_version": SCHEMA_VERSION, **row}).decode())


def print_csv(header: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Writes RFC 4180 with a header line, text such that no spreadsheet runs it."""
    from fraudgraph.reports.escape import csv_cell

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([csv_cell(cell) if isinstance(cell, str) else cell for cell in row])


def console() -> Console:
    """Returns a rich console on standard output that reads no markup in the data."""
    from rich.console import Console

    return Console(file=sys.stdout, markup=False, emoji=False, highlight=False)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: numbers go right, `folds` marks the one that gives way in a narrow terminal."""

    title: str
    right: bool = False
    folds: bool = False


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Writes a table without rules; control and invisible characters in it are shown as codes.

    In a pipe it is one line a row, however long. In a terminal the column that folds, which must be the last, goes
    under its row where there is no room for it beside.
    """
    from fraudgraph.reports.escape import plain

    rows = [[plain(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        _print_plain(columns, rows)
        return
    out = console()
    fixed = sum(_width(column, [row[i] for row in rows]) for i, column in enumerate(columns) if not column.folds)
    if columns[-1].folds and out.width - fixed < min(_FOLDED_COLUMNS, _width(columns[-1], [row[-1] for row in rows])):
        with out.capture() as captured:
            out.print(_table(columns[:-1], [row[:-1] for row in rows]))
        first, *lines = captured.get().splitlines()
        typer.echo(first)
        for line, row in zip(lines, rows, strict=True):
            typer.echo(f"{line}\n    {row[-1]}")
        return
    out.print(_table(columns, rows))


def _print_plain(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Writes the table for a program or a file; without rich's renderer, whose import costs 0.1 s."""
    from rich.cells import cell_len

    widths = [_width(column, [row[i] for row in rows]) for i, column in enumerate(columns)]
    for cells in ([column.title for column in columns], *rows):
        line = ""
        for column, cell, width in zip(columns, cells, widths, strict=True):
            padding = " " * (width - _GAP - cell_len(cell))
            line += (padding + cell if column.right else cell + padding) + " " * _GAP
        typer.echo(line.rstrip())


def _table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
    for column in columns:
        table.add_column(
            column.title, justify="right" if column.right else "left", no_wrap=not column.folds, overflow="fold"
        )
    for row in rows:
        table.add_row(*row)
    return table


def _width(column: Column, cells: Sequence[str]) -> int:
    from rich.cells import cell_len

    return max(map(cell_len, (column.title, *cells))) + _GAP
