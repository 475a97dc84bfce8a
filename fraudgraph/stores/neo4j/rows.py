"""The port's records as properties, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fraudgraph.events.batch import LabelRow
from fraudgraph.stores.port import AlertRow, LineageRow, NarrativeRow, RingRow, StoredDeadLetter
from fraudgraph.stores.records import CONTRIBUTIONS, json_text, rules_of, rules_text

KEY_BYTES: Final = 16
SEEN_TIMES: Final = "<i8"
"""The layout of `:Seen`: keys of 16 bytes, one after the other, and their times as little-endian int64."""


def ring_properties(ring: RingRow) -> dict[str, Any]:
    """Returns a ring as properties, its contributions and rules as JSON."""
    plain = {name: getattr(ring, name) for name in RingRow.__dataclass_fields__}
    return plain | {"contributions": json_text(ring.contributions), "rules": rules_text(ring.rules)}


def ring_from(properties: Mapping[str, Any]) -> RingRow:
    """Returns a ring with the status as stored."""
    fields: dict[str, Any] = {name: properties.get(name) for name in RingRow.__dataclass_fields__}
    said = {
        "contributions": CONTRIBUTIONS.decode(properties["contributions"]),
        "rules": rules_of(properties.get("rules", "")),
    }
    return RingRow(**fields | said)


def label_properties(label: LabelRow) -> dict[str, Any]:
    """Returns a label as properties; pseudonyms in hex."""
    return {
        "key": label.key.hex(),
        "about_user": label.about_user,
        "about_order": None if label.about_order is None else label.about_order.hex(),
        "fraud": label.fraud,
        "about_ms": label.about_ms,
        "arrived_ms": label.arrived_ms,
        "source": label.source,
        "supersedes": None if label.supersedes is None else label.supersedes.hex(),
    }


def label_from(properties: Mapping[str, Any]) -> LabelRow:
    """Returns a label, of no event of a batch."""
    about_order, supersedes = properties.get("about_order"), properties.get("supersedes")
    return LabelRow(
        event=-1,
        key=bytes.fromhex(properties["key"]),
        about_user=properties.get("about_user"),
        about_order=None if about_order is None else bytes.fromhex(about_order),
        fraud=properties["fraud"],
        about_ms=properties["about_ms"],
        arrived_ms=properties["arrived_ms"],
        source=properties["source"],
        supersedes=None if supersedes is None else bytes.fromhex(supersedes),
    )


def alert_from(properties: Mapping[str, Any]) -> AlertRow:
    """Returns an alert."""
    return AlertRow(**{name: properties[name] for name in AlertRow.__dataclass_fields__})


def step_from(properties: Mapping[str, Any]) -> LineageRow:
    """Returns a step in a ring's life."""
    fields: dict[str, Any] = {name: properties.get(name) for name in LineageRow.__dataclass_fields__}
    return LineageRow(**fields)


def narrative_from(properties: Mapping[str, Any]) -> NarrativeRow:
    """Returns what was said about a ring."""
    fields = {name: properties[name] for name in NarrativeRow.__dataclass_fields__}
    return NarrativeRow(**fields | {"body": bytes(properties["body"])})


def letter_properties(letter: StoredDeadLetter, recorded_ms: int, first: int) -> dict[str, Any]:
    """Returns a dead letter as properties; `first` is where the store's numbers begin."""
    return {
        "number": first + letter.id,
        "reason": letter.reason,
        "detail": letter.detail,
        "partition": letter.partition,
        "offset": letter.offset,
        "commit_no": letter.commit,
        "recorded_ms": recorded_ms,
        "ciphertext": letter.ciphertext,
    }


def letter_from(properties: Mapping[str, Any], first: int) -> StoredDeadLetter:
    """Returns a dead letter; `first` is where the store's numbers begin."""
    return StoredDeadLetter(
        id=properties["number"] - first,
        reason=properties["reason"],
        detail=properties["detail"],
        partition=properties["partition"],
        offset=properties["offset"],
        commit=properties["commit_no"],
        ciphertext=bytes(properties["ciphertext"]),
    )
