"""Everybody who has an account, and the innocent things that they share: homes, networks, devices, cards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fraudgraph.durations import DAY_MS
from fraudgraph.events.kinds import EntityKind
from fraudgraph.simulate.hours import at_waking_hours
from fraudgraph.simulate.identifiers import NONE, Pools

if TYPE_CHECKING:
    import numpy.typing as npt

    from fraudgraph.simulate.spec import WorldSpec

    Ints = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]

_LEASES = 6
_HOUSEHOLD_SIZES = (0.52, 0.24, 0.12, 0.09, 0.03)  # shares of households of 1..5 account holders
_OF_A_PERSON = ("phone_device", "new_phone_device", "replaced_ms", "laptop", "phone", "cards")


@dataclass(frozen=True, slots=True)
class Group:
    """People who share something innocently; a detector that calls them a ring is wrong."""

    kind: str
    users: tuple[int, ...]


@dataclass(slots=True)
class People:
    """Columns of `n` accounts, ring members among them; identifiers are -1 where somebody has none.

    Attributes:
        is_member: `[n]` whether the row is kept for a ring.
        signup_ms: `[n]` when the account was opened; before the world's start for most.
        leave_ms: `[n]` when the account falls silent.
        sessions_per_day, order_share, spend, decline_rate, return_rate, night_shift: `[n]` habits.
        home_ips: `[n, leases]` addresses that the provider gives the home, one after the other.
        lease_ms: `[n]` how long the home keeps one.
        cards: `[n, 3]` own and family cards, most used first.
        one_time_cards: `[n]` who often pays with a number made for one payment.
        wifi_ips, lockers: hotels' and airports' networks, and parcel lockers, for everybody.
    """

    is_member: npt.NDArray[np.bool_]
    signup_ms: Ints
    leave_ms: Ints
    sessions_per_day: Floats
    order_share: Floats
    spend: Floats
    decline_rate: Floats
    return_rate: Floats
    night_shift: Floats
    address: Ints
    home_ips: Ints
    lease_ms: Ints
    office_ip: Ints
    office_address: Ints
    campus_ips: Ints
    carrier_ips: Ints
    phone_device: Ints
    new_phone_device: Ints
    replaced_ms: Ints
    laptop: Ints
    tablet: Ints
    kiosk: Ints
    cards: Ints
    email: Ints
    phone: Ints
    second_phone: Ints
    one_time_cards: npt.NDArray[np.bool_]
    wifi_ips: Ints
    lockers: Ints
    groups: list[Group]

    def __len__(self) -> int:
        return len(self.signup_ms)


def populate(spec: WorldSpec, members: int, pools: Pools, rng: np.random.Generator) -> People:
    """Returns the accounts of a world with what they own, share and usually do; `members` are kept for rings."""
    pools.take(EntityKind.USER, spec.users)
    people = _strangers(spec, members, pools, rng)
    honest = rng.permutation(np.flatnonzero(~people.is_member))
    settled = _dorms(people, honest, pools, rng)
    _households(people, honest[settled:], pools, rng)
    _offices(people, honest, pools, rng)
    _kiosks(people, honest, pools, rng)
    _refurbish(people, honest, rng)
    return people


def _strangers(spec: WorldSpec, members: int, pools: Pools, rng: np.random.Generator) -> People:
    """Returns accounts that share nothing but the networks of everybody."""
    n, start, end = spec.users, spec.start_ms, spec.end_ms
    is_member = np.zeros(n, dtype=np.bool_)
    is_member[rng.permutation(n)[:members]] = True
    # Heavy-tailed activity: half of the accounts come less than every ten days, one in fifty daily.
    rate = np.minimum(rng.lognormal(np.log(0.11), 1.15, n), 3.0)
    new_share = min(0.5, 0.008 * spec.days)
    age = DAY_MS + rng.exponential(400 * DAY_MS, n)
    since_start = np.where(rng.random(n) < new_share, rng.random(n) * (end - start), -age)
    night_shift = rng.normal(0.0, 1.7, n)
    signup = at_waking_hours(start + since_start.astype(np.int64), night_shift, rng)
    leave = np.where(rng.random(n) < 0.15, start + rng.random(n) * (end - start), end).astype(np.int64)
    leave = np.maximum(leave, np.minimum(signup + DAY_MS, end))
    home_ips = _leases(n, pools, rng)
    carriers = pools.take(EntityKind.IP, max(4, n // 700))
    region = rng.integers(0, len(carriers), n)
    replaced = np.where(rng.random(n) < 0.1 * min(3.0, spec.days / 30), start + rng.random(n) * (end - start), end)
    phones = pools.take(EntityKind.DEVICE, n)
    second, third = rng.random(n) < 0.35, rng.random(n) < 0.08
    cards = np.stack(
        [
            pools.take(EntityKind.CARD, n),
            _some(pools.take(EntityKind.CARD, n), second),
            _some(pools.take(EntityKind.CARD, n), second & third),
        ],
        axis=1,
    )
    none = np.full(n, NONE, dtype=np.int64)
    return People(
        is_member=is_member,
        signup_ms=signup,
        leave_ms=leave,
        sessions_per_day=rate,
        order_share=rng.beta(2.0, 4.5, n),
        spend=rng.normal(3.6, 0.5, n),
        decline_rate=rng.beta(0.7, 14.0, n),
        return_rate=rng.beta(0.5, 5.5, n),
        night_shift=night_shift,
        address=pools.take(EntityKind.ADDRESS, n),
        home_ips=home_ips,
        lease_ms=DAY_MS * rng.choice([1, 3, 10, 30, 400], size=n, p=[0.05, 0.1, 0.2, 0.3, 0.35]),
        office_ip=none.copy(),
        office_address=none.copy(),
        campus_ips=np.full((n, 3), NONE, dtype=np.int64),
        carrier_ips=np.stack([carriers[(region + k) % len(carriers)] for k in range(3)], axis=1),
        phone_device=phones,
        new_phone_device=pools.take(EntityKind.DEVICE, n),
        replaced_ms=replaced.astype(np.int64),
        laptop=_some(pools.take(EntityKind.DEVICE, n), rng.random(n) < 0.55),
        tablet=none.copy(),
        kiosk=none.copy(),
        cards=cards,
        email=pools.take(EntityKind.EMAIL, n),
        phone=_some(pools.take(EntityKind.PHONE, n), rng.random(n) < 0.85),
        second_phone=_some(pools.take(EntityKind.PHONE, n), rng.random(n) < 0.35),
        one_time_cards=rng.random(n) < 0.04,
        wifi_ips=pools.take(EntityKind.IP, max(3, n // 400)),
        lockers=pools.take(EntityKind.ADDRESS, max(2, n // 1500)),
        groups=[],
    )


def _leases(n: int, pools: Pools, rng: np.random.Generator) -> Ints:
    """Returns `[n, leases]` home addresses: the first is one's own, later ones were somebody's before."""
    own = pools.take(EntityKind.IP, n)
    later = own[rng.integers(0, n, (n, _LEASES - 1))]
    return np.concatenate([own[:, None], later], axis=1)


def _some(ids: Ints, having: npt.NDArray[np.bool_]) -> Ints:
    return np.where(having, ids, NONE)


def _dorms(people: People, honest: Ints, pools: Pools, rng: np.random.Generator) -> int:
    """Houses the first 2 % in dorms (one address, a campus network); returns how many were housed."""
    target, housed = round(len(honest) * 0.02), 0
    while housed < target:
        size = int(np.clip(rng.lognormal(3.9, 0.8), 12, min(400, max(12, len(honest) // 40))))
        rows = honest[housed : housed + size]
        people.address[rows] = pools.take(EntityKind.ADDRESS, 1)[0]
        people.campus_ips[rows] = rng.choice(pools.take(EntityKind.IP, int(rng.integers(1, 5))), size=3)
        people.groups.append(Group("dorm", tuple(rows.tolist())))
        housed += len(rows)
    return housed


def _households(people: People, rows: Ints, pools: Pools, rng: np.random.Generator) -> None:
    """Puts the rest into homes of one to five account holders, who share what families share."""
    sizes = rng.choice(np.arange(1, 6), size=len(rows), p=_HOUSEHOLD_SIZES)
    ends = np.cumsum(sizes)
    for end, size in zip(ends.tolist(), sizes.tolist(), strict=True):
        home = rows[end - size : end]
        if len(home) < 2:
            if end >= len(rows):
                break
            continue
        head = home[0]
        people.address[home] = people.address[head]
        people.home_ips[home] = people.home_ips[head]
        people.lease_ms[home] = people.lease_ms[head]
        draws = rng.random(5)
        kind = "household"
        if draws[0] < 0.3:
            people.tablet[home] = pools.take(EntityKind.DEVICE, 1)[0]
        if draws[1] < 0.2:
            people.cards[home[1:3], 1] = people.cards[head, 0]
        if draws[2] < 0.06:
            people.phone[home] = people.phone[head]
        if draws[3] < 0.15:
            people.laptop[home] = people.laptop[head]
        if draws[4] < 0.03:  # one person with two accounts
            kind = "second_account"
            for column in _OF_A_PERSON:
                getattr(people, column)[home[1]] = getattr(people, column)[head]
        people.groups.append(Group(kind, tuple(home.tolist())))


def _offices(people: People, honest: Ints, pools: Pools, rng: np.random.Generator) -> None:
    """Gives a quarter of the people a job in an office with one outgoing address."""
    workers = rng.permutation(honest)[: len(honest) // 4]
    done = 0
    while done < len(workers):
        size = int(np.clip(rng.lognormal(2.7, 1.1), 4, min(800, max(8, len(honest) // 25))))
        rows = workers[done : done + size]
        people.office_ip[rows] = pools.take(EntityKind.IP, 1)[0]
        people.office_address[rows] = pools.take(EntityKind.ADDRESS, 1)[0]
        if len(rows) > 1:
            people.groups.append(Group("office", tuple(rows.tolist())))
        done += size


def _kiosks(people: People, honest: Ints, pools: Pools, rng: np.random.Generator) -> None:
    """Lets a few people use the computer of a library or a café."""
    users = rng.permutation(honest)[: len(honest) * 3 // 1000]
    done = 0
    while done < len(users):
        size = int(rng.integers(4, 30))
        rows = users[done : done + size]
        people.kiosk[rows] = pools.take(EntityKind.DEVICE, 1)[0]
        if len(rows) > 1:
            people.groups.append(Group("kiosk", tuple(rows.tolist())))
        done += size


def _refurbish(people: People, honest: Ints, rng: np.random.Generator) -> None:
    """Sells one in six replaced phones on to somebody who replaces theirs at least three days later."""
    order = honest[np.argsort(people.replaced_ms[honest], kind="stable")]
    order = order[people.replaced_ms[order] < people.replaced_ms.max()]
    buyers = np.flatnonzero(rng.random(len(order)) < 1 / 6)
    for place, pick in zip(buyers.tolist(), rng.random(len(buyers)).tolist(), strict=True):
        seller, buyer = order[int(pick * place)], order[place]
        if people.replaced_ms[seller] + 3 * DAY_MS <= people.replaced_ms[buyer]:
            people.new_phone_device[buyer] = people.phone_device[seller]
            people.groups.append(Group("refurbished", (int(seller), int(buyer))))
