"""The verifier: recomputes every claim from the evidence that it cites, and keeps what holds. No model takes part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from fraudgraph.narrative.catalogue import CLAIM_KINDS, QUESTIONS, ClaimKind
from fraudgraph.narrative.claims import SECTIONS, Claim, Connective, Plan
from fraudgraph.narrative.evidence import Evidence
from fraudgraph.narrative.innocent import GENERAL, harsh
from fraudgraph.narrative.pack import PackFact, Side
from fraudgraph.narrative.pattern import MIN_SCORE, UNCLEAR, Pattern, named, pattern, scores
from fraudgraph.narrative.port import Failure
from fraudgraph.narrative.relations import REFERRING, RELATIONS, begins, open_question, overlaps
from fraudgraph.narrative.slots import Reference, holds_entity, quoted_right, read_slot

VERIFIER: Final = "2"
"""Changes with everything that it decides: a narrative made under another one is made anew."""

NEARLY: Final = 0.5
"""A pattern may be named that the facts bear at least half as well as the one that they bear best."""


class Why(StrEnum):
    """Why a claim does not stand."""

    UNKNOWN_KIND = "unknown-kind"
    UNKNOWN_EVIDENCE = "unknown-evidence"
    WRONG_EVIDENCE = "wrong-evidence"
    WRONG_SLOT = "wrong-slot"
    WRONG_VALUE = "wrong-value"
    NOT_TRUE = "not-true"
    WRONG_SECTION = "wrong-section"
    NOT_ALLOWED = "not-allowed"
    REPEATED = "repeated"


@dataclass(frozen=True, slots=True)
class Held:
    """A claim that holds, with the facts and rows that it cites; a connective that does not hold is `none`."""

    claim: Claim
    items: tuple[PackFact, ...]
    connective: Connective = Connective.NONE

    @property
    def kind(self) -> str:
        """The claim's kind."""
        return self.claim.kind


@dataclass(frozen=True, slots=True)
class Verified:
    """What is left of a plan.

    Attributes:
        sections: claims that hold, by section, in the plan's order.
        pattern: the plan's where the facts bear it, else the one that they bear best.
        failures: claims that are gone.
        connectives_removed: words such as `then` that did not hold, their claims do.
    """

    sections: dict[str, tuple[Held, ...]]
    pattern: Pattern
    sufficient: bool
    failures: tuple[Failure, ...]
    connectives_removed: int

    @property
    def verified(self) -> int:
        """Claims that hold."""
        return sum(map(len, self.sections.values()))

    @property
    def why(self) -> dict[str, int]:
        """Reasons of removal, with how often."""
        return dict(sorted(Counter(f.why for f in self.failures).items()))


def verify(plan: Plan, evidence: Evidence) -> Verified:
    """Returns what of a plan is true of the evidence; a claim said twice stands once."""
    failures: list[Failure] = []
    sections: dict[str, tuple[Held, ...]] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    dropped = 0
    for section in SECTIONS:
        kept: list[Held] = []
        for place, claim in enumerate(getattr(plan, section)):
            why = check(section, claim, evidence)
            key = (claim.kind, frozenset(claim.evidence) if claim.kind in CLAIM_KINDS else frozenset())
            if why is None and key in seen:
                why = Why.REPEATED
            if why is not None:
                failures.append(Failure(section, place, why))
                continue
            seen.add(key)
            kept.append(Held(claim, tuple(evidence.items[x] for x in claim.evidence)))
        sections[section], lost = _connected(kept, section)
        dropped += lost
    looks = _pattern(plan.pattern, evidence)
    return Verified(sections, looks, plan.sufficient and can_suffice(looks, evidence), tuple(failures), dropped)


def check(section: str, claim: Claim, evidence: Evidence) -> Why | None:
    """Returns why a claim of a section does not hold, None where it does."""
    if claim.kind not in SECTIONS[section]:
        return Why.UNKNOWN_KIND
    if any(name not in evidence.items for name in claim.evidence):
        return Why.UNKNOWN_EVIDENCE
    if len(set(claim.evidence)) < len(claim.evidence):
        return Why.WRONG_EVIDENCE
    items = [evidence.items[name] for name in claim.evidence]
    if section == "innocent_explanations":
        return _explanation(claim, evidence)
    if section == "next_actions":
        return _action(claim, evidence)
    if section == "open_questions":
        return _question(claim, items, evidence)
    return _statement(section, claim, items, evidence)


def can_suffice(looks: Pattern, evidence: Evidence) -> bool:
    """Returns whether the facts are more than sharing: a pattern, or, where a ring is probable, behaviour that the
    innocent do not show, whatever it is for.

    A low probability, or an innocent explanation that nothing contradicts, leaves them insufficient; one that fits
    nearly anybody does so where a ring is not even as likely as not.
    """
    return (
        evidence.possible
        and (looks.name != UNCLEAR or (evidence.probable and any(harsh(f) for f in evidence.pack.facts)))
        and not any(e.strong and (e.name not in GENERAL or not evidence.probable) for e in evidence.explanations)
    )


def _statement(section: str, claim: Claim, items: Sequence[PackFact], evidence: Evidence) -> Why | None:
    kind = CLAIM_KINDS[claim.kind]
    if not kind.least <= len(items) <= kind.most:
        return Why.WRONG_EVIDENCE
    if kind.cites and any(item.kind not in kind.cites for item in items):
        return Why.WRONG_EVIDENCE
    if section == "risk_reasons" and any(item.id.startswith("E") and item.side is not Side.FOR for item in items):
        return Why.WRONG_SECTION
    read = _relation_slots if claim.kind in REFERRING else _plain_slots
    if (why := read(claim, kind, items, evidence)) is not None:
        return why
    holds = RELATIONS.get(claim.kind)
    return None if holds is None or holds(claim, items, evidence) else Why.NOT_TRUE


