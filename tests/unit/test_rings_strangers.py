"""Who uses what belongs to many strangers brings none of them into a ring, whatever came first."""

from __future__ import annotations

from dataclasses import replace

import networkx as nx
import numpy as np
from hypothesis import event, given, settings
from hypothesis import strategies as st
from support.cases import command_batch, spoken
from support.journal import SMALL_POLICY, SMALL_RULES, START_MS, Happening, decoded

from fraudgraph.cases.orders import Constrain
from fraudgraph.cases.reasons import CONSTRAINT_REASONS, ConstraintKind
from fraudgraph.engine import Engine, EngineRules
from fraudgraph.events.kinds import EntityKind
from fraudgraph.rings.strangers import without_strangers
from fraudgraph.testing.canonical import graph_view
from fraudgraph.testing.fakes import FakeScorer

MOST = 3
POLICY = replace(SMALL_POLICY, locality_days=30)
Use = tuple[str, EntityKind, str]


def engine_with(uses: list[Use], rules: EngineRules | None = None, *, each: int = 0) -> Engine:
    """Returns an engine that saw these uses at one moment, in one commit or in commits of `each`."""
    engine = Engine(POLICY, rules or replace(SMALL_RULES, max_users=100, max_strangers=MOST), FakeScorer())
    openers = [(f"opener {i}", None, "") for i in range(3)]
    rows = [
        Happening(f"e{i}", START_MS, user, links=() if kind is None else ((kind, name),))
        for i, (user, kind, name) in enumerate([*openers, *uses])
    ]
    step = each or len(rows)
    for at in range(0, len(rows), step):
        batch = [("p", row, at + i) for i, row in enumerate(rows[at : at + step])]
        engine.apply(decoded(batch, names=["p"]))
    return engine


def rings(engine: Engine) -> set[frozenset[str]]:
    key_of = engine.graph.user_table.key_of
    return {frozenset(key_of[user] or "" for user in team.tolist()) for team in engine.register.members.values()}


def star(strangers: int) -> list[Use]:
    """A ring of four on a device, of which one uses the card of each stranger; the first stranger has a household."""
    ring: list[Use] = [(f"r{i}", EntityKind.DEVICE, "farm") for i in range(4)]
    home: list[Use] = [(name, EntityKind.DEVICE, "tablet") for name in ("s0", "t", "u")]
    cards = [(user, EntityKind.CARD, f"card {i}") for i in range(strangers) for user in (f"s{i}", "r0")]
    return [*ring, *home, *cards]


def test_strangers_of_one_account_are_not_of_the_ring() -> None:
    farm, home = frozenset({"r0", "r1", "r2", "r3"}), frozenset({"s0", "t", "u"})
    for each in (0, 1, 5):
        assert rings(engine_with(star(MOST + 1), each=each)) == {farm, home}
    together = farm | home | {"s1", "s2"}
    assert rings(engine_with(star(MOST))) == {together}


def test_a_ring_that_holds_together_without_its_busiest_account_stays_whole() -> None:
    uses: list[Use] = [(f"r{i}", EntityKind.CARD, f"card {i}") for i in range(8)]
    uses += [("boss", EntityKind.CARD, f"card {i}") for i in range(8)]
    uses += [(f"r{i}", EntityKind.DEVICE, f"device {i // 4}") for i in range(8)]
    assert rings(engine_with(uses)) == {frozenset({"boss", *(f"r{i}" for i in range(8))})}


def test_whom_an_analyst_ties_stays() -> None:
    engine = engine_with(star(MOST + 2))
    reason = CONSTRAINT_REASONS[ConstraintKind.MUST_LINK][0]
    bond = Constrain(ConstraintKind.MUST_LINK, EntityKind.USER, "r0", "s2", reason)
    (grew,) = engine.apply(command_batch([spoken(0, bond)])).delta.lineage
    assert (grew.what, grew.cause) == ("grew", "an analyst ties two of the accounts")
    assert frozenset({"r0", "r1", "r2", "r3", "s2"}) in rings(engine)


def test_the_lineage_says_that_strangers_were_left_out() -> None:
    engine = engine_with(star(MOST), each=1000)
    batch = [
        ("p", Happening(f"more {user}", START_MS, user, links=((EntityKind.CARD, "more"),)), 1000 + i)
        for i, user in enumerate(("x", "r0"))
    ]
    steps = engine.apply(decoded(batch, names=["p"])).delta.lineage
    assert {step.what for step in steps} == {"shrank", "split"}
    assert {step.cause for step in steps} == {"4 groups of strangers hang on single accounts that use what is theirs"}


kinds = st.sampled_from([EntityKind.DEVICE, EntityKind.CARD, EntityKind.EMAIL])
uses_of_many = st.lists(
    st.tuples(st.integers(0, 14).map("u{:02}".format), kinds, st.integers(0, 9).map(str)), min_size=10, max_size=60
)


@settings(max_examples=150, deadline=None)
@given(uses_of_many, st.integers(1, 3), st.randoms(use_true_random=False))
def test_parts_are_those_of_the_definition_in_any_order(uses: list[Use], most: int, random: object) -> None:
    shuffled = list(uses)
    random.shuffle(shuffled)  # type: ignore[attr-defined] # Hypothesis's own
    rules = replace(SMALL_RULES, max_users=1000, max_strangers=most)
    one, other = engine_with(uses, rules), engine_with(shuffled, rules, each=4)
    assert rings(one) == rings(other)
    expected = set()
    for component in graph_view(one).components:
        parts = definition(one, component, most)
        event(f"strangers left out: {len(parts) > 1}")
        users = np.array(sorted(one.graph.user_table.id_of[name] for name in component), np.int32)
        key_of = one.graph.user_table.key_of
        found = without_strangers(one.graph, one.ties, users, one.watermark_ms, most)
        assert {frozenset(key_of[user] or "" for user in part.tolist()) for part in found} == parts
        expected |= {part for part in parts if len(part) >= SMALL_RULES.min_users}
    assert rings(one) == expected


def definition(engine: Engine, component: frozenset[str], most: int) -> set[frozenset[str]]:
    """Returns the parts as the docstring has them, with networkx."""
    network = nx.Graph()
    network.add_nodes_from(component)
    used: dict[tuple[EntityKind, bytes], set[str]] = {}
    for (user, identifier), link in graph_view(engine).links.items():
        if user in component and link.strength >= POLICY.theta and not link.hub:
            used.setdefault(identifier, set()).add(user)
    for identifier, users in used.items():
        if len(users) > 1:
            network.add_edges_from((user, identifier) for user in users)
    cut = []
    for account in sorted(component):
        rest = network.copy()
        rest.remove_node(account)
        parts = [part for part in nx.connected_components(rest) if part & set(network[account])]
        if len(parts) - 1 <= most:
            continue

        def rank(part: set[object], account: str = account) -> tuple[int, int, str]:
            people = sorted(one for one in part if isinstance(one, str))
            return -len(people), -len(part & set(network[account])), people[0]

        home = min(parts, key=rank)
        cut += [(account, end) for part in parts if part is not home for end in part & set(network[account])]
    network.remove_edges_from(cut)
    return {frozenset(one for one in part if isinstance(one, str)) for part in nx.connected_components(network)} - {
        frozenset()
    }
