"""Slices by hand, for tests of what is done with them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fraudgraph.durations import DAY_MS
from fraudgraph.scoring.gnn.features import HEAD_FEATURES
from fraudgraph.scoring.gnn.feed import NetworkGraph
from training.gnn.dataset import Rings, Slice
from training.splits import Cut


def slice_of(
    day: int, fraud: Sequence[int], *, teams: Sequence[Sequence[int]] = (), known: Sequence[int] | None = None
) -> Slice:
    """Returns a slice of accounts `u0`, `u1`, …; only what a comparison reads is filled in."""
    n = len(fraud)
    member = np.array([row for team in teams for row in team], np.int32)
    starts = np.concatenate(([0], np.cumsum([len(team) for team in teams]))).astype(np.int64)
    empty = np.empty(0, np.int32)
    graph = NetworkGraph(
        np.zeros(2 * n, np.int8),
        np.zeros((2 * n, 1), np.int32),
        np.zeros(2 * n, np.bool_),
        empty,
        empty,
        empty,
        np.empty(0, np.int64),
    )
    return Slice(
        world=0,
        cut=Cut(day * DAY_MS, day * DAY_MS),
        graph=graph,
        users=np.arange(n, dtype=np.int32),
        names=[f"u{row}" for row in range(n)],
        head=np.zeros((n, len(HEAD_FEATURES)), np.float32),
        columns=np.zeros((n, 1), np.float32),
        last_ms=np.zeros(n, np.int64),
        rings=Rings(
            member=member,
            starts=starts,
            head=np.zeros((len(member), len(HEAD_FEATURES)), np.float32),
            columns=np.zeros((len(member), 1), np.float32),
            features=np.zeros((len(teams), 1)),
            structural=np.zeros(len(teams)),
        ),
        is_fraud=np.array(fraud, np.int8),
        is_ring=None,
        known=None if known is None else np.array(known, np.int8),
    )
