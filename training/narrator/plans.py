"""The best plan that is known for a ring: the template's, and what a search over true claims adds to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from typing import Final

import msgspec

from fraudgraph.narrative.claims import MAX_ITEMS, Claim, Connective, Plan
from fraudgraph.narrative.evidence import Evidence
from fraudgraph.narrative.template import make_plan
from fraudgraph.narrative.verifier import Verified, check, verify
from fraudgraph.testing.narrative_judge import key_facts

TELLING: Final = ("together-cover", "earliest", "before", "rate")
"""Relations that say something which the facts one by one do not, the most telling first."""

WORDS: Final = (Connective.BUT, Connective.THEN)
HAPPENED: Final = frozenset({"burst", "device-farm", "takeover", "velocity", "transfer-cycle", "handed-on"})
"""Kinds of claim that tell what happened, and not how things are."""

MOST_RELATIONS: Final = 2
MOST_FACTS: Final = 12
ENOUGH: Final = 9
"""A colleague's note has so many claims in its summary; each further one costs."""


def best_plan(evidence: Evidence) -> Plan:
    """Returns a plan of which everything holds: the template's, improved claim by claim while `worth` rises.

    Greedy: a relation is put behind the last claims that cite one of its facts, and a connective stays where the
    verifier lets it stand. The same evidence gives the same plan.
    """
    plan = make_plan(evidence.pack)
    best = worth(plan, evidence)
    relations = _relations(evidence)
    while True:
        options = [*_with_relation(plan, relations), *_with_connective(plan)]
        rated = [(worth(option, evidence), place) for place, option in enumerate(options)]
        top, place = max(rated, key=lambda row: (row[0], -row[1]), default=(0.0, 0))
        if top <= best:
            return plan
        plan, best = options[place], top


def worth(plan: Plan, evidence: Evidence) -> float:
    """Returns how good a plan is: 0 where anything in it does not hold."""
    checked = verify(plan, evidence)
    if checked.failures or checked.connectives_removed:
        return 0.0
    return _told(plan, evidence) + _flow(checked) - 0.2 * max(0, len(plan.summary) - ENOUGH)


def _told(plan: Plan, evidence: Evidence) -> float:
    keys = set(key_facts(evidence))
    cited = {name for claim in (*plan.summary, *plan.risk_reasons) for name in claim.evidence}
    return 5.0 * len(keys & cited) / len(keys) if keys else 5.0


def _flow(checked: Verified) -> float:
    """Returns what relations and connectives are worth: different ones, and few."""
    said = [held for name in ("summary", "risk_reasons") for held in checked.sections[name]]
    relations = [held.kind for held in said if held.kind in TELLING]
    if len(relations) > MOST_RELATIONS or len(relations) > len(set(relations)):
        return -1.0
    words = [held.connective for held in said if held.connective is not Connective.NONE]
    telling = sum(1.0 - 0.1 * TELLING.index(kind) for kind in relations)
    return 0.5 * telling + sum(0.3 - 0.05 * WORDS.index(word) for word in set(words) if word in WORDS)


def _relations(evidence: Evidence) -> list[Claim]:
    """Returns relations that are so; what they compare is left to the evidence."""
    facts = [fact for fact in evidence.pack.facts if not fact.fields.get("hub")][:MOST_FACTS]
    shared = [fact for fact in facts if fact.kind == "shared-identifier"]
    sets = [(fact,) for fact in facts] + list(combinations(facts, 2)) + [tuple(shared[:n]) for n in (3, 4)]
    found = [Claim(kind, tuple(fact.id for fact in cited)) for kind in TELLING for cited in sets]
    return [claim for claim in found if check("summary", claim, evidence) is None]


def _with_relation(plan: Plan, relations: Sequence[Claim]) -> Iterator[Plan]:
    summary = plan.summary
    if len(summary) >= MAX_ITEMS["summary"]:
        return
    for relation in relations:
        behind = [n for n, claim in enumerate(summary) if set(claim.evidence) & set(relation.evidence)]
        if behind and relation not in summary:
            place = behind[-1] + 1
            while place < len(summary) and summary[place].kind == summary[place - 1].kind:
                place += 1  # neighbours of a kind are told in one sentence
            yield msgspec.structs.replace(plan, summary=(*summary[:place], relation, *summary[place:]))


def _with_connective(plan: Plan) -> Iterator[Plan]:
    """Yields the plan with one more connective: `then` only between things that happened, each of another kind."""
    for name in ("summary", "risk_reasons"):
        claims = getattr(plan, name)
        for place, (before, claim) in enumerate(pairwise(claims), 1):
            if claim.connective != Connective.NONE:
                continue
            for word in WORDS:
                if word is Connective.THEN and not {before.kind, claim.kind} <= HAPPENED:
                    continue
                said = msgspec.structs.replace(claim, connective=word.value)
                yield msgspec.structs.replace(plan, **{name: (*claims[:place], said, *claims[place + 1 :])})
