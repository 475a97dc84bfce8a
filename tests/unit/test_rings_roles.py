"""Roles follow from ties and ages, and the stress test from what would remain."""

from __future__ import annotations

from dataclasses import replace

from support.snapshots import DAY, EXAMPLES, NOW, Builder, household, takeover, two_halves

from fraudgraph.events.kinds import EntityKind
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.rings.facts_view import RingView
from fraudgraph.rings.roles import Role, RoleName, roles
from fraudgraph.rings.snapshot import RingSnapshot
from fraudgraph.rings.stress import soft_ties, stress_test


def roles_of(snapshot: RingSnapshot) -> dict[str, Role]:
    """Returns each member's role."""
    return roles(RingView(snapshot))


def test_every_member_has_exactly_one_role_with_a_reason() -> None:
    for build in EXAMPLES.values():
        snapshot = build()
        found = roles_of(snapshot)
        assert set(found) == {u.user_id for u in snapshot.users}
        assert all(r.reasons and all(r.reasons) for r in found.values())


def test_the_account_between_two_groups_is_the_bridge() -> None:
    found = roles_of(two_halves(6, 5))
    assert [u for u, r in found.items() if r.name is RoleName.BRIDGE] == ["mid"]
    assert "6 + 5" in found["mid"].reasons[0]
    assert found["mid"].tied_to == 11
    assert found["B00"].name is RoleName.CORE


def test_taken_over_accounts_are_victims_and_the_new_one_is_not() -> None:
    found = roles_of(takeover())
    assert {u for u, r in found.items() if r.name is RoleName.LIKELY_VICTIM} == {"V0", "V1", "V2", "V3"}
    assert "6 months old" in found["V0"].reasons[0]
    assert found["mule"].name is RoleName.CORE


def test_accounts_entered_from_burner_devices_are_victims() -> None:
    found = roles_of(EXAMPLES["visited"]())
    assert {r.name for r in found.values()} == {RoleName.LIKELY_VICTIM}
    assert "for a day at most" in found["W0"].reasons[0]


def test_a_family_has_no_victim() -> None:
    assert RoleName.LIKELY_VICTIM not in {r.name for r in roles_of(household()).values()}


def stolen_card(*, owner_shares_device: bool) -> RingSnapshot:
    """An old account's card that three new accounts use later."""
    b = Builder()
    b.user("owner", NOW - 300 * DAY)
    b.use("owner", EntityKind.CARD, "card", NOW - 290 * DAY, NOW - 40 * DAY)
    for i in range(3):
        b.user(f"thief{i}", NOW - 3 * DAY)
        b.use(f"thief{i}", EntityKind.CARD, "card", NOW - 2 * DAY)
        b.use(f"thief{i}", EntityKind.DEVICE, "dev", NOW - 2 * DAY)
    if owner_shares_device:
        b.use("owner", EntityKind.DEVICE, "dev", NOW - 2 * DAY)
    return b.build()


def test_the_first_long_time_owner_of_a_card_is_a_victim_unless_more_ties_them() -> None:
    assert roles_of(stolen_card(owner_shares_device=False))["owner"].name is RoleName.LIKELY_VICTIM
    assert "alone for" in roles_of(stolen_card(owner_shares_device=False))["owner"].reasons[0]
    assert roles_of(stolen_card(owner_shares_device=True))["owner"].name is not RoleName.LIKELY_VICTIM


def test_weakly_tied_member_stands_at_the_edge() -> None:
    b = Builder()
    for i in range(6):
        b.user(f"U{i}", NOW - DAY)
        b.use(f"U{i}", EntityKind.DEVICE, "dev", NOW - DAY)
    b.user("edge", NOW - DAY)
    b.use("edge", EntityKind.CARD, "card", NOW - DAY)
    b.use("U0", EntityKind.CARD, "card", NOW - DAY)
    found = roles_of(b.build())
    assert found["edge"].name is RoleName.PERIPHERY
    assert found["U3"].name is RoleName.CORE


def test_one_tie_makes_no_core_in_a_chain() -> None:
    b = Builder()
    for i in range(5):
        b.user(f"U{i}", NOW - DAY)
        for k in (i, i + 1):
            b.use(f"U{i}", EntityKind.DEVICE, f"d{k}", NOW - DAY)
    found = roles_of(b.build())
    assert {u for u, r in found.items() if r.name is RoleName.PERIPHERY} == {"U0", "U4"}


def weak_pair() -> Builder:
    """Two accounts with one address and one network, neither strong enough alone."""
    b = Builder()
    for name in ("a", "b"):
        b.user(name, NOW - DAY)
        b.use(name, EntityKind.ADDRESS, "home", NOW - DAY)
        b.use(name, EntityKind.IP, "net", NOW - DAY)
    return b


def test_two_weak_identifiers_tie_together_and_ip_alone_never_does() -> None:
    ties = soft_ties(RingView(weak_pair().build()))
    assert [(t.user_a, t.user_b, t.identifiers) for t in ties] == [("a", "b", ("IP1", "A1"))]
    assert LinkPolicy().theta <= ties[0].strength < 1.0

    nets = Builder()
    for name in ("a", "b"):
        nets.user(name, NOW - DAY)
        for k in range(6):
            nets.use(name, EntityKind.IP, f"net{k}", NOW - DAY)
    assert soft_ties(RingView(nets.build())) == ()


def test_a_stricter_policy_unties_them() -> None:
    view = RingView(weak_pair().build(), LinkPolicy(theta=0.9))
    assert soft_ties(view) == ()


def test_a_pair_tied_by_weak_identifiers_falls_apart_without_either() -> None:
    cuts = stress_test(RingView(weak_pair().build()))
    assert {(c.identifier, c.parts) for c in cuts} == {("A1", (1, 1)), ("IP1", (1, 1))}


def test_a_doubly_tied_ring_has_no_cut() -> None:
    b = Builder()
    for i in range(4):
        b.user(f"U{i}", NOW - DAY)
        b.use(f"U{i}", EntityKind.DEVICE, "dev", NOW - DAY)
        b.use(f"U{i}", EntityKind.CARD, "card", NOW - DAY)
    assert stress_test(RingView(b.build())) == ()


def test_hub_ties_nobody() -> None:
    snapshot = two_halves()
    hubbed = replace(snapshot, links=tuple(replace(x, hub=True, strength=0.0, ties=False) for x in snapshot.links))
    assert {r.name for r in roles_of(hubbed).values()} == {RoleName.PERIPHERY}
