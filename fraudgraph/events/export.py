"""The event's JSON Schema, made from the structs that decode it, so that it cannot differ from them."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from fraudgraph.events.schema import Event

SCHEMA_VERSION: Final = 1


def event_json_schema() -> dict[str, Any]:
    """Returns the JSON Schema (draft 2020-12) of one event; `schema_version` counts incompatible changes."""
    schema = msgspec.json.schema(Event)
    for struct in schema["$defs"].values():
        if "amount" in struct["properties"]:
            # The decoder reads a decimal from a JSON number too, digit by digit; msgspec's schema leaves that out.
            decimal, _null = struct["properties"]["amount"]["anyOf"]
            decimal["type"] = ["string", "number"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:fraudgraph:event:{SCHEMA_VERSION}",
        "title": "fraudgraph event",
        "schema_version": SCHEMA_VERSION,
        **schema,
    }
