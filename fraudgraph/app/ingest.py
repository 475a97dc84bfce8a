"""A daemon on files, and whatever else writes to a store: commands, dead letters once more."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fraudgraph.app.engines import make_decoder, make_engine
from fraudgraph.app.keys import local_file, read_keys, vault_of
from fraudgraph.app.rule_sets import announce_rules
from fraudgraph.app.stores import Writer, alone, open_reader, open_store, open_writer
from fraudgraph.settings import Settings

if TYPE_CHECKING:
    from fraudgraph.committer import Committer
    from fraudgraph.daemon import Daemon, Follower, Observer
    from fraudgraph.engine import Engine
    from fraudgraph.events.schema import Command
    from fraudgraph.replay import Replayed
    from fraudgraph.scoring.drift import DriftReport
    from fraudgraph.stores.port import Store
    from fraudgraph.streams.port import Stream


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
def _open_ingest(settings: Settings, stream: Stream, environment: Mapping[str, str]) -> Iterator[Ingest]:
    """Opens the store for a daemon that reads a stream, and the store's commands beside it."""
    from fraudgraph.committer import Committer
    from fraudgraph.stores.command_stream import CommandStream
    from fraudgraph.stores.url import at_work
    from fraudgraph.streams.merged import MergedStream

    with (
        open_writer(settings, environment) as writer,
        at_work(settings.store.url, writer.store),
        closing(open_reader(settings)) as reader,
        Committer(writer.store) as committer,
    ):
        announce_rules(settings, reader, writer.store)
        events = MergedStream(stream, CommandStream(reader))
        yield Ingest(make_daemon(settings, events, writer, committer), writer.store, writer.key_made)


def make_daemon(
    settings: Settings,
    stream: Stream,
    writer: Writer,
    committer: Committer,
    engine: Engine | None = None,
    *,
    monitor: Observer | None = None,
    followers: Sequence[Follower] = (),
    drift: Callable[[], DriftReport] | None = None,
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
        retention=DeadLetterRetention(settings.dead_letters.days, wall_ms),
        observer=monitor,
        followers=followers,
        drift=drift,
    )


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


def record_command(settings: Settings, command: Command, environment: Mapping[str, str] = os.environ) -> int:
    """Records a command in an existing store and returns its number; a daemon takes it with its next batch.

    Raises:
        ConfigurationError: nobody works on the store, and the key that obeying takes is missing or another one; nothing
            was recorded.
        DependencyError, StoreError: the store is not there or cannot be written.
    """
    import msgspec

    with closing(open_reader(settings)) as reader, alone(settings) as nobody_else:
        if nobody_else:
            read_keys(settings, reader.meta(), environment)
    with closing(open_store(settings.store.url, settings)) as store:
        return store.record_command(msgspec.json.encode(command))


def obey_commands(settings: Settings, environment: Mapping[str, str] = os.environ) -> bool:
    """Obeys what is recorded, where no daemon works on the store; returns whether that is so.

    Raises:
        ConfigurationError, DependencyError, StoreError: the store cannot be written; the message says why.
    """
    from fraudgraph.committer import Committer
    from fraudgraph.errors import FencedError
    from fraudgraph.stores.command_stream import CommandStream

    with alone(settings) as nobody_else:
        if nobody_else:
            # A writer elsewhere may not see the lock; where it took the store over, it obeys.
            with (
                open_writer(settings, environment) as writer,
                closing(open_reader(settings)) as reader,
                Committer(writer.store) as committer,
                suppress(FencedError),
            ):
                make_daemon(settings, CommandStream(reader, ends=True), writer, committer).run()
                return True
    return False


def replay(
    settings: Settings, *, reasons: Collection[str] | None = None, environment: Mapping[str, str] = os.environ
) -> Replayed:
    """Tries the store's dead letters once more; see `fraudgraph.replay`."""
    from fraudgraph.replay import replay_dead_letters
    from fraudgraph.stores.url import at_work

    with closing(open_reader(settings)) as reader:  # refuses a store that is not there, and a wrong key
        read_keys(settings, reader.meta(), environment)
    with open_writer(settings, environment) as writer, at_work(settings.store.url, writer.store):
        return replay_dead_letters(
            writer.store,
            make_decoder(settings, writer.keys),
            make_engine(settings),
            vault_of(writer.keys),
            reasons=reasons,
            batch_events=settings.ingest.batch_events,
        )
