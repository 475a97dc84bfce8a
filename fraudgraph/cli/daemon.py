"""`fraudgraph daemon`: reads Kafka until it is told to stop."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fraudgraph.cli.options import ConfigOption, SetOption, StoreOption, effective_settings
from fraudgraph.cli.output import without_password

if TYPE_CHECKING:
    from fraudgraph.daemon import Daemon, Totals
    from fraudgraph.streams.kafka import KafkaStream

LOG_EVERY_S = 10.0
GRACE_S = 15
"""So long after daemon.drain_seconds the process ends, whatever it does; nothing is lost then either."""


def daemon(
    once: Annotated[
        bool, typer.Option("--once", help="Ends once what is in the topics now is read, for a timer such as cron.")
    ] = False,
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Reads the topics of [kafka], and keeps the rings.

    Goes on where the last run stopped. SIGTERM or Ctrl-C ends it after the batches in hand, with exit code 0; a kill at
    any instant loses nothing. Logs are JSON lines on standard error; what to do when is in docs/operations.md.
    """
    import structlog

    from fraudgraph.app import open_kafka
    from fraudgraph.logging import configure_logging

    settings = effective_settings(store, config, overrides).settings
    configure_logging(settings.logging.level)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # it says each retry; the stream says it once
    log = structlog.get_logger("fraudgraph.daemon")
    limit_s = settings.daemon.drain_seconds + GRACE_S
    with open_kafka(settings, until_end=once) as (ready, stream), _draining(ready.daemon, limit_s):
        if ready.key_made is not None:
            log.warning("made a key: back it up apart from the store", file=str(ready.key_made))
        log.info(
            "started",
            store=without_password(settings.store.url),
            brokers=settings.kafka.bootstrap,
            topics=settings.kafka.topics,
            page=ready.page,
            once=once,
        )
        totals = ready.daemon.run(_progress(log, stream))
        log.info("stopped", **_counts(totals), records_behind=stream.lag())


def _progress(log: Any, stream: KafkaStream) -> Callable[[Totals], None]:
    """Returns what logs, every few seconds, the rate and how far behind the brokers and the clock we are."""
    last, events = time.monotonic(), 0

    def on_progress(totals: Totals) -> None:
        nonlocal last, events
        now = time.monotonic()
        if now - last < LOG_EVERY_S:
            return
        log.info(
            "progress",
            **_counts(totals),
            events_per_second=round((totals.events - events) / (now - last)),
            records_behind=stream.lag(),
            event_time_behind_ms=max(0, round(time.time() * 1000) - totals.watermark_ms),
        )
        last, events = now, totals.events

    return on_progress


def _counts(totals: Totals) -> dict[str, object]:
    return {
        "events": totals.events,
        "commands": totals.commands,
        "duplicates": totals.duplicates,
        "dead_letters": dict(sorted(totals.dead_letters.items())),
        "commits": totals.commits,
        "alerts": totals.alerts,
    }


@contextmanager
def _draining(daemon: Daemon, limit_s: int) -> Iterator[None]:
    """Lets SIGINT and SIGTERM end the run after the batches in hand; a second one, or the limit, ends it at once."""

    def stop(number: int, frame: object) -> None:
        daemon.stop()
        signal.signal(number, signal.SIG_DFL)
        signal.alarm(limit_s)

    before: dict[int, Any] = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)
