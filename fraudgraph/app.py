"""The composition root: the only place that names concrete streams, stores, scorers and renderers.

Heavy rooms are imported inside the functions: a reader of a store must start without numpy.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fraudgraph.durations import HOUR_MS, MINUTE_MS
from fraudgraph.errors import ConfigurationError
from fraudgraph.settings import KAFKA_PASSWORD_VARIABLE, KEY_VARIABLE, NEO4J_PASSWORD_VARIABLE, Settings

if TYPE_CHECKING:
    from concurrent.futures import Future

    from fraudgraph.backtest import Side
    from fraudgraph.committer import Committer
    from fraudgraph.daemon import Daemon, Follower
    from fraudgraph.delivery import Courier
    from fraudgraph.engine import Engine
    from fraudgraph.events.batch import DecodedBatch
    from fraudgraph.events.decoder import Decoder
    from fraudgraph.events.keys import KeyRing
    from fraudgraph.events.pseudonyms import Pseudonymiser
    from fraudgraph.events.resolver import Resolver
    from fraudgraph.events.schema import Command
    from fraudgraph.events.vault import Vault
    from fraudgraph.monitor.watch import Monitor
    from fraudgraph.narration import StoredRings
    from fraudgraph.narrative.llm.client import ModelClient
    from fraudgraph.narrative.llm.picker import QueryPicker
    from fraudgraph.narrative.llm.planner import ModelPlanner
    from fraudgraph.narrative.worker import NarrationWorker
    from fraudgraph.replay import Replayed
    from fraudgraph.reports.model import RingReport
    from fraudgraph.stores.copy import Copied
    from fraudgraph.stores.neo4j.access import Neo4jOptions
    from fraudgraph.stores.port import Store, StoreReader
    from fraudgraph.streams.kafka import KafkaAccess, KafkaStream
    from fraudgraph.streams.port import Stream

LAST_DELIVERY_S = 5.0
"""So long a daemon that ends waits for alerts to be delivered; what is not waits in the store."""


def open_reader(settings: Settings) -> StoreReader:
    """Opens the configured store for reading.

    Raises:
        ConfigurationError, DependencyError, StoreError: the store cannot be used; the message says why.
    """
    from fraudgraph.stores.url import open_reader as open_by_url

    return open_by_url(
        settings.store.url,
        settings.links,
        settings.priority,
        _neo4j_options(settings.store.url, settings),
        warmup_days=settings.rings.warmup_days,
    )


def _open_store(url: str, settings: Settings) -> Store:
    from fraudgraph.stores.url import open_store

    return open_store(
        url,
        settings.links,
        settings.priority,
        _neo4j_options(url, settings),
        warmup_days=settings.rings.warmup_days,
    )


def key_file(settings: Settings) -> Path:
    """Returns the file of the secret key: as set, else beside the embedded store."""
    if settings.identity.key_file:
        return Path(settings.identity.key_file)
    store = local_file(settings)
    return store.with_name(f"{store.name}.key")


def local_file(settings: Settings) -> Path:
    """Returns the file beside which this machine keeps what belongs to the store: its key, its snapshot."""
    from fraudgraph.stores.url import local_file as file_of

    return file_of(settings.store.url, Path(settings.neo4j.local_folder))


def _neo4j_options(url: str, settings: Settings, environment: Mapping[str, str] = os.environ) -> Neo4jOptions:
    """Returns what the URL of a store in Neo4j does not say; nothing is read for another store.

    Raises:
        ConfigurationError: the password's file cannot be read.
    """
    from fraudgraph.stores.neo4j.access import Neo4jOptions
    from fraudgraph.stores.url import is_neo4j

    if not is_neo4j(url):
        return Neo4jOptions()
    neo4j = settings.neo4j
    password = environment.get(NEO4J_PASSWORD_VARIABLE, "")
    if neo4j.password_file and not password:
        try:
            password = Path(neo4j.password_file).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"neo4j.password_file {neo4j.password_file} cannot be read ({type(error).__name__})",
                do=f"Name an existing file that this user may read, or set {NEO4J_PASSWORD_VARIABLE}.",
            ) from error
    return Neo4jOptions(
        password=password,
        connection_timeout_ms=neo4j.connection_timeout_ms,
        retry_max_ms=neo4j.retry_max_seconds * 1000,
        fetch_rows=neo4j.fetch_rows,
        ca_file=neo4j.ca_file,
    )


def _alone(settings: Settings) -> AbstractContextManager[bool]:
    from fraudgraph.stores.url import alone

    return alone(settings.store.url, settings.links, settings.priority, _neo4j_options(settings.store.url, settings))


def read_keys(settings: Settings, environment: Mapping[str, str] = os.environ) -> KeyRing:
    """Returns the keys of an existing store; never makes one.

    Raises:
        ConfigurationError: there is no key, or it cannot be read.
    """
    from fraudgraph.events.keys import load_key

    file = key_file(settings)
    if not environment.get(KEY_VARIABLE) and not file.exists():
        raise ConfigurationError(
            f"the key of the store is missing: {KEY_VARIABLE} is not set and there is no file {file}",
            do="Set it, or put the key file back, as it was when the store was written.",
        )
    keys, _ = load_key(environment, file)
    return keys


def open_vault(settings: Settings, reader: StoreReader, environment: Mapping[str, str] = os.environ) -> Vault:
    """Returns what opens the original bytes of this store's dead letters.

    Raises:
        ConfigurationError: the key is missing, or another one than the store was written under.
    """
    from fraudgraph.events.vault import Vault

    keys = read_keys(settings, environment)
    _bound_pseudonymiser(keys, reader)
    return Vault(keys.vault)


def open_resolver(settings: Settings, reader: StoreReader, environment: Mapping[str, str] = os.environ) -> Resolver:
    """Returns what turns identifiers into the pseudonyms of this store.

    Raises:
        ConfigurationError: the key is missing, or another one than the store was written under.
    """
    from fraudgraph.events.resolver import Resolver

    pseudonymiser = _bound_pseudonymiser(read_keys(settings, environment), reader)
    return Resolver(pseudonymiser, default_region=settings.identity.default_region or None)


def _bound_pseudonymiser(keys: KeyRing, reader: StoreReader) -> Pseudonymiser:
    from fraudgraph.events.pseudonyms import Pseudonymiser

    pseudonymiser = Pseudonymiser(keys.pseudonyms)
    bound = reader.meta()["key_id"]
    if bound and bound != pseudonymiser.key_id:
        raise ConfigurationError(
            f"the store was written under key {bound}, and the key given is {pseudonymiser.key_id}",
            do=f"Set {KEY_VARIABLE}, or put back the key file, as it was when the store was written.",
        )
    return pseudonymiser


@dataclass(frozen=True, slots=True)
class Ingest:
    """A daemon that is ready to run on a store.

    Attributes:
        key_made: the key file that was made for it just now.
        page: `host:port` of its page; "" where it has none.
    """

    daemon: Daemon
    store: Store
    key_made: Path | None
    page: str = ""


@contextmanager
def open_ingest(
    settings: Settings, paths: Sequence[str | Path], environment: Mapping[str, str] = os.environ
) -> Iterator[Ingest]:
    """Opens the files and the store, binds the store to key and policy, and closes both at the end.

    Raises:
        ConfigurationError, DependencyError, StoreError: one of them cannot be used; the message says why.
    """
    from fraudgraph.streams.files import FileStream

    with closing(FileStream(paths)) as stream, _open_ingest(settings, stream, environment) as ready:
        yield ready


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
    """Opens the store as `_open_ingest` does, with all that a daemon that never ends has beside it.

    It waits for a store that is away, tells silence, serves its page and delivers alerts.
    """
    from fraudgraph import __version__
    from fraudgraph.committer import Committer, Patience
    from fraudgraph.idle import IdleWatch, Silence
    from fraudgraph.monitor.health import Health
    from fraudgraph.monitor.metrics import Metrics
    from fraudgraph.monitor.page import page, serving
    from fraudgraph.monitor.watch import Monitor
    from fraudgraph.narration import Narration
    from fraudgraph.stores.command_stream import CommandStream
    from fraudgraph.stores.url import at_work
    from fraudgraph.streams.merged import MergedStream

    rules = settings.daemon
    health = Health(time.monotonic, live_limit_s=rules.live_seconds, ready_limit_s=rules.ready_seconds)
    monitor = Monitor(Metrics(__version__, settings.rings.largest_share_alarm), health, lags=stream.lags)
    with ExitStack() as stack:
        writer = stack.enter_context(_open_writer(settings, environment))
        stack.enter_context(at_work(settings.store.url, writer.store))
        reader = stack.enter_context(closing(open_reader(settings)))
        patience = Patience(longest_wait_s=rules.store_wait_max_seconds)
        committer = stack.enter_context(Committer(writer.store, patience=patience, on_away=monitor.store_away))
        address = ""
        if rules.http:
            address = stack.enter_context(serving(rules.http, page(monitor.metrics, health)))
        couriers = _couriers(settings, access, writer, committer, monitor, reader)
        for courier in couriers:
            courier.start()
            stack.callback(courier.close, LAST_DELIVERY_S)
        narration = _narration(settings, writer, committer, monitor, environment)
        for worker in narration:
            worker.start()
            stack.callback(worker.close)
        engine = make_engine(settings)
        main: Stream = stream
        if rules.idle_after_seconds:
            main = IdleWatch(
                stream,
                Silence(rules.idle_after_seconds * 1000, settings.time.allowed_lateness_minutes * MINUTE_MS),
                wall_ms=_wall_ms,
                latest_ms=lambda: engine.latest_ms,
                record=lambda body: committer.submit(writer.store.record_command, body),
            )
        events = MergedStream(main, CommandStream(reader, patient=True))
        followers: list[Follower] = [*couriers, *map(Narration, narration)]
        daemon = _make_daemon(settings, events, writer, committer, engine, monitor=monitor, followers=followers)
        yield Ingest(daemon, writer.store, writer.key_made, address)


def _couriers(
    settings: Settings,
    access: KafkaAccess,
    writer: _Writer,
    committer: Committer,
    monitor: Monitor,
    reader: StoreReader,
) -> list[Courier]:
    """Returns one courier for each place that alerts go to, and for the topic of dead letters."""
    from fraudgraph.alerts.sinks import AlertSink, LinesSink, TopicSink
    from fraudgraph.delivery import AlertErrand, Courier, DeadLetterErrand
    from fraudgraph.events.vault import Vault
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

    def errand(sink: AlertSink) -> Callable[[], AlertErrand]:
        return lambda: AlertErrand(sink, open_reader(settings), mark_sent)

    couriers = [Courier(errand(sink), on_done=monitor.delivered) for sink in sinks]
    if settings.dead_letters.topic:
        copies = DeadLetterErrand(KafkaTopic(access, settings.dead_letters.topic), Vault(writer.keys.vault).open)
        couriers.append(Courier(lambda: copies, offer=copies.offer, on_done=monitor.delivered))
    return couriers


def _narration(
    settings: Settings, writer: _Writer, committer: Committer, monitor: Monitor, environment: Mapping[str, str]
) -> list[NarrationWorker]:
    """Returns what has alerted rings told by the configured language model; nothing where there is none.

    Detection goes on without it: where its cache cannot be written, that is said and left at that.
    """
    import structlog

    from fraudgraph.errors import DependencyError
    from fraudgraph.narration import saver
    from fraudgraph.narrative.worker import NarrationWorker

    try:
        planner = make_planner(settings, environment)
    except DependencyError as error:
        structlog.get_logger("fraudgraph.narrator").warning("no rings are told", why=error.what, do=error.do)
        return []
    if planner is None:
        return []
    save = saver(lambda row: committer.submit(writer.store.save_narrative, row), _wall_ms)
    rings = partial(_stored_rings, settings)
    return [NarrationWorker(rings, planner, planner.asked, save, on_done=monitor.narrated)]


def _stored_rings(settings: Settings) -> StoredRings:
    from fraudgraph.narration import StoredRings

    return StoredRings(open_reader(settings), settings.links)


@contextmanager
def _open_ingest(settings: Settings, stream: Stream, environment: Mapping[str, str]) -> Iterator[Ingest]:
    """Opens the store for a daemon that reads a stream, and the store's commands beside it."""
    from fraudgraph.committer import Committer
    from fraudgraph.stores.command_stream import CommandStream
    from fraudgraph.stores.url import at_work
    from fraudgraph.streams.merged import MergedStream

    with (
        _open_writer(settings, environment) as writer,
        at_work(settings.store.url, writer.store),
        closing(open_reader(settings)) as reader,
        Committer(writer.store) as committer,
    ):
        events = MergedStream(stream, CommandStream(reader))
        yield Ingest(_make_daemon(settings, events, writer, committer), writer.store, writer.key_made)


