"""Data to standard output, everything else to standard error; plain where nobody looks."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import msgspec
import typer

from fraudgraph.errors import DependencyError

if TYPE_CHECKING:
    from rich.console import Console

SCHEMA_VERSION = 1
_PLAIN_COLUMNS = 10_000
"""Width where the output is no terminal: nothing is wrapped or cut, the reader is a program."""

_encoder = msgspec.json.Encoder(decimal_format="number")


def without_password(url: str) -> str:
    """Returns a URL without the user and password that it may carry."""
    return re.sub(r"//[^/@]*@", "//…@", url)


def note(text: str) -> None:
    """Says something to the person, beside the data."""
    typer.echo(text, err=True)


def print_json(document: Mapping[str, object]) -> None:
    """Writes a document with its `schema_version` first, indented for a terminal and for a program alike."""
    versioned = {"schema_version": SCHEMA_VERSION, **document}
    typer.echo(msgspec.json.format(_encoder.encode(versioned), indent=2).decode())


def write_text(text: str, out: Path | None) -> None:
    """Writes a document to a file, or to standard output where it is None or `-`.

    Raises:
        DependencyError: the file cannot be written.
    """
    if out is None or str(out) == "-":
        typer.echo(text, nl=not text.endswith("\n"))
        return
    try:
        out.write_text(text, encoding="utf-8")
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


def console(file: TextIO | None = None) -> Console:
    """Returns a rich console for a stream (standard output where None); it reads no markup in the data."""
    from rich.console import Console

    file = file or sys.stdout
    width = None if file.isatty() else _PLAIN_COLUMNS
    return Console(file=file, markup=False, emoji=False, highlight=False, soft_wrap=False, width=width)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: numbers go right, `folds` marks the one that gives way in a narrow terminal."""

    title: str
    right: bool = False
    folds: bool = False


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Writes a table without rules; in a pipe it is one line a row, however long."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            no_wrap=not column.folds,
            overflow="fold",
            ratio=None,
        )
    for row in rows:
        table.add_row(*row)
    out = console()
    if not out.is_terminal:  # rich fills the last column with spaces; a program wants none
        with out.capture() as captured:
            out.print(table)
        typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))
        return
    out.print(table)
