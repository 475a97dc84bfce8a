"""Records that stores keep as JSON, because they are few and read as a whole."""

from __future__ import annotations

from typing import Final

import msgspec

from fraudgraph.cases.constraints import Constraint
from fraudgraph.cases.decisions import Decision
from fraudgraph.rings.snapshot import RingSnapshot

DECISIONS: Final = msgspec.json.Decoder(Decision)
CONSTRAINTS: Final = msgspec.json.Decoder(Constraint)
FINGERPRINTS: Final = msgspec.json.Decoder(tuple[str, ...])
SNAPSHOTS: Final = msgspec.json.Decoder(RingSnapshot)
CONTRIBUTIONS: Final = msgspec.json.Decoder(dict[str, float])


def json_text(record: object) -> str:
    """Returns a record as JSON."""
    return msgspec.json.encode(record).decode()
