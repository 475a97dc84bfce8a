"""What speaks against a ring: innocent explanations that the facts allow, each with the evidence for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fraudgraph.events.kinds import EntityKind
from fraudgraph.narrative.catalogue import EXPLANATIONS
from fraudgraph.narrative.pattern import Weighed
from fraudgraph.rings.facts_kinds import Fact
from fraudgraph.rings.facts_view import Identifier, RingView
from fraudgraph.rings.facts_words import count, listed, of

MOST_CITED = 3
HOUSEHOLD_USERS = 6
CARD_FAMILY_USERS = 4
BUILDING_USERS = 7

HARSH = frozenset(
    {"card-testing", "takeover", "brief-visits", "refund-loop", "chargeback", "transfer-cycle", "device-farm", "burst"}
)
"""Kinds of fact that a household or an office does not make."""

GENERAL = frozenset({"calm-record", "acquainted"})
"""Explanations that fit nearly anybody: they alone stand in no ring's way."""

FRIENDS = 8
"""So many accounts may well be of people who know each other."""


def harsh(fact: Weighed) -> bool:
    """Returns whether a fact speaks for a ring, and is of a kind that the innocent do not make."""
    return fact.kind in HARSH and fact.weight > 0.0


BEHAVIOUR = HARSH | {"velocity", "referral-chain", "one-order-accounts", "quick-spending", "labels"}


@dataclass(frozen=True, slots=True)
class Explanation:
    """An innocent explanation.

    Attributes:
        name: a key of `EXPLANATIONS`.
        text: why it may hold, and what would settle it.
        evidence: ids of facts that allow it.
        contradicted: ids of facts that a harmless group does not make.
    """

    name: str
    text: str
    evidence: tuple[str, ...]
    contradicted: tuple[str, ...]

    @property
    def words(self) -> str:
        """What it would be, for a headline."""
        return EXPLANATIONS[self.name]

    @property
    def strong(self) -> bool:
        """Whether nothing in the facts contradicts it."""
        return not self.contradicted


@dataclass(frozen=True, slots=True)
class _Case:
    view: RingView
    facts: Sequence[Fact]

    def shared(self, *kinds: EntityKind) -> list[Identifier]:
        return [i for i in self.view.shared if i.kind in kinds]

    def covers(self, identifiers: Sequence[Identifier]) -> bool:
        """Returns whether at least half of the members use one of them: else they explain too little."""
        return 2 * len({u for i in identifiers for u in i.user_ids}) >= self.view.size

    def cite(self, identifiers: Sequence[Identifier], *kinds: str) -> tuple[str, ...]:
        names = {i.name for i in identifiers}
        return tuple(
            f.id
            for f in self.facts
            if f.kind in kinds or (f.kind == "shared-identifier" and f.fields["identifier"] in names)
        )

    def has(self, *kinds: str) -> bool:
        return any(f.kind in kinds and f.weight > 0.0 for f in self.facts)


def explanations(view: RingView, facts: Sequence[Fact]) -> tuple[Explanation, ...]:
    """Returns the innocent explanations that the facts allow, those that nothing contradicts first."""
    case = _Case(view, facts)
    against = tuple(f.id for f in facts if f.weight > 0.0 and f.kind in HARSH | {"labels"})
    found = [Explanation(name, *result, against) for name, rule in _RULES if (result := rule(case)) is not None]
    if not case.has(*BEHAVIOUR):
        found.append(
            Explanation(
                "insufficient-evidence",
                "Insufficient evidence: the accounts share identifiers, and nothing in what they did is unusual. Most"
                " people who share an identifier are honest.",
                tuple(f.id for f in facts if f.kind == "shared-identifier"),
                (),
            )
        )
    if not found:
        found.append(Explanation("acquainted", *_acquainted(case), against))
    return tuple(sorted(found, key=lambda e: not e.strong))


def _acquainted(case: _Case) -> tuple[str, tuple[str, ...]]:
    """There is always an innocent reading to be checked, however little speaks for it."""
    shared = [i for i in case.view.shared if not i.hub][:MOST_CITED]
    what = listed([i.called for i in shared]) if shared else "what ties them"
    if case.view.size <= FRIENDS:
        text = f"People who know each other: friends, relatives or colleagues may share {what}."
    else:
        text = f"Something that many people use: a shop's counter, an agency or a club may be behind {what}."
    return f"{text} Asking two of them, each apart, would settle it.", case.cite(shared)


