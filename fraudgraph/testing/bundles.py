"""Bundles of random numbers, for tests and benchmarks of whatever serves one."""

from __future__ import annotations

from fraudgraph.durations import DAY_MS
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.scoring.bundle import Bundle
from fraudgraph.scoring.gnn.features import FEATURES, FEATURES_HASH, network_schema
from fraudgraph.scoring.gnn.model import NetworkWeights
from fraudgraph.scoring.manifest import Manifest, TrainingNote
from fraudgraph.scoring.ring_head import RingHead
from fraudgraph.scoring.user_calibration import PlattLine


def random_bundle(
    policy: LinkPolicy,
    seed: int,
    *,
    name: str = "random-1",
    width: int = 8,
    layers: int = 2,
    half_life_days: int = 20,
    features_hash: str = FEATURES_HASH,
) -> Bundle:
    """Returns a bundle whose network says something, and nothing true."""
    schema = network_schema(layers=layers, width=width, half_life_ms=half_life_days * DAY_MS)
    manifest = Manifest(
        name=name,
        schema=schema,
        features={kind: tuple(bands) for kind, bands in FEATURES.items()},
        features_hash=features_hash,
        policy_hash=policy.hash,
        policy_version=policy.version,
        calibration=PlattLine(0.8, -0.3),
        ring_head=RingHead(intercept=0.2, structural=0.8, summaries=(0.5, 0.2)),
        training=TrainingNote("nothing", "0" * 16, 0, {"network": (seed,)}, {}, 0, 0, ("Anything.",)),
        code_version="test",
    )
    return Bundle(manifest, NetworkWeights.random(schema, seed))
