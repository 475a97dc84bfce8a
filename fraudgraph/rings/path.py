"""The path that ties two accounts: through which identifiers and accounts, how strong, and where it is weakest."""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic, Protocol, TypeVar

from fraudgraph.errors import UsageError
from fraudgraph.events.kinds import EntityKind
from fraudgraph.graph.policy import LinkPolicy


class EntityLike(Protocol):
    """An entity as a reader gives it; `key` is the user id, or the pseudonym in hex."""

    @property
    def kind(self) -> EntityKind:
        """Its kind."""
        ...

    @property
    def key(self) -> str:
        """User id or pseudonym."""
        ...

    @property
    def mask(self) -> str:
        """What may be shown of it."""
        ...

    @property
    def users(self) -> int:
        """Users linked to it."""
        ...


E = TypeVar("E", bound=EntityLike)


class LinkReader(Protocol[E]):
    """What the search reads; `stores.port.StoreReader` is one."""

    def find(self, kind: EntityKind, key: str | bytes) -> E | None:
        """Returns an entity by user id or pseudonym."""
        ...

    def users_of(self, entity: E, limit: int) -> Sequence[tuple[str, int, int, int]]:
        """Returns (user id, first_ms, last_ms, count), latest first."""
        ...

    def identifiers_of(self, user_id: str) -> Sequence[tuple[E, int, int, int]]:
        """Returns (identifier, first_ms, last_ms, count)."""
        ...


@dataclass(frozen=True, slots=True)
class PathUse:
    """One account's use of an identifier on the path; times are -1 where there is none."""

    user_id: str
    first_ms: int
    last_ms: int
    count: int
    strength: float


@dataclass(frozen=True, slots=True)
class PathStep:
    """Two accounts joined by one identifier, or by an analyst.

    Attributes:
        kind, key, mask: the identifier; `key` is its pseudonym in hex. Of an analyst's tie USER, "" and "".
        users: accounts that use it in all.
        near, far: its use by the account nearer to the start, and by the next one; by nobody where an analyst ties.
        constraint: the analyst's constraint that ties the two, "" where an identifier does.
    """

    kind: EntityKind
    key: str
    mask: str
    users: int
    near: PathUse
    far: PathUse
    constraint: str = ""

    @property
    def strength(self) -> float:
        """Product of both links' strengths, in [0, 1]; 1 where an analyst ties the two."""
        return self.near.strength * self.far.strength


@dataclass(frozen=True, slots=True)
class LinkPath:
    """The strongest path found; `weakest` is the index of its weakest step."""

    steps: tuple[PathStep, ...]

    @property
    def strength(self) -> float:
        """Product of all links' strengths, in [0, 1]."""
        return math.prod(s.strength for s in self.steps)

    @property
    def weakest(self) -> int:
        """Index of the weakest step; of equals the first."""
        return min(range(len(self.steps)), key=lambda i: (self.steps[i].strength, i))


@dataclass(frozen=True, slots=True)
class NotFollowed:
    """An identifier that the search met and did not follow; `why`: `hub`, `benign-hub`, `too-many-users`, `expired`."""

    kind: EntityKind
    mask: str
    users: int
    why: str


@dataclass(frozen=True, slots=True)
class LinkSearch:
    """What a search found.

    Attributes:
        path: None where nothing within the limits ties the two.
        not_followed: identifiers that were met and not followed, most users first.
        users_seen: accounts that the search looked at.
        gave_up: the search ended at `max_users` accounts, so that a path may exist beyond.
    """

    path: LinkPath | None
    not_followed: tuple[NotFollowed, ...]
    users_seen: int
    gave_up: bool


