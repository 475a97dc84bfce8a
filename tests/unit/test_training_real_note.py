"""The note on real data: figures per origin, paired differences, words that follow the intervals."""

from __future__ import annotations

import numpy as np
import pytest

from training.real import ecom, p2p
from training.real.judged import AVERAGE_PRECISION, LIFT, Judged, figures, together
from training.real.note import Results, document

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


def test_moments_are_ranked_within_themselves() -> None:
    one, other = (judged(name, ("trees",), good="trees") for name in ("a", "bb"))
    shifted = Judged("bb", {"trees": other.said["trees"] - 100.0}, other.truth, other.unit)
    plain, far = (figures(together("both", [one, each]))[AVERAGE_PRECISION, "trees"].value for each in (other, shifted))
    assert plain == far > 0.8
    assert len(np.unique(together("both", [one, other]).unit)) == 800, "components of two moments are not one"


def test_a_prior_says_nothing_about_which_moment_an_account_is_of() -> None:
    both = together("both", [judged("a", (p2p.PRIOR,), size=300), judged("bb", (p2p.PRIOR,), size=500)])
    assert figures(both)[LIFT, p2p.PRIOR].value == pytest.approx(1.0)


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
    assert f"Best by average precision: {graph}" in text
    for title in ("### 2017-10-01", "### all", "a circular target", "split at random", "What this cannot show"):
        assert title in text
    assert "nan" not in text
