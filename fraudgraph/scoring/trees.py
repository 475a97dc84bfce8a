"""Gradient boosting as a file of XGBoost's own: read, checked, and asked for log-odds. Nothing is ever unpickled."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from fraudgraph.errors import ConfigurationError, DependencyError
from fraudgraph.graph.types import F64
from fraudgraph.scoring.gnn.model import F32

_KNOWN_OBJECTIVE = "binary:logistic"


class BoostedTrees:
    """Trees over named columns, on one core; the same for a row whatever stands beside it.

    Args:
        data: as of XGBoost's UBJSON or JSON.
        columns: that the trees must have been fitted on, in order.

    Raises:
        ConfigurationError: the data is no such model, or one over other columns.
        DependencyError: XGBoost is not installed.
    """

    def __init__(self, data: bytes, columns: Sequence[str]) -> None:
        xgboost = xgboost_module()
        self.data = data
        self.columns = tuple(columns)
        booster = xgboost.Booster({"nthread": 1})
        try:
            booster.load_model(bytearray(data))
        except xgboost.core.XGBoostError as error:
            raise ConfigurationError(
                "the file of trees holds no model of XGBoost", do="Copy the bundle again, or train it again."
            ) from error
        objective = _objective(booster)
        if objective != _KNOWN_OBJECTIVE or tuple(booster.feature_names or ()) != self.columns:
            raise ConfigurationError(
                f"the trees are of objective {objective!r} over {booster.num_features()} columns, the bundle names"
                f" {len(self.columns)}",
                do="Train the bundle again with this version: fraudgraph train.",
            )
        self._booster: Any = booster
        self._matrix: Any = xgboost.DMatrix
        if not np.isfinite(self.logits(np.zeros((1, len(self.columns)), np.float32))).all():
            raise ConfigurationError("the trees say what is not finite", do="Train the bundle again.")

    def logits(self, rows: F32) -> F64:
        """Returns log-odds `[n]` of rows `[n, columns]`, not calibrated."""
        if not len(rows):
            return np.empty(0)
        said = self._booster.inplace_predict(np.ascontiguousarray(rows), predict_type="margin", validate_features=False)
        return np.asarray(said, np.float64)

    def contributions(self, rows: F32) -> F64:
        """Returns what each column adds to each row's log-odds, `[n, columns]`: TreeSHAP (Lundberg et al. 2020)."""
        data = self._matrix(rows, feature_names=list(self.columns), nthread=1)
        return np.asarray(self._booster.predict(data, pred_contribs=True)[:, :-1], np.float64)


def xgboost_module() -> Any:
    """Returns XGBoost, imported when it is first needed.

    Raises:
        DependencyError: it is not installed.
    """
    try:
        return import_module("xgboost")
    except ModuleNotFoundError as error:
        raise DependencyError(
            "trees need xgboost, which is not installed", do="pip install 'fraudgraph-rings[trees]'"
        ) from error


def _objective(booster: Any) -> str:
    import msgspec

    config = msgspec.json.decode(booster.save_config())
    return str(config["learner"]["objective"]["name"])
