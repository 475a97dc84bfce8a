"""What is true about rings, and what a found group is worth beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fraudgraph.events.kinds import EntityKind
from fraudgraph.simulate.world import World

OVERLAP = 0.5
"""Jaccard overlap from which a group is a true ring found; at most one group can exceed it per ring."""
LINKED_MEMBERS = 3
_SHAREABLE = (EntityKind.DEVICE, EntityKind.IP, EntityKind.CARD, EntityKind.PHONE, EntityKind.ADDRESS)


@dataclass(frozen=True, slots=True)
class TrueRing:
    """A ring as it was drawn.

    Attributes:
        members: those who take part.
        victims: accounts that were taken over. They count neither for nor against a found group.
        linked_ms: when events first showed three accounts of the ring (victims too) linked; None where never.
    """

    typology: str
    members: frozenset[str]
    victims: frozenset[str]
    linked_ms: int | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """A group beside the truth.

    Attributes:
        ring: the true ring that it overlaps most, -1 where none.
        jaccard: with that ring's members, its victims left out on both sides.
        jaccard_all: the same with victims counted as members.
        inside: how many of the group are members or victims of that ring.
        size: of the group.
    """

    ring: int
    jaccard: float
    jaccard_all: float
    inside: int
    size: int

    @property
    def is_right(self) -> bool:
        """Whether it is that ring, found."""
        return self.jaccard >= OVERLAP

    @property
    def is_false(self) -> bool:
        """Whether most of the group has nothing to do with any one ring."""
        return 2 * self.inside < self.size


class Truth:
    """All true rings of a world."""

    def __init__(self, rings: Sequence[TrueRing], users: int) -> None:
        self.rings = list(rings)
        self.ring_of = {user: n for n, ring in enumerate(rings) for user in ring.members | ring.victims}
        self.honest = users - len(self.ring_of)

    def judge(self, team: Iterable[str]) -> Judgement:
        """Returns how a group compares with the ring that it overlaps most."""
        group = set(team)
        found = Counter(self.ring_of[user] for user in group if user in self.ring_of)
        best = Judgement(-1, 0.0, 0.0, 0, len(group))
        for number, inside in sorted(found.items()):
            ring = self.rings[number]
            mine, everybody = group - ring.victims, ring.members | ring.victims
            either = mine | ring.members
            overlap = len(mine & ring.members) / len(either) if either else 0.0
            overlap_all = inside / len(group | everybody)
            if (overlap, overlap_all, inside) > (best.jaccard, best.jaccard_all, best.inside):
                best = Judgement(number, overlap, overlap_all, inside, len(group))
        return best


def linked_ms(uses: Iterable[tuple[int, str | int, object]], members: int = LINKED_MEMBERS) -> int | None:
    """Returns when the first so many users hang together by what they used; None where they never do.

    Args:
        uses: (time, user, identifier).
    """
    from networkx.utils import UnionFind

    together, users = UnionFind(), set()
    for ts, user, thing in sorted(uses, key=lambda use: use[0]):
        users.add(user)
        together.union(("user", user), ("thing", thing))
        group = together["user", user]
        if sum(together["user", other] == group for other in users) >= members:
            return ts
    return None


def truth_of(world: World) -> Truth:
    """Returns the true rings of a simulated world."""
    document = world.truth()["rings"]
    order = world.events.user.argsort(kind="stable")
    users = world.events.user[order]
    rings = []
    for ring, told in zip(world.rings, document, strict=True):
        uses: list[tuple[int, str | int, object]] = []
        for user in ring.users:
            low, high = users.searchsorted([user, user + 1])
            mine = order[low:high]
            for kind in _SHAREABLE:
                planned = {x for tools in ring.tools for x in tools.get(kind, [])}
                column = getattr(world.events, kind.label)[mine].tolist()
                times = world.events.ts[mine].tolist()
                uses += [(ts, user, (kind, x)) for ts, x in zip(times, column, strict=True) if x in planned]
        names = [member["user_id"] for member in told["members"]]
        victims = {name for name, victim in zip(names, ring.victim, strict=True) if victim}
        rings.append(TrueRing(ring.typology, frozenset(names) - victims, frozenset(victims), linked_ms(uses)))
    return Truth(rings, world.spec.users)
