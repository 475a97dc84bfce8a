"""Decisions and constraints under the core's laws: replayed, restarted, repeated, and taken back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.cases import Spoken, any_order, command_batch, spoken, take_all_back
from support.journal import (
    EVENT_NUMBERS,
    LATENESS_MS,
    SMALL_POLICY,
    SMALL_RULES,
    Happening,
    Source,
    arrivals_of,
    events_of,
    key,
)

from fraudgraph.cases.audit import AuditRow, digest, verify
from fraudgraph.engine import Engine, EngineRules, Outcome
from fraudgraph.events.batch import DecodedBatch
from fraudgraph.events.kinds import EntityKind
from fraudgraph.rings.cut import cut_apart
from fraudgraph.testing.canonical import graph_view, measures_view, rings_view
from fraudgraph.testing.fakes import FakeScorer
from fraudgraph.testing.memory_store import MemoryStore

UNCUT = replace(SMALL_RULES, max_users=1000, max_strangers=1000)
events = st.lists(st.integers(0, EVENT_NUMBERS - 1), min_size=8, max_size=40).map(events_of)
salts = st.integers(0, 2**32 - 1)


@dataclass
class Journal:
    """Batches of events and of commands in committed order."""

    batches: list[DecodedBatch] = field(default_factory=list)
    events_only: list[DecodedBatch] = field(default_factory=list)
    commands: list[Spoken] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    whole: list[bool] = field(default_factory=list)

    def say(self, engine: Engine, commands: list[Spoken]) -> Outcome:
        """Gives an engine commands as one commit."""
        batch = command_batch(commands, first=len(self.commands) + 1)
        self.commands += commands
        self.batches.append(batch)
        self.outcomes.append(engine.apply(batch))
        self.whole.append(self.whole[-1])
        return self.outcomes[-1]

    def feed(self, engine: Engine, source: Source, begin: int, end: int) -> None:
        """Gives an engine events as one commit, and notes whether it holds none back."""
        batch = source.batch(begin, end)
        self.batches.append(batch)
        self.events_only.append(batch)
        self.outcomes.append(engine.apply(batch))
        self.whole.append(not source.holds(end, self.outcomes[-1].delta.positions))


def start(rules: EngineRules = UNCUT) -> Engine:
    return Engine(SMALL_POLICY, rules, FakeScorer())


def live(engine: Engine, happenings: list[Happening], salt: int) -> Journal:
    """Runs an engine over events, with commands between some of the batches."""
    rng = np.random.default_rng(salt)
    delays = rng.integers(0, LATENESS_MS, len(happenings)).tolist()
    source = Source(list(arrivals_of(happenings, delays, 1)))
    count = len(source.arrivals)
    places = sorted({0, count, *np.flatnonzero(rng.random(count) < 0.3).tolist()})
    journal = Journal()
    for begin, end in pairwise(places):
        journal.feed(engine, source, begin, end)
        if rng.random() < 0.7:
            first = len(journal.commands)
            orders = [any_order(engine, rng) for _ in range(int(rng.integers(1, 4)))]
            authors = [("ann", "bob")[int(rng.integers(0, 2))] for _ in orders]
            journal.say(engine, [spoken(first + i, o, a) for i, (o, a) in enumerate(zip(orders, authors, strict=True))])
    return journal


def scores(engine: Engine) -> dict[frozenset[str], float]:
    return {team: engine.rows[serial].probability for serial, team in rings_view(engine).items()}


@settings(max_examples=200, deadline=None)
@given(events, salts)
def test_taken_back_equals_never_said(happenings: list[Happening], salt: int) -> None:
    engine, never = start(), start()
    journal = live(engine, happenings, salt)
    orders = take_all_back(engine, np.random.default_rng(salt))
    first = len(journal.commands)
    outcome = journal.say(engine, [spoken(first + i, order) for i, order in enumerate(orders)])
    assert outcome.commands == len(orders)
    for batch in journal.events_only:
        never.apply(batch)
    assert graph_view(engine) == graph_view(never)
    assert set(rings_view(engine).values()) == set(rings_view(never).values())
    teams = [team for team in graph_view(never).components if len(team) >= 2]
    mine, theirs = measures_view(engine, teams), measures_view(never, teams)
    for team in teams:
        assert mine[team] == pytest.approx(theirs[team], abs=1e-9)
    assert scores(engine) == pytest.approx(scores(never), abs=2e-6)
    assert {row.status for row in engine.rows.values()} <= {"open"}


@settings(max_examples=150, deadline=None)
@given(events, salts)
def test_replay_is_live(happenings: list[Happening], salt: int) -> None:
    engine, again = start(SMALL_RULES), start(SMALL_RULES)
    journal = live(engine, happenings, salt)
    for batch, told in zip(journal.batches, journal.outcomes, strict=True):
        outcome = again.apply(batch)
        for name in told.delta.__slots__:
            np.testing.assert_equal(getattr(outcome.delta, name), getattr(told.delta, name), err_msg=name)


@settings(max_examples=120, deadline=None)
@given(events, salts)
def test_incremental_is_rebuild_and_a_restart_is_not_seen(happenings: list[Happening], salt: int) -> None:
    engine, often = start(SMALL_RULES), start(SMALL_RULES)
    journal = live(engine, happenings, salt)
    store = MemoryStore(SMALL_POLICY, SMALL_RULES.priority)
    store.claim()
    rng = np.random.default_rng(salt)
    for batch, told, whole in zip(journal.batches, journal.outcomes, journal.whole, strict=True):
        outcome = often.apply(batch)
        store.commit(outcome.delta)
        assert (outcome.delta.rings, outcome.delta.lineage) == (told.delta.rings, told.delta.lineage)
        assert (outcome.delta.labels, outcome.delta.audit) == (told.delta.labels, told.delta.audit)
        if rng.random() < 0.5 and whole:
            before = often
            often = start(SMALL_RULES)
            often.restore(store.load() if rng.random() < 0.5 else before.export())
            assert graph_view(often) == graph_view(before)
            said = {user: before.graph.labels.verdict(user) for user in before.graph.user_table.id_of}
            assert {user: often.graph.labels.verdict(user) for user in said} == said
    assert graph_view(often) == graph_view(engine)
    assert often.rows == engine.rows
    assert store.decisions() == sorted(engine.cases.decisions.values(), key=lambda d: d.decision_id)
    assert store.constraints() == sorted(engine.cases.constraints.values(), key=lambda c: c.constraint_id)
    assert [row.hash for row in store.audit()][-1:] == [engine.cases.head.hash][: len(store.audit())]


@settings(max_examples=100, deadline=None)
@given(events, salts)
def test_said_twice_is_said_once(happenings: list[Happening], salt: int) -> None:
    engine = start()
    journal = live(engine, happenings, salt)
    before = engine.cases.head, dict(engine.rows)
    obeyed = sum(outcome.commands for outcome in journal.outcomes)
    again = [command for command in journal.commands if engine.cases.knows(key(command.id).hex())]
    outcome = engine.apply(command_batch(again))
    assert (engine.cases.head, engine.rows) == before
    assert outcome.commands == 0
    assert outcome.duplicates == obeyed == len(again)
    assert not outcome.delta.dead_letters


@settings(max_examples=150, deadline=None)
@given(events, salts)
def test_constraints_hold_and_every_ring_says_what_was_decided(happenings: list[Happening], salt: int) -> None:
    engine = start()
    live(engine, happenings, salt)
    demands = engine.cases.in_force(engine.watermark_ms)
    for a, b in demands.apart:
        assert not any({a, b} <= team for team in rings_view(engine).values())
    known = engine.graph.user_table.id_of
    for pair in demands.together:
        if all(user in known for user in pair):
            assert any(set(pair) <= team for team in graph_view(engine).components)
    for serial, team in rings_view(engine).items():
        decided = engine.cases.status(team)
        row = engine.rows[serial]
        assert row.status == decided.status
        assert row.reason.endswith(f"; {decided.grown} new since {decided.because}") == bool(decided.grown)


@settings(max_examples=100, deadline=None)
@given(events, salts)
def test_cuts_cost_the_least(happenings: list[Happening], salt: int) -> None:
    """Against networkx's minimum cut over the same ties."""
    engine = start()
    live(engine, happenings, salt)
    rng = np.random.default_rng(salt)
    for component in sorted(graph_view(engine).components, key=sorted):
        ids = [engine.graph.user_table.id_of[user] for user in sorted(component)]
        a, b = sorted(rng.choice(ids, 2, replace=False).tolist())
        users = np.array(sorted(ids), np.int32)
        parts, (cut,) = cut_apart(engine.graph, engine.ties, users, [(a, b)], engine.watermark_ms)
        assert sorted(user for part in parts for user in part.tolist()) == sorted(ids)
        assert not any(a in part and b in part for part in parts)
        assert cut.strength == pytest.approx(_least_cut(engine, ids, a, b))


