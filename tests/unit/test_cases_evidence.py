"""What constraints do to a ring's evidence: its stress test and its facts."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from support.snapshots import fake_accounts

from fraudgraph.rings.facts import facts
from fraudgraph.rings.facts_view import RingView
from fraudgraph.rings.stress import part_sizes, stress_test, tie_graph


def test_who_is_tied_by_an_analyst_holds_the_ring_together() -> None:
    ring = fake_accounts(4)
    users = [user.user_id for user in ring.users]
    loose = replace(ring, links=())
    assert part_sizes(tie_graph(RingView(loose))) == (1, 1, 1, 1)
    tied = replace(loose, together=tuple((a, b, "C000001") for a, b in pairwise(users)))
    assert part_sizes(tie_graph(RingView(tied))) == (4,)
    (middle, other) = (cut for cut in stress_test(RingView(tied)))
    assert {middle.user_id, other.user_id} == set(users[1:3])


def test_a_harmless_identifier_says_so_and_weighs_nothing() -> None:
    ring = fake_accounts(4)
    marked = replace(
        ring,
        links=tuple(replace(link, benign="C000007", hub=True, ties=False, strength=0.0) for link in ring.links),
    )
    shared = [fact for fact in facts(marked) if fact.kind == "shared-identifier"]
    assert shared
    for fact in shared:
        assert "harmless by C000007" in fact.text
        assert fact.weight == 0.0
    assert not any("harmless" in fact.text for fact in facts(ring))
