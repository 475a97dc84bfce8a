"""Partitions read side by side come together in the order of their records' times."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Collection, Hashable, Iterable
from typing import Generic, Protocol, TypeVar


class Timed(Protocol):
    """A record with a time in ms since the epoch, and its bytes."""

    @property
    def timestamp(self) -> int: ...

    @property
    def value(self) -> bytes | None: ...


P = TypeVar("P", bound=Hashable)
R = TypeVar("R", bound=Timed)


class TimeMerge(Generic[P, R]):
    """Holds records per partition, and gives the earliest ones first, each partition's in its own order.

    A backlog is fetched partition after partition. Handed over like that, the first partition would move event time to
    its end, and what the others have of the same time would be too late.
    """

    def __init__(self) -> None:
        self._held: dict[P, deque[R]] = {}
        self.held_bytes = 0

    def add(self, partition: P, records: Iterable[R]) -> None:
        """Takes in the next records of a partition."""
        held = self._held.setdefault(partition, deque())
        for record in records:
            held.append(record)
            self.held_bytes += len(record.value or b"")

    def holds(self, partition: P) -> int:
        """Returns how many records of a partition are held."""
        return len(self._held.get(partition, ()))

    def take(self, limit: int, more_come: Collection[P]) -> list[tuple[P, R]]:
        """Returns up to `limit` records.

        Args:
            more_come: partitions of which more records exist than are held; nothing passes them by.
        """
        if any(not self._held.get(partition) for partition in more_come):
            return []
        heads = [(held[0].timestamp, place, name) for place, (name, held) in enumerate(self._held.items()) if held]
        heapq.heapify(heads)
        taken: list[tuple[P, R]] = []
        while heads and len(taken) < limit:
            _, place, name = heads[0]
            held = self._held[name]
            record = held.popleft()
            self.held_bytes -= len(record.value or b"")
            taken.append((name, record))
            if held:
                heapq.heapreplace(heads, (held[0].timestamp, place, name))
            else:
                heapq.heappop(heads)
                if name in more_come:
                    break
        return taken
