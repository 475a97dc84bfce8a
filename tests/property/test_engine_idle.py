"""Idle marks under the core's laws: replayed, restarted, and never a reason to lose what comes in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support.journal import (
    EVENT_NUMBERS,
    LATENESS_MS,
    SMALL_POLICY,
    SMALL_RULES,
    START_MS,
    Happening,
    arrivals_of,
    decoded,
    events_of,
)

from fraudgraph.durations import DAY_MS
from fraudgraph.engine import Engine, Outcome
from fraudgraph.events.batch import DecodedBatch
from fraudgraph.events.idle import AUTHOR, IDLE, JOURNAL, IdleMark, write_mark
from fraudgraph.events.kinds import EventType, RejectReason
from fraudgraph.events.schema import Command
from fraudgraph.stores.port import COMMANDS
from fraudgraph.testing.canonical import graph_view, rings_view
from fraudgraph.testing.fakes import FakeScorer
from fraudgraph.testing.memory_store import MemoryStore

NAMES = ["p0", "p1", "p2"]
SAID = datetime(2026, 11, 24, tzinfo=UTC)
UNCUT = replace(SMALL_RULES, max_users=1000)
events = st.lists(st.integers(0, EVENT_NUMBERS - 1), min_size=8, max_size=40).map(events_of)
salts = st.integers(0, 2**32 - 1)


def start() -> Engine:
    return Engine(SMALL_POLICY, UNCUT, FakeScorer())


def mark_batch(mark: IdleMark, number: int, arguments: dict[str, str] | None = None) -> DecodedBatch:
    """Returns a mark as it comes out of the store's commands."""
    name = f"mark {number}"
    batch = decoded([(JOURNAL, Happening(name, START_MS, type=EventType.COMMAND), number)], names=[JOURNAL])
    said = write_mark(mark) if arguments is None else arguments
    return replace(batch, commands=[(0, Command(event_id=name, ts=SAID, name=IDLE, author=AUTHOR, arguments=said))])


def event_batch(rows: Sequence[tuple[str, Happening, int]]) -> DecodedBatch:
    """Returns events as they come from Kafka: with the brokers' times, and of partitions that never end."""
    return decoded(rows, names=NAMES, broker_ms=[event.ts_ms for _, event, _ in rows])


def journal(happenings: list[Happening], salt: int) -> list[DecodedBatch]:
    """Returns batches of events, and between them marks: of some partitions or of all, true ones and stale ones."""
    rng = np.random.default_rng(salt)
    counts = dict.fromkeys(NAMES, 0)
    rows = []
    for partition, event in arrivals_of(happenings, rng.integers(0, LATENESS_MS, len(happenings)).tolist(), 3):
        rows.append((partition, event, counts[partition]))
        counts[partition] += 1
    cuts = sorted({0, len(rows), *np.flatnonzero(rng.random(len(rows)) < 0.3).tolist()})
    batches: list[DecodedBatch] = []
    positions: dict[str, int] = {}
    latest_ms, marks = 0, 0
    for begin, end in pairwise(cuts):
        batches.append(event_batch(rows[begin:end]))
        positions |= {partition: offset + 1 for partition, _, offset in rows[begin:end]}
        latest_ms = max(latest_ms, *(event.ts_ms for _, event, _ in rows[begin:end]))
        if rng.random() < 0.5:
            marks += 1
            chosen = {name: at - int(rng.random() < 0.2) for name, at in positions.items() if rng.random() < 0.8}
            until_ms = latest_ms + int(rng.integers(0, 3 * DAY_MS)) if rng.random() < 0.5 else None
            batches.append(mark_batch(IdleMark(chosen, until_ms), marks))
    return batches


def story(outcome: Outcome) -> dict[str, object]:
    return {name: getattr(outcome.delta, name) for name in outcome.delta.__slots__}


@settings(max_examples=100, deadline=None)
@given(events, salts)
def test_replay_of_a_journal_with_idle_marks_is_live(happenings: list[Happening], salt: int) -> None:
    batches = journal(happenings, salt)
    one, other = start(), start()
    for batch in batches:
        np.testing.assert_equal(story(one.apply(batch)), story(other.apply(batch)))


