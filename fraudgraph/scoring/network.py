"""The scorer with a model of accounts: the structural evidence, and what the network or the trees add to it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fraudgraph.errors import ConfigurationError
from fraudgraph.scoring.port import RingScorer, RingScores
from fraudgraph.scoring.ring_head import RingHead

F64 = npt.NDArray[np.float64]

NETWORK = "network"
_SURE: float = 1e-12
"""Probabilities of the structural scorer nearer than this to 0 or 1 count as this."""


class NetworkScorer:
    """A `RingScorer` that adds a bundle's ring head to another scorer, whose fitted state it carries.

    The reason `network`, or `trees`, is the whole difference that the head makes, in log-odds: so the contributions
    and the other scorer's intercept still add up to the log-odds of the probability.
    """

    def __init__(self, structural: RingScorer, head: RingHead, bundle: str, kind: str = NETWORK) -> None:
        self.structural = structural
        self._head = head
        self._bundle = bundle
        self._kind = kind

    @property
    def name(self) -> str:
        """Name, version and bundle."""
        return f"{self._kind}-1/{self._bundle}"

    def score(self, features: F64, network: F64 | None = None) -> RingScores:
        """Returns calibrated probabilities of `[r, len(RING_FEATURES)]` features.

        Args:
            network: `[r, len(RING_SUMMARIES)]` what the network says of the rings (`scoring.ring_head`).

        Raises:
            ConfigurationError: it is missing.
        """
        if network is None:
            raise ConfigurationError(
                f"{self.name} was asked for scores without its network", do="Give the rings' summaries."
            )
        scores = self.structural.score(features)
        bounded = np.clip(scores.probability, _SURE, 1.0 - _SURE)
        before = np.log(bounded / (1.0 - bounded))
        log_odds = self._head.apply(before, network)
        return RingScores(
            1.0 / (1.0 + np.exp(-log_odds)),
            np.column_stack((scores.contributions, log_odds - before)),
            (*scores.reasons, self._kind),
        )

    def wants(self, candidates: int) -> bool:
        """Returns whether the structural scorer would refit."""
        return self.structural.wants(candidates)

    def observe(self, features: F64) -> bool:
        """Lets the structural scorer refit."""
        return self.structural.observe(features)

    def state(self) -> bytes:
        """Returns what the structural scorer fitted; the network's own state is derived from the graph."""
        return self.structural.state()

    def restore(self, state: bytes) -> None:
        """Takes up a stored state of the structural scorer."""
        self.structural.restore(state)
