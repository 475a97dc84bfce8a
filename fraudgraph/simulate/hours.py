"""When people come to a shop: the hours of the day and the days of the week."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fraudgraph.durations import DAY_MS, HOUR_MS, MINUTE_MS

if TYPE_CHECKING:
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]

# Share of a day's visits per hour of local time: quiet nights, a lunch peak, a higher one after dinner.
_HOURS = np.array([10, 5, 3, 2, 2, 4, 9, 18, 28, 34, 38, 42, 48, 46, 40, 38, 40, 46, 54, 62, 68, 62, 44, 24.0])
# Chance that a visit on Monday … Sunday takes place.
_WEEK = np.array([1.0, 0.97, 0.96, 0.95, 0.92, 0.86, 1.0])
WEEK_MEAN = float(_WEEK.mean())


def weekday(ts: Ints) -> Ints:
    """Returns 0 for Monday … 6 for Sunday."""
    return (ts // DAY_MS + 3) % 7  # 1970-01-01 was a Thursday


def hour(ts: Ints) -> Ints:
    """Returns the hour of the day, 0..23."""
    return ts % DAY_MS // HOUR_MS


def at_waking_hours(ts: Ints, shift_hours: Floats, rng: np.random.Generator) -> Ints:
    """Returns times on the same days, at the shop's hours moved by each person's own shift."""
    drawn = rng.choice(24, size=len(ts), p=_HOURS / _HOURS.sum()) + rng.random(len(ts)) + shift_hours
    return ts // DAY_MS * DAY_MS + (drawn % 24 * HOUR_MS).astype(np.int64)


def takes_place(ts: Ints, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Returns which visits take place, by their weekday."""
    return rng.random(len(ts)) < _WEEK[weekday(ts)]


def minutes_later(ts: Ints, mean_minutes: float, rng: np.random.Generator) -> Ints:
    """Returns times shortly after `ts`."""
    return ts + 1 + rng.exponential(mean_minutes * MINUTE_MS, len(ts)).astype(np.int64)
