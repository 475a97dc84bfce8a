"""An alert as the world outside gets it: versioned JSON, without personal data."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

VERSION: Final = "1"


class AlertMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One alert. It may come more than once, always under the same `alert_id`: that is what to know it again by.

    Who is in the ring is not in it: `fraudgraph rings show RING_ID` says so, to those who may read the store.
    """

    version: Annotated[Literal["1"], Meta(description="Of this format; fields are only added within one.")] = VERSION
    alert_id: Annotated[str, Meta(description="The same in every delivery of this alert.")]
    ring_id: Annotated[str, Meta(description="The ring's id when it was alerted; it may have merged since.")]
    at: Annotated[str, Meta(description="Event time of the last event in the ring, RFC 3339.")]
    probability: Annotated[float, Meta(ge=0, le=1, description="That this is fraud, calibrated.")]
    priority: Annotated[float, Meta(ge=0, description="Value at risk times probability times recency.")]
    reason: Annotated[str, Meta(description="The strongest reasons, in words.")]
    users: Annotated[int, Meta(ge=0, description="Accounts in the ring, as of this delivery.")]
    identifiers: Annotated[int, Meta(ge=0, description="What they share, as of this delivery.")]
    value_at_risk_minor: Annotated[int, Meta(ge=0, description="In minor units, as of this delivery.")]
    currency: Annotated[int, Meta(ge=0, description="ISO 4217 number of the currency, 978 for EUR; 0 for none.")]


def encode(message: AlertMessage) -> bytes:
    """Returns the message as one line of JSON, without the line's end."""
    return msgspec.json.encode(message)


def alert_json_schema() -> dict[str, Any]:
    """Returns the JSON Schema (draft 2020-12) of a message."""
    return msgspec.json.schema(AlertMessage)
