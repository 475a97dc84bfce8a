"""A new key in the middle of a stream, and crashes everywhere: the end is that of a clean run, and but for names that
of a run that kept its key."""

from __future__ import annotations

import random
import re
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.daemon_world import (
    KEY,
    POLICY,
    RULES,
    Crash,
    Faults,
    FaultyConnection,
    Mailbox,
    Record,
    contents,
    journal,
    run,
)

from fraudgraph.events.pseudonyms import Pseudonymiser, TwoKeys
from fraudgraph.stores.sqlite.connect import connect_writer
from fraudgraph.stores.sqlite.store import SqliteStore

NEW_KEY = KEY[::-1]
HALF = 150
SEEDS = 2
POINTS = ("poll", "begin", "write", "offset", "commit", "committed", "acknowledge", "mark")
NAMES: dict[str, tuple[int, ...]] = {"entities": (1, 2), "orders": (8,), "seen": (2,), "lineage": (7,)}
"""Columns that are pseudonyms, or show a part of one."""
ROTATION = ("state",)


def records_of(seed: int) -> list[Record]:
    """Returns a journal in which some accounts are known to the shop by an e-mail address."""
    mail = partial(re.sub, rb'"user_id": "(shopper\d+)"', rb'"user_id": "\1@example.com"')
    return [(partition, offset, mail(line), ms) for partition, offset, line, ms in journal(seed)]


def turn(path: Path, faults: Faults) -> None:
    """Begins the period of two keys, where it has not begun."""

    def connected(file: Path) -> Any:
        return FaultyConnection(connect_writer(file), faults)

    with closing(SqliteStore(path, POLICY, RULES.priority, connect=connected)) as store:
        store.claim()
        if not store.meta()["previous_key_id"]:
            store.begin_rotation(Pseudonymiser(NEW_KEY).key_id)


def life(path: Path, records: list[Record], faults: Faults, mailbox: Mailbox, *, turns: bool) -> None:
    """Goes on from wherever the store is: first under the one key, then under both."""
    with closing(SqliteStore(path, POLICY, RULES.priority)) as store:
        store.bind(
            key_id=store.meta()["key_id"] or Pseudonymiser(KEY).key_id,
            policy_hash=POLICY.hash,
            policy_version=POLICY.version,
        )
        begun = bool(store.meta()["previous_key_id"])
    if not begun:
        run(path, records[:HALF], faults, mailbox)
    if turns:
        turn(path, faults)
    run(path, records, faults, mailbox, pseudonymiser=TwoKeys(NEW_KEY, KEY) if turns else None)


@dataclass(frozen=True)
class Clean:
    """What runs without a fault left: with the new key, and without it."""

    records: list[Record]
    turned: dict[str, list[tuple[object, ...]]]
    kept: dict[str, list[tuple[object, ...]]]
    alerts: list[str]
    counts: Counter[str]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Clean:
    folder, records, faults = tmp_path_factory.mktemp("clean"), records_of(7), Faults()
    mailbox, other = Mailbox(faults), Mailbox(Faults())
    life(folder / "turned.db", records, faults, mailbox, turns=True)
    life(folder / "kept.db", records, other.faults, other, turns=False)
    ids = [message.alert_id for message in mailbox.got]
    assert ids == [message.alert_id for message in other.got]
    assert len(ids) > 3
    return Clean(records, contents(folder / "turned.db"), contents(folder / "kept.db"), ids, faults.counts)


def without_names(tables: dict[str, list[tuple[object, ...]]]) -> dict[str, list[tuple[object, ...]]]:
    return {
        table: sorted(
            (tuple(value for place, value in enumerate(row) if place not in NAMES.get(table, ())) for row in rows),
            key=repr,
        )
        for table, rows in tables.items()
        if table not in ROTATION
    }


def test_links_rings_and_alerts_are_those_of_a_run_that_kept_its_key(clean: Clean) -> None:
    assert without_names(clean.turned) == without_names(clean.kept)
    before, after = (dict(row[:2] for row in tables["entities"]) for tables in (clean.kept, clean.turned))
    moved = [ref for ref in before if before[ref] != after[ref]]
    assert len(moved) > 50
    assert any(str(after[ref]).startswith("u_") for ref in moved)
    names = {row[1] for row in clean.turned["entities"]} & {row[1] for row in clean.kept["entities"]}
    assert {str(name)[:4] for name in names if isinstance(name, str) and not name.startswith("u_")} == {"ring"}


@pytest.mark.parametrize("point", POINTS)
def test_a_crash_anywhere_leaves_all_of_a_renaming_or_nothing(clean: Clean, tmp_path: Path, point: str) -> None:
    for seed in range(SEEDS):
        rng = random.Random(f"rotation {point} {seed}")
        path, faults = tmp_path / f"{seed}.db", Faults()
        mailbox = Mailbox(faults)
        faults.plan = {(point, rng.randrange(1, clean.counts[point] * 3 // 4)): Crash for _ in range(2)}
        crashes = 0
        while True:
            try:
                life(path, clean.records, faults, mailbox, turns=True)
                break
            except Crash:
                crashes += 1
        assert crashes, "the fault did not happen"
        left = contents(path)
        for table, rows in clean.turned.items():
            assert left[table] == rows, table
        assert {message.alert_id for message in mailbox.got} == set(clean.alerts)
