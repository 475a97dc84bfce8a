"""Rivals that need no training: against networkx, a direct solution, and examples by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import networkx as nx
import numpy as np
import pytest

from fraudgraph.events.kinds import EntityKind
from fraudgraph.scoring.gnn.features import FEATURE_COLUMNS, HEAD_FEATURES
from fraudgraph.scoring.gnn.feed import NetworkGraph
from training.gnn.dataset import Rings, Slice
from training.labels import NEGATIVE, POSITIVE, UNKNOWN
from training.rivals_anomaly import Autoencoder, IsolationForest, PerStream
from training.rivals_dense import DenseBlocks, blocks, densest
from training.rivals_labels import LabelPropagation, PersonalisedPageRank, adjacency

RNG = np.random.default_rng(4)


@dataclass(frozen=True)
class Small:
    """What the rivals read of a slice."""

    graph: NetworkGraph
    users: np.ndarray
    known: np.ndarray | None
    rings: Rings
    head: np.ndarray
    world: int = 0


def slice_of(users: int, links: Sequence[tuple[int, int]], known: Sequence[int] | None = None) -> Slice:
    """Returns accounts 0, 1, … and links (account, identifier); its only ring is the first two accounts."""
    nodes = 2 * (max([users, *(identifier + 1 for _, identifier in links)]))
    kind = np.full(nodes, -1, np.int8)
    kind[0 : 2 * users : 2] = EntityKind.USER
    a = np.array([2 * account for account, _ in links], np.int32)
    b = np.array([2 * identifier + 1 for _, identifier in links], np.int32)
    kind[b] = EntityKind.DEVICE
    graph = NetworkGraph(
        kind,
        np.zeros((nodes, FEATURE_COLUMNS), np.int32),
        np.zeros(nodes, np.bool_),
        np.zeros(len(links), np.int32),
        a,
        b,
        np.zeros(len(links), np.int64),
    )
    none = np.zeros((2, 0), np.float32)
    rings = Rings(np.arange(2, dtype=np.int32), np.array([0, 2]), none, none, np.zeros((1, 1)), np.zeros(1))
    told = None if known is None else np.array(known, np.int8)
    head = np.zeros((users, len(HEAD_FEATURES)), np.float32)
    return cast(Slice, Small(graph, np.arange(users, dtype=np.int32), told, rings, head))


CHAIN = [(0, 0), (1, 0), (1, 1), (2, 1), (3, 2), (4, 2)]
"""0 - 1 - 2 share in a row, and 3 - 4 apart from them."""
KNOWN = [POSITIVE, UNKNOWN, UNKNOWN, NEGATIVE, UNKNOWN]


def test_personalised_page_rank_is_networkxs() -> None:
    links = [(int(u), int(i)) for u, i in {(u, i) for u, i in RNG.integers(0, (40, 25), (90, 2)).tolist()}]
    seeds = sorted({user for user, _ in links})[:2]
    piece = slice_of(40, links, [POSITIVE if user in seeds else UNKNOWN for user in range(40)])
    graph = nx.Graph((("u", user), ("i", identifier)) for user, identifier in links)
    exact = nx.pagerank(graph, alpha=0.85, personalization={("u", user): 1 for user in seeds}, tol=1e-12, max_iter=500)
    users, members = PersonalisedPageRank(None).logits(piece)
    for user in range(40):
        assert np.exp(users[user]) == pytest.approx(exact.get(("u", user), 0.0), abs=1e-6)
    assert members.tolist() == users[:2].tolist()


def test_label_propagation_is_the_fixed_point_of_its_equation() -> None:
    piece = slice_of(5, CHAIN, KNOWN)
    rival = LabelPropagation(None, alpha=0.5)
    users, _ = rival.logits(piece)
    links = adjacency(piece, None).toarray()
    degree = np.maximum(links.sum(axis=1), 1e-9)
    smooth = links / np.sqrt(degree[:, None] * degree[None, :])
    told = np.zeros((len(links), 2))
    told[0, 0], told[6, 1] = 1.0, 1.0
    told[0:10:2, 1] += 0.01
    spread = np.linalg.solve(np.eye(len(links)) - 0.5 * smooth, 0.5 * told)[0:10:2]
    assert users == pytest.approx(np.log(spread[:, 0] + 1e-9) - np.log(spread[:, 1] + 1e-9), abs=1e-6)
    assert users[0] > users[1] > users[2] > users[4], "the nearer to a known fraud"


def test_nothing_known_is_nothing_said() -> None:
    piece = slice_of(5, CHAIN)
    assert np.ptp(PersonalisedPageRank(None).logits(piece)[0]) == 0.0
    assert (LabelPropagation(None).logits(piece)[0] < 0.0).all()


def test_peeling_finds_the_dense_part() -> None:
    clique = [(u, -1 - i) for u in range(4) for i in range(3)]
    tail = [(4, -1), (4, -4), (5, -4)]
    links: dict[int, dict[int, float]] = {}
    for a, b in [*clique, *tail]:
        links.setdefault(a, {})[b] = links.setdefault(b, {})[a] = 1.0
    inside, density = densest(links)
    assert inside == {0, 1, 2, 3, -1, -2, -3}
    assert density == pytest.approx(12 / 7)


def test_blocks_are_rings_that_share_much_and_who_shares_one_thing_with_all_is_left_out() -> None:
    ring = [(user, identifier) for user in range(4) for identifier in range(3)]
    office = [(user, 50) for user in range(10, 50)]  # more than one identifier may have
    pair = [(60, 70), (61, 70)]
    found = blocks(*zip(*[*ring, *office, *pair], strict=True))
    assert [team for team, _ in found] == [[0, 1, 2, 3]]
    piece = slice_of(5, [(user, identifier) for user in range(4) for identifier in range(3)])
    users, _ = DenseBlocks().logits(piece)
    assert users[:4].min() > users[4] == 0.0


def odd_one_out(n: int = 400) -> Slice:
    piece = slice_of(n, [(0, 0), (1, 0)])
    piece.graph.bands[0 : 2 * n : 2] = RNG.integers(0, 2, (n, FEATURE_COLUMNS))
    piece.graph.bands[2 * 7] = 9
    return piece


@pytest.mark.parametrize("kind", [IsolationForest, Autoencoder])
def test_the_odd_one_out_is_the_strangest(kind: type[IsolationForest] | type[Autoencoder]) -> None:
    piece = odd_one_out()
    users, members = PerStream(kind).logits(piece)
    assert users.argmax() == 7
    assert members.tolist() == users[:2].tolist()
    again, _ = PerStream(kind).logits(piece)
    assert again.tolist() == users.tolist(), "the same seed, the same word"


def test_a_detector_is_fitted_once_per_stream() -> None:
    one = PerStream(IsolationForest)
    usual, _ = one.logits(odd_one_out())
    strange = odd_one_out()
    strange.graph.bands[0:800:2] = 9  # now everybody is
    users, _ = one.logits(strange)
    assert users.min() > np.median(usual), "beside the first reading all of them are strange"