def link_path(
    reader: LinkReader[E],
    policy: LinkPolicy,
    user_a: str,
    user_b: str,
    *,
    as_of_ms: int,
    max_depth: int = 4,
    max_degree: int = 256,
    max_users: int = 20_000,
    benign: Collection[str] = (),
    together: Mapping[tuple[str, str], str] = MappingProxyType({}),
) -> LinkSearch:
    """Returns the path between two accounts with the largest product of strengths; of equals the shorter.

    Dijkstra (1959) on -log(strength) over (account, steps so far), so that the limit of steps is exact.

    Args:
        reader: gives entities and links of one commit.
        policy: says what a link is worth at `as_of_ms`.
        as_of_ms: time of reading in ms since the epoch, usually the store's watermark.
        max_depth: identifiers on the path at most.
        max_degree: an identifier with more users is not followed, below the policy's own limit of its kind.
        max_users: accounts to look at before giving up.
        benign: pseudonyms in hex of identifiers that tie nobody by an analyst's word.
        together: pairs of accounts that an analyst tied -> the constraint that says so; such a step has strength 1.

    Raises:
        UsageError: an account is unknown, or both are the same.
    """
    if user_a == user_b:
        raise UsageError("both ends of the link are the same account", do="Name two different accounts.")
    for which, user_id in (("first", user_a), ("second", user_b)):
        if reader.find(EntityKind.USER, user_id) is None:
            raise UsageError(f"the {which} account is not in the store", do="Check the user id, as the shop writes it.")
    steps_of = _Steps(reader, policy, as_of_ms, max_degree, benign, together)
    best: dict[tuple[str, int], float] = {(user_a, 0): 0.0}
    queue: list[tuple[float, int, str, tuple[PathStep, ...]]] = [(0.0, 0, user_a, ())]
    cheapest_steps: dict[str, int] = {}
    while queue:
        cost, depth, user_id, steps = heapq.heappop(queue)
        if user_id == user_b:
            return LinkSearch(LinkPath(steps), steps_of.not_followed(), len(cheapest_steps), False)
        # A costlier arrival is worth going on from only if it took fewer steps.
        if cheapest_steps.get(user_id, max_depth + 1) <= depth:
            continue
        cheapest_steps[user_id] = depth
        if len(cheapest_steps) > max_users:
            return LinkSearch(None, steps_of.not_followed(), len(cheapest_steps), True)
        if depth == max_depth:
            continue
        for step in steps_of(user_id):
            to, total = step.far.user_id, cost - math.log(step.strength)
            if total < best.get((to, depth + 1), math.inf):
                best[to, depth + 1] = total
                heapq.heappush(queue, (total, depth + 1, to, (*steps, step)))
    return LinkSearch(None, steps_of.not_followed(), len(cheapest_steps), False)


def _bound(user_id: str) -> PathUse:
    return PathUse(user_id, first_ms=-1, last_ms=-1, count=0, strength=1.0)


class _Steps(Generic[E]):
    """Steps from an account to accounts that share an identifier, with the caps; remembers what it left out."""

    def __init__(
        self,
        reader: LinkReader[E],
        policy: LinkPolicy,
        as_of_ms: int,
        max_degree: int,
        benign: Collection[str],
        together: Mapping[tuple[str, str], str],
    ) -> None:
        self._reader = reader
        self._policy = policy
        self._as_of_ms = as_of_ms
        self._max_degree = max_degree
        self._benign = benign
        self._bonds: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for (a, b), constraint in sorted(together.items()):
            self._bonds[a].append((b, constraint))
            self._bonds[b].append((a, constraint))
        self._left_out: dict[tuple[EntityKind, str], NotFollowed] = {}

    def __call__(self, user_id: str) -> list[PathStep]:
        found = [
            PathStep(EntityKind.USER, "", "", 2, _bound(user_id), _bound(other), constraint)
            for other, constraint in self._bonds.get(user_id, ())
        ]
        for entity, first_ms, last_ms, count in self._reader.identifiers_of(user_id):
            strength = self._strength(entity, last_ms)
            if not self._follows(entity, strength):
                continue
            near = PathUse(user_id, first_ms, last_ms, count, strength)
            for other, o_first, o_last, o_count in self._reader.users_of(entity, entity.users + 1):
                o_strength = self._strength(entity, o_last)
                if other != user_id and o_strength > 0.0:
                    far = PathUse(other, o_first, o_last, o_count, o_strength)
                    found.append(PathStep(entity.kind, entity.key, entity.mask, entity.users, near, far))
        return found

    def not_followed(self) -> tuple[NotFollowed, ...]:
        return tuple(sorted(self._left_out.values(), key=lambda n: (-n.users, n.kind, n.mask)))

    def _strength(self, entity: EntityLike, last_ms: int) -> float:
        return self._policy.strength(entity.kind.label, entity.users, max(0, self._as_of_ms - last_ms))

    def _follows(self, entity: EntityLike, strength: float) -> bool:
        if entity.users < 2:
            return False
        if entity.key in self._benign:
            why = "benign-hub"
        elif entity.users > self._policy.kinds[entity.kind.label].hub_users:
            why = "hub"
        elif entity.users > self._max_degree:
            why = "too-many-users"
        elif strength <= 0.0:
            why = "expired"
        else:
            return True
        self._left_out.setdefault((entity.kind, entity.key), NotFollowed(entity.kind, entity.mask, entity.users, why))
        return False
