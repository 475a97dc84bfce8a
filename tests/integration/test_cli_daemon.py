"""The daemon on a real Kafka: killed, starved of its broker, stopped in good order; its store as after a clean run."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from support.cli import command, environment, fraudgraph, process
from support.kafka import running

from fraudgraph.app import make_engine
from fraudgraph.services.kafka import KafkaServer
from fraudgraph.settings import load_settings
from fraudgraph.stores.sqlite.store import SqliteStore
from fraudgraph.testing.canonical import GraphView, graph_view, rings_view

TOPIC = "shop-events"
PARTITIONS = 3
KILLS = int(os.environ.get("FRAUDGRAPH_TEST_KILLS", "6"))
"""`make soak` kills 500 times; then each life is shorter and the world larger, so that it lasts."""
BATCH, COMMITS_MAX, SHOPPERS = (40, 7, 2500) if KILLS < 20 else (8, 2, 20_000)
KEY = {"FRAUDGRAPH_KEY": "5e" * 32}
LIMIT_S = 120.0


def options(server: KafkaServer, store: Path, *, batch: int) -> list[str]:
    return [
        *("--store", f"sqlite:///{store}"),
        *("--set", f"kafka.bootstrap={server.bootstrap}"),
        *("--set", f"ingest.batch_events={batch}"),
        *("--set", f"daemon.batch_events_max={batch}"),
        *("--set", "logging.level=info"),
    ]


def start(server: KafkaServer, store: Path, log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as err:
        return subprocess.Popen(
            command(["daemon", *options(server, store, batch=BATCH)]),
            stderr=err,
            env=environment(KEY),
            cwd=store.parent,
        )


def commits(store: Path) -> int:
    """Returns how many commits a store holds, 0 where it is not there yet."""
    try:
        with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as db:
            row: tuple[int] = db.execute("SELECT commit_no FROM state").fetchone()
    except (sqlite3.OperationalError, TypeError):
        return 0
    return row[0]


def positions(store: Path) -> dict[str, int]:
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as db:
        return dict(db.execute("SELECT name, position FROM partitions WHERE name LIKE 'kafka:%'"))


def letters(store: Path) -> int:
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as db:
        row: tuple[int] = db.execute("SELECT count(*) FROM dead_letters").fetchone()
    return row[0]


def wait_for(what: Callable[[], bool], running: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not what():
        assert running.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)


def view(store: Path) -> tuple[GraphView, set[frozenset[str]]]:
    """Returns what the store's engine would know: the same for any cut into commits, and so after any crash."""
    settings = load_settings(environment={}).settings
    engine = make_engine(settings)
    with closing(SqliteStore(store, settings.links, settings.priority)) as opened:
        engine.restore(opened.load())
    return graph_view(engine), set(rings_view(engine).values())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """A small shop's events; every fiftieth comes twice, and one is no JSON."""
    folder = tmp_path_factory.mktemp("world")
    assert fraudgraph("simulate", "--seed", 5, "--users", SHOPPERS, "--days", 12, "--out", folder / "world").code == 0
    lines = (folder / "world" / "events.jsonl").read_bytes().splitlines()
    twice = [line for place, line in enumerate(lines) for _ in range(1 + (place % 50 == 0))]
    return [*twice[:1000], b"no JSON", *twice[1000:]]


def test_kills_of_daemon_and_broker_leave_the_store_of_a_clean_run(tmp_path: Path, world: list[bytes]) -> None:
    clean, store, log = tmp_path / "clean.db", tmp_path / "shop.db", tmp_path / "daemon.log"
    chance = random.Random(7)
    with running(tmp_path / "kafka") as server:
        server.make_topic(TOPIC, PARTITIONS)
        assert server.produce(TOPIC, world, compression="lz4") == len(world)
        once = process("daemon", "--once", *options(server, clean, batch=1000), env=KEY, cwd=tmp_path)
        assert once.code == 0, once.err
        last = json.loads(once.err.splitlines()[-1])
        assert (last["event"], last["records_behind"]) == ("stopped", 0)
        assert last["dead_letters"] == {"malformed-json": 1}
        assert last["events"] + last["duplicates"] + 1 == len(world)

        for kill in range(KILLS):
            daemon, before = start(server, store, log), commits(store)
            wanted = before + chance.randint(1, COMMITS_MAX)
            wait_for(lambda wanted=wanted: commits(store) >= wanted, daemon, log)  # type: ignore[misc]  # bound early
            time.sleep(chance.uniform(0, 0.02))
            if kill == 2:
                server.kill()
                time.sleep(0.5)
                assert daemon.poll() is None, log.read_text()
                server.start()
                wanted = commits(store) + 2
                wait_for(lambda wanted=wanted: commits(store) >= wanted, daemon, log)  # type: ignore[misc]  # as above
            daemon.send_signal(signal.SIGKILL)
            daemon.wait()
        middle = positions(store)
        assert sum(middle.values()) < len(world), "the kills came after the end: make the world larger"
        print(f"{KILLS} kills of the daemon, 1 of the broker, in {commits(store):,} commits")

        daemon = start(server, store, log)
        wait_for(lambda: positions(store) == positions(clean), daemon, log)
        quiet = commits(store)
        time.sleep(1.0)
        assert commits(store) == quiet, "an idle daemon committed"
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(timeout=30) == 0, log.read_text()
    assert json.loads(log.read_text().splitlines()[-1])["event"] == "stopped"
    assert view(store) == view(clean)
    assert letters(store) == letters(clean) == 1


def test_without_brokers_the_daemon_says_what_to_do(tmp_path: Path) -> None:
    said = fraudgraph("daemon", "--store", f"sqlite:///{tmp_path / 'shop.db'}")
    assert said.code == 4
    assert "kafka.bootstrap" in said.err
