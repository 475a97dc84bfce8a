"""`fraudgraph rings`: the queue, one ring, its report."""

from __future__ import annotations

from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fraudgraph.cli import decide, dossier, history
from fraudgraph.cli.options import FINDINGS, ConfigOption, SetOption, StoreOption, effective_settings
from fraudgraph.cli.output import (
    console,
    json_text,
    note,
    print_csv,
    print_json,
    print_ndjson,
    write_bytes,
    write_text,
)
from fraudgraph.errors import UsageError

if TYPE_CHECKING:
    from fraudgraph.reports.json import ListedRing
    from fraudgraph.reports.model import RingReport
    from fraudgraph.settings import Settings

commands = typer.Typer(no_args_is_help=True, help="Reads the queue, a ring, or its report.")


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
    NEEDS_INFO = "needs-info"
    NEEDS_SECOND_READER = "needs-second-reader"
    CONFIRMED = "confirmed"
    FALSE_POSITIVE = "false-positive"
    CLOSED = "closed"
    MERGED = "merged"


class ShowFormat(StrEnum):
    """How one ring is shown."""

    TEXT = "text"
    JSON = "json"


class ReportFormat(StrEnum):
    """How a report is written."""

    MD = "md"
    HTML = "html"
    JSON = "json"


RingArgument = Annotated[str, typer.Argument(metavar="RING_ID", help="The ring's id, as `rings list` shows it.")]


