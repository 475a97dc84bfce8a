"""Accounts that look unlike the others, without any label: an Isolation Forest and an autoencoder.

Both see an account's own features (the network's bands, and what its head reads), nothing of its neighbours. Each is
fitted on the accounts of a stream's first reading and used from then on, as a shop would on its first day.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from fraudgraph.graph.types import F64
from training.gnn.dataset import Slice

WIDTHS = (16, 4)
EPOCHS = 20
BATCH = 512
RATE = 0.003
_MOST_ROWS = 20_000


class Detector(Protocol):
    """Something that is fitted on rows `[n, k]` and says how strange others are."""

    def fit(self, x: F64) -> None:
        """Learns what is usual."""

    def strangeness(self, x: F64) -> F64:
        """Returns how strange each row is, `[n]`; higher is stranger."""


def own_columns(piece: Slice) -> F64:
    """Returns an account's own features, `[u, k]`."""
    return np.hstack((piece.graph.bands[2 * piece.users].astype(np.float64), piece.head.astype(np.float64)))


class PerStream:
    """A detector for each stream, fitted on its first reading.

    Args:
        kind: makes a detector out of a seed.
    """

    def __init__(self, kind: type[IsolationForest] | type[Autoencoder], seed: int = 1) -> None:
        self._kind, self._seed = kind, seed
        self._of: dict[int, Detector] = {}

    def logits(self, piece: Slice) -> tuple[F64, F64]:
        """Returns strangeness of accounts `[u]`, and of each ring's members `[m]`."""
        x = own_columns(piece)
        if piece.world not in self._of:
            self._of[piece.world] = self._kind(self._seed)
            rows = np.random.default_rng(self._seed).permutation(len(x))[:_MOST_ROWS]
            self._of[piece.world].fit(x[rows])
        users = self._of[piece.world].strangeness(x)
        return users, users[piece.rings.member]


class IsolationForest:
    """Isolation Forest (Liu et al., 2008; scikit-learn)."""

    def __init__(self, seed: int = 1) -> None:
        from sklearn.ensemble import IsolationForest as Forest

        self._model: Any = Forest(n_estimators=100, random_state=seed)

    def fit(self, x: F64) -> None:
        """Learns what is usual."""
        self._model.fit(x)

    def strangeness(self, x: F64) -> F64:
        """Returns how early random cuts set each row apart, `[n]`."""
        return -np.asarray(self._model.score_samples(x), np.float64)


class Autoencoder:
    """Two narrow layers there and back; strange is what comes back changed (Hinton & Salakhutdinov, 2006).

    Columns are standardised, so that each counts alike; the log of the mean squared error keeps few from ruling all.
    """

    def __init__(self, seed: int = 1) -> None:
        self._seed = seed
        self._mean = self._scale = np.zeros(0)
        self._model: Any = None

    def fit(self, x: F64) -> None:
        """Learns what is usual, by Adam over shuffled batches."""
        import torch
        from torch import nn

        self._mean, self._scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-6)
        before = torch.get_rng_state()
        torch.manual_seed(self._seed)
        wide, narrow = WIDTHS
        self._model = nn.Sequential(
            nn.Linear(x.shape[1], wide),
            nn.ReLU(),
            nn.Linear(wide, narrow),
            nn.ReLU(),
            nn.Linear(narrow, wide),
            nn.ReLU(),
            nn.Linear(wide, x.shape[1]),
        )
        rows = self._rows(x)
        optimiser = torch.optim.Adam(self._model.parameters(), lr=RATE)
        for _ in range(EPOCHS):
            for batch in torch.randperm(len(rows)).split(BATCH):
                optimiser.zero_grad()
                loss = ((self._model(rows[batch]) - rows[batch]) ** 2).mean()
                loss.backward()
                optimiser.step()
        torch.set_rng_state(before)

    def strangeness(self, x: F64) -> F64:
        """Returns the log of how much each row changes, `[n]`."""
        import torch

        rows = self._rows(x)
        with torch.no_grad():
            off = ((self._model(rows) - rows) ** 2).mean(dim=1)
        return np.log(off.numpy().astype(np.float64) + 1e-9)

    def _rows(self, x: F64) -> Any:
        import torch

        return torch.from_numpy(((x - self._mean) / self._scale).astype(np.float32))
