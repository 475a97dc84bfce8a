"""The JSON Schema says what the decoder does."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from fraudgraph.events.export import event_json_schema
from fraudgraph.events.kinds import EventType

LOGIN = {"type": "login", "event_id": "e1", "ts": "2026-03-01T14:05:00Z", "user_id": "17"}


def test_it_is_a_valid_schema_with_a_version_and_every_type_of_event() -> None:
    schema = event_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"].endswith(f":{schema['schema_version']}")
    assert set(schema["discriminator"]["mapping"]) == {kind.name.lower() for kind in EventType}


@pytest.mark.parametrize(
    "change", [{}, {"amount": 12.5}, {"amount": "12.50", "currency": "EUR"}, {"ip": None}, {"new": 1}]
)
def test_it_accepts_what_the_decoder_accepts(change: dict[str, Any]) -> None:
    jsonschema.validate(LOGIN | change, event_json_schema())


@pytest.mark.parametrize(
    "change", [{"type": "burp"}, {"user_id": 17}, {"event_id": ""}, {"amount": True}, {"card": ""}]
)
def test_it_refuses_what_the_decoder_refuses(change: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(LOGIN | change, event_json_schema())
