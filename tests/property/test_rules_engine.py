"""Rules in the engine: hits are so by the snapshot alone, follow the journal, and a restart changes nothing."""

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
    Source,
    arrivals_of,
    decoded,
    events_of,
    is_settled,
)

from fraudgraph.cases.rule_sets import write_rules
from fraudgraph.engine import Engine
from fraudgraph.events.batch import DecodedBatch
from fraudgraph.events.kinds import EventType
from fraudgraph.events.schema import Command
from fraudgraph.rings.measure import Watch
from fraudgraph.rings.remeasure import remeasure
from fraudgraph.rings.snapshot import RingSnapshot
from fraudgraph.rules.judge import hits
from fraudgraph.rules.schema import RuleSet, parse_rules
from fraudgraph.rules.table import table_of_snapshot
from fraudgraph.testing.fakes import FakeScorer
from fraudgraph.testing.memory_store import MemoryStore

events = st.lists(st.integers(0, EVENT_NUMBERS - 1), min_size=25, max_size=70).map(events_of).filter(is_settled)
salts = st.integers(0, 2**32 - 1)


def ruled(mode: str, *conditions: str) -> str:
    return (
        f'{{"name":"r{abs(hash(conditions)) % 10**9}","description":"d","severity":"low","mode":"{mode}",'
        f'"when":{{"all":[{",".join(conditions)}]}}}}'
    )


def rules(*each: str) -> RuleSet:
    return parse_rules(f'{{"version":"1","rule":[{",".join(each)}]}}')


SOME = rules(
    ruled("alert", '{"feature":"users","op":">=","value":4}'),
    ruled("evidence", '{"feature":"orders","window":"12h","op":">=","value":1}'),
    ruled("shadow", '{"feature":"new_accounts","window":"1d","op":">=","value":2}'),
    ruled("alert", '{"feature":"value_at_risk","op":">=","value":1,"currency":"EUR"}'),
    ruled("evidence", '{"accounts":[{"feature":"orders","op":">=","value":1}],"of":"part","op":">","value":0.3}'),
    ruled("evidence", '{"accounts":[{"feature":"hours_to_spend","op":"<","value":24}],"op":">=","value":1}'),
    ruled("evidence", '{"feature":"span_days","op":">","value":0.5}', '{"feature":"max_share","op":">=","value":0.5}'),
    ruled("evidence", '{"feature":"identifiers","op":"!=","value":1}'),
    ruled("evidence", '{"feature":"probability","op":">=","value":0.3}'),
    ruled("evidence", '{"accounts":[{"feature":"label","op":"==","value":1}],"op":">=","value":1}'),
)
OTHERS = rules(ruled("alert", '{"feature":"users","op":">=","value":3}'))


def start(rule_set: RuleSet | None = None) -> Engine:
    return Engine(SMALL_POLICY, SMALL_RULES, FakeScorer(), rule_set=rule_set)


def journal(happenings: list[Happening], salt: int) -> Source:
    delays = np.random.default_rng(salt).integers(0, LATENESS_MS, len(happenings)).tolist()
    return Source(list(arrivals_of(happenings, delays, 1 + salt % 3)))


def cuts(salt: int, count: int) -> list[int]:
    rng = np.random.default_rng(salt)
    return sorted({0, count, *np.flatnonzero(rng.random(count) < rng.random()).tolist()})


def said(rule_set: RuleSet, number: int) -> DecodedBatch:
    """Returns a batch that holds one rule set, as the store's own partition would."""
    name, arguments = write_rules(rule_set)
    event = f"rules {number}"
    batch = decoded([("commands", Happening(event, START_MS, type=EventType.COMMAND), number)], names=["commands"])
    command = Command(event_id=event, ts=datetime(2026, 3, 1, tzinfo=UTC), name=name, author="me", arguments=arguments)
    return replace(batch, commands=[(0, command)])


def assert_borne(snapshots: Sequence[RingSnapshot], rule_set: RuleSet) -> int:
    """Checks that the rules, judged by the snapshot alone, hold as stored, with the same numbers; returns how many."""
    for ring in snapshots:
        watch = Watch(births_ms=ring.births_ms, links_ms=ring.links_ms)
        table = table_of_snapshot(ring, *remeasure(ring, SMALL_POLICY, watch))
        assert ring.rules.rules == rule_set.hash
        assert hits(rule_set, table)[0] == ring.rules.hits
    return sum(len(ring.rules.hits) for ring in snapshots)


@settings(max_examples=25, deadline=None)
@given(events, salts, salts)
def test_what_rules_said_is_borne_by_the_snapshot_alone(happenings: list[Happening], salt: int, how: int) -> None:
    engine, store = start(SOME), MemoryStore(SMALL_POLICY, SMALL_RULES.priority)
    store.claim()
    source = journal(happenings, salt)
    for begin, end in pairwise(cuts(how, len(source.arrivals))):
        store.commit(engine.apply(source.batch(begin, end)).delta)
        found = [store.snapshot(row.ring_id) for row in engine.rows.values()]
        assert_borne([ring for ring in found if ring is not None], SOME)


@settings(max_examples=25, deadline=None)
@given(events, salts, salts)
def test_rules_take_effect_at_their_place_and_a_restart_changes_nothing(
    happenings: list[Happening], salt: int, how: int
) -> None:
    never, often = start(), start()
    store = MemoryStore(SMALL_POLICY, SMALL_RULES.priority)
    store.claim()
    source = journal(happenings, salt)
    rng = np.random.default_rng(how)
    at = cuts(how, len(source.arrivals))
    turns = {int(rng.integers(0, len(at))): SOME, int(rng.integers(0, len(at))): OTHERS}
    in_force = rules()
    for place, (begin, end) in enumerate(pairwise(at)):
        batches = [source.batch(begin, end)]
        if place in turns:
            batches.insert(0, said(turns[place], place))
            in_force = turns[place]
        for batch in batches:
            told, again = never.apply(batch).delta, often.apply(batch).delta
            assert (again.rings, again.alerts, again.audit) == (told.rings, told.alerts, told.audit)
            store.commit(again)
        assert {row.rules.rules for row in often.rows.values()} <= {in_force.hash}
        if rng.random() < 0.5 and not source.holds(end, told.positions):
            often = start()
            often.restore(store.load())
    assert often.rows == never.rows
