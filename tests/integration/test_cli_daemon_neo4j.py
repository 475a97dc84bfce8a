"""The daemon between a real Kafka and a real Neo4j: all three killed, one overtaken; nothing lost, nothing twice."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest
from support.cli import command, environment, fraudgraph, process
from support.kafka import running as running_kafka
from support.neo4j import running as running_neo4j

from fraudgraph.app import make_engine
from fraudgraph.errors import DependencyError
from fraudgraph.services.kafka import KafkaServer
from fraudgraph.services.neo4j import Neo4jServer
from fraudgraph.settings import NEO4J_PASSWORD_VARIABLE, load_settings
from fraudgraph.stores.neo4j.access import Neo4jOptions, parse_url
from fraudgraph.stores.neo4j.reader import Neo4jReader
from fraudgraph.stores.neo4j.store import Neo4jStore
from fraudgraph.stores.port import Store
from fraudgraph.stores.sqlite.store import SqliteStore
from fraudgraph.testing.canonical import graph_view, rings_view

TOPIC = "shop-events"
PARTITIONS = 8
KILLS = int(os.environ.get("FRAUDGRAPH_TEST_PRODUCTION_KILLS", "4"))
"""Of the daemon; of every five one comes after a kill of Neo4j, one after a kill of the broker, and one after a daemon
that was stopped (SIGSTOP) was overtaken by another. `make soak` kills 55 times."""
BATCH, COMMITS_MAX, SHOPPERS = (40, 3, 500) if KILLS < 20 else (12, 3, 4000)
KEY = {"FRAUDGRAPH_KEY": "5e" * 32}
LIMIT_S = 240.0
AWAY_S = 3.0
GROWTH_MIB = 40.0
"""While its store is away a daemon may grow by so much: buffers of Kafka's client, and no more batches than two."""
SETTINGS = load_settings(environment={}).settings
RULES = (SETTINGS.links, SETTINGS.priority)


class Place:
    """Servers, folder and log of one shop."""

    def __init__(self, folder: Path, kafka: KafkaServer, database: Neo4jServer) -> None:
        self.kafka, self.database, self.log = kafka, database, folder / "daemon.log"
        self.folder = folder
        self.options = Neo4jOptions(password=database.password, retry_max_ms=500)
        self.environment = KEY | {NEO4J_PASSWORD_VARIABLE: database.password}

    def words(self, store: str, *, batch: int) -> list[str]:
        """Returns the options of a daemon."""
        knobs = {
            "kafka.bootstrap": self.kafka.bootstrap,
            "ingest.batch_events": batch,
            "daemon.batch_events_max": batch,
            "daemon.store_wait_max_seconds": 1,
            "neo4j.retry_max_seconds": 1,
            "neo4j.write_max_seconds": 20,
            "neo4j.local_folder": self.folder,
            "logging.level": "info",
        }
        return ["--store", store, *(word for knob, value in knobs.items() for word in ("--set", f"{knob}={value}"))]

    def start(self) -> subprocess.Popen[bytes]:
        """Starts a daemon."""
        with self.log.open("ab") as err:
            return subprocess.Popen(
                command(["daemon", *self.words(self.database.url, batch=BATCH)]),
                stderr=err,
                env=environment(self.environment),
                cwd=self.folder,
            )

    def store(self) -> Neo4jStore:
        """Opens the store."""
        return Neo4jStore(parse_url(self.database.url), self.options, *RULES)

    def meta(self, name: str) -> int:
        """Returns a number of the store's, 0 where there is no store yet or it is away."""
        with suppress(DependencyError), closing(Neo4jReader(parse_url(self.database.url), self.options, *RULES)) as it:
            return int(it.meta()[name])
        return 0

    def wait_for(self, what: Callable[[], bool], daemon: subprocess.Popen[bytes]) -> None:
        """Waits until something is so, with a daemon that lives."""
        deadline = time.monotonic() + LIMIT_S
        while not what():
            assert daemon.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)

    def commits(self, daemon: subprocess.Popen[bytes], more: int) -> None:
        """Waits for so many more commits."""
        wanted = self.meta("commit") + more
        self.wait_for(lambda: self.meta("commit") >= wanted, daemon)