def _least_cut(engine: Engine, ids: list[int], a: int, b: int) -> float:
    graph, now_ms = engine.graph, engine.watermark_ms
    network = nx.Graph()
    strength = {}
    for slot in np.flatnonzero(graph.links.user >= 0).tolist():
        user, ident = int(graph.links.user[slot]), int(graph.links.ident[slot])
        kind = int(graph.idents.kind[ident])
        name = EntityKind(kind).label
        idle = max(0, now_ms - int(graph.links.last_ms[slot]))
        strength[user, ident] = SMALL_POLICY.strength(name, int(graph.idents.degree[ident]), idle)
        if graph.links.tie_ends_ms[slot] > now_ms and user in ids:
            network.add_edge(user, f"i{ident}", capacity=strength[user, ident])
    for one, other in engine.ties.soft_pairs(graph, ids, now_ms):
        none = 1.0
        for ident in {i for u, i in strength if u == one} & {i for u, i in strength if u == other}:
            if engine.ties.makes_soft_ties(graph, ident):
                none *= 1.0 - min(strength[one, ident], strength[other, ident])
        network.add_edge(one, other, capacity=1.0 - none)
    for one, other in engine.ties.together:
        if one in ids and other in ids:
            network.add_edge(one, other, capacity=1000.0)
    return float(nx.minimum_cut_value(network, a, b))


