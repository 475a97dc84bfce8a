"""What models said of accounts whose fate is known, and how well that ranks them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fraudgraph.graph.types import F64, I64, Bool
from training.evaluation.figures import ACCOUNTS, Figure, Ranking, bootstrap

AVERAGE_PRECISION, LIFT, ROC_AUC = "average precision", "lift at 1 %", "ROC-AUC"
RESAMPLES = 300


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


def together(name: str, parts: Sequence[Judged]) -> Judged:
    """Returns the accounts of several moments, each ranked among those of its own moment.

    Scores of models that were trained at different moments do not compare, ranks within a moment do.
    """
    models = list(parts[0].said)
    first = np.cumsum([0, *(int(part.unit.max(initial=-1)) + 1 for part in parts)])
    return Judged(
        name,
        {model: np.concatenate([_ranks(part.said[model]) for part in parts]) for model in models},
        np.concatenate([part.truth for part in parts]),
        np.concatenate([part.unit + start for part, start in zip(parts, first[:-1], strict=True)]),
    )


def figures(judged: Judged) -> dict[tuple[str, str], Figure]:
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


def _ranks(said: F64) -> F64:
    """Returns each score's place in (0, 1) among all, equal ones in the middle of theirs; where all are equal, 0.5."""
    from scipy.stats import rankdata

    return (np.asarray(rankdata(said), np.float64) - 0.5) / max(len(said), 1)
