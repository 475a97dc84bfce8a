"""Gradient boosting over accounts (XGBoost, Chen and Guestrin, KDD 2016), on four sets of columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from fraudgraph.errors import ConfigurationError, UsageError
from fraudgraph.graph.types import F64, Bool
from fraudgraph.scoring.gnn.model import F32, NetworkWeights
from fraudgraph.scoring.trees import BoostedTrees, xgboost_module
from fraudgraph.scoring.trees_columns import FeatureSet, names_of
from fraudgraph.scoring.trees_embedding import embedding_columns, embedding_names
from fraudgraph.scoring.trees_kernels import HALF_LIFE_MS
from training.labels import POSITIVE, UNKNOWN

if TYPE_CHECKING:
    from training.gnn.dataset import Slice

_LOOK_EVERY = 10
"""Trees between two looks at the stopping slices."""


class TreeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How trees are grown; `configs/training/trees.toml` explains each.

    Attributes:
        features: the set of columns (`scoring.trees_columns`).
        network: folder of the bundle whose embeddings (d) reads.
        rounds: trees at most; fewer where the stopping slices say so.
        child_weight: least sum of p (1 - p) in a leaf.
        positive_share: of the loss that the positives make up.
    """

    features: FeatureSet = "c"
    network: str = ""
    rounds: Annotated[int, Meta(ge=1)] = 200
    rate: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.06
    leaves: Annotated[int, Meta(ge=2)] = 15
    child_weight: Annotated[float, Meta(ge=0.0)] = 5.0
    l2: Annotated[float, Meta(ge=0.0)] = 1.0
    positive_share: Annotated[float, Meta(gt=0.0, lt=1.0)] = 0.2
    seed: int = 1


