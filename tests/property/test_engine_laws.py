"""The core's laws (docs/design.md, section 3) over whole engines, on small worlds where everything happens soon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.journal import (
    EVENT_NUMBERS,
    LATENESS_MS,
    SMALL_POLICY,
    SMALL_RULES,
    Happening,
    Source,
    arrivals_of,
    events_of,
    is_settled,
)

from fraudgraph.durations import DAY_MS
from fraudgraph.engine import Engine, EngineRules, Outcome
from fraudgraph.events.kinds import RejectReason
from fraudgraph.rings.features import RING_FEATURES, RING_MONEY
from fraudgraph.rings.identity import ring_name, ring_serial
from fraudgraph.rings.members import member_probabilities
from fraudgraph.stores.port import CLOSED_STATUSES, RingRow, Store
from fraudgraph.stores.sqlite.store import SqliteStore
from fraudgraph.testing.canonical import GraphView, graph_view, measures_view, rings_view
from fraudgraph.testing.fakes import FakeScorer
from fraudgraph.testing.memory_store import MemoryStore

UNCUT = replace(SMALL_RULES, max_users=1000, max_strangers=1000)

events = st.lists(st.integers(0, EVENT_NUMBERS - 1), min_size=15, max_size=80).map(events_of).filter(is_settled)
salts = st.integers(0, 2**32 - 1)


def delays(salt: int, count: int) -> list[int]:
    return np.random.default_rng(salt).integers(0, LATENESS_MS, count).tolist()


def cuts(salt: int, count: int) -> list[int]:
    """Returns where batches begin and end: 0, some places in between, `count`."""
    rng = np.random.default_rng(salt)
    inner = np.flatnonzero(rng.random(count) < rng.random()).tolist()
    return sorted({0, count, *inner})


def start(rules: EngineRules = SMALL_RULES, refit_at: int | None = None) -> Engine:
    return Engine(SMALL_POLICY, rules, FakeScorer(refit_at))


def journal(happenings: list[Happening], salt: int, partitions: int = 3) -> Source:
    """Returns the events as they arrive, in up to so many partitions."""
    return Source(list(arrivals_of(happenings, delays(salt, len(happenings)), 1 + salt % partitions)))


def feed(engine: Engine, source: Source, at: Sequence[int]) -> list[Outcome]:
    return [engine.apply(source.batch(begin, end)) for begin, end in pairwise(at)]


@dataclass
class Story:
    """What a run said: everything that follows the journal."""

    lineage: list[object] = field(default_factory=list)
    alerts: list[object] = field(default_factory=list)
    rings: dict[str, RingRow] = field(default_factory=dict)
    members: dict[str, object] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        delta = outcome.delta
        self.lineage += delta.lineage
        self.alerts += delta.alerts
        self.rings |= {row.ring_id: row for row in delta.rings}
        self.members |= {ring: len(team) for ring, team in delta.members.items()}


def tell(outcomes: Sequence[Outcome]) -> Story:
    story = Story()
    for outcome in outcomes:
        story.add(outcome)
    return story


def assert_same_measures(engine: Engine, other: Engine) -> None:
    view = graph_view(engine)
    teams = [team for team in view.components if len(team) >= 2]
    mine, theirs = measures_view(engine, teams), measures_view(other, teams)
    for team in teams:
        assert mine[team] == pytest.approx(theirs[team], abs=1e-9)


@settings(max_examples=400, deadline=None)
@given(events, salts, salts)
def test_any_cut_gives_the_same_graph_and_scores(happenings: list[Happening], salt: int, how: int) -> None:
    source = journal(happenings, salt)
    whole, parts = start(UNCUT), start(UNCUT)
    count = len(source.arrivals)
    feed(whole, source, [0, count])
    feed(parts, source, cuts(how, count))
    assert graph_view(parts) == graph_view(whole)
    assert_same_measures(parts, whole)
    assert set(rings_view(parts).values()) == set(rings_view(whole).values())
    assert present_scores(parts) == pytest.approx(present_scores(whole), abs=2e-6)


def present_scores(engine: Engine) -> dict[frozenset[str], float]:
    return {team: engine.rows[serial].probability for serial, team in rings_view(engine).items()}


@settings(max_examples=300, deadline=None)
@given(events, salts, salts)
def test_any_interleaving_within_lateness_gives_the_same_graph(
    happenings: list[Happening], one: int, other: int
) -> None:
    engines = []
    for salt in (one, other):
        engine = start(UNCUT)
        source = journal(happenings, salt)
        outcomes = feed(engine, source, cuts(salt, len(source.arrivals)))
        assert sum(outcome.applied for outcome in outcomes) == len(source.arrivals)
        engines.append(engine)
    assert graph_view(engines[0]) == graph_view(engines[1])
    assert_same_measures(*engines)


@settings(max_examples=150, deadline=None)
@given(events, salts, salts)
def test_replay_is_live(happenings: list[Happening], salt: int, how: int) -> None:
    source = journal(happenings, salt)
    at = cuts(how, len(source.arrivals))
    first, second = (feed(start(refit_at=2), source, at) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_equal(vars_of(one), vars_of(other))


def vars_of(outcome: Outcome) -> dict[str, object]:
    delta = outcome.delta
    return {name: getattr(delta, name) for name in delta.__slots__}


@settings(max_examples=250, deadline=None)
@given(events, salts, salts)
def test_a_restart_at_any_commit_goes_on_as_if_nothing_happened(
    happenings: list[Happening], salt: int, how: int
) -> None:
    store = MemoryStore(SMALL_POLICY, SMALL_RULES.priority)
    assert_restarts_unseen(store, happenings, salt, how)


@settings(max_examples=25, deadline=None)
@given(events, salts, salts)
def test_a_restart_from_sqlite_goes_on_as_if_nothing_happened(
    tmp_path_factory: pytest.TempPathFactory, happenings: list[Happening], salt: int, how: int
) -> None:
    path: Path = tmp_path_factory.mktemp("store") / "shop.db"
    store = SqliteStore(path, SMALL_POLICY, SMALL_RULES.priority)
    try:
        assert_restarts_unseen(store, happenings, salt, how)
    finally:
        store.close()


def assert_restarts_unseen(store: Store, happenings: list[Happening], salt: int, how: int) -> None:
    """Runs one engine through, and beside it one that is restored from the store after some of the commits."""
    source = journal(happenings, salt)
    at = cuts(how, len(source.arrivals))
    never, often = start(refit_at=2), start(refit_at=2)
    store.claim()
    rng = np.random.default_rng(how)
    for begin, end in pairwise(at):
        batch = source.batch(begin, end)
        told, again = never.apply(batch), often.apply(batch)
        assert story_of(again) == story_of(told)
        assert again.delta.positions == told.delta.positions
        store.commit(again.delta)
        # A new process reads again what its predecessor still held, in other batches: the next test.
        if rng.random() < 0.5 and not source.holds(end, told.delta.positions):
            often = start(refit_at=2)
            often.restore(store.load())
            assert graph_view(often) == graph_view(never)
            assert rings_view(often) == rings_view(never)
    assert graph_view(often) == graph_view(never)
    assert rings_view(often) == rings_view(never)
    assert often.rows == never.rows


@settings(max_examples=150, deadline=None)
@given(events, salts, salts)
def test_what_is_held_or_damaged_when_a_process_dies_comes_once(
    happenings: list[Happening], salt: int, how: int
) -> None:
    rng = np.random.default_rng(how)
    good = arrivals_of(happenings, delays(salt, len(happenings)), 1 + salt % 3)
    mixed = [row for arrival in good for row in ([arrival, (arrival[0], None)] if rng.random() < 0.2 else [arrival])]
    source = Source(mixed)
    plain, engine = start(UNCUT), start(UNCUT)
    feed(plain, Source(list(good)), [0, len(good)])
    store = MemoryStore(SMALL_POLICY, SMALL_RULES.priority)
    store.claim()
    waiting = list(range(len(mixed)))
    while waiting:
        taken = 1 + int(rng.integers(0, 8))
        now, waiting = waiting[:taken], waiting[taken:]
        store.commit(engine.apply(source.pick(now, waiting)).delta)
        if rng.random() < 0.3:
            engine = start(UNCUT)
            state = store.load()
            waiting = [i for i, (p, _) in enumerate(mixed) if source.offsets[i] >= state.positions.get(p, 0)]
            engine.restore(state)
    letters = store.dead_letters()
    assert len(letters) == len(mixed) - len(good)
    assert graph_view(engine) == graph_view(plain)


def story_of(outcome: Outcome) -> tuple[object, ...]:
    delta = outcome.delta
    members = {ring: sorted(chance for _, chance in team) for ring, team in delta.members.items()}
    return outcome.applied, outcome.duplicates, delta.rings, members, delta.lineage, delta.alerts, delta.dead_letters


@settings(max_examples=150, deadline=None)
@given(events, salts, salts)
def test_duplicates_change_nothing(happenings: list[Happening], salt: int, how: int) -> None:
    once = arrivals_of(happenings, delays(salt, len(happenings)), 1 + salt % 2)
    rng = np.random.default_rng(how)
    twice = []
    for arrival in once:
        twice.append(arrival)
        # Sent again at once, or soon, by a producer that did not hear the acknowledgement.
        twice += [twice[-1 - int(rng.integers(0, min(3, len(twice))))]] if rng.random() < 0.4 else []
    plain, doubled = start(), start()
    feed(plain, Source(list(once)), [0, len(once)])
    outcomes = feed(doubled, Source(list(twice)), cuts(how, len(twice)))
    assert graph_view(doubled) == graph_view(plain)
    late = sum(len(outcome.delta.dead_letters) for outcome in outcomes)
    assert sum(outcome.applied for outcome in outcomes) == len(once)
    assert sum(outcome.duplicates for outcome in outcomes) + late == len(twice) - len(once)


@settings(max_examples=150, deadline=None)
@given(events, salts, salts)
def test_late_and_damaged_records_are_dead_letters_and_nothing_else(
    happenings: list[Happening], salt: int, how: int
) -> None:
    good = arrivals_of(happenings, delays(salt, len(happenings)), 1)
    rng = np.random.default_rng(how)
    mixed: list[tuple[str, Happening | None]] = []
    latest_ms = 0
    late = damaged = 0
    for partition, event in good:
        mixed.append((partition, event))
        latest_ms = max(latest_ms, event.ts_ms)
        if rng.random() < 0.3:
            before_ms = latest_ms - LATENESS_MS - 1 - int(rng.integers(0, DAY_MS))
            mixed.append((partition, replace(event, id=f"{event.id} late", ts_ms=before_ms)))
            late += 1
        if rng.random() < 0.2:
            mixed.append((partition, None))
            damaged += 1
    plain, tried = start(), start()
    feed(plain, Source(list(good)), [0, len(good)])
    outcomes = feed(tried, Source(mixed), cuts(how, len(mixed)))
    letters = [letter for outcome in outcomes for letter in outcome.delta.dead_letters]
    assert [letter.reason for letter in letters].count(RejectReason.TOO_LATE) == late
    assert [letter.reason for letter in letters].count(RejectReason.MALFORMED_JSON) == damaged
    assert len({(letter.partition, letter.offset) for letter in letters}) == len(letters)
    assert sum(outcome.applied for outcome in outcomes) + len(letters) == len(mixed)
    assert graph_view(tried) == graph_view(plain)


@settings(max_examples=150, deadline=None)
@given(events, salts, st.integers(91, 60_000))
def test_one_future_timestamp_does_not_expire_the_graph(happenings: list[Happening], how: int, days: int) -> None:
    good = arrivals_of(happenings, delays(how, len(happenings)), 1)
    rng = np.random.default_rng(how)
    # Two good events follow, which do not confirm it.
    place = int(rng.integers(0, max(1, len(good) - 2)))
    latest = max(event.ts_ms for _, event in good[: place + 3])
    wrong = replace(good[place][1], id="from the future", ts_ms=latest + days * DAY_MS)
    mixed = [*good[:place], ("p0", wrong), *good[place:]]
    plain, tried = start(), start()
    feed(plain, Source(list(good)), [0, len(good)])
    outcomes = feed(tried, Source(list(mixed)), cuts(how, len(mixed)))
    letters = [letter for outcome in outcomes for letter in outcome.delta.dead_letters]
    assert [letter.reason for letter in letters] == [RejectReason.FUTURE_TIMESTAMP]
    assert graph_view(tried) == graph_view(plain)


@settings(max_examples=150, deadline=None)
@given(events, salts)
def test_the_register_names_the_components(happenings: list[Happening], how: int) -> None:
    engine = start(UNCUT)
    source = journal(happenings, how, partitions=1)
    story = Story()
    at = cuts(how, len(source.arrivals))
    for begin, end in pairwise(at):
        story.add(engine.apply(source.batch(begin, end)))
        view: GraphView = graph_view(engine)
        rings = rings_view(engine)
        assert set(rings.values()) == {team for team in view.components if len(team) >= UNCUT.min_users}
        living = {ring: size for ring, size in story.members.items() if story.rings[ring].status not in CLOSED_STATUSES}
        assert living == {ring_name(serial): len(team) for serial, team in rings.items()}


@settings(max_examples=250, deadline=None)
@given(events, salts, salts)
def test_what_is_stored_of_a_ring_is_so_now(happenings: list[Happening], salt: int, how: int) -> None:
    """Whatever changes a ring's looks, within it or around it, shows in the commit in which it happens."""
    engine, store = start(), MemoryStore(SMALL_POLICY, SMALL_RULES.priority)
    store.claim()
    source = journal(happenings, salt)
    for begin, end in pairwise(cuts(how, len(source.arrivals))):
        store.commit(engine.apply(source.batch(begin, end)).delta)
        state = store.load()
        assert {row.ring_id for row in state.rings} == {ring_name(serial) for serial in engine.register.members}
        rings = rings_view(engine)
        measures = measures_view(engine, rings.values())
        for row in state.rings:
            serial = ring_serial(row.ring_id)
            now = measures[rings[serial]]
            scores = FakeScorer().score(np.array([[now[name] for name in RING_FEATURES]]))
            assert row.probability == pytest.approx(scores.probability[0], abs=1e-6)
            assert [row.value_at_risk_minor, row.currency, row.identifiers, row.first_seen_ms, row.last_seen_ms] == [
                now[name] for name in RING_MONEY
            ]
            members = np.array([user for user, _ in state.members[row.ring_id]], np.int32)
            stored = np.array([chance for _, chance in state.members[row.ring_id]])
            chances = member_probabilities(
                engine.graph, members, np.array([0, len(members)]), scores.probability, engine.ties.tables.weak
            )
            assert members.tolist() == engine.register.members[serial].tolist()
            snapshot = store.snapshot(row.ring_id)
            assert snapshot is not None
            assert (snapshot.births_ms, snapshot.links_ms) == engine.watch
            assert np.abs(chances - stored).max() < SMALL_RULES.score_epsilon + 1e-4
