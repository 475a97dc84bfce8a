"""Which rings have gone quiet: known at every commit without looking at all of them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Turn:
    """A ring that went quiet, or woke; `at_ms` is the event time at which it did."""

    serial: int
    quiet: bool
    at_ms: int


class QuietRings:
    """Keeps, for each living ring, a moment at which it may go quiet, in a heap.

    After each commit the quiet rings are those last seen more than `quiet_ms` before the watermark, whatever happened
    in between, so that nothing of this needs to be stored.
    """

    def __init__(self, quiet_ms: int) -> None:
        self._quiet_ms = quiet_ms
        self._last_ms: dict[int, int] = {}
        self._due_ms: dict[int, int] = {}
        self._heap: list[tuple[int, int]] = []
        self._quiet: set[int] = set()

    def restore(self, last_seen: Iterable[tuple[int, int]], now_ms: int) -> None:
        """Takes up living rings by (serial, last seen in ms), as of the watermark `now_ms`."""
        for serial, last_ms in last_seen:
            self._note(serial, last_ms)
        self._quiet = {serial for serial, last_ms in self._last_ms.items() if now_ms - last_ms > self._quiet_ms}

    def turn(
        self, ended: Iterable[int], last_seen: Iterable[tuple[int, int]], before_ms: int, now_ms: int
    ) -> list[Turn]:
        """Takes up a commit's rings; returns those that went quiet or woke, by serial.

        Args:
            ended: rings that live no more.
            last_seen: rings that changed, by (serial, last seen in ms).
            before_ms, now_ms: the watermark before the commit and after it.
        """
        for serial in ended:
            self._last_ms.pop(serial, None)
            self._due_ms.pop(serial, None)
            self._quiet.discard(serial)
        turns = []
        for serial, last_ms in last_seen:
            self._note(serial, last_ms)
            if serial in self._quiet and now_ms - last_ms <= self._quiet_ms:
                self._quiet.discard(serial)
                turns.append(Turn(serial, False, last_ms))
        while self._heap and now_ms - self._heap[0][0] > self._quiet_ms:
            noted_ms, serial = heapq.heappop(self._heap)
            if self._due_ms.get(serial) != noted_ms:
                continue
            del self._due_ms[serial]
            last_ms = self._last_ms[serial]
            if now_ms - last_ms <= self._quiet_ms:
                self._note(serial, last_ms)
            elif serial not in self._quiet:
                self._quiet.add(serial)
                turns.append(Turn(serial, True, max(last_ms + self._quiet_ms + 1, before_ms)))
        return sorted(turns, key=lambda turn: turn.serial)

    def _note(self, serial: int, last_ms: int) -> None:
        """Keeps at most one entry of a ring that counts, at or before the moment at which it was last seen."""
        self._last_ms[serial] = last_ms
        if self._due_ms.get(serial, last_ms + 1) > last_ms:
            self._due_ms[serial] = last_ms
            heapq.heappush(self._heap, (last_ms, serial))
