"""The rival that a network has to beat: gradient boosting on the same features and on neighbours' (GADBench 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fraudgraph.events.kinds import EntityKind
from fraudgraph.graph.types import F64
from training.gnn.dataset import Slice
from training.labels import POSITIVE, UNKNOWN


def tree_columns(piece: Slice, half_life_ms: int | None) -> tuple[F64, F64]:
    """Returns columns of a slice's accounts as of the cut `[u, k]`, and of its rings' members as read there `[m, k]`.

    Own features, the mean of each over the accounts with which identifiers are shared (weighted as the network weighs
    links), how many users the most shared identifier of each kind has, and the head's features.
    """
    from scipy.sparse import csr_array, diags_array

    graph, users = piece.graph, len(piece.users)
    _, a, b, weight = graph.messages(half_life_ms)
    row = np.full(len(graph.kind), -1, np.int64)
    row[2 * piece.users] = np.arange(users)
    own = graph.bands[2 * piece.users].astype(np.float64)
    hops = graph.kind[b] > 0  # to an identifier; the others are links between users
    links = csr_array((weight[hops], (row[a[hops]], b[hops])), shape=(users, len(graph.kind)))
    onward = diags_array(1.0 / np.maximum(links.sum(axis=0), 1e-12)) @ links.T
    first = diags_array(1.0 / np.maximum(links.sum(axis=1), 1e-12)) @ links
    near = first @ (onward @ own)
    shared = np.zeros((users, len(EntityKind)))
    np.maximum.at(shared, (row[a[hops]], graph.kind[b[hops]]), graph.bands[b[hops], 0] + 1.0)
    met = csr_array((np.ones((~hops).sum()), (row[a[~hops]], row[b[~hops]])), shape=(users, users))
    met = met + met.T
    paid = diags_array(1.0 / np.maximum(met.sum(axis=1), 1e-12)) @ met @ own
    columns = np.hstack((own, near, shared[:, 1:], paid, np.asarray(met.sum(axis=1))[:, None]))
    head = np.asarray(piece.head, np.float64)
    members = piece.rings.member
    return np.hstack((columns, head)), np.hstack((columns[members], piece.rings.head))


class Trees:
    """Gradient boosting over accounts, behind the same calibration and ring head as the network."""

    def __init__(self, half_life_ms: int | None, seed: int = 1) -> None:
        from sklearn.ensemble import HistGradientBoostingClassifier

        self._half_life_ms = half_life_ms
        self._model: Any = HistGradientBoostingClassifier(
            learning_rate=0.06, max_iter=200, max_leaf_nodes=15, min_samples_leaf=30, random_state=seed
        )

    def fit(self, slices: Sequence[Slice], positive_share: float) -> Trees:
        """Fits on the accounts that teach, positives weighted as for the network."""
        x, y, w = [], [], []
        for piece in slices:
            assert piece.targets is not None
            teaches = piece.targets.target != UNKNOWN
            x.append(tree_columns(piece, self._half_life_ms)[0][teaches])
            y.append(piece.targets.target[teaches] == POSITIVE)
            w.append(piece.targets.weight[teaches])
        truth, weight = np.concatenate(y), np.concatenate(w)
        scale = positive_share / (1 - positive_share) * weight[~truth].sum() / weight[truth].sum()
        self._model.fit(np.vstack(x), truth, sample_weight=np.where(truth, scale, 1.0) * weight)
        return self

    def logits(self, piece: Slice) -> tuple[F64, F64]:
        """Returns logits as `training.gnn.train.user_logits` does."""
        users, members = tree_columns(piece, self._half_life_ms)
        of_members = self._model.decision_function(members) if len(members) else np.empty(0)
        return self._model.decision_function(users), of_members
