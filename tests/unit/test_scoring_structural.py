"""The scorer behind its port: pure, additive, bounded, and silent about what it has not seen."""

from __future__ import annotations

import numpy as np
import pytest

from fraudgraph.errors import ConfigurationError
from fraudgraph.rings.features import FEATURE_INDEX, RING_FEATURES
from fraudgraph.scoring.calibration import Calibration, load_calibration
from fraudgraph.scoring.evidence import EvidenceRules
from fraudgraph.scoring.port import RingScorer
from fraudgraph.scoring.structural import UNUSUAL, StructuralScorer, UnusualRules

CALIBRATION = Calibration(slope=1.5, intercept=-4.0)


def some_rings(count: int, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    features = rng.random((count, len(RING_FEATURES)))
    features[:, FEATURE_INDEX["users"]] = rng.integers(3, 30, count)
    return features


def test_the_probability_is_the_intercept_and_the_contributions() -> None:
    scorer: RingScorer = StructuralScorer(calibration=CALIBRATION)
    features = some_rings(200)
    scorer.observe(features)
    scores = scorer.score(features)
    log_odds = np.log(scores.probability / (1.0 - scores.probability))
    np.testing.assert_allclose(log_odds, CALIBRATION.intercept + scores.contributions.sum(axis=1), atol=1e-9)
    assert scores.contributions.shape == (200, len(scores.reasons))
    assert len(set(scores.reasons)) == len(scores.reasons)


def test_scores_do_not_depend_on_what_is_scored_beside_or_before() -> None:
    scorer = StructuralScorer(calibration=CALIBRATION)
    features = some_rings(120)
    scorer.observe(features)
    kept = features.copy()
    together = scorer.score(features)
    alone = [scorer.score(features[k : k + 1]) for k in range(len(features))]
    np.testing.assert_array_equal(together.probability, np.concatenate([one.probability for one in alone]))
    np.testing.assert_array_equal(together.contributions, np.vstack([one.contributions for one in alone]))
    np.testing.assert_array_equal(features, kept)
    np.testing.assert_array_equal(scorer.score(features[::-1]).probability, together.probability[::-1])


def test_no_rings_give_no_scores() -> None:
    scorer = StructuralScorer(calibration=CALIBRATION)
    assert len(scorer.score(np.zeros((0, len(RING_FEATURES)))).probability) == 0


def test_it_fits_when_there_is_enough_and_again_when_that_doubled() -> None:
    scorer = StructuralScorer(calibration=CALIBRATION)
    assert not scorer.wants(63)
    assert not scorer.observe(some_rings(63))
    assert scorer.state() == b""
    assert scorer.wants(64)
    assert scorer.observe(some_rings(70))
    state = scorer.state()
    assert not scorer.wants(139)
    assert not scorer.observe(some_rings(139))
    assert scorer.state() == state
    assert scorer.wants(140)
    assert scorer.observe(some_rings(140))
    assert scorer.state() != state


def test_a_restored_scorer_goes_on_as_if_it_had_never_stopped() -> None:
    scorer, later = StructuralScorer(calibration=CALIBRATION), StructuralScorer(calibration=CALIBRATION)
    features = some_rings(100)
    scorer.observe(features)
    later.restore(scorer.state())
    assert later.state() == scorer.state()
    assert later.wants(200) and not later.wants(199)
    np.testing.assert_array_equal(later.score(features).probability, scorer.score(features).probability)
    later.restore(b"")
    assert later.wants(64)


def test_a_foreign_state_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        StructuralScorer(calibration=CALIBRATION).restore(b"somebody else's")


def test_being_unusual_moves_the_odds_by_one_at_most_and_more_where_more_unusual() -> None:
    scorer = StructuralScorer(calibration=CALIBRATION)
    features = some_rings(300)
    scorer.observe(features)
    scores = scorer.score(features * np.linspace(1.0, 6.0, 300)[:, None])
    unusual = scores.contributions[:, scores.reasons.index(UNUSUAL)]
    assert np.abs(unusual).max() <= 1.0
    assert unusual.max() > 0.5
    rules = UnusualRules()
    assert list(rules.log_odds) == sorted(rules.log_odds)
    assert max(map(abs, rules.log_odds)) <= 1.0


def test_the_shipped_calibration_is_of_the_present_constants() -> None:
    import tomllib
    from importlib.resources import files

    data = tomllib.loads(files("fraudgraph.scoring").joinpath("calibration.toml").read_text(encoding="utf-8"))
    calibration = load_calibration()
    assert (calibration.slope, calibration.intercept) == (data["slope"], data["intercept"])
    assert data["provenance"]["evidence_rules"] == EvidenceRules().hash, "run python -m training.calibrate --write"
    assert data["provenance"]["fit_seeds"][1] < data["provenance"]["check_seeds"][0]


@pytest.mark.parametrize(("slope", "intercept"), [(0.0, -4.0), (-1.0, -4.0), (float("nan"), 0.0), (1.0, float("inf"))])
def test_a_calibration_that_would_turn_the_order_round_is_refused(slope: float, intercept: float) -> None:
    with pytest.raises(ConfigurationError, match=r"training\.calibrate"):
        Calibration(slope, intercept)
