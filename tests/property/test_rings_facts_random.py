"""Facts, money, cuts and reports of random rings agree with independent definitions."""

from __future__ import annotations

import json
from collections import defaultdict

import networkx as nx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.snapshots import engine_value, snapshots

from fraudgraph.reports.json import report_json
from fraudgraph.reports.model import build_report
from fraudgraph.rings.facts import facts, recompute
from fraudgraph.rings.facts_money import circles
from fraudgraph.rings.facts_view import RingView
from fraudgraph.rings.money import order_exposure, ring_money, user_money
from fraudgraph.rings.snapshot import RingSnapshot
from fraudgraph.rings.stress import articulation_points, part_sizes, stress_test, tie_graph

SOME = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SOME
@given(snapshots())
def test_facts_are_recomputed_and_told_apart(snapshot: RingSnapshot) -> None:
    found = facts(snapshot)
    for fact in found:
        assert recompute(snapshot, fact) == fact
    assert len({(f.kind, f.text) for f in found}) == len(found)


@SOME
@given(snapshots())
def test_value_at_risk_is_what_the_engine_adds_up(snapshot: RingSnapshot) -> None:
    money = ring_money(snapshot)
    assert (money.value_at_risk_minor, money.currency) == engine_value(snapshot)
    assert money.from_transfers == (sum(m.at_risk_minor for m in money.by_currency) == 0)


@SOME
@given(snapshots())
def test_each_order_is_counted_once(snapshot: RingSnapshot) -> None:
    money = ring_money(snapshot)
    assert sum(m.orders for m in money.by_currency) == sum(not o.declined for o in snapshot.orders)
    by_user: dict[int, int] = defaultdict(int)
    for amounts in user_money(snapshot).values():
        for currency, minor in amounts.items():
            by_user[currency] += minor
    for m in money.by_currency:
        assert by_user[m.currency] == (m.transferred_minor if money.from_transfers else m.at_risk_minor)


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 10**12), st.booleans())
def test_exposure_is_between_nothing_and_the_amount(amount: int, refunded: int, charged: int, declined: bool) -> None:
    exposed = order_exposure(amount, refunded, charged, declined)
    assert 0 <= exposed <= amount
    assert not (declined and exposed)
    if not declined and refunded + charged <= amount:
        assert exposed + refunded + charged == amount


@SOME
@given(snapshots())
def test_cuts_are_those_of_networkx(snapshot: RingSnapshot) -> None:
    view = RingView(snapshot)
    graph = tie_graph(view)
    reference = nx.Graph()
    reference.add_nodes_from(graph)
    reference.add_edges_from((a, b) for a, others in graph.items() for b in others)
    assert articulation_points(graph) == set(nx.articulation_points(reference))
    for cut in stress_test(view):
        node = ("user", cut.user_id) if cut.user_id is not None else ("identifier", cut.identifier)
        if node in graph:
            reference_left = reference.subgraph(set(reference) - {node})
            parts = [sum(n[0] == "user" for n in part) for part in nx.connected_components(reference_left)]
            assert cut.parts == tuple(sorted((p for p in parts if p), reverse=True))
        assert sum(cut.parts) == view.size - (cut.user_id is not None)
        assert len(cut.parts) > len(part_sizes(graph))


@SOME
@given(st.sets(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh"))))
def test_circles_are_strongly_connected(pairs: set[tuple[str, str]]) -> None:
    graph = nx.DiGraph(pairs)
    expected = [set(c) for c in nx.strongly_connected_components(graph) if len(c) > 1]
    assert sorted(map(sorted, circles(pairs))) == sorted(map(sorted, expected))


@SOME
@given(snapshots())
def test_a_report_is_whole_cites_only_what_exists_and_is_json(snapshot: RingSnapshot) -> None:
    report = build_report(snapshot)
    ids = {f.id for f in report.facts}
    cited = {i for e in report.innocent for i in (*e.evidence, *e.contradicted)}
    cited |= {i for a in report.actions for i in a.evidence} | set(report.pattern.evidence)
    cited |= {i for m in report.members for i in m.evidence} | {t.evidence for t in report.ties}
    assert cited <= ids
    assert report.actions
    assert len(report.members) == len(snapshot.users)
    text = json.dumps(report_json(report), allow_nan=False)
    assert not [x.key for x in snapshot.links if x.key in text]
