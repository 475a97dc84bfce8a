"""What the event head is told of an order: one definition for training and for serving, over the graph before it.

The order itself is in none of the counts: what is said of the account and of its identifiers is what was known when it
came. Labels and chargebacks are no columns, nor is the order's own outcome, which nobody knows yet.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec
import numpy as np

from fraudgraph.durations import DAY_MS, HOUR_MS
from fraudgraph.events.batch import DecodedBatch
from fraudgraph.events.kinds import IDENTIFIER_KINDS, EntityKind, Status
from fraudgraph.graph.hot import HotGraph
from fraudgraph.graph.interning import key_halves, look_up_keys
from fraudgraph.graph.links import find_slot
from fraudgraph.graph.types import I32, Int
from fraudgraph.graph.users import DECLINED, LOGINS, ORDERS, PAYMENTS, REFUNDS, TRANSFERS_OUT
from fraudgraph.kernels import bare
from fraudgraph.scoring.gnn.model import F32
from fraudgraph.scoring.trees_columns import view_of
from fraudgraph.scoring.trees_kernels import NARROW_USERS, View, is_hub

_VERSION: Final = 1
"""Raised when the meaning of a column changes and its name does not."""
_KINDS: Final = tuple(kind.label for kind in IDENTIFIER_KINDS)

ORDER: Final = (
    "hour",  # of the day, and the day of the week, UTC
    "weekday",
    "amount_minor",
    "currency",  # ISO 4217 number
    "known",  # the account was there before; what follows is 0 or -1 where it was not
    "signed_up",
    "age_hours",
    "idle_hours",
    "logins",
    "orders",
    "payments",
    "declined",
    "refunds",
    "declined_share",
    "hours_since_order",  # -1 for none
    "amount_to_mean",  # of the account's orders; -1 for none
    "amount_to_largest",
    "new_currency",
    "orders_1h",
    "orders_1d",
    "orders_7d",
    "spent_1d_minor",
    "failed_orders",
)
IDENTIFIERS: Final = (
    "identifiers",  # that the order names
    "new_identifiers",  # of those, never used by the account
    "unseen_identifiers",  # never used by anybody
    "hubs",
    *(f"has_{kind}" for kind in _KINDS),
    *(f"new_{kind}" for kind in _KINDS),
    *(f"users_{kind}" for kind in _KINDS),  # other accounts of the most used one
    "joined_1d",  # others who began to use one of them lately, hubs and wide ones apart
    "joined_7d",
    "used_1h",  # others who used one within the hour
    "others_orders",
    "others_declined",
    "youngest_hours",  # age of the youngest of the others; -1 for none
)
COLUMNS: Final = (*ORDER, *IDENTIFIERS)
LOG_ODDS: Final = "account_log_odds"
"""What the bundle's own model says of the account as of the order; missing where the account is new."""


def _hash() -> str:
    definition = (_VERSION, COLUMNS, LOG_ODDS, NARROW_USERS)
    return hashlib.blake2b(msgspec.json.encode(definition), digest_size=8).hexdigest()


EVENT_COLUMNS_HASH: Final = _hash()
"""16 hex digits that change with the definition; an event head that was trained on another is refused."""

_HOUR, _DAY, _WEEK = HOUR_MS, DAY_MS, 7 * DAY_MS
_FIRST_WEEKDAY: Final = 3  # 1 January 1970 was a Thursday
_FAILED = 1 << Status.DECLINED | 1 << Status.CANCELLED
_AT_IDENTIFIERS: Final = len(ORDER)
_OF_KIND: Final = len(EntityKind) - 1
_AT_KINDS: Final = _AT_IDENTIFIERS + 4
_AT_OTHERS: Final = _AT_KINDS + 3 * _OF_KIND


def event_columns(graph: HotGraph, batch: DecodedBatch, rows: I32) -> F32:
    """Returns `[n, len(COLUMNS)]` of some events of a batch that was not applied to the graph."""
    out = np.zeros((len(rows), len(COLUMNS)), np.float32)
    view = view_of(graph)
    users = users_of(graph, batch, rows)
    for place, row in enumerate(rows.tolist()):
        first, last = np.searchsorted(batch.link_event, (row, row + 1)).tolist()
        kinds = np.asarray(batch.link_kind[first:last], np.int32)
        keys = key_halves(batch.link_key[first:last])
        idents = look_up_keys(graph.keys, keys).astype(np.int32) if last > first else np.empty(0, np.int32)
        fill_event(
            view,
            int(users[place]),
            kinds,
            idents,
            int(batch.ts_ms[row]),
            int(batch.amount_minor[row]),
            int(batch.currency[row]),
            out[place],
        )
    return out