@settings(max_examples=100, deadline=None)
@given(events, salts, st.data())
def test_any_tampered_row_of_the_audit_is_found(happenings: list[Happening], salt: int, data: st.DataObject) -> None:
    engine = start()
    journal = live(engine, happenings, salt)
    rows = [row for outcome in journal.outcomes for row in outcome.delta.audit]
    book = engine.cases
    contents = {name: digest(record) for name, record in (book.decisions | book.constraints).items()}
    assert verify(rows, contents) == []
    if not rows:
        return
    place = data.draw(st.integers(0, len(rows) - 1))
    name = data.draw(st.sampled_from(sorted(AuditRow.__dataclass_fields__)))
    value = getattr(rows[place], name)
    changed = replace(rows[place], **{name: value + 1 if isinstance(value, int) else f"{value}x"})
    assert verify([*rows[:place], changed, *rows[place + 1 :]], contents)
    assert verify([*rows[:place], *rows[place + 1 :]], contents)
    if len(rows) > 1:
        swapped = list(rows)
        other = (place + 1) % len(rows)
        swapped[place], swapped[other] = swapped[other], swapped[place]
        assert verify(swapped, contents)
    subject = rows[place].subject
    assert verify(rows, contents | {subject: digest("something else")})
    assert verify(rows, {name: content for name, content in contents.items() if name != subject})
