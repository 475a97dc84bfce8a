"""From a network's logits to calibrated log-odds of one account: a line or monotone knots."""

from __future__ import annotations

import math
from typing import TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from fraudgraph.errors import ConfigurationError

F64 = npt.NDArray[np.float64]


class PlattLine(msgspec.Struct, frozen=True, tag="platt"):
    """`log-odds = slope x logit + intercept` (Platt, 1999).

    Raises:
        ConfigurationError: a number is not finite, or the slope would turn the order round.
    """

    slope: float
    intercept: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.slope) and math.isfinite(self.intercept) and self.slope > 0.0):
            raise ConfigurationError(
                f"a calibration of accounts with slope {self.slope} and intercept {self.intercept}",
                do="Train the network again: fraudgraph train.",
            )

    def apply(self, logit: F64) -> F64:
        """Returns calibrated log-odds, `[n]`."""
        return np.asarray(self.slope * logit + self.intercept, np.float64)


class IsotonicKnots(msgspec.Struct, frozen=True, tag="isotonic"):
    """Log-odds at knots, on a line between them, beyond the ends as at the ends.

    Fitted by pool-adjacent-violators (Zadrozny and Elkan, KDD 2002), kept in log-odds. It makes ties, which a line
    does not.

    Attributes:
        logit: of the network, strictly ascending; at least two.
        log_odds: calibrated, not descending.

    Raises:
        ConfigurationError: the knots are no such function.
    """

    logit: tuple[float, ...]
    log_odds: tuple[float, ...]

    def __post_init__(self) -> None:
        x, y = np.asarray(self.logit), np.asarray(self.log_odds)
        whole = len(x) == len(y) >= 2 and bool(np.isfinite(x).all() and np.isfinite(y).all())
        if not whole or (np.diff(x) <= 0).any() or (np.diff(y) < 0).any():
            raise ConfigurationError(
                f"the {len(x)} knots of a calibration of accounts are no ascending, finite function",
                do="Train the network again: fraudgraph train.",
            )

    def apply(self, logit: F64) -> F64:
        """Returns calibrated log-odds, `[n]`."""
        return np.asarray(np.interp(logit, self.logit, self.log_odds), np.float64)


UserCalibration: TypeAlias = PlattLine | IsotonicKnots
