"""What models said of accounts whose fate is known, and how well that ranks them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fraudgraph.graph.types import F64, I64, Bool
from training.evaluation.figures import ACCOUNTS, Figure, Ranking, bootstrap

AVERAGE_PRECISION, LIFT, ROC_AUC = "average precision", "lift at 1 %", "ROC-AUC"
RESAMPLES = 300

Found = Mapping[tuple[str, str], Figure]
"""Figures of one moment, or of several, by (figure, model)."""


@dataclass(frozen=True, slots=True)
class Judged:
    """`n` accounts at a moment.

    Attributes:
        name: of the moment.
        said: by model, `[n]`, higher is riskier.
        truth: `[n]`; unit: `[n]` what is resampled whole: components.
    """

    name: str
    said: Mapping[str, F64]
    truth: Bool
    unit: I64


def figures(judged: Judged) -> Found:
    """Returns the figures of all models, by (figure, model), all in the same resamples of components."""
    _, unit = np.unique(judged.unit, return_inverse=True)
    units = int(unit.max()) + 1
    out = {}
    for model, said in judged.said.items():
        ranking = Ranking(said, judged.truth, unit.astype(np.int64))
        for name, figure in (
            (AVERAGE_PRECISION, ranking.average_precision),
            (LIFT, ranking.lift),
            (ROC_AUC, ranking.roc_auc),
        ):
            value, draws = bootstrap(figure, units, RESAMPLES)
            out[name, model] = Figure(ACCOUNTS, name, model, "", value, draws)
    return out


def mean_of(parts: Sequence[Found]) -> Found:
    """Returns the mean of each figure over moments.

    Not the figure of all moments' accounts in one ranking: models that were trained at different moments do not compare
    across them, and one rank would decide between two moments' surest accounts.
    """
    return {
        key: Figure(
            first.level,
            first.name,
            first.model,
            first.part,
            float(np.mean([part[key].value for part in parts])),
            np.mean([part[key].draws for part in parts], axis=0),
        )
        for key, first in parts[0].items()
    }