def _make_daemon(
    settings: Settings,
    stream: Stream,
    writer: _Writer,
    committer: Committer,
    engine: Engine | None = None,
    *,
    monitor: Monitor | None = None,
    followers: Sequence[Follower] = (),
) -> Daemon:
    """Returns the loop; one that is watched may make its commits larger where the store is slow."""
    from fraudgraph.daemon import Daemon, Pace
    from fraudgraph.stores.local_snapshot import LocalSnapshot
    from fraudgraph.stores.retention import DeadLetterRetention

    file = local_file(settings)
    size = settings.ingest.batch_events
    return Daemon(
        stream,
        make_decoder(settings, writer.keys),
        engine or make_engine(settings),
        committer,
        pace=Pace(
            batch_events=size,
            batch_events_max=size if monitor is None else max(size, settings.daemon.batch_events_max),
            commits_ahead=settings.daemon.commits_ahead,
            drain_s=settings.daemon.drain_seconds,
        ),
        snapshot=LocalSnapshot(file.with_name(f"{file.name}.snapshot")),
        retention=DeadLetterRetention(settings.dead_letters.days, _wall_ms),
        observer=monitor,
        followers=followers,
    )


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


def record_command(settings: Settings, command: Command, environment: Mapping[str, str] = os.environ) -> int:
    """Records a command in an existing store and returns its number; a daemon takes it with its next batch.

    Raises:
        ConfigurationError: nobody works on the store, and the key that obeying takes is missing or another one; nothing
            was recorded.
        DependencyError, StoreError: the store is not there or cannot be written.
    """
    import msgspec

    with closing(open_reader(settings)) as reader, _alone(settings) as nobody_else:
        if nobody_else:
            _bound_pseudonymiser(read_keys(settings, environment), reader)
    with closing(_open_store(settings.store.url, settings)) as store:
        return store.record_command(msgspec.json.encode(command))


