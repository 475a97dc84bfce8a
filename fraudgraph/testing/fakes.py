"""Stand-ins for collaborators, for tests of whatever is built on them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fraudgraph.errors import ConfigurationError
from fraudgraph.rings.features import FEATURE_INDEX
from fraudgraph.scoring.port import RingScores

_WEIGHTS = {"users": 0.25, "burst_day": 1.5, "declined_ratio": 1.0, "fraud_labels": 2.0, "shared_ips": -0.3}


class FakeScorer:
    """A `RingScorer` that adds up a few features, and learns once how many candidates there were.

    Args:
        refit_at: with so many candidates it refits, once; never where None.
    """

    def __init__(self, refit_at: int | None = None) -> None:
        self._refit_at = refit_at
        self._fitted_on = 0

    @property
    def name(self) -> str:
        """Name and version."""
        return "fake-1"

    def score(self, features: npt.NDArray[np.float64], network: npt.NDArray[np.float64] | None = None) -> RingScores:
        """Returns a logistic sum of features, shifted by what was learnt."""
        columns = [FEATURE_INDEX[name] for name in _WEIGHTS]
        contributions = features[:, columns] * np.array(list(_WEIGHTS.values()))
        logit = contributions.sum(axis=1) - 2.0 + 0.1 * self._fitted_on
        return RingScores(1.0 / (1.0 + np.exp(-logit)), contributions, tuple(_WEIGHTS))

    def wants(self, candidates: int) -> bool:
        """Returns whether there are enough candidates, for the first time."""
        return self._refit_at is not None and not self._fitted_on and candidates >= self._refit_at

    def observe(self, features: npt.NDArray[np.float64]) -> bool:
        """Learns the number of candidates."""
        self._fitted_on = len(features)
        return True

    def state(self) -> bytes:
        """Returns the number learnt."""
        return str(self._fitted_on).encode()

    def restore(self, state: bytes) -> None:
        """Takes up a number learnt before."""
        if not state.isdigit():
            raise ConfigurationError("the state was written by another scorer", do="Give that one.")
        self._fitted_on = int(state)
