"""Bundles of random numbers, for tests and benchmarks of whatever serves one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fraudgraph.durations import DAY_MS
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.scoring.bundle import Bundle
from fraudgraph.scoring.event_columns import EVENT_COLUMNS_HASH
from fraudgraph.scoring.event_head import head_columns
from fraudgraph.scoring.gnn.features import FEATURES, FEATURES_HASH, network_schema
from fraudgraph.scoring.gnn.model import NetworkWeights
from fraudgraph.scoring.manifest import EventNote, Manifest, TrainingNote, TreesNote
from fraudgraph.scoring.ring_head import RingHead
from fraudgraph.scoring.trees import BoostedTrees, xgboost_module
from fraudgraph.scoring.trees_columns import COLUMNS_HASH, FeatureSet, names_of
from fraudgraph.scoring.trees_embedding import embedding_names
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


def random_trees(columns: tuple[str, ...], seed: int, rounds: int = 30) -> BoostedTrees:
    """Returns trees that ask many columns for small whole numbers, and say nothing true."""
    rng = np.random.default_rng(seed)
    rows = (2.0 ** rng.uniform(-4, 4, (800, len(columns)))).astype(np.float32)
    truth = np.log(rows) @ rng.normal(size=len(columns)) > 0
    xgboost = xgboost_module()
    data = xgboost.DMatrix(rows, truth, feature_names=list(columns), nthread=1)
    parameters: dict[str, Any] = {"objective": "binary:logistic", "max_depth": 5, "eta": 0.3, "nthread": 1}
    booster = xgboost.train({**parameters, "colsample_bynode": 0.3, "seed": seed}, data, num_boost_round=rounds)
    return BoostedTrees(bytes(booster.save_raw(raw_format="ubj")), columns)


def random_trees_bundle(
    policy: LinkPolicy, seed: int, *, features: FeatureSet = "c", name: str = "trees-1", width: int = 8
) -> Bundle:
    """Returns a bundle of trees; those on (d) read the network of `random_bundle`."""
    network = random_bundle(policy, seed, name=name, width=width)
    of_network = embedding_names(width) if features == "d" else ()
    columns = (*names_of(features), *of_network)
    manifest = replace(
        network.manifest,
        kind="trees",
        schema=network.manifest.schema if features == "d" else None,
        trees=TreesNote(features, columns, COLUMNS_HASH, 30),
    )
    return Bundle(manifest, network.network if features == "d" else None, random_trees(columns, seed))


def with_event_head(bundle: Bundle, seed: int) -> Bundle:
    """Returns a bundle that also says something of orders."""
    columns = head_columns(bundle.manifest.schema)
    note = EventNote(columns, EVENT_COLUMNS_HASH, 30, PlattLine(0.7, -0.2), "nothing", 0, 0, 0)
    return replace(bundle, manifest=replace(bundle.manifest, event_head=note), event_trees=random_trees(columns, seed))