def obey_commands(settings: Settings, environment: Mapping[str, str] = os.environ) -> bool:
    """Obeys what is recorded, where no daemon works on the store; returns whether that is so.

    Raises:
        ConfigurationError, DependencyError, StoreError: the store cannot be written; the message says why.
    """
    from fraudgraph.committer import Committer
    from fraudgraph.errors import FencedError
    from fraudgraph.stores.command_stream import CommandStream

    with _alone(settings) as nobody_else:
        if nobody_else:
            # A writer elsewhere may not see the lock; where it took the store over, it obeys.
            with (
                _open_writer(settings, environment) as writer,
                closing(open_reader(settings)) as reader,
                Committer(writer.store) as committer,
                suppress(FencedError),
            ):
                _make_daemon(settings, CommandStream(reader, ends=True), writer, committer).run()
                return True
    return False


def replay(
    settings: Settings, *, reasons: Collection[str] | None = None, environment: Mapping[str, str] = os.environ
) -> Replayed:
    """Tries the store's dead letters once more; see `fraudgraph.replay`."""
    from fraudgraph.events.vault import Vault
    from fraudgraph.replay import replay_dead_letters
    from fraudgraph.stores.url import at_work

    with closing(open_reader(settings)) as reader:  # refuses a store that is not there, and a wrong key
        _bound_pseudonymiser(read_keys(settings, environment), reader)
    with _open_writer(settings, environment) as writer, at_work(settings.store.url, writer.store):
        return replay_dead_letters(
            writer.store,
            make_decoder(settings, writer.keys),
            make_engine(settings),
            Vault(writer.keys.vault),
            reasons=reasons,
            batch_events=settings.ingest.batch_events,
        )


