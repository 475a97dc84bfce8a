"""Why the network scores an account as it does: each link and feature is taken away, the score read, and put back.

Exact occlusion through the incremental engine, not a sampled explainer: a part's log-odds are those of the account with
it, less those of the account without it, everybody else as they are. Where an identifier is taken away, counts change
too: it has one user less, and the account one device less. Parts do not add up to the score, since each is taken away
alone.

What is put back differs from what was there by less than the drift of any other operation (`gnn.means`).

Trees tell by column what each adds to the account's log-odds, beside an average account (`scoring.trees`): those parts
do add up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from fraudgraph.events.kinds import EntityKind
from fraudgraph.graph.hot import HotGraph
from fraudgraph.graph.interning import key_bytes
from fraudgraph.graph.types import F64
from fraudgraph.scoring.gnn.engine import FeatureBatch, LinkBatch
from fraudgraph.scoring.gnn.features import (
    FEATURE_COLUMNS,
    FEATURES,
    HEAD_FEATURES,
    VELOCITY_MS,
    count_band,
    head_features,
    user_bands,
    users_band,
)
from fraudgraph.scoring.gnn.feed import family_of, hub_limits
from fraudgraph.scoring.gnn.kernels import MUTE, PUT, REMOVE, UNMUTE
from fraudgraph.scoring.gnn.live import LiveNetwork
from fraudgraph.scoring.live_model import LiveModel
from fraudgraph.scoring.trees_live import LiveTrees
from fraudgraph.scoring.user_calibration import PlattLine

MOST_LINKS: Final = 64
"""Links that are looked at, the latest ones: an account with more is told by these as well."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one part of an account does to its score.

    Attributes:
        kind: of the identifier; USER for a transfer or referral, and for what the account did itself.
        other: pseudonym of the identifier, or user id of the other account; "" for a feature.
        name: of the feature, else the family of the link (`device`, `transfer`).
        value: band of the feature, or of the other end how many users the identifier has; 0 for an account. Of trees,
            the column's value, rounded.
        log_odds: with it, less without it; positive for riskier.
    """

    kind: EntityKind
    other: str | bytes
    name: str
    value: int
    log_odds: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """A score and its parts, the largest first.

    Attributes:
        log_odds: calibrated, of the account.
        left_out: links that were not looked at (`MOST_LINKS`).
        adds_up: each part is what it adds, and not what taking it away alone would change.
    """

    log_odds: float
    parts: tuple[Part, ...]
    left_out: int
    adds_up: bool = False

    @property
    def probability(self) -> float:
        """Of the account, in [0, 1]."""
        return float(1.0 / (1.0 + np.exp(-self.log_odds)))


def explain_user(live: LiveModel, graph: HotGraph, user: int, as_of_ms: int) -> Explanation:
    """Returns the score of a user as of a moment, and what each link and feature does to it."""
    if isinstance(live, LiveTrees):
        return _explain_by_trees(live, graph, user, as_of_ms)
    asked = _Asked(live, graph, user, as_of_ms)
    slots, pairs = _slots_of(graph, user), _pairs_of(graph, user)
    looked_at = slots[:MOST_LINKS]
    parts = [
        *asked.without_features(),
        *asked.without_head(),
        *(asked.without_link(slot, slots) for slot in looked_at),
        *(asked.without_pair(*pair) for pair in pairs[: MOST_LINKS - len(looked_at)]),
    ]
    told = sorted((part for part in parts if part.log_odds), key=lambda part: (-abs(part.log_odds), part.name))
    return Explanation(asked.whole, tuple(told), max(0, len(slots) + len(pairs) - MOST_LINKS))


def _explain_by_trees(live: LiveTrees, graph: HotGraph, user: int, as_of_ms: int) -> Explanation:
    one = np.array([user], np.int32)
    row, calibration = live.columns(graph, one, as_of_ms), live.bundle.manifest.calibration
    # Along knots there is no one slope: there the parts are in log-odds before the calibration.
    slope = calibration.slope if isinstance(calibration, PlattLine) else 1.0
    adds = live.trees.contributions(row)[0] * slope
    parts = [
        Part(EntityKind.USER, "", name, round(float(value)), float(added))
        for name, value, added in zip(live.trees.columns, row[0], adds, strict=True)
        if added
    ]
    told = sorted(parts, key=lambda part: (-abs(part.log_odds), part.name))
    return Explanation(float(live.log_odds(graph, one, as_of_ms)[0]), tuple(told), 0, adds_up=True)


class _Asked:
    """One account under question; it leaves the network as it found it."""

    def __init__(self, live: LiveNetwork, graph: HotGraph, user: int, as_of_ms: int) -> None:
        self._live, self._graph, self._as_of_ms = live, graph, as_of_ms
        self._node = 2 * user
        one = np.array([user], np.int32)
        self._bands = user_bands(graph, one)[0].tolist()
        self._head = head_features(graph, one, as_of_ms)[0].astype(np.float64)
        self._weights = live.bundle.weights.head_x.astype(np.float64)
        self.whole = self._read(self._head)

    def _read(self, head: F64) -> float:
        logit = self._live.network.logits(np.array([self._node], np.int32)).astype(np.float64)
        return float(self._live.bundle.manifest.calibration.apply(logit + head @ self._weights)[0])

    def without_features(self) -> list[Part]:
        """Returns what the account's own banded features do, each against its first band."""
        parts = []
        for place, name in enumerate(FEATURES["user"]):
            if value := self._bands[place]:
                bands = [0 if i == place else band for i, band in enumerate(self._bands)]
                self._live.network.apply(None, _features([(self._node, EntityKind.USER, bands)]))
                parts.append(Part(EntityKind.USER, "", name, value, self.whole - self._read(self._head)))
                self._live.network.apply(None, _features([(self._node, EntityKind.USER, self._bands)]))
        return parts

    def without_head(self) -> list[Part]:
        """Returns what the head's own features do, each against 0."""
        parts = []
        for place, name in enumerate(HEAD_FEATURES):
            head = self._head.copy()
            head[place] = 0.0
            value = round(2.0 ** float(self._head[place]) - 1.0)
            parts.append(Part(EntityKind.USER, "", name, value, self.whole - self._read(head)))
        return parts

    def without_link(self, slot: int, slots: list[int]) -> Part:
        """Returns what a link to an identifier does; `slots` are all of the account's links."""
        links, idents = self._graph.links, self._graph.idents
        ident = int(links.ident[slot])
        kind, users, node = EntityKind(int(idents.kind[ident])), int(idents.degree[ident]), 2 * ident + 1
        limit = hub_limits(self._graph.policy)[kind]
        links_without = users > limit >= users - 1 and not idents.benign[ident]
        bands, name = list(self._bands), f"{kind.label}s"
        if name in FEATURES["user"]:
            of_kind = sum(idents.kind[links.ident[other]] == kind for other in slots)
            bands[list(FEATURES["user"]).index(name)] = count_band(name, of_kind - 1)
        row = (kind - 1, self._node, node)
        self._live.network.apply(
            _operations([(REMOVE, *row), *([(UNMUTE, 0, node, 0)] if links_without else [])]),
            _features([(self._node, EntityKind.USER, bands), (node, kind, [users_band(users - 1)])]),
        )
        head = self._head.copy()
        head[0] = np.log2(len(slots))
        if links.first_ms[slot] > self._as_of_ms - VELOCITY_MS:
            head[1] = np.log2(np.exp2(head[1]) - 1.0)
        without = self._read(head)
        self._live.network.apply(
            _operations(
                [*([(MUTE, 0, node, 0)] if links_without else []), (PUT, *row)],
                self._live.feed.told_ms(int(links.last_ms[slot])),
            ),
            _features([(self._node, EntityKind.USER, self._bands), (node, kind, [users_band(users)])]),
        )
        key = key_bytes(self._graph.keys, np.array([ident], np.int32))[0]
        return Part(kind, key, kind.label, users, self.whole - without)

    def without_pair(self, family: int, sender: int, receiver: int, last_ms: int) -> Part:
        """Returns what the transfers or referrals from one account to another do, their number apart."""
        row = (family, 2 * sender, 2 * receiver)
        self._live.network.apply(_operations([(REMOVE, *row)]))
        without = self._read(self._head)
        self._live.network.apply(_operations([(PUT, *row)], self._live.feed.told_ms(last_ms)))
        name = self._live.bundle.weights.schema.families[family].name
        other = receiver if 2 * sender == self._node else sender
        return Part(EntityKind.USER, self._graph.user_table.key_of[other] or "", name, 0, self.whole - without)


