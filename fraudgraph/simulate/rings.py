"""Fraud rings as plans: who joins when, what ties whom to whom, and how well each hides."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from fraudgraph.durations import DAY_MS
from fraudgraph.events.kinds import EntityKind
from fraudgraph.simulate.hours import at_waking_hours
from fraudgraph.simulate.identifiers import NONE, Pools

if TYPE_CHECKING:
    import numpy.typing as npt

    from fraudgraph.simulate.people import People
    from fraudgraph.simulate.spec import WorldSpec

    Ints = npt.NDArray[np.int64]

# What each typology likes to share, as odds that are redrawn around these for every ring.
_TASTE: dict[str, dict[EntityKind, float]] = {
    "fake_accounts": {EntityKind.DEVICE: 4, EntityKind.PHONE: 2.5, EntityKind.IP: 1, EntityKind.ADDRESS: 1},
    "payment_abuse": {EntityKind.CARD: 4, EntityKind.DEVICE: 3, EntityKind.IP: 1, EntityKind.ADDRESS: 1},
    "account_takeover": {EntityKind.DEVICE: 4, EntityKind.IP: 1, EntityKind.ADDRESS: 2.5},
    "return_scam": {EntityKind.ADDRESS: 3, EntityKind.CARD: 3, EntityKind.DEVICE: 2, EntityKind.PHONE: 1},
    "promo_abuse": {EntityKind.DEVICE: 3, EntityKind.ADDRESS: 2, EntityKind.CARD: 1.5, EntityKind.PHONE: 1.5},
}
_WEAK = (EntityKind.IP, EntityKind.ADDRESS)


@dataclass(frozen=True, slots=True)
class Draft:
    """A ring before anybody is in it: its kind, its size, and how many accounts it opens itself."""

    typology: str
    size: int
    own: int


@dataclass(frozen=True, slots=True)
class Habits:
    """How a ring works; every number is drawn once per ring.

    Attributes:
        shape: of the ties: `chain`, `tree`, `star`, or `farm` (everybody takes from the same few identifiers).
        tempo: of joining: a `burst` within days, `steady`, or `growing`.
        use: share of a member's sessions that show a shared identifier of a kind.
        camouflage: share of members who do nothing but look honest.
        hidden: share of ties that no event ever shows.
        rotation: chance that a new tie takes a fresh identifier instead of one in use.
        ties: how many identifiers a new member comes to share, at most.
        most_users: of one shared identifier.
        aged: share of accounts opened (or bought) long before.
        effort: how much of its typology's damage a ring does, in [0, 1].
    """

    shape: str
    tempo: str
    use: float
    camouflage: float
    hidden: float
    rotation: float
    ties: int
    most_users: int
    aged: float
    effort: float


@dataclass(slots=True)
class Ring:
    """One ring. Members are numbered `0..n-1` in the order in which they join.

    Attributes:
        users: `n` rows of `People`.
        joined_ms: `n` times.
        parents: the earlier member to whom each is tied; -1 for the first.
        tools: per member, kind -> shared identifiers in the order in which the member got them.
        victim, camouflaged: `n` flags.
    """

    number: int
    typology: str
    habits: Habits
    start_ms: int
    end_ms: int
    dormant_ms: tuple[int, int] | None
    users: list[int]
    joined_ms: list[int]
    victim: list[bool]
    camouflaged: list[bool]
    parents: list[int]
    tools: list[dict[EntityKind, list[int]]] = field(default_factory=list)

    def awake(self, ts: Ints) -> Ints:
        """Returns `ts` with the times of the dormant span moved behind it, in their order."""
        if self.dormant_ms is None:
            return ts
        pause, resume = self.dormant_ms
        later = resume + (ts - pause) * (self.end_ms - resume) // (resume - pause)
        return np.where((ts >= pause) & (ts < resume), later, ts)

    def roles(self) -> list[str]:
        """Returns each member's role, from their place in the tree of ties."""
        n = len(self.users)
        degree = [0] * n
        for child, parent in enumerate(self.parents):
            if parent >= 0:
                degree[child] += 1
                degree[parent] += 1
        most = max(degree)
        out = []
        for i in range(n):
            if self.victim[i]:
                out.append("victim")
            elif self.typology == "account_takeover":
                out.append("mule")
            elif i == 0 or degree[i] >= max(3, most * 0.6):
                out.append("core")
            else:
                out.append("bridge" if degree[i] == 2 else "periphery")
        return out


def draft(spec: WorldSpec, rng: np.random.Generator) -> list[Draft]:
    """Returns the rings of a world: kinds in turn, sizes log-normal, until the share of members is reached."""
    budget = round(spec.users * spec.ring_share)
    kinds = [spec.typologies[k] for k in rng.permutation(len(spec.typologies))]
    drafts: list[Draft] = []
    while budget >= spec.min_members:
        size = int(np.clip(rng.lognormal(2.05, 0.65), spec.min_members, min(spec.max_members, budget)))
        typology = kinds[len(drafts) % len(kinds)]
        own = min(size - 2, int(rng.integers(1, 4))) if typology == "account_takeover" else size
        drafts.append(Draft(typology, size, own))
        budget -= size
    return drafts


def recruit(drafts: list[Draft], people: People, spec: WorldSpec, pools: Pools, rng: np.random.Generator) -> list[Ring]:
    """Returns the rings with their members and tools; the accounts' opening and end follow the plan."""
    accounts = rng.permutation(np.flatnonzero(people.is_member)).tolist()
    settled = (people.signup_ms < spec.start_ms) & ~people.is_member & (people.leave_ms >= spec.end_ms)
    targets = rng.permutation(np.flatnonzero(settled)).tolist()
    rings = []
    for number, plan in enumerate(drafts):
        users = [accounts.pop() for _ in range(plan.own)]
        victims = [targets.pop() for _ in range(min(plan.size - plan.own, len(targets)))]
        rings.append(_plan(number, plan.typology, users, victims, people, spec, pools, rng))
    return rings


