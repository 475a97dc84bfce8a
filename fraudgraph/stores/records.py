"""Records that stores keep as JSON, because they are few and read as a whole."""

from __future__ import annotations

from typing import Final

import msgspec

from fraudgraph.cases.constraints import Constraint
from fraudgraph.cases.decisions import Decision
from fraudgraph.rings.rule_hits import NO_RULES, RingRules
from fraudgraph.rings.snapshot import RingSnapshot

DECISIONS: Final = msgspec.json.Decoder(Decision)
CONSTRAINTS: Final = msgspec.json.Decoder(Constraint)
FINGERPRINTS: Final = msgspec.json.Decoder(tuple[str, ...])
SNAPSHOTS: Final = msgspec.json.Decoder(RingSnapshot)
CONTRIBUTIONS: Final = msgspec.json.Decoder(dict[str, float])
_RULES: Final = msgspec.json.Decoder(RingRules)


def json_text(record: object) -> str:
    """Returns a record as JSON."""
    return msgspec.json.encode(record).decode()


def rules_text(rules: RingRules) -> str:
    """Returns what the rules said of a ring as JSON; "" where there were none."""
    return json_text(rules) if rules.rules else ""


def rules_of(text: str) -> RingRules:
    """Returns what `rules_text` wrote."""
    return _RULES.decode(text) if text else NO_RULES
