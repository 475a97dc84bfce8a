"""Who tells a ring: the planner's port, what it answers, and the narrative that comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

from fraudgraph.narrative.claims import Plan
from fraudgraph.narrative.pack import EvidencePack

DISCLAIMER: Final = (
    "Every sentence above follows from the evidence that it cites.",
    "These are proposals: nothing was done, nobody is accused, and a person decides.",
)
"""Said below every narrative."""

READING_NOTE: Final = "The model's own reading, not verified:"
"""Said above a reading, wherever it is shown."""


class PlanReply(msgspec.Struct, frozen=True):
    """A planner's answer.

    Attributes:
        narrator: who planned, as the report shows it: `template`, or a model's name.
        version: of the planner.
        prompt_hash: of all that was asked apart from the pack; "" for the template.
        model: the model and what pins it; "" for the template.
        cost_micros: in millionths of `cost_currency`, 0 where it is not known.
    """

    plan: Plan
    narrator: str
    version: str
    prompt_hash: str = ""
    model: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    cost_micros: int = 0
    cost_currency: str = ""
    cached: bool = False


class Failure(msgspec.Struct, frozen=True):
    """A claim that did not hold.

    Attributes:
        section, place: where it stands in the plan; place from 0.
        why: one of `verifier.Why`, a closed list.
    """

    section: str
    place: int
    why: str


class Planner(Protocol):
    """Whoever decides what is said of a ring: the template, a language model, a test's liar.

    `narrate.narrate` calls it, from the command line (template only) and from the narration worker, never from the
    engine. It gets the pack alone: neither names nor the snapshot. Calls for the same pack may be repeated and may
    give different answers; nothing is promised of a plan, for all of it is verified. One planner is called by one
    thread at a time.
    """

    def plan(self, pack: EvidencePack) -> PlanReply:
        """Returns a plan.

        Raises:
            PlanError: the answer is no plan.
            DependencyError: no answer came (down, slow, over the budget, refused); the template speaks instead.
        """
        ...

    def repair(self, pack: EvidencePack, reply: PlanReply, failures: tuple[Failure, ...]) -> PlanReply | None:
        """Returns a better plan after claims failed, asked at most once per ring; None to leave it at that.

        Raises:
            PlanError, DependencyError: as `plan`; what held of the first answer is then kept.
        """
        ...


class Sentence(msgspec.Struct, frozen=True):
    """One sentence of a narrative.

    Attributes:
        text: with the names that a report may show. User ids are the shop's own text: whoever shows it escapes it.
        evidence: what it rests on, as the pack numbers it.
        claims: the kinds of the claims that it says, in order; an action's or explanation's name.
    """

    text: str
    evidence: tuple[str, ...]
    claims: tuple[str, ...]


class Narrative(msgspec.Struct, frozen=True):
    """What is said of a ring, all of it verified but the reading.

    Attributes:
        pattern: a key of `PATTERNS` that the facts bear.
        sufficient: whether the evidence suffices to call it anything.
        verified, removed: claims that held, and that did not and are gone.
        removed_why: how many were removed for which reason.
        narrator, version, model: who planned; `template` where the planner failed or too little of it held.
        fallback: why the template speaks for another planner, "" where nothing of the kind happened.
        evidence_hash, prompt_hash, verifier: with narrator, version and model: made anew when one of them changes.
        reading: in the model's own words, cleaned, not verified; shown only on the screen, after `READING_NOTE`.
        cost_micros: in millionths of `cost_currency`.
    """

    ring_id: str
    headline: str
    pattern: str
    sufficient: bool
    summary: tuple[Sentence, ...]
    risk_reasons: tuple[Sentence, ...]
    innocent_explanations: tuple[Sentence, ...]
    next_actions: tuple[Sentence, ...]
    open_questions: tuple[Sentence, ...]
    verified: int
    removed: int
    removed_why: Mapping[str, int]
    narrator: str
    version: str
    model: str
    fallback: str
    evidence_hash: str
    prompt_hash: str
    verifier: str
    coverage: str
    reading: tuple[str, ...] = ()
    cost_micros: int = 0
    cost_currency: str = ""
    disclaimer: tuple[str, ...] = DISCLAIMER

    @property
    def count_words(self) -> str:
        """`9 of 10 claims verified, 1 removed`."""
        said = f"{self.verified} of {self.verified + self.removed} claims verified"
        return f"{said}, {self.removed} removed" if self.removed else said
