"""A new key renames what is seen, and changes nothing else: links, components, rings, alerts are as without it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.cases import any_order, command_batch, spoken
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
    key,
)
from support.rotation import rekeyed, renamed, under_new_key

from fraudgraph.cases.audit import digest, verify
from fraudgraph.cases.constraints import Constraint
from fraudgraph.cases.decisions import Decision
from fraudgraph.cases.orders import Constrain, Decide, Forget, Order, Undo
from fraudgraph.cases.reasons import ConstraintKind, Verdict
from fraudgraph.engine import Engine, Outcome
from fraudgraph.events.kinds import EntityKind
from fraudgraph.graph.interning import (
    forget_key,
    intern_keys,
    key_halves,
    look_up_keys,
    new_key_table,
    rename_keys,
    reserve_keys,
)
from fraudgraph.stores.port import Store
from fraudgraph.stores.sqlite.store import SqliteStore
from fraudgraph.testing.canonical import GraphView, graph_view, rings_view
from fraudgraph.testing.fakes import FakeScorer
from fraudgraph.testing.memory_store import MemoryStore

UNCUT = replace(SMALL_RULES, max_users=1000, max_strangers=1000)
events = st.lists(st.integers(0, EVENT_NUMBERS - 1), min_size=15, max_size=60).map(events_of).filter(is_settled)
salts = st.integers(0, 2**32 - 1)


def start() -> Engine:
    return Engine(SMALL_POLICY, UNCUT, FakeScorer(refit_at=2))


def journal(happenings: list[Happening], salt: int) -> Source:
    """Returns the events as they arrive, some of them a second time soon after."""
    rng = np.random.default_rng(salt)
    delays = rng.integers(0, LATENESS_MS, len(happenings)).tolist()
    arrivals: list[tuple[str, Happening | None]] = []
    for arrival in arrivals_of(happenings, delays, 1 + salt % 3):
        arrivals.append(arrival)
        if rng.random() < 0.3:
            arrivals.append(arrivals[-1 - int(rng.integers(0, min(4, len(arrivals))))])
    return Source(arrivals)


def now(user: str) -> str:
    """A name under the new key, whichever key it is under."""
    return user if user.endswith("'") else renamed(user)


def same(pseudonym: bytes) -> bytes:
    """One of the two pseudonyms of a thing, for both."""
    return min(pseudonym, rekeyed(pseudonym))


def in_new_names(view: GraphView) -> GraphView:
    return replace(
        view,
        links={(now(user), (kind, same(ident))): link for (user, (kind, ident)), link in view.links.items()},
        users={now(user): row for user, row in view.users.items()},
        orders={same(order): replace(row, user=now(row.user)) for order, row in view.orders.items()},
        transfers={(now(a), now(b), *rest): row for (a, b, *rest), row in view.transfers.items()},
        components=frozenset(frozenset(map(now, team)) for team in view.components),
    )


def teams(engine: Engine) -> dict[int, frozenset[str]]:
    return {serial: frozenset(map(now, team)) for serial, team in rings_view(engine).items()}


def told(outcome: Outcome) -> tuple[Any, ...]:
    delta = outcome.delta
    return outcome.applied, outcome.duplicates, outcome.commands, delta.rings, delta.lineage, delta.alerts


def decided(engine: Engine) -> tuple[list[Decision], list[Constraint]]:
    decisions = [
        replace(each, key="", undone_key=None, members=_all_now(each.members), others=_all_now(each.others))
        for each in engine.cases.decisions.values()
    ]
    constraints = [
        replace(each, key="", removed_key=None, first=_first(each), second=now(each.second))
        for each in engine.cases.constraints.values()
    ]
    return decisions, constraints


def _all_now(users: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(now, users))


def _first(constraint: Constraint) -> str:
    if constraint.kind is ConstraintKind.BENIGN_HUB:
        return same(bytes.fromhex(constraint.first)).hex()
    return now(constraint.first)


def as_known(order: Order, engine: Engine) -> Order:
    """The order as the command line would give it: by the names that the engine knows."""

    def known(user: str) -> str:
        return renamed(user) if renamed(user) in engine.graph.user_table.id_of else user

    if isinstance(order, Decide):
        return replace(order, members=tuple(map(known, order.members)))
    if isinstance(order, Constrain) and order.kind is not ConstraintKind.BENIGN_HUB:
        return replace(order, first=known(order.first), second=known(order.second))
    if isinstance(order, Constrain):
        pseudonym = bytes.fromhex(order.first)
        keys = engine.graph.keys
        if look_up_keys(keys, key_halves([rekeyed(pseudonym)]))[0] >= 0:
            return replace(order, first=rekeyed(pseudonym).hex())
    return order


def assert_only_names_change(store: Store, happenings: list[Happening], salt: int, how: int) -> None:
    """Runs one engine under one key, and one that gets a new key after some commit, with people at work beside."""
    source = journal(happenings, salt)
    rng = np.random.default_rng(how)
    count = len(source.arrivals)
    at = sorted({0, count, *np.flatnonzero(rng.random(count) < 0.4).tolist()})
    never, turned = start(), start()
    store.claim()
    rotated = False
    said = 0
    for begin, end in pairwise(at):
        batch = source.batch(begin, end)
        plain = never.apply(batch)
        other = turned.apply(under_new_key(batch) if rotated else batch)
        assert told(other) == told(plain)
        store.commit(other.delta)
        restartable = not source.holds(end, plain.delta.positions)
        for _ in range(int(rng.integers(0, 3))):
            said += 1
            order = any_order(never, rng)
            plain = never.apply(command_batch([spoken(said, order)], said))
            spoke = command_batch([spoken(said, as_known(order, turned))], said)
            other = turned.apply(under_new_key(spoke) if rotated else spoke)
            assert told(other) == told(plain)
            store.commit(other.delta)
        if restartable and (rng.random() < 0.3 or (not rotated and rng.random() < 0.5)):
            rotated |= rng.random() < 0.7
            turned = start()
            turned.restore(store.load())
        assert in_new_names(graph_view(turned)) == in_new_names(graph_view(never))
        assert teams(turned) == teams(never)
    assert decided(turned) == decided(never)
    for decision in store.decisions():
        assert decision == turned.cases.decisions[decision.decision_id]
    contents = {each.decision_id: digest(each) for each in store.decisions()}
    contents |= {each.constraint_id: digest(each) for each in store.constraints()}
    assert verify(store.audit(), contents) == []
    again = start()
    again.restore(store.load())
    assert graph_view(again) == graph_view(turned)
    assert teams(again) == teams(never)


@settings(max_examples=50, deadline=None)
@given(events, salts, salts)
def test_a_new_key_changes_names_only(happenings: list[Happening], salt: int, how: int) -> None:
    assert_only_names_change(MemoryStore(SMALL_POLICY, SMALL_RULES.priority), happenings, salt, how)


@settings(max_examples=8, deadline=None)
@given(events, salts, salts)
def test_a_new_key_changes_names_only_in_sqlite(
    tmp_path_factory: pytest.TempPathFactory, happenings: list[Happening], salt: int, how: int
) -> None:
    path: Path = tmp_path_factory.mktemp("store") / "shop.db"
    store = SqliteStore(path, SMALL_POLICY, SMALL_RULES.priority)
    try:
        assert_only_names_change(store, happenings, salt, how)
    finally:
        store.close()


@settings(max_examples=40, deadline=None)
@given(events, salts)
def test_nothing_goes_by_its_old_name_once_it_was_seen(happenings: list[Happening], salt: int) -> None:
    source, engine = journal(happenings, salt), start()
    middle = len(source.arrivals) // 2
    first = engine.apply(source.batch(0, middle))
    if source.holds(middle, first.delta.positions):
        return
    later = source.batch(middle, len(source.arrivals))
    engine.apply(under_new_key(later))
    view = graph_view(engine)
    seen = {rekeyed(pseudonym) for pseudonym in later.link_key}
    assert not {ident for _, (_, ident) in view.links} & set(later.link_key)
    assert {ident for _, (_, ident) in view.links if rekeyed(ident) in set(later.link_key)} <= seen
    assert not view.users.keys() & {user for user in later.user if renamed(user) != user}
    assert not view.orders.keys() & {order for order in later.order_key if order is not None}


@settings(max_examples=40, deadline=None)
@given(events, st.integers(0, 3))
def test_an_account_is_forgotten_under_either_name(happenings: list[Happening], number: int) -> None:
    user = f"u{3 * number}"
    engine, never = start(), start()
    source = Source(list(arrivals_of(happenings, [0] * len(happenings), 1)))
    batch = source.batch(0, len(source.arrivals))
    engine.apply(batch)
    never.apply(batch)
    if user not in engine.graph.user_table.id_of:
        return
    if number % 2:  # seen since: it has its new name
        one = Happening("later", happenings[-1].ts_ms, user)
        again = Source([("p0", one)]).batch(0, 1)
        engine.apply(under_new_key(again))
        never.apply(again)
    name = now(user) if now(user) in engine.graph.user_table.id_of else user
    engine.apply(under_new_key(command_batch([spoken(1, Forget(name, "asked-for"))])))
    never.apply(command_batch([spoken(1, Forget(user, "asked-for"))]))
    assert {user, now(user)}.isdisjoint(engine.graph.user_table.id_of)
    assert in_new_names(graph_view(engine)) == in_new_names(graph_view(never))


def test_a_decision_of_before_is_undone_under_the_new_name() -> None:
    team = ["u0", "u1", "u3", "u6"]
    happenings = [
        Happening(f"e{i}", 100 * 86_400_000 + i, user, links=((EntityKind.CARD, "c"),)) for i, user in enumerate(team)
    ]
    source = Source(list(arrivals_of(happenings[:3], [0] * 3, 1)))
    engine, store = start(), MemoryStore(SMALL_POLICY, SMALL_RULES.priority)
    store.claim()
    store.commit(engine.apply(source.batch(0, len(source.arrivals))).delta)
    (ring,) = store.rings()
    verdict = spoken(1, Decide(ring.ring_id, Verdict.CONFIRMED, "chargebacks"))
    store.commit(engine.apply(command_batch([verdict])).delta)
    assert engine.graph.labels.verdict("u0") == 1
    engine = start()
    engine.restore(store.load())
    later = Source([("p0", replace(happenings[0], id="later"))]).batch(0, 1)
    store.commit(engine.apply(under_new_key(later)).delta)
    assert (engine.graph.labels.verdict("u0"), engine.graph.labels.verdict("u0'")) == (0, 1)
    kept = store.frozen("D000001")
    assert kept is not None
    assert {user.user_id for user in kept.users} == {"u0'", "u1", "u3"}
    engine = start()
    engine.restore(store.load())
    store.commit(engine.apply(under_new_key(command_batch([verdict], 1))).delta)  # once more, under its other key
    assert len(store.decisions()) == 1
    store.commit(engine.apply(under_new_key(command_batch([spoken(2, Undo("D000001"))], 2))).delta)
    assert engine.graph.labels.verdict("u0'") == 0


operations = st.lists(st.tuples(st.sampled_from(["add", "drop", "rename"]), st.integers(0, 30)), max_size=60)


@settings(max_examples=200, deadline=None)
@given(operations)
def test_renaming_in_a_key_table_is_renaming_in_a_dictionary(steps: list[tuple[str, int]]) -> None:
    table, model = new_key_table(16), {}
    for what, number in steps:
        name = key(str(number))
        halves = key_halves([name])
        if what == "add":
            table = reserve_keys(table, 1)
            ids, fresh = np.empty(1, np.int32), np.empty(1, np.bool_)
            intern_keys(table, halves, ids, fresh)
            assert bool(fresh[0]) == (name not in model)
            model.setdefault(name, int(ids[0]))
        elif what == "drop" and name in model:
            forget_key(table, model.pop(name))
        elif what == "rename":
            other = key(str(number + 1))
            (found,) = rename_keys(table, halves, key_halves([other])).tolist()
            moved = name in model and other not in model
            assert found == (model[name] if moved else -1)
            if moved:
                model[other] = model.pop(name)
        everything = [key(str(number)) for number in range(33)]
        assert look_up_keys(table, key_halves(everything)).tolist() == [model.get(each, -1) for each in everything]
