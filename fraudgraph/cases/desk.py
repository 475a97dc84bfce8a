"""The desk: where commands meet the rings and the graph, once per commit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import numpy as np

from fraudgraph.cases.book import CaseBook, CaseChange, Said
from fraudgraph.cases.orders import read_order
from fraudgraph.events.batch import ArrivedCommand, DeadLetter
from fraudgraph.events.rejected import Rejected
from fraudgraph.graph.hot import HotGraph
from fraudgraph.graph.types import I32
from fraudgraph.rings.identity import RingRegister, ring_name, ring_serial

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_T = TypeVar("_T")


@dataclass(slots=True)
class Taken:
    """What the commands of a commit came to.

    Attributes:
        dead_letters: those that could not be obeyed.
        obeyed, duplicates: how many.
    """

    change: CaseChange = field(default_factory=CaseChange)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    obeyed: int = 0
    duplicates: int = 0


@dataclass(slots=True)
class Bonds:
    """Constraints in dense ids, between users that are known; lower id first.

    Attributes:
        apart: pairs that must not be in one ring -> the constraint that says so.
        together: pairs that are tied -> until when, in ms.
        users: users of pairs of `apart` that came or went since the last commit.
    """

    apart: dict[tuple[int, int], str] = field(default_factory=dict)
    together: dict[tuple[int, int], int] = field(default_factory=dict)
    users: set[int] = field(default_factory=set)


class CaseDesk:
    """Applies commands against the rings of the last commit, and keeps the graph's constraints as the book has them."""

    def __init__(self, graph: HotGraph, register: RingRegister, book: CaseBook) -> None:
        self.book = book
        self._graph = graph
        self._register = register
        self._apart: dict[tuple[int, int], str] = {}

    def take(self, commands: Sequence[ArrivedCommand], now_ms: int, change: CaseChange | None = None) -> Taken:
        """Obeys commands in order; one that cannot be obeyed becomes a dead letter, and the others go on.

        To be called before the commit's events are applied: whoever decided had seen the commit before.

        Args:
            change: what changed in the commit already; it is added to.
        """
        taken = Taken(CaseChange() if change is None else change)
        for arrived in commands:
            key = arrived.key.hex()
            if self.book.knows(key):
                taken.duplicates += 1
                continue
            try:
                said = Said(
                    key=key,
                    source=f"{arrived.partition}@{arrived.offset}",
                    ts_ms=(arrived.command.ts - _EPOCH) // _MS,
                    author=arrived.command.author,
                    order=read_order(arrived.command),
                )
                self.book.obey(said, self, now_ms, taken.change)
                taken.obeyed += 1
            except Rejected as rejected:
                taken.dead_letters.append(
                    DeadLetter(*rejected.refusal, arrived.partition, arrived.offset, arrived.seal())
                )
        return taken

    def constrain(self, now_ms: int) -> tuple[I32, Bonds]:
        """Marks the benign identifiers; returns those whose mark changed, and the constraints between users.

        To be called after the commit's events are applied, since ids come and go with them.
        """
        demands = self.book.in_force(now_ms)
        changed = self._graph.mark_benign(demands.benign)
        bonds = Bonds(apart=self._pairs(demands.apart), together=self._pairs(demands.together))
        if bonds.apart != self._apart:
            bonds.users = {user for pair in bonds.apart.keys() ^ self._apart.keys() for user in pair}
            self._apart = bonds.apart
        return changed, bonds

    def nodes_of(self, users: Iterable[str], bonds: Bonds) -> I32:
        """Returns the nodes of users whose ring must be looked at because of what was decided."""
        id_of = self._graph.user_table.id_of
        ids = bonds.users.union(id_of[user] for user in users if user in id_of)
        return np.array([2 * user for user in sorted(ids)], np.int32)

    def names_of(self, team: I32) -> list[str]:
        """Returns the ids of users as the shop has them."""
        key_of = self._graph.user_table.key_of
        return [key_of[user] or "" for user in team.tolist()]

    def members_of(self, ring_id: str) -> list[str] | None:
        """Returns a living ring's user ids."""
        team = self._register.members.get(ring_serial(ring_id))
        return None if team is None else self.names_of(team)

    def ring_of(self, user_id: str) -> str | None:
        """Returns the living ring that a user is in."""
        user = self._graph.user_table.id_of.get(user_id)
        serial = -1 if user is None else int(self._graph.users.ring[user])
        return None if serial < 0 else ring_name(serial)

    def knows(self, user_id: str) -> bool:
        """Returns whether there is an account with this id."""
        return user_id in self._graph.user_table.id_of

    def existed(self, ring_id: str) -> bool:
        """Returns whether a ring has or had this id."""
        return 0 < ring_serial(ring_id) < self._register.next_serial

    def _pairs(self, pairs: dict[tuple[str, str], _T]) -> dict[tuple[int, int], _T]:
        id_of = self._graph.user_table.id_of
        return {
            (min(id_of[a], id_of[b]), max(id_of[a], id_of[b])): value
            for (a, b), value in pairs.items()
            if a in id_of and b in id_of
        }
