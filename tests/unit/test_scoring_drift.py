"""What has moved is found, what has not is left alone, and chance is not taken for drift."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from fraudgraph.errors import ConfigurationError
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.rings.features import RING_FEATURES
from fraudgraph.scoring.bundle import read_manifest
from fraudgraph.scoring.drift import (
    KINDS,
    DriftReport,
    DriftRules,
    Kind,
    Outcome,
    Sample,
    compare,
    distance,
    make_reference,
    months,
    read_reference,
    stability,
    write_reference,
)
from fraudgraph.scoring.library import SHIPPED

RULES = DriftRules()
NOON_MS = 1_772_366_400_000  # 2026-03-01 12:00 UTC


def sample(**columns: tuple[Kind, np.ndarray]) -> Sample:
    return Sample({name: (kind, np.asarray(values, np.float64)) for name, (kind, values) in columns.items()})


def report(before: Sample, after: Sample) -> DriftReport:
    reference = make_reference(before, model="m", digest="", policy_hash="p", source="a test", until_ms=0)
    return compare(after, reference, RULES, model="m")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["normal", "counts", "zeros"]), st.integers(120, 3000))
def test_two_samples_of_one_distribution_have_not_drifted(seed: int, what: str, n: int) -> None:
    rng = np.random.default_rng(seed)

    def draw(size: int) -> np.ndarray:
        if what == "normal":
            return rng.normal(size=size)
        return rng.poisson(3.0, size).astype(float) if what == "counts" else (rng.random(size) < 0.05).astype(float)

    (series,) = report(sample(x=("features", draw(2000))), sample(x=("features", draw(n)))).series
    assert not series.over, series


@pytest.mark.parametrize("moved", [0.7, -0.7])
def test_a_shift_by_most_of_a_standard_deviation_is_drift(moved: float) -> None:
    rng = np.random.default_rng(1)
    before = sample(x=("scores", rng.normal(size=2000)), y=("graph", rng.poisson(2.0, 2000)))
    after = sample(x=("scores", rng.normal(moved, size=600)), y=("graph", rng.poisson(2.0, 600)))
    found = {each.name: each for each in report(before, after).series}
    assert found["x"].over
    assert not found["y"].over
    whole = report(before, after)
    assert whole.over
    assert whole.largest("scores")[0] == found["x"].psi > 0.25
    assert whole.largest("scores")[2] == 1
    assert whole.largest("features") == (0.0, 0.0, 0)


def test_a_share_that_grew_is_drift_though_most_values_are_zero() -> None:
    rng = np.random.default_rng(2)
    before = sample(hubs=("graph", rng.random(3000) < 0.12))
    after = sample(hubs=("graph", rng.random(3000) < 0.45))
    assert report(before, after).over


def test_what_was_always_the_same_and_is_another_now_is_drift() -> None:
    before, after = sample(x=("graph", np.full(500, 4.0))), sample(x=("graph", np.full(200, 3.0)))
    assert report(before, after).over
    assert not report(before, before).over


def test_few_values_are_not_judged_and_a_number_that_is_gone_is_seen_as_few() -> None:
    before = sample(x=("features", np.arange(500.0)), y=("features", np.arange(500.0)))
    series = report(before, sample(x=("features", np.arange(20.0)))).series
    assert [(each.name, each.n, each.psi, each.over) for each in series] == [
        ("x", 20, None, False),
        ("y", 0, None, False),
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-5, 5), min_size=20, max_size=200).map(np.array),
    st.lists(st.floats(-5, 5), min_size=20, max_size=200).map(np.array),
)
def test_the_measures_are_what_they_are_called(a: np.ndarray, b: np.ndarray) -> None:
    psi, bins = stability(a, b)
    assert psi >= 0.0
    assert 1 <= bins <= 15
    assert stability(a, a)[0] == pytest.approx(0.0, abs=1e-12)
    assert distance(a, b) == pytest.approx(ks_2samp(a, b, method="asymp").statistic)


def test_months_are_judged_by_what_turned_out() -> None:
    day_ms = 86_400_000
    march = [Outcome(NOON_MS + n * 1000, 0.8, n % 5 != 0) for n in range(60)]
    april = [Outcome(NOON_MS + 40 * day_ms, 0.8, n % 3 == 0) for n in range(60)]
    may = [Outcome(NOON_MS + 70 * day_ms, 0.8, False) for n in range(5)]
    found = months([*april, *may, *march], RULES)
    assert [(month.month, month.verdicts, month.over) for month in found] == [
        ("2026-03", 60, False),
        ("2026-04", 60, True),
    ]
    assert (round(found[0].predicted, 6), round(found[0].observed, 6)) == (0.8, 0.8)


def test_a_reference_comes_back_as_it_was_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    made = make_reference(
        sample(x=("features", np.arange(300.0))), model="m", digest="d", policy_hash="p", source="a test", until_ms=5
    )
    own, shipped = tmp_path / "own", tmp_path / "shipped"
    assert read_reference([own, shipped]) is None
    write_reference(made, shipped)
    assert read_reference([own, shipped]) == made
    (shipped / "drift.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="is no reference"):
        read_reference([own, shipped])


@pytest.mark.parametrize("name", ["default", "structural"])
def test_the_shipped_references_fit_what_ships(name: str) -> None:
    reference = read_reference([SHIPPED / name])
    assert reference is not None
    assert reference.digest == ("" if name == "structural" else read_manifest(SHIPPED / name).digest)
    assert reference.policy_hash == LinkPolicy().hash
    kinds = {kind: {each for each, series in reference.series.items() if series.kind == kind} for kind in KINDS}
    assert kinds["features"] == set(RING_FEATURES), "make it again: python -m training.drift_reference"
    assert kinds["scores"] == {"ring_log_odds"} | ({"account_log_odds"} if name == "default" else set())
    assert {"links_on_hubs", "accounts_per_device", "accounts_per_group"} <= kinds["graph"]
