"""An account that is forgotten leaves the links of the others as if somebody else had done what it did."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from support.cases import command_batch, spoken
from support.journal import EVENT_NUMBERS, SMALL_POLICY, SMALL_RULES, Happening, Source, arrivals_of, events_of

from fraudgraph.cases.audit import digest, verify
from fraudgraph.cases.constraints import NEVER_MS
from fraudgraph.cases.orders import Constrain, Decide, Forget, Order
from fraudgraph.cases.reasons import ConstraintKind, Verdict
from fraudgraph.engine import Engine
from fraudgraph.events.kinds import EntityKind
from fraudgraph.rings.identity import ring_name
from fraudgraph.testing.canonical import graph_view, rings_view
from fraudgraph.testing.fakes import FakeScorer
from fraudgraph.testing.memory_store import MemoryStore

GHOST = "ghost"
events = st.lists(st.integers(0, EVENT_NUMBERS - 1), min_size=8, max_size=40).map(events_of)


def start() -> Engine:
    return Engine(SMALL_POLICY, SMALL_RULES, FakeScorer())


def elsewhere(event: Happening, user: str) -> Happening:
    """The same event at the same time, of somebody who shares nothing with anybody, where it was the user's."""
    links = tuple((kind, f"{GHOST} {name}") for kind, name in event.links) if event.user == user else event.links
    names = {user: GHOST}
    return replace(
        event, user=names.get(event.user, event.user), other=names.get(event.other or "", event.other), links=links
    )


def feed(engine: Engine, store: MemoryStore, happenings: list[Happening]) -> None:
    source = Source(list(arrivals_of(happenings, [0] * len(happenings), 1)))
    store.commit(engine.apply(source.batch(0, len(source.arrivals))).delta)


def say(engine: Engine, store: MemoryStore, orders: list[Order], first: int) -> None:
    outcome = engine.apply(command_batch([spoken(first + i, order) for i, order in enumerate(orders)], first))
    assert outcome.commands == len(orders)
    store.commit(outcome.delta)


def stores() -> MemoryStore:
    store = MemoryStore(SMALL_POLICY, SMALL_RULES.priority)
    store.claim()
    return store


@settings(max_examples=150, deadline=None)
@given(events, st.integers(0, 11))
def test_links_of_the_others_stay(happenings: list[Happening], number: int) -> None:
    user = f"u{number}"
    engine, never, store, other = start(), start(), stores(), stores()
    feed(engine, store, happenings)
    feed(never, other, [elsewhere(event, user) for event in happenings])
    if user not in engine.graph.user_table.id_of:
        return
    say(engine, store, [Forget(user, "asked-for")], 1)
    left, expected = graph_view(engine), graph_view(never)
    assert user not in engine.graph.user_table.id_of
    assert left.links == {link: view for link, view in expected.links.items() if link[0] != GHOST}
    assert left.components == expected.components
    assert set(rings_view(engine).values()) == set(rings_view(never).values())
    assert engine.graph.labels.verdict(user) == 0
    again = start()
    again.restore(store.load())
    assert graph_view(again) == left
    feed(engine, store, [replace(event, id=f"later {event.id}") for event in happenings])


@settings(max_examples=60, deadline=None)
@given(events)
def test_its_name_is_gone_from_what_people_wrote_down(happenings: list[Happening]) -> None:
    engine, store = start(), stores()
    feed(engine, store, happenings)
    rings = rings_view(engine)
    if not rings:
        return
    serial, team = next(iter(rings.items()))
    user, friend = sorted(team)[:2]
    orders: list[Order] = [
        Decide(ring_name(serial), Verdict.CONFIRMED, "chargebacks", note=f"{user} did it"),
        Constrain(ConstraintKind.MUST_LINK, EntityKind.USER, user, friend, "same-person", until_ms=NEVER_MS),
    ]
    say(engine, store, orders, 1)
    say(engine, store, [Forget(user, "asked-for")], 3)
    (decision,) = store.decisions()
    (constraint,) = store.constraints()
    assert user not in (*decision.members, *decision.others, constraint.first, constraint.second)
    assert "forgotten-3" in decision.members
    assert decision.note == ""
    kept = store.frozen(decision.decision_id)
    assert kept is not None
    assert {each.user_id for each in kept.users} == (team - {user}) | {"forgotten-3"}
    assert all(link.user_id != user for link in kept.links)
    contents = {decision.decision_id: digest(decision), constraint.constraint_id: digest(constraint)}
    assert verify(store.audit(), contents) == []
    assert engine.cases.head.hash == store.audit()[-1].hash
