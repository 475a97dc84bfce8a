"""What the frauds known at the time say of everybody else, without any training: two walks from them over the links.

Both see the links that carry messages (hubs do not), weighted by their age as the network weighs them, and of labels
only what had been reported by the cut (`Slice.known`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fraudgraph.graph.types import F64
from training.gnn.dataset import Slice
from training.labels import NEGATIVE, POSITIVE

if TYPE_CHECKING:
    from scipy.sparse import csr_array

ROUNDS = 100
TINY = 1e-9


def adjacency(piece: Slice, half_life_ms: int | None) -> csr_array:
    """Returns the symmetric weights between nodes (accounts `2 u`, identifiers `2 i + 1`), `[nodes, nodes]`."""
    from scipy.sparse import csr_array

    _, a, b, weight = piece.graph.messages(half_life_ms)
    nodes = len(piece.graph.kind)
    one_way = csr_array((weight, (a, b)), shape=(nodes, nodes))
    return one_way + one_way.T


class PersonalisedPageRank:
    """Where a walk ends that starts at a known fraud and returns there (Haveliwala, 2002), per account.

    Divided by nothing: many links are many ways to be reached, which is what it is known for.
    """

    def __init__(self, half_life_ms: int | None, damping: float = 0.85) -> None:
        self._half_life_ms, self._damping = half_life_ms, damping

    def logits(self, piece: Slice) -> tuple[F64, F64]:
        """Returns log of the share of the walk at each account `[u]`, and at each ring's members `[m]`."""
        from scipy.sparse import diags_array

        links = adjacency(piece, self._half_life_ms)
        start = _known(piece, POSITIVE)
        if start.any():
            start /= start.sum()
        onward = (diags_array(1.0 / np.maximum(links.sum(axis=1), TINY)) @ links).T.tocsr()
        at = start.copy()
        for _ in range(ROUNDS):
            at = (1.0 - self._damping) * start + self._damping * (onward @ at)
        return _of_accounts(piece, np.log(at + TINY))


class LabelPropagation:
    """Local and global consistency (Zhou et al., NIPS 2003): labels spread over links, what is known pulls both ways.

    Args:
        alpha: part of an account's word that its neighbours have.
        base: weight of "honest" at every account of which nothing is known: silence is weak evidence.
    """

    def __init__(self, half_life_ms: int | None, alpha: float = 0.8, base: float = 0.01) -> None:
        self._half_life_ms, self._alpha, self._base = half_life_ms, alpha, base

    def logits(self, piece: Slice) -> tuple[F64, F64]:
        """Returns log-odds of accounts `[u]`, and of each ring's members `[m]`."""
        from scipy.sparse import diags_array

        links = adjacency(piece, self._half_life_ms)
        scale = diags_array(1.0 / np.sqrt(np.maximum(links.sum(axis=1), TINY)))
        smooth = (scale @ links @ scale).tocsr()
        told = np.column_stack((_known(piece, POSITIVE), _known(piece, NEGATIVE)))
        told[2 * piece.users, 1] += self._base
        spread = told.copy()
        for _ in range(ROUNDS):
            spread = (1.0 - self._alpha) * told + self._alpha * (smooth @ spread)
        return _of_accounts(piece, np.log(spread[:, 0] + TINY) - np.log(spread[:, 1] + TINY))


def _known(piece: Slice, value: int) -> F64:
    """Returns 1 at the accounts of which that had been reported by the cut, `[nodes]`."""
    out = np.zeros(len(piece.graph.kind))
    if piece.known is not None:
        out[2 * piece.users[piece.known == value]] = 1.0
    return out


def _of_accounts(piece: Slice, score: F64) -> tuple[F64, F64]:
    users = score[2 * piece.users]
    return users, users[piece.rings.member]
