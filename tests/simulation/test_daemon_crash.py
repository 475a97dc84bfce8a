"""A crash at any point of the loop, and a store that fails at any point: the end is that of a clean run."""

from __future__ import annotations

import os
import random
import sqlite3
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.daemon_world import PARTITIONS, WAITS, Crash, Faults, Mailbox, Record, contents, journal, run

from fraudgraph.errors import DependencyError
from fraudgraph.stores.sqlite.connect import connect_writer

SEEDS = int(os.environ.get("FRAUDGRAPH_TEST_SEEDS", "4"))
"""Faults drawn for each point; `make soak` draws 40."""
LIVES_MAX = 12
POINTS = (
    "seek",
    "poll",
    "begin",
    "write",
    "offset",
    "commit",
    "committed",
    "acknowledge",
    "acknowledged",
    "outbox",
    "send",
    "sent",
    "mark",
    "marked",
)
STORE_POINTS = ("begin", "write", "offset", "commit", "committed")


@dataclass(frozen=True)
class Clean:
    """What a run without a fault left."""

    records: list[Record]
    contents: dict[str, list[tuple[object, ...]]]
    alerts: list[str]
    counts: Counter[str]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Clean:
    path, faults = tmp_path_factory.mktemp("clean") / "shop.db", Faults()
    mailbox, records = Mailbox(faults), journal(7)
    totals = run(path, records, faults, mailbox)
    assert len({partition for partition, *_ in records}) == PARTITIONS
    assert totals.duplicates > 20
    assert set(totals.dead_letters) == {"malformed-json", "too-late"}
    ids = [message.alert_id for message in mailbox.got]
    assert len(ids) == len(set(ids)) == totals.alerts > 3
    return Clean(records, contents(path), ids, faults.counts)


def assert_as_clean(clean: Clean, path: Path, mailbox: Mailbox) -> None:
    left = contents(path)
    for table, rows in clean.contents.items():
        assert left[table] == rows, table
    got = [message.alert_id for message in mailbox.got]
    assert set(got) == set(clean.alerts), "an alert was lost, or one came that never was"
    first = {alert: got.index(alert) for alert in clean.alerts}
    assert sorted(clean.alerts, key=first.__getitem__) == clean.alerts or len(got) > len(clean.alerts)


@pytest.mark.parametrize("point", POINTS)
def test_a_crash_at_any_point_leaves_what_a_clean_run_leaves(clean: Clean, tmp_path: Path, point: str) -> None:
    total = 0
    for seed in range(SEEDS):
        rng = random.Random(f"{point} {seed}")
        path, faults = tmp_path / f"{seed}.db", Faults()
        mailbox = Mailbox(faults)
        # How many deliveries there are depends on how many alerts each takes along.
        at = rng.randrange(1, max(1, clean.counts[point] // 2) + 1)
        faults.plan = {(point, at): Crash}
        for _ in range(rng.randrange(3)):  # and some more, wherever
            other = rng.choice(POINTS)
            faults.plan[other, rng.randrange(1, clean.counts[other] + 1)] = Crash
        crashes = 0
        for _ in range(LIVES_MAX):
            try:
                run(path, clean.records, faults, mailbox, ahead=seed % 3)
                break
            except Crash:
                crashes += 1
        else:
            raise AssertionError("it never came to an end")
        assert crashes >= 1, "the fault did not happen"
        assert_as_clean(clean, path, mailbox)
        total += crashes
    print(f"{point}: {SEEDS} seeds, {total} crashes")


@pytest.mark.parametrize("point", STORE_POINTS)
def test_a_store_that_is_away_is_waited_for(clean: Clean, tmp_path: Path, point: str) -> None:
    for seed in range(SEEDS):
        rng = random.Random(f"{point} away {seed}")
        path, faults, away = tmp_path / f"{seed}.db", Faults(), list[bool]()
        # The start (epoch, migration) is not waited for, and neither are the marks of what was sent.
        mailbox, quiet = Mailbox(Faults()), clean.counts[point] // 10
        first = rng.randrange(quiet + 1, clean.counts[point] - 2)
        faults.plan = {(point, first + i): _gone for i in range(rng.randrange(1, 3))}
        planned = len(faults.plan)
        try:
            run(path, clean.records, faults, mailbox, patience=WAITS, ahead=seed % 3, on_away=away.append)
        except DependencyError:  # it met a mark: the next life goes on
            run(path, clean.records, Faults(), mailbox, patience=WAITS)
        else:
            assert away[0::2] == [True] * (len(away) // 2)
            assert away[1::2] == [False] * (len(away) // 2)
        assert len(faults.plan) < planned, "the fault did not happen"
        assert_as_clean(clean, path, mailbox)


def _gone() -> DependencyError:
    return DependencyError("the store is away", do="Wait.")


def test_a_full_disk_is_waited_for(clean: Clean, tmp_path: Path) -> None:
    opened: list[sqlite3.Connection] = []

    def small(path: Path) -> sqlite3.Connection:
        db = connect_writer(path)
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages + 30}")
        opened.append(db)
        return db

    away: list[bool] = []

    def grows(is_away: bool) -> None:
        away.append(is_away)
        if is_away:  # told in the store's own thread
            opened[0].execute("PRAGMA max_page_count = 100000")

    path, mailbox = tmp_path / "shop.db", Mailbox(Faults())
    run(path, clean.records, Faults(), mailbox, patience=WAITS, connect=small, on_away=grows)
    assert away == [True, False]
    assert_as_clean(clean, path, mailbox)


def test_a_locked_file_is_waited_for(clean: Clean, tmp_path: Path) -> None:
    path, away, locks = tmp_path / "shop.db", list[bool](), list[sqlite3.Connection]()

    def hasty(file: Path) -> sqlite3.Connection:
        db = connect_writer(file)
        db.execute("PRAGMA busy_timeout = 20")
        return db

    def released(is_away: bool) -> None:
        away.append(is_away)
        if is_away:
            locks.pop().execute("ROLLBACK")

    class Locked(Faults):
        def at(self, point: str) -> None:
            super().at(point)
            if point == "poll" and self.counts["poll"] == 9:
                locks.append(sqlite3.connect(path, isolation_level=None, check_same_thread=False))
                locks[-1].execute("BEGIN IMMEDIATE")

    faults, mailbox = Locked(), Mailbox(Faults())
    run(path, clean.records, faults, mailbox, patience=WAITS, connect=hasty, on_away=released)
    assert away == [True, False]
    assert_as_clean(clean, path, mailbox)
