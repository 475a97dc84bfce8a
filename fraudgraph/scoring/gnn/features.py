"""What the network is told of a node: one definition for training and for serving.

*Banded features* enter the encoder. Each is a small whole number that is static or the log2 band of a count, so it
moves a few times in a node's life, and a function of the graph alone: no time of reading is in it. *Head features* move
with every link and with time; they are computed when a score is read, as of a moment that the reader names.

What is not an input: labels, and chargebacks. Both are what the network learns to foresee, and both count as evidence
of their own in a ring (`scoring.evidence`); as an input, the label of one member would be read twice.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec
import numpy as np

from fraudgraph.durations import DAY_MS, HOUR_MS
from fraudgraph.events.kinds import IDENTIFIER_KINDS, EntityKind, Status
from fraudgraph.graph.hot import HotGraph, Idents
from fraudgraph.graph.links import Links
from fraudgraph.graph.orders import Orders
from fraudgraph.graph.types import I32, I64, Int
from fraudgraph.graph.users import (
    DECLINED,
    LOGINS,
    ORDERS,
    PAYMENTS,
    REFERRALS,
    REFUNDS,
    TRANSFERS_IN,
    TRANSFERS_OUT,
    Users,
)
from fraudgraph.kernels import njit
from fraudgraph.scoring.gnn.model import F32, NetworkSchema, shop_schema

_VERSION: Final = 1
"""Raised when the meaning of a feature changes and its name and bands do not."""

_USER: Final[dict[str, int]] = {
    "signed_up": 2,  # in the stream
    "orders": 7,  # none, 1, 2, 3-4, 5-8, 9-16, 17 and more; so are all counts, up to their last band
    "payments": 7,
    "declined": 6,
    "refunds": 5,
    "logins": 8,
    "referrals": 4,
    "transfers": 6,  # sent and received
    "spent": 11,  # log4 band of the minor units of all orders that went through, from 1.00 on
    "active_days": 9,  # days between first and last event
    "first_spending": 4,  # never; within an hour of the first event, within a day; later
    "devices": 6,
    "cards": 6,
}
_USERS_BANDS: Final = 7
"""Distinct active users of an identifier: 1, 2, 3-4, 5-8, 9-16, 17-32, 33 and more."""

FEATURES: Final[dict[str, dict[str, int]]] = {
    "user": _USER,
    **{kind.label: {"users": _USERS_BANDS} for kind in IDENTIFIER_KINDS},
}
"""Banded features by kind of node, in order, and how many values each takes."""

HEAD_FEATURES: Final = ("degree", "velocity", "recency", "age")
"""log2(1 + x) of: identifiers in use; of those, begun within 7 d before; days since the last event; since the first."""

LINK_STEP_MS: Final = 7 * DAY_MS
"""Last uses weigh by whole weeks of the epoch: a link that is used daily changes its weight once a week."""

VELOCITY_MS: Final = 7 * DAY_MS

BANDS: Final[dict[str, tuple[int, ...]]] = {kind: tuple(values.values()) for kind, values in FEATURES.items()}
FEATURE_COLUMNS: Final = len(_USER)

_MOST: Final = np.array(list(_USER.values()), np.int32)
_DEVICE, _CARD = int(EntityKind.DEVICE), int(EntityKind.CARD)
_APPROVED, _FAILED = 1 << Status.APPROVED, 1 << Status.DECLINED | 1 << Status.CANCELLED
_HOUR, _DAY, _VELOCITY = HOUR_MS, DAY_MS, VELOCITY_MS
_SPENT_FROM: Final = 3
"""log4 bands below that of 1.00 in a currency of two decimals."""


def _hash() -> str:
    definition = (_VERSION, FEATURES, HEAD_FEATURES, LINK_STEP_MS, VELOCITY_MS, _SPENT_FROM)
    return hashlib.blake2b(msgspec.json.encode(definition, order="sorted"), digest_size=8).hexdigest()


FEATURES_HASH: Final = _hash()
"""16 hex digits that change with the definition; a bundle that was trained on another is refused."""


def network_schema(*, layers: int = 2, width: int = 64, half_life_ms: int | None) -> NetworkSchema:
    """Returns the schema of a network over a shop's graph with these features."""
    return shop_schema(BANDS, head_features=HEAD_FEATURES, layers=layers, width=width, half_life_ms=half_life_ms)


def user_bands(graph: HotGraph, users: I32) -> I32:
    """Returns the banded features of users, `[n, FEATURE_COLUMNS]`."""
    out = np.zeros((len(users), FEATURE_COLUMNS), np.int32)
    fill_user_bands(graph.users, graph.links, graph.idents, graph.orders, users, out)
    return out


