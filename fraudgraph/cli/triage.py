"""`fraudgraph triage`: the digest of a day, a shift, a week."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fraudgraph.cli.options import FINDINGS, ConfigOption, SetOption, StoreOption, effective_settings
from fraudgraph.cli.output import json_text, write_text

if TYPE_CHECKING:
    from fraudgraph.narrative.port import Planner
    from fraudgraph.reports.digest import Digest, Span
    from fraudgraph.reports.model import RingReport
    from fraudgraph.settings import Settings
    from fraudgraph.stores.port import StoreReader

MAX_LOOKED_AT = 100
"""Rings below the alert line that are held against innocent explanations: each is read and measured."""


class Format(StrEnum):
    """How the digest is written."""

    TEXT = "text"
    MD = "md"
    JSON = "json"


def triage(
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help="A date, RFC 3339 time, or 24h, 7d before the last event.")
    ] = "24h",
    top: Annotated[int, typer.Option("--top", min=1, max=200, metavar="N", help="So many rings are told.")] = 20,
    narrate: Annotated[
        bool, typer.Option("--narrate", help="Tells them by the configured language model; else by the template.")
    ] = False,
    format: Annotated[
        Format | None, typer.Option("--format", help="Text, Markdown or JSON; by the name of --out if absent.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where the digest goes; - is standard output.")
    ] = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exits with 3 where a ring waits.")] = False,
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Says which rings to look at first, and why.

    Groups the alerts of a span of event time by ring and pattern, ranks them by priority, says why each stands above
    the next, what has changed, and what can be closed as look-alikes. Nothing is decided or sent.
    """
    from fraudgraph.app import open_reader
    from fraudgraph.cli.reading import planner_of
    from fraudgraph.reports.digest_text import digest_json, render_markdown, render_text

    settings = effective_settings(store, config, overrides).settings
    planner = planner_of(settings) if narrate else None
    with closing(open_reader(settings)) as reader:
        digest = _digest(reader, settings, since, top, planner)
    format = format or _format_of(out)
    if format is Format.JSON:
        text = json_text(digest_json(digest))
    else:
        text = render_markdown(digest) if format is Format.MD else render_text(digest)
    write_text(text, out)
    if exit_code and digest.entries:
        raise typer.Exit(FINDINGS)


def _digest(reader: StoreReader, settings: Settings, since: str, top: int, planner: Planner | None) -> Digest:
    from fraudgraph.cli.times import parse_since
    from fraudgraph.reports.digest import make_digest

    as_of_ms = int(reader.meta()["watermark_ms"])
    span = _span(reader, settings, parse_since(since, as_of_ms), as_of_ms)
    first = [row.ring_id for row in span.waiting[:top]]
    calm = [row.ring_id for row in span.waiting[top:] if row.probability < settings.alerts.min_probability]
    return make_digest(
        span,
        _reports(reader, first, settings, planner),
        _reports(reader, calm[:MAX_LOOKED_AT], settings, None),
        settings.priority,
    )


def _span(reader: StoreReader, settings: Settings, since_ms: int, as_of_ms: int) -> Span:
    from fraudgraph.cli.queue import listed
    from fraudgraph.reports.digest import Span
    from fraudgraph.stores.port import CLOSED_STATUSES

    rows = reader.rings(since_ms=since_ms, min_probability=settings.alerts.list_min_probability)
    alerts: Counter[str] = Counter()
    for alert in reader.alerts():
        if alert.at_ms >= since_ms and (now := reader.resolve_ring(alert.ring_id)) is not None:
            alerts[now] += 1
    gone = reader.rings(statuses=CLOSED_STATUSES, since_ms=since_ms)
    return Span(
        since_ms=since_ms,
        as_of_ms=as_of_ms,
        waiting=[listed(row, settings.priority, as_of_ms) for row in rows],
        alerts=alerts,
        closed=len(gone),
    )


def _reports(reader: StoreReader, ring_ids: list[str], settings: Settings, planner: Planner | None) -> list[RingReport]:
    from fraudgraph.cli.reading import told
    from fraudgraph.reports.model import build_report

    snapshots = (reader.snapshot(ring_id) for ring_id in ring_ids)
    return [
        build_report(snapshot, settings.links, told(reader, snapshot, settings, planner))
        for snapshot in snapshots
        if snapshot is not None
    ]


def _format_of(out: Path | None) -> Format:
    suffix = "" if out is None else out.suffix.removeprefix(".").lower()
    return Format(suffix) if suffix in (Format.MD, Format.JSON) else Format.TEXT
