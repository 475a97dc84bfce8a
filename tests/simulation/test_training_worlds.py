"""Candidates of a simulated world come with their truth, and rings of an unseen world score above the others."""

from __future__ import annotations

import numpy as np
import pytest

from fraudgraph.rings.features import FEATURE_INDEX
from fraudgraph.scoring.structural import StructuralScorer
from fraudgraph.simulate.spec import TYPOLOGIES, WorldSpec
from training.reliability import average_precision
from training.worlds import Labelled, labelled_candidates

SPEC = WorldSpec(seed=31, users=4_000, days=45, ring_share=0.02)


@pytest.fixture(scope="module")
def labelled() -> Labelled:
    return labelled_candidates(SPEC, StructuralScorer(), 7)


def test_rings_of_an_unseen_world_come_first(labelled: Labelled) -> None:
    said = StructuralScorer().score(labelled.features).probability
    assert labelled.is_ring.mean() < 0.15, "most candidates are honest groups"
    assert average_precision(said, labelled.is_ring) > 4.0 * labelled.is_ring.mean()
    assert np.median(said[labelled.is_ring]) > 5.0 * np.median(said[~labelled.is_ring])


def test_the_truth_is_that_of_the_world(labelled: Labelled) -> None:
    assert set(labelled.typology[labelled.is_ring]) <= set(TYPOLOGIES)
    assert set(labelled.typology[~labelled.is_ring]) == {""}
    assert set(labelled.world.tolist()) == {7}
    assert labelled.features[:, FEATURE_INDEX["fraud_labels"]].any(), "analysts' labels arrive in the stream"


def test_a_thin_stream_has_devices_and_orders_and_nothing_else() -> None:
    thin = labelled_candidates(SPEC, StructuralScorer(), 0, thin=True)
    assert len(thin)
    for name in (
        "shared_cards",
        "shared_phones",
        "logins_per_user",
        "fraud_labels",
        "chargeback_members",
        "declined_ratio",
    ):
        assert not thin.features[:, FEATURE_INDEX[name]].any()
    assert thin.features[:, FEATURE_INDEX["shared_devices"]].any()
    assert thin.features[:, FEATURE_INDEX["orders_per_user"]].any()
