"""Ties: which links and pairs of users hold together, and until when.

A hard tie joins a user and an identifier for as long as the link's banded strength is at least theta. A soft tie joins
two users by noisy-OR over the identifiers of weak kinds that they share, each with at most `max_pair_users` users and
at least one of them not an IP. Strength only falls between events, in known steps, so the moment at which a tie ends is
known when it is written; it is the tie's key in the forest.

Until a tie ends that moment can only come nearer by a change of rarity: one more user of an identifier that enters a
new band or becomes a hub; or by an analyst's word. Then the components concerned are taken apart and tied again from
the links.

Analysts' constraints: a benign identifier ties nobody, as a hub; two users that must be together have a tie until the
constraint ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from fraudgraph.durations import DAY_MS
from fraudgraph.events.kinds import EntityKind
from fraudgraph.graph.hot import GraphChange, HotGraph, Idents, distinct
from fraudgraph.graph.interning import grown
from fraudgraph.graph.links import Links, find_slot
from fraudgraph.graph.policy import LinkPolicy, band
from fraudgraph.graph.types import F64, I32, I64, Bool, Int
from fraudgraph.kernels import njit
from fraudgraph.rings.forest import (
    Forest,
    collect_tree,
    cut_ended,
    find_root,
    insert_tie,
    insert_ties,
    new_forest,
    reserve_nodes,
    scatter_tree,
)

_IP = int(EntityKind.IP)
# Codes in `Idents.hold_ms` of identifiers that do not tie, so that what they were before is known.
_LONE, _HUB, _WIDE, _BENIGN = -1, -2, -3, -4


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


class Ties:
    """Keeps the forest equal to the ties that the graph's links make."""

    def __init__(self, policy: LinkPolicy) -> None:
        self.tables = tie_tables(policy)
        self.forest: Forest = new_forest(2048)
        self._soft = np.zeros(1024, np.bool_)
        self.together: dict[tuple[int, int], int] = {}

    def update(
        self,
        graph: HotGraph,
        change: GraphChange,
        now_ms: int,
        together: Mapping[tuple[int, int], int] = MappingProxyType({}),
    ) -> I32:
        """Takes up a change of the graph; returns nodes of every component that may have changed, with repeats.

        Args:
            together: pairs of users that an analyst tied, the lower id first -> when that ends, in ms.
        """
        users = len(graph.users.first_ms)
        self.forest = reserve_nodes(self.forest, 2 * max(users, len(graph.idents.kind)))
        if len(self._soft) < users:
            self._soft = grown(self._soft, users)
        ended = self._cut(now_ms)
        parted = [pair for pair, until in self.together.items() if together.get(pair, 0) < until and until > now_ms]
        joined = [pair for pair, until in together.items() if self.together.get(pair, 0) < until]
        self.together = dict(together)
        for a, b in joined:
            insert_tie(self.forest, 2 * a, 2 * b, together[a, b])
        bound = np.array([2 * user for pair in (*parted, *joined) for user in pair], np.int32)
        loosened = np.array([user for pair in parted for user in pair], np.int32)
        touched = self._retie(graph, change.idents, change.links, loosened, now_ms)
        return np.concatenate((ended, touched, bound, 2 * change.users))

    def restore(
        self, graph: HotGraph, now_ms: int, together: Mapping[tuple[int, int], int] = MappingProxyType({})
    ) -> None:
        """Builds the forest anew from the links, and from `together` as of `update`."""
        idents = np.flatnonzero(graph.idents.degree > 0).astype(np.int32)
        graph.idents.hold_ms[:] = -1
        graph.links.tie_ends_ms[:] = -1
        slots = np.flatnonzero(graph.links.user >= 0).astype(np.int32)
        none = np.empty(0, np.int32)
        change = GraphChange(slots, none, idents, none, none, [], [], none, none)
        self.update(graph, change, now_ms, together)

    def soft_pairs(self, graph: HotGraph, users: list[int], now_ms: int) -> set[tuple[int, int]]:
        """Returns the pairs (lower id, higher id) of users in a living soft tie that has one of these users."""
        return {
            (min(user, other), max(user, other))
            for user in users
            if self._soft[user]
            for other, _ in soft_ties(self.tables, graph.links, graph.idents, graph.users.links, user, now_ms)
        }

    def makes_soft_ties(self, graph: HotGraph, ident: int) -> bool:
        """Returns whether an identifier counts for soft ties now."""
        return bool(_makes_soft_ties(self.tables, graph.idents, ident))

    def _cut(self, now_ms: int) -> I32:
        parts = []
        while True:
            out = np.empty(65_536, np.int32)
            n = cut_ended(self.forest, now_ms, out)
            parts.append(out[: n if n >= 0 else -1 - n])
            if n >= 0:
                return np.concatenate(parts)

    def _retie(self, graph: HotGraph, idents: I32, slots: I32, apart: I32, now_ms: int) -> I32:
        links, columns = graph.links, graph.idents
        room = 2 * int(columns.degree[idents].sum()) + len(slots)
        tied = np.empty(room, np.int32)
        loosened = np.empty(room, np.int32)
        soft = np.empty(room, np.int32)
        renewed = np.empty(room, np.int32)
        counts = np.zeros(4, np.int64)
        retie(self.tables, links, columns, idents, slots, now_ms, self._soft, tied, loosened, soft, renewed, counts)
        renewed = renewed[: counts[3]]
        insert_ties(self.forest, 2 * links.user[renewed], 2 * links.ident[renewed] + 1, links.tie_ends_ms[renewed])
        nodes = [tied[: counts[0]]]
        if counts[2]:
            candidates = distinct(soft[: counts[2]])
            joined = np.zeros(len(candidates), np.bool_)
            tie_softly(
                self.tables, self.forest, links, columns, graph.users.links, candidates, now_ms, self._soft, joined
            )
            nodes.append(2 * candidates[joined])
        if counts[1] or len(apart):
            users = distinct(np.concatenate((loosened[: counts[1]], apart)))
            nodes.append(self._rebuild(graph, users, now_ms))
        return np.concatenate(nodes)

    def _rebuild(self, graph: HotGraph, users: I32, now_ms: int) -> I32:
        """Takes apart the components of these users and ties them again; returns their user nodes."""
        parts = []
        done = set()
        buffer = np.empty(len(self.forest.parent), np.int32)
        for user in users.tolist():
            root = int(find_root(self.forest, 2 * user))
            if root not in done:
                n = int(collect_tree(self.forest, root, buffer))
                done.add(root)
                parts.append(buffer[:n].copy())
        nodes = np.concatenate(parts)
        scatter_tree(self.forest, nodes, len(nodes))
        members = nodes[nodes % 2 == 0] // 2
        tie_hard(self.forest, graph.links, graph.users.links, members, now_ms)
        softly = members[self._soft[members]]
        self._soft[softly] = False
        joined = np.zeros(len(softly), np.bool_)
        tie_softly(
            self.tables,
            self.forest,
            graph.links,
            graph.idents,
            graph.users.links,
            softly,
            now_ms,
            self._soft,
            joined,
        )
        if self.together:
            here = set(members.tolist())
            for (a, b), until in self.together.items():
                if a in here or b in here:
                    insert_tie(self.forest, 2 * a, 2 * b, until)
        again: I32 = (2 * members).astype(np.int32)
        return again


