"""From logits to probabilities of accounts, and from those to rings: fitted on worlds that the network has not seen."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from fraudgraph.graph.types import F64
from fraudgraph.scoring.ring_head import RING_SUMMARIES, RingHead, summarise
from fraudgraph.scoring.user_calibration import IsotonicKnots, PlattLine, UserCalibration
from training.calibrate import PRIOR, prior_weights
from training.gnn.dataset import Rings

Bool = npt.NDArray[np.bool_]

USER_PRIOR = 0.01
"""Accounts that take part in fraud, among all: a stand-in, twice the known part of the real payments data, which is
known to be an undercount. The worlds have more, so that there is something to learn from."""

RIDGE = 1.0
"""Strength of the prior of the ring head, against a ring that counts 1: the structural scorer as it is, and a network
that adds nothing, is what the fit starts from and what few rings leave standing."""

_MOST_KNOTS = 32


def fit_user_calibration(
    logit: F64, truth: Bool, kind: Literal["platt", "isotonic"] = "platt", prior: float = USER_PRIOR
) -> UserCalibration:
    """Returns a calibration under which a part `prior` of the accounts is positive."""
    weight = prior_weights(truth, prior)
    if kind == "isotonic":
        return _isotonic(logit, truth, weight)
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1e6).fit(logit[:, None], truth, sample_weight=weight)
    # An order that is turned round would mean that the network learnt nothing; then nothing is what it says.
    return PlattLine(slope=max(float(model.coef_[0, 0]), 1e-3), intercept=float(model.intercept_[0]))


def _isotonic(logit: F64, truth: Bool, weight: F64) -> IsotonicKnots:
    from sklearn.isotonic import IsotonicRegression

    # One pseudo-observation of each kind at either end keeps log-odds finite.
    ends = np.array([logit.min(), logit.max()])
    x = np.concatenate((logit, ends, ends))
    y = np.concatenate((truth, (0.0, 0.0), (1.0, 1.0)))
    w = np.concatenate((weight, np.full(4, weight.min())))
    model = IsotonicRegression().fit(x, y, sample_weight=w)
    at = np.unique(np.quantile(model.X_thresholds_, np.linspace(0.0, 1.0, _MOST_KNOTS)))
    said = np.clip(model.predict(at), 1e-6, 1.0 - 1e-6)
    return IsotonicKnots(logit=tuple(at.tolist()), log_odds=tuple(np.log(said / (1.0 - said)).tolist()))


def ring_columns(rings: Rings, log_odds: F64) -> F64:
    """Returns `[r, 1 + len(RING_SUMMARIES)]`: structural log-odds, and what members' calibrated log-odds come to."""
    return np.column_stack((rings.structural, summarise(log_odds, rings.starts)))


def fit_ring_head(columns: F64, truth: Bool, prior: float = PRIOR, ridge: float = RIDGE) -> RingHead:
    """Returns the logistic regression of rings under which a part `prior` of the candidates is a ring.

    The penalty draws towards the nested rival: coefficient 1 for the structural log-odds, 0 for the network. All
    columns are log-odds, so one strength serves all.
    """
    from scipy.optimize import minimize

    weight = prior_weights(truth, prior)
    weight *= truth.sum() / (prior * len(truth))  # every ring counts as one; of the others, as the prior asks for
    rival = np.zeros(columns.shape[1])
    rival[0] = 1.0

    def loss(p: F64) -> tuple[float, F64]:
        z = p[0] + columns @ p[1:]
        off = p[1:] - rival
        value = float(weight @ (np.logaddexp(0.0, z) - truth * z)) + 0.5 * ridge * float(off @ off)
        miss = weight * (1.0 / (1.0 + np.exp(-z)) - truth)
        return value, np.concatenate(([miss.sum()], columns.T @ miss + ridge * off))

    found = minimize(loss, np.concatenate(([0.0], rival)), jac=True, method="L-BFGS-B").x.tolist()
    return RingHead(found[0], found[1], tuple(found[2:]), RING_SUMMARIES)
