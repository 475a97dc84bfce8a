"""`fraudgraph sort`: events in the order of time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fraudgraph.cli.output import note
from fraudgraph.cli.progress import progress_bar
from fraudgraph.errors import UsageError


def sort(
    events: Annotated[
        list[str],
        typer.Argument(metavar="EVENTS...", help="Files or folders of events, as for `ingest`, in any order."),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where they go, in order, as JSON lines.")],
) -> None:
    """Puts events in the order of time.

    `ingest` and `daemon` take events as they come, and call one too late that lags more than
    time.allowed_lateness_minutes behind. A back-fill from exports that are not in order goes through here first.
    """
    from fraudgraph.rings.facts_words import count, minute
    from fraudgraph.tables.sort import sort_events

    if out.exists() and any(out.samefile(path) for path in events if Path(path).exists()):
        raise UsageError(f"{out} is one of the inputs", do="Name another file.")
    with progress_bar("sorting") as show:
        done = sort_events(events, out, show)
    until = (
        ""
        if done.first_ms is None or done.last_ms is None
        else f", {minute(done.first_ms)} to {minute(done.last_ms)} UTC"
    )
    note(f"wrote {out}: {count(done.lines, 'event')}{until}")
    if done.without_time:
        note(
            f"{count(done.without_time, 'line')} without a time that can be read: `ingest` says what is wrong with them"
        )
    if done.unreadable:
        note(f"warning: {count(done.unreadable, 'record')} of the input could not be read, and are not in the output")
