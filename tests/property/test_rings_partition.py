"""A component above the limit is always cut to it: by communities, and where there are none, at what crowds share."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import msgspec
import numpy as np
from hypothesis import event, given, settings
from hypothesis import strategies as st
from support.cases import command_batch, spoken
from support.journal import (
    EVENT_NUMBERS,
    LATENESS_MS,
    SMALL_POLICY,
    SMALL_RULES,
    Happening,
    Source,
    arrivals_of,
    decoded,
    events_of,
)

from fraudgraph.cases.orders import Constrain
from fraudgraph.cases.reasons import CONSTRAINT_REASONS, ConstraintKind
from fraudgraph.engine import Engine, EngineRules
from fraudgraph.events.decoder import Decoder
from fraudgraph.events.kinds import EntityKind
from fraudgraph.events.pseudonyms import Pseudonymiser
from fraudgraph.events.vault import Vault
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.rings.partition import partition
from fraudgraph.scoring.structural import StructuralScorer
from fraudgraph.streams.port import RawBatch
from fraudgraph.testing.canonical import graph_view
from fraudgraph.testing.fakes import FakeScorer

LIMIT = 6
NOW_MS = 1_767_225_600_000
BONDS = (("u0", "u1"), ("u2", "u7"))

uses = st.lists(st.tuples(st.integers(0, 13), st.sampled_from("abcdef")), min_size=1, max_size=40)


def engine_with(pairs: list[tuple[int, str]]) -> Engine:
    """Returns an engine that saw each user log in with each device."""
    engine = Engine(LinkPolicy(), EngineRules(max_users=LIMIT), StructuralScorer())
    values = [
        msgspec.json.encode(
            {"type": "login", "event_id": f"e{i}", "ts": "2026-01-01T00:00:00Z", "user_id": f"u{u:02}", "device_id": d}
        )
        for i, (u, d) in enumerate(pairs)
    ]
    offsets = list(range(len(values)))
    raw = RawBatch(values, ["p"], [0] * len(values), offsets, [at + 1 for at in offsets])
    decoder = Decoder(Pseudonymiser(bytes(32)), Vault(bytes(32)), default_region=None, default_currency=None)
    engine.apply(decoder.decode(raw))
    return engine


def rings_of(engine: Engine) -> list[list[str]]:
    key_of = engine.graph.user_table.key_of
    return sorted(sorted(key_of[user] or "" for user in team.tolist()) for team in engine.register.members.values())


def test_a_crowd_on_one_device_is_no_ring_and_hides_none() -> None:
    crowd = [(user, "kiosk") for user in range(12)]
    ring = [(user, "farm") for user in (3, 4, 5)]
    assert rings_of(engine_with(crowd)) == []
    assert rings_of(engine_with(crowd + ring)) == [["u03", "u04", "u05"]]


@settings(max_examples=60, deadline=None)
@given(uses)
def test_no_part_exceeds_the_limit_and_nobody_is_lost(pairs: list[tuple[int, str]]) -> None:
    engine = engine_with(pairs)
    assert max(map(len, engine.register.members.values()), default=0) <= LIMIT
    everybody = sorted(engine.graph.user_table.id_of.values())
    parts = partition(engine.graph, engine.ties, np.array(everybody, np.int32), NOW_MS, LIMIT)
    assert sorted(user for part in parts for user in part.tolist()) == everybody
    assert all(len(part) <= LIMIT for part in parts)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(0, EVENT_NUMBERS - 1), min_size=20, max_size=80).map(events_of),
    st.integers(0, 2**32 - 1),
    st.integers(2, 5),
)
def test_parts_are_those_of_a_rebuild(happenings: list[Happening], salt: int, limit: int) -> None:
    """Over hard ties, soft ties and an analyst's; ids, order of arrival and what lived before do not show."""
    rng = np.random.default_rng(salt)
    source = Source(list(arrivals_of(happenings, rng.integers(0, LATENESS_MS, len(happenings)).tolist(), 1)))
    count = len(source.arrivals)
    reason = CONSTRAINT_REASONS[ConstraintKind.MUST_LINK][0]
    demands = [Constrain(ConstraintKind.MUST_LINK, EntityKind.USER, *pair, reason) for pair in BONDS]
    bonds = [spoken(number, demand) for number, demand in enumerate(demands)]
    cut, rebuilt = (Engine(SMALL_POLICY, replace(SMALL_RULES, max_users=1000), FakeScorer()) for _ in range(2))
    cut.apply(command_batch(bonds))
    for begin, end in pairwise(sorted({0, count, *np.flatnonzero(rng.random(count) < 0.3).tolist()})):
        cut.apply(source.batch(begin, end))
    rebuilt.apply(source.batch(0, count))
    rebuilt.apply(command_batch(bonds))
    view = graph_view(cut)
    assert view == graph_view(rebuilt)
    for component in view.components:
        assert parts_of(cut, component, limit) == parts_of(rebuilt, component, limit)
    event(f"soft ties: {bool(cut.ties.soft_pairs(cut.graph, sorted(cut.graph.user_table.id_of.values()), NOW_MS))}")


def parts_of(engine: Engine, component: frozenset[str], limit: int) -> set[frozenset[str]]:
    users = np.array(sorted(engine.graph.user_table.id_of[name] for name in component), np.int32)
    parts = partition(engine.graph, engine.ties, users, engine.watermark_ms, limit)
    key_of = engine.graph.user_table.key_of
    return {frozenset(key_of[user] or "" for user in part.tolist()) for part in parts}


def test_an_analysts_tie_outlasts_communities() -> None:
    """Twelve on two devices and one tie across: without the bond each device keeps its own."""
    engine = engine_with([(user, "abcd"[user // 3]) for user in range(12)] + [(0, "d"), (3, "d"), (6, "d")])
    everybody = np.array(sorted(engine.graph.user_table.id_of.values()), np.int32)
    apart = {frozenset(part.tolist()) for part in partition(engine.graph, engine.ties, everybody, NOW_MS, LIMIT)}
    far = [user for user in everybody.tolist() if not any({everybody[1], user} <= part for part in apart)][-1]
    engine.ties.together = {(int(everybody[1]), far): NOW_MS + 1}
    bound = partition(engine.graph, engine.ties, everybody, NOW_MS, LIMIT)
    assert any({int(everybody[1]), far} <= set(part.tolist()) for part in bound)
    assert all(len(part) <= LIMIT for part in bound)


def test_soft_ties_alone_are_cut_too() -> None:
    """A street of neighbours, each with an address and an IP of two: no identifier ties them, only what they share."""
    engine = Engine(LinkPolicy(), EngineRules(max_users=LIMIT), FakeScorer())
    street = [
        Happening(
            f"e{u}",
            NOW_MS,
            f"u{u:02}",
            links=tuple((kind, str(u + i)) for kind in (EntityKind.ADDRESS, EntityKind.IP) for i in (0, 1)),
        )
        for u in range(12)
    ]
    engine.apply(decoded([("p", one, place) for place, one in enumerate(street)], names=["p"]))
    parts = rings_of(engine)
    assert [name for part in parts for name in part] == [f"u{u:02}" for u in range(12)]
    assert max(map(len, parts)) <= LIMIT
