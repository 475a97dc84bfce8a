"""The evidence pack: what a narrator gets to know of a ring. Pseudonyms, typed numbers and words from closed lists."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec

from fraudgraph.durations import DAY_MS, HOUR_MS, MINUTE_MS
from fraudgraph.rings.facts_words import currency_code, major, minute

MAX_TOKENS: Final = 1500
CHARS_PER_TOKEN: Final = 2.0
"""Fewer than any tokenizer in use needs for such text, those that split numbers into digits included."""

MAX_CHARS: Final = int(MAX_TOKENS * CHARS_PER_TOKEN)

SHOWN_NAMES: Final = 5
"""So many entries of a list are in the pack; the rest is counted beside it, as `accounts_more`."""

ALL: Final = "all"
"""Stands for the list of all members."""

Value = str | int | float | bool | tuple[str | int, ...]
"""A closed word or a pseudonym, a number in the unit of its field, or a list of pseudonyms or numbers."""


class Unit(StrEnum):
    """What a field's number counts."""

    COUNT = "count"
    TIME = "time"
    SPAN = "span"
    MONEY = "money"
    CURRENCY = "currency"
    SHARE = "share"
    WORD = "word"
    NAME = "name"


class Side(StrEnum):
    """Whether a fact speaks for a ring, against one, or only says how things are."""

    FOR = "for"
    AGAINST = "against"
    CONTEXT = "context"


UNITS: Final[Mapping[str, Unit]] = MappingProxyType(
    {
        **dict.fromkeys(("first", "last", "at", "known_since"), Unit.TIME),
        **dict.fromkeys(("median_gap", "median_span", "median_wait", "youngest_age"), Unit.SPAN),
        **dict.fromkeys(
            ("amount", "refunded", "charged_back", "ordered", "exposed", "at_risk", "sent", "open"), Unit.MONEY
        ),
        "currency": Unit.CURRENCY,
        "similarity": Unit.SHARE,
        **dict.fromkeys(("value", "verdict", "role", "name", "severity"), Unit.WORD),
        **dict.fromkeys(
            (
                "identifier",
                "identifiers",
                "account",
                "constraint",
                "accounts",
                "chain",
                "past",
                "rule",
                "most_declined_account",
                "evidence",
                "contradicted_by",
            ),
            Unit.NAME,
        ),
    }
)
"""Unit by the name of a field; what is not named here is a count. Times and spans are in ms, money in minor units."""


class PackFact(msgspec.Struct, frozen=True):
    """A fact, or a row: the ring (`R`), its money in one currency (`V1`), a member (`U3`), an innocent
    explanation that the facts allow (`X1`).

    Attributes:
        id: what a claim cites; `E4` is the fact of the same number in the report.
        kind: one of `rings.facts.FACT_KINDS`, or `ring`, `money`, `member`, `explanation`.
        percent: a fact's weight in percent: above 0 it speaks for a ring, below 0 against one; 0 for rows.
        fields: as in `rings`, without units in the names (`UNITS` has them), user ids as pseudonyms, without masks.
            A list holds its first `SHOWN_NAMES`; `accounts_more` counts the rest, and `accounts=all` means all members.
            What is 0 or no is left out.
    """

    id: str
    kind: str
    percent: int
    fields: dict[str, Value]

    @property
    def weight(self) -> float:
        """How much it speaks for a ring, in [-1, 1]."""
        return self.percent / 100

    @property
    def side(self) -> Side:
        """Whether it speaks for a ring or against one."""
        return Side.FOR if self.percent > 0 else Side.AGAINST if self.percent < 0 else Side.CONTEXT


class EvidencePack(msgspec.Struct, frozen=True):
    """What a narrator may read of one ring: the only form in which a ring leaves this machine.

    It holds no text that a customer, a shop or an analyst wrote: no user id, mask, name, reason or note. At most
    `MAX_TOKENS` for any ring, by `CHARS_PER_TOKEN` on `text`; the same for the same snapshot.

    Attributes:
        facts: those shown, strongest for a ring first, those against it and those that only say how things are after.
        rows: the ring, its money per currency, innocent explanations, members by role and weight.
        facts_total, members_total: of how many they were chosen.
    """

    facts: tuple[PackFact, ...]
    rows: tuple[PackFact, ...]
    facts_total: int
    members_total: int

    @property
    def coverage(self) -> str:
        """`40 of 312 facts, 8 of 60 members`."""
        members = sum(row.kind == "member" for row in self.rows)
        return f"{len(self.facts)} of {self.facts_total} facts, {members} of {self.members_total} members"

    def find(self, name: str) -> PackFact | None:
        """Returns a fact or row by its id."""
        return next((item for item in (*self.rows, *self.facts) if item.id == name), None)

    def text(self) -> str:
        """Returns the pack as lines, one per row and fact: `E4 shared-identifier +61 identifier=D1 members=5 …`.

        Times are RFC 3339 in UTC to the minute, spans in minutes, hours or days, money in major units; a slot's
        reference is the line's id and the name before `=`. ASCII, whatever the shop's data hold.
        """
        return "\n".join(self._lines()) + "\n"

    @property
    def hash(self) -> str:
        """BLAKE2b (RFC 7693) of all that a narrative says, 128 bits in hex.

        It changes when something happens in the ring, and not as time passes: what a fact weighs fades while nothing
        happens, and an order is shipped by and by. No claim says either.
        """
        lines = (line(item, fading=False) for item in (*self.rows, *self.facts))
        return hashlib.blake2b("\n".join((self.coverage, *lines)).encode(), digest_size=16).hexdigest()

    def _lines(self) -> Iterator[str]:
        yield f"coverage {self.coverage}"
        for item in (*self.rows, *self.facts):
            yield line(item)


FADING: Final = frozenset({"open"})
"""Fields that change while nothing happens."""


def line(item: PackFact, *, fading: bool = True) -> str:
    """Returns one row or fact as the pack's text has it, or without what changes as time passes."""
    said = " ".join(f"{name}={written(item, name)}" for name in item.fields if fading or name not in FADING)
    weight = f" {item.percent:+d}" if item.id.startswith("E") and fading else ""
    return f"{item.id} {item.kind}{weight} {said}"


def written(item: PackFact, name: str) -> str:
    """Returns a field's value as the pack writes it; a claim that quotes it (`E4.members=5`) is held against this."""
    value = item.fields[name]
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    unit = UNITS.get(name, Unit.COUNT)
    if unit is Unit.SHARE:
        return f"{value:.0%}"
    number = int(value)
    if unit is Unit.TIME:
        return f"{minute(number).replace(' ', 'T')}Z"
    if unit is Unit.SPAN:
        return span(number)
    if unit is Unit.CURRENCY:
        return currency_code(number) or "none"
    if unit is Unit.MONEY:
        currency = item.fields.get("currency", 0)
        return amount(number, currency if isinstance(currency, int) else 0)
    return str(number)


def span(ms: int) -> str:
    """Returns `34min`, `5h`, `12d`: the coarsest unit of which there are at least two."""
    minutes = round(ms / MINUTE_MS)
    if minutes < 120:
        return f"{minutes}min"
    hours = round(ms / HOUR_MS)
    return f"{hours}h" if hours < 48 else f"{round(ms / DAY_MS)}d"


def amount(minor: int, currency: int) -> str:
    """Returns `1234.56EUR`; the bare number where the currency is not known."""
    return f"{major(minor, currency):f}{currency_code(currency) or ''}"
