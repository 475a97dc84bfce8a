"""The forest: what scikit-learn grew, evaluated and kept without it."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from sklearn.ensemble import IsolationForest

from fraudgraph.errors import ConfigurationError
from fraudgraph.rings.features import FEATURE_INDEX, RING_FEATURES
from fraudgraph.scoring.anomaly import SAMPLES, SEED, SEEN, TREES, fit_forest, read_forest, seen


def some_rings(count: int, seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    features = rng.gamma(2.0, 1.0, (count, len(RING_FEATURES)))
    features[:, FEATURE_INDEX["users"]] = rng.integers(3, 12, count)
    features[:, FEATURE_INDEX["transfers_inside"]] = 0.0  # as in a shop without transfers
    return features


@pytest.mark.parametrize("count", [64, 255, 700])
def test_it_scores_as_scikit_learn_does(count: int) -> None:
    features, others = some_rings(count), some_rings(200, seed=4) * 3.0
    model = IsolationForest(n_estimators=TREES, max_samples=min(SAMPLES, count), random_state=SEED).fit(seen(features))
    forest = fit_forest(features)
    for rings in (features, others):
        np.testing.assert_allclose(forest.anomaly(rings), -model.score_samples(seen(rings)), rtol=0, atol=1e-12)


def test_it_is_the_same_after_a_restart_and_from_the_same_rings() -> None:
    features = some_rings(300)
    forest = fit_forest(features)
    state = forest.to_bytes()
    assert fit_forest(features.copy()).to_bytes() == state
    back = read_forest(state)
    assert back.to_bytes() == state
    assert back.fitted_on == 300
    np.testing.assert_array_equal(back.percentile(features), forest.percentile(features))


def test_percentiles_of_the_fitted_rings_are_even_and_bounded() -> None:
    features = some_rings(400)
    forest = fit_forest(features)
    percentile = forest.percentile(features)
    assert abs(np.median(percentile) - 0.5) < 0.02
    assert percentile.min() >= 0.0
    assert percentile.max() == 1.0
    far = features[:1] * 100.0
    assert forest.percentile(far)[0] == 1.0


def test_rings_that_are_all_alike_are_all_equally_usual() -> None:
    features = np.repeat(some_rings(1), 80, axis=0)
    percentile = fit_forest(features).percentile(features)
    assert np.isfinite(percentile).all()
    assert len(set(percentile.tolist())) == 1


def test_neither_size_nor_labels_are_seen() -> None:
    assert not {"users", "fraud_labels", "legitimate_labels", "chargeback_members"} & set(SEEN)
    features = some_rings(100)
    forest = fit_forest(features)
    changed = features.copy()
    for name in ("fraud_labels", "legitimate_labels", "chargeback_members", "chargebacks_per_user"):
        changed[:, FEATURE_INDEX[name]] = 1.0
    np.testing.assert_array_equal(forest.anomaly(changed), forest.anomaly(features))


@pytest.mark.parametrize("state", [b"\x80\x04", b"{}", msgspec.msgpack.encode(["a pickle", ()])])
def test_another_state_is_refused(state: bytes) -> None:
    with pytest.raises(ConfigurationError):
        read_forest(state)


def test_a_state_over_other_features_is_refused_by_name() -> None:
    stored = msgspec.msgpack.decode(fit_forest(some_rings(64)).to_bytes())
    stored[1] = stored[1][:-1]
    with pytest.raises(ConfigurationError, match=f"{len(SEEN) - 1} features"):
        read_forest(msgspec.msgpack.encode(stored))


@pytest.mark.parametrize("column", ["roots", "feature", "left", "right", "threshold"])
def test_a_damaged_forest_is_refused_before_it_is_walked(column: str) -> None:
    forest = fit_forest(some_rings(64))
    wrong = getattr(forest, column).copy()
    wrong = wrong[:-1] if column == "threshold" else np.where(wrong >= 0, wrong + 10_000_000, wrong)
    with pytest.raises(ConfigurationError, match="damaged"):
        read_forest(replace(forest, **{column: wrong}).to_bytes())


def test_a_forest_that_walks_in_circles_is_refused() -> None:
    forest = fit_forest(some_rings(64))
    with pytest.raises(ConfigurationError, match="damaged"):
        read_forest(replace(forest, left=np.zeros_like(forest.left)).to_bytes())
