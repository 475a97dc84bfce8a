"""Bundles made up for tests: right in form, trained on nothing."""

from __future__ import annotations

from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.scoring.bundle import Bundle
from fraudgraph.scoring.gnn.model import NetworkSchema, NetworkWeights, shop_schema
from fraudgraph.scoring.manifest import Manifest, Metric, TrainingNote
from fraudgraph.scoring.ring_head import RingHead
from fraudgraph.scoring.user_calibration import PlattLine, UserCalibration

KINDS = ("user", "device", "ip", "card", "email", "phone", "address")


def small_schema(width: int = 4, layers: int = 2) -> NetworkSchema:
    """Returns a shop's schema with two bands of every kind."""
    return shop_schema(dict.fromkeys(KINDS, (2, 3)), layers=layers, width=width, half_life_ms=86_400_000)


def made_up(
    schema: NetworkSchema | None = None,
    *,
    name: str = "made-up",
    seed: int = 0,
    features_hash: str = "0123456789abcdef",
    calibration: UserCalibration | None = None,
    metrics: tuple[Metric, ...] = (),
) -> Bundle:
    """Returns a bundle with random weights."""
    schema = schema or small_schema()
    return Bundle(
        Manifest(
            name=name,
            schema=schema,
            features={kind.name: tuple(f"band{i}" for i in range(len(kind.bands))) for kind in schema.kinds},
            features_hash=features_hash,
            policy_hash=LinkPolicy().hash,
            policy_version=LinkPolicy().version,
            calibration=calibration or PlattLine(slope=1.0, intercept=-3.0),
            ring_head=RingHead(intercept=0.1, structural=0.9, summaries=(0.1, 0.2)),
            training=TrainingNote(
                data="nothing",
                data_hash="none",
                cut_ms=1_767_225_600_000,
                seeds={"fit": (1, 2, 3), "network": (7,)},
                settings={"epochs": 1, "rate": 0.01},
                users=0,
                positives=0,
                caution=("It knows nothing.",),
            ),
            code_version="0",
            metrics=metrics,
        ),
        NetworkWeights.random(schema, seed),
    )
