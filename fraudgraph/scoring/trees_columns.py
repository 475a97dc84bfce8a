"""What trees are told of an account: one definition for training and for serving, over the hot graph as it is.

Four sets, each with all of the one before: (a) what the account did itself; (b) what it shares, and with how many; (c)
what those with whom it shares are like, one and two steps away, and lately; (d) a network's embedding of it. Here are
(a) to (c); (d) is put beside them by whoever has the network (`scoring.trees`).

Trees jump where a column crosses a threshold, so that a sum of floats in another order could turn a score round. Every
column is therefore counted in whole numbers, and the same, bit for bit, whatever the order in which the graph came to
be what it is. As in the network, labels and chargebacks are no columns (`scoring.gnn.features`).
"""

from __future__ import annotations

import hashlib
from typing import Final, Literal, TypeAlias

import msgspec
import numpy as np

from fraudgraph.events.kinds import IDENTIFIER_KINDS, EntityKind
from fraudgraph.graph.hot import GraphChange, HotGraph
from fraudgraph.graph.types import I32, I64, Bool
from fraudgraph.scoring.gnn.features import FEATURES, FEATURES_HASH, LINK_STEP_MS
from fraudgraph.scoring.gnn.feed import hub_limits
from fraudgraph.scoring.gnn.model import F32
from fraudgraph.scoring.trees_kernels import (
    HALF_LIFE_MS,
    NARROW_USERS,
    OWN_COLUMNS,
    SHARED_COLUMNS,
    WINDOWS_MS,
    View,
    fill_own,
    fill_shared,
)
from fraudgraph.scoring.trees_near import SCALE, Marks, concerned, near_means, new_marks, reserve_marks

FeatureSet: TypeAlias = Literal["a", "b", "c", "d"]

_VERSION: Final = 1
"""Raised when the meaning of a column changes and its name does not."""
_BANDS: Final = tuple(FEATURES["user"])
_DAYS: Final = tuple(f"{window // 86_400_000}d" for window in WINDOWS_MS)
_KINDS: Final = tuple(kind.label for kind in IDENTIFIER_KINDS)

OWN: Final = (
    "signed_up",
    "age_days",
    "idle_days",
    "active_days",
    "logins",
    "orders",
    "payments",
    "declined",
    "refunds",
    "referrals",
    "transfers_out",
    "transfers_in",
    "declined_share",
    "first_spending_hours",  # from the first event on; -1 for never
    "spent_minor",  # orders that went through, all currencies as if one
    "largest_order_minor",
    "mean_order_minor",
    "refunded_share",
    *(f"orders_{days}" for days in _DAYS),
    *(f"spent_{days}_minor" for days in _DAYS),
    *(f"begun_{days}" for days in _DAYS),  # identifiers first used lately
    *(f"own_{kind}" for kind in _KINDS),  # identifiers in use
)
SHARED: Final = (
    *(f"shared_{kind}" for kind in _KINDS),  # of those, used by others too, hubs apart
    *(f"most_users_{kind}" for kind in _KINDS),  # of any one of them
    "hubs",
    "joined_1d",  # others who began to use an identifier of the account within a day of it, before or after
    "joined_7d",
    "payers_and_paid",
    "reach_1",  # accounts one step away, over identifiers of at most `NARROW_USERS` accounts
    "reach_2",  # and two, the second one over kinds that tie by themselves: what of its component an account can see
)
NEAR: Final = (
    *(f"new_{hops}_{days}" for hops in (1, 2) for days in _DAYS),  # of those, first seen lately
    *(f"active_{hops}_{days}" for hops in (1, 2) for days in _DAYS),
    *(f"spending_1_{days}" for days in _DAYS),  # spent for the first time lately
    "orders_1",  # of all of them together
    "declined_1",
    "refunds_1",
    *(f"near_{band}" for band in _BANDS),  # mean of a band one step away, fresh links weighing more
    *(f"near_2_{band}" for band in _BANDS),  # and two
    *(f"paid_{band}" for band in _BANDS),  # over those who pay the account, or are paid by it
)
_SETS: Final[dict[FeatureSet, tuple[str, ...]]] = {
    "a": OWN,
    "b": OWN + SHARED,
    "c": OWN + SHARED + NEAR,
    "d": OWN + SHARED + NEAR,
}


def names_of(features: FeatureSet) -> tuple[str, ...]:
    """Returns the columns of a set in order, those of a network's embedding apart."""
    return _SETS[features]


def _hash() -> str:
    definition = (_VERSION, OWN, SHARED, NEAR, WINDOWS_MS, HALF_LIFE_MS, LINK_STEP_MS, NARROW_USERS, FEATURES_HASH)
    return hashlib.blake2b(msgspec.json.encode(definition), digest_size=8).hexdigest()


COLUMNS_HASH: Final = _hash()
"""16 hex digits that change with the definition; a bundle that was trained on another is refused."""


class ColumnReader:
    """Reads columns of accounts; holds only marks, so that what it costs goes with the accounts asked for.

    One may read graphs in turn; it changes none.
    """

    def __init__(self) -> None:
        self._marks: Marks = new_marks()

    def __call__(self, graph: HotGraph, users: I32, as_of_ms: int | I64, features: FeatureSet = "c") -> F32:
        """Returns `[n, len(names_of(features))]`.

        Args:
            as_of_ms: the moment of reading, one for all or one for each `[n]`; not before a user's last event.
        """
        moments = np.ascontiguousarray(np.broadcast_to(np.asarray(as_of_ms, np.int64), len(users)))
        view = view_of(graph)
        own = np.zeros((len(users), OWN_COLUMNS), np.float32)
        fill_own(view, users, moments, own)
        if features == "a":
            return own
        self._reserve(graph)
        shared = np.zeros((len(users), SHARED_COLUMNS), np.float32)
        fill_shared(view, self._marks, users, moments, shared)
        if features == "b":
            return np.hstack((own, shared[:, : len(SHARED)]))
        near = near_means(view, self._marks, users)
        return np.hstack((own, shared, (near / SCALE).astype(np.float32)))

    def concerned(self, graph: HotGraph, muted: Bool, change: GraphChange) -> I32:
        """Returns members of rings whose columns may have moved by a change of the graph (`trees_near.concerned`)."""
        self._reserve(graph)
        return concerned(view_of(graph), self._marks, muted, change)

    def _reserve(self, graph: HotGraph) -> None:
        self._marks = reserve_marks(self._marks, len(graph.users.first_ms), len(graph.idents.kind))


def view_of(graph: HotGraph) -> View:
    """Returns a graph's columns for the kernels."""
    policy = graph.policy
    ties = np.zeros(len(EntityKind), np.bool_)
    for name in policy.kinds:
        ties[EntityKind[name.upper()]] = not policy.is_weak(name)
    return View(graph.users, graph.links, graph.idents, graph.orders, graph.transfers.columns, hub_limits(policy), ties)


def hubs_of(graph: HotGraph) -> Bool:
    """Returns which identifiers link nobody, `[idents]`."""
    return (graph.idents.degree > hub_limits(graph.policy)[graph.idents.kind]) | graph.idents.benign
