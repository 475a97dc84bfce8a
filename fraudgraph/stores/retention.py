"""How long dead letters are kept: they hold personal data, so wall time counts, not event time."""

from __future__ import annotations

from collections.abc import Callable

from fraudgraph.durations import DAY_MS, HOUR_MS
from fraudgraph.stores.port import CommitDelta


class DeadLetterRetention:
    """Stamps commits with wall time at the edge, and has old dead letters forgotten, at most once an hour.

    A back-fill of a year of events therefore keeps what it refused for as long as a day's stream does.

    Args:
        days: how long they are kept.
        wall_ms: returns wall time in ms since the epoch.
    """

    def __init__(self, days: int, wall_ms: Callable[[], int]) -> None:
        self._kept_ms = days * DAY_MS
        self._wall_ms = wall_ms
        self._swept_ms = 0

    def stamp(self, delta: CommitDelta) -> None:
        """Adds to a delta when it was made, and now and then what is to be forgotten with it."""
        delta.recorded_ms = self._wall_ms()
        if delta.recorded_ms - self._swept_ms >= HOUR_MS:
            delta.dead_letters_before_ms = delta.recorded_ms - self._kept_ms
            self._swept_ms = delta.recorded_ms