@njit(cache=True)
def retie(
    tables: TieTables,
    links: Links,
    idents: Idents,
    changed: I32,
    slots: I32,
    now_ms: Int,
    soft_users: Bool,
    tied: I32,
    loosened: I32,
    soft: I32,
    renewed: I32,
    counts: I64,
) -> None:
    """Re-keys the hard ties of identifiers whose users changed and of used links; the forest is told by the caller.

    Fills `tied` (user nodes with a new or longer tie, or with an identifier that became a hub or began to tie, or the
    reverse), `loosened` (users whose ties must be made again), `soft` (users whose soft ties must be looked at) and
    `renewed` (links with a new or longer tie), with `counts` `[4]` of each.
    """
    for ident in changed:
        kind, degree = idents.kind[ident], idents.degree[ident]
        if tables.weak[kind]:
            _look_at_weak(tables, links, idents, ident, soft_users, tied, loosened, soft, counts)
            continue
        if degree < 2:
            # A tie to an identifier of one user joins nobody; looked at again when a second one comes.
            before = idents.hold_ms[ident]
            idents.hold_ms[ident] = _LONE
            _note_change(links, idents, ident, before, tied, counts)
            continue
        hold = _HUB if degree > tables.limit[kind] else tables.hold_ms[kind, degree]
        if idents.benign[ident]:
            hold = _BENIGN
        before = idents.hold_ms[ident]
        if hold == before:
            continue
        idents.hold_ms[ident] = hold
        _note_change(links, idents, ident, before, tied, counts)
        slot = idents.links[ident]
        while slot >= 0:
            _rekey(links, slot, max(hold, 0), now_ms, tied, loosened, renewed, counts)
            slot = links.next_of_ident[slot]
    for slot in slots:
        ident = links.ident[slot]
        kind, degree = idents.kind[ident], idents.degree[ident]
        if degree < 2:
            continue
        if tables.weak[kind]:
            if degree <= tables.max_pair_users:
                soft[counts[2]] = links.user[slot]
                counts[2] += 1
        elif idents.hold_ms[ident] > 0:
            _rekey(links, slot, idents.hold_ms[ident], now_ms, tied, loosened, renewed, counts)