def back_up(settings: Settings, out: Path) -> Copied:
    """Copies the store, as of its last commit, into a new file; see `stores.copy`."""
    from fraudgraph.stores.copy import back_up as back_up_into

    with closing(open_reader(settings)) as source:
        return back_up_into(source, out, settings.links, settings.priority)


def restore(settings: Settings, backup: Path) -> Copied:
    """Copies a backup into the configured store.

    Raises:
        DependencyError: there is no such backup.
        StoreError: the store is not new.
    """
    from fraudgraph.stores.sqlite.reader import SqliteReader

    with closing(SqliteReader(backup, settings.links, settings.priority)) as source:
        return _copy_to(settings, source, settings.store.url)


def migrate(settings: Settings, url: str) -> Copied:
    """Copies the configured store into a new one of any kind.

    Raises:
        StoreError: the other store is not new.
    """
    with closing(open_reader(settings)) as source:
        return _copy_to(settings, source, url)


def _copy_to(settings: Settings, source: StoreReader, url: str) -> Copied:
    from fraudgraph.stores.copy import copy_store

    with closing(_open_store(url, settings)) as target:
        return copy_store(source, target)


def backtest(
    before: Settings,
    after: Settings,
    paths: Sequence[str | Path],
    *,
    tick_ms: int,
    on_progress: Callable[[int, int | None, str], None] | None = None,
) -> tuple[Side, Side]:
    """Replays files under two settings, in memory; see `fraudgraph.backtest`.

    Raises:
        ConfigurationError: the two read identifiers differently, so that what they see cannot be compared.
    """
    from fraudgraph.backtest import Side, run_backtest
    from fraudgraph.events.keys import KeyRing
    from fraudgraph.streams.files import FileStream

    if before.identity != after.identity:
        raise ConfigurationError(
            "the two sides differ in [identity]",
            do="Ingest into two stores instead: identifiers would not be the same.",
        )
    # Nobody keeps these pseudonyms, so the key is no secret; that it is fixed makes two runs agree.
    decoder = make_decoder(before, KeyRing(pseudonyms=bytes(32), vault=bytes(32)))
    sides = Side(make_engine(before)), Side(make_engine(after))
    with closing(FileStream(paths)) as stream:
        run_backtest(stream, decoder, sides, tick_ms=tick_ms, on_progress=on_progress)
    return sides


