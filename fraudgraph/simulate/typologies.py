"""What rings do: their members' ordinary sessions are bent a little, and some of their own are added."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fraudgraph.events.kinds import EntityKind
from fraudgraph.simulate.identifiers import NONE, Pools
from fraudgraph.simulate.sessions import Sessions, amounts
from fraudgraph.simulate.spec import HOUR_MS

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from fraudgraph.simulate.people import People
    from fraudgraph.simulate.rings import Ring
    from fraudgraph.simulate.spec import WorldSpec

    Ints = npt.NDArray[np.int64]
    Act = Callable[[Ring, list[Ints], Sessions, "Scene"], list[Sessions]]

_COLUMN = {
    EntityKind.DEVICE: "device",
    EntityKind.IP: "ip",
    EntityKind.CARD: "card",
    EntityKind.PHONE: "phone",
    EntityKind.ADDRESS: "address",
}
_WHEREABOUTS = (EntityKind.DEVICE, EntityKind.IP)


class Scene:
    """What the acts of a ring need besides the ring."""

    def __init__(self, spec: WorldSpec, people: People, pools: Pools, rng: np.random.Generator) -> None:
        self.spec = spec
        self.people = people
        self.pools = pools
        self.rng = rng


def commit_fraud(rings: list[Ring], sessions: Sessions, scene: Scene) -> Sessions:
    """Returns the world's sessions with the rings' acts in them."""
    order = np.argsort(sessions.user, kind="stable")
    users = sessions.user[order]
    extra = [sessions]
    asleep = np.zeros(len(sessions), dtype=np.bool_)
    for ring in rings:
        rows = []
        for user, victim in zip(ring.users, ring.victim, strict=True):
            low, high = np.searchsorted(users, [user, user + 1])
            own = order[low:high] if not victim else order[:0]
            rows.append(own[np.argsort(sessions.ts[own], kind="stable")])
        if ring.dormant_ms is not None:
            for member, own in enumerate(rows):
                if not ring.camouflaged[member]:
                    sleeping = (sessions.ts[own] >= ring.dormant_ms[0]) & (sessions.ts[own] < ring.dormant_ms[1])
                    sleeping &= ~sessions.signup[own]
                    asleep[own[sleeping]] = True
                    rows[member] = own[~sleeping]
        added = _ACTS[ring.typology](ring, rows, sessions, scene)
        _show_tools(ring, rows, sessions, scene.rng)
        extra += added
    extra[0] = sessions.take(~asleep)
    return Sessions.concatenate(extra)


def _show_tools(ring: Ring, rows: list[Ints], sessions: Sessions, rng: np.random.Generator) -> None:
    """Puts the shared identifiers into the members' own sessions."""
    for member, own in enumerate(rows):
        if ring.victim[member] or not len(own):
            continue
        during = own[sessions.ts[own] >= ring.start_ms]
        wear(ring, member, during if len(during) else own[-1:], sessions, rng)


def wear(
    ring: Ring,
    member: int,
    rows: Ints,
    sessions: Sessions,
    rng: np.random.Generator,
    kinds: tuple[EntityKind, ...] = tuple(_COLUMN),
) -> None:
    """Replaces identifiers in some rows of one member by shared ones; every tie that is not hidden shows once."""
    use = ring.habits.use * (0.35 if ring.camouflaged[member] else 1.0)
    for kind, tools in ring.tools[member].items():
        if kind not in kinds or not len(rows):
            continue
        column = getattr(sessions, _COLUMN[kind])
        hit = rng.random(len(rows)) < use
        # One after the other, as they were rotated in.
        turn = (np.arange(len(rows)) * len(tools)) // len(rows)
        column[rows[hit]] = np.array(tools)[turn[hit]]
        for tool in tools:
            seen = column[rows] == tool
            if kind in (EntityKind.CARD, EntityKind.ADDRESS):
                seen &= sessions.order[rows]
            elif kind is EntityKind.PHONE:
                seen &= sessions.order[rows] | sessions.signup[rows]
            if seen.any() or rng.random() < ring.habits.hidden:
                continue
            row = rows[int(rng.integers(0, len(rows)))]
            column[row] = tool
            if kind in (EntityKind.CARD, EntityKind.ADDRESS, EntityKind.PHONE):
                sessions.order[row] = True
            elif not (sessions.order[row] or sessions.probe[row]):
                sessions.login[row] = True


def _criminal(ring: Ring, rows: list[Ints]) -> Ints:
    """Returns the sessions of the members who do more than look honest."""
    acting = [own for member, own in enumerate(rows) if not ring.camouflaged[member] and not ring.victim[member]]
    return np.concatenate(acting) if acting else np.zeros(0, dtype=np.int64)


def _fake_accounts(ring: Ring, rows: list[Ints], sessions: Sessions, scene: Scene) -> list[Sessions]:
    """Accounts opened in bulk that wait, and then buy with other people's cards."""
    acting = _criminal(ring, rows)
    later = acting[~sessions.signup[acting]]
    bought = later[scene.rng.random(len(later)) < 0.5 * ring.habits.effort]
    sessions.card[bought] = scene.pools.take(EntityKind.CARD, len(bought))
    _mark(ring, bought, sessions, scene, 0.75)
    return []


