"""Isolation Forest over this shop's own rings, fitted without labels, evaluated from plain arrays."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from fraudgraph.errors import ConfigurationError
from fraudgraph.kernels import njit
from fraudgraph.rings.features import FEATURE_INDEX, RING_FEATURES

F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]

TREES = 64
SAMPLES = 256
"""Rings per tree (Liu, Ting, Zhou, ICDM 2008, section 5: more than 256 seldom helps)."""
SEED = 20080101
QUANTILES = 257

_NAMED = ("fraud_labels", "legitimate_labels", "chargebacks_per_user", "chargeback_members")
_COUNTED = tuple(name for name in RING_FEATURES if name.startswith("shared_"))
_RATED = tuple(name for name in RING_FEATURES if name != "users" and name not in (*_NAMED, *_COUNTED))
SEEN: tuple[str, ...] = (*_RATED, *(f"{name} per user" for name in _COUNTED))
"""What the forest sees: all but what people and banks said, and nothing of the ring's size: the largest groups of a
shop are always its oddest, and some are known to be harmless."""
_RATED_AT = np.array([FEATURE_INDEX[name] for name in _RATED], np.intp)
_COUNTED_AT = np.array([FEATURE_INDEX[name] for name in _COUNTED], np.intp)
_FORMAT = "isolation-forest-1"


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    format: str
    seen: tuple[str, ...]
    fitted_on: int
    samples: int
    roots: bytes
    feature: bytes
    threshold: bytes
    left: bytes
    right: bytes
    path: bytes
    quantiles: bytes


@dataclass(frozen=True, slots=True)
class AnomalyForest:
    """A fitted forest: all trees' `m` nodes in one set of columns.

    Attributes:
        fitted_on: number of rings that it was fitted on.
        samples: rings per tree.
        roots: `[TREES]` first node of each tree.
        feature: `[m]` column of `SEEN` that a node asks; -1 for a leaf.
        threshold: `[m]` not greater goes left.
        left, right: `[m]` nodes.
        path: `[m]` for a leaf, its depth and the mean depth of a tree over the rings in it.
        quantiles: `[QUANTILES]` of the anomaly of the fitted rings, ascending.
    """

    fitted_on: int
    samples: int
    roots: I32
    feature: I32
    threshold: F64
    left: I32
    right: I32
    path: F64
    quantiles: F64

    def anomaly(self, features: F64) -> F64:
        """Returns `[r]` anomaly in (0, 1], higher is more unusual; scikit-learn's `-score_samples`."""
        # scikit-learn's trees were grown on single precision, and compare in it.
        depth = _depths(
            seen(features).astype(np.float32),
            self.roots,
            self.feature,
            self.threshold,
            self.left,
            self.right,
            self.path,
        )
        return np.asarray(np.exp2(-depth / (len(self.roots) * _mean_depth(np.array([self.samples]))[0])))

    def percentile(self, features: F64) -> F64:
        """Returns `[r]` the part of the fitted rings that are less unusual, in [0, 1]."""
        values, last = np.unique(self.quantiles[::-1], return_index=True)
        part = (len(self.quantiles) - 1 - last) / (len(self.quantiles) - 1)
        return np.asarray(np.interp(self.anomaly(features), values, part))

    def to_bytes(self) -> bytes:
        """Returns the forest for the store; the same forest gives the same bytes."""
        return msgspec.msgpack.encode(
            _Stored(
                format=_FORMAT,
                seen=SEEN,
                fitted_on=self.fitted_on,
                samples=self.samples,
                roots=self.roots.astype("<i4").tobytes(),
                feature=self.feature.astype("<i4").tobytes(),
                threshold=self.threshold.astype("<f8").tobytes(),
                left=self.left.astype("<i4").tobytes(),
                right=self.right.astype("<i4").tobytes(),
                path=self.path.astype("<f8").tobytes(),
                quantiles=self.quantiles.astype("<f8").tobytes(),
            )
        )