class TreeModel:
    """Trees over a slice's accounts.

    Args:
        features: the set of columns.
        half_life_ms: None, or that of the columns: they are read with the slice, under the one half-life that serves.
        weights: of the network whose embeddings (d) reads.

    Raises:
        ConfigurationError: another half-life, or (d) without a network.
    """

    def __init__(
        self,
        features: FeatureSet,
        *,
        half_life_ms: int | None = HALF_LIFE_MS,
        seed: int = 1,
        weights: NetworkWeights | None = None,
        settings: TreeSettings | None = None,
    ) -> None:
        if half_life_ms not in (None, HALF_LIFE_MS):
            raise ConfigurationError(
                f"a half-life of {half_life_ms:,} ms, and the trees' columns have {HALF_LIFE_MS:,} ms",
                do="Leave it out: it is part of what the columns mean.",
            )
        if (features == "d") != (weights is not None):
            raise ConfigurationError(
                f"trees on the set ({features}) {'need a' if features == 'd' else 'read no'} network",
                do="Give weights with d, and with d only.",
            )
        self.settings = msgspec.structs.replace(settings or TreeSettings(seed=seed), features=features)
        self.weights = weights
        self.rounds = 0
        self.trees: BoostedTrees | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The columns, in order."""
        of_network = () if self.weights is None else embedding_names(self.weights.schema.width)
        return (*names_of(self.settings.features), *of_network)

    def fit(self, slices: Sequence[Slice], positive_share: float, stop: Sequence[Slice] = ()) -> TreeModel:
        """Fits on the accounts that teach, and keeps as many trees as lose least on the stopping slices.

        Raises:
            UsageError: there are no positives to learn from, or nothing else.
        """
        rows, truth, weight = self._examples(slices)
        later = self._examples(stop) if stop else None
        booster, self.rounds = grow(rows, truth, weight, later, self.names, self.settings, positive_share)
        self.trees = BoostedTrees(booster, self.names)
        return self

    def columns(self, piece: Slice) -> tuple[F32, F32]:
        """Returns the columns of a slice's accounts `[u, k]`, and of its rings' members as read there `[m, k]`."""
        width = len(names_of(self.settings.features))
        users, members = piece.columns[:, :width], piece.rings.columns[:, :width]
        if self.weights is None:
            return users, members
        of_users, of_members = self._embeddings(piece)
        return np.hstack((users, of_users)), np.hstack((members, of_members))

    def logits(self, piece: Slice) -> tuple[F64, F64]:
        """Returns logits as `training.gnn.train.user_logits` does.

        Raises:
            UsageError: nothing was fitted.
        """
        if self.trees is None:
            raise UsageError("the trees were not fitted", do="Call fit first.")
        users, members = self.columns(piece)
        return self.trees.logits(users), self.trees.logits(members)

    def _examples(self, slices: Sequence[Slice]) -> tuple[F32, Bool, F64]:
        rows, truth, weight = [], [], []
        for piece in slices:
            assert piece.targets is not None
            teaches = piece.targets.target != UNKNOWN
            rows.append(self.columns(piece)[0][teaches])
            truth.append(piece.targets.target[teaches] == POSITIVE)
            weight.append(piece.targets.weight[teaches])
        return np.vstack(rows), np.concatenate(truth), np.concatenate(weight)

    def _embeddings(self, piece: Slice) -> tuple[F32, F32]:
        """Returns what the network adds, to accounts and to members."""
        from training.gnn.network import TypedSage
        from training.gnn.train import embeddings_and_logits

        assert self.weights is not None
        h, users, members = embeddings_and_logits(TypedSage(self.weights.schema).load(self.weights), piece)
        return embedding_columns(h, users), embedding_columns(h[piece.rings.member], members)


def grow(
    rows: F32,
    truth: Bool,
    weight: F64,
    later: tuple[F32, Bool, F64] | None,
    names: Sequence[str],
    settings: TreeSettings,
    positive_share: float,
) -> tuple[bytes, int]:
    """Returns trees as XGBoost writes them, and how many.

    Args:
        rows: `[n, k]`; truth: `[n]`; weight: `[n]`.
        later: rows, truth and weight by which the number of trees is chosen; all are kept where None.

    Raises:
        UsageError: there are no positives to learn from, or nothing else.
    """
    positive, negative = float(weight[truth].sum()), float(weight[~truth].sum())
    if not positive or not negative:
        raise UsageError(
            f"there are positives of weight {positive:.0f} and negatives of weight {negative:.0f} to learn from",
            do="Give a longer stream, or more labels in it.",
        )
    scale = positive_share / (1.0 - positive_share) * negative / positive
    xgboost = xgboost_module()
    data = xgboost.DMatrix(
        rows, truth, weight=np.where(truth, scale, 1.0) * weight, feature_names=list(names), nthread=1
    )
    parameters: dict[str, Any] = {
        "objective": "binary:logistic",
        "tree_method": "hist",
        "grow_policy": "lossguide",
        "max_depth": 0,
        "max_leaves": settings.leaves,
        "eta": settings.rate,
        "min_child_weight": settings.child_weight,
        "lambda": settings.l2,
        "seed": settings.seed,
        "nthread": 1,
    }
    booster = xgboost.train(parameters, data, num_boost_round=settings.rounds)
    rounds = settings.rounds if later is None else _best(booster, settings.rounds, later, positive_share)
    return bytes(booster[:rounds].save_raw(raw_format="ubj")), rounds


def _best(booster: Any, rounds: int, later: tuple[F32, Bool, F64], positive_share: float) -> int:
    """Returns after how many trees the loss is least, positives having the same share of it as in training."""
    rows, truth, weight = later
    positive, negative = float(weight[truth].sum()), float(weight[~truth].sum())
    if not positive or not negative:
        return rounds
    heavy = np.where(truth, positive_share / positive, (1.0 - positive_share) / negative) * weight
    looks = sorted({*range(_LOOK_EVERY, rounds + 1, _LOOK_EVERY), rounds})
    losses = []
    for look in looks:
        said = booster.inplace_predict(
            rows, predict_type="margin", iteration_range=(0, look), validate_features=False
        ).astype(np.float64)
        losses.append(float(heavy @ (np.logaddexp(0.0, said) - truth * said)))
    best: int = looks[int(np.argmin(losses))]
    return best