def _payment_abuse(ring: Ring, rows: list[Ints], sessions: Sessions, scene: Scene) -> list[Sessions]:
    """Stolen cards are tried with small amounts, most fail, and the live ones are spent."""
    rng = scene.rng
    acting = _criminal(ring, rows)
    _mark(ring, acting[rng.random(len(acting)) < ring.habits.effort], sessions, scene, 0.75)
    if not len(acting):
        return []
    tries = rng.poisson(rng.uniform(0.5, 4.0) * ring.habits.effort, len(acting))
    tests = sessions.take(np.repeat(acting, tries))
    count = len(tests)
    stolen = scene.pools.take(EntityKind.CARD, max(1, int(count * rng.uniform(0.35, 0.9))))
    tests.card = stolen[rng.integers(0, len(stolen), count)]
    tests.ts += 1 + rng.exponential(0.7 * HOUR_MS, count).astype(np.int64)
    for name in ("signup", "login", "order"):
        getattr(tests, name)[:] = False
    tests.probe[:] = True
    tests.fails = rng.random(count) < rng.uniform(0.3, 0.8)
    tests.amount = np.where(rng.random(count) < 0.7, rng.integers(100, 900, count), tests.amount)
    for member, user in enumerate(ring.users):
        wear(ring, member, np.flatnonzero(tests.user == user), tests, rng, kinds=_WHEREABOUTS)
    return [tests]


def _account_takeover(ring: Ring, rows: list[Ints], sessions: Sessions, scene: Scene) -> list[Sessions]:
    """Old accounts are entered from the ring's devices and made to order with their own card to a drop address."""
    rng = scene.rng
    parts = []
    for member, user in enumerate(ring.users):
        if not ring.victim[member]:
            continue
        count = int(rng.integers(1, 4))
        times = ring.joined_ms[member] + np.sort(rng.exponential(20 * HOUR_MS, count)).astype(np.int64)
        users = np.full(count, user)
        entered = _blank(users, np.minimum(times, scene.spec.end_ms - HOUR_MS), scene.people)
        entered.ring[:] = ring.number
        entered.order = rng.random(count) < 0.25 + 0.6 * ring.habits.effort
        entered.login[:] = True
        entered.amount = amounts(scene.people.spend[users] + 0.3, rng)
        entered.chargeback_share[:] = 0.8 * (1 - scene.spec.label_missing)
        entered.device[:] = scene.pools.take(EntityKind.DEVICE, 1)[0]
        entered.ip = scene.people.carrier_ips[users, 0].copy()
        wear(ring, member, np.arange(count), entered, rng)
        parts.append(entered)
    return parts


def _return_scam(ring: Ring, rows: list[Ints], sessions: Sessions, scene: Scene) -> list[Sessions]:
    """Goods are ordered to drop addresses and most of the money is claimed back."""
    rng = scene.rng
    acting = _criminal(ring, rows)
    more = acting[rng.random(len(acting)) < 0.35 * ring.habits.effort]
    sessions.order[more] = True
    chosen = acting[rng.random(len(acting)) < 0.4 + 0.6 * ring.habits.effort]
    sessions.refund_share[chosen] = rng.uniform(0.3, 0.9)
    _mark(ring, chosen, sessions, scene, 0.1)
    return []


def _promo_abuse(ring: Ring, rows: list[Ints], sessions: Sessions, scene: Scene) -> list[Sessions]:
    """Every account takes the discount of a first order and seldom comes back."""
    rng = scene.rng
    for member, own in enumerate(rows):
        if not len(own) or ring.camouflaged[member]:
            continue
        ordered = own[sessions.order[own]]
        sessions.order[ordered[1:][rng.random(max(0, len(ordered) - 1)) < 0.7 * ring.habits.effort]] = False
        first = ordered[:1] if len(ordered) else own[:1]
        sessions.order[first] = True
        _mark(ring, first, sessions, scene, 0.05)
    return []


_ACTS: dict[str, Act] = {
    "fake_accounts": _fake_accounts,
    "payment_abuse": _payment_abuse,
    "account_takeover": _account_takeover,
    "return_scam": _return_scam,
    "promo_abuse": _promo_abuse,
}


def _mark(ring: Ring, rows: Ints, sessions: Sessions, scene: Scene, reported: float) -> None:
    """Makes the orders of `rows` acts of the ring, which the bank hears of with probability `reported`, at most."""
    sessions.ring[rows] = ring.number
    sessions.chargeback_share[rows] = reported * (1 - scene.spec.label_missing)


def _blank(user: Ints, ts: Ints, people: People) -> Sessions:
    """Returns sessions of `user` with their own card and contact, and nothing else in them."""
    s = len(user)
    flags = {name: np.zeros(s, dtype=np.bool_) for name in ("signup", "login", "order", "probe", "fails")}
    return Sessions(
        user=user,
        ts=ts,
        device=np.full(s, NONE),
        ip=np.full(s, NONE),
        card=people.cards[user, 0],
        email=people.email[user].copy(),
        phone=people.phone[user].copy(),
        address=people.address[user].copy(),
        ring=np.full(s, NONE),
        declines=np.zeros(s, dtype=np.int64),
        amount=np.zeros(s, dtype=np.int64),
        refund_share=np.zeros(s),
        chargeback_share=np.zeros(s),
        **flags,
    )
