"""Measures rings: the feature matrix and the money of each, from the hot graph's columns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fraudgraph.durations import DAY_MS
from fraudgraph.events.kinds import EntityKind
from fraudgraph.graph.hot import HotGraph, Idents
from fraudgraph.graph.interning import grown
from fraudgraph.graph.links import Links
from fraudgraph.graph.orders import Orders
from fraudgraph.graph.transfers import TransferColumns
from fraudgraph.graph.types import F64, I32, I64, Int
from fraudgraph.graph.users import (
    CHARGEBACKS,
    DECLINED,
    LOGINS,
    ORDERS,
    PAYMENTS,
    REFUNDS,
    TRANSFERS_IN,
    TRANSFERS_OUT,
    Users,
)
from fraudgraph.kernels import njit
from fraudgraph.rings.features import FEATURE_INDEX, RING_FEATURES, RING_MONEY
from fraudgraph.rings.measure_money import measure_money

_LATE_MS = 30 * DAY_MS
_WEEK_MS = 7 * DAY_MS
_TAKEOVER_USERS = 3
_IP, _DEVICE, _CARD, _EMAIL = (
    int(EntityKind.IP),
    int(EntityKind.DEVICE),
    int(EntityKind.CARD),
    int(EntityKind.EMAIL),
)
_KINDS = len(EntityKind)


_F = FEATURE_INDEX
(
    F_USERS,
    F_MAX_SHARE,
    F_TIES,
    F_DEVICES,
    F_CARDS,
    F_EMAILS,
    F_BURST_DAY,
    F_BURST_WEEK,
    F_SUCCESSIONS,
    F_SUCCESSION,
    F_OVERLAP,
    F_SPAN,
    F_QUICK,
    F_LATE,
    F_TAKEOVER,
    F_LOGINS,
    F_ORDERS,
    F_ONE_ORDER,
    F_DECLINED_RATIO,
    F_DECLINED,
    F_REFUND_RATIO,
    F_CHARGEBACKS,
    F_CHARGEBACK_MEMBERS,
    F_FRAUD,
    F_LEGITIMATE,
    F_TRANSFERS,
) = (
    _F[name]
    for name in (
        "users",
        "max_share",
        "ties_per_user",
        "devices_per_user",
        "cards_per_user",
        "emails_per_user",
        "burst_day",
        "burst_week",
        "successions",
        "succession_days",
        "overlap",
        "span_days",
        "quick_spend",
        "late_share",
        "takeover",
        "logins_per_user",
        "orders_per_user",
        "one_order",
        "declined_ratio",
        "declined_per_user",
        "refund_ratio",
        "chargebacks_per_user",
        "chargeback_members",
        "fraud_labels",
        "legitimate_labels",
        "transfers_per_user",
    )
)
# Column of the number of shared identifiers, by EntityKind.
_SHARED_OF_KIND = np.array(
    [
        -1,
        _F["shared_devices"],
        _F["shared_ips"],
        _F["shared_cards"],
        _F["shared_emails"],
        _F["shared_phones"],
        _F["shared_addresses"],
    ],
    np.int64,
)


class Watch(NamedTuple):
    """Since when the stream shows beginnings, rather than things that were there before.

    Attributes:
        births_ms: a user first seen at or after it is a new account, whether or not they signed up in the stream.
        links_ms: a link first used at or after it began then.
    """

    births_ms: Int
    links_ms: Int


class _Scratch(NamedTuple):
    """Marks that say which ring a user or identifier was last seen in, so that nothing is cleared between rings."""

    user_ring: I32
    ident_ring: I32
    ident_members: I32


class RingMeasure:
    """Measures rings of the hot graph; holds only scratch."""

    def __init__(self) -> None:
        self._scratch = _Scratch(*(np.full(1024, -1, np.int32) for _ in range(3)))
        self._next_mark = 0

    def __call__(self, graph: HotGraph, limits: I64, watch: Watch, members: I32, starts: I64) -> tuple[F64, I64]:
        """Returns `[r, len(RING_FEATURES)]` features and `[r, len(RING_MONEY)]` money of `r` rings.

        Args:
            limits: `[kinds]` the most users of an identifier that is no hub.
            members: user ids of all rings, one ring after the other.
            starts: `[r + 1]` where each ring begins in `members`.
        """
        rings = len(starts) - 1
        users, idents = len(graph.users.first_ms), len(graph.idents.kind)
        scratch = self._scratch
        if len(scratch.user_ring) < users or len(scratch.ident_ring) < idents:
            scratch = _Scratch(
                grown(scratch.user_ring, max(users, len(scratch.user_ring)), -1),
                grown(scratch.ident_ring, max(idents, len(scratch.ident_ring)), -1),
                grown(scratch.ident_members, max(idents, len(scratch.ident_members))),
            )
            self._scratch = scratch
        if self._next_mark + rings > np.iinfo(np.int32).max:
            scratch.user_ring[:] = -1
            scratch.ident_ring[:] = -1
            self._next_mark = 0
        first_mark = self._next_mark
        self._next_mark += rings
        features = np.zeros((rings, len(RING_FEATURES)), np.float64)
        money = np.zeros((rings, len(RING_MONEY)), np.int64)
        measure_rings(
            graph.users,
            graph.links,
            graph.idents,
            graph.orders,
            graph.transfers.columns,
            limits,
            watch,
            members,
            starts,
            first_mark,
            scratch,
            features,
            money,
        )
        return features, money


@njit(cache=True)
def measure_rings(
    users: Users,
    links: Links,
    idents: Idents,
    orders: Orders,
    transfers: TransferColumns,
    limits: I64,
    watch: Watch,
    members: I32,
    starts: I64,
    first_mark: Int,
    scratch: _Scratch,
    features: F64,
    money: I64,
) -> None:
    """Fills `features` and `money`, a row per ring."""
    for ring in range(len(starts) - 1):
        team = members[starts[ring] : starts[ring + 1]]
        row, sums = features[ring], money[ring]
        for user in team:
            scratch.user_ring[user] = first_mark + ring
        row[F_USERS] = len(team)
        _measure_links(users, links, idents, limits, watch, team, first_mark + ring, scratch, row, sums)
        _measure_activity(users, watch, team, row, sums)
        measure_money(users, orders, transfers, team, first_mark + ring, scratch.user_ring, row, sums)


@njit(cache=True)
def _measure_links(
    users: Users,
    links: Links,
    idents: Idents,
    limits: I64,
    watch: Watch,
    team: I32,
    ring: Int,
    scratch: _Scratch,
    row: F64,
    sums: I64,
) -> None:
    n = len(team)
    of_kind = np.zeros(_KINDS, np.int64)
    room = 0
    for user in team:
        slot = users.links[user]
        while slot >= 0:
            room += 1
            slot = links.next_of_user[slot]
    found = np.empty(room, np.int32)
    count = 0
    for user in team:
        slot = users.links[user]
        while slot >= 0:
            ident = links.ident[slot]
            of_kind[idents.kind[ident]] += 1
            if scratch.ident_ring[ident] != ring:
                scratch.ident_ring[ident] = ring
                scratch.ident_members[ident] = 0
                found[count] = ident
                count += 1
            scratch.ident_members[ident] += 1
            slot = links.next_of_user[slot]
    row[F_DEVICES] = of_kind[_DEVICE] / n
    row[F_CARDS] = of_kind[_CARD] / n
    row[F_EMAILS] = of_kind[_EMAIL] / n
    ties, late, most, shared = 0, 0, 0, 0
    gaps = np.empty(room, np.float64)
    n_gaps, touching = 0, 0
    taken_over = np.zeros(n, np.bool_)
    for ident in found[:count]:
        kind, inside = idents.kind[ident], scratch.ident_members[ident]
        if inside < 2 or idents.degree[ident] > limits[kind] or idents.benign[ident]:
            continue
        shared += 1
        row[_SHARED_OF_KIND[kind]] += 1
        if kind != _IP:
            ties += inside
            most = max(most, inside)
        first, last, owner = _uses_inside(users, watch, links, idents.links[ident], scratch.user_ring, ring, inside)
        for j in range(inside):
            late_by = first[j] - users.first_ms[owner[j]]
            if kind != _IP and late_by > _LATE_MS:
                late += 1
            if (
                kind != _IP
                and j > 0
                and _began(users, watch, first, owner, j)
                and _began(users, watch, first, owner, j - 1)
            ):
                gaps[n_gaps] = (first[j] - first[j - 1]) / DAY_MS
                n_gaps += 1
                if first[j] <= last[j - 1] + DAY_MS:
                    touching += 1
        if kind in (_IP, _DEVICE):
            _mark_takeovers(users, first, owner, inside, team, taken_over)
    sums[2] = shared
    row[F_MAX_SHARE] = most / n
    row[F_TIES] = ties / n
    row[F_LATE] = late / ties if ties else 0.0
    row[F_TAKEOVER] = taken_over.sum() / n
    if n_gaps:
        row[F_SUCCESSIONS] = np.log2(1.0 + n_gaps)
        row[F_SUCCESSION] = np.log2(1.0 + np.median(gaps[:n_gaps]))
        row[F_OVERLAP] = touching / n_gaps


@njit(cache=True, inline="always")
def _is_new(users: Users, watch: Watch, user: Int) -> Int:
    return users.signup_ms[user] >= 0 or users.first_ms[user] >= watch.births_ms


@njit(cache=True, inline="always")
def _began(users: Users, watch: Watch, first: I64, owner: I32, at: Int) -> Int:
    """Returns whether a link's first use is its beginning: what was there before the stream only seems to begin."""
    return first[at] >= watch.links_ms or _is_new(users, watch, owner[at])