def _resident_mib(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def _view(store: Store) -> tuple[object, ...]:
    """Returns what is the same for any cut into commits: the graph, who is in a ring, what was no event, positions."""
    engine, state = make_engine(SETTINGS), store.load()
    engine.restore(state)
    letters = {(letter.partition, letter.offset, letter.reason) for letter in store.dead_letters()}
    assert len(letters) == len(store.dead_letters()), "a dead letter is there twice"
    kafka = {name: at for name, at in state.positions.items() if name.startswith("kafka:")}
    return graph_view(engine), set(rings_view(engine).values()), letters, kafka


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """A small shop's events: a fifth come twice, a fifth out of order, and one of a hundred is no JSON."""
    folder, chance = tmp_path_factory.mktemp("world"), random.Random(5)
    assert fraudgraph("simulate", "--seed", 5, "--users", SHOPPERS, "--days", 12, "--out", folder / "world").code == 0
    lines = []
    for place, line in enumerate((folder / "world" / "events.jsonl").read_bytes().splitlines()):
        moved = place + (chance.randrange(1, 6) if chance.random() < 0.2 else 0)
        lines += [(moved, line)] * (2 if chance.random() < 0.2 else 1)
        lines += [(moved, b"no JSON")] * (chance.random() < 0.01)
    return [line for _, line in sorted(lines, key=lambda item: item[0])]


def test_kills_of_all_three_leave_the_store_of_a_clean_run(tmp_path: Path, world: list[bytes]) -> None:
    chance, killed = random.Random(9), {"daemon": 0, "Neo4j": 0, "broker": 0, "overtaken": 0}
    with running_kafka(tmp_path / "kafka") as kafka, running_neo4j(tmp_path / "neo4j") as database:
        place, clean = Place(tmp_path, kafka, database), tmp_path / "clean.db"
        kafka.make_topic(TOPIC, PARTITIONS)
        assert kafka.produce(TOPIC, world, compression="lz4") == len(world)
        once = process("daemon", "--once", *place.words(f"sqlite:///{clean}", batch=1000), env=KEY, cwd=tmp_path)
        assert once.code == 0, once.err
        for kill in range(KILLS):
            daemon = place.start()
            place.commits(daemon, chance.randint(1, COMMITS_MAX))
            if kill % 5 == 1:
                database.kill()
                killed["Neo4j"] += 1
                before = _resident_mib(daemon.pid)
                time.sleep(AWAY_S)
                assert daemon.poll() is None, "a daemon whose store is away waits"
                assert _resident_mib(daemon.pid) < before + GROWTH_MIB
                database.start()
                place.commits(daemon, 1)
            elif kill % 5 == 2:
                kafka.kill()
                killed["broker"] += 1
                time.sleep(0.5)
                assert daemon.poll() is None, place.log.read_text()
                kafka.start()
                place.commits(daemon, 1)
            elif kill % 5 == 3:
                daemon.send_signal(signal.SIGSTOP)
                epoch, second = place.meta("epoch"), place.start()
                place.wait_for(lambda epoch=epoch: place.meta("epoch") > epoch, second)  # type: ignore[misc]  # early
                place.commits(second, 1)
                daemon.send_signal(signal.SIGCONT)
                assert daemon.wait(timeout=LIMIT_S) == 1, "the older daemon stops: one engine owns a store"
                killed["overtaken"] += 1
                daemon = second
            time.sleep(chance.uniform(0, 0.05))
            daemon.send_signal(signal.SIGKILL)
            daemon.wait()
            killed["daemon"] += 1
        with closing(place.store()) as store:
            read = sum(at for name, at in store.load().positions.items() if name.startswith("kafka:"))
            assert read < len(world), "the kills came after the end: make the world larger"
        print(f"killed {killed} in {place.meta('commit'):,} commits")

        last = process("daemon", "--once", *place.words(database.url, batch=1000), env=place.environment, cwd=tmp_path)
        assert last.code == 0, last.err
        assert json.loads(last.err.splitlines()[-1])["records_behind"] == 0
        with closing(place.store()) as ours, closing(SqliteStore(clean, *RULES)) as theirs:
            assert _view(ours) == _view(theirs)
