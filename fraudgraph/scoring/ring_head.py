"""From members' scores to a ring's: what the network says of them, in few numbers, beside the structural evidence."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fraudgraph.errors import ConfigurationError

F64 = npt.NDArray[np.float64]

RING_SUMMARIES: tuple[str, ...] = (
    "mean_log_odds",  # of the members
    "max_log_odds",
)
"""Columns of a ring's summaries, in order."""

LIMIT = 8.0
"""Members' log-odds beyond this count as this: one account that the network is sure of decides about no ring."""


@dataclass(frozen=True, slots=True)
class RingHead:
    """`log-odds of a ring = intercept + structural x structural log-odds + summaries · RING_SUMMARIES`.

    With `structural` 1, `summaries` 0 and `intercept` 0 it is the structural scorer, the rival that is nested in it.

    Attributes:
        structural: coefficient of the structural scorer's log-odds, its calibration included.
        names: RING_SUMMARIES as of the fit.
        summaries: coefficients, one per name.

    Raises:
        ConfigurationError: a number is not finite, or the summaries are not those of this version.
    """

    intercept: float
    structural: float
    summaries: tuple[float, ...]
    names: tuple[str, ...] = RING_SUMMARIES

    def __post_init__(self) -> None:
        if self.names != RING_SUMMARIES or len(self.summaries) != len(RING_SUMMARIES):
            raise ConfigurationError(
                f"the ring head reads {', '.join(self.names)} with {len(self.summaries)} coefficients",
                do=f"Train again with this version, whose rings are summed up as {', '.join(RING_SUMMARIES)}.",
            )
        if not all(map(math.isfinite, (self.intercept, self.structural, *self.summaries))):
            raise ConfigurationError("a coefficient of the ring head is not finite", do="Train again.")

    def apply(self, structural: F64, summaries: F64) -> F64:
        """Returns log-odds `[r]` of structural log-odds `[r]` and summaries `[r, len(RING_SUMMARIES)]`."""
        out: F64 = self.intercept + self.structural * structural + summaries @ np.asarray(self.summaries)
        return out


def reading_times(last_ms: npt.NDArray[np.int64], starts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Returns as of when each member of a ring is read, `[members]`: the ring's last event.

    Not the moment of scoring: a ring that is scored again, without a new event in it, scores the same, and the cut of a
    stream into commits has no say. Training and serving both read rings so.

    Args:
        last_ms: last event of each member, ring by ring; `starts` as in `summarise`.
    """
    if len(starts) < 2:
        return np.empty(0, np.int64)
    return np.repeat(np.maximum.reduceat(last_ms, starts[:-1]), np.diff(starts))


def summarise(log_odds: F64, starts: npt.NDArray[np.int64]) -> F64:
    """Returns what the network says of rings, `[r, len(RING_SUMMARIES)]`.

    Args:
        log_odds: calibrated, of all rings' members, ring by ring.
        starts: `[r + 1]` where each ring begins; none is empty.
    """
    if len(starts) < 2:
        return np.zeros((0, len(RING_SUMMARIES)))
    held = np.clip(log_odds, -LIMIT, LIMIT)
    first, size = starts[:-1], np.diff(starts)
    return np.column_stack(
        (
            np.add.reduceat(held, first) / size,
            np.maximum.reduceat(held, first),
        )
    )
