"""Which hard ties a commit makes, renews and ends, by the identifiers and links that it changed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fraudgraph.graph.hot import Idents
from fraudgraph.graph.links import Links
from fraudgraph.graph.types import I32, I64, Bool, Int
from fraudgraph.kernels import njit
from fraudgraph.rings.forest import Forest, insert_tie
from fraudgraph.rings.tie_tables import TieTables

# Codes in `Idents.hold_ms` of identifiers that do not tie, so that what they were before is known.
_LONE, _HUB, _WIDE, _BENIGN = -1, -2, -3, -4


class TieLists(NamedTuple):
    """What a kernel found, each with room for all that there may be; `counts` `[5]` says how many there are.

    Attributes:
        tied: nodes of users with a new or longer tie, or with an identifier that became a hub or began to tie, or the
            reverse.
        loosened: users whose ties must be made again.
        soft: users whose soft ties must be looked at.
        renewed: slots of links with a new or longer tie.
        fresh: which of `renewed` did not tie before.
        stopped: identifiers that tied and tie nobody now, other than for want of a second user.
    """

    tied: I32
    loosened: I32
    soft: I32
    renewed: I32
    fresh: Bool
    stopped: I32
    counts: I64


@njit(cache=True)
def retie(
    tables: TieTables,
    links: Links,
    idents: Idents,
    changed: I32,
    slots: I32,
    now_ms: Int,
    soft_users: Bool,
    lists: TieLists,
) -> None:
    """Re-keys the hard ties of identifiers whose users changed and of used links; the forest is told by the caller.

    Fills `lists`.
    """
    for ident in changed:
        kind, degree = idents.kind[ident], idents.degree[ident]
        if tables.weak[kind]:
            _look_at_weak(tables, links, idents, ident, soft_users, lists)
            continue
        if degree < 2:
            # A tie to an identifier of one user joins nobody; looked at again when a second one comes.
            before = idents.hold_ms[ident]
            idents.hold_ms[ident] = _LONE
            _note_change(links, idents, ident, before, lists)
            continue
        hold = _HUB if degree > tables.limit[kind] else tables.hold_ms[kind, degree]
        if idents.benign[ident]:
            hold = _BENIGN
        before = idents.hold_ms[ident]
        if hold == before:
            continue
        idents.hold_ms[ident] = hold
        _note_change(links, idents, ident, before, lists)
        slot = idents.links[ident]
        while slot >= 0:
            _rekey(links, slot, max(hold, 0), now_ms, lists)
            slot = links.next_of_ident[slot]
    for slot in slots:
        ident = links.ident[slot]
        kind, degree = idents.kind[ident], idents.degree[ident]
        if degree < 2:
            continue
        if tables.weak[kind]:
            if degree <= tables.max_pair_users:
                lists.soft[lists.counts[2]] = links.user[slot]
                lists.counts[2] += 1
        elif idents.hold_ms[ident] > 0:
            _rekey(links, slot, idents.hold_ms[ident], now_ms, lists)


@njit(cache=True)
def _look_at_weak(
    tables: TieTables,
    links: Links,
    idents: Idents,
    ident: Int,
    soft_users: Bool,
    lists: TieLists,
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
    _note_change(links, idents, ident, was, lists)
    before: Int = max(was, 0)
    now_in: Int = max(code, 0)
    if now_in == before:
        return
    slot = idents.links[ident]
    while slot >= 0:
        user = links.user[slot]
        if now_in > 0:
            lists.soft[lists.counts[2]] = user
            lists.counts[2] += 1
        if before > now_in and soft_users[user]:
            lists.loosened[lists.counts[1]] = user
            lists.counts[1] += 1
        slot = links.next_of_ident[slot]


@njit(cache=True)
def _note_change(links: Links, idents: Idents, ident: Int, was: Int, lists: TieLists) -> None:
    """Lists the users of an identifier that became a hub or began to tie, or the reverse: they look different now.

    Lists the identifier too where it tied before, still has users, and ties none of them now.
    """
    code = idents.hold_ms[ident]
    if (was in (_HUB, _BENIGN)) == (code in (_HUB, _BENIGN)) and (was > 0) == (code > 0):
        return
    if was > 0 and code <= 0 and code != _LONE:
        lists.stopped[lists.counts[4]] = ident
        lists.counts[4] += 1
    slot = idents.links[ident]
    while slot >= 0:
        lists.tied[lists.counts[0]] = 2 * links.user[slot]
        lists.counts[0] += 1
        slot = links.next_of_ident[slot]


@njit(cache=True)
def _rekey(links: Links, slot: Int, hold_ms: Int, now_ms: Int, lists: TieLists) -> None:
    ends: Int = links.last_ms[slot] + hold_ms
    if hold_ms == 0 or ends <= now_ms:
        ends = -1
    before: Int = links.tie_ends_ms[slot]
    if before <= now_ms:
        before = -1
    links.tie_ends_ms[slot] = ends
    if ends > before:
        lists.tied[lists.counts[0]] = 2 * links.user[slot]
        lists.counts[0] += 1
        lists.renewed[lists.counts[3]] = slot
        lists.fresh[lists.counts[3]] = before < 0
        lists.counts[3] += 1
    elif ends < before:
        lists.loosened[lists.counts[1]] = links.user[slot]
        lists.counts[1] += 1


@njit(cache=True)
def tie_hard(forest: Forest, links: Links, user_head: I32, users: I32, now_ms: Int) -> None:
    """Inserts the living hard ties of users."""
    for user in users:
        slot = user_head[user]
        while slot >= 0:
            if links.tie_ends_ms[slot] > now_ms:
                insert_tie(forest, 2 * user, 2 * links.ident[slot] + 1, links.tie_ends_ms[slot])
            slot = links.next_of_user[slot]
