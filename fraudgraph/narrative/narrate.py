"""From evidence and a planner to a narrative: plan, verify, repair once, and where too little holds the template."""

from __future__ import annotations

from typing import Final

import msgspec

from fraudgraph.errors import DependencyError
from fraudgraph.narrative.actions import Action
from fraudgraph.narrative.claims import PlanError
from fraudgraph.narrative.evidence import Evidence
from fraudgraph.narrative.headline import headline
from fraudgraph.narrative.innocent import Explanation
from fraudgraph.narrative.llm.endpoint import ModelError
from fraudgraph.narrative.pattern import named
from fraudgraph.narrative.port import Narrative, Planner, PlanReply
from fraudgraph.narrative.reading import read_aloud
from fraudgraph.narrative.realise import asked, explained, proposed, told
from fraudgraph.narrative.speaker import Speaker
from fraudgraph.narrative.template import TemplatePlanner
from fraudgraph.narrative.verifier import VERIFIER, Verified, verify

NO_ANSWER: Final = "no answer"
"""How the reason begins where a planner could not be had at all."""

FLOOR: Final = 0.5
"""Where less of a plan holds, or nothing of its summary and reasons, the template speaks."""


def narrate(evidence: Evidence, planner: Planner | None = None) -> Narrative:
    """Returns what is said of a ring; without a planner, or where it fails, the template's words.

    Args:
        planner: the template where it is None. Its failures (`DependencyError`, `PlanError`) are no errors here.
    """
    return realise(evidence, *planned(evidence, planner))


def planned(evidence: Evidence, planner: Planner | None = None) -> tuple[PlanReply, Verified, str]:
    """Returns the plan that is to be told, what of it holds, and why the template speaks for another planner, if so."""
    fallback = ""
    if planner is not None:
        try:
            reply = planner.plan(evidence.pack)
        except PlanError as error:
            fallback = f"no plan ({error.fault})"
        except ModelError as error:
            fallback = f"{NO_ANSWER} ({error.trouble})"
        except DependencyError:
            fallback = NO_ANSWER
        else:
            reply, checked = _repaired(evidence, planner, reply)
            if _stands(checked):
                return reply, checked, ""
            fallback = f"only {checked.verified} of {checked.verified + len(checked.failures)} claims held"
    reply = TemplatePlanner().plan(evidence.pack)
    return reply, verify(reply.plan, evidence), fallback


def _repaired(evidence: Evidence, planner: Planner, reply: PlanReply) -> tuple[PlanReply, Verified]:
    checked = verify(reply.plan, evidence)
    if not checked.failures:
        return reply, checked
    try:
        better = planner.repair(evidence.pack, reply, checked.failures)
    except (DependencyError, PlanError):
        better = None
    if better is None:
        return reply, checked
    again = verify(better.plan, evidence)
    return (better, again) if _share(again) > _share(checked) else (reply, checked)


def _share(checked: Verified) -> float:
    total = checked.verified + len(checked.failures)
    return checked.verified / total if total else 0.0


def _stands(checked: Verified) -> bool:
    told_of = len(checked.sections["summary"]) + len(checked.sections["risk_reasons"])
    return told_of > 0 and _share(checked) >= FLOOR


def realise(evidence: Evidence, reply: PlanReply, checked: Verified, fallback: str = "") -> Narrative:
    """Returns the narrative of what was verified.

    Innocent explanations and actions that the house's rules give are said whether the narrator chose them or not: it
    only orders them. Those that nothing contradicts come first.
    """
    speaker = Speaker(evidence, sufficient=checked.sufficient)
    sections = checked.sections
    summary = told("summary", sections["summary"], speaker)
    reasons = told("risk_reasons", sections["risk_reasons"], speaker)
    innocent = _explanations(evidence, [held.kind for held in sections["innocent_explanations"]])
    steps = _steps(evidence, [held.kind for held in sections["next_actions"]])
    return Narrative(
        ring_id=evidence.snapshot.ring_id,
        headline=headline(evidence.view, checked.pattern, innocent),
        pattern=checked.pattern.name,
        sufficient=checked.sufficient,
        summary=summary,
        risk_reasons=reasons,
        innocent_explanations=tuple(map(explained, innocent)),
        next_actions=tuple(map(proposed, steps)),
        open_questions=tuple(asked(held, evidence, speaker) for held in sections["open_questions"]),
        verified=checked.verified,
        removed=len(checked.failures),
        removed_why=checked.why,
        narrator=reply.narrator,
        version=reply.version,
        model=reply.model,
        fallback=fallback,
        evidence_hash=evidence.hash,
        prompt_hash=reply.prompt_hash,
        verifier=VERIFIER,
        coverage=evidence.pack.coverage,
        reading=read_aloud(reply.plan, checked, evidence),
        cost_micros=reply.cost_micros,
        cost_currency=reply.cost_currency,
    )


def refreshed(narrative: Narrative, evidence: Evidence) -> Narrative | None:
    """Returns a kept narrative with what moves while the evidence does not, as the probability: headline and steps.

    None where the evidence, or what verifies it, is another one by now: it has to be told anew.
    """
    if narrative.evidence_hash != evidence.hash or narrative.verifier != VERIFIER:
        return None
    innocent = _explanations(evidence, [kind for s in narrative.innocent_explanations for kind in s.claims])
    steps = _steps(evidence, [kind for s in narrative.next_actions for kind in s.claims])
    return msgspec.structs.replace(
        narrative,
        headline=headline(evidence.view, named(narrative.pattern, evidence.facts), innocent),
        innocent_explanations=tuple(map(explained, innocent)),
        next_actions=tuple(map(proposed, steps)),
    )


def _explanations(evidence: Evidence, chosen: list[str]) -> list[Explanation]:
    return sorted(evidence.explanations, key=lambda e: (not e.strong, _rank(e.name, chosen)))


def _steps(evidence: Evidence, chosen: list[str]) -> list[Action]:
    return sorted(evidence.actions, key=lambda a: _rank(a.name, chosen))


def _rank(name: str, chosen: list[str]) -> int:
    return chosen.index(name) if name in chosen else len(chosen)
