"""`fraudgraph rings`: the queue, one ring, its report."""

from __future__ import annotations

from contextlib import closing
from enum import StrEnum
from typing import Annotated

import typer

from fraudgraph.cli.options import ConfigOption, SetOption, StoreOption, effective_settings
from fraudgraph.cli.output import Column, note, print_csv, print_json, print_ndjson, print_table
from fraudgraph.cli.queue import FIELDS, LIVING, Entry, read_queue
from fraudgraph.cli.times import parse_since
from fraudgraph.rings.facts_words import minute, money

commands = typer.Typer(no_args_is_help=True, help="Reads the queue of rings, one ring, or its report.")

FINDINGS = 3
"""Exit code of `--exit-code` where there is something to look at."""


class ListFormat(StrEnum):
    """How the queue is written."""

    TABLE = "table"
    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"


class Status(StrEnum):
    """What a ring is now; dormant is an open ring that has gone quiet."""

    OPEN = "open"
    DORMANT = "dormant"
    CLOSED = "closed"
    MERGED = "merged"


@commands.command("list", epilog="Example: fraudgraph rings list --store sqlite:///shop.db --since 7d --limit 20")
def list_(
    format: Annotated[
        ListFormat, typer.Option("--format", help="Table for people; JSON, NDJSON or CSV for programs.")
    ] = ListFormat.TABLE,
    status: Annotated[
        list[Status] | None, typer.Option("--status", help="Only these; may be repeated. Open and dormant if absent.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="TIME", help="Seen since a date, RFC 3339 time, or 24h, 7d before the last event."
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="N", help="At most so many, the best first.")
    ] = None,
    min_probability: Annotated[
        float, typer.Option("--min-probability", min=0.0, max=1.0, metavar="P", help="Only rings at least so probable.")
    ] = 0.0,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exits with 3 where a ring is listed.")] = False,
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Lists rings, the highest priority first."""
    from fraudgraph.app import open_reader

    settings = effective_settings(store, config, overrides).settings
    with closing(open_reader(settings)) as reader:
        watermark_ms = int(reader.meta()["watermark_ms"])
        entries = read_queue(
            reader,
            settings.priority,
            statuses=[str(s) for s in status] if status else LIVING,
            since_ms=parse_since(since, watermark_ms) if since else None,
            min_probability=min_probability,
            limit=limit,
        )
        empty = not entries and not reader.rings(limit=1)
    _print_queue(entries, format)
    if empty:
        note(_why_empty(watermark_ms, settings.rings.min_users))
    elif not entries:
        note("no ring matches: leave out --status, --since or --min-probability to see all")
    if exit_code and entries:
        raise typer.Exit(FINDINGS)


def _print_queue(entries: list[Entry], format: ListFormat) -> None:
    documents = [e.document() for e in entries]
    if format is ListFormat.JSON:
        print_json({"rings": documents})
    elif format is ListFormat.NDJSON:
        print_ndjson(documents)
    elif format is ListFormat.CSV:
        print_csv(FIELDS, (d.values() for d in documents))
    elif entries:
        _print_rows(entries)


def _print_rows(entries: list[Entry]) -> None:
    columns = [
        Column("ring"),
        Column("status"),
        Column("prob.", right=True),
        Column("priority", right=True),
        Column("at risk", right=True),
        Column("users", right=True),
        Column("last seen (UTC)"),
        Column("reason", folds=True),
    ]
    print_table(
        columns,
        [
            [
                e.row.ring_id,
                e.status,
                f"{e.row.probability:.2f}",
                f"{e.priority:,.0f}",
                money(e.row.value_at_risk_minor, e.row.currency),
                f"{e.row.users:,}",
                minute(e.row.last_seen_ms),
                e.row.reason,
            ]
            for e in entries
        ],
    )


def _why_empty(watermark_ms: int, min_users: int) -> str:
    if not watermark_ms:
        return "no rings yet: nothing has been ingested; start with `fraudgraph ingest FILE --store URL`"
    return f"no rings yet: up to {minute(watermark_ms)} UTC no {min_users} users share enough to look like one"
