"""The fit: probabilities come out as often true as they say, held back, at the stated prior."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest

from fraudgraph.rings.features import FEATURE_INDEX, RING_FEATURES
from fraudgraph.scoring.calibration import Calibration
from fraudgraph.scoring.evidence import EvidenceRules, contributions
from fraudgraph.scoring.structural import StructuralScorer
from training.calibrate import PRIOR, check, fit, prior_weights, provenance
from training.reliability import average_precision, brier, calibration_error, precision_interval, reliability
from training.worlds import Labelled

RULES = EvidenceRules()


def drawn(slope: float, intercept: float, count: int = 20_000, seed: int = 0) -> Labelled:
    """Returns candidates whose truth is drawn from a known calibration."""
    rng = np.random.default_rng(seed)
    features = np.zeros((count, len(RING_FEATURES)))
    features[:, FEATURE_INDEX["users"]] = rng.integers(3, 20, count)
    for name in ("burst_day", "burst_week", "quick_spend", "one_order", "max_share"):
        features[:, FEATURE_INDEX[name]] = rng.random(count)
    log_odds = slope * contributions(features, RULES).sum(axis=1) + intercept
    truth = rng.random(count) < 1.0 / (1.0 + np.exp(-log_odds))
    typology = np.where(truth, "promo_abuse", "")
    return Labelled(features, truth, typology, np.arange(count) % 10)


def test_the_fit_finds_the_slope_and_goes_half_of_the_way() -> None:
    fitted = fit(drawn(2.25, -5.0), RULES)
    assert fitted.asked.slope == pytest.approx(2.25, rel=0.08)
    assert fitted.calibration.slope == pytest.approx(1.5, rel=0.05)


def test_the_mean_probability_is_the_prior() -> None:
    data = drawn(2.0, -4.0)
    said = StructuralScorer(RULES, fit(data, RULES).calibration).score(data.features).probability
    weight = prior_weights(data.is_ring, PRIOR)
    assert np.average(data.is_ring, weights=weight) == pytest.approx(PRIOR)
    assert np.average(said, weights=weight) == pytest.approx(PRIOR, rel=0.05)


def test_the_report_names_every_figure_and_the_file_can_be_loaded() -> None:
    data = drawn(2.0, -4.0, count=4_000)
    fitted = fit(data, RULES)
    report = check(data, fitted.calibration, RULES)
    text = "\n".join(report)
    for figure in ("Brier score", "calibration error", "average precision", "95 % interval", "promo_abuse"):
        assert figure in text
    document = tomllib.loads(provenance(fitted, 3, 3, report, RULES))
    assert Calibration(document["slope"], document["intercept"]) == fitted.calibration
    assert document["provenance"]["evidence_rules"] == RULES.hash


def test_honest_probabilities_are_told_from_boastful_ones() -> None:
    rng = np.random.default_rng(2)
    honest = rng.random(20_000)
    truth = rng.random(20_000) < honest
    boastful = np.where(honest > 0.5, 0.99, 0.01)
    weight = np.ones(20_000)
    assert calibration_error(honest, truth, weight) < 0.02 < 0.2 < calibration_error(boastful, truth, weight)
    assert brier(honest, truth, weight) < brier(boastful, truth, weight)
    for b in reliability(honest, truth, weight):
        assert b.low <= b.said <= b.high
        assert b.true == pytest.approx(b.said, abs=0.06)
    assert sum(b.count for b in reliability(honest, truth, weight)) == 20_000


def test_the_interval_holds_the_precision_and_widens_where_worlds_differ() -> None:
    rng = np.random.default_rng(5)
    world = np.arange(3_000) % 12
    said = rng.random(3_000)
    same = rng.random(3_000) < said**4
    differing = np.where(world < 6, same, rng.random(3_000) < 0.02)
    for truth in (same, differing):
        low, high = precision_interval(said, truth, world, resamples=200)
        assert low < average_precision(said, truth) < high
    narrow, wide = (np.diff(precision_interval(said, t, world, resamples=200))[0] for t in (same, differing))
    assert narrow < wide
    assert np.isnan(average_precision(said, np.zeros(3_000, np.bool_)))
