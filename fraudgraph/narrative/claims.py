"""Claims: what a narrator may say. It chooses, orders and connects; numbers, names and words come from the evidence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

import msgspec

from fraudgraph.errors import FraudgraphError
from fraudgraph.narrative.catalogue import ACTIONS, CLAIM_KINDS, EXPLANATIONS, PATTERNS, QUESTIONS, SLOT_NAMES

MAX_PLAN_BYTES: Final = 64 * 1024
MAX_TEXT: Final = 120
"""Bytes of a plan, and characters of each text in it but those of the reading."""

MAX_EVIDENCE: Final = 12
MAX_SLOTS: Final = 12
MAX_ITEMS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "summary": 16,
        "risk_reasons": 16,
        "innocent_explanations": 8,
        "next_actions": 9,
        "open_questions": 8,
        "reading": 3,
    }
)
MAX_READING: Final = 400
"""Characters of one sentence of the reading."""


class Connective(StrEnum):
    """How a claim hangs together with the one before it; each is verified, and left out where it does not hold."""

    NONE = "none"
    ALSO = "also"
    FIRST = "first"
    THEN = "then"
    SAME_TIME = "at-the-same-time"
    BUT = "but"
    THEREFORE = "therefore"


class Slot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One value of a claim.

    `value` is a reference to a field of the pack (`E4.members`), the same with what the narrator read there
    (`E4.members=5`, which must be right), or an entity of the pack (`U3`, `D1`).
    """

    name: str
    value: str


class Claim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One statement: `kind` is a key of the section's catalogue, `evidence` ids of the pack (`E4`, `R`, `V1`, `U3`)."""

    kind: str
    evidence: tuple[str, ...] = ()
    slots: tuple[Slot, ...] = ()
    connective: str = Connective.NONE

    def slot(self, name: str) -> str | None:
        """Returns the value of a slot; None where the narrator left it to the evidence."""
        return next((slot.value for slot in self.slots if slot.name == name), None)


class Reading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sentence in the narrator's own words, which is never shown as fact.

    `text` names numbers, entities and times only as `{E4.members}`; `claims` are places in `summary`.
    """

    text: str
    claims: tuple[int, ...] = ()


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a narrator would say of a ring.

    Attributes:
        pattern: a key of `PATTERNS`.
        summary, risk_reasons: of `CLAIM_KINDS`.
        innocent_explanations: of `EXPLANATIONS`.
        next_actions: of `ACTIONS`; their words and reasons are the house's.
        open_questions: of `QUESTIONS`.
        sufficient: whether the evidence suffices to call it anything.
    """

    pattern: str
    summary: tuple[Claim, ...]
    risk_reasons: tuple[Claim, ...]
    innocent_explanations: tuple[Claim, ...]
    next_actions: tuple[Claim, ...]
    open_questions: tuple[Claim, ...]
    sufficient: bool
    reading: tuple[Reading, ...] = ()


SECTIONS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "summary": CLAIM_KINDS,
        "risk_reasons": CLAIM_KINDS,
        "innocent_explanations": EXPLANATIONS,
        "next_actions": ACTIONS,
        "open_questions": QUESTIONS,
    }
)
"""Sections of a plan, in the order in which they are read, each with what it may hold."""


class PlanFault(StrEnum):
    """Why a plan cannot be read at all; what is wrong with a single claim is the verifier's to say."""

    TOO_LARGE = "too-large"
    NOT_JSON = "not-json"
    WRONG_SHAPE = "wrong-shape"
    TOO_MANY = "too-many"
    TOO_LONG = "too-long"


class PlanError(FraudgraphError):
    """A narrator's answer is no plan; `fault` says why, and nothing of the answer is in the message."""

    def __init__(self, fault: PlanFault) -> None:
        super().__init__(f"the narrator's answer is no plan ({fault})", do="The template narrator speaks instead.")
        self.fault = fault


_SURROGATES = re.compile("[\ud800-\udfff]")


def read_plan(content: bytes) -> Plan:
    """Returns a plan from JSON, checked for its shape and sizes only; kinds and references are the verifier's.

    Raises:
        PlanError: it is none.
    """
    if len(content) > MAX_PLAN_BYTES:
        raise PlanError(PlanFault.TOO_LARGE)
    try:
        plan = _decoder().decode(content)
    except msgspec.ValidationError:
        raise PlanError(PlanFault.WRONG_SHAPE) from None  # its message may quote the answer
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise PlanError(PlanFault.NOT_JSON) from None
    _check_sizes(plan)
    return plan


def _check_sizes(plan: Plan) -> None:
    if any(len(getattr(plan, name)) > most for name, most in MAX_ITEMS.items()):
        raise PlanError(PlanFault.TOO_MANY)
    claims = [claim for name in SECTIONS for claim in getattr(plan, name)]
    if any(len(c.evidence) > MAX_EVIDENCE or len(c.slots) > MAX_SLOTS for c in claims):
        raise PlanError(PlanFault.TOO_MANY)
    texts = [plan.pattern]
    for c in claims:
        texts += (c.kind, c.connective, *c.evidence, *(t for slot in c.slots for t in (slot.name, slot.value)))
    if any(len(text) > MAX_TEXT for text in texts) or any(len(r.text) > MAX_READING for r in plan.reading):
        raise PlanError(PlanFault.TOO_LONG)


@lru_cache(maxsize=1)
def _decoder() -> msgspec.json.Decoder[Plan]:
    return msgspec.json.Decoder(Plan)


def write_plan(plan: Plan) -> bytes:
    """Returns a plan as JSON, every field written."""
    return msgspec.json.encode(plan)


@lru_cache(maxsize=1)
def plan_schema() -> dict[str, Any]:
    """Returns the JSON schema of a plan: objects, arrays, enumerations, strings, nothing else.

    Every property is required and none other allowed, as strict structured output asks for; there are no lengths and
    no patterns, on which servers differ: `read_plan` and the verifier see to those.
    """
    sections = {name: _array(_claim(sorted(kinds))) for name, kinds in SECTIONS.items()}
    reading = _object({"text": {"type": "string"}, "claims": _array({"type": "integer"})})
    return _object(
        {
            "pattern": {"type": "string", "enum": sorted(PATTERNS)},
            **sections,
            "sufficient": {"type": "boolean"},
            "reading": _array(reading),
        }
    )


def _claim(kinds: list[str]) -> dict[str, Any]:
    slot = _object({"name": {"type": "string", "enum": sorted(SLOT_NAMES)}, "value": {"type": "string"}})
    return _object(
        {
            "kind": {"type": "string", "enum": kinds},
            "evidence": _array({"type": "string"}),
            "slots": _array(slot),
            "connective": {"type": "string", "enum": [c.value for c in Connective]},
        }
    )


def _array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
