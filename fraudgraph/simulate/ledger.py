"""From sessions to the shop's events: orders, payments, returns, chargebacks, referrals, in order of time."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from fraudgraph.durations import DAY_MS
from fraudgraph.events.kinds import EventType, Status
from fraudgraph.simulate.hours import minutes_later
from fraudgraph.simulate.identifiers import NONE

if TYPE_CHECKING:
    import numpy.typing as npt

    from fraudgraph.simulate.people import People
    from fraudgraph.simulate.rings import Ring
    from fraudgraph.simulate.sessions import Sessions
    from fraudgraph.simulate.spec import WorldSpec

    Ints = npt.NDArray[np.int64]

_REFUND_LAG_DAYS, _REFUND_SPREAD = 9.0, 0.5
_CHARGEBACK_LAG_DAYS, _CHARGEBACK_SPREAD = 30.0, 0.35  # two thirds within 21 to 43 days


@dataclass(slots=True)
class Events:
    """Columns of `n` events; -1 where a field is absent.

    Attributes:
        type: EventType. status: Status, NONE where absent.
        order: number of the order, to be written by `Pools.order_ids`.
        other: the referred user.
        ring: the ring whose act it is.
    """

    type: Ints
    ts: Ints
    user: Ints
    device: Ints
    ip: Ints
    card: Ints
    email: Ints
    phone: Ints
    address: Ints
    amount: Ints
    order: Ints
    status: Ints
    other: Ints
    ring: Ints

    def __len__(self) -> int:
        return len(self.ts)

    def take(self, rows: Ints | npt.NDArray[np.bool_] | slice) -> Events:
        """Returns some rows."""
        return Events(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


@dataclass(slots=True)
class Chargebacks:
    """Columns of all chargebacks, also of those that arrive after the stream's end."""

    order: Ints
    user: Ints
    ordered_ms: Ints
    arrived_ms: Ints
    ring: Ints


def record(
    sessions: Sessions, rings: list[Ring], people: People, spec: WorldSpec, rng: np.random.Generator
) -> tuple[Events, Chargebacks]:
    """Returns the events within the world's time, sorted, and every chargeback."""
    sessions = sessions.take(np.argsort(sessions.ts, kind="stable"))
    s = sessions
    signups = _events(EventType.SIGNUP, s, s.signup, s.ts[s.signup], ("device", "ip", "email", "phone"))
    logins = _events(EventType.LOGIN, s, s.login, s.ts[s.login], ("device", "ip"))
    bought = np.flatnonzero(s.order)
    ordered_ms = minutes_later(s.ts[bought], 6.0, rng)
    bought, ordered_ms = bought[ordered_ms < spec.end_ms], ordered_ms[ordered_ms < spec.end_ms]
    number = np.arange(len(bought))
    everything = ("device", "ip", "card", "email", "phone", "address", "amount", "ring")
    orders = _events(EventType.ORDER, s, bought, ordered_ms, everything)
    orders.order = number
    orders.status = np.where(s.fails[bought], Status.CANCELLED, Status.APPROVED).astype(np.int64)
    payments = _payments(s, bought, ordered_ms, rng)
    probed = np.flatnonzero(s.probe & ~s.order)
    probes = _events(
        EventType.PAYMENT, s, probed, minutes_later(s.ts[probed], 3.0, rng), ("device", "ip", "card", "ring")
    )
    probes.amount = s.token[probed]
    probes.status = np.where(s.fails[probed], Status.DECLINED, Status.APPROVED).astype(np.int64)
    stood = np.flatnonzero(~s.fails[bought])
    refunds = _refunds(orders.take(stood), s.refund_share[bought[stood]], rng)
    backs = _chargebacks(orders.take(stood), s.chargeback_share[bought[stood]], rng)
    chargebacks = _bare(EventType.CHARGEBACK, backs.arrived_ms, backs.user)
    chargebacks.order, chargebacks.amount = backs.order, orders.amount[backs.order]
    parts = [signups, logins, orders, payments, probes, refunds, chargebacks, _referrals(rings, people, spec, rng)]
    events = Events(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Events)})
    events = events.take((events.ts >= spec.start_ms) & (events.ts < spec.end_ms))
    return events.take(np.lexsort((events.order, events.type, events.user, events.ts))), backs


