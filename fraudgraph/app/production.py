"""The daemon on Kafka, with all that stands beside it: health, metrics, couriers, narration."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from fraudgraph.app.drift import watch_drift
from fraudgraph.app.engines import make_engine
from fraudgraph.app.ingest import Ingest, make_daemon, wall_ms
from fraudgraph.app.keys import vault_of
from fraudgraph.app.narrators import make_planner
from fraudgraph.app.rule_sets import announce_rules
from fraudgraph.app.stores import Writer, open_reader, open_writer, stored_rings
from fraudgraph.durations import MINUTE_MS
from fraudgraph.errors import ConfigurationError
from fraudgraph.settings import KAFKA_PASSWORD_VARIABLE, Settings

if TYPE_CHECKING:
    from concurrent.futures import Future

    from fraudgraph.committer import Committer
    from fraudgraph.daemon import Follower, Observer
    from fraudgraph.delivery import Courier
    from fraudgraph.monitor.tracing import Tracer
    from fraudgraph.monitor.watch import Monitor
    from fraudgraph.narrative.port import Planner
    from fraudgraph.narrative.worker import NarrationWorker
    from fraudgraph.stores.port import StoreReader
    from fraudgraph.streams.kafka import KafkaAccess, KafkaStream
    from fraudgraph.streams.port import Stream


SAY_EVERY_S = 5.0
"""Between two lines of the log that say how much of the store is read."""
LAST_DELIVERY_S = 5.0
"""So long a daemon that ends waits for alerts to be delivered; what is not waits in the store."""


@contextmanager
def open_kafka(
    settings: Settings, *, until_end: bool = False, environment: Mapping[str, str] = os.environ
) -> Iterator[tuple[Ingest, KafkaStream]]:
    """Opens the configured topics and the store as `open_ingest` does; brokers are first met when the daemon runs.

    Args:
        until_end: the daemon's run ends once what is in the topics at its start is read.

    Raises:
        ConfigurationError, DependencyError, StoreError: one of them cannot be used; the message says why.
    """
    from fraudgraph.streams.kafka import KafkaAccess, KafkaStream

    kafka = settings.kafka
    if not kafka.bootstrap:
        raise ConfigurationError(
            "kafka.bootstrap is not set",
            do="Give --config configs/production.toml, or --set kafka.bootstrap=HOST:PORT.",
        )
    access = KafkaAccess(
        bootstrap=kafka.bootstrap,
        security_protocol=kafka.security_protocol,
        sasl_mechanism=kafka.sasl_mechanism,
        username=kafka.username,
        password=environment.get(KAFKA_PASSWORD_VARIABLE, ""),
        ca_file=kafka.ca_file,
        certificate_file=kafka.certificate_file,
        key_file=kafka.key_file,
    )
    stream = KafkaStream(
        access,
        [name.strip() for name in kafka.topics.split(",")],
        group=kafka.group,
        until_end=until_end,
        since_ms=_filled_until(settings) if kafka.start == "watermark" else None,
        poll_wait_ms=kafka.poll_wait_ms,
        fetch_max_bytes=kafka.fetch_max_bytes,
    )
    with closing(stream), _open_production(settings, stream, access, environment) as ready:
        yield ready, stream


def _filled_until(settings: Settings) -> int:
    """Returns the event time up to which the store is settled: at and after it, an event that comes twice is known."""
    with closing(open_reader(settings)) as reader:
        return int(reader.meta()["watermark_ms"])


@contextmanager
def _open_production(
    settings: Settings, stream: KafkaStream, access: KafkaAccess, environment: Mapping[str, str]
) -> Iterator[Ingest]:
    """Opens the store as `open_ingest` does, with all that a daemon that never ends has beside it.

    It waits for a store that is away, tells silence, serves its page and delivers alerts.
    """
    from fraudgraph import __version__
    from fraudgraph.committer import Committer, Patience
    from fraudgraph.idle import IdleWatch, Silence
    from fraudgraph.monitor.health import Health
    from fraudgraph.monitor.metrics import Metrics
    from fraudgraph.monitor.page import page, serving
    from fraudgraph.monitor.tracing import TracedLoop
    from fraudgraph.monitor.watch import Monitor
    from fraudgraph.narration import Narration
    from fraudgraph.stores.command_stream import CommandStream
    from fraudgraph.stores.url import at_work
    from fraudgraph.streams.merged import MergedStream

    rules = settings.daemon
    health = Health(time.monotonic, live_limit_s=rules.live_seconds, ready_limit_s=rules.ready_seconds)
    monitor = Monitor(Metrics(__version__, settings.rings.largest_share_alarm), health, lags=stream.lags)
    with ExitStack() as stack:
        tracer = stack.enter_context(_tracing(settings))
        writer = stack.enter_context(open_writer(settings, environment, _reading()))
        stack.enter_context(at_work(settings.store.url, writer.store))
        reader = stack.enter_context(closing(open_reader(settings)))
        announce_rules(settings, reader, writer.store)
        patience = Patience(longest_wait_s=rules.store_wait_max_seconds)
        committer = stack.enter_context(Committer(writer.store, patience=patience, on_away=monitor.store_away))
        address = ""
        if rules.http:
            address = stack.enter_context(serving(rules.http, page(monitor.metrics, health, lambda: monitor.model)))
        couriers = _couriers(settings, access, writer, committer, monitor, reader, tracer)
        for courier in couriers:
            courier.start()
            stack.callback(courier.close, LAST_DELIVERY_S)
        narration = _narration(settings, writer, committer, monitor, environment, tracer)
        for worker in narration:
            worker.start()
            stack.callback(worker.close)
        engine = make_engine(settings)
        main: Stream = stream
        if rules.idle_after_seconds:
            main = IdleWatch(
                stream,
                Silence(rules.idle_after_seconds * 1000, settings.time.allowed_lateness_minutes * MINUTE_MS),
                wall_ms=wall_ms,
                latest_ms=lambda: engine.latest_ms,
                record=lambda body: committer.submit(writer.store.record_command, body),
            )
        events: Stream = MergedStream(main, CommandStream(reader, patient=True))
        observer: Observer = monitor
        if tracer is not None:
            events = observer = TracedLoop(tracer, events, monitor)
        followers: list[Follower] = [*couriers, *map(Narration, narration)]
        drift = watch_drift(settings, engine, reader)
        daemon = make_daemon(
            settings, events, writer, committer, engine, monitor=observer, followers=followers, drift=drift
        )
        yield Ingest(daemon, writer.store, writer.key_made, address)


def _reading() -> Callable[[int, int], None]:
    """Returns what logs, every few seconds, how much of a server's store is read."""
    import structlog

    log, said_s = structlog.get_logger("fraudgraph.daemon"), time.monotonic()

    def on_load(rows: int, rows_all: int) -> None:
        nonlocal said_s
        if time.monotonic() - said_s >= SAY_EVERY_S:
            said_s = time.monotonic()
            log.info("reading the store", rows=rows, rows_all=rows_all)

    return on_load


