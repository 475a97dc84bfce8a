"""A session: somebody comes to the shop once, from somewhere, on something, and perhaps orders."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from fraudgraph.durations import DAY_MS
from fraudgraph.events.kinds import EntityKind
from fraudgraph.simulate.hours import WEEK_MEAN, at_waking_hours, hour, takes_place, weekday
from fraudgraph.simulate.identifiers import NONE, Pools

if TYPE_CHECKING:
    import numpy.typing as npt

    from fraudgraph.simulate.people import People
    from fraudgraph.simulate.spec import WorldSpec

    Ints = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]
    Bools = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Sessions:
    """Columns of `s` visits; identifiers are -1 where none is seen.

    Attributes:
        ring: index of the ring that it is an act of, or -1.
        signup, login, order, probe: what it contains; a probe is a payment; an order replaces it.
        declines: failed payment attempts before the last one.
        fails: whether the last one fails too, so that the order is cancelled.
        amount, token: of the order, and of the probe, in minor units.
        refund_share, chargeback_share: probability of each later on, were the order to stand.
    """

    user: Ints
    ts: Ints
    device: Ints
    ip: Ints
    card: Ints
    email: Ints
    phone: Ints
    address: Ints
    ring: Ints
    signup: Bools
    login: Bools
    order: Bools
    probe: Bools
    declines: Ints
    fails: Bools
    amount: Ints
    token: Ints
    refund_share: Floats
    chargeback_share: Floats

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: Ints | Bools) -> Sessions:
        """Returns a copy of some rows."""
        return Sessions(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @staticmethod
    def concatenate(parts: list[Sessions]) -> Sessions:
        """Returns the rows of all parts, in their order."""
        return Sessions(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Sessions)})


def visits(people: People, spec: WorldSpec, pools: Pools, rng: np.random.Generator) -> Sessions:
    """Returns everybody's ordinary sessions, members of rings included: camouflage is the same draw."""
    start, end = spec.start_ms, spec.end_ms
    opened = np.maximum(people.signup_ms, start)
    span = np.maximum(people.leave_ms - opened, 0)
    expected = people.sessions_per_day * span / DAY_MS / WEEK_MEAN
    user = np.repeat(np.arange(len(people)), rng.poisson(expected))
    ts = opened[user] + (rng.random(len(user)) * span[user]).astype(np.int64)
    ts = at_waking_hours(ts, people.night_shift[user], rng)
    kept = (ts >= opened[user]) & (ts < end) & takes_place(ts, rng)
    user, ts = user[kept], ts[kept]
    new = np.flatnonzero((people.signup_ms >= start) & (people.signup_ms < end))
    # Most accounts from before come early once; a new account is opened in order to look around or to buy.
    comes = people.is_member | (rng.random(len(people)) < 0.5)
    old = np.flatnonzero((people.signup_ms < start) & comes)
    early = start + (rng.beta(1.0, 4.0, len(old)) * (end - start)).astype(np.int64)
    early = at_waking_hours(early, people.night_shift[old], rng)
    keep = early < end
    users = np.concatenate([user, old[keep], new])
    times = np.concatenate([ts, early[keep], people.signup_ms[new]])
    signup = np.zeros(len(users), dtype=np.bool_)
    signup[len(users) - len(new) :] = True
    quiet = np.zeros(len(users), dtype=np.bool_)
    quiet[len(user) : len(users) - len(new)] = True
    return _furnish(people, users, times, start, signup, quiet, pools, rng)


def _furnish(
    people: People,
    user: Ints,
    ts: Ints,
    start_ms: int,
    signup: Bools,
    quiet: Bools,
    pools: Pools,
    rng: np.random.Generator,
) -> Sessions:
    """Returns visits with where they come from, on what, and what is bought."""
    s = len(user)
    ip, device = _places(people, user, ts, start_ms, rng)
    address, phone = _deliveries(people, user, rng)
    phone = np.where(signup, people.phone[user], phone)
    order = (rng.random(s) < np.where(signup, 0.45, people.order_share[user])) & ~quiet
    risky = people.decline_rate[user]
    declines = np.where(order & (rng.random(s) < risky), rng.geometric(0.6, s), 0)
    # People add or check a card now and then, with a token amount that many banks refuse at first.
    probe = ~order & (rng.random(s) < np.where(signup, 0.25, 0.04))
    return Sessions(
        user=user,
        ts=ts,
        device=device,
        ip=ip,
        card=_cards(people, user, pools, rng),
        email=people.email[user].copy(),
        phone=phone,
        address=address,
        ring=np.full(s, NONE, dtype=np.int64),
        signup=signup,
        login=~signup & (rng.random(s) < 0.9),
        order=order,
        probe=probe,
        declines=declines,
        fails=np.where(probe, rng.random(s) < 0.15 + risky, (declines > 0) & (rng.random(s) < 0.25)),
        amount=amounts(people.spend[user], rng),
        token=tokens(s, rng),
        refund_share=people.return_rate[user],
        chargeback_share=np.full(s, 0.0012),
    )


