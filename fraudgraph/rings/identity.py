"""Which ring is which: a ring keeps its id while most of its members stay together, and its life is logged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from fraudgraph.graph.interning import grown
from fraudgraph.graph.types import I32
from fraudgraph.rings.components import Components


@dataclass(frozen=True, slots=True)
class Step:
    """One step in a ring's life: `born, grew, shrank, merged, split, dormant, revived, closed`, with its sizes.

    `other` is the ring that it merged into or split from.
    """

    serial: int
    what: str
    users_before: int
    users_after: int
    other: int | None = None


@dataclass(slots=True)
class RingMoves:
    """What a batch did to the rings.

    Attributes:
        alive: serial -> members in ascending order, of every living ring that the batch touched.
        reshaped: those among them whose members changed.
        ended: serials that live no more -> the ring that they went into, or None.
        former: serial -> members before, of every ring whose members were looked at anew.
        steps: what happened, in canonical order.
    """

    alive: dict[int, I32] = field(default_factory=dict)
    reshaped: set[int] = field(default_factory=set)
    ended: dict[int, int | None] = field(default_factory=dict)
    former: dict[int, I32] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)


class RingRegister:
    """Gives serials to rings and knows the members of the living ones."""

    def __init__(self, min_users: int) -> None:
        self._min_users = min_users
        self.next_serial = 1
        self.members: dict[int, I32] = {}
        self.sizes = np.zeros(1024, np.int32)

    def restore(self, members: dict[int, I32], next_serial: int, user_ring: I32) -> None:
        """Takes up the living rings of a store."""
        self.next_serial = next_serial
        self.members = {serial: np.sort(team) for serial, team in members.items()}
        self.sizes = np.zeros(max(1024, next_serial * 3 // 2), np.int32)
        for serial, team in self.members.items():
            self.sizes[serial] = len(team)
            user_ring[team] = serial

    def update(
        self,
        components: Components,
        user_ring: I32,
        max_users: int,
        split: Callable[[I32], list[I32]],
        name_of: Callable[[int], str],
        torn: Callable[[I32], bool] = lambda team: False,
    ) -> RingMoves:
        """Takes up touched components; `name_of` orders users for good.

        `split` cuts one with more than `max_users`, and one that is `torn`: that holds users who must be apart.

        Survivors are chosen by the number of members kept, then by age; what is left over is born or split off.
        """
        moves = RingMoves()
        teams: list[I32] = []
        for c in range(len(components)):
            members = components.of(c)
            if torn(members):
                teams.extend(split(members))
            elif components.same_ring[c] >= 0:
                moves.alive[int(components.same_ring[c])] = members
            elif len(members) > max_users:
                teams.extend(split(members))
            else:
                teams.append(members)
        if teams:
            self._reassign(teams, user_ring, name_of, moves)
        return moves

    def _reassign(self, parts: list[I32], user_ring: I32, name_of: Callable[[int], str], moves: RingMoves) -> None:
        teams = []
        for team in parts:
            serial = int(user_ring[team[0]])
            if serial >= 0 and self.sizes[serial] == len(team) and (user_ring[team] == serial).all():
                moves.alive[serial] = team
            else:
                teams.append(team)
        large = [team for team in teams if len(team) >= self._min_users]
        before = {int(serial) for team in teams for serial in np.unique(user_ring[team]) if serial >= 0}
        named = sorted(large, key=lambda team: min(name_of(int(user)) for user in team))
        shares = [
            (-kept, serial, place)
            for place, team in enumerate(named)
            for serial, kept in Counter(user_ring[team].tolist()).items()
            if serial >= 0
        ]
        kept_by: dict[int, int] = {}
        serial_of: dict[int, int] = {}
        for _, serial, place in sorted(shares):
            if serial not in kept_by and place not in serial_of:
                kept_by[serial] = place
                serial_of[place] = serial
        largest_of: dict[int, int] = {}
        for _, serial, place in sorted(shares):
            largest_of.setdefault(serial, place)
        moves.former = {serial: self.members[serial] for serial in before}
        sizes_before = {serial: len(team) for serial, team in moves.former.items()}
        for team in teams:
            user_ring[team] = -1
        for place, team in enumerate(named):
            self._settle(place, team, serial_of, shares, sizes_before, moves)
        for serial in sorted(before - set(kept_by)):
            goes_to = serial_of.get(largest_of[serial]) if serial in largest_of else None
            self._end(serial, goes_to, moves)
        for serial in moves.reshaped:
            user_ring[self.members[serial]] = serial

    def _settle(
        self,
        place: int,
        team: I32,
        serial_of: dict[int, int],
        shares: list[tuple[int, int, int]],
        sizes_before: dict[int, int],
        moves: RingMoves,
    ) -> None:
        serial = serial_of.get(place)
        if serial is None:
            serial = serial_of[place] = self._new_serial()
            origin = min(((kept, ring) for kept, ring, p in shares if p == place), default=None)
            if origin is None:
                moves.steps.append(Step(serial, "born", 0, len(team)))
            else:
                moves.steps.append(Step(serial, "split", sizes_before[origin[1]], len(team), origin[1]))
        elif len(team) != sizes_before[serial]:
            what = "grew" if len(team) > sizes_before[serial] else "shrank"
            moves.steps.append(Step(serial, what, sizes_before[serial], len(team)))
        self.members[serial] = team.copy()
        self.sizes[serial] = len(team)
        moves.alive[serial] = self.members[serial]
        moves.reshaped.add(serial)

    def _end(self, serial: int, goes_to: int | None, moves: RingMoves) -> None:
        size = len(self.members.pop(serial))
        self.sizes[serial] = 0
        moves.ended[serial] = goes_to
        after = 0 if goes_to is None else len(self.members[goes_to])
        moves.steps.append(Step(serial, "closed" if goes_to is None else "merged", size, after, goes_to))

    def _new_serial(self) -> int:
        serial = self.next_serial
        self.next_serial += 1
        if serial >= len(self.sizes):
            self.sizes = grown(self.sizes, serial * 3 // 2)
        return serial


def ring_name(serial: int) -> str:
    """Returns the id of a ring as people see it: `R000042`."""
    return f"R{serial:06d}"


def ring_serial(name: str) -> int:
    """Returns the serial in a ring's id."""
    return int(name[1:])