def _couriers(
    settings: Settings,
    access: KafkaAccess,
    writer: Writer,
    committer: Committer,
    monitor: Monitor,
    reader: StoreReader,
    tracer: Tracer | None,
) -> list[Courier]:
    """Returns one courier for each place that alerts go to, and for the topic of dead letters."""
    from fraudgraph.alerts.sinks import AlertSink, LinesSink, TopicSink
    from fraudgraph.delivery import AlertErrand, Courier, DeadLetterErrand, Errand
    from fraudgraph.monitor.tracing import TracedErrand
    from fraudgraph.streams.kafka_sink import KafkaTopic

    sinks: list[AlertSink] = []
    if settings.alerts.topic:
        sinks.append(TopicSink(KafkaTopic(access, settings.alerts.topic)))
    if settings.alerts.file:
        sinks.append(LinesSink(settings.alerts.file, sys.stdout.buffer))
    for sink in sinks:
        monitor.follow_sink(sink.name, len(reader.outbox(sink.name)))

    def mark_sent(sink: str, alert_ids: list[str]) -> Future[None]:
        return committer.submit(writer.store.mark_sent, sink, alert_ids)

    def traced(errand: Errand) -> Errand:
        return errand if tracer is None else TracedErrand(tracer, errand)

    def errand(sink: AlertSink) -> Callable[[], Errand]:
        return lambda: traced(AlertErrand(sink, open_reader(settings), mark_sent))

    couriers = [Courier(errand(sink), on_done=monitor.delivered) for sink in sinks]
    if settings.dead_letters.topic:
        copies = DeadLetterErrand(KafkaTopic(access, settings.dead_letters.topic), vault_of(writer.keys).open)
        couriers.append(Courier(lambda: traced(copies), offer=copies.offer, on_done=monitor.delivered))
    return couriers


def _narration(
    settings: Settings,
    writer: Writer,
    committer: Committer,
    monitor: Monitor,
    environment: Mapping[str, str],
    tracer: Tracer | None,
) -> list[NarrationWorker]:
    """Returns what has alerted rings told by the configured language model; nothing where there is none.

    Detection goes on without it: where its cache cannot be written, that is said and left at that.
    """
    import structlog

    from fraudgraph.errors import DependencyError
    from fraudgraph.monitor.tracing import TracedPlanner
    from fraudgraph.narration import saver
    from fraudgraph.narrative.worker import NarrationWorker

    try:
        planner = make_planner(settings, environment)
    except DependencyError as error:
        structlog.get_logger("fraudgraph.narrator").warning("no rings are told", why=error.what, do=error.do)
        return []
    if planner is None:
        return []
    save = saver(lambda row: committer.submit(writer.store.save_narrative, row), wall_ms)
    rings = partial(stored_rings, settings)
    teller: Planner = planner if tracer is None else TracedPlanner(tracer, planner)
    return [NarrationWorker(rings, teller, planner.asked, save, on_done=monitor.narrated)]


def _tracing(settings: Settings) -> AbstractContextManager[Tracer | None]:
    """Returns where spans go, None for nowhere."""
    if not settings.telemetry.otlp_endpoint:
        return nullcontext()
    from fraudgraph.monitor.otel import tracing_to

    return tracing_to(settings.telemetry.otlp_endpoint)
