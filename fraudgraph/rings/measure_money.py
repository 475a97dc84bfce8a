"""Measures the money of rings and what members send each other, from the hot graph's columns."""

from __future__ import annotations

import numpy as np

from fraudgraph.events.kinds import EventType, Status
from fraudgraph.graph.orders import Orders
from fraudgraph.graph.transfers import TransferColumns
from fraudgraph.graph.types import F64, I32, I64, Int
from fraudgraph.graph.users import Users
from fraudgraph.kernels import njit
from fraudgraph.rings.features import FEATURE_INDEX

_MAX_CURRENCIES = 256  # ISO 4217 has fewer
_TRANSFER = int(EventType.TRANSFER)
_APPROVED, _DECLINED_BIT, _CANCELLED = 1 << Status.APPROVED, 1 << Status.DECLINED, 1 << Status.CANCELLED

F_REFERRALS, F_TRANSFERS_INSIDE, F_TRANSFERS_BACK, F_REFUNDED_MONEY = (
    FEATURE_INDEX[name] for name in ("referrals_inside", "transfers_inside", "transfers_back", "refunded_money")
)


@njit(cache=True)
def measure_money(
    users: Users, orders: Orders, transfers: TransferColumns, team: I32, ring: Int, user_ring: I32, row: F64, sums: I64
) -> None:
    """Value at risk as `rings.money` defines it: what is still out, and what was charged back, each order once."""
    codes = np.zeros(_MAX_CURRENCIES, np.int64)
    at_risk = np.zeros(_MAX_CURRENCIES, np.int64)
    ordered = np.zeros(_MAX_CURRENCIES, np.int64)
    refunded = np.zeros(_MAX_CURRENCIES, np.int64)
    sent = np.zeros(_MAX_CURRENCIES, np.int64)
    used = 0
    for user in team:
        slot = users.orders[user]
        while slot >= 0:
            at, used = _currency_at(codes, used, orders.currency[slot])
            bits = orders.status[slot]
            stopped = bits & _CANCELLED or (bits & _DECLINED_BIT and not bits & _APPROVED)
            amount = orders.amount_minor[slot]
            if not stopped:
                ordered[at] += amount
                open_minor = amount - orders.refunded_minor[slot] - orders.charged_minor[slot]
                at_risk[at] += max(open_minor, 0)
            refunded[at] += orders.refunded_minor[slot]
            at_risk[at] += orders.charged_minor[slot]
            slot = orders.next[slot]
    inside, back, pairs, referrals = 0, 0, 0, 0
    for user in team:
        slot = users.transfers_out[user]
        sends_inside = False
        while slot >= 0:
            receiver = transfers.receiver[slot]
            is_inside = user_ring[receiver] == ring and receiver != user
            if transfers.kind[slot] == _TRANSFER:
                at, used = _currency_at(codes, used, transfers.currency[slot])
                sent[at] += transfers.amount_minor[slot]
                if is_inside:
                    sends_inside = True
                    pairs += 1
                    back += _sends(transfers, users.transfers_out[receiver], user)
            elif is_inside:
                referrals += transfers.uses[slot]
            slot = transfers.next_out[slot]
        inside += sends_inside
    row[F_REFERRALS] = referrals / len(team)
    row[F_TRANSFERS_INSIDE] = inside / len(team)
    row[F_TRANSFERS_BACK] = back / pairs if pairs else 0.0
    value = at_risk if at_risk.sum() > 0 else sent
    best = 0
    for j in range(1, used):
        if value[j] > value[best] or (value[j] == value[best] and codes[j] < codes[best]):
            best = j
    sums[0], sums[1] = value[best], codes[best]
    row[F_REFUNDED_MONEY] = min(1.0, refunded[best] / ordered[best]) if ordered[best] else 0.0


@njit(cache=True)
def _currency_at(codes: I64, used: Int, code: Int) -> Int:
    """Returns the place of a currency and how many are in use; never writes beyond the last place."""
    for j in range(used):
        if codes[j] == code:
            return j, used
    if used == len(codes):
        return used - 1, used
    codes[used] = code
    return used, used + 1


@njit(cache=True)
def _sends(transfers: TransferColumns, head: Int, receiver: Int) -> Int:
    slot = head
    while slot >= 0:
        if transfers.kind[slot] == _TRANSFER and transfers.receiver[slot] == receiver:
            return 1
        slot = transfers.next_out[slot]
    return 0
