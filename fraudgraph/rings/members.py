"""How likely each member of a ring takes part in it, given the ring's own probability."""

from __future__ import annotations

import numpy as np

from fraudgraph.durations import DAY_MS
from fraudgraph.graph.hot import HotGraph, Idents
from fraudgraph.graph.links import Links
from fraudgraph.graph.types import F64, I32, I64, Bool, Int
from fraudgraph.graph.users import CHARGEBACKS, DECLINED, Users
from fraudgraph.kernels import njit

_LATE_MS = 30 * DAY_MS
# Log-odds beside the ring's own, for what speaks for or against one member. They only order members within a ring:
# a label outweighs everything, and an account that was old before it shared anything is more often a victim.
LABEL, CHARGEBACK, DECLINES, LATE_SHARE, ONE_TIE = 3.0, 1.0, 0.5, -1.0, -0.4


def member_probabilities(
    graph: HotGraph, members: I32, starts: I64, probability: F64, weak: Bool, beside: F64 | None = None
) -> F64:
    """Returns each member's probability in [0, 1], rounded to 1e-4.

    Args:
        members: user ids of `r` rings, one ring after the other.
        starts: `[r + 1]` where each ring begins in `members`.
        probability: `[r]` of the rings.
        weak: `[kinds]` kinds of identifier that tie nobody by themselves.
        beside: `[n]` log-odds of each member beside the ring's that somebody else knows of; None for none.
    """
    shift = np.zeros(len(members), np.float64) if beside is None else beside.copy()
    shift_members(graph.users, graph.links, graph.idents, members, weak, shift)
    bounded = np.clip(probability, 1e-6, 1.0 - 1e-6)
    logit = np.repeat(np.log(bounded / (1.0 - bounded)), np.diff(starts))
    chance: F64 = np.round(1.0 / (1.0 + np.exp(-(logit + shift))), 4)
    return chance


@njit(cache=True)
def shift_members(users: Users, links: Links, idents: Idents, members: I32, weak: Bool, shift: F64) -> None:
    """Fills `shift` `[n]` with each member's log-odds beside the ring's."""
    for i in range(len(members)):
        user = members[i]
        shift[i] += LABEL * users.label[user]
        if users.counts[user, CHARGEBACKS] > 0:
            shift[i] += CHARGEBACK
        if users.counts[user, DECLINED] >= 2:
            shift[i] += DECLINES
        ties, late = _ties(users, links, idents, user, weak)
        if ties > 0 and late == ties:
            shift[i] += LATE_SHARE
        if ties <= 1:
            shift[i] += ONE_TIE


@njit(cache=True)
def _ties(users: Users, links: Links, idents: Idents, user: Int, weak: Bool) -> Int:
    """Returns how many of a user's links tie while fresh, and how many of these began long after the user did.

    Whether one went idle since does not count: it would change the member with nothing happening to the ring.
    """
    ties: Int = 0
    late: Int = 0
    slot = users.links[user]
    while slot >= 0:
        ident = links.ident[slot]
        if idents.hold_ms[ident] > 0 and not weak[idents.kind[ident]]:
            ties += 1
            late += links.first_ms[slot] - users.first_ms[user] > _LATE_MS
        slot = links.next_of_user[slot]
    return ties, late