def _household(case: _Case) -> tuple[str, tuple[str, ...]] | None:
    homes = [
        i
        for i in case.shared(EntityKind.ADDRESS)
        if i.users_total <= HOUSEHOLD_USERS and 2 * len(i.links) >= case.view.size
    ]
    if not homes or case.view.size > HOUSEHOLD_USERS or case.has("burst"):
        return None
    sharing = set(homes[0].user_ids)
    also = [
        (i, len(sharing & set(i.user_ids)))
        for i in case.shared(EntityKind.DEVICE, EntityKind.IP)
        if len(i.links) <= HOUSEHOLD_USERS and len(sharing & set(i.user_ids)) >= 2
    ]
    more = f", and {_so_many(also[0][1], len(sharing))} of them use {also[0][0].called}" if also else ""
    return (
        f"One household: {of(len(sharing), case.view.size, 'account')} share {homes[0].called}{more}. Names on the"
        " accounts and on the deliveries would settle it.",
        case.cite([homes[0], *(i for i, _ in also[:1])], "long-standing", "slow-growth"),
    )


def _so_many(n: int, of_all: int) -> str:
    return f"{n:,}" if n < of_all else "both" if n == 2 else "all"


def _building(case: _Case) -> tuple[str, tuple[str, ...]] | None:
    homes = [i for i in case.shared(EntityKind.ADDRESS) if i.users_total >= BUILDING_USERS]
    if not case.covers(homes):
        return None
    own = not case.shared(EntityKind.DEVICE, EntityKind.CARD)
    return (
        f"A dorm, an office or a parcel shop: address {homes[0].name} is used by {homes[0].users_total:,} accounts"
        + (", and no device or card is shared. " if own else ". ")
        + "What stands at that address would settle it.",
        case.cite(homes),
    )


def _office(case: _Case) -> tuple[str, tuple[str, ...]] | None:
    networks = [i for i in case.shared(EntityKind.IP) if i.hub or 2 * len(i.links) >= case.view.size]
    if not networks or case.shared(EntityKind.DEVICE, EntityKind.CARD, EntityKind.EMAIL, EntityKind.PHONE):
        return None
    who = {u for i in networks for u in i.user_ids}
    what = f"{of(len(who), case.view.size, 'account')} come from {listed([i.called for i in networks], 3)}"
    return (
        f"One network: {what}, and no device, card, e-mail address or phone is shared, as in an office, on a"
        " campus or behind a carrier's address translation.",
        case.cite(networks),
    )


def _second_hand(case: _Case) -> tuple[str, tuple[str, ...]] | None:
    passed = [f for f in case.facts if f.kind == "handed-on"]
    if not passed:
        return None
    names = listed([str(f.fields["identifier"]) for f in passed])
    return (
        f"Second-hand or re-issued: {names} went from one account to the next and was never used by two at a time, as"
        " when a phone is sold or a number is given out again.",
        tuple(f.id for f in passed),
    )


def _gifts(case: _Case) -> tuple[str, tuple[str, ...]] | None:
    homes = [i for i in case.shared(EntityKind.ADDRESS) if not i.hub]
    if not case.covers(homes) or case.shared(EntityKind.DEVICE, EntityKind.CARD, EntityKind.EMAIL, EntityKind.PHONE):
        return None
    who = of(len(homes[0].links), case.view.size, "account")
    return (
        f"Gifts: {who} deliver to address {homes[0].name}, and no device, card, e-mail address or phone is shared."
        " Whether the buyers' own addresses differ would settle it.",
        case.cite(homes[:1]),
    )


def _family_card(case: _Case) -> tuple[str, tuple[str, ...]] | None:
    cards = [i for i in case.shared(EntityKind.CARD) if i.users_total <= CARD_FAMILY_USERS]
    if not case.covers(cards) or case.has("card-testing", "chargeback"):
        return None
    return (
        f"A family card: {cards[0].name} is used by {count(cards[0].users_total, 'account')}, and no payment with it is"
        " known to be disputed.",
        case.cite(cards, "clean-money"),
    )


def _calm(case: _Case) -> tuple[str, tuple[str, ...]] | None:
    calm = [f for f in case.facts if f.weight < 0.0 and f.kind != "handed-on"]
    if not calm:
        return None
    return "The record: " + " ".join(f.text for f in calm), tuple(f.id for f in calm)


_RULES: tuple[tuple[str, Callable[[_Case], tuple[str, tuple[str, ...]] | None]], ...] = (
    ("household", _household),
    ("family-card", _family_card),
    ("second-hand-device", _second_hand),
    ("shared-building", _building),
    ("office-network", _office),
    ("gift-buyers", _gifts),
    ("calm-record", _calm),
)
