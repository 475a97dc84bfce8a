"""What rings do: their members' ordinary sessions are bent a little, and some of their own are added."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fraudgraph.durations import HOUR_MS
from fraudgraph.events.kinds import EntityKind
from fraudgraph.simulate.identifiers import NONE, Pools
from fraudgraph.simulate.sessions import Sessions, amounts, tokens

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


@dataclass(frozen=True, slots=True)
class Scene:
    """What the acts of a ring need besides the ring."""

    spec: WorldSpec
    people: People
    pools: Pools
    rng: np.random.Generator


def commit_fraud(rings: list[Ring], sessions: Sessions, scene: Scene) -> Sessions:
    """Returns the world's sessions with the rings' acts in them."""
    order = np.lexsort((sessions.ts, sessions.user))
    users = sessions.user[order]
    kept = np.ones(len(sessions), dtype=np.bool_)
    bent = []
    for ring in rings:
        accounts = [user for user, victim in zip(ring.users, ring.victim, strict=True) if not victim]
        spans = [slice(*np.searchsorted(users, [user, user + 1])) for user in accounts]
        theirs = np.concatenate([order[span] for span in spans])
        kept[theirs] = False
        own = _busy(ring, sessions.take(theirs), scene)
        rows = [_during(ring, user, own) for user in ring.users]
        bent += _ACTS[ring.typology](ring, rows, own, scene)
        for member, mine in enumerate(rows):
            wear(ring, member, mine, own, scene.rng)
        bent.append(own)
    return Sessions.concatenate([sessions.take(kept), *bent])


def _busy(ring: Ring, own: Sessions, scene: Scene) -> Sessions:
    """Returns the members' sessions without those of the dormant time, and with enough of them to show every tie."""
    rng = scene.rng
    innocent = np.isin(own.user, [user for user, quiet in zip(ring.users, ring.camouflaged, strict=True) if quiet])
    if ring.dormant_ms is not None:
        asleep = (own.ts >= ring.dormant_ms[0]) & (own.ts < ring.dormant_ms[1])
        own = own.take(~asleep | innocent)
    parts = [own]
    for user, joined, tools in zip(ring.users, ring.joined_ms, ring.tools, strict=True):
        mine = np.flatnonzero(own.user == user)
        lacking = max(map(len, tools.values()), default=0) - len(_during(ring, user, own))
        if lacking > 0 and len(mine):
            more = own.take(mine[rng.integers(0, len(mine), lacking)])
            more.ts = ring.awake(joined + (rng.random(lacking) * (ring.end_ms - joined)).astype(np.int64))
            more.signup[:] = False
            more.login[:] = True
            more.amount = amounts(scene.people.spend[more.user], rng)
            parts.append(more)
    own = Sessions.concatenate(parts)
    return own.take(np.lexsort((own.ts, own.user)))


def _during(ring: Ring, user: int, own: Sessions) -> Ints:
    """Returns the rows of a user that lie in the ring's time."""
    return np.flatnonzero((own.user == user) & (own.ts >= ring.start_ms) & (own.ts <= ring.end_ms))


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
        if kind is EntityKind.PHONE and not ring.camouflaged[member]:
            column[rows[~hit]] = NONE
        for tool in tools:
            seen = column[rows] == tool
            if kind in (EntityKind.CARD, EntityKind.ADDRESS):
                seen &= sessions.order[rows]
            elif kind is EntityKind.PHONE:
                seen &= sessions.order[rows] | sessions.signup[rows]
            if seen.any() or rng.random() < ring.habits.hidden:
                continue
            free = rows[~np.isin(column[rows], tools)]
            row = rng.choice(free if len(free) else rows)
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
    # Mostly one stolen card per account.
    stolen = scene.pools.take(EntityKind.CARD, 2 * len(ring.users)).reshape(-1, 2)
    member = np.searchsorted(np.sort(ring.users), sessions.user[bought])
    sessions.card[bought] = stolen[member, (scene.rng.random(len(bought)) < 0.15).astype(np.int64)]
    _mark(ring, bought, sessions, scene, 0.75)
    return []


def _payment_abuse(ring: Ring, rows: list[Ints], sessions: Sessions, scene: Scene) -> list[Sessions]:
    """Stolen cards are tried with small amounts, most fail, and the live ones are spent."""
    rng = scene.rng
    acting = _criminal(ring, rows)
    _mark(ring, acting[rng.random(len(acting)) < ring.habits.effort], sessions, scene, 0.75)
    if not len(acting):
        return []
    tries = rng.poisson(rng.uniform(0.3, 2.5) * ring.habits.effort, len(acting))
    tests = sessions.take(np.repeat(acting, tries))
    count = len(tests)
    stolen = scene.pools.take(EntityKind.CARD, max(1, int(count * rng.uniform(0.2, 0.7))))
    tests.card = stolen[rng.integers(0, len(stolen), count)]
    tests.ts += 1 + rng.exponential(0.7 * HOUR_MS, count).astype(np.int64)
    for name in ("signup", "login", "order"):
        getattr(tests, name)[:] = False
    tests.probe[:] = True
    tests.ring[:] = ring.number
    tests.fails = rng.random(count) < rng.uniform(0.3, 0.8)
    tests.token = tokens(count, rng)
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
        count = max(int(rng.integers(1, 4)), max(map(len, ring.tools[member].values()), default=0))
        times = ring.joined_ms[member] + np.sort(rng.exponential(20 * HOUR_MS, count)).astype(np.int64)
        times = ring.awake(np.minimum(times, ring.end_ms - 1))
        users = np.full(count, user)
        entered = _blank(users, times, scene.people)
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
        token=np.zeros(s, dtype=np.int64),
        refund_share=np.zeros(s),
        chargeback_share=np.zeros(s),
        **flags,
    )