def _bare(kind: EventType, ts: Ints, user: Ints) -> Events:
    """Returns events of one type with nothing but who and when."""
    n = len(ts)
    blank = {f.name: np.full(n, NONE, dtype=np.int64) for f in fields(Events)}
    blank |= {"type": np.full(n, int(kind)), "ts": ts, "user": user, "status": np.full(n, int(Status.NONE))}
    return Events(**blank)


def _events(
    kind: EventType, sessions: Sessions, rows: Ints | npt.NDArray[np.bool_], ts: Ints, carried: tuple[str, ...]
) -> Events:
    """Returns an event at each of `ts` for the rows, with the named columns of its session."""
    events = _bare(kind, ts, sessions.user[rows])
    for name in carried:
        setattr(events, name, getattr(sessions, name)[rows])
    return events


def _payments(s: Sessions, bought: Ints, ordered_ms: Ints, rng: np.random.Generator) -> Events:
    """Returns the payment attempts of every order: the failed ones, then the last."""
    attempts = s.declines[bought] + 1
    of = np.repeat(np.arange(len(bought)), attempts)
    turn = np.arange(len(of)) - np.repeat(np.cumsum(attempts) - attempts, attempts)
    pace_ms = 1000 + rng.exponential(40_000, len(bought)).astype(np.int64)
    ts = ordered_ms[of] + 1000 + turn * pace_ms[of]
    payments = _bare(EventType.PAYMENT, ts, s.user[bought[of]])
    for name in ("device", "ip", "card", "amount", "ring"):
        setattr(payments, name, getattr(s, name)[bought[of]])
    payments.order = of
    last = turn == attempts[of] - 1
    declined = ~last | s.fails[bought[of]]
    payments.status = np.where(declined, Status.DECLINED, Status.APPROVED).astype(np.int64)
    return payments


def _refunds(orders: Events, share: npt.NDArray[np.float64], rng: np.random.Generator) -> Events:
    """Returns refunds of three in four orders in full, of the others in part."""
    chosen = orders.take(rng.random(len(orders)) < share)
    lag = rng.lognormal(np.log(_REFUND_LAG_DAYS * DAY_MS), _REFUND_SPREAD, len(chosen)).astype(np.int64)
    refunds = _bare(EventType.REFUND, chosen.ts + lag, chosen.user)
    part = np.where(rng.random(len(chosen)) < 0.75, 1.0, rng.uniform(0.2, 0.8, len(chosen)))
    refunds.amount = np.maximum(1, (chosen.amount * part).astype(np.int64))
    refunds.order, refunds.ring = chosen.order, chosen.ring
    refunds.status = np.full(len(chosen), int(Status.APPROVED))
    return refunds


def _chargebacks(orders: Events, share: npt.NDArray[np.float64], rng: np.random.Generator) -> Chargebacks:
    """Returns what the banks take back, weeks later."""
    chosen = orders.take(rng.random(len(orders)) < share)
    lag = rng.lognormal(np.log(_CHARGEBACK_LAG_DAYS * DAY_MS), _CHARGEBACK_SPREAD, len(chosen)).astype(np.int64)
    return Chargebacks(chosen.order, chosen.user, chosen.ts, chosen.ts + lag, chosen.ring)


def _referrals(rings: list[Ring], people: People, spec: WorldSpec, rng: np.random.Generator) -> Events:
    """Returns referrals among friends, and those with which a ring pays itself."""
    new = np.flatnonzero((people.signup_ms >= spec.start_ms) & (rng.random(len(people)) < 0.12))
    friend = (new + rng.integers(1, 200, len(new))) % len(people)
    known = people.signup_ms[friend] < people.signup_ms[new]
    pairs = [(int(a), int(b)) for a, b in zip(friend[known], new[known], strict=True)]
    for ring in rings:
        if ring.typology != "promo_abuse":
            continue
        for child, parent in enumerate(ring.parents):
            if parent >= 0 and rng.random() < 0.6 * ring.habits.effort:
                pairs.append((ring.users[parent], ring.users[child]))
    both = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    brought = np.maximum(people.signup_ms[both[:, 1]], people.signup_ms[both[:, 0]])
    inside = brought >= spec.start_ms
    events = _bare(EventType.REFERRAL, minutes_later(brought[inside], 20.0, rng), both[inside, 0])
    events.other = both[inside, 1]
    return events
