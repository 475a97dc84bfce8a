"""Which accounts somebody would have looked at with so many alerts a day, and what that was worth.

At each reading the accounts that a model ranks highest are alerted, as many as the budget gathered since the reading
before. Nobody is alerted twice, and nobody who is known as fraud already. Accounts that count neither for nor against a
model (victims, those whose label is open) use the budget up like any other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fraudgraph.graph.types import F64, I64
from training.evaluation.observe import NEVER, Seen
from training.labels import NEGATIVE, POSITIVE


@dataclass(frozen=True, slots=True)
class Alerts:
    """What a budget bought in one stream.

    Attributes:
        at_ms: `[names]` when each account was alerted, `NEVER` where it was not.
        hit: `[names]` 1 where it was fraud at that reading. miss: where it was honest.
        wanted: `[names]` 1 where it was fraud at any reading.
    """

    at_ms: I64
    hit: F64
    miss: F64
    wanted: F64


def alerts(seen: Seen, model: str, a_day: int) -> Alerts:
    """Returns what a model's ranking makes of a budget of so many alerts a day."""
    names = len(seen.names)
    at_ms = np.full(names, NEVER, np.int64)
    hit, miss, wanted = np.zeros(names), np.zeros(names), np.zeros(names)
    owed = 0.0
    for reading, days in enumerate(seen.days):
        rows, target = seen.rows[reading], seen.target[reading]
        wanted[rows[target == POSITIVE]] = 1.0
        owed += a_day * days
        quota, open_ = int(owed + 1e-9), np.flatnonzero(seen.alertable[reading] & (at_ms[rows] == NEVER))
        owed -= quota
        chosen = open_[np.argsort(-seen.said[model][reading][open_], kind="stable")[:quota]]
        at_ms[rows[chosen]] = seen.cuts_ms[reading]
        hit[rows[chosen]] = target[chosen] == POSITIVE
        miss[rows[chosen]] = target[chosen] == NEGATIVE
    return Alerts(at_ms, hit, miss, wanted)


def money(seen: Seen, alerted: Alerts) -> tuple[F64, F64, F64] | None:
    """Returns by account, in minor units: stopped (moved after its alert), found (all of an alerted account), and all.

    Left out is what nobody could have caught: what moved before the first reading or after the last, and what an
    account moved after it was known as fraud without any model. None where no losses are known.
    """
    if seen.losses is None:
        return None
    number = {name: place for place, name in enumerate(seen.names)}
    account = np.array([number.get(name, -1) for name in seen.losses.user], np.int64)
    ts_ms = seen.losses.ts_ms
    inside = (account >= 0) & (ts_ms > seen.cuts_ms[0]) & (ts_ms <= seen.cuts_ms[-1])
    inside &= ts_ms <= seen.known_ms[account]
    account, ts_ms, minor = account[inside], ts_ms[inside], seen.losses.minor[inside].astype(np.float64)
    at_ms, names = alerted.at_ms[account], len(seen.names)

    def total(rows: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> F64:
        return np.bincount(account[rows], minor[rows], names)

    return total(ts_ms > at_ms), total(at_ms != NEVER), total(np.ones(len(account), np.bool_))