@njit(cache=True)
def _uses_inside(users: Users, watch: Watch, links: Links, head: Int, user_ring: I32, ring: Int, inside: Int) -> Int:
    """Returns first and last use and the user of each member's link to an identifier, in order of first use."""
    first, last = np.empty(inside, np.int64), np.empty(inside, np.int64)
    owner = np.empty(inside, np.int32)
    is_new = np.empty(inside, np.bool_)
    k = 0
    slot = head
    while slot >= 0:
        user = links.user[slot]
        if user_ring[user] == ring:
            j = k
            # The order of the list is an accident of history: of equal beginnings the earlier end comes first, and of
            # equal times the older account.
            use = (links.first_ms[slot], links.last_ms[slot], _is_new(users, watch, user))
            while j > 0 and (first[j - 1], last[j - 1], is_new[j - 1]) > use:
                first[j], last[j], owner[j], is_new[j] = first[j - 1], last[j - 1], owner[j - 1], is_new[j - 1]
                j -= 1
            first[j], last[j], is_new[j] = use
            owner[j] = user
            k += 1
        slot = links.next_of_ident[slot]
    return first, last, owner


@njit(cache=True)
def _mark_takeovers(users: Users, first: I64, owner: I32, inside: Int, team: I32, taken_over: Int) -> None:
    """Marks members, long known by then, among at least three users that began to use an identifier within 7 d."""
    for j in range(inside):
        if first[j] - users.first_ms[owner[j]] <= _LATE_MS:
            continue
        near = 0
        for k in range(inside):
            if abs(first[k] - first[j]) <= _WEEK_MS:
                near += 1
        if near >= _TAKEOVER_USERS:
            for i in range(len(team)):
                if team[i] == owner[j]:
                    taken_over[i] = True