@settings(max_examples=100, deadline=None)
@given(events, salts, salts)
def test_a_restart_between_marks_is_unseen(happenings: list[Happening], salt: int, how: int) -> None:
    rng = np.random.default_rng(how)
    store = MemoryStore(SMALL_POLICY, SMALL_RULES.priority)
    store.claim()
    never, often = start(), start()
    for batch in journal(happenings, salt):
        told, again = never.apply(batch), often.apply(batch)
        assert again.delta.watermark_ms == told.delta.watermark_ms
        assert again.delta.clocks_ms == told.delta.clocks_ms
        store.commit(again.delta)
        if rng.random() < 0.4:
            often = start()
            often.restore(store.load())
            assert graph_view(often) == graph_view(never)
    assert rings_view(often) == rings_view(never)


def opened() -> Engine:
    """Returns an engine that saw two partitions, one far behind the other."""
    engine = start()
    ahead = Happening("a", START_MS + 2 * DAY_MS, "ann", links=())
    engine.apply(event_batch([("p0", Happening("b", START_MS, "bob"), 0), ("p1", ahead, 0)]))
    assert engine.watermark_ms == START_MS - LATENESS_MS
    return engine


def test_one_silent_partition_holds_event_time_no_more_until_it_speaks() -> None:
    engine = opened()
    engine.apply(mark_batch(IdleMark({"p0": 1}), 1))
    later = Happening("c", START_MS + 3 * DAY_MS, "cat")
    outcome = engine.apply(event_batch([("p1", later, 1)]))
    assert outcome.delta.watermark_ms == later.ts_ms - LATENESS_MS
    back = Happening("d", later.ts_ms, "dan")
    last = Happening("e", START_MS + 9 * DAY_MS, "eve")
    assert engine.apply(event_batch([("p0", back, 1), ("p1", last, 2)])).applied == 2
    assert engine.watermark_ms == back.ts_ms - LATENESS_MS


def test_where_all_are_silent_event_time_passes_and_links_expire() -> None:
    engine = opened()
    until_ms = START_MS + 30 * DAY_MS
    outcome = engine.apply(mark_batch(IdleMark({"p0": 1, "p1": 1}, until_ms), 1))
    assert outcome.delta.watermark_ms == engine.watermark_ms == until_ms - LATENESS_MS
    assert graph_view(engine).users == {}
    late = engine.apply(event_batch([("p0", Happening("f", until_ms - 2 * LATENESS_MS, "fay"), 1)]))
    assert [letter.reason for letter in late.delta.dead_letters] == [RejectReason.TOO_LATE]


def test_a_mark_passes_by_what_was_read_further_since() -> None:
    engine = opened()
    before = engine.watermark_ms
    engine.apply(mark_batch(IdleMark({"p0": 0, "p1": 1, "p9": 7}, START_MS + 30 * DAY_MS), 1))
    assert engine.watermark_ms == before
    engine.apply(event_batch([("p1", Happening("c", START_MS + 3 * DAY_MS, "cat"), 1)]))
    assert engine.watermark_ms == before


def test_only_the_stores_own_commands_move_event_time_and_only_good_ones() -> None:
    engine = opened()
    before = engine.watermark_ms
    good = mark_batch(IdleMark({"p0": 1, "p1": 1}, START_MS + 30 * DAY_MS), 1)
    foreign = replace(good, partitions=["kafka:orders/0"])
    refused = engine.apply(foreign).delta.dead_letters
    for arguments in (
        {},
        {"positions": "[]"},
        {"positions": "{}", "until_ms": "soon"},
        {"positions": "{}", "until_ms": "-1"},
    ):
        refused = [*refused, *engine.apply(mark_batch(IdleMark({}), 2, arguments)).delta.dead_letters]
    assert [letter.reason for letter in refused] == [RejectReason.UNKNOWN_COMMAND] * 5
    assert engine.watermark_ms == before


def test_the_journal_is_the_partition_of_the_stores_commands() -> None:
    assert JOURNAL == COMMANDS
