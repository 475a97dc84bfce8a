"""Kafka -> engine -> SQLite beside what Kafka's client alone reads, and a daemon that commits event by event.

`python -m benchmarks.daemon [--events 100000] [--seconds 15] [--rate 2000]`; it makes a broker of its own.
The backlog is read with and without overlap of commit and engine, in turns. Freshness is measured at a steady rate, by
the daemon's own metric: an event's record time at the broker to the commit of its score.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import sqlite3
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table

from benchmarks.mix import mix_lines
from fraudgraph.app import open_kafka
from fraudgraph.services.jars import cache_folder
from fraudgraph.services.kafka import KafkaServer
from fraudgraph.settings import load_settings
from fraudgraph.streams.kafka import KafkaAccess, KafkaStream

TOPIC: Final = "mix"
PARTITIONS: Final = 4
USERS: Final = 100_000
QUANTILES: Final = {"p50": 0.5, "p99": 0.99}
TURNS: Final = 2
KEY: Final = {"FRAUDGRAPH_KEY": "5e" * 32}


def bare(bootstrap: str, events: int) -> float:
    """Returns the records/s of kafka-python alone, set up as ours is."""
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        metrics_enabled=False,
    )
    with closing(consumer):
        consumer.assign([TopicPartition(TOPIC, number) for number in range(PARTITIONS)])
        started, count = time.perf_counter(), 0
        while count < events:
            count += sum(map(len, consumer.poll(timeout_ms=500, max_records=1000).values()))
        return count / (time.perf_counter() - started)


def ported(bootstrap: str, events: int) -> float:
    """Returns the records/s of our stream: in the order of time, and with the topic's id asked for each batch."""
    with closing(KafkaStream(KafkaAccess(bootstrap), [TOPIC], group="ported", until_end=True)) as stream:
        stream.seek({})
        started, count = time.perf_counter(), 0
        while (batch := stream.poll(1000)) is not None:
            count += len(batch)
        assert count == events
        return count / (time.perf_counter() - started)


def ours(bootstrap: str, folder: Path, events: int, name: str, ahead: int) -> float:
    """Returns the events/s from the topic to committed rings; a first run, named `warm`, loads compiled code."""
    flags = {
        "kafka.bootstrap": bootstrap,
        "kafka.topics": TOPIC,
        "store.url": f"sqlite:///{folder / f'{name}.db'}",
        "daemon.commits_ahead": str(ahead),
    }
    settings = load_settings(environment={}, flags=flags).settings
    warm = name == "warm"
    with open_kafka(settings, until_end=True, environment=KEY) as (ready, _):
        started = time.perf_counter()

        def stop_early(totals: Any) -> None:
            if warm and totals.events >= 5_000:
                ready.daemon.stop()

        totals = ready.daemon.run(stop_early)
        spent = time.perf_counter() - started
    assert warm or totals.events == events, f"{totals.events} of {events} events: {totals.dead_letters}"
    return totals.events / spent


def paced(bootstrap: str, topic: str, rate: int, seconds: float) -> None:
    """Writes events at a steady rate, in a process of its own."""
    lines = itertools.cycle(mix_lines(int(rate * seconds), USERS))
    with closing(KafkaProducer(bootstrap_servers=bootstrap, linger_ms=2, acks=1, metrics_enabled=False)) as producer:
        started, sent = time.monotonic(), 0
        while (now := time.monotonic() - started) < seconds:
            for line in itertools.islice(lines, max(0, int(rate * now) - sent)):
                producer.send(topic, line, partition=sent % PARTITIONS)
                sent += 1
            time.sleep(0.005)
        producer.flush()


