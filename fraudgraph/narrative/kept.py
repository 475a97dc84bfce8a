"""A plan that is kept in the store: it names nobody but by pseudonym, and is verified anew whenever it is shown."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from fraudgraph.narrative.claims import Plan
from fraudgraph.narrative.evidence import Evidence
from fraudgraph.narrative.narrate import NO_ANSWER, planned, realise
from fraudgraph.narrative.port import Narrative, Planner, PlanReply
from fraudgraph.narrative.verifier import VERIFIER, verify


@dataclass(frozen=True, slots=True)
class Asked:
    """Who is asked for plans: a model with what pins it, and the hash of what it is asked apart from the evidence."""

    model: str
    prompt_hash: str


@dataclass(frozen=True, slots=True)
class KeptPlan:
    """What was planned for a ring, with the hashes of all that it rests on; the same fields as the store keeps.

    The last four say how making it went, and are not kept: `answered` is False where the model gave no answer, and the
    template speaks for the time being.
    """

    ring_id: str
    evidence_hash: str
    prompt_hash: str
    model: str
    verifier: str
    body: bytes
    answered: bool = True
    fallback: str = ""
    cost_micros: int = 0
    currency: str = ""

    def still(self, evidence: Evidence, asked: Asked) -> bool:
        """Whether nothing that it rests on has changed."""
        mine = (self.evidence_hash, self.prompt_hash, self.model, self.verifier)
        return mine == (evidence.hash, asked.prompt_hash, asked.model, VERIFIER)


class _Body(msgspec.Struct, frozen=True):
    reply: PlanReply
    fallback: str = ""


def keep(evidence: Evidence, planner: Planner | None, asked: Asked) -> KeptPlan:
    """Plans a ring, and returns what is to be kept; never fails for a model's sake.

    A model that answered badly is not asked again for the same evidence: then the template's plan is kept.
    """
    reply, _, fallback = planned(evidence, planner)
    return KeptPlan(
        ring_id=evidence.snapshot.ring_id,
        evidence_hash=evidence.hash,
        prompt_hash=asked.prompt_hash,
        model=asked.model,
        verifier=VERIFIER,
        body=msgspec.json.encode(_Body(reply, fallback)),
        answered=not fallback.startswith(NO_ANSWER),
        fallback=fallback,
        cost_micros=reply.cost_micros,
        currency=reply.cost_currency,
    )


def retold(evidence: Evidence, evidence_hash: str, body: bytes) -> Narrative | None:
    """Returns the narrative of a kept plan for a ring as it is now, or None where the evidence is another by now.

    Everything in it is verified again: what a store holds is believed no more than what a model says.
    """
    if evidence_hash != evidence.hash or (kept := _read(body)) is None:
        return None
    checked = verify(kept.reply.plan, evidence)
    return realise(evidence, kept.reply, checked, kept.fallback)


def kept_plan(body: bytes) -> Plan | None:
    """Returns the plan of a kept body; None where it is another one's body, or the template's for a model."""
    kept = _read(body)
    return None if kept is None or kept.fallback else kept.reply.plan


def _read(body: bytes) -> _Body | None:
    try:
        return msgspec.json.decode(body, type=_Body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
