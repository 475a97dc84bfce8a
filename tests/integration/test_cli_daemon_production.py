"""The daemon as an operator runs it: probed, scraped, taken over, starved of its store; its alerts outside."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer
from support.cli import command, environment, fraudgraph
from support.kafka import Cluster, fresh_name

from fraudgraph.events.kinds import RejectReason

KEY = {"FRAUDGRAPH_KEY": "5e" * 32}
LIMIT_S = 400.0


class Running:
    """A daemon at work, and what it says."""

    def __init__(self, address: str, names: dict[str, str], folder: Path, log: Path) -> None:
        self.log = log
        settings = {
            "kafka.bootstrap": address,
            "kafka.topics": names["events"],
            "alerts.topic": names["alerts"],
            "alerts.file": str(folder / "alerts.jsonl"),
            "dead_letters.topic": names["letters"],
            "daemon.http": "127.0.0.1:0",
            "daemon.drain_seconds": "1",
            "daemon.store_wait_max_seconds": "1",
            "ingest.batch_events": "500",
            "logging.level": "info",
        }
        words = ["daemon", "--store", f"sqlite:///{folder / 'shop.db'}"]
        words += [word for knob, value in settings.items() for word in ("--set", f"{knob}={value}")]
        with log.open("ab") as err:
            self.process = subprocess.Popen(command(words), stderr=err, env=environment(KEY), cwd=folder)

    def wait_for(self, what: Callable[[], Any]) -> Any:
        """Returns what it said at last that is true."""
        deadline = time.monotonic() + LIMIT_S
        while not (got := what()):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)
        return got

    def page(self) -> str:
        """Returns where its page is."""
        return self.wait_for(lambda: re.findall(r'"page": "([^"]+)"', self.log.read_text()))[0]

    def asks(self, path: str) -> tuple[int, str]:
        """Returns what the page says."""
        try:
            with urllib.request.urlopen(f"http://{self.page()}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def ends(self) -> int:
        """Returns its exit code."""
        return self.process.wait(timeout=LIMIT_S)


@contextmanager
def running(address: str, names: dict[str, str], folder: Path, log: str) -> Iterator[Running]:
    daemon = Running(address, names, folder, folder / log)
    try:
        yield daemon
    finally:
        daemon.process.kill()
        daemon.process.wait()


def topic(address: str, name: str) -> list[Any]:
    """Returns all records of a topic."""
    with closing(
        KafkaConsumer(
            name, bootstrap_servers=address, auto_offset_reset="earliest", consumer_timeout_ms=3000, group_id=None
        )
    ) as consumer:
        return list(consumer)


def value(store: Path, query: str, *parameters: object) -> Any:
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as db:
        return db.execute(query, parameters).fetchone()[0]


def malformed(store: Path) -> Any:
    return value(store, "SELECT count(*) FROM dead_letters WHERE reason = ?", int(RejectReason.MALFORMED_JSON))


def scraped(daemon: Running, *patterns: str) -> bool:
    """Returns whether the metrics have a line that fits each pattern."""
    text = daemon.asks("/metrics")[1]
    return all(re.search(pattern, text, re.MULTILINE) for pattern in patterns)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("world")
    assert fraudgraph("simulate", "--seed", 5, "--users", 1500, "--days", 12, "--out", folder / "world").code == 0
    return [*(folder / "world" / "events.jsonl").read_bytes().splitlines(), b"no JSON"]


def test_a_day_in_the_life_of_an_operator(kafka_address: str, tmp_path: Path, world: list[bytes]) -> None:
    cluster, store = Cluster(kafka_address), tmp_path / "shop.db"
    names = {what: fresh_name() for what in ("events", "alerts", "letters")}
    for name in names.values():
        cluster.make(name, partitions=2)
    cluster.send(names["events"], world, partitions=2)
    with running(kafka_address, names, tmp_path, "one.log") as one:
        one.wait_for(lambda: one.asks("/readyz")[0] == 200)
        assert one.asks("/livez")[0] == 200
        read = [rf'^fraudgraph_lag_records{{partition="{n}",topic="{names["events"]}"}} 0.0' for n in range(2)]
        sent = r'^fraudgraph_deliveries_total{outcome="delivered",sink="dead-letters:'
        one.wait_for(lambda: scraped(one, *read, sent, r'^fraudgraph_events_total{outcome="applied"} [1-9]'))
        alerts = value(store, "SELECT count(*) FROM alerts")
        assert alerts > 0
        one.wait_for(lambda: value(store, "SELECT count(*) FROM deliveries") == 2 * alerts)

        with running(kafka_address, names, tmp_path, "two.log") as two:
            two.wait_for(lambda: two.asks("/readyz")[0] == 200)
            cluster.send(names["events"], [b"no JSON either"], partitions=2)
            assert one.ends() == 1, "the older daemon stops: one engine owns a store"
            assert "another writer took epoch" in one.log.read_text()
            two.wait_for(lambda: malformed(store) == 2)

            with closing(sqlite3.connect(store, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                cluster.send(names["events"], [b"nor this"], partitions=2)
                two.wait_for(lambda: two.asks("/readyz")[0] == 503)
                assert two.asks("/livez")[0] == 200
                assert "the store is away" in two.asks("/readyz")[1]
                other.execute("ROLLBACK")
            two.wait_for(lambda: two.asks("/readyz")[0] == 200)
            two.wait_for(lambda: malformed(store) == 3)

            with closing(sqlite3.connect(store, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                cluster.send(names["events"], [b"nor that"], partitions=2)
                two.wait_for(lambda: two.asks("/readyz")[0] == 503)
                two.process.send_signal(signal.SIGTERM)
                assert two.ends() == 5, "what was read is not committed, and comes again"
        with running(kafka_address, names, tmp_path, "three.log") as three:
            three.wait_for(lambda: malformed(store) == 4)
            three.process.send_signal(signal.SIGTERM)
            assert three.ends() == 0, three.log.read_text()

    ids = {row["alert_id"] for row in map(json.loads, (tmp_path / "alerts.jsonl").read_bytes().splitlines())}
    assert len(ids) == alerts == value(store, "SELECT count(*) FROM alerts")
    assert {json.loads(record.value)["alert_id"] for record in topic(kafka_address, names["alerts"])} == ids
    letters = topic(kafka_address, names["letters"])
    assert {record.value for record in letters} >= {b"no JSON", b"nor this", b"nor that"}
    headers = dict(next(record for record in letters if record.value == b"no JSON").headers)
    assert headers["fraudgraph-reason"] == b"malformed-json"
    assert names["events"].encode() in headers["fraudgraph-partition"]
