"""Platt calibration: how far the structural log-odds may be trusted, and how rare rings are among candidates."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from importlib.resources import files

from fraudgraph.errors import ConfigurationError

FILE = "calibration.toml"


@dataclass(frozen=True, slots=True)
class Calibration:
    """`log-odds = slope x structural + intercept` (Platt, 1999, over log-odds instead of margins).

    Attributes:
        slope: above 0.
        intercept: log-odds of a candidate that nothing speaks for or against.

    Raises:
        ConfigurationError: a number is not finite, or the slope would turn the order round.
    """

    slope: float
    intercept: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.slope) and math.isfinite(self.intercept) and self.slope > 0.0):
            raise ConfigurationError(
                f"calibration with slope {self.slope} and intercept {self.intercept}",
                do="Fit it again: python -m training.calibrate",
            )


def load_calibration() -> Calibration:
    """Returns the calibration that ships with the package; its file says how it was made.

    Raises:
        ConfigurationError: the file is damaged.
    """
    data = tomllib.loads(files("fraudgraph.scoring").joinpath(FILE).read_text(encoding="utf-8"))
    try:
        return Calibration(slope=float(data["slope"]), intercept=float(data["intercept"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"{FILE} of fraudgraph.scoring has no usable slope and intercept",
            do="Install the package again, or write the file with python -m training.calibrate",
        ) from error
