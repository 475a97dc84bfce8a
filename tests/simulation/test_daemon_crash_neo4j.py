"""A crash, or a server that is away, at any point of the loop on a real Neo4j: its end is a clean run's on SQLite.

Counters wait here after nearly every commit, and for few of them, so that the faults meet what is written behind.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from support.daemon_world import POLICY, RULES, WAITS, Crash, Faults, Mailbox, Record, journal, live, run
from support.neo4j import Database

from fraudgraph.errors import DependencyError
from fraudgraph.stores.image import StoreImage
from fraudgraph.stores.neo4j.access import Neo4jAddress, Neo4jOptions
from fraudgraph.stores.neo4j.behind import Limits
from fraudgraph.stores.neo4j.reader import Neo4jReader
from fraudgraph.stores.neo4j.store import Neo4jStore
from fraudgraph.stores.sqlite.reader import SqliteReader

SEEDS = int(os.environ.get("FRAUDGRAPH_TEST_NEO4J_SEEDS", "1"))
"""Faults drawn for each point; `make soak` draws 20."""
EVENTS, SIZE = 130, 12
LIVES_MAX = 8
POINTS = ("poll", "begin", "write", "commit", "committed", "outbox", "send", "sent", "mark", "marked")
STORE_POINTS = ("begin", "write", "commit", "committed")
LIMITS = Limits(straight_rows=3, rows=60, commits=4)


class FaultyTransaction:
    """A transaction whose statements are points."""

    def __init__(self, tx: Any, faults: Faults) -> None:
        self._tx = tx
        self._faults = faults

    def run(self, *words: Any, **parameters: Any) -> Any:
        """Runs a statement."""
        self._faults.at("write")
        return self._tx.run(*words, **parameters)


class FaultyStore(Neo4jStore):
    """A store with points in each writing transaction, and one behind it: its answer is lost."""

    def __init__(self, address: Neo4jAddress, options: Neo4jOptions, faults: Faults) -> None:
        self.faults = faults
        self.crashed = False
        self.waited = 0
        super().__init__(address, options, POLICY, RULES.priority, limits=LIMITS)

    def _write(self, work: Callable[[Any], Any]) -> Any:
        def faulty(tx: Any) -> Any:
            self.faults.at("begin")
            found = work(FaultyTransaction(tx, self.faults))
            self.faults.at("commit")
            return found

        try:
            found = super()._write(faulty)
            self.faults.at("committed")
        except Crash:
            self.crashed = True
            raise
        self.waited = max(self.waited, len(self._behind.waiting))
        return found

    def close(self) -> None:
        """Ends in good order, or as a process does that is gone."""
        if self.crashed:
            Neo4jReader.close(self)
        else:
            super().close()


class FaultyReader(Neo4jReader):
    """A reader whose outbox is a point."""

    def __init__(self, address: Neo4jAddress, options: Neo4jOptions, faults: Faults) -> None:
        super().__init__(address, options, POLICY, RULES.priority)
        self._faults = faults

    def outbox(self, sink: str, *, limit: int | None = None) -> list[Any]:
        """Reads the outbox."""
        self._faults.at("outbox")
        return super().outbox(sink, limit=limit)


class Shop:
    """A journal, what a clean run of it on SQLite leaves, and how often each point is reached on Neo4j."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.records: list[Record] = journal(7, EVENTS)
        mailbox = Mailbox(Faults())
        run(folder / "clean.db", self.records, Faults(), mailbox, size=SIZE)
        self.alerts = [message.alert_id for message in mailbox.got]
        with closing(SqliteReader(folder / "clean.db", POLICY, RULES.priority)) as reader:
            self.clean = _contents(reader.image())
        faults = Faults()
        address = database.fresh()
        assert self.life(address, faults, Mailbox(faults)) > 1, "nothing waited: the faults would not meet it"
        self.assert_clean(address)
        self.counts: Counter[str] = faults.counts

    def life(self, address: Neo4jAddress, faults: Faults, mailbox: Mailbox, **words: Any) -> int:
        """Plays one life of the process; returns how many commits had left something behind at most."""
        options = self.database.options
        with (
            closing(FaultyStore(address, options, faults)) as store,
            closing(FaultyReader(address, options, faults)) as reader,
        ):
            try:
                live(store, reader, self.records, faults, mailbox, size=SIZE, **words)
            except BaseException:
                store.crashed = True
                raise
            return store.waited

    def assert_clean(self, address: Neo4jAddress) -> None:
        """Compares all that the store holds."""
        with closing(Neo4jReader(address, self.database.options, POLICY, RULES.priority)) as reader:
            left = _contents(reader.image())
        for what, rows in self.clean.items():
            assert left[what] == rows, what