def make_decoder(settings: Settings, keys: KeyRing) -> Decoder:
    """Returns the decoder that the settings describe.

    Raises:
        ConfigurationError: the default currency is none.
    """
    from fraudgraph.events.decoder import Decoder
    from fraudgraph.events.pseudonyms import Pseudonymiser
    from fraudgraph.events.rejected import Rejected
    from fraudgraph.events.vault import Vault

    try:
        return Decoder(
            Pseudonymiser(keys.pseudonyms),
            Vault(keys.vault),
            default_region=settings.identity.default_region or None,
            default_currency=settings.identity.default_currency or None,
        )
    except Rejected:
        raise ConfigurationError(
            f"identity.default_currency {settings.identity.default_currency} is no currency",
            do="Give an ISO 4217 code such as EUR.",
        ) from None


def make_engine(settings: Settings) -> Engine:
    """Returns the engine that the settings describe.

    Raises:
        ConfigurationError: a bundle is not there, or was trained on other features or under another link policy.
    """
    from fraudgraph.alerts.policy import AlertPolicy
    from fraudgraph.engine import Engine, EngineRules
    from fraudgraph.events.clock import ClockRules
    from fraudgraph.graph.hot import GraphLimits
    from fraudgraph.scoring.library import BundleLibrary
    from fraudgraph.scoring.structural import StructuralScorer

    library = BundleLibrary(Path(settings.model.folder))
    rules = EngineRules(
        clock=ClockRules(
            allowed_lateness_ms=settings.time.allowed_lateness_minutes * MINUTE_MS,
            max_skew_ms=settings.time.max_skew_hours * HOUR_MS,
            max_gap_ms=settings.time.max_gap_days * 24 * HOUR_MS,
        ),
        limits=GraphLimits(
            user_days=settings.memory.user_days,
            order_days=settings.memory.order_days,
            transfer_days=settings.memory.transfer_days,
        ),
        priority=settings.priority,
        alerts=AlertPolicy(
            min_probability=settings.alerts.min_probability, weak_tie_strength=settings.alerts.weak_tie_strength
        ),
        second_reader=settings.cases.second_reader,
        min_users=settings.rings.min_users,
        max_users=settings.rings.max_users,
        max_strangers=settings.rings.max_strangers,
        warmup_days=settings.rings.warmup_days,
    )
    return Engine(
        settings.links,
        rules,
        StructuralScorer(),
        bundle=library(settings.model.bundle) if settings.model.bundle else None,
        shadow=library(settings.model.shadow) if settings.model.shadow else None,
        library=library,
    )


