"""For comparison only: the payment platform under a target that is derived from the graph that also makes the features.

Neo4j's demo on this data (github.com/neo4j-product-examples/demo-fraud-detection-with-p2p) calls everybody fraud whose
community, over shared cards and devices, holds one reported account, gives a forest the community's size and degrees,
and splits at random. Here is that target on this extract, with communities over transfers between accounts that share a
card or a device. Nothing was known before anything: it says how good a figure can look, and nothing about fraud.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fraudgraph.events.kinds import EntityKind
from fraudgraph.graph.types import F64, I32, Bool
from fraudgraph.scoring.gnn.model import F32
from fraudgraph.scoring.trees_columns import names_of
from training.gnn.dataset import Slice
from training.real.judged import Judged
from training.splits import components

TEST_SHARE = 0.3
CIRCULAR, HONEST = "circular target", "reported accounts alone"


@dataclass(frozen=True, slots=True)
class Communities:
    """`u` accounts: community, its size, and whether somebody in it was ever reported."""

    community: I32
    size: F64
    bad: Bool


def communities(piece: Slice, reported: Bool) -> Communities:
    """Returns the communities of a slice over transfers between accounts that share a card or a device.

    Args:
        reported: `[u]` accounts with a chargeback.
    """
    graph, users = piece.graph, len(piece.users)
    row = np.full(len(graph.kind), -1, np.int64)
    row[2 * piece.users] = np.arange(users)
    own: list[set[int]] = [set() for _ in range(users)]
    for a, b in zip(graph.a.tolist(), graph.b.tolist(), strict=True):
        if graph.kind[b] in (EntityKind.CARD, EntityKind.DEVICE):
            own[row[a]].add(b)
    pays = np.flatnonzero(graph.kind[graph.b] == EntityKind.USER)
    pairs = [(int(row[graph.a[at]]), int(row[graph.b[at]])) for at in pays.tolist()]
    close = np.array([pair for pair in pairs if own[pair[0]] & own[pair[1]]], np.int32).reshape(-1, 2)
    community = components(users, close[:, 0], close[:, 1])
    bad = np.bincount(community[reported], minlength=int(community.max()) + 1) > 0
    return Communities(community, np.bincount(community)[community].astype(np.float64), bad[community])


def judge(piece: Slice, reported: Bool, seed: int) -> tuple[Judged, Judged]:
    """Returns what a tree says of a random 30 % of all accounts: under the circular target, and of those reported.

    Args:
        piece: the platform at the end of its data.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    found = communities(piece, reported)
    columns: F32 = np.column_stack((piece.columns[:, : len(names_of("b"))], found.size, found.size > 1))
    test = np.random.default_rng([seed, 0xC1]).random(len(columns)) < TEST_SHARE
    out = []
    for name, truth in ((CIRCULAR, found.bad), (HONEST, reported)):
        model = HistGradientBoostingClassifier(max_iter=100, max_leaf_nodes=15, random_state=seed)
        model.fit(columns[~test], truth[~test])
        said = np.asarray(model.decision_function(columns[test]), np.float64)
        out.append(Judged(name, {"trees": said}, truth[test], found.community[test].astype(np.int64)))
    return out[0], out[1]