def fresh(server: KafkaServer, folder: Path, rate: int, seconds: float) -> dict[str, float]:
    """Returns the bucket bound (seconds) under which half and 99 of 100 events were committed after their arrival."""
    server.make_topic("paced", PARTITIONS)
    flags = {
        "kafka.bootstrap": server.bootstrap,
        "kafka.topics": "paced",
        "store.url": f"sqlite:///{folder / 'paced.db'}",
        "daemon.http": "127.0.0.1:0",
    }
    writing = multiprocessing.get_context("spawn").Process(
        target=paced, args=(server.bootstrap, "paced", rate, seconds)
    )
    settings = load_settings(environment={}, flags=flags).settings
    with open_kafka(settings, environment=KEY) as (ready, _):
        writing.start()

        def stop_at_end(totals: Any) -> None:
            if not writing.is_alive():
                ready.daemon.stop()

        ready.daemon.run(stop_at_end)
        text = urllib.request.urlopen(f"http://{ready.page}/metrics", timeout=10).read().decode()
    writing.join()
    family = next(f for f in text_string_to_metric_families(text) if f.name == "fraudgraph_freshness_seconds")
    buckets = [(float(s.labels["le"]), s.value) for s in family.samples if s.name.endswith("_bucket")]
    total = buckets[-1][1]
    return {name: next(le for le, count in buckets if count >= share * total) for name, share in QUANTILES.items()}


def naive(bootstrap: str, folder: Path, seconds: float) -> float:
    """Returns the events/s of the daemon that one writes first: one event, one transaction, neighbours by query.

    It keeps links only: no de-duplication, expiry, facts, scores or money, and no pseudonyms.
    """
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest", metrics_enabled=False
    )
    with closing(consumer), closing(sqlite3.connect(folder / "naive.db", isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("CREATE TABLE links (user, ident, count, PRIMARY KEY (user, ident)) WITHOUT ROWID")
        db.execute("CREATE INDEX by_ident ON links (ident)")
        db.execute("CREATE TABLE positions (part PRIMARY KEY, position)")
        consumer.assign([TopicPartition(TOPIC, number) for number in range(PARTITIONS)])
        started, count = time.perf_counter(), 0
        for record in consumer:
            event = msgspec.json.decode(record.value)
            user = event.get("user_id", "")
            db.execute("BEGIN")
            for ident in identifiers_of(event):
                db.execute(
                    "INSERT INTO links VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1", (user, ident)
                )
            db.execute("INSERT OR REPLACE INTO positions VALUES (?, ?)", (record.partition, record.offset))
            db.execute("COMMIT")
            db.execute(
                "SELECT count(DISTINCT b.user) FROM links a JOIN links b ON a.ident = b.ident WHERE a.user = ?", (user,)
            ).fetchone()
            count += 1
            if time.perf_counter() - started >= seconds:
                break
        return count / (time.perf_counter() - started)


def identifiers_of(event: dict[str, Any]) -> Iterator[str]:
    """Yields what an event names beside its user."""
    for name, value in event.items():
        if isinstance(value, str) and name not in ("type", "event_id", "ts", "user_id", "status", "currency"):
            yield f"{name}:{value}"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=15.0, help="of the naive daemon, and of the steady rate")
    parser.add_argument("--rate", type=int, default=2000, help="events per second of the steady rate")
    arguments = parser.parse_args()
    table = Table("Kafka on the same machine, records or events per second", "best run", "share of the client alone")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = KafkaServer(folder / "kafka", cache_folder())
        server.start()
        try:
            server.make_topic(TOPIC, PARTITIONS)
            server.produce(TOPIC, mix_lines(arguments.events, USERS), compression="lz4")
            ours(server.bootstrap, folder, arguments.events, "warm", 1)
            client = bare(server.bootstrap, arguments.events)
            rates: dict[int, list[float]] = {0: [], 1: []}
            for turn, ahead in itertools.product(range(TURNS), (0, 1)):
                rates[ahead].append(ours(server.bootstrap, folder, arguments.events, f"{turn}-{ahead}", ahead))
            rows = {
                "kafka-python alone": client,
                "our stream alone: in order of time, topic id held": ported(server.bootstrap, arguments.events),
                "fraudgraph daemon: Kafka to committed rings": max(rates[1]),
                "the same, without overlap of commit and engine": max(rates[0]),
                "naive daemon: a transaction and a query per event": naive(server.bootstrap, folder, arguments.seconds),
            }
            freshness = fresh(server, folder, arguments.rate, arguments.seconds)
        finally:
            server.stop()
    for what, rate in rows.items():
        table.add_row(what, f"{rate:,.0f}", f"{rate / client:.0%}")
    console = Console()
    console.print(table)
    console.print(
        f"freshness at {arguments.rate:,} events/s: " + ", ".join(f"{q} ≤ {s:g} s" for q, s in freshness.items())
    )


if __name__ == "__main__":
    main()
