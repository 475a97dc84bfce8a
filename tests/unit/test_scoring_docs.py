"""docs/scoring.md names every reason with the weight that the code gives it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from fraudgraph.rings.features import FEATURE_INDEX, RING_FEATURES
from fraudgraph.scoring.evidence import REASONS, EvidenceRules, contributions

DOCS = Path(__file__).parents[2] / "docs" / "scoring.md"
ROW = re.compile(r"^\| ([a-z-]+) \| ([+-]\d\.\d) \|", re.MULTILINE)


def extremes() -> dict[str, float]:
    """Returns the largest part of each reason over rings with features at both ends, one at a time and together."""
    rng = np.random.default_rng(0)
    features = rng.choice([0.0, 0.5, 1.0, 3.0, 9.0], (40_000, len(RING_FEATURES)))
    features[:, FEATURE_INDEX["users"]] = rng.choice([3.0, 4.0, 12.0, 80.0], 40_000)
    found = contributions(features, EvidenceRules())
    best = np.abs(found).argmax(axis=0)
    return dict(zip(REASONS, found[best, np.arange(len(REASONS))].tolist(), strict=True))


def test_every_reason_is_listed_with_its_largest_weight() -> None:
    listed = {name: float(weight) for name, weight in ROW.findall(DOCS.read_text(encoding="utf-8"))}
    assert tuple(listed) == REASONS
    found = extremes()
    assert {name: round(found[name], 1) for name in REASONS} == listed