@commands.command(
    "list",
    short_help="Lists the rings that wait for somebody.",
    epilog="Example: fraudgraph rings list --store sqlite:///shop.db --since 7d --limit 20",
)
def list_(
    format: Annotated[
        ListFormat, typer.Option("--format", help="Table for people; JSON, NDJSON or CSV for programs.")
    ] = ListFormat.TABLE,
    status: Annotated[
        list[Status] | None,
        typer.Option("--status", metavar="STATUS", help="Only these, of any probability; all that wait if absent."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="Seen since a date, RFC 3339 time, or 24h, 7d before the last."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="N", help="At most so many, the best first.")
    ] = None,
    min_probability: Annotated[
        float | None,
        typer.Option(
            "--min-probability",
            min=0.0,
            max=1.0,
            metavar="P",
            help="Only rings at least so probable; alerts.list_min_probability if absent, 0 for all.",
        ),
    ] = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exits with 3 where a ring is listed.")] = False,
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Lists the rings that wait for somebody, the highest priority first.

    Open, dormant (gone quiet), needs-info and needs-second-reader rings wait. Confirmed and false-positive ones leave
    the list until they grow by a third; closed and merged ones are gone. --status may be repeated.
    """
    from fraudgraph.app import open_reader
    from fraudgraph.cli.queue import listed
    from fraudgraph.cli.times import parse_since

    settings = effective_settings(store, config, overrides).settings
    with closing(open_reader(settings)) as reader:
        watermark_ms = int(reader.meta()["watermark_ms"])
        rows = reader.rings(
            statuses=[str(s) for s in status] if status else None,
            since_ms=parse_since(since, watermark_ms) if since else None,
            min_probability=_least(min_probability, 0.0 if status else settings.alerts.list_min_probability),
            limit=limit,
        )
        empty = not rows and not reader.rings(limit=1)
        alarm = settings.alerts.min_probability
        gone = not rows and not status and reader.rings(statuses=["closed"], min_probability=alarm, limit=1)
    _print_queue([listed(row, settings.priority, watermark_ms) for row in rows], format)
    if empty:
        note(_why_empty(watermark_ms, settings.rings.min_users))
    elif not rows:
        note("no ring matches: leave out --status, --since or --min-probability to see more")
    if gone:
        note("next: `--status closed` lists rings that were alerts, and whose evidence has expired since")
    if exit_code and rows:
        raise typer.Exit(FINDINGS)


commands.command(
    "decide",
    short_help="Records your verdict about a ring.",
    epilog="Example: fraudgraph rings decide R000001 confirmed --reason chargebacks --note 'bank says so'",
)(decide.decide)
commands.command(
    "history",
    short_help="Tells a ring's story.",
    epilog="Example: fraudgraph rings history R000001 --store sqlite:///shop.db",
)(history.history)
commands.command("dossier", epilog="Example: fraudgraph rings dossier R000001 --out R000001.zip")(dossier.dossier)
commands.command(
    "undo",
    short_help="Takes a decision back.",
    epilog="Example: fraudgraph rings undo D000001 --store sqlite:///shop.db",
)(decide.undo)


@commands.command(epilog="Example: fraudgraph rings show R000001 --store sqlite:///shop.db --format json")
def show(
    ring_id: RingArgument,
    format: Annotated[
        ShowFormat, typer.Option("--format", help="Text for people, JSON for programs.")
    ] = ShowFormat.TEXT,
    as_decided: Annotated[
        str | None,
        typer.Option("--as-decided", metavar="DECISION_ID", help="The evidence as it was kept with that decision."),
    ] = None,
    narrate: Annotated[
        bool, typer.Option("--narrate", help="Asks the configured language model to tell it; else the template does.")
    ] = False,
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Shows one ring.

    Its members, what ties them, the evidence, its history, and what to do next; and what was decided about them.
    """
    from fraudgraph.cli.constraints import print_constraints
    from fraudgraph.cli.decide import print_decisions, read_decisions

    settings = effective_settings(store, config, overrides).settings
    report = _read_report(ring_id, settings, as_decided, narrate=narrate)
    if format is ShowFormat.JSON:
        print_json(_document(report, settings))
        return
    from fraudgraph.reports.terminal import print_report

    print_report(report, console())
    print_decisions(read_decisions(settings, report))
    print_constraints(settings, report)


@commands.command(epilog="Example: fraudgraph rings report R000001 --store sqlite:///shop.db --out ring.html")
def report(
    ring_id: RingArgument,
    format: Annotated[
        ReportFormat | None, typer.Option("--format", help="Markdown, HTML or JSON; by the name of --out if absent.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where the report goes; - is standard output.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="Also draws the ring, as .png or .svg.")
    ] = None,
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Writes the report of one ring.

    To read, print or pass on; HTML holds the picture in the same file.
    """
    from fraudgraph.app import draw_ring, render_report

    if picture is not None and picture.suffix not in (".png", ".svg"):
        raise UsageError(f"{picture} is no picture that can be drawn", do="Name a file that ends in .png or .svg.")
    format = format or _format_of(out)
    settings = effective_settings(store, config, overrides).settings
    read = _read_report(ring_id, settings)
    if format is ReportFormat.JSON:
        text = json_text(_document(read, settings))
    else:
        text = render_report(read, str(format), picture=picture, beside=out)
    write_text(text, out)
    if picture is not None:
        write_bytes(draw_ring(read, picture.suffix), picture)


def _document(report: RingReport, settings: Settings) -> dict[str, object]:
    from fraudgraph.cli.constraints import constraints_json
    from fraudgraph.cli.decide import decision_json, read_decisions
    from fraudgraph.reports.json import report_json

    return {
        **report_json(report),
        "decisions": [decision_json(decision) for decision in read_decisions(settings, report)],
        "constraints": constraints_json(settings, report),
    }


def _least(asked: float | None, otherwise: float) -> float:
    return otherwise if asked is None else asked


def _format_of(out: Path | None) -> ReportFormat:
    if out is None or str(out) == "-":
        return ReportFormat.MD
    try:
        return ReportFormat(out.suffix.removeprefix(".").lower())
    except ValueError:
        raise UsageError(f"{out} does not say its format", do="Give --format md, html or json.") from None


def _read_report(
    ring_id: str, settings: Settings, as_decided: str | None = None, *, narrate: bool = False
) -> RingReport:
    from fraudgraph.app import open_reader
    from fraudgraph.cli.reading import planner_of, read_ring, told
    from fraudgraph.reports.model import build_report

    planner = planner_of(settings) if narrate else None
    with closing(open_reader(settings)) as reader:
        snapshot = read_ring(reader, ring_id, as_decided)
        narrative = told(reader, snapshot, settings, planner)
    return build_report(snapshot, settings.links, narrative)


def _print_queue(rows: list[ListedRing], format: ListFormat) -> None:
    from fraudgraph.cli.queue import FIELDS, print_rows
    from fraudgraph.reports.json import ring_json, ring_list_json

    if format is ListFormat.JSON:
        print_json(ring_list_json(rows))
    elif format is ListFormat.NDJSON:
        print_ndjson(map(ring_json, rows))
    elif format is ListFormat.CSV:
        print_csv(FIELDS, (ring_json(row).values() for row in rows))
    elif rows:
        print_rows(rows)


def _why_empty(watermark_ms: int, min_users: int) -> str:
    if not watermark_ms:
        return "no rings yet: nothing has been ingested; start with `fraudgraph ingest FILE --store URL`"

    from fraudgraph.rings.facts_words import minute

    return f"no rings yet: up to {minute(watermark_ms)} UTC no {min_users} users share enough to look like one"