def read_forest(state: bytes) -> AnomalyForest:
    """Returns a stored forest.

    Raises:
        ConfigurationError: it was not written by this version of this class.
    """
    try:
        stored = msgspec.msgpack.decode(state, type=_Stored)
    except msgspec.DecodeError as error:
        raise ConfigurationError(
            "the stored scorer state is no isolation forest", do="Start with a new store, or restore a backup."
        ) from error
    if stored.format != _FORMAT or stored.seen != SEEN:
        raise ConfigurationError(
            f"the stored isolation forest is of format {stored.format!r} over {len(stored.seen)} features, and this"
            f" version reads {_FORMAT!r} over {len(SEEN)}",
            do="Use the version that wrote the store, or start with a new store.",
        )

    def whole(data: bytes) -> I32:
        return np.frombuffer(data, "<i4").astype(np.int32)

    def real(data: bytes) -> F64:
        return np.frombuffer(data, "<f8").astype(np.float64)

    forest = AnomalyForest(
        fitted_on=stored.fitted_on,
        samples=stored.samples,
        roots=whole(stored.roots),
        feature=whole(stored.feature),
        threshold=real(stored.threshold),
        left=whole(stored.left),
        right=whole(stored.right),
        path=real(stored.path),
        quantiles=real(stored.quantiles),
    )
    if not _is_whole(forest):
        raise ConfigurationError("the stored isolation forest is damaged", do="Restore a backup of the store.")
    return forest


def _is_whole(forest: AnomalyForest) -> bool:
    """Returns whether every walk from a root ends at a leaf; the kernel checks nothing."""
    nodes = len(forest.feature)
    columns = (forest.threshold, forest.left, forest.right, forest.path)
    if any(len(column) != nodes for column in columns) or not len(forest.roots) or not len(forest.quantiles):
        return False
    inner = np.flatnonzero(forest.feature >= 0)
    children = np.concatenate([forest.left[inner], forest.right[inner]])
    return bool(
        (forest.roots >= 0).all()
        and (forest.roots < nodes).all()
        and (forest.feature < len(SEEN)).all()
        and (children > np.concatenate([inner, inner])).all()
        and (children < nodes).all()
    )


def fit_forest(features: F64) -> AnomalyForest:
    """Fits a forest on `[r, len(RING_FEATURES)]` features; the same features give the same forest."""
    from sklearn.ensemble import IsolationForest

    model = IsolationForest(n_estimators=TREES, max_samples=min(SAMPLES, len(features)), random_state=SEED)
    model.fit(seen(features))
    trees = [estimator.tree_ for estimator in model.estimators_]
    roots = np.cumsum([0] + [tree.node_count for tree in trees[:-1]]).astype(np.int32)
    left = np.concatenate([tree.children_left + root for tree, root in zip(trees, roots, strict=True)])
    right = np.concatenate([tree.children_right + root for tree, root in zip(trees, roots, strict=True)])
    is_leaf = np.concatenate([tree.children_left < 0 for tree in trees])
    feature = np.where(is_leaf, -1, np.concatenate([tree.feature for tree in trees]))
    held = np.concatenate([tree.n_node_samples for tree in trees])
    depth = np.zeros(len(held), np.float64)
    for node in np.flatnonzero(~is_leaf).tolist():  # parents come before their children
        depth[left[node]] = depth[right[node]] = depth[node] + 1.0
    forest = AnomalyForest(
        fitted_on=len(features),
        samples=int(model.max_samples_),
        roots=roots,
        feature=feature.astype(np.int32),
        threshold=np.concatenate([tree.threshold for tree in trees]).astype(np.float64),
        left=np.where(is_leaf, -1, left).astype(np.int32),
        right=np.where(is_leaf, -1, right).astype(np.int32),
        path=np.where(is_leaf, depth + _mean_depth(held), 0.0),
        quantiles=np.zeros(QUANTILES),
    )
    forest.quantiles[:] = np.quantile(forest.anomaly(features), np.linspace(0.0, 1.0, QUANTILES))
    return forest


def seen(features: F64) -> F64:
    """Returns `[r, len(SEEN)]` of `[r, len(RING_FEATURES)]` features."""
    users = np.maximum(features[:, FEATURE_INDEX["users"]], 1.0)
    return np.hstack([features[:, _RATED_AT], features[:, _COUNTED_AT] / users[:, None]])


def _mean_depth(samples: npt.NDArray[np.int64]) -> F64:
    """Returns the mean depth of a search in a random tree over so many samples (Liu et al., equation 1)."""
    n = np.maximum(samples, 2).astype(np.float64)
    mean = 2.0 * (np.log(n - 1.0) + np.euler_gamma) - 2.0 * (n - 1.0) / n
    return np.where(samples <= 1, 0.0, np.where(samples == 2, 1.0, mean))


@njit(cache=True)
def _depths(
    seen: npt.NDArray[np.float32], roots: I32, feature: I32, threshold: F64, left: I32, right: I32, path: F64
) -> F64:
    depths = np.zeros(len(seen), np.float64)
    for root in roots:  # a tree at a time: its nodes stay in the processor's cache
        for row in range(len(seen)):
            node = root
            while feature[node] >= 0:
                node = left[node] if seen[row, feature[node]] <= threshold[node] else right[node]
            depths[row] += path[node]
    return depths
