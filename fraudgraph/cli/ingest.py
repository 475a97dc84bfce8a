"""`fraudgraph ingest`: events go in, rings come out."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fraudgraph.cli.options import ConfigOption, SetOption, StoreOption, effective_settings
from fraudgraph.cli.output import note, print_json, without_password
from fraudgraph.cli.progress import progress_bar

if TYPE_CHECKING:
    from fraudgraph.app import Ingest
    from fraudgraph.daemon import Totals
    from fraudgraph.settings import Settings

LOG_EVERY_S = 10.0
FEW = 100
"""A smaller component says nothing, however small the shop."""


class Format(StrEnum):
    """How the result is written: text to standard error, or JSON to standard output."""

    TEXT = "text"
    JSON = "json"


def ingest(
    paths: Annotated[
        list[str], typer.Argument(metavar="FILE", help="JSON lines (also .gz), Parquet, a folder of them, or -.")
    ],
    format: Annotated[
        Format, typer.Option("--format", help="Result as text on standard error, or JSON on standard output.")
    ] = Format.TEXT,
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Reads events, and keeps the rings.

    One commit per batch. Goes on where the last run stopped, so a second run over the same files changes nothing.
    Ctrl-C ends it after the batch in hand; a kill at any instant loses nothing.
    """
    settings = effective_settings(store, config, overrides).settings
    totals, rings = run_ingest(settings, paths)
    if format is Format.JSON:
        print_json({"store": without_password(settings.store.url), **_document(totals, rings)})
    else:
        summarise(totals, rings, settings.rings.largest_share_alarm)
        if totals.dead_letters:
            note(f"next: fraudgraph dead-letters list --store {without_password(settings.store.url)}")


def run_ingest(settings: Settings, paths: list[str]) -> tuple[Totals, int]:
    """Runs the daemon to the end of the files; returns what it did, and how many rings the store has now."""
    from fraudgraph.app import open_ingest
    from fraudgraph.logging import configure_logging

    configure_logging(settings.logging.level)
    with open_ingest(settings, paths) as ready:
        if ready.key_made is not None:
            note(f"made the key {ready.key_made}: back it up, and keep it apart from the store;")
            note("with it pseudonyms lead to people, without it nothing can be added or looked up")
        with progress_bar("ingesting") as show, _stopping(ready):
            totals = ready.daemon.run(_progress(show))
        return totals, len(ready.store.rings(min_probability=settings.alerts.list_min_probability))


def summarise(totals: Totals, rings: int, largest_share_alarm: float = 1.0) -> None:
    """Says what a run did, and warns where more than this part of all accounts hold together."""
    from fraudgraph.rings.facts_words import count, minute

    until = f", up to {minute(totals.watermark_ms)} UTC" if totals.watermark_ms else ""
    if totals.commands:
        note(f"{count(totals.commands, 'command')} obeyed")
    if totals.events or totals.duplicates or totals.dead_letters:
        note(f"{count(totals.events, 'event')} applied in {count(totals.commits, 'commit')}{until}")
    elif totals.bytes_all == 0:
        note("there is nothing in what was read: the input is empty")
    else:
        note(f"nothing new: every event is in the store{until}")
    if totals.duplicates:
        note(f"{count(totals.duplicates, 'event')} had come before")
    for reason, letters in totals.dead_letters.most_common():
        note(f"{count(letters, 'dead letter')}: {reason}")
    note(f"{count(rings, 'ring')} in the queue, {count(totals.alerts, 'new alert')}")
    if totals.users:
        note(f"largest component: {100 * totals.largest_share:.1f} % of {count(totals.users, 'account')}")
    if totals.largest_share > largest_share_alarm and totals.largest_users >= FEW:
        note(f"warning: that is more than {100 * largest_share_alarm:g} % (rings.largest_share_alarm): something that")
        note("strangers share ties them; `fraudgraph rings list` and its largest ring show what, and `fraudgraph")
        note("constraints add benign-hub` or a lower hub_users of its kind in [links] takes it out")
    if totals.stopped:
        note("stopped before the end; the same command goes on from here")


def _progress(show: Callable[[int, int | None, str], None]) -> Callable[[Totals], None]:
    """Returns what moves the bar and writes the log: rate, and how far behind now the event time is."""
    import structlog

    from fraudgraph.rings.facts_words import duration, minute

    log = structlog.get_logger("fraudgraph.ingest")
    started = last_log = 0.0
    first_events = 0

    def on_progress(totals: Totals) -> None:
        nonlocal started, last_log, first_events
        now = time.monotonic()
        if not started:  # the first batch also pays for loading compiled code
            started, last_log, first_events = now, now, totals.events
        rate = (totals.events - first_events) / max(now - started, 1e-9)
        lag_ms = max(0, round(time.time() * 1000) - totals.watermark_ms)
        words = f"{rate:,.0f}/s, at {minute(totals.watermark_ms)}, lag {duration(lag_ms)}"
        show(totals.bytes_read, totals.bytes_all, words)
        if now - last_log >= LOG_EVERY_S:
            last_log = now
            share = round(totals.largest_share, 6)
            log.info(
                "progress",
                events=totals.events,
                per_second=round(rate),
                lag_ms=lag_ms,
                commits=totals.commits,
                largest_share=share,
            )

    return on_progress


@contextmanager
def _stopping(ready: Ingest) -> Iterator[None]:
    """Lets SIGINT and SIGTERM end the run after the batch in hand; a second one ends it at once, and loses nothing."""

    def stop(number: int, frame: object) -> None:
        ready.daemon.stop()
        signal.signal(number, before[number])

    before: dict[int, Any] = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _document(totals: Totals, rings: int) -> dict[str, object]:
    from fraudgraph.rings.facts_words import rfc3339

    return {
        "events": totals.events,
        "commands": totals.commands,
        "duplicates": totals.duplicates,
        "dead_letters": dict(sorted(totals.dead_letters.items())),
        "commits": totals.commits,
        "alerts": totals.alerts,
        "rings": rings,
        "users": totals.users,
        "largest_component_users": totals.largest_users,
        "largest_component_share": round(totals.largest_share, 6),
        "watermark": rfc3339(totals.watermark_ms) if totals.watermark_ms else None,
        "stopped": totals.stopped,
    }
