"""Gradient boosting over accounts and events: trained here, served by `fraudgraph.scoring.trees`."""

from __future__ import annotations

from training.trees.models import TreeModel, TreeSettings

__all__ = ["TreeModel", "TreeSettings"]