def _contents(image: StoreImage) -> dict[str, Any]:
    """Returns what a store holds, but for ciphertexts and the order of what has none."""
    found: dict[str, Any] = {"deliveries": image.deliveries}
    found["dead_letters"] = [(letter.reason, letter.partition, letter.offset) for letter, _ in image.dead_letters]
    for each in fields(image.delta):
        value = getattr(image.delta, each.name)
        if each.name in ("links", "users", "orders", "transfers"):
            value = {name: column.tolist() for name, column in value.items()}
        elif each.name in ("entities", "labels", "rings", "seen_keys", "seen_ts_ms"):
            value = sorted(value, key=repr)
        elif each.name == "members":
            value = {ring: sorted(team) for ring, team in value.items()}
        elif each.name in ("lineage", "alerts", "positions", "clocks_ms", "watermark_ms", "commit", "scorer_state"):
            pass
        else:
            continue
        found[each.name] = value
    return found


@pytest.fixture(scope="module")
def shop(neo4j_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(neo4j_database, tmp_path_factory.mktemp("shop"))


@pytest.mark.parametrize("point", POINTS)
def test_a_crash_at_any_point_on_neo4j_leaves_what_a_clean_run_leaves(shop: Shop, point: str) -> None:
    total = 0
    for seed in range(SEEDS):
        rng = random.Random(f"{point} {seed}")
        address, faults = shop.database.fresh(), Faults()
        mailbox = Mailbox(faults)
        faults.plan = {(point, rng.randrange(1, max(1, shop.counts[point] // 2) + 1)): Crash}
        crashes = 0
        for _ in range(LIVES_MAX):
            try:
                shop.life(address, faults, mailbox, ahead=seed % 2)
                break
            except Crash:
                crashes += 1
                faults.plan = {}
                if rng.random() < 0.5:  # and once more, wherever
                    other = rng.choice(POINTS)
                    faults.plan = {(other, faults.counts[other] + rng.randrange(1, shop.counts[other] + 1)): Crash}
        assert crashes >= 1, "the fault did not happen"
        shop.assert_clean(address)
        assert {message.alert_id for message in mailbox.got} == set(shop.alerts)
        total += crashes
    print(f"{point}: {SEEDS} seeds, {total} crashes on Neo4j")


@pytest.mark.parametrize("point", STORE_POINTS)
def test_a_neo4j_that_is_away_is_waited_for(shop: Shop, point: str) -> None:
    for seed in range(SEEDS):
        rng = random.Random(f"{point} away {seed}")
        address, faults, away = shop.database.fresh(), Faults(), list[bool]()
        mailbox = Mailbox(Faults())
        # The start is not waited for, and neither are the marks of what was sent, nor the end.
        at = rng.randrange(shop.counts[point] // 4, shop.counts[point] // 2)
        faults.plan = {(point, at): lambda: DependencyError("the store is away", do="Wait.")}
        try:
            shop.life(address, faults, mailbox, patience=WAITS, on_away=away.append)
        except DependencyError:  # it met a mark: the next life goes on
            shop.life(address, Faults(), mailbox, patience=WAITS)
        assert not faults.plan, "the fault did not happen"
        shop.assert_clean(address)
