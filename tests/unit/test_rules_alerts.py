"""What a hit does: in mode alert it alarms once, evidence is told, a shadow only counted; each change is audited."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from support.journal import SMALL_POLICY, SMALL_RULES, START_MS, Happening, Source, decoded

from fraudgraph.alerts.policy import AlertPolicy
from fraudgraph.cases.audit import verify
from fraudgraph.cases.rule_sets import write_rules
from fraudgraph.durations import HOUR_MS
from fraudgraph.engine import Engine
from fraudgraph.events.batch import DecodedBatch
from fraudgraph.events.kinds import EntityKind, EventType, RejectReason
from fraudgraph.events.schema import Command
from fraudgraph.narrative.evidence import make_evidence
from fraudgraph.narrative.narrate import narrate
from fraudgraph.narrative.template import TemplatePlanner
from fraudgraph.rings.facts import facts, recompute
from fraudgraph.rules.schema import RuleSet, parse_rules
from fraudgraph.stores.port import CommitDelta
from fraudgraph.testing.fakes import FakeScorer
from fraudgraph.testing.memory_store import MemoryStore
from fraudgraph.testing.narrative_checker import Checker

QUIET = replace(SMALL_RULES, alerts=AlertPolicy(min_probability=1.0))
"""The model alone alarms nobody."""


def rules(mode: str, least: int = 3, version: str = "1") -> RuleSet:
    when = f'{{"all":[{{"feature":"users","op":">=","value":{least}}}]}}'
    rule = f'{{"name":"crowd","description":"Too many","severity":"high","mode":"{mode}","when":{when}}}'
    return parse_rules(f'{{"version":"{version}","rule":[{rule}]}}')


def group(first: int, last: int) -> Source:
    """Returns a login of each account, all on one device."""
    return Source(
        [
            ("p0", Happening(f"e{n}", START_MS + n * HOUR_MS, f"u{n}", EventType.LOGIN, ((EntityKind.DEVICE, "d"),)))
            for n in range(first, last)
        ]
    )


def start(rule_set: RuleSet | None = None) -> Engine:
    return Engine(SMALL_POLICY, QUIET, FakeScorer(), rule_set=rule_set)


def apply(engine: Engine, source: Source) -> CommitDelta:
    return engine.apply(source.batch(0, len(source.arrivals))).delta


def said(text: str, number: int = 0) -> DecodedBatch:
    event = f"rules {number}"
    batch = decoded([("commands", Happening(event, START_MS, type=EventType.COMMAND), number)], names=["commands"])
    command = Command(
        event_id=event, ts=datetime(2026, 3, 1, tzinfo=UTC), name="rules", author="me", arguments={"rules": text}
    )
    return replace(batch, commands=[(0, command)])


def test_a_rule_alarms_once_and_says_that_it_was_the_rule() -> None:
    engine = start(rules("alert"))
    (alert,) = apply(engine, group(0, 3)).alerts
    assert alert.reason.startswith("rule crowd; ")
    assert apply(engine, group(3, 4)).alerts == []
    assert [hit.rule for row in engine.rows.values() for hit in row.rules.hits] == ["crowd"]


@pytest.mark.parametrize("mode", ["evidence", "shadow"])
def test_other_modes_alarm_nobody(mode: str) -> None:
    engine = start(rules(mode))
    assert apply(engine, group(0, 4)).alerts == []
    assert engine.records.rule_rings() == {("crowd", mode): 1}


def test_rules_that_come_later_judge_every_ring_and_are_audited() -> None:
    engine = start()
    assert apply(engine, group(0, 4)).alerts == []
    name, arguments = write_rules(rules("alert"))
    outcome = engine.apply(said(arguments["rules"]))
    assert (name, outcome.commands, len(outcome.delta.alerts)) == ("rules", 1, 1)
    (row,) = outcome.delta.audit
    assert (row.what, row.author, row.before, row.after) == ("rules", "me", "none", rules("alert").hash)
    assert verify([row], {}) == []
    assert engine.apply(said(arguments["rules"])).duplicates == 1
    other = engine.apply(said(rules("alert", version="2").text, 1)).delta
    assert other.alerts == [], "the same rule, under another version of the file, alarms nobody anew"


def test_a_rule_set_that_cannot_be_read_is_a_dead_letter() -> None:
    engine = start(rules("shadow"))
    delta = engine.apply(said('{"version":"1","rule":[{"name":"x"}]}')).delta
    assert [letter.reason for letter in delta.dead_letters] == [RejectReason.INVALID_FIELD]
    assert engine.rulebook.rules.hash == rules("shadow").hash


def test_an_empty_rule_set_takes_all_away() -> None:
    engine = start(rules("evidence"))
    apply(engine, group(0, 4))
    engine.apply(said('{"version":"2","rule":[]}'))
    assert [row.rules.hits for row in engine.rows.values()] == [()]


@pytest.mark.parametrize(("mode", "told"), [("evidence", True), ("alert", True), ("shadow", False)])
def test_a_hit_is_a_numbered_fact_that_the_narrator_tells(mode: str, told: bool) -> None:
    engine, store = start(rules(mode)), MemoryStore(SMALL_POLICY, QUIET.priority)
    store.claim()
    store.commit(apply(engine, group(0, 4)))
    (row,) = engine.rows.values()
    ring = store.snapshot(row.ring_id)
    assert ring is not None
    found = [fact for fact in facts(ring, SMALL_POLICY) if fact.kind == "rule"]
    assert bool(found) is told
    narrative = narrate(make_evidence(ring, SMALL_POLICY), TemplatePlanner())
    sentences = [s.text for s in (*narrative.summary, *narrative.risk_reasons)]
    assert any("crowd" in text for text in sentences) is told
    assert Checker(ring, SMALL_POLICY).faults(narrative) == []
    for fact in found:
        assert recompute(ring, fact, SMALL_POLICY) == fact
        assert "accounts: 4 (at least 3)" in fact.text
    assert np.isclose(ring.probability, row.probability)
