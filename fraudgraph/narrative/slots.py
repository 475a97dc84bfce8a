"""Slots: what a claim's values refer to, read against the pack."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from fraudgraph.narrative.pack import ALL, UNITS, PackFact, Unit, Value, written

_REFERENCE: Final = re.compile(r"([A-Z]{1,2}[0-9]*)\.([a-z_]+)(?:=(.*))?", re.S)
_ENTITY: Final = re.compile(r"(?:U|D|C|M|P|A|IP|K|T)[1-9][0-9]*")


@dataclass(frozen=True, slots=True)
class Reference:
    """`E4.members=5`: the item, the field, and what the narrator read there, None where it does not say."""

    item: str
    field: str
    quote: str | None


def read_slot(value: str) -> Reference | str | None:
    """Returns a reference, an entity's pseudonym, or None where it is neither."""
    if found := _REFERENCE.fullmatch(value):
        return Reference(found[1], found[2], found[3])
    return value if _ENTITY.fullmatch(value) else None


def quoted_right(item: PackFact, field: str, quote: str) -> bool:
    """Returns whether a quotation is what the pack says there; a time may be quoted to the day, money without code."""
    said = written(item, field)
    if quote == said:
        return True
    unit = UNITS.get(field, Unit.COUNT)
    if unit is Unit.TIME:
        return quote == said.partition("T")[0]
    if unit is Unit.COUNT:
        return quote.replace(",", "") == said and "," not in said
    return False


def holds_entity(value: Value, entity: str) -> bool:
    """Returns whether a field names this entity; `all` names nobody in particular."""
    return value != ALL and (entity in value if isinstance(value, tuple) else entity == value)


def number(item: PackFact, field: str) -> int | None:
    """Returns a field's number; None where it has none."""
    value = item.fields.get(field)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