def ident_bands(graph: HotGraph, idents: I32) -> I32:
    """Returns the banded features of identifiers, `[n, FEATURE_COLUMNS]`: one, the others 0."""
    out = np.zeros((len(idents), FEATURE_COLUMNS), np.int32)
    fill_ident_bands(graph.idents, idents, out)
    return out


def head_features(graph: HotGraph, users: I32, as_of_ms: int | I64) -> F32:
    """Returns the head's own features of users, `[n, len(HEAD_FEATURES)]`.

    Args:
        as_of_ms: the moment of reading, one for all or one for each `[n]`; not before a user's last event.
    """
    out = np.zeros((len(users), len(HEAD_FEATURES)), np.float32)
    moments = np.broadcast_to(np.asarray(as_of_ms, np.int64), len(users))
    fill_head_features(graph.users, graph.links, users, np.ascontiguousarray(moments), out)
    return out


def users_band(users: int) -> int:
    """Returns the banded feature of an identifier with so many users."""
    return int(min(max(_band(users) - 1, 0), _USERS_BANDS - 1))


def count_band(name: str, count: int) -> int:
    """Returns a user's banded feature that counts something (not `spent`), from the count."""
    return int(min(_band(count), _USER[name] - 1))


@njit(cache=True, inline="always")
def _band(count: Int) -> Int:
    """Returns 0 for none, 1 for 1, 2 for 2, 3 for 3-4, 4 for 5-8, …"""
    if count <= 0:
        return 0
    band, rest = 1, count - 1
    while rest > 0:
        rest >>= 1
        band += 1
    return band


@njit(cache=True)
def fill_user_bands(users: Users, links: Links, idents: Idents, orders: Orders, ids: I32, out: I32) -> None:
    """Fills `[n, FEATURE_COLUMNS]`; a user who is gone has the features of one who did nothing."""
    for i in range(len(ids)):
        user = ids[i]
        counts, row = users.counts[user], out[i]
        row[0] = users.signup_ms[user] >= 0
        row[1] = _band(counts[ORDERS])
        row[2] = _band(counts[PAYMENTS])
        row[3] = _band(counts[DECLINED])
        row[4] = _band(counts[REFUNDS])
        row[5] = _band(counts[LOGINS])
        row[6] = _band(counts[REFERRALS])
        row[7] = _band(counts[TRANSFERS_OUT] + counts[TRANSFERS_IN])
        spent = np.int64(0)
        slot = users.orders[user]
        while slot >= 0:
            status = orders.status[slot]
            if status & _APPROVED or not status & _FAILED:
                spent += orders.amount_minor[slot]
            slot = orders.next[slot]
        row[8] = max((_band(spent) >> 1) - _SPENT_FROM, np.int64(spent > 0))
        row[9] = _band((users.last_ms[user] - users.first_ms[user]) // _DAY)
        first_spend = users.first_spend_ms[user]
        if first_spend >= 0:
            waited = first_spend - users.first_ms[user]
            row[10] = 1 if waited < _HOUR else 2 if waited < _DAY else 3
        devices, cards = 0, 0
        slot = users.links[user]
        while slot >= 0:
            kind = idents.kind[links.ident[slot]]
            devices += kind == _DEVICE
            cards += kind == _CARD
            slot = links.next_of_user[slot]
        row[11] = _band(devices)
        row[12] = _band(cards)
        for f in range(len(row)):
            row[f] = min(row[f], _MOST[f] - 1)


@njit(cache=True)
def fill_ident_bands(idents: Idents, ids: I32, out: I32) -> None:
    """Fills the first column."""
    for i in range(len(ids)):
        out[i, 0] = min(max(_band(idents.degree[ids[i]]) - 1, 0), _USERS_BANDS - 1)


@njit(cache=True)
def fill_head_features(users: Users, links: Links, ids: I32, as_of_ms: I64, out: F32) -> None:
    """Fills `[n, len(HEAD_FEATURES)]`."""
    for i in range(len(ids)):
        user, now = ids[i], as_of_ms[i]
        degree, begun = 0, 0
        slot = users.links[user]
        while slot >= 0:
            degree += 1
            begun += links.first_ms[slot] > now - _VELOCITY
            slot = links.next_of_user[slot]
        out[i, 0] = np.log2(1.0 + degree)
        out[i, 1] = np.log2(1.0 + begun)
        out[i, 2] = np.log2(1.0 + max(now - users.last_ms[user], 0) / _DAY)
        out[i, 3] = np.log2(1.0 + max(now - users.first_ms[user], 0) / _DAY)
