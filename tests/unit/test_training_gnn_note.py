"""The note on models: the gate says what was measured, and a network that does not win is not the default."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.testing.bundles import random_bundle
from training.evaluate_rings import FULL
from training.gnn.measure import Figure
from training.gnn.models_note import Results, document, gate
from training.gnn.recipe import STRUCTURAL_NAME, Recipe

RNG = np.random.default_rng(0)
WORLDS = 0.5 + 0.2 * RNG.random(10)


def figures(network: float, trees: float) -> list[Figure]:
    """Returns figures of ten worlds: the structural scorer's, and by how much the others are better, with noise."""
    noise = 0.01 * RNG.standard_normal(10)
    by_model = {STRUCTURAL_NAME: WORLDS, "network-1/default": WORLDS + network + noise, "trees": WORLDS + trees - noise}
    return [
        Figure(level, name, model, values)
        for level in ("ring", "user")
        for name in ("average precision", "precision at 10")
        for model, values in by_model.items()
    ]


RESULTS = Results(Recipe(), random_bundle(LinkPolicy(), 1, name="default").manifest, FULL, figures(0.1, 0.05), None)


def test_a_network_that_beats_both_on_both_data_passes() -> None:
    text = document(replace(RESULTS, planted=figures(0.1, 0.05)))
    assert "The gate is passed" in text
    assert "The default stays" not in text


@pytest.mark.parametrize(
    ("simulated", "planted", "says"),
    [
        ((0.1, 0.2), (0.1, 0.2), "simulated, over trees; planted, over trees"),
        ((0.1, 0.05), (0.0, 0.0), "interval are: planted, over structural-1; planted, over trees"),
        ((0.1, 0.05), None, "planted: not measured"),
    ],
)
def test_one_that_does_not_stays_an_option(
    simulated: tuple[float, float], planted: tuple[float, float] | None, says: str
) -> None:
    measured = None if planted is None else figures(*planted)
    text = document(replace(RESULTS, simulated=figures(*simulated), planted=measured))
    words = " ".join(text.split())
    assert f"{says}. The default stays the structural scorer" in words
    assert "gate is passed" not in words


def test_differences_are_of_the_same_worlds() -> None:
    value, low, high = gate(RESULTS)[f"simulated, over {STRUCTURAL_NAME}"]
    assert low < value < high
    assert high - low < 0.02, "what worlds have in common cancels"
    assert value == pytest.approx(0.1, abs=0.01)


def test_every_line_fits() -> None:
    text = document(replace(RESULTS, planted=figures(0.1, 0.05)))
    assert max(len(line) for line in text.splitlines() if not line.startswith("|")) <= 120
