"""Kafka -> engine -> Neo4j beside the daemon that one writes first, and beside what the database can do at all.

`python -m benchmarks.neo4j_daemon [--events 200000] [--fill 200000] [--seconds 20] [--rate 2000] [--outage 30]`;
makes its own servers (Java 17, Maven). The backlog is read into an empty store, where nearly every row is new, and into
one that `--fill` events of the same mix have filled. Then the database is killed for `--outage` seconds while events
come.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import msgspec
import networkx as nx
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from neo4j import Driver, GraphDatabase, NotificationMinimumSeverity
from rich.console import Console
from rich.table import Table

from benchmarks.daemon import KEY, PARTITIONS, TOPIC, USERS, identifiers_of
from benchmarks.mix import mix_lines
from benchmarks.neo4j_store import changed_rows
from fraudgraph.app import open_kafka
from fraudgraph.daemon import Totals
from fraudgraph.services.jars import cache_folder
from fraudgraph.services.kafka import KafkaServer
from fraudgraph.services.neo4j import Neo4jServer
from fraudgraph.settings import load_settings

PACED: Final = "paced"
STEADY: Final = "steady"
OUTAGE: Final = "outage"
SPACES: Final = {TOPIC: 0, PACED: 1, STEADY: 2, OUTAGE: 3}
"""Four topics, four stores."""
WARM_S: Final = 5.0
DRAIN_MAX_S: Final = 300.0
BATCH: Final = 4_000
_BUCKET: Final = re.compile(r'^fraudgraph_freshness_seconds_bucket\{le="([^"]+)"\} (\S+)$', re.M)

Links = list[tuple[str, str]]


def flags_of(kafka: KafkaServer, database: Neo4jServer, topic: str) -> dict[str, str]:
    """Returns the settings of a daemon on a topic."""
    return {
        "kafka.bootstrap": kafka.bootstrap,
        "kafka.topics": topic,
        "store.url": f"{database.url}?space={SPACES[topic]}",
        "daemon.http": "127.0.0.1:0",
        "daemon.store_wait_max_seconds": "1",
        "neo4j.retry_max_seconds": "1",
        "neo4j.local_folder": str(database.folder),
        "neo4j.password_file": str(database.folder / "password"),
    }


def ours(
    kafka: KafkaServer, database: Neo4jServer, topic: str, events: int, seconds: float, *, skip: int = 0
) -> dict[str, str]:
    """Returns what the daemon did: rate, rows that a commit changed, memory, freshness.

    Args:
        events: of the topic in all; 0 for a stream that is stopped after `seconds`.
        skip: so many are not measured.
    """
    settings = load_settings(environment={}, flags=flags_of(kafka, database, topic)).settings
    rows, memory = 0, []
    with open_kafka(settings, until_end=events > 0, environment=KEY) as (ready, _):
        commit = ready.store.commit

        def counted(delta: Any) -> None:
            nonlocal rows
            rows += changed_rows(delta)
            commit(delta)

        ready.store.commit = counted  # type: ignore[method-assign]  # counts on its way what the store is given
        began = (time.perf_counter(), 0, 0)

        def on_progress(totals: Totals) -> None:
            nonlocal began
            if totals.events < skip:
                return
            if skip and not began[1]:
                began = (time.perf_counter(), totals.events, rows)
            memory.append(_resident_mib())
            if not events and time.perf_counter() - began[0] > seconds:
                ready.daemon.stop()

        totals = ready.daemon.run(on_progress)
        spent = time.perf_counter() - began[0]
        with urllib.request.urlopen(f"http://{ready.page}/metrics") as page:
            freshness = _quantiles(page.read().decode(), (0.5, 0.99))
    assert not events or totals.events == events, f"{totals.events} of {events} events: {totals.dead_letters}"
    measured = totals.events - began[1]
    half = memory[len(memory) // 2]
    return {
        "events/s": f"{measured / spent:,.0f}",
        "changed rows per event": f"{(rows - began[2]) / measured:.2f}",
        "memory, half way and at the end": f"{half:,.0f} and {memory[-1]:,.0f} MiB",
        "freshness p50, p99": " and ".join(f"≤ {1000 * each:,.0f} ms" for each in freshness),
    }


def outage(kafka: KafkaServer, database: Neo4jServer, pace: int, away_s: float) -> dict[str, str]:
    """Kills the database while events come at a steady pace; returns how its backlog was drained afterwards."""
    settings = load_settings(environment={}, flags=flags_of(kafka, database, OUTAGE)).settings
    sender = get_context("spawn").Process(
        target=send_at_pace, args=(kafka.bootstrap, OUTAGE, pace, WARM_S + away_s + DRAIN_MAX_S)
    )
    lags: list[tuple[float, int, int]] = []
    back_at_s = 0.0
    peak = [0.0, 0.0]

    def kill() -> None:
        nonlocal back_at_s
        time.sleep(WARM_S)
        peak[0] = _resident_mib()
        database.kill()
        time.sleep(away_s)
        peak[1] = _resident_mib()
        database.start()
        back_at_s = time.perf_counter()

    killer = threading.Thread(target=kill)
    with open_kafka(settings, environment=KEY) as (ready, stream):

        def on_progress(totals: Totals) -> None:
            now = time.perf_counter()
            if not back_at_s:
                return
            lags.append((now, totals.events, stream.lag()))
            if lags[-1][2] < pace or now - back_at_s > DRAIN_MAX_S:
                ready.daemon.stop()

        sender.start()
        killer.start()
        ready.daemon.run(on_progress)
    sender.terminate()
    killer.join()
    (first_s, first, backlog), (last_s, last, left) = lags[0], lags[-1]
    rate = (last - first) / (last_s - first_s)
    return {
        f"backlog after {away_s:.0f} s without a database, and at the end": f"{backlog:,} and {left:,} events",
        "drained at, of the arrival rate": f"{rate:,.0f} events/s, {rate / pace:.1f} ×",
        "memory before and at the end of the outage": f"{peak[0]:,.0f} and {peak[1]:,.0f} MiB",
    }


def merged(kafka: KafkaServer, driver: Driver, events: int) -> float:
    """Returns the events/s of links alone, merged in batches: the database's own limit for the same events."""
    started, count = time.perf_counter(), 0
    batch: Links = []

    def write(tx: Any, rows: Links) -> None:
        tx.run(
            "UNWIND $rows AS row MERGE (u:LimitUser {id: row[0]}) MERGE (i:LimitIdent {id: row[1]})"
            " MERGE (u)-[r:LIMIT]->(i) ON CREATE SET r.count = 1 ON MATCH SET r.count = r.count + 1",
            rows=rows,
        ).consume()

    with driver.session() as session:
        for event in _events(kafka, events):
            batch += _links(event)
            count += 1
            if count % BATCH == 0 or count == events:
                session.execute_write(write, sorted(set(batch)))
                batch = []
    return count / (time.perf_counter() - started)


