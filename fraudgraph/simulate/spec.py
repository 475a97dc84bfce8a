"""What a simulated world is made of: its size, its time, its share of fraud, its label noise."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import msgspec

from fraudgraph.durations import DAY_MS
from fraudgraph.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable


TYPOLOGIES = ("fake_accounts", "payment_abuse", "account_takeover", "return_scam", "promo_abuse")

_SHARES = ("ring_share", "label_missing", "label_wrong")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldSpec:
    """The whole input of a world: the same spec gives byte-identical files.

    Attributes:
        seed: of every random draw, 0 or more.
        users: accounts, honest and fraudulent.
        days: length of the stream.
        start: first day, from 00:00 UTC.
        ring_share: of the accounts, those that are members of rings; in [0, 0.2].
        typologies: kinds of ring to draw from, equally often.
        min_members, max_members: sizes of rings; drawn log-normally between them.
        label_missing: share of fraudulent orders and members that nobody ever reports.
        label_wrong: share of reports that say the opposite of the truth.
        currency: ISO 4217 code of every amount; must have two decimals.

    Raises:
        ConfigurationError: a value cannot make a world; the message names it and its range.
    """

    seed: int
    users: int
    days: int
    start: date = date(2026, 1, 1)
    ring_share: float = 0.015
    typologies: tuple[str, ...] = TYPOLOGIES
    min_members: int = 3
    max_members: int = 40
    label_missing: float = 0.3
    label_wrong: float = 0.03
    currency: str = "EUR"

    def __post_init__(self) -> None:
        _within("seed", self.seed, 0, 2**63 - 1)
        _within("users", self.users, 100, 2_000_000)
        _within("days", self.days, 1, 730)
        _within("start", self.start.year, 1971, 2200)
        for name in _SHARES:
            _within(name, getattr(self, name), 0.0, 0.2 if name == "ring_share" else 1.0)
        _within("min_members", self.min_members, 3, 40)
        _within("max_members", self.max_members, self.min_members, 200)
        _known("typologies", self.typologies, TYPOLOGIES)
        if not self.typologies:
            raise ConfigurationError("typologies is empty", do=f"Name at least one of {', '.join(TYPOLOGIES)}.")
        _known("currency", (self.currency,), ("CHF", "EUR", "GBP", "SEK", "USD"))

    @property
    def start_ms(self) -> int:
        """Returns the first instant of the world, ms since the epoch."""
        return int(datetime(self.start.year, self.start.month, self.start.day, tzinfo=UTC).timestamp()) * 1000

    @property
    def end_ms(self) -> int:
        """Returns the first instant after the world, ms since the epoch."""
        return self.start_ms + self.days * DAY_MS

    @property
    def hash(self) -> str:
        """Returns 16 hex digits that change with every value of the spec."""
        return hashlib.blake2b(msgspec.json.encode(self, order="sorted"), digest_size=8).hexdigest()


def _within(name: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise ConfigurationError(f"{name} is {value}", do=f"Give a value between {low} and {high}.")


def _known(name: str, values: Iterable[str], known: tuple[str, ...]) -> None:
    unknown = [value for value in values if value not in known]
    if unknown:
        raise ConfigurationError(f"{name} has {unknown[0]!r}", do=f"Choose from {', '.join(known)}.")
