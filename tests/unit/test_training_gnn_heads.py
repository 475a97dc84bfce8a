"""Calibration and ring head: as often true as they say, at the stated prior, and no more network than rings ask for."""

from __future__ import annotations

import numpy as np
import pytest

from fraudgraph.errors import ConfigurationError
from fraudgraph.scoring.ring_head import LIMIT, RING_SUMMARIES, RingHead, reading_times, summarise
from fraudgraph.scoring.user_calibration import IsotonicKnots, PlattLine
from training.calibrate import PRIOR, prior_weights
from training.gnn.heads import USER_PRIOR, fit_ring_head, fit_user_calibration
from training.gnn.measure import interval


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
def test_accounts_come_out_at_the_stated_prior(kind: str) -> None:
    rng = np.random.default_rng(0)
    logit = rng.normal(0, 2, 20_000)
    truth = rng.random(20_000) < sigmoid(1.5 * logit - 3.0)
    calibration = fit_user_calibration(logit, truth, kind)  # type: ignore[arg-type]  # of the parameters above
    said = sigmoid(calibration.apply(logit))
    weight = prior_weights(truth, USER_PRIOR)
    assert np.average(said, weights=weight) == pytest.approx(USER_PRIOR, rel=0.1)
    surest = said > np.quantile(said, 0.98)
    assert np.average(said[surest], weights=weight[surest]) == pytest.approx(
        np.average(truth[surest], weights=weight[surest]), rel=0.2
    )
    if isinstance(calibration, PlattLine):
        assert calibration.slope == pytest.approx(1.5, rel=0.1)


def drawn_rings(share_of_network: float, count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    structural = rng.normal(-4, 2, count)
    mean = rng.normal(-3, 1, count)
    columns = np.column_stack((structural, mean, mean + rng.random(count)))
    return columns, rng.random(count) < sigmoid(structural + share_of_network * (mean + 3) + 1.5)


def test_a_network_that_says_nothing_gets_no_weight_and_one_that_does_gets_it() -> None:
    nothing = fit_ring_head(*drawn_rings(0.0, 8_000))
    assert nothing.structural == pytest.approx(1.0, abs=0.15)
    assert sum(nothing.summaries) == pytest.approx(0.0, abs=0.15)
    something = fit_ring_head(*drawn_rings(1.0, 8_000))
    assert sum(something.summaries) == pytest.approx(1.0, abs=0.25)


def test_few_rings_leave_the_rival_that_is_nested() -> None:
    columns, truth = drawn_rings(1.0, 60)
    truth[:] = False
    truth[:2] = True
    head = fit_ring_head(columns, truth)
    assert abs(head.structural - 1.0) < 0.7
    assert max(map(abs, head.summaries)) < 0.7


def test_rings_come_out_at_the_stated_prior() -> None:
    columns, truth = drawn_rings(1.0, 8_000)
    head = fit_ring_head(columns, truth)
    said = sigmoid(head.apply(columns[:, 0], columns[:, 1:]))
    assert np.average(said, weights=prior_weights(truth, PRIOR)) == pytest.approx(PRIOR, rel=0.1)


def test_a_ring_is_summed_up_from_its_members_within_limits() -> None:
    log_odds, starts = np.array([1.0, 3.0, -50.0, 50.0, -1.0]), np.array([0, 2, 5])
    assert summarise(log_odds, starts).tolist() == [[2.0, 3.0], [-1.0 / 3.0, LIMIT]]
    assert summarise(np.empty(0), np.zeros(1, np.int64)).shape == (0, len(RING_SUMMARIES))
    assert reading_times(np.array([5, 9, 1, 2, 3]), starts).tolist() == [9, 9, 3, 3, 3]


def test_heads_and_calibrations_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="knots"):
        IsotonicKnots(logit=(0.0, 0.0), log_odds=(0.0, 1.0))
    with pytest.raises(ConfigurationError, match="slope"):
        PlattLine(slope=-1.0, intercept=0.0)
    with pytest.raises(ConfigurationError, match="ring head"):
        RingHead(0.0, 1.0, (0.0, 0.0, 0.0))
    with pytest.raises(ConfigurationError, match="not finite"):
        RingHead(float("nan"), 1.0, (0.0, 0.0))


def test_an_interval_is_over_the_worlds_that_have_the_figure() -> None:
    value, low, high = interval(np.array([0.2, 0.4, np.nan, 0.6]))
    assert value == pytest.approx(0.4)
    assert 0.2 <= low < 0.4 < high <= 0.6
    assert np.isnan(interval(np.array([np.nan]))).all()