def users_of(graph: HotGraph, batch: DecodedBatch, rows: I32) -> I32:
    """Returns whose events they are, `[n]`; -1 for accounts that the graph does not know."""
    id_of = graph.user_table.id_of
    users = np.array([id_of.get(batch.user[row], -1) for row in rows.tolist()], np.int32)
    return np.where(graph.users.last_ms[users] >= 0, users, -1).astype(np.int32)


@bare()
def fill_event(view: View, user: Int, kinds: I32, idents: I32, now: Int, amount: Int, currency: Int, row: F32) -> None:
    """Fills a row of zeros; `idents` are -1 where nobody used them."""
    row[0] = now // _HOUR % 24
    row[1] = (now // _DAY + _FIRST_WEEKDAY) % 7
    row[2] = amount
    row[3] = currency
    row[6], row[7], row[14], row[15], row[16] = -1.0, -1.0, -1.0, -1.0, -1.0
    if user >= 0:
        _fill_account(view, user, now, amount, currency, row)
    row[_AT_OTHERS + 5] = -1.0
    for i in range(len(idents)):
        again = False
        for j in range(i):
            again |= kinds[j] == kinds[i] and idents[j] == idents[i] and idents[i] >= 0
        if not again:
            _fill_identifier(view, user, kinds[i], idents[i], now, row)


@bare()
def _fill_account(view: View, user: Int, now: Int, amount: Int, currency: Int, row: F32) -> None:
    users, orders, counts = view.users, view.orders, view.users.counts
    row[4] = 1
    row[5] = users.signup_ms[user] >= 0
    row[6] = (now - users.first_ms[user]) / _HOUR
    row[7] = (now - users.last_ms[user]) / _HOUR
    row[8] = counts[user, LOGINS]
    row[9] = counts[user, ORDERS]
    row[10] = counts[user, PAYMENTS]
    row[11] = counts[user, DECLINED]
    row[12] = counts[user, REFUNDS]
    row[13] = counts[user, DECLINED] / max(
        1, counts[user, ORDERS] + counts[user, PAYMENTS] + counts[user, TRANSFERS_OUT]
    )
    placed, total, most, latest, spent = 0, np.int64(0), np.int64(0), np.int64(-1), np.int64(0)
    new_currency: Int = True
    slot = users.orders[user]
    while slot >= 0:
        when, value = orders.ts_ms[slot], np.int64(orders.amount_minor[slot])
        placed += 1
        total += value
        most = max(most, value)
        latest = max(latest, np.int64(when))
        new_currency &= orders.currency[slot] != currency
        row[18] += when > now - _HOUR
        row[19] += when > now - _DAY
        row[20] += when > now - _WEEK
        if when > now - _DAY:
            spent += value
        row[22] += orders.status[slot] & _FAILED != 0
        slot = orders.next[slot]
    if placed > 0:
        row[14] = (now - latest) / _HOUR
        row[15] = amount * placed / max(total, np.int64(1))
        row[16] = amount / max(most, np.int64(1))
        row[17] = new_currency
    row[21] = spent


@bare()
def _fill_identifier(view: View, user: Int, kind: Int, ident: Int, now: Int, row: F32) -> None:
    users, links = view.users, view.links
    own: Int = -1
    others: Int = 0
    if ident >= 0:
        own = -1 if user < 0 else find_slot(links, user, ident)
        others = view.idents.degree[ident] - (own >= 0)
    row[_AT_IDENTIFIERS] += 1
    row[_AT_IDENTIFIERS + 1] += own < 0
    row[_AT_IDENTIFIERS + 2] += own < 0 and others == 0
    at = _AT_KINDS + kind - 1
    row[at] = 1
    row[at + _OF_KIND] += own < 0
    row[at + 2 * _OF_KIND] = max(row[at + 2 * _OF_KIND], np.float32(others))
    if ident < 0:
        return
    if is_hub(view, ident):
        row[_AT_IDENTIFIERS + 3] += 1
        return
    if others > NARROW_USERS:
        return
    slot = view.idents.links[ident]
    while slot >= 0:
        if slot != own:
            other = links.user[slot]
            row[_AT_OTHERS] += links.first_ms[slot] > now - _DAY
            row[_AT_OTHERS + 1] += links.first_ms[slot] > now - _WEEK
            row[_AT_OTHERS + 2] += links.last_ms[slot] > now - _HOUR
            row[_AT_OTHERS + 3] += users.counts[other, ORDERS]
            row[_AT_OTHERS + 4] += users.counts[other, DECLINED]
            age = np.float32((now - users.first_ms[other]) / _HOUR)
            youngest = row[_AT_OTHERS + 5]
            row[_AT_OTHERS + 5] = age if youngest < 0 else min(youngest, age)
        slot = links.next_of_ident[slot]
