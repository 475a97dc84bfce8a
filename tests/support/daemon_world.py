"""A small shop's journal and all that a daemon touches, with a fault at any point of it that one asks for."""

from __future__ import annotations

import json
import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fraudgraph.alerts.message import AlertMessage
from fraudgraph.alerts.policy import AlertPolicy
from fraudgraph.committer import Committer, Patience
from fraudgraph.daemon import Daemon, Observer, Pace, Totals
from fraudgraph.delivery import AlertErrand
from fraudgraph.engine import Engine, EngineRules
from fraudgraph.events.clock import ClockRules
from fraudgraph.events.decoder import Decoder
from fraudgraph.events.pseudonyms import Pseudonymiser
from fraudgraph.events.vault import Vault
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.stores.command_stream import CommandStream
from fraudgraph.stores.port import CommitDelta, Store, StoreReader
from fraudgraph.stores.sqlite.connect import connect_reader, connect_writer
from fraudgraph.stores.sqlite.reader import SqliteReader
from fraudgraph.stores.sqlite.store import SqliteStore
from fraudgraph.streams.merged import MergedStream
from fraudgraph.streams.port import RawBatch
from fraudgraph.testing.fakes import FakeScorer

KEY = bytes(range(32))
POLICY = LinkPolicy()
PARTITIONS = 9
FIRST = datetime(2026, 3, 1, tzinfo=UTC)
RULES = EngineRules(clock=ClockRules(), alerts=AlertPolicy(min_probability=0.3), warmup_days=0)
WAITS = Patience(first_wait_s=0.001, longest_wait_s=0.002)

Record = tuple[int, int, bytes, int]
"""Partition, offset, bytes, the brokers' time in ms."""


def journal(seed: int, events: int = 240) -> list[Record]:
    """Returns records as the brokers have them: a fifth twice, a fifth out of order, some late, some poison."""
    rng = random.Random(seed)
    made: list[tuple[int, bytes]] = []
    for number in range(events):
        moment = FIRST + timedelta(minutes=4 * number)
        late = rng.random()
        if late < 0.05 and number > events // 2:
            moment -= timedelta(hours=6)
        elif late < 0.25:
            moment -= timedelta(minutes=rng.randrange(1, 50))
        ring = rng.randrange(6)
        user = f"ring{ring}-{rng.randrange(5)}" if rng.random() < 0.6 else f"shopper{rng.randrange(60)}"
        device = f"device{ring}" if user.startswith("ring") else f"own-{user}"
        event = {
            "type": rng.choice(["signup", "login", "payment", "order"]),
            "event_id": f"e{number}",
            "ts": moment.isoformat(),
            "user_id": user,
            "device_id": device,
            "ip": f"198.51.100.{rng.randrange(40)}",
            "amount": "10.00",
            "currency": "EUR",
            "order_id": f"o{number}",
            "status": rng.choice(["approved", "declined"]),
        }
        line = json.dumps(event).encode() if rng.random() > 0.02 else b'{"type":'
        made += [(number, line)] * (2 if rng.random() < 0.2 else 1)
    counts: Counter[int] = Counter()
    records: list[Record] = []
    for number, line in made:
        partition = rng.randrange(PARTITIONS)
        arrived = FIRST + timedelta(minutes=4 * number)
        records.append((partition, counts[partition], line, int(arrived.timestamp() * 1000)))
        counts[partition] += 1
    return records


class Crash(BaseException):
    """The process is gone; nobody catches it."""