def _habits(rng: np.random.Generator) -> Habits:
    return Habits(
        shape=str(rng.choice(["chain", "tree", "star", "farm"], p=[0.2, 0.3, 0.2, 0.3])),
        tempo=str(rng.choice(["burst", "steady", "growing"], p=[0.3, 0.4, 0.3])),
        use=float(rng.uniform(0.3, 1.0)),
        camouflage=float(rng.beta(1.3, 5.0)),
        hidden=float(rng.beta(1.0, 12.0)),
        rotation=float(rng.beta(1.2, 2.5)),
        ties=int(rng.integers(1, 4)),
        most_users=int(rng.integers(2, 21)),
        aged=float(rng.beta(2.5, 2.0)),
        effort=float(rng.uniform(0.2, 1.0)),
    )


def _plan(
    number: int,
    typology: str,
    users: list[int],
    victims: list[int],
    people: People,
    spec: WorldSpec,
    pools: Pools,
    rng: np.random.Generator,
) -> Ring:
    habits = _habits(rng)
    world = spec.end_ms - spec.start_ms
    start = spec.start_ms + int(rng.uniform(0.0, 0.6) * world)
    end = min(spec.end_ms, start + int(np.clip(rng.lognormal(2.9, 0.6), 3, 90) * DAY_MS))
    n = len(users) + len(victims)
    order = rng.permutation(n).tolist()  # mules and victims come in any order
    everyone = [(user, False) for user in users] + [(user, True) for user in victims]
    everyone = [everyone[k] for k in order]
    dormant = None
    if end - start > 10 * DAY_MS and rng.random() < 0.35:
        pause = start + int(rng.uniform(0.3, 0.6) * (end - start))
        dormant = (pause, pause + int(rng.uniform(0.15, 0.35) * (end - start)))
    ring = Ring(
        number=number,
        typology=typology,
        habits=habits,
        start_ms=start,
        end_ms=end,
        dormant_ms=dormant,
        users=[user for user, _ in everyone],
        joined_ms=[],
        victim=[victim for _, victim in everyone],
        camouflaged=[
            bool(rng.random() < habits.camouflage) and not victim and place > 1
            for place, (_, victim) in enumerate(everyone)
        ],
        parents=_parents(n, habits.shape, rng),
    )
    ring.joined_ms = np.sort(ring.awake(_joins(n, habits.tempo, start, end, rng))).tolist()
    _equip(ring, pools, rng)
    for member, user in enumerate(ring.users):
        if ring.victim[member]:
            continue
        if rng.random() >= habits.aged or people.signup_ms[user] >= spec.start_ms:
            people.signup_ms[user] = ring.joined_ms[member]
        people.leave_ms[user] = spec.end_ms if ring.camouflaged[member] else end
    return ring


def _joins(n: int, tempo: str, start: int, end: int, rng: np.random.Generator) -> Ints:
    """Returns `n` times, at waking hours: all within days, evenly, or ever faster."""
    if tempo == "burst":
        after = rng.exponential(rng.uniform(0.2, 2.0) * DAY_MS, n)
    else:
        after = (end - start) * 0.8 * rng.random(n) ** (1.0 if tempo == "steady" else 0.45)
    days = start + np.minimum(after, (end - start) * 0.8).astype(np.int64)
    at = at_waking_hours(days, np.zeros(n), rng)
    return np.where((at >= start) & (at < end), at, days)


def _parents(n: int, shape: str, rng: np.random.Generator) -> list[int]:
    """Returns a tree over the members: who was tied to whom on joining."""
    hubs = 1 + n // 12
    out = [NONE]
    for i in range(1, n):
        if shape == "chain":
            out.append(i - 1)
        elif shape == "star":
            out.append(int(rng.integers(0, min(i, hubs))))
        else:
            out.append(int(rng.integers(0, i)))
    return out


def _equip(ring: Ring, pools: Pools, rng: np.random.Generator) -> None:
    """Draws what ties each member to the parent: an identifier in use, or a fresh one (that is the rotation)."""
    taste = _TASTE[ring.typology]
    kinds = list(taste)
    if rng.random() < 0.08:
        kinds = [k for k in kinds if k in _WEAK] or kinds
    odds = np.array([taste[k] for k in kinds]) * rng.gamma(0.7, 1.0, len(kinds))
    odds /= odds.sum()
    ring.tools = [{} for _ in ring.users]
    users_of: dict[tuple[EntityKind, int], int] = {}
    for child, parent in enumerate(ring.parents):
        if parent < 0:
            continue
        for _ in range(int(rng.integers(1, ring.habits.ties + 1))):
            kind = kinds[int(rng.choice(len(kinds), p=odds))]
            at_hand = ring.tools[parent].get(kind, [])
            if ring.habits.shape == "farm" or kind is EntityKind.IP:
                at_hand = [x for of, x in users_of if of is kind]
            in_use = [x for x in at_hand if users_of[kind, x] < ring.habits.most_users]
            if in_use and rng.random() >= ring.habits.rotation:
                shared = in_use[-1]
            else:
                shared = int(pools.take(kind, 1)[0])
                users_of[kind, shared] = 1
                ring.tools[parent].setdefault(kind, []).append(shared)
            if shared not in ring.tools[child].get(kind, []):
                ring.tools[child].setdefault(kind, []).append(shared)
                users_of[kind, shared] += 1
