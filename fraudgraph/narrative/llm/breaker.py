"""Circuit breaker: after some failures in a row nobody is asked for a while, then one call tries again."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Breaker:
    """Closed, open, half-open (Nygard, Release It!, 2018, ch. 5); safe among threads.

    Args:
        failures: so many in a row open it.
        cooldown_s: so long it stays open; then one call is let through, and its outcome closes or re-opens it.
        clock: seconds, monotonic.
    """

    def __init__(self, *, failures: int, cooldown_s: float, clock: Callable[[], float]) -> None:
        self._limit = failures
        self._cooldown_s = cooldown_s
        self._clock = clock
        self._lock = threading.Lock()
        self._failed = 0
        self._opened_s = 0.0
        self._trying = False

    @property
    def open(self) -> bool:
        """Whether calls are refused now."""
        with self._lock:
            return self._refuses()

    def allow(self) -> bool:
        """Returns whether a call may be made; whoever gets True must say how it ended."""
        with self._lock:
            if self._refuses():
                return False
            self._trying = self._failed >= self._limit
            return True

    def succeeded(self) -> None:
        """The call ended well."""
        with self._lock:
            self._failed = 0
            self._trying = False

    def failed(self) -> None:
        """The call ended badly."""
        with self._lock:
            self._failed += 1
            self._trying = False
            self._opened_s = self._clock()

    def abandoned(self) -> None:
        """The call was not made after all: it says nothing about the other side."""
        with self._lock:
            self._trying = False

    def _refuses(self) -> bool:
        if self._failed < self._limit:
            return False
        return self._trying or self._clock() - self._opened_s < self._cooldown_s
