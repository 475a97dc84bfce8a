"""The first honest scorer: readable structural evidence, calibrated, and how unusual a ring is in this shop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fraudgraph.scoring.anomaly import AnomalyForest, fit_forest, read_forest
from fraudgraph.scoring.calibration import Calibration, load_calibration
from fraudgraph.scoring.evidence import REASONS, EvidenceRules, contributions
from fraudgraph.scoring.port import RingScores

F64 = npt.NDArray[np.float64]

UNUSUAL = "unusual"


@dataclass(frozen=True, slots=True)
class UnusualRules:
    """What the forest may add.

    Attributes:
        min_candidates: fewer rings are too few to say what is usual.
        growth: it is fitted again when there are so many times as many rings as when it was fitted.
        percentile, log_odds: points of a line from the part of the shop's rings that are less unusual to log-odds.
            Odd is not fraudulent: it moves the odds by less than three times either way.
    """

    min_candidates: int = 64
    growth: float = 2.0
    percentile: tuple[float, ...] = (0.0, 0.5, 0.8, 0.95, 1.0)
    log_odds: tuple[float, ...] = (-0.5, -0.2, 0.0, 0.5, 1.0)


class StructuralScorer:
    """A `RingScorer` that needs no label: evidence, its calibration, and an Isolation Forest over the shop's rings."""

    name = "structural-1"

    def __init__(
        self,
        rules: EvidenceRules | None = None,
        calibration: Calibration | None = None,
        unusual: UnusualRules | None = None,
    ) -> None:
        self._rules = rules or EvidenceRules()
        self._calibration = calibration or load_calibration()
        self._unusual = unusual or UnusualRules()
        self._forest: AnomalyForest | None = None

    def score(self, features: F64, network: F64 | None = None) -> RingScores:
        """Returns calibrated probabilities; they are `sigmoid(intercept + sum of the contributions)`."""
        structural = self._calibration.slope * contributions(features, self._rules)
        unusual = np.zeros(len(features))
        if self._forest is not None and len(features):
            percentile = self._forest.percentile(features)
            unusual = np.interp(percentile, self._unusual.percentile, self._unusual.log_odds)
        columns = np.column_stack([structural, unusual])
        log_odds = self._calibration.intercept + columns.sum(axis=1)
        probability = 1.0 / (1.0 + np.exp(-log_odds))
        return RingScores(probability, columns, (*REASONS, UNUSUAL))

    def wants(self, candidates: int) -> bool:
        """Returns whether there are enough candidates for a first forest, or twice as many as it was fitted on."""
        fitted_on = 0 if self._forest is None else self._forest.fitted_on
        return candidates >= max(self._unusual.min_candidates, self._unusual.growth * fitted_on)

    def observe(self, features: F64) -> bool:
        """Fits the forest on all living candidates, where `wants` says so."""
        if not self.wants(len(features)):
            return False
        self._forest = fit_forest(features)
        return True

    def state(self) -> bytes:
        """Returns the fitted forest; empty where there is none yet."""
        return b"" if self._forest is None else self._forest.to_bytes()

    def restore(self, state: bytes) -> None:
        """Takes up a stored forest.

        Raises:
            ConfigurationError: the state was written by another kind or version of scorer.
        """
        self._forest = read_forest(state) if state else None
