"""What constraints do to a ring's evidence: its stress test and its facts."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from support.snapshots import fake_accounts

from fraudgraph.events.kinds import EntityKind
from fraudgraph.rings.facts import facts, recompute
from fraudgraph.rings.facts_view import RingView
from fraudgraph.rings.roles import RoleName, roles
from fraudgraph.rings.stress import part_sizes, stress_test, tie_graph


def test_who_is_tied_by_an_analyst_holds_the_ring_together() -> None:
    ring = fake_accounts(4)
    users = [user.user_id for user in ring.users]
    loose = replace(ring, links=())
    assert part_sizes(tie_graph(RingView(loose))) == (1, 1, 1, 1)
    tied = replace(loose, together=tuple((a, b, "C000001") for a, b in pairwise(users)))
    assert part_sizes(tie_graph(RingView(tied))) == (4,)
    cuts = stress_test(RingView(tied))
    assert {cut.user_id for cut in cuts if cut.user_id} == set(users[1:3])


def test_a_tie_of_an_analyst_that_alone_holds_the_ring_is_said() -> None:
    ring = fake_accounts(4)
    users = [user.user_id for user in ring.users]
    pairs = {users[0]: "left", users[1]: "left", users[2]: "right", users[3]: "right"}
    device = next(link for link in ring.links if link.ties and link.kind is EntityKind.DEVICE)
    links = tuple(
        replace(device, user_id=user, key=key, users_active=2, hub=False, benign="") for user, key in pairs.items()
    )
    tied = replace(ring, links=links, together=((users[1], users[2], "C000004"),))
    (cut,) = (cut for cut in stress_test(RingView(tied)) if cut.constraint)
    assert (cut.constraint, cut.parts, cut.user_id, cut.identifier) == ("C000004", (2, 2), None, None)
    said = [fact for fact in facts(tied) if fact.kind == "bridge" and fact.fields["constraint"]]
    names = f"{users[1]} and {users[2]}"
    assert [fact.text for fact in said] == [
        f"Without C000004, by which an analyst ties {names}, the ring falls into 2 + 2 accounts."
    ]
    assert recompute(tied, said[0]) == said[0]
    mine = roles(RingView(tied))
    assert mine[users[1]].name is RoleName.CORE
    assert "an analyst's word (C000004)" in " ".join(mine[users[1]].reasons)
    lonely = replace(ring, links=(), together=((users[1], users[2], "C000004"),))
    alone = roles(RingView(lonely))
    assert alone[users[1]].tied_to == 1
    assert alone[users[1]].reasons == ("tied to 1 of 3 others through an analyst's word (C000004)",)


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