@njit(cache=True)
def _measure_activity(users: Users, watch: Watch, team: I32, row: F64, sums: I64) -> None:
    n = len(team)
    counts = np.zeros(users.counts.shape[1], np.int64)
    born = np.empty(n, np.int64)
    n_born: Int = 0
    first: Int = np.iinfo(np.int64).max
    span, quick, one_order, charged, fraud, legitimate = 0.0, 0, 0, 0, 0, 0
    last = np.int64(0)
    for i in range(n):
        user = team[i]
        since = users.first_ms[user]
        first = min(first, since)
        is_new = _is_new(users, watch, user)
        if is_new:
            born[n_born] = since
            n_born += 1
        last = max(last, users.last_ms[user])
        span += np.log2(1.0 + (users.last_ms[user] - since) / DAY_MS)
        spent = users.first_spend_ms[user]
        quick += is_new and spent >= 0 and spent - since <= DAY_MS
        one_order += users.counts[user, ORDERS] == 1
        charged += users.counts[user, CHARGEBACKS] > 0
        fraud += users.label[user] > 0
        legitimate += users.label[user] < 0
        counts += users.counts[user]
    born[:n_born].sort()
    sums[3], sums[4] = first, last
    row[F_BURST_DAY] = _largest_within(born[:n_born], DAY_MS) / n
    row[F_BURST_WEEK] = _largest_within(born[:n_born], _WEEK_MS) / n
    row[F_SPAN] = span / n
    row[F_QUICK] = quick / n
    row[F_ONE_ORDER] = one_order / n
    row[F_CHARGEBACK_MEMBERS] = charged / n
    row[F_FRAUD] = fraud / n
    row[F_LEGITIMATE] = legitimate / n
    row[F_LOGINS] = np.log2(1.0 + counts[LOGINS] / n)
    row[F_ORDERS] = np.log2(1.0 + counts[ORDERS] / n)
    tried = counts[ORDERS] + counts[PAYMENTS]
    row[F_DECLINED_RATIO] = min(1.0, counts[DECLINED] / tried) if tried else 0.0
    row[F_DECLINED] = np.log2(1.0 + counts[DECLINED] / n)
    row[F_REFUND_RATIO] = min(1.0, counts[REFUNDS] / counts[ORDERS]) if counts[ORDERS] else 0.0
    row[F_CHARGEBACKS] = counts[CHARGEBACKS] / n
    row[F_TRANSFERS] = np.log2(1.0 + (counts[TRANSFERS_OUT] + counts[TRANSFERS_IN]) / n)


@njit(cache=True)
def _largest_within(moments: I64, width_ms: Int) -> Int:
    """Returns the largest number of sorted moments within a window of that width."""
    best, start = 0, 0
    for end in range(len(moments)):
        while moments[end] - moments[start] > width_ms:
            start += 1
        best = max(best, end - start + 1)
    return best