def make_client(settings: Settings, environment: Mapping[str, str] = os.environ) -> ModelClient | None:
    """Returns the client of the configured language model, or None where the template narrates.

    Raises:
        ConfigurationError, DependencyError: its key is missing, or its cache cannot be written.
    """
    from fraudgraph.narrative.llm.build import make_client as by_rules

    return by_rules(settings.narrator, environment)


def make_planner(settings: Settings, environment: Mapping[str, str] = os.environ) -> ModelPlanner | None:
    """Returns the planner that asks the configured language model, or None where the template narrates.

    Raises:
        ConfigurationError, DependencyError: as `make_client`.
    """
    from fraudgraph.narrative.llm.planner import ModelPlanner

    client = make_client(settings, environment)
    rules = settings.narrator
    return None if client is None else ModelPlanner(client, reading=rules.reading, currency=rules.currency)


def make_picker(settings: Settings, environment: Mapping[str, str] = os.environ) -> QueryPicker | None:
    """Returns what has the configured language model pick queries, or None where rules do.

    Raises:
        ConfigurationError, DependencyError: as `make_client`.
    """
    from fraudgraph.narrative.llm.picker import QueryPicker

    client = make_client(settings, environment)
    return None if client is None else QueryPicker(client)


def restored_engine(settings: Settings, environment: Mapping[str, str] = os.environ) -> tuple[Engine, Decoder]:
    """Returns an engine as of the store's last commit, to be asked and not to be fed, and what decodes events for it.

    Raises:
        ConfigurationError: the key or the link policy is not the store's, or a bundle cannot be used.
        DependencyError, StoreError: the store is not there or cannot be read.
    """
    with closing(open_reader(settings)) as reader:  # refuses a store that is not there, and a wrong key
        _bound_pseudonymiser(read_keys(settings, environment), reader)
    with _open_writer(settings, environment) as writer:
        engine = make_engine(settings)
        engine.restore(writer.store.load())
        return engine, make_decoder(settings, writer.keys)


def decode_one(decoder: Decoder, body: bytes) -> DecodedBatch:
    """Returns one event, given as JSON.

    Raises:
        UsageError: it is none; the message says why, without its values.
    """
    from fraudgraph.errors import UsageError
    from fraudgraph.streams.port import RawBatch

    batch = decoder.decode(RawBatch([body], ["asked"], [0], [0], [1]))
    for letter in batch.dead_letters:
        raise UsageError(
            f"that is no event ({letter.reason.code}: {letter.detail})", do="`fraudgraph schema` says what one is."
        )
    return batch


@dataclass(frozen=True, slots=True)
class _Writer:
    store: Store
    keys: KeyRing
    key_made: Path | None


@contextmanager
def _open_writer(settings: Settings, environment: Mapping[str, str]) -> Iterator[_Writer]:
    """Opens the store for writing, under its own key; only a new store gets a new key."""
    from fraudgraph.events.keys import load_key
    from fraudgraph.events.pseudonyms import Pseudonymiser

    with closing(_open_store(settings.store.url, settings)) as store:
        file = key_file(settings)
        if store.meta()["key_id"]:
            keys, made = read_keys(settings, environment), False
        else:
            keys, made = load_key(environment, file)
        store.bind(
            key_id=Pseudonymiser(keys.pseudonyms).key_id,
            policy_hash=settings.links.hash,
            policy_version=settings.links.version,
        )
        yield _Writer(store, keys, file if made else None)


def render_report(report: RingReport, format: str, *, picture: Path | None = None, beside: Path | None = None) -> str:
    """Returns a ring's report as `md`, or as `html` with its picture inside.

    Args:
        picture: the file of the picture, for Markdown to point at.
        beside: the file that the report goes to; the way to the picture starts there.
    """
    if format == "html":
        from fraudgraph.reports.html import render_html
        from fraudgraph.reports.picture import svg

        return render_html(report, svg(report))
    from fraudgraph.reports.markdown import render_markdown

    return render_markdown(report, None if picture is None else _way(picture, beside))


def draw_ring(report: RingReport, suffix: str) -> bytes:
    """Returns the picture of a ring, for a file that ends in `.png` or `.svg`."""
    from fraudgraph.reports.picture import png, svg

    return svg(report).encode() if suffix == ".svg" else png(report)


def _way(picture: Path, beside: Path | None) -> str:
    folder = Path() if beside is None else beside.parent
    return Path(os.path.relpath(picture, folder)).as_posix()
