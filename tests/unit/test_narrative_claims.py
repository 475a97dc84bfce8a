"""Plans are read strictly, and their schema is one that any server understands."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from support.snapshots import EXAMPLES

from fraudgraph.narrative.claims import (
    MAX_ITEMS,
    MAX_PLAN_BYTES,
    Claim,
    Plan,
    PlanError,
    PlanFault,
    Slot,
    plan_schema,
    read_plan,
    write_plan,
)
from fraudgraph.narrative.evidence import make_evidence
from fraudgraph.narrative.template import make_plan

EMPTY = Plan("unclear", (), (), (), (), (), False)


def changed(**fields: Any) -> bytes:
    return json.dumps(json.loads(write_plan(EMPTY)) | fields).encode()


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_templates_plan_fits_the_schema_and_is_read_back(name: str) -> None:
    plan = make_plan(make_evidence(EXAMPLES[name]()).pack)
    jsonschema.validate(json.loads(write_plan(plan)), plan_schema())
    assert read_plan(write_plan(plan)) == plan


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", PlanFault.NOT_JSON),
        (b"Sure! Here is the plan:", PlanFault.NOT_JSON),
        (b"{", PlanFault.NOT_JSON),
        (b"\xff\xfe", PlanFault.NOT_JSON),
        (b"[" * 10_000, PlanFault.WRONG_SHAPE),
        (b"[]", PlanFault.WRONG_SHAPE),
        (b"{}", PlanFault.WRONG_SHAPE),
        (changed(verdict="guilty"), PlanFault.WRONG_SHAPE),
        (changed(sufficient="yes"), PlanFault.WRONG_SHAPE),
        (changed(summary=[{"kind": "burst", "evidence": "E1"}]), PlanFault.WRONG_SHAPE),
        (changed(summary=[{"kind": "burst"}] * (MAX_ITEMS["summary"] + 1)), PlanFault.TOO_MANY),
        (changed(summary=[{"kind": "burst", "evidence": ["E1"] * 40}]), PlanFault.TOO_MANY),
        (changed(pattern="x" * 500), PlanFault.TOO_LONG),
        (changed(reading=[{"text": "x" * 500}]), PlanFault.TOO_LONG),
        (b" " * (MAX_PLAN_BYTES + 1), PlanFault.TOO_LARGE),
    ],
)
def test_what_is_no_plan_is_refused_by_its_fault_and_not_quoted(content: bytes, fault: PlanFault) -> None:
    with pytest.raises(PlanError) as refused:
        read_plan(content)
    assert refused.value.fault is fault
    assert "guilty" not in str(refused.value)


def test_what_a_plan_leaves_out_has_a_default() -> None:
    plan = read_plan(changed(summary=[{"kind": "burst"}]))
    assert plan.summary == (Claim("burst"),)
    assert Claim("burst", slots=(Slot("members", "E1.members"),)).slot("members") == "E1.members"
    assert Claim("burst").slot("members") is None


def test_the_schema_is_plain_and_closed() -> None:
    seen: set[str] = set()

    def walk(part: Any) -> None:
        if isinstance(part, dict) and isinstance(part.get("type"), str):
            seen.update(part)
            if part["type"] == "object":
                assert part["additionalProperties"] is False
                assert part["required"] == list(part["properties"])
                for value in part["properties"].values():
                    walk(value)
            elif part["type"] == "array":
                walk(part["items"])
            else:
                assert part["type"] in ("string", "boolean", "integer")
        else:
            raise AssertionError(part)

    walk(plan_schema())
    assert seen == {"type", "properties", "required", "additionalProperties", "items", "enum"}
