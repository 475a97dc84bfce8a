"""Words for what a fact holds: an identifier, a number, a time, an amount."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from fraudgraph.narrative.pack import PackFact
from fraudgraph.narrative.slots import number
from fraudgraph.rings.facts_words import between, duration, money

NOUNS: Final[Mapping[str, str]] = MappingProxyType(
    {"D": "device", "IP": "IP address", "C": "card", "M": "e-mail address", "P": "phone number", "A": "address"}
)
"""What an identifier is, by the letters of its short name."""

Values = dict[str, str]
"""Values of a phrase by the names of its places."""


def noun_of(name: str) -> str:
    """Returns `device` for `D3`."""
    return NOUNS[name.rstrip("0123456789")]


def identifier_of(item: PackFact) -> str:
    """Returns the identifier's short name that a fact is about."""
    return str(item.fields["identifier"])


def number_of(item: PackFact, field: str) -> int:
    """Returns a field's number, 0 where it has none."""
    return number(item, field) or 0


def between_of(item: PackFact) -> str:
    """Returns from when to when."""
    return between(number_of(item, "first"), number_of(item, "last"))


def span_of(item: PackFact) -> str:
    """Returns how long from first to last."""
    return duration(number_of(item, "last") - number_of(item, "first"))


def cash_of(item: PackFact, field: str) -> str:
    """Returns an amount with its currency."""
    return money(number_of(item, field), number_of(item, "currency"))


def is_n(n: int) -> str:
    """Returns `is` for one, `are` for several."""
    return "is" if n == 1 else "are"


def was_n(n: int) -> str:
    """Returns `was` for one, `were` for several."""
    return "was" if n == 1 else "were"