def amounts(spend: Floats, rng: np.random.Generator) -> Ints:
    """Returns order values in minor units, log-normal around each person's habit, half of them ending in 9."""
    minor = np.maximum(200, np.exp(rng.normal(spend, 0.75)) * 100).astype(np.int64)
    charming: Ints = np.where(rng.random(len(spend)) < 0.5, minor // 10 * 10 + 9, minor)
    return charming


def tokens(count: int, rng: np.random.Generator) -> Ints:
    """Returns amounts with which a card is checked, in minor units: mostly below 8.00."""
    usual: Ints = np.where(rng.random(count) < 0.7, rng.integers(50, 800, count), rng.integers(800, 5000, count))
    return usual


def _cards(people: People, user: Ints, pools: Pools, rng: np.random.Generator) -> Ints:
    """Returns the card that each visit would pay with: the first mostly, another, or a one-time number."""
    draw = rng.random(len(user))
    second, third = people.cards[user, 1], people.cards[user, 2]
    card: Ints = np.where((draw < 0.3) & (second != NONE), second, people.cards[user, 0])
    seldom = (draw < 0.08) & (third != NONE)
    card[seldom] = third[seldom]
    once = (draw > 0.4) & people.one_time_cards[user]
    card[once] = pools.take(EntityKind.CARD, int(once.sum()))
    return card


def _deliveries(people: People, user: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Returns delivery addresses (home, a friend's as a gift, a parcel locker, the office) and contact numbers."""
    s = len(user)
    draw = rng.random(s)
    friend = (user + rng.integers(1, 200, s)) % len(people)  # friends live nearby in the table
    gift = draw < 0.045
    address = np.where(gift, people.address[friend], people.address[user])
    lockers = people.lockers[(user // 97 + rng.integers(0, 2, s)) % len(people.lockers)]
    address = np.where(~gift & (draw < 0.085), lockers, address)
    at_work = (draw >= 0.085) & (draw < 0.11) & (people.office_address[user] != NONE)
    address = np.where(at_work, people.office_address[user], address)
    phone = np.where(rng.random(s) < 0.08, people.second_phone[user], people.phone[user])
    phone = np.where(gift & (draw < 0.025), people.phone[friend], phone)
    return address, np.where(rng.random(s) < 0.25, NONE, phone)


def _places(people: People, user: Ints, ts: Ints, start_ms: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Returns the network and the device of each visit."""
    s = len(user)
    place, gadget = rng.random(s), rng.random(s)
    employed = (people.office_ip[user] != NONE) & (weekday(ts) < 5)
    working = employed & (hour(ts) >= 8) & (hour(ts) < 18) & (place < 0.45)
    mobile = ~working & (place > 0.7)
    lease = np.minimum((ts - start_ms) // people.lease_ms[user], people.home_ips.shape[1] - 1)
    home = people.home_ips[user, lease]
    campus = people.campus_ips[user, rng.integers(0, 3, s)]
    home = np.where((campus != NONE) & (place < 0.6), campus, home)
    ip = np.where(working, people.office_ip[user], home)
    ip = np.where(mobile, people.carrier_ips[user, rng.integers(0, 3, s)], ip)
    wifi = ~working & (place > 0.98)
    ip = np.where(wifi, people.wifi_ips[rng.integers(0, len(people.wifi_ips), s)], ip)
    phone = np.where(ts < people.replaced_ms[user], people.phone_device[user], people.new_phone_device[user])
    laptop = (people.laptop[user] != NONE) & (gadget < 0.35) & ~mobile
    device = np.where(laptop, people.laptop[user], phone)
    tablet = (people.tablet[user] != NONE) & (gadget > 0.85) & ~mobile & ~working
    device = np.where(tablet, people.tablet[user], device)
    kiosk = (people.kiosk[user] != NONE) & (gadget < 0.12)
    device = np.where(kiosk, people.kiosk[user], device)
    ip = np.where(kiosk, people.wifi_ips[people.kiosk[user] % len(people.wifi_ips)], ip)
    return ip, np.where(rng.random(s) < 0.03, NONE, device)
