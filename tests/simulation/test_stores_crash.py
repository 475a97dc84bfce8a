"""A writer that is killed at any instant leaves the commit before or the commit after."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sqlite3
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.events.kinds import EntityKind
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.stores.port import LINK_COLUMNS, USER_COLUMNS, CommitDelta, LineageRow
from fraudgraph.stores.sqlite.connect import connect_writer
from fraudgraph.stores.sqlite.store import SqliteStore
from fraudgraph.testing.store_journal import START_MS, as_columns, ring_row

KILLS = 24
ROWS = 400
RULES = (LinkPolicy(), PriorityRules())

pytestmark = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="needs fork, to be killed without a slow start"
)


def stamped(commit: int) -> CommitDelta:
    """A commit that writes its own number into every table."""
    slots = range(ROWS)
    return CommitDelta(
        commit=commit,
        watermark_ms=START_MS + commit,
        positions={"file:a": commit},
        entities=[(EntityKind.USER, slot, f"user-{slot}", "") for slot in slots],
        links=as_columns(
            LINK_COLUMNS,
            [(slot, slot, EntityKind.DEVICE, 0, START_MS, START_MS, commit, 1, -1, -1, 0) for slot in slots],
        ),
        users=as_columns(USER_COLUMNS, [(slot, *(commit for _ in range(14))) for slot in slots]),
        rings=[ring_row("R-1", probability=1 / commit)],
        members={"R-1": [(commit % 7, 1 / commit)]},
        lineage=[LineageRow("R-1", "grew", commit, 0, 1)],
        ring_serial=commit,
    )


def eager(path: Path) -> sqlite3.Connection:
    """Checkpoints all the time, so that kills meet checkpoints too."""
    db = connect_writer(path)
    db.execute("PRAGMA wal_autocheckpoint = 100")
    return db


def write_for_ever(path: Path, begun: Connection) -> None:
    store = SqliteStore(path, *RULES, connect=eager)
    store.claim()
    commit = store.load().commit
    while True:
        commit += 1
        delta = stamped(commit)
        begun.send(commit)
        store.commit(delta)


def test_kill_leaves_the_commit_before_or_after(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    chance = random.Random(20260301)
    fork = multiprocessing.get_context("fork")
    last = 0
    for _ in range(KILLS):
        ours, theirs = fork.Pipe(duplex=False)
        writer = fork.Process(target=write_for_ever, args=(path, theirs), daemon=True)
        writer.start()
        assert ours.recv() == last + 1
        time.sleep(chance.uniform(0.0, 0.03))
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        begun = last + 1
        while ours.poll():
            begun = ours.recv()
        state = SqliteStore(path, *RULES).load()
        assert state.commit in (begun - 1, begun)
        last = state.commit
        if last:
            assert state.watermark_ms == START_MS + last
            assert state.positions == {"file:a": last}
            assert state.ring_serial == last
            assert state.links["count"].tolist() == [last] * ROWS
            assert state.users["logins"].tolist() == [last] * ROWS
            assert state.rings[0].probability == 1 / last
            assert state.members == {"R-1": [(last % 7, 1 / last)]}
    assert last > KILLS
    ring = SqliteStore(path, *RULES).snapshot("R-1")
    assert ring is not None
    assert [step.at_ms for step in ring.lineage] == list(range(1, last + 1))