def naive(kafka: KafkaServer, driver: Driver, events: int, seconds: float) -> float:
    """Returns the events/s of the daemon that one writes first: a transaction per event, and its component by query.

    It keeps links only: no de-duplication, expiry, facts, scores or money, and no pseudonyms.
    """
    started, count = time.perf_counter(), 0

    def write(tx: Any, rows: Links) -> None:
        tx.run(
            "UNWIND $rows AS row MERGE (u:NaiveUser {id: row[0]}) MERGE (i:NaiveIdent {id: row[1]})"
            " MERGE (u)-[r:NAIVE]->(i) ON CREATE SET r.count = 1 ON MATCH SET r.count = r.count + 1",
            rows=rows,
        ).consume()

    with driver.session() as session:
        for event in _events(kafka, events):
            session.execute_write(write, _links(event))
            near = session.run(
                "MATCH (:NaiveUser {id: $id})-[:NAIVE]->()<-[:NAIVE]-(v)-[:NAIVE]->(i) RETURN v.id, i.id LIMIT 1000",
                id=event.get("user_id", ""),
            ).values()
            len(max(nx.connected_components(nx.Graph(near)), key=len, default=()))
            count += 1
            if time.perf_counter() - started > seconds:
                break
    return count / (time.perf_counter() - started)


