"""`fraudgraph import`: a shop's own tables become events."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fraudgraph.cli.options import FAILURE
from fraudgraph.cli.output import note
from fraudgraph.cli.progress import progress_bar

if TYPE_CHECKING:
    from fraudgraph.tables import ImportReport


def import_(
    mapping: Annotated[Path, typer.Argument(metavar="MAPPING", help="TOML file: which column is which field.")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder with the CSV or Parquet tables.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the events go, as JSON lines.")],
    rejects: Annotated[
        Path | None,
        typer.Option("--rejects", metavar="FILE", help="Where every unusable row is named, with its reason."),
    ] = None,
) -> None:
    """Turns a shop's own tables into events.

    A mapping says which column of which CSV or Parquet table is which field; docs/import.md shows how. Rows that it
    cannot use are counted and named with their reason.
    """
    from fraudgraph.tables import import_tables, load_mapping

    loaded = load_mapping(mapping)
    with progress_bar("importing") as show:
        report = import_tables(
            loaded, folder, out, lambda done, total: show(done, total, f"{done:,} rows"), rejects=rejects
        )
    _summarise(report, out, rejects)
    if report.rejected and not report.events:
        raise typer.Exit(FAILURE)


def _summarise(report: ImportReport, out: Path, rejects: Path | None) -> None:
    from fraudgraph.rings.facts_words import count, minute

    span = ""
    if report.first_ms is not None and report.last_ms is not None:
        span = f", from {minute(report.first_ms)} to {minute(report.last_ms)} UTC"
    note(f"wrote {out}: {count(report.events, 'event')} from {count(report.rows, 'row')}{span}")
    for block in report.blocks:
        left = f", {block.left_out:,} left out by its conditions" if block.left_out else ""
        refused = f", {block.rejected:,} not usable" if block.rejected else ""
        note(f"  {block.table} -> {block.event}: {block.events:,} of {count(block.rows, 'row')}{left}{refused}")
    for (table, reason), rows in report.reasons.most_common():
        at = ", ".join(str(e.row) for e in report.examples if (e.table, e.reason) == (table, reason))
        note(f"  not usable: {table}: {reason}: {count(rows, 'row')}, such as row {at}")
    if report.rejected and rejects is None:
        note("  --rejects FILE names every one of them")
    elif rejects is not None:
        note(f"wrote {rejects}: {count(report.rejected, 'row')}")
    if report.events:
        note(f"next: fraudgraph ingest {out} --store sqlite:///shop.db")
    elif report.rejected:
        note("next: mend the mapping; no row could be used as it says")