def _slots_of(graph: HotGraph, user: int) -> list[int]:
    """Returns the slots of a user's links, the latest used first."""
    links, slots = graph.links, []
    slot = int(graph.users.links[user])
    while slot >= 0:
        slots.append(slot)
        slot = int(links.next_of_user[slot])
    return sorted(slots, key=lambda at: (-int(links.last_ms[at]), int(links.ident[at])))


def _pairs_of(graph: HotGraph, user: int) -> list[tuple[int, int, int, int]]:
    """Returns (family, sender, receiver, last use) of a user's transfers and referrals, the latest first."""
    columns = graph.transfers.columns
    pairs: dict[tuple[int, int, int], int] = {}
    for head, following in (
        (graph.users.transfers_out[user], columns.next_out),
        (graph.users.transfers_in[user], columns.next_in),
    ):
        slot = int(head)
        while slot >= 0:
            pair = (family_of(int(columns.kind[slot])), int(columns.sender[slot]), int(columns.receiver[slot]))
            pairs[pair] = max(pairs.get(pair, 0), int(columns.last_ms[slot]))
            slot = int(following[slot])
    return sorted(((*pair, last_ms) for pair, last_ms in pairs.items()), key=lambda row: (-row[3], row[:3]))


def _operations(rows: list[tuple[int, int, int, int]], last_ms: int | None = None) -> LinkBatch:
    op, family, a, b = (np.array(column, np.int32) for column in zip(*rows, strict=True))
    moments = None if last_ms is None else np.full(len(rows), last_ms, np.int64)
    return LinkBatch(op.astype(np.int8), family, a, b, moments)


def _features(rows: list[tuple[int, EntityKind, list[int]]]) -> FeatureBatch:
    bands = np.zeros((len(rows), FEATURE_COLUMNS), np.int32)
    for place, (_, _, values) in enumerate(rows):
        bands[place, : len(values)] = values
    nodes, kinds = [node for node, _, _ in rows], [int(kind) for _, kind, _ in rows]
    return FeatureBatch(np.array(nodes, np.int32), np.array(kinds, np.int8), bands)