@njit(cache=True)
def _look_at_weak(
    tables: TieTables,
    links: Links,
    idents: Idents,
    ident: Int,
    soft_users: Bool,
    tied: I32,
    loosened: I32,
    soft: I32,
    counts: I64,
) -> None:
    """Lists the users of a weak identifier whose rarity changed; hold_ms keeps its band, counted down from 64."""
    kind, degree = idents.kind[ident], idents.degree[ident]
    was = idents.hold_ms[ident]
    code = np.int64(_LONE)
    if idents.benign[ident]:
        code = np.int64(_BENIGN)
    elif degree > tables.limit[kind]:
        code = np.int64(_HUB)
    elif degree > tables.max_pair_users:
        code = np.int64(_WIDE)
    elif degree >= 2:
        code = np.int64(64)
        while degree > 1:
            degree = (degree + 1) >> 1
            code -= 1
    idents.hold_ms[ident] = code
    _note_change(links, idents, ident, was, tied, counts)
    before: Int = max(was, 0)
    now_in: Int = max(code, 0)
    if now_in == before:
        return
    slot = idents.links[ident]
    while slot >= 0:
        user = links.user[slot]
        if now_in > 0:
            soft[counts[2]] = user
            counts[2] += 1
        if before > now_in and soft_users[user]:
            loosened[counts[1]] = user
            counts[1] += 1
        slot = links.next_of_ident[slot]


@njit(cache=True)
def _note_change(links: Links, idents: Idents, ident: Int, was: Int, tied: I32, counts: I64) -> None:
    """Lists the users of an identifier that became a hub or began to tie, or the reverse: they look different now."""
    code = idents.hold_ms[ident]
    if (was in (_HUB, _BENIGN)) == (code in (_HUB, _BENIGN)) and (was > 0) == (code > 0):
        return
    slot = idents.links[ident]
    while slot >= 0:
        tied[counts[0]] = 2 * links.user[slot]
        counts[0] += 1
        slot = links.next_of_ident[slot]


@njit(cache=True)
def _rekey(
    links: Links, slot: Int, hold_ms: Int, now_ms: Int, tied: I32, loosened: I32, renewed: I32, counts: I64
) -> None:
    ends: Int = links.last_ms[slot] + hold_ms
    if hold_ms == 0 or ends <= now_ms:
        ends = -1
    before: Int = links.tie_ends_ms[slot]
    if before <= now_ms:
        before = -1
    links.tie_ends_ms[slot] = ends
    if ends > before:
        tied[counts[0]] = 2 * links.user[slot]
        counts[0] += 1
        renewed[counts[3]] = slot
        counts[3] += 1
    elif ends < before:
        loosened[counts[1]] = links.user[slot]
        counts[1] += 1


@njit(cache=True)
def tie_hard(forest: Forest, links: Links, user_head: I32, users: I32, now_ms: Int) -> None:
    """Inserts the living hard ties of users."""
    for user in users:
        slot = user_head[user]
        while slot >= 0:
            if links.tie_ends_ms[slot] > now_ms:
                insert_tie(forest, 2 * user, 2 * links.ident[slot] + 1, links.tie_ends_ms[slot])
            slot = links.next_of_user[slot]


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
        for other, ends in soft_ties(tables, links, idents, user_head, user, now_ms):
            insert_tie(forest, 2 * user, 2 * other, ends)
            soft_users[user] = True
            soft_users[other] = True
            joined[i] = True


@njit(cache=True)
def soft_ties(tables: TieTables, links: Links, idents: Idents, user_head: I32, user: Int, now_ms: Int) -> Int:
    """Returns (other user, end) of each soft tie of a user, with repeats."""
    found = [(np.int32(0), np.int64(0)) for _ in range(0)]
    room = 0
    slot = user_head[user]
    while slot >= 0:
        room += _makes_soft_ties(tables, idents, links.ident[slot])
        slot = links.next_of_user[slot]
    shared = _Shared(np.empty(room, np.float64), np.empty(room, np.int64), np.empty(room, np.int64))
    mine = user_head[user]
    while mine >= 0:
        ident = links.ident[mine]
        if idents.kind[ident] != _IP and _makes_soft_ties(tables, idents, ident):
            slot = idents.links[ident]
            while slot >= 0:
                other = links.user[slot]
                if other != user:
                    n, solid_until = _shared_weak(tables, links, idents, user_head, user, other, shared)
                    ends = min(_soft_end(tables, shared, n, now_ms), solid_until)
                    if ends > now_ms:
                        found.append((np.int32(other), np.int64(ends)))
                slot = links.next_of_ident[slot]
        mine = links.next_of_user[mine]
    return found


@njit(cache=True, inline="always")
def _makes_soft_ties(tables: TieTables, idents: Idents, ident: Int) -> Int:
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
        theirs = find_slot(links, other, ident) if _makes_soft_ties(tables, idents, ident) else -1
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
            width: Int = tables.locality_ms
            step: Int = 0
            while at - shared.since_ms[j] > width:
                width *= 2
                step += 1
            none *= 1.0 - shared.strength[j] * tables.locality[step]
            following = min(following, shared.since_ms[j] + width + 1, shared.until_ms[j])
        if 1.0 - none < tables.theta:
            return at
        at = following
