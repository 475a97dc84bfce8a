"""The link policy as arrays for kernels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fraudgraph.durations import DAY_MS
from fraudgraph.events.kinds import EntityKind
from fraudgraph.graph.policy import LinkPolicy, band
from fraudgraph.graph.types import F64, I64, Bool, Int
from fraudgraph.kernels import njit


class TieTables(NamedTuple):
    """The link policy as arrays for kernels.

    Attributes:
        hold_ms: `[kinds, max_hub + 2]` how long a link ties after its last use, by active users; 0 not at all.
        rarity: `[kinds, max_hub + 2]` prior x rarity by active users; 0 for hubs.
        limit: `[kinds]` the most users of an identifier that is no hub.
        weak: `[kinds]` whether the kind makes soft ties.
        ttl_ms: `[kinds]`.
        locality: `[64]` factor per band of idle time.
        locality_ms: the first band's width.
        theta: the least strength of a tie.
        max_pair_users: the most users of an identifier that makes soft ties.
    """

    hold_ms: I64
    rarity: F64
    limit: I64
    weak: Bool
    ttl_ms: I64
    locality: F64
    locality_ms: Int
    theta: Int
    max_pair_users: Int


def tie_tables(policy: LinkPolicy) -> TieTables:
    """Returns the tables of a policy."""
    widest = max(kind.hub_users for kind in policy.kinds.values()) + 2
    kinds = len(EntityKind)
    hold, rarity = np.zeros((kinds, widest), np.int64), np.zeros((kinds, widest), np.float64)
    limit, weak = np.zeros(kinds, np.int64), np.zeros(kinds, np.bool_)
    ttl_ms = np.zeros(kinds, np.int64)
    for name, kind in policy.kinds.items():
        row = EntityKind[name.upper()]
        limit[row], weak[row] = kind.hub_users, policy.is_weak(name)
        ttl_ms[row] = kind.ttl_days * DAY_MS
        for users in range(1, kind.hub_users + 1):
            hold[row, users] = policy.hold_ms(name, users)
            rarity[row, users] = kind.prior * policy.rarity_per_band ** band(users)
    # Python's own power, as in the definition: numpy's may differ in the last bit.
    locality = np.array([policy.locality_per_band**step for step in range(64)])
    return TieTables(
        hold,
        rarity,
        limit,
        weak,
        ttl_ms,
        locality,
        policy.locality_days * DAY_MS,
        policy.theta,
        policy.max_pair_users,
    )


@njit(cache=True, inline="always")
def locality_at(tables: TieTables, idle_ms: Int) -> tuple[Int, Int]:
    """Returns the band of an idle time, and the longest idle time in it."""
    width: Int = tables.locality_ms
    step: Int = 0
    while idle_ms > width:
        width *= 2
        step += 1
    return step, width
