"""Whether the daemon lives and whether it does its work, each with the reason why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

FIRST_BATCH: Final = 10
"""The first batch may take so many times the limit: where the machine's cache is cold, kernels are compiled for it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer, and why, in a clause without personal data."""

    good: bool
    because: str


class Health:
    """Told by the loop and the store's thread what happens, and asked by the page's.

    *Live*: the loop moved within a limit. What is not is to be killed and started again; that loses nothing.
    *Ready*: the store is claimed and read, and what was taken from the stream gets committed within a limit. Without
    input there is nothing to commit, and all is well. What is not ready may become so by itself.

    Args:
        clock_s: monotonic seconds.
        live_limit_s: longest pause of the loop.
        ready_limit_s: longest time from a batch's reading, or from the commit before it, to its commit.
    """

    def __init__(self, clock_s: Callable[[], float], *, live_limit_s: float, ready_limit_s: float) -> None:
        self._clock_s = clock_s
        self._live_limit_s = live_limit_s
        self._ready_limit_s = ready_limit_s
        self._beat_s: float | None = None
        self._pending = 0
        self._began = False
        self._waiting_since_s: float | None = None
        self._away = False

    def beat(self) -> None:
        """The loop moves; before the first beat the store is being read, which takes as long as it takes."""
        self._beat_s = self._clock_s()

    def taken(self) -> None:
        """A batch was read."""
        self._pending += 1
        if self._pending == 1:
            self._waiting_since_s = self._clock_s()

    def settled(self) -> None:
        """A batch was committed."""
        self._began = True
        self._pending -= 1
        self._waiting_since_s = self._clock_s() if self._pending else None

    def away(self, away: bool) -> None:
        """The store is away, or back."""
        self._away = away

    def live(self) -> Verdict:
        """Returns whether the process is worth keeping."""
        if self._beat_s is None:
            return Verdict(True, "starting: the store is being read")
        still_s = self._clock_s() - self._beat_s
        if still_s > self._live_limit_s * (1 if self._began else FIRST_BATCH):
            return Verdict(False, f"the loop has stood still for {still_s:.0f} s")
        return Verdict(True, "the loop moves")

    def ready(self) -> Verdict:
        """Returns whether events get into the store."""
        if self._beat_s is None:
            return Verdict(False, "starting: the store is being read")
        if self._away:
            return Verdict(False, "the store is away; reading pauses until it is back")
        since_s = self._waiting_since_s
        waited_s = 0.0 if since_s is None else self._clock_s() - since_s
        if waited_s > self._ready_limit_s:
            return Verdict(False, f"a batch has waited {waited_s:.0f} s for its commit")
        return Verdict(True, "what is read gets committed")
