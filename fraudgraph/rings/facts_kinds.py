"""What a fact is, and what a kind of fact must give."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from fraudgraph.rings.facts_view import RingView

FieldValue = str | int | float | bool | None | tuple[str, ...] | tuple[int, ...]
"""`…_ms` are times or spans in ms, `…_minor` money in minor units of `currency` (ISO 4217 numeric)."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One statement about a ring, as cited by everything that is said about it.

    Attributes:
        id: `E1`, `E2`, …
        kind: one of `FACT_KINDS`.
        text: a sentence in plain words: masks and short names only, no raw identifier. User ids are the shop's
            own text: whoever shows it escapes it.
        fields: the numbers of the sentence, typed.
        weight: in [-1, 1]: how much it speaks for a ring, or below 0 against one; it orders and never scores.
    """

    id: str
    kind: str
    text: str
    fields: Mapping[str, FieldValue]
    weight: float


class Draft(NamedTuple):
    """A fact without its number."""

    text: str
    weight: float
    fields: dict[str, FieldValue]


@dataclass(frozen=True, slots=True)
class FactKind:
    """A kind of fact: how it is derived, and which fields name its subject."""

    name: str
    derive: Callable[[RingView], Iterable[Draft]]
    subject: tuple[str, ...] = ()

    def identity(self, fields: Mapping[str, FieldValue]) -> tuple[str, ...]:
        """Returns what tells two facts of this kind apart."""
        return tuple(str(fields[name]) for name in self.subject)


def weighed(weight: float) -> float:
    """Returns a weight within its bounds, rounded so that the order of sums does not show."""
    return round(max(-1.0, min(1.0, weight)), 6)


def densest(times: Sequence[tuple[int, str]], width_ms: int) -> tuple[int, int]:
    """Returns the slice `[start, end)` of sorted (ms, name) with the most entries within `width_ms`; the earliest."""
    best, start = (0, 0), 0
    for end, (ms, _) in enumerate(times, 1):
        while ms - times[start][0] > width_ms:
            start += 1
        if end - start > best[1] - best[0]:
            best = (start, end)
    return best


def median(values: Iterable[int]) -> int:
    """Returns the lower median."""
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2]


def gaps(times: Sequence[int]) -> Iterator[int]:
    """Yields the differences of successive times."""
    for a, b in pairwise(times):
        yield b - a
