"""A ring's fingerprint: the same under any names and order, and alike for rings that are alike."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from support.snapshots import NOW, fake_accounts, household, snapshots

from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.rings.facts import facts, recompute
from fraudgraph.rings.facts_view import RingView
from fraudgraph.rings.fingerprint import ALIKE, MOST, fingerprint, similarity, with_past
from fraudgraph.rings.snapshot import PastRing, RingSnapshot


def printed(snapshot: RingSnapshot) -> tuple[str, ...]:
    return fingerprint(RingView(snapshot))


def renamed(snapshot: RingSnapshot, seed: int) -> RingSnapshot:
    """Returns the same ring with other names of accounts and identifiers, its rows in another order."""
    rng = random.Random(seed)
    names = [user.user_id for user in snapshot.users]
    others = [f"n{place}" for place in range(len(names))]
    rng.shuffle(others)
    name = dict(zip(names, others, strict=True))
    key = {link.key: f"{rng.getrandbits(128):032x}" for link in snapshot.links}
    users = [replace(user, user_id=name[user.user_id]) for user in snapshot.users]
    links = [replace(link, user_id=name[link.user_id], key=key[link.key]) for link in snapshot.links]
    orders = [replace(order, user_id=name[order.user_id]) for order in snapshot.orders]
    transfers = [
        replace(t, from_user_id=name[t.from_user_id], to_user_id=name[t.to_user_id]) for t in snapshot.transfers
    ]
    for rows in (users, links, orders, transfers):
        rng.shuffle(rows)
    return replace(snapshot, users=tuple(users), links=tuple(links), orders=tuple(orders), transfers=tuple(transfers))


@given(snapshots(), st.integers(0, 2**16))
def test_names_and_order_do_not_matter(snapshot: RingSnapshot, seed: int) -> None:
    assert printed(renamed(snapshot, seed)) == printed(snapshot)


@given(snapshots(), snapshots())
def test_similarity_is_symmetric_bounded_and_one_for_equals(one: RingSnapshot, other: RingSnapshot) -> None:
    a, b = printed(one), printed(other)
    assert similarity(a, b) == similarity(b, a)
    assert 0.0 <= similarity(a, b) <= 1.0
    assert similarity(a, a) == 1.0


def test_the_same_scheme_in_another_size_is_alike_and_a_family_is_not() -> None:
    ring = printed(fake_accounts(8))
    assert similarity(ring, printed(fake_accounts(9))) >= ALIKE
    assert similarity(ring, printed(household())) < 0.6


def past(number: int, ring: RingSnapshot, verdict: str = "confirmed") -> PastRing:
    return PastRing(f"D{number:06d}", f"R{number}", verdict, NOW, printed(ring))


def test_the_most_alike_are_cited_and_each_fact_recomputes() -> None:
    known = [past(1, household()), past(2, fake_accounts(9)), past(3, fake_accounts(8), "false-positive")]
    known += [past(number, fake_accounts(12)) for number in range(4, 9)]
    snapshot = with_past(fake_accounts(8), known, LinkPolicy())
    assert len(snapshot.past) == MOST
    assert {each.decision_id for each in snapshot.past} >= {"D000002", "D000003"}  # nine are in the band of eight
    assert "D000001" not in {each.decision_id for each in snapshot.past}
    found = [fact for fact in facts(snapshot) if fact.kind == "similar-past-ring"]
    assert {fact.fields["decision_id"] for fact in found} == {each.decision_id for each in snapshot.past}
    for fact in found:
        assert recompute(snapshot, fact) == fact
        assert (fact.weight < 0.0) == (fact.fields["verdict"] == "false-positive")
    first = next(fact for fact in found if fact.fields["decision_id"] == "D000003")
    assert first.fields["similarity"] == 1.0
    assert "a group that turned out to be honest by D000003" in first.text
