"""Roles: who is at the core of a ring, who bridges it, who stands at its edge, and who is likely a victim."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum

from fraudgraph.events.kinds import EntityKind
from fraudgraph.rings.facts_sharing import TAKEOVER_AGE_MS, VISITED, takeover_starts, visits
from fraudgraph.rings.facts_view import Identifier, RingView
from fraudgraph.rings.facts_words import count, duration, listed
from fraudgraph.rings.facts_words import parts as parts_words
from fraudgraph.rings.stress import soft_ties, stress_test


class RoleName(StrEnum):
    """What a member is in a ring; the text is stored and shown."""

    CORE = "core"
    BRIDGE = "bridge"
    PERIPHERY = "periphery"
    LIKELY_VICTIM = "likely-victim"


@dataclass(frozen=True, slots=True)
class Role:
    """A member's role.

    Attributes:
        user_id: the member.
        name: the role.
        reasons: why this role, in clauses; user ids in them are the shop's own text.
        tied_to: how many other members share a tie with this one.
    """

    user_id: str
    name: RoleName
    reasons: tuple[str, ...]
    tied_to: int


def roles(view: RingView) -> dict[str, Role]:
    """Returns each member's role, by user id.

    A likely victim stays one whatever their ties. A bridge is an account without which the ring falls into parts
    of which two hold at least two accounts. Core is tied to two others or more, and to at least half as many as the
    best tied account that is neither.
    """
    victims = _victims(view)
    neighbours = _neighbours(view)
    parts = {c.user_id: c.parts for c in stress_test(view) if c.user_id is not None and c.parts[1] >= 2}
    tied_to = {user_id: {u for users in neighbours[user_id].values() for u in users} for user_id in view.users}
    best = max(
        (len(tied) for user_id, tied in tied_to.items() if user_id not in victims and user_id not in parts), default=0
    )
    found = {}
    for user_id in view.users:
        through, tied = neighbours[user_id], tied_to[user_id]
        ways = _ways(through)
        name, reasons = RoleName.PERIPHERY, ["no tie of its own"]
        if user_id in victims:
            name, reasons = RoleName.LIKELY_VICTIM, [victims[user_id]]
        elif user_id in parts:
            name = RoleName.BRIDGE
            reasons = [f"without it the ring falls into {parts_words(parts[user_id])}", ways]
        elif tied:
            if len(tied) >= max(best / 2, min(2, view.size - 1)):
                name = RoleName.CORE
            reasons = [f"tied to {len(tied):,} of {view.size - 1:,} others {ways}"]
        found[user_id] = Role(user_id, name, tuple(reasons), len(tied))
    return found


def _ways(through: dict[str, set[str]]) -> str:
    names = sorted(through, key=lambda name: (-len(through[name]), name))
    return f"through {listed(names, 3)}"


def _neighbours(view: RingView) -> dict[str, dict[str, set[str]]]:
    """Returns per member and identifier (or identifiers together, for a soft tie, or an analyst's constraint) the
    members tied by it.
    """
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for identifier in view.shared:
        tied = {x.user_id for x in identifier.links if x.ties and not x.hub}
        for user_id in tied:
            if len(tied) > 1:
                found[user_id][identifier.name] |= tied - {user_id}
    for tie in soft_ties(view):
        name = " with ".join(tie.identifiers)
        found[tie.user_a][name].add(tie.user_b)
        found[tie.user_b][name].add(tie.user_a)
    for a, b, constraint in view.snapshot.together:
        name = f"an analyst's word ({constraint})"
        found[a][name].add(b)
        found[b][name].add(a)
    return found


def _victims(view: RingView) -> dict[str, str]:
    """Returns likely victims with the reason, by user id; an IP address alone makes nobody one."""
    found: dict[str, str] = {}
    for identifier, old, first_ms, _ in takeover_starts(view):
        if identifier.kind is not EntityKind.DEVICE:
            continue
        for user_id in old:
            age = duration(view.age_ms(user_id, first_ms))
            others = len(identifier.links) - 1
            found.setdefault(
                user_id,
                f"the account was {age} old when it began to use {identifier.called} together with"
                f" {count(others, 'other account')}",
            )
    visited = list(visits(view))
    if len(visited) >= VISITED and 2 * len(visited) >= view.size:
        for user_id, shared, own in visited:
            found.setdefault(
                user_id,
                f"has {own.called} of its own, in use for weeks, and was on {shared.called} for a day at most",
            )
    for card in view.shared:
        if card.kind is EntityKind.CARD:
            owner = _stolen_from(card, view)
            if owner is not None:
                found.setdefault(owner, _owner_reason(card))
    return found


def _owner_reason(card: Identifier) -> str:
    alone = duration(card.links[1].first_ms - card.links[0].first_ms)
    others = len(card.links) - 1
    return f"used {card.called} alone for {alone} before {count(others, 'other account')} used it"


def _stolen_from(card: Identifier, view: RingView) -> str | None:
    """Returns a card's first long-time owner, where nothing but cards ties them to the ring.

    A family shares more than a card, and what a single relative adds is no theft: at least two others must follow.
    """
    if card.hub or len(card.links) < 3 or card.links[1].first_ms - card.links[0].first_ms <= TAKEOVER_AGE_MS:
        return None
    owner = card.links[0].user_id
    only_cards = all(i.kind is EntityKind.CARD for i in view.by_user[owner] if len(i.links) >= 2 and not i.hub)
    return owner if only_cards else None
