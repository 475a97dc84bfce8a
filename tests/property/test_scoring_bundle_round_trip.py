"""A bundle that is written and read is the same; one that was touched in between is refused."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudgraph.errors import ConfigurationError
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.scoring.bundle import (
    CARD_FILE,
    MANIFEST_FILE,
    WEIGHTS_FILE,
    Bundle,
    read_bundle,
    read_manifest,
    write_bundle,
)
from fraudgraph.scoring.gnn.model import NetworkWeights
from fraudgraph.scoring.manifest import Metric
from fraudgraph.scoring.user_calibration import IsotonicKnots, PlattLine
from fraudgraph.testing.bundles import random_bundle


def made_up(seed: int = 0, **shape: Any) -> Bundle:
    """Returns a bundle of random numbers."""
    return random_bundle(LinkPolicy(), seed, **shape)


FINITE = st.floats(-1e6, 1e6)
NAMES = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True)
PLATT = st.builds(PlattLine, slope=st.floats(1e-3, 1e3), intercept=FINITE)
KNOTS = st.lists(st.tuples(FINITE, FINITE), min_size=2, max_size=8, unique_by=lambda knot: knot[0]).map(
    lambda knots: IsotonicKnots(logit=tuple(sorted(x for x, _ in knots)), log_odds=tuple(sorted(y for _, y in knots)))
)
METRICS = st.lists(
    st.builds(
        Metric,
        data=st.sampled_from(("simulated", "planted")),
        level=st.sampled_from(("user", "ring")),
        name=st.text(max_size=20),
        model=st.text(max_size=20),
        value=FINITE,
        low=FINITE,
        high=FINITE,
    ),
    max_size=3,
).map(tuple)


@settings(max_examples=25, deadline=None)
@given(
    name=NAMES,
    seed=st.integers(0, 1_000),
    width=st.integers(1, 8),
    layers=st.integers(1, 3),
    calibration=PLATT | KNOTS,
    metrics=METRICS,
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    seed: int,
    width: int,
    layers: int,
    calibration: PlattLine | IsotonicKnots,
    metrics: tuple[Metric, ...],
) -> None:
    folder = tmp_path_factory.mktemp("bundles") / "one"
    drawn = made_up(seed, name=name, width=width, layers=layers)
    bundle = replace(drawn, manifest=replace(drawn.manifest, calibration=calibration, metrics=metrics))
    written = write_bundle(bundle, folder)
    read = read_bundle(folder)
    assert read.manifest == written.manifest == read_manifest(folder)
    assert read.manifest.digest == written.manifest.digest
    for field in fields(NetworkWeights):
        assert np.array_equal(getattr(read.weights, field.name), getattr(bundle.weights, field.name)), field.name
    assert sorted(path.name for path in folder.iterdir()) == sorted((MANIFEST_FILE, WEIGHTS_FILE, CARD_FILE))


def test_same_bundle_gives_the_same_files(tmp_path: Path) -> None:
    write_bundle(made_up(), tmp_path / "one")
    write_bundle(made_up(), tmp_path / "two")
    for name in (MANIFEST_FILE, WEIGHTS_FILE, CARD_FILE):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_bundle_is_replaced_whole_and_nothing_else_is(tmp_path: Path) -> None:
    write_bundle(made_up(seed=1), tmp_path / "one")
    write_bundle(made_up(seed=2), tmp_path / "one")
    assert np.array_equal(read_bundle(tmp_path / "one").weights.encoder, made_up(seed=2).weights.encoder)
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigurationError, match="is no bundle"):
        write_bundle(made_up(), tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").exists()


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: _flip(folder / WEIGHTS_FILE, -1), "is not the file"),
        (lambda folder: (folder / WEIGHTS_FILE).write_bytes((folder / WEIGHTS_FILE).read_bytes()[:100]), "is not"),
        (lambda folder: (folder / WEIGHTS_FILE).unlink(), "cannot be read"),
        (lambda folder: (folder / MANIFEST_FILE).unlink(), "holds no bundle"),
        (lambda folder: (folder / MANIFEST_FILE).write_text('{"name": "one"}'), "cannot be read"),
        (lambda folder: (folder / MANIFEST_FILE).write_bytes(b"\xff\xfe"), "cannot be read"),
        (lambda folder: _replace(folder, '"format": 1', '"format": 9'), "of format 9"),
        (lambda folder: _replace(folder, '"width": 8', '"width": 16'), "expected float32"),
        (lambda folder: _replace(folder, '"structural": 0.8', '"structural": 1e999'), "cannot be read|finite"),
        (lambda folder: _replace(folder, "mean_log_odds", "mode_log_odds"), "ring head"),
        (lambda folder: _replace(folder, '"slope": 0.8', '"slope": -0.8'), "slope"),
    ],
)
def test_a_damaged_bundle_is_refused(tmp_path: Path, damage: object, says: str) -> None:
    write_bundle(made_up(), tmp_path / "one")
    damage(tmp_path / "one")  # type: ignore[operator]  # a lambda of the table above
    with pytest.raises(ConfigurationError, match=says):
        read_bundle(tmp_path / "one")


def _replace(folder: Path, old: str, new: str) -> None:
    text = (folder / MANIFEST_FILE).read_text()
    assert old in text
    (folder / MANIFEST_FILE).write_text(text.replace(old, new))


def test_weights_that_are_no_numbers_are_refused() -> None:
    bundle = made_up()
    encoder = bundle.weights.encoder.copy()
    encoder[0, 0] = np.nan
    with pytest.raises(ConfigurationError, match="not finite"):
        Bundle(bundle.manifest, replace(bundle.weights, encoder=encoder))


def test_another_hash_is_refused_with_what_to_do() -> None:
    manifest = made_up().manifest
    manifest.require(features_hash=manifest.features_hash, policy_hash=manifest.policy_hash)
    with pytest.raises(ConfigurationError, match=r"features .* Train it again"):
        manifest.require(features_hash="other", policy_hash=manifest.policy_hash)
    with pytest.raises(ConfigurationError, match=r"link policy .* put back"):
        manifest.require(features_hash=manifest.features_hash, policy_hash="other")