@dataclass
class Faults:
    """Counts the calls of each point, and raises at those that are asked for: (point, number of the call) -> what."""

    plan: dict[tuple[str, int], Callable[[], BaseException]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def at(self, point: str) -> None:
        """This point is reached."""
        self.counts[point] += 1
        error = self.plan.pop((point, self.counts[point]), None)
        if error is not None:
            raise error()


class RecordStream:
    """Batches of so many records, cut at the same places wherever one starts from."""

    def __init__(self, records: Sequence[Record], faults: Faults, *, size: int) -> None:
        self._records = records
        self._faults = faults
        self._size = size
        self._at = 0
        self.acknowledged: dict[str, int] = {}

    def seek(self, positions: Mapping[str, int]) -> None:
        """Starts behind the records that are committed."""
        self._faults.at("seek")
        done = [offset < positions.get(_name(partition), 0) for partition, offset, _, _ in self._records]
        self._at = sum(done)
        assert all(done[: self._at]), "positions are no cut of the journal"

    def poll(self, max_records: int) -> RawBatch | None:
        """Returns the next batch, None at the end."""
        self._faults.at("poll")
        rows = self._records[self._at : self._at + self._size]
        self._at += len(rows)
        if not rows:
            return None
        names = list(dict.fromkeys(_name(partition) for partition, *_ in rows))
        return RawBatch(
            values=[value for _, _, value, _ in rows],
            partitions=names,
            partition_of=[names.index(_name(partition)) for partition, *_ in rows],
            offsets=[offset for _, offset, _, _ in rows],
            next_offsets=[offset + 1 for _, offset, _, _ in rows],
            broker_ts_ms=[ms for *_, ms in rows],
        )

    def acknowledge(self, positions: Mapping[str, int]) -> None:
        """Remembers what was acknowledged."""
        self._faults.at("acknowledge")
        self.acknowledged.update(positions)
        self._faults.at("acknowledged")

    def progress(self) -> tuple[int, int | None]:
        """Returns nothing of interest."""
        return 0, None

    def close(self) -> None:
        """Does nothing."""


class FaultyConnection:
    """An SQLite connection whose statements are points: begin, write, commit, and committed (its answer is lost)."""

    def __init__(self, db: sqlite3.Connection, faults: Faults) -> None:
        self._db = db
        self._faults = faults

    def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
        """Runs a statement."""
        if statement == "COMMIT":
            self._faults.at("commit")
            done = self._db.execute(statement)
            self._faults.at("committed")
            return done
        if statement.startswith("BEGIN IMMEDIATE"):
            self._faults.at("begin")
        elif statement != "ROLLBACK" and self._db.in_transaction:
            self._faults.at("write")
        return self._db.execute(statement, *parameters)

    def executemany(self, statement: str, rows: Iterable[Any]) -> sqlite3.Cursor:
        """Runs a statement for each row."""
        self._faults.at("offset" if "partitions" in statement else "write")
        return self._db.executemany(statement, rows)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


@dataclass
class Mailbox:
    """The world outside, which no crash touches: all deliveries, in order."""

    faults: Faults
    got: list[AlertMessage] = field(default_factory=list)
    name: str = "mailbox"

    def send(self, alerts: Sequence[AlertMessage]) -> None:
        """Takes alerts one after the other."""
        self.faults.at("send")
        self.got += alerts
        self.faults.at("sent")

    def close(self) -> None:
        """Does nothing."""


class Postman:
    """Runs the errand at once, in the loop's thread, so that a fault in it is a fault of the process."""

    def __init__(self, errand: AlertErrand) -> None:
        self._errand = errand

    def committed(self, delta: CommitDelta | None) -> None:
        """Delivers all that waits."""
        while self._errand.run():
            pass


class FaultyReader(SqliteReader):
    """A reader whose outbox is a point."""

    def __init__(self, path: Path, faults: Faults) -> None:
        super().__init__(path, POLICY, RULES.priority, connect=connect_reader)
        self._faults = faults

    def outbox(self, sink: str, *, limit: int | None = None) -> list[Any]:
        """Reads the outbox."""
        self._faults.at("outbox")
        return super().outbox(sink, limit=limit)


def run(
    path: Path,
    records: Sequence[Record],
    faults: Faults,
    mailbox: Mailbox,
    *,
    size: int = 12,
    patience: Patience | None = None,
    connect: Callable[[Path], sqlite3.Connection] = connect_writer,
    ahead: int = 1,
    on_away: Callable[[bool], None] | None = None,
    observer: Observer | None = None,
    pseudonymiser: Pseudonymiser | None = None,
) -> Totals:
    """Plays one life of the process: from its start to the end of the records, or to a crash."""

    def connected(file: Path) -> Any:
        return FaultyConnection(connect(file), faults)

    with (
        closing(SqliteStore(path, POLICY, RULES.priority, connect=connected)) as store,
        closing(FaultyReader(path, faults)) as reader,
    ):
        return live(
            store,
            reader,
            records,
            faults,
            mailbox,
            size=size,
            patience=patience,
            ahead=ahead,
            on_away=on_away,
            observer=observer,
            pseudonymiser=pseudonymiser,
        )


def live(
    store: Store,
    reader: StoreReader,
    records: Sequence[Record],
    faults: Faults,
    mailbox: Mailbox,
    *,
    size: int = 12,
    patience: Patience | None = None,
    ahead: int = 1,
    on_away: Callable[[bool], None] | None = None,
    observer: Observer | None = None,
    pseudonymiser: Pseudonymiser | None = None,
) -> Totals:
    """Plays one life of the process on stores that are open."""
    with Committer(store, patience=patience, on_away=on_away) as committer:

        def mark_sent(sink: str, alert_ids: Collection[str]) -> Future[None]:
            faults.at("mark")
            done = committer.submit(store.mark_sent, sink, alert_ids)
            done.result()
            faults.at("marked")
            return done

        daemon = Daemon(
            MergedStream(RecordStream(records, faults, size=size), CommandStream(reader)),
            Decoder(pseudonymiser or Pseudonymiser(KEY), Vault(KEY), default_region=None, default_currency="EUR"),
            Engine(POLICY, replace(RULES), FakeScorer()),
            committer,
            pace=Pace(batch_events=size, batch_events_max=size, commits_ahead=ahead, drain_s=1.0),
            observer=observer,
            followers=[Postman(AlertErrand(mailbox, reader, mark_sent, limit=3))],
        )
        return daemon.run()


def contents(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Returns all that a store holds but what differs between any two: its id, its epoch, and ciphertexts."""
    with closing(sqlite3.connect(path)) as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {}
        for name in names:
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({name})")]  # a test's own tables
            kept = [c for c in columns if c not in ("store_id", "epoch", "ciphertext", "recorded_ms")]
            if kept:
                found[name] = sorted(db.execute(f"SELECT {', '.join(kept)} FROM {name}").fetchall(), key=repr)  # noqa: S608
    return found


def _name(partition: int) -> str:
    return f"kafka:shop/{partition}#cluster/topic"
