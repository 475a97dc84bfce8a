"""Soft ties: pairs of users whom weak identifiers join together, none of which would do alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fraudgraph.events.kinds import EntityKind
from fraudgraph.graph.hot import Idents
from fraudgraph.graph.links import Links, find_slot
from fraudgraph.graph.types import F64, I32, I64, Bool, Int
from fraudgraph.kernels import njit
from fraudgraph.rings.forest import Forest, insert_tie
from fraudgraph.rings.tie_tables import TieTables, locality_at

_IP = int(EntityKind.IP)


@njit(cache=True)
def tie_softly(
    tables: TieTables,
    forest: Forest,
    links: Links,
    idents: Idents,
    user_head: I32,
    users: I32,
    now_ms: Int,
    soft_users: Bool,
    joined: Bool,
) -> None:
    """Inserts the soft ties of users; `joined` `[n]` says who has one."""
    for i in range(len(users)):
        user = users[i]
        for other, ends, _ in soft_ties(tables, links, idents, user_head, user, now_ms):
            insert_tie(forest, 2 * user, 2 * other, ends)
            soft_users[user] = True
            soft_users[other] = True
            joined[i] = True


@njit(cache=True)
def soft_ties(tables: TieTables, links: Links, idents: Idents, user_head: I32, user: Int, now_ms: Int) -> Int:
    """Returns (other user, end, strength now) of each soft tie of a user, with repeats."""
    found = [(np.int32(0), np.int64(0), 0.0) for _ in range(0)]
    room = 0
    slot = user_head[user]
    while slot >= 0:
        room += makes_soft_ties(tables, idents, links.ident[slot])
        slot = links.next_of_user[slot]
    shared = _Shared(np.empty(room, np.float64), np.empty(room, np.int64), np.empty(room, np.int64))
    mine = user_head[user]
    while mine >= 0:
        ident = links.ident[mine]
        if idents.kind[ident] != _IP and makes_soft_ties(tables, idents, ident):
            slot = idents.links[ident]
            while slot >= 0:
                other = links.user[slot]
                if other != user:
                    n, solid_until = _shared_weak(tables, links, idents, user_head, user, other, shared)
                    ends = min(_soft_end(tables, shared, n, now_ms), solid_until)
                    if ends > now_ms:
                        found.append((np.int32(other), np.int64(ends), _soft_strength(tables, shared, n, now_ms)))
                slot = links.next_of_ident[slot]
        mine = links.next_of_user[mine]
    return found


@njit(cache=True, inline="always")
def makes_soft_ties(tables: TieTables, idents: Idents, ident: Int) -> Int:
    kind, degree = idents.kind[ident], idents.degree[ident]
    if idents.benign[ident]:
        return False
    return tables.weak[kind] and degree >= 2 and degree <= min(tables.max_pair_users, tables.limit[kind])


class _Shared(NamedTuple):
    """Weak identifiers that two users share, in canonical order: base strength, idle since, end.

    `strength` `[n]` float64, `since_ms`, `until_ms` `[n]` int64.
    """

    strength: F64
    since_ms: I64
    until_ms: I64


@njit(cache=True)
def _shared_weak(
    tables: TieTables, links: Links, idents: Idents, user_head: I32, user: Int, other: Int, shared: _Shared
) -> Int:
    """Fills `shared`; returns how many, and the latest end among those that are not IPs.

    They are sorted, because a product of floats in another order may differ in its last bit.
    """
    n = 0
    solid_until = np.int64(0)
    slot = user_head[user]
    while slot >= 0:
        ident = links.ident[slot]
        theirs = find_slot(links, other, ident) if makes_soft_ties(tables, idents, ident) else -1
        if theirs >= 0:
            kind = idents.kind[ident]
            strength = tables.rarity[kind, idents.degree[ident]]
            since = min(links.last_ms[slot], links.last_ms[theirs])
            until = since + tables.ttl_ms[kind]
            if kind != _IP:
                solid_until = max(solid_until, until)
            j = n
            while j > 0 and (shared.strength[j - 1], shared.since_ms[j - 1], shared.until_ms[j - 1]) > (
                strength,
                since,
                until,
            ):
                shared.strength[j] = shared.strength[j - 1]
                shared.since_ms[j] = shared.since_ms[j - 1]
                shared.until_ms[j] = shared.until_ms[j - 1]
                j -= 1
            shared.strength[j], shared.since_ms[j], shared.until_ms[j] = strength, since, until
            n += 1
        slot = links.next_of_user[slot]
    return n, solid_until


@njit(cache=True)
def _soft_end(tables: TieTables, shared: _Shared, n: Int, now_ms: Int) -> Int:
    """Returns the moment at which noisy-OR falls below theta, at or before `now_ms` where it already has."""
    at: Int = now_ms
    while True:
        none: Int = 1.0
        following: Int = np.int64(np.iinfo(np.int64).max)
        for j in range(n):
            if shared.until_ms[j] <= at:
                continue
            step, width = locality_at(tables, at - shared.since_ms[j])
            none *= 1.0 - shared.strength[j] * tables.locality[step]
            following = min(following, shared.since_ms[j] + width + 1, shared.until_ms[j])
        if 1.0 - none < tables.theta:
            return at
        at = following


@njit(cache=True)
def _soft_strength(tables: TieTables, shared: _Shared, n: Int, now_ms: Int) -> Int:
    """Returns noisy-OR over what two users share, in [0, 1]."""
    none: Int = 1.0
    for j in range(n):
        if shared.until_ms[j] > now_ms:
            step, _ = locality_at(tables, now_ms - shared.since_ms[j])
            none *= 1.0 - shared.strength[j] * tables.locality[step]
    return 1.0 - none
