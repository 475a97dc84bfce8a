"""The published numbers of rings in columns, from the engine's graph or from a snapshot: the same for both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from fraudgraph.durations import DAY_MS, HOUR_MS
from fraudgraph.graph.hot import HotGraph
from fraudgraph.graph.orders import Orders
from fraudgraph.graph.types import F64, I32, I64, Bool
from fraudgraph.graph.users import COUNTS
from fraudgraph.kernels import njit
from fraudgraph.rings.features import FEATURE_INDEX, RING_MONEY
from fraudgraph.rings.rule_hits import AccountCondition, Operator, RuleCondition
from fraudgraph.rings.snapshot import RingSnapshot
from fraudgraph.rules.features import ACCOUNTS, EVIDENCE, FEATURES, VALUE_AT_RISK
from fraudgraph.scoring.port import RingScores

DECIMALS = 6
"""Numbers are rounded to so many before they are compared: sums of floats depend on their order in the last bits."""
_AT_RISK, _CURRENCY, _IDENTIFIERS = (
    RING_MONEY.index(name) for name in ("value_at_risk_minor", "currency", "identifiers")
)


@dataclass
class RingTable:
    """Columns of `r` rings, whose `n` members are in a row.

    Attributes:
        features: `[r, len(RING_FEATURES)]`; money `[r, len(RING_MONEY)]`.
        evidence: reason -> `[r]` log-odds as they are stored: 0 where below 0.05, else with three digits.
        starts: `[r + 1]` where each ring's members begin.
        accounts: by name: `COUNTS`, `label`, `first_ms`, `last_ms`, `signup_ms`, `first_spend_ms`, each `[n]`.
        order_times: from the place of a ring to the times of its orders, in ms, in any order.
    """

    features: F64
    money: I64
    probability: F64
    evidence: Mapping[str, F64]
    starts: I64
    accounts: Mapping[str, I64]
    order_times: Callable[[int], I64]
    _known: dict[RuleCondition, F64] = field(default_factory=dict)

    def __len__(self) -> int:
        """Returns how many rings."""
        return len(self.probability)

    def values(self, condition: RuleCondition) -> F64:
        """Returns what a condition compares, `[r]`; NaN where a ring has no such number."""
        if condition not in self._known:
            self._known[condition] = np.round(self._measure(condition), DECIMALS)
        return self._known[condition]

    def _measure(self, condition: RuleCondition) -> F64:
        name = condition.feature
        if name in FEATURE_INDEX:
            column = self.features[:, FEATURE_INDEX[name]]
            return np.exp2(column) - 1.0 if FEATURES[name].logarithm else column
        if name == ACCOUNTS:
            return self._counted(condition)
        if name == VALUE_AT_RISK:
            value = self.money[:, _AT_RISK].astype(np.float64)
            return np.where(self.money[:, _CURRENCY] == condition.currency, value, np.nan)
        if name == "identifiers":
            return self.money[:, _IDENTIFIERS].astype(np.float64)
        if name == "probability":
            return self.probability
        if name.startswith(EVIDENCE):
            return self.evidence.get(name.removeprefix(EVIDENCE), np.zeros(len(self)))
        return np.array([self._most(condition, ring) for ring in range(len(self))], np.float64)

    def _counted(self, condition: RuleCondition) -> F64:
        holds = np.ones(int(self.starts[-1]), np.bool_)
        for each in condition.accounts:
            holds &= compared(self._account(each), each.op, each.threshold)
        counted = np.add.reduceat(holds.astype(np.int64), self.starts[:-1]) if len(holds) else np.zeros(len(self))
        return counted / np.diff(self.starts) if condition.part else counted.astype(np.float64)

    def _account(self, condition: AccountCondition) -> F64:
        name, known = condition.feature, self.accounts
        if name == "signed_up":
            return (known["signup_ms"] >= 0).astype(np.float64)
        if name == "days_in_use":
            return np.asarray((known["last_ms"] - known["first_ms"]) / DAY_MS, np.float64)
        if name == "hours_to_spend":
            hours = (known["first_spend_ms"] - known["first_ms"]) / HOUR_MS
            return np.where(known["first_spend_ms"] >= 0, hours, np.nan)
        return known[name].astype(np.float64)

    def _most(self, condition: RuleCondition, ring: int) -> int:
        if condition.feature == "orders":
            times = self.order_times(ring)
        else:
            times = self.accounts["first_ms"][self.starts[ring] : self.starts[ring + 1]]
        return most_within(times, condition.window_ms)


def compared(values: F64, op: Operator, threshold: int | float) -> Bool:
    """Returns where the comparison holds; nowhere for NaN."""
    if op == ">=":
        return np.asarray(values >= threshold)
    if op == ">":
        return np.asarray(values > threshold)
    if op == "<=":
        return np.asarray(values <= threshold)
    if op == "<":
        return np.asarray(values < threshold)
    if op == "==":
        return np.asarray(values == threshold)
    return np.asarray((values != threshold) & ~np.isnan(values))


def most_within(times_ms: I64, window_ms: int) -> int:
    """Returns how many of the times lie within one span of that length, at most; its ends belong to it."""
    times = np.sort(times_ms)
    ends = np.searchsorted(times, times + window_ms, side="right")
    return int((ends - np.arange(len(times))).max(initial=0))


def table_of_graph(
    graph: HotGraph, members: I32, starts: I64, features: F64, money: I64, scores: RingScores
) -> RingTable:
    """Returns the table of rings that were just judged."""
    users = graph.users
    accounts: dict[str, I64] = {
        name: users.counts[members, place].astype(np.int64) for place, name in enumerate(COUNTS)
    }
    for name in ("first_ms", "last_ms", "signup_ms", "first_spend_ms", "label"):
        accounts[name] = getattr(users, name)[members].astype(np.int64)

    def order_times(ring: int) -> I64:
        team = members[starts[ring] : starts[ring + 1]]
        return _order_times(graph.orders, users.orders, team)

    contributions = np.where(np.abs(scores.contributions) >= 0.05, np.round(scores.contributions, 3), 0.0)
    evidence = {reason: contributions[:, place] for place, reason in enumerate(scores.reasons)}
    return RingTable(features, money, scores.probability, evidence, starts, accounts, order_times)


def table_of_snapshot(snapshot: RingSnapshot, features: F64, money: I64) -> RingTable:
    """Returns the table of a snapshot's ring, with its features and money measured again (`rings.remeasure`)."""
    users = snapshot.users
    names = (*COUNTS, "label", "first_ms", "last_ms", "signup_ms", "first_spend_ms")
    times = np.array([order.ts_ms for order in snapshot.orders], np.int64)
    return RingTable(
        features=features,
        money=money,
        probability=np.array([snapshot.probability]),
        evidence={reason: np.array([value]) for reason, value in snapshot.contributions.items()},
        starts=np.array([0, len(users)], np.int64),
        accounts={name: np.array([getattr(user, name) for user in users], np.int64) for name in names},
        order_times=lambda _: times,
    )


@njit(cache=True)
def _order_times(orders: Orders, user_orders: I32, team: I32) -> I64:
    n = 0
    for user in team:
        slot = user_orders[user]
        while slot >= 0:
            n += 1
            slot = orders.next[slot]
    times = np.empty(n, np.int64)
    n = 0
    for user in team:
        slot = user_orders[user]
        while slot >= 0:
            times[n] = orders.ts_ms[slot]
            n += 1
            slot = orders.next[slot]
    return times
