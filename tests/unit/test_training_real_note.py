"""The note on real data: figures per origin, paired differences, words that follow the intervals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.real import ecom, p2p
from training.real.judged import AVERAGE_PRECISION, LIFT, Judged, figures, mean_of
from training.real.note import Results, document

ECOM = Path(__file__).parents[2].parent / "shared" / "data" / "ecom" / "fraud_data_prefix.csv"
P2P_MODELS = (p2p.PRIOR, p2p.STRUCTURAL, *p2p.TREES, p2p.TREES_D, p2p.NETWORK)
SHOP_MODELS = (ecom.PRIOR, ecom.PROFILE, *ecom.TREES, ecom.NETWORK)


def judged(name: str, models: tuple[str, ...], *, good: str = "", size: int = 400) -> Judged:
    rng = np.random.default_rng(len(name))
    truth = rng.random(size) < 0.05
    said = {model: np.zeros(size) if model == p2p.PRIOR else rng.normal(size=size) for model in models}
    if good:
        said[good] = said[good] + 5.0 * truth
    return Judged(name, said, truth, np.arange(size))


def test_a_prior_has_the_base_rate_and_no_lift() -> None:
    found = figures(one := judged("2018-01-01", P2P_MODELS))
    assert found[AVERAGE_PRECISION, p2p.PRIOR].value == pytest.approx(one.truth.mean())
    assert found[LIFT, p2p.PRIOR].value == pytest.approx(1.0)


def test_the_mean_of_moments_keeps_differences_paired() -> None:
    graph = list(p2p.TREES)[-1]
    parts = [figures(judged(name, P2P_MODELS, good=graph)) for name in ("a", "bb")]
    found = mean_of(parts)
    one, other = (part[AVERAGE_PRECISION, graph].value for part in parts)
    assert found[AVERAGE_PRECISION, graph].value == pytest.approx((one + other) / 2)
    assert found[LIFT, p2p.PRIOR].value == pytest.approx(1.0)
    gain = found[AVERAGE_PRECISION, graph].over(found[AVERAGE_PRECISION, p2p.PRIOR])
    assert 0 < gain.low <= gain.value <= gain.high


def test_the_words_follow_the_intervals() -> None:
    graph = list(p2p.TREES)[-1]
    results = Results(
        seed=1,
        epochs=1,
        origins=[judged(name, P2P_MODELS, good=graph) for name in ("2017-10-01", "2018-01-01")],
        learnt=dict.fromkeys(("2017-10-01", "2018-01-01"), (1000, 10)),
        circular=(judged("circular target", ("trees",)), judged("reported", ("trees",))),
        shop=(judged("temporal", SHOP_MODELS), judged("random", SHOP_MODELS[1:4])),
    )
    text = document(results)
    assert "more than chance would give" in text
    assert f"Best by mean average precision: {graph}" in text
    for title in (
        "### 2017-10-01",
        "### Mean of the origins",
        "a circular target",
        "split at random",
        "What this cannot show",
    ):
        assert title in text
    assert "nan" not in text


@pytest.mark.real_data
@pytest.mark.skipif(not ECOM.is_file(), reason="the real data is not there (../shared/data)")
def test_the_later_third_of_the_shop_is_after_its_farms() -> None:
    purchases = ecom.load(ECOM)
    assert len(purchases.users) == 51_689
    assert purchases.fraud.mean() == pytest.approx(0.0935, abs=0.0001)
    assert (np.diff(purchases.bought_ms) >= 0).all()
    assert purchases.fraud[purchases.first_test :].mean() == pytest.approx(0.044, abs=0.001)
