"""The link policy: what an identifier is worth as a tie. Versioned, hashed, never swapped under a running engine."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Annotated

import msgspec
from msgspec import Meta

from fraudgraph.durations import DAY_MS
from fraudgraph.errors import ConfigurationError
from fraudgraph.events.kinds import IDENTIFIER_KINDS

_Factor = Annotated[float, Meta(gt=0.0, le=1.0)]


@dataclass(frozen=True, slots=True)
class KindPolicy:
    """What one kind of identifier is worth.

    Attributes:
        prior: strength of the identifier when two users share it freshly, in (0, 1].
        hub_users: with more active users than this it does not link, but stays visible.
        ttl_days: event time after which an unused link is forgotten.
    """

    prior: Annotated[float, Meta(gt=0.0, le=1.0)]
    hub_users: Annotated[int, Meta(ge=1)]
    ttl_days: Annotated[int, Meta(ge=1)]


def _default_kinds() -> dict[str, KindPolicy]:
    return {
        "device": KindPolicy(prior=0.95, hub_users=256, ttl_days=180),
        "card": KindPolicy(prior=0.95, hub_users=128, ttl_days=365),
        "email": KindPolicy(prior=0.95, hub_users=64, ttl_days=365),
        "phone": KindPolicy(prior=0.90, hub_users=64, ttl_days=365),
        "address": KindPolicy(prior=0.45, hub_users=128, ttl_days=365),
        "ip": KindPolicy(prior=0.30, hub_users=256, ttl_days=30),
    }


@dataclass(frozen=True, slots=True)
class LinkPolicy:
    """Banded link strength = kind prior x rarity(log2 band of active users) x locality(log2 band of idle time).

    Attributes:
        rarity_per_band: factor for each doubling of an identifier's active users.
        locality_per_band: factor for each doubling of a link's idle time beyond `locality_days`.
        theta: a user-identifier link of at least this strength is a hard tie; a pair of users whose shared
            identifiers of weak kinds (prior below theta) reach it by noisy-OR is a soft tie.
        max_pair_users: weak identifiers with more active users than this make no soft ties.
    """

    version: str = "1"
    kinds: dict[str, KindPolicy] = field(default_factory=_default_kinds)
    rarity_per_band: _Factor = 0.93
    locality_days: Annotated[int, Meta(ge=1)] = 8
    locality_per_band: _Factor = 0.94
    theta: _Factor = 0.5
    max_pair_users: Annotated[int, Meta(ge=2)] = 32

    def __post_init__(self) -> None:
        names = {k.label for k in IDENTIFIER_KINDS}
        if set(self.kinds) != names:
            raise ConfigurationError(
                f"link policy names kinds {sorted(self.kinds)}", do=f"Name exactly {sorted(names)}."
            )
        ip = self.kinds["ip"]
        if ip.prior >= self.theta:
            raise ConfigurationError(
                f"ip prior {ip.prior} reaches theta {self.theta}",
                do="An IP alone never joins: lower the prior.",
            )

    @property
    def hash(self) -> str:
        """Returns 16 hex digits that change with every number of the policy."""
        text = msgspec.json.encode(self, order="sorted")
        return hashlib.blake2b(text, digest_size=8).hexdigest()

    def strength(self, kind: str, users_active: int, idle_ms: int) -> float:
        """Returns the banded strength of one link, in [0, 1]; 0 for a hub or an expired link.

        This is the definition; the kernels read tables built from it (`graph.strength`).
        """
        policy = self.kinds[kind]
        if users_active > policy.hub_users or idle_ms >= policy.ttl_days * DAY_MS:
            return 0.0
        return policy.prior * self.rarity_per_band ** band(users_active) * self.locality(idle_ms)

    def is_weak(self, kind: str) -> bool:
        """Returns whether one identifier of this kind can never tie by itself."""
        return self.kinds[kind].prior < self.theta

    def hold_ms(self, kind: str, users_active: int) -> int:
        """Returns how long after its last use a link is a hard tie; 0 where it is none.

        Exact: `strength(...) >= theta` for idle times below it, and for no other.
        """
        policy = self.kinds[kind]
        fresh = self.strength(kind, users_active, 0)
        if fresh < self.theta:
            return 0
        ttl_ms = policy.ttl_days * DAY_MS
        held = self.locality_days * DAY_MS
        while held < ttl_ms and self.strength(kind, users_active, held + 1) >= self.theta:
            held *= 2
        return min(held + 1, ttl_ms)

    def locality(self, idle_ms: int) -> float:
        """Returns the step function of a link's idle time."""
        return float(self.locality_per_band ** band(max(1, -(-idle_ms // (self.locality_days * DAY_MS)))))


def band(count: int) -> int:
    """Returns the log2 band of a count: 1 -> 0, 2 -> 1, 3..4 -> 2, 5..8 -> 3, …"""
    return max(0, count - 1).bit_length()
