"""Every figure of an evaluation against scikit-learn, or an example by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from training.evaluation.figures import Figure, Ranking, bootstrap, brier, calibration_error, mean, ratio, weights_of
from training.reliability import calibration_error as plain_calibration_error

RNG = np.random.default_rng(3)
TRUTH = RNG.random(400) < 0.1
SCORE = np.round(RNG.normal(size=400) + TRUTH, 1)  # many equal scores
UNIT = RNG.integers(0, 60, 400)
WEIGHTS = next(weights_of(60))
EACH = WEIGHTS[UNIT]
ONCE = np.ones(60)


def test_rankings_are_scikit_learns_with_and_without_weights() -> None:
    ranking = Ranking(SCORE, TRUTH, UNIT)
    for weights, each in ((ONCE, None), (WEIGHTS, EACH)):
        assert ranking.average_precision(weights) == pytest.approx(
            average_precision_score(TRUTH, SCORE, sample_weight=each)
        )
        assert ranking.roc_auc(weights) == pytest.approx(roc_auc_score(TRUTH, SCORE, sample_weight=each))


def test_lift_is_that_of_the_first_rows() -> None:
    truth = np.array([True, False, True] + [False] * 17)
    ranking = Ranking(-np.arange(20.0), truth, np.arange(20))
    assert ranking.lift(np.ones(20), 0.1) == pytest.approx(0.5 / 0.1)
    assert ranking.lift(np.ones(20), 0.15) == pytest.approx((2 / 3) / 0.1)


def test_a_score_that_says_nothing_has_the_lift_of_chance() -> None:
    assert Ranking(np.zeros(400), TRUTH, UNIT).lift(ONCE) == pytest.approx(1.0)


def test_probabilities_are_judged_as_elsewhere_under_weights() -> None:
    said = 1.0 / (1.0 + np.exp(-SCORE))
    for weights, each in ((ONCE, np.ones(400)), (WEIGHTS, EACH)):
        assert brier(said, TRUTH, UNIT, 60)(weights) == pytest.approx(brier_score_loss(TRUTH, said, sample_weight=each))
        found = calibration_error(said, TRUTH, UNIT, 60)(weights)
        assert found == pytest.approx(plain_calibration_error(said, TRUTH, each))


def test_nothing_true_is_no_figure_and_not_zero() -> None:
    ranking = Ranking(SCORE, np.zeros(400, np.bool_), UNIT)
    assert np.isnan([ranking.average_precision(ONCE), ranking.roc_auc(ONCE), ranking.lift(ONCE)]).all()
    assert np.isnan(ratio(np.ones(3), np.zeros(3))(np.ones(3)))
    assert mean(np.array([np.nan, 2.0, 4.0]))(np.ones(3)) == 3.0


def figure(model: str, values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Figure:
    return Figure("accounts", "average precision", model, "", *bootstrap(mean(values), len(values)))


def test_a_difference_of_the_same_streams_loses_what_they_share() -> None:
    easy = RNG.random(10)
    one, other = figure("one", easy + 0.05), figure("other", easy)
    assert one.high - one.low > 0.1
    gain = one.over(other)
    assert (gain.value, gain.low, gain.high) == pytest.approx((0.05, 0.05, 0.05))


def test_a_relative_gain_is_a_part_of_the_rival() -> None:
    values = RNG.random(10) + 1.0
    gain = figure("one", 1.25 * values).relative_to(figure("other", values))
    assert (gain.value, gain.low, gain.high) == pytest.approx((0.25, 0.25, 0.25))


def test_an_interval_is_as_wide_as_the_theory_says() -> None:
    values = RNG.normal(size=200)
    found = figure("one", values)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * values.std() / np.sqrt(200), rel=0.1)
