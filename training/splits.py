"""Which accounts of which moment are learnt from, and which are held out: always by time, never at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fraudgraph.durations import DAY_MS
from fraudgraph.errors import UsageError

I32 = npt.NDArray[np.int32]
Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Cut:
    """A moment at which a graph is read.

    Attributes:
        cut_ms: features see nothing later.
        label_cut_ms: labels that arrived later do not exist.
    """

    cut_ms: int
    label_cut_ms: int


@dataclass(frozen=True, slots=True)
class TimeSplit:
    """Cuts in the order of time: weights are fitted on the first, stopped on the next, calibrated on the last."""

    fit: tuple[Cut, ...]
    stop: Cut
    calibrate: Cut


def by_time(start_ms: int, end_ms: int, *, fit_cuts: int, horizon_ms: int, maturity_ms: int) -> TimeSplit:
    """Returns a split of a stream by time: `fit_cuts` cuts, one to stop at, one to calibrate on.

    Between two roles lie the horizon and the time in which reports arrive. So the labels of each end where the next
    one's cut begins, and all accounts are mature by then.

    Args:
        start_ms, end_ms: of the stream. Its first part is only remembered: a graph has to grow first.

    Raises:
        UsageError: the stream is too short.
    """
    gap_ms = horizon_ms + maturity_ms
    calibrate_ms, stop_ms, last_ms = end_ms - gap_ms, end_ms - 2 * gap_ms, end_ms - 3 * gap_ms
    first_ms = start_ms + (end_ms - start_ms) // 6
    if last_ms < first_ms:
        raise UsageError(
            f"a stream of {(end_ms - start_ms) / DAY_MS:.0f} days is too short to learn, stop and calibrate, since a"
            f" report of fraud takes up to {maturity_ms / DAY_MS:.0f} days here",
            do=f"Give at least {3.6 * gap_ms / DAY_MS:.0f} days, or a shorter horizon_days.",
        )
    cuts = np.linspace(first_ms, last_ms, fit_cuts + 1)[1:].astype(np.int64).tolist()
    return TimeSplit(
        fit=tuple(Cut(cut, stop_ms) for cut in cuts),
        stop=Cut(stop_ms, calibrate_ms),
        calibrate=Cut(calibrate_ms, end_ms),
    )


def components(nodes: int, a: I32, b: I32) -> I32:
    """Returns each node's component over links `a[i] - b[i]`, `[nodes]`."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(nodes, nodes))
    return np.asarray(connected_components(graph, directed=False)[1], np.int32)


def disjoint(component: I32, users: Sequence[str], learnt: frozenset[str]) -> Bool:
    """Returns which accounts of a later cut share a component with no account that was learnt from, `[n]`.

    Args:
        component: `[n]` of each account, at the later cut: what joined since then counts too.
        learnt: accounts of the earlier cuts.
    """
    seen = np.array([user in learnt for user in users], np.bool_)
    return ~np.isin(component, component[seen])
