"""`fraudgraph schema events` is a valid JSON Schema that accepts good events and refuses bad ones."""

from __future__ import annotations

import json

import jsonschema
import pytest
from typer.testing import CliRunner

from fraudgraph.cli import app

GOOD = {"type": "order", "event_id": "e1", "ts": "2026-03-01T14:05:00Z", "user_id": "u1", "amount": "12.50"}


@pytest.fixture(scope="module")
def schema() -> dict[str, object]:
    result = CliRunner().invoke(app, ["schema", "events"])
    assert result.exit_code == 0
    document: dict[str, object] = json.loads(result.stdout)
    return document


def test_it_is_a_versioned_json_schema(schema: dict[str, object]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["schema_version"] == 1


def test_it_tells_good_events_from_bad_ones(schema: dict[str, object]) -> None:
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid(GOOD)
    assert not validator.is_valid(GOOD | {"type": "gift"})
    assert not validator.is_valid({k: v for k, v in GOOD.items() if k != "user_id"})
    assert not validator.is_valid(GOOD | {"amount": {"value": 12}})


def test_an_alert_has_a_schema_too() -> None:
    result = CliRunner().invoke(app, ["schema", "alerts"])
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    jsonschema.Draft202012Validator.check_schema(document)
    assert "alert_id" in result.stdout