def send_at_pace(bootstrap: str, topic: str, rate: int, seconds: float) -> None:
    """Sends `rate` events a second, each with the time of its sending; runs in a process of its own."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=2, acks="all")
    started = time.perf_counter()
    for place, line in enumerate(mix_lines(int(rate * seconds), USERS, seed=8)):
        ahead = place / rate - (time.perf_counter() - started)
        if ahead > 0.002:
            time.sleep(ahead)
        producer.send(topic, line, partition=hash(line[:64]) % PARTITIONS)
    producer.flush()
    producer.close()


def _events(kafka: KafkaServer, events: int) -> Iterator[dict[str, Any]]:
    consumer = KafkaConsumer(
        bootstrap_servers=kafka.bootstrap, enable_auto_commit=False, auto_offset_reset="earliest", metrics_enabled=False
    )
    with closing(consumer):
        consumer.assign([TopicPartition(TOPIC, number) for number in range(PARTITIONS)])
        for _, record in zip(range(events), consumer, strict=False):
            yield msgspec.json.decode(record.value)


def _links(event: dict[str, Any]) -> Links:
    return [(event.get("user_id", ""), identifier) for identifier in identifiers_of(event)]


def _quantiles(page: str, shares: tuple[float, ...]) -> list[float]:
    """Returns upper bounds in s of quantiles, by the metric's buckets."""
    buckets = [(float(bound), float(count)) for bound, count in _BUCKET.findall(page)]
    total = buckets[-1][1]
    return [next(bound for bound, count in buckets if count >= share * total) for share in shares]


def _resident_mib() -> float:
    fields = Path("/proc/self/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", fields)[1]) / 1024  # type: ignore[index]  # Linux always has it


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--fill", type=int, default=200_000, help="events before those of the steady mix")
    parser.add_argument("--rate", type=int, default=2_000, help="events per second of the paced stream")
    parser.add_argument("--outage", type=float, default=30.0, help="seconds without a database; 0 leaves it out")
    parser.add_argument("--seconds", type=float, default=20.0, help="of the naive daemon, and of the paced stream")
    arguments = parser.parse_args()
    table = Table("Kafka to Neo4j on the same 2 cores", "measured")
    with tempfile.TemporaryDirectory() as name:
        kafka = KafkaServer(Path(name) / "kafka", cache_folder())
        database = Neo4jServer(Path(name) / "neo4j", cache_folder(), heap="1g", page_cache="512m")
        kafka.start()
        database.start()
        try:
            for topic in SPACES:
                kafka.make_topic(topic, PARTITIONS)
            kafka.produce(TOPIC, mix_lines(arguments.events, USERS), compression="lz4")
            kafka.produce(STEADY, mix_lines(arguments.fill + arguments.events, USERS), compression="lz4")
            run(kafka, database, arguments, table)
        finally:
            database.stop()
            kafka.stop()
    Console().print(table)


def run(kafka: KafkaServer, database: Neo4jServer, arguments: argparse.Namespace, table: Table) -> None:
    """Measures all of them in turns."""
    events, seconds, fill = arguments.events, arguments.seconds, arguments.fill
    for name, topic, before in (("an empty store", TOPIC, 0), (f"a store of {fill:,} events", STEADY, fill)):
        for what, value in ours(kafka, database, topic, before + events, seconds, skip=before).items():
            if "freshness" not in what:  # of a backlog it says nothing
                table.add_row(f"fraudgraph, a backlog of {events:,} into {name}: {what}", value)
    with GraphDatabase.driver(
        database.url.replace("neo4j@", ""),
        auth=("neo4j", database.password),
        notifications_min_severity=NotificationMinimumSeverity.OFF,
    ) as driver:
        for label in ("LimitUser", "LimitIdent", "NaiveUser", "NaiveIdent"):
            driver.execute_query(f"CREATE CONSTRAINT IF NOT EXISTS FOR (n:{label}) REQUIRE n.id IS UNIQUE")
        table.add_row("links alone by batched UNWIND: events/s", f"{merged(kafka, driver, events):,.0f}")
        table.add_row("a transaction and a query per event: events/s", f"{naive(kafka, driver, events, seconds):,.0f}")
    sender = get_context("spawn").Process(target=send_at_pace, args=(kafka.bootstrap, PACED, arguments.rate, seconds))
    threading.Timer(2.0, sender.start).start()
    for what, value in ours(kafka, database, PACED, 0, seconds + 4.0).items():
        table.add_row(f"fraudgraph, {arguments.rate:,} events/s as they come: {what}", value)
    sender.join()
    if arguments.outage:
        for what, value in outage(kafka, database, arguments.rate, arguments.outage).items():
            table.add_row(what, value)


if __name__ == "__main__":
    main()