def _plain_slots(claim: Claim, kind: ClaimKind, items: Sequence[PackFact], evidence: Evidence) -> Why | None:
    """Each slot is the field of its own name in a cited fact, or an entity that stands there."""
    for slot in claim.slots:
        if slot.name not in kind.slots:
            return Why.WRONG_SLOT
        found = read_slot(slot.value)
        if isinstance(found, Reference):
            item = next((x for x in items if x.id == found.item), None)
            if item is None or found.field != slot.name or found.field not in item.fields:
                return Why.WRONG_SLOT
            if found.quote is not None and not quoted_right(item, found.field, found.quote):
                return Why.WRONG_VALUE
        elif found is None:
            return Why.WRONG_SLOT
        elif not any(_names(item, slot.name, found, evidence) for item in items):
            return Why.WRONG_VALUE
    return None


def _names(item: PackFact, field: str, entity: str, evidence: Evidence) -> bool:
    if field == "account" and item.kind == "member":
        return item.id == entity
    if field in ("account", "accounts"):
        return entity in evidence.accounts.get(item.id, frozenset())
    return field in item.fields and holds_entity(item.fields[field], entity)


def _relation_slots(claim: Claim, kind: ClaimKind, items: Sequence[PackFact], evidence: Evidence) -> Why | None:
    """Slots of a relation are references to fields of what it cites; the relation itself says which."""
    for slot in claim.slots:
        if slot.name not in kind.slots:
            return Why.WRONG_SLOT
        found = read_slot(slot.value)
        if not isinstance(found, Reference):
            return Why.WRONG_SLOT
        item = next((x for x in items if x.id == found.item), evidence.items["R"] if found.item == "R" else None)
        if item is None or found.field not in item.fields:
            return Why.WRONG_SLOT
        if found.quote is not None and not quoted_right(item, found.field, found.quote):
            return Why.WRONG_VALUE
    return None


def _explanation(claim: Claim, evidence: Evidence) -> Why | None:
    found = next((e for e in evidence.explanations if e.name == claim.kind), None)
    if found is None:
        return Why.NOT_ALLOWED
    if claim.slots:
        return Why.WRONG_SLOT
    rows = {row.id for row in evidence.pack.rows if row.fields.get("name") == claim.kind}
    return None if set(claim.evidence) <= {*found.evidence, *rows} else Why.WRONG_EVIDENCE


def _action(claim: Claim, evidence: Evidence) -> Why | None:
    if claim.kind not in evidence.allowed_actions:
        return Why.NOT_ALLOWED
    return Why.WRONG_SLOT if claim.slots else None


def _question(claim: Claim, items: Sequence[PackFact], evidence: Evidence) -> Why | None:
    if len(items) != 1 or items[0].kind not in QUESTIONS[claim.kind]:
        return Why.WRONG_EVIDENCE
    if claim.slots:
        return Why.WRONG_SLOT
    return None if open_question(claim.kind, items[0]) else Why.NOT_TRUE


def _pattern(name: str, evidence: Evidence) -> Pattern:
    """The pattern is read from what the pack shows, as whoever planned had it; every fact that bears it is cited."""
    items = tuple(evidence.items.values())
    best, found = pattern(items), scores(items)
    allowed = best.name in found and found.get(name, 0.0) >= max(MIN_SCORE, NEARLY * found[best.name])
    return named(name if allowed else best.name, evidence.facts)


def _connected(kept: Sequence[Held], section: str) -> tuple[tuple[Held, ...], int]:
    """Returns the claims with the connectives that hold between what is left, and how many do not."""
    out: list[Held] = []
    lost = 0
    for place, held in enumerate(kept):
        word = held.claim.connective
        said = Connective(word) if word in set(Connective) else None
        holds = said is not None and _connects(said, kept, place, section)
        lost += not holds
        out.append(Held(held.claim, held.items, said if holds and said is not None else Connective.NONE))
    return tuple(out), lost


def _connects(word: Connective, kept: Sequence[Held], place: int, section: str) -> bool:
    """`then` asks for an order of time, `at the same time` for a common one, `but` for facts that speak against each
    other. Nothing that happened is said to follow from another thing: `therefore` leads to steps and questions only.
    """
    if word is Connective.NONE:
        return True
    if word is Connective.THEREFORE:
        return section in ("next_actions", "open_questions")
    if section not in ("summary", "risk_reasons"):
        return word in (Connective.ALSO, Connective.FIRST, Connective.THEN) and (place > 0) != (
            word is Connective.FIRST
        )
    this = kept[place]
    if word is Connective.FIRST:
        mine = begins(this.items)
        others = [t for held in kept[place + 1 :] if (t := begins(held.items)) is not None]
        return place == 0 and mine is not None and all(mine <= t for t in others)
    if place == 0:
        return False
    before = kept[place - 1]
    if word is Connective.THEN:
        a, b = begins(before.items), begins(this.items)
        return a is not None and b is not None and a <= b
    if word is Connective.SAME_TIME:
        return overlaps(before.items, this.items)
    sides = _side(before), _side(this)
    if word is Connective.BUT:
        return set(sides) == {Side.FOR, Side.AGAINST}
    return sides[0] is sides[1] or Side.CONTEXT in sides


def _side(held: Held) -> Side:
    sides = {item.side for item in held.items}
    if held.kind in ("shared-outside", "ties-nobody"):
        return Side.AGAINST
    return sides.pop() if len(sides) == 1 else Side.CONTEXT
