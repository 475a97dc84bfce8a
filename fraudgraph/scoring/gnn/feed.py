"""What a change of the hot graph means to the network: nodes, features, links and hubs, as batches of operations.

Node `2 u` is user `u`, node `2 i + 1` identifier `i`, for as long as the graph keeps the dense id. The feed remembers
what it told the network, and tells only what differs. So whatever it looks at, in whatever order, it ends at what
`network_graph` says from scratch.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from fraudgraph.events.kinds import IDENTIFIER_KINDS, EntityKind, EventType
from fraudgraph.graph.columns import grown
from fraudgraph.graph.hot import GraphChange, HotGraph, Idents, distinct
from fraudgraph.graph.links import Links
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.graph.surroundings import Near
from fraudgraph.graph.types import F64, I8, I32, I64, U8, Bool, Int
from fraudgraph.kernels import njit
from fraudgraph.scoring.gnn.engine import FeatureBatch, LinkBatch
from fraudgraph.scoring.gnn.features import FEATURE_COLUMNS, LINK_STEP_MS, ident_bands, user_bands
from fraudgraph.scoring.gnn.kernels import FORGET, MUTE, PUT, REMOVE, UNMUTE

TRANSFER_FAMILY: Final = len(IDENTIFIER_KINDS)
REFERRAL_FAMILY: Final = TRANSFER_FAMILY + 1
_FAMILY_OF: Final = {int(EventType.TRANSFER): TRANSFER_FAMILY, int(EventType.REFERRAL): REFERRAL_FAMILY}

_STEP: Final = LINK_STEP_MS
_UNKNOWN: Final = -1
_NOTHING: Final = np.empty(0, np.int32)
_PACKED_BITS: Final = 4
"""Every band is below 16 (`_pack`)."""
_REACH: Final = 50
"""Half-lives behind the newest link at which a link's last use is told as no older: beside any other it weighs nothing,
and the network refuses what is older than `engine.HALF_LIVES`."""


@dataclass(frozen=True, slots=True)
class NetworkGraph:
    """The graph as the network sees it.

    Attributes:
        kind: `[nodes]` int8 number of the EntityKind; -1 where there is no node.
        bands: `[nodes, FEATURE_COLUMNS]` int32 banded features.
        muted: `[nodes]` identifiers that do not link: hubs, and those that an analyst calls benign.
        family, a, b: `[links]` int32, a the user (or who sends, or brings), b the identifier (or the other user).
        last_ms: `[links]` int64 last use, in whole steps.
    """

    kind: I8
    bands: I32
    muted: Bool
    family: I32
    a: I32
    b: I32
    last_ms: I64

    def messages(self, half_life_ms: int | None) -> tuple[I32, I32, I32, F64]:
        """Returns family, a, b and weight of the links that carry messages; the newest one of all weighs 1."""
        alive = np.flatnonzero(~(self.muted[self.a] | self.muted[self.b]))
        last_ms = self.last_ms[alive]
        weight = np.ones(len(alive))
        if half_life_ms is not None and len(alive):
            weight = np.exp2((last_ms - last_ms.max()) / half_life_ms)
        return self.family[alive], self.a[alive], self.b[alive], weight


def network_graph(graph: HotGraph) -> NetworkGraph:
    """Returns the whole graph as the network sees it, made from scratch."""
    nodes = _node_count(graph)
    kind, bands = np.full(nodes, -1, np.int8), np.zeros((nodes, FEATURE_COLUMNS), np.int32)
    muted = np.zeros(nodes, np.bool_)
    users, idents, slots, transfers = _living(graph, tops_of(graph))
    kind[2 * users], bands[2 * users] = EntityKind.USER, user_bands(graph, users)
    kind[2 * idents + 1], bands[2 * idents + 1] = graph.idents.kind[idents], ident_bands(graph, idents)
    muted[2 * idents + 1] = _is_muted(graph.idents, hub_limits(graph.policy), idents)
    ident = graph.links.ident[slots]
    pairs: dict[tuple[int, int, int], int] = {}
    c = graph.transfers.columns
    for slot in transfers.tolist():
        pair = (_FAMILY_OF[int(c.kind[slot])], 2 * int(c.sender[slot]), 2 * int(c.receiver[slot]))
        pairs[pair] = max(pairs.get(pair, 0), int(c.last_ms[slot]) // _STEP)
    of_pairs = np.array([(*pair, step) for pair, step in pairs.items()], np.int64).reshape(-1, 4)
    columns = (
        graph.idents.kind[ident].astype(np.int64) - 1,
        2 * graph.links.user[slots].astype(np.int64),
        2 * ident.astype(np.int64) + 1,
        graph.links.last_ms[slots] // _STEP,
    )
    family, a, b, step = (np.concatenate((column, of_pairs[:, i])) for i, column in enumerate(columns))
    narrow = np.int32
    return NetworkGraph(kind, bands, muted, family.astype(narrow), a.astype(narrow), b.astype(narrow), step * _STEP)


def hub_limits(policy: LinkPolicy) -> I64:
    """Returns the most users of an identifier that is no hub, by EntityKind, `[kinds]`."""
    limits = np.zeros(len(EntityKind), np.int64)
    for name, kind in policy.kinds.items():
        limits[EntityKind[name.upper()]] = kind.hub_users
    return limits


def family_of(event_type: int) -> int:
    """Returns the family of a transfer or referral, by the number of its EventType."""
    return _FAMILY_OF[event_type]


def users_of(nodes: I32) -> I32:
    """Returns the users among nodes."""
    users: I32 = nodes[nodes % 2 == 0] // 2
    return users


class NetworkFeed:
    """Turns changes of one graph into batches for one `IncrementalNetwork`; one writer.

    Args:
        busy_from: accounts with so many partners in one direction of transfers or referrals are `busy`.
        in_parts: the graph is told in several parts, with its changes in between.
    """

    def __init__(
        self, policy: LinkPolicy, half_life_ms: int | None, *, busy_from: int = 2**31, in_parts: bool = False
    ) -> None:
        self.busy: set[tuple[int, int, int]] = set()
        self._busy_from = busy_from
        self._partners: Counter[tuple[int, int, int]] = Counter()
        self._reach_ms = None if half_life_ms is None else _REACH * half_life_ms
        self._newest_ms = 0
        self._limits = hub_limits(policy)
        self._told = _new_told()
        self._in_parts = in_parts
        self._pairs: dict[tuple[int, int, int], dict[int, int]] = {}
        self._pair_of: dict[int, tuple[int, int, int]] = {}

    def everything(self, graph: HotGraph) -> tuple[FeatureBatch, LinkBatch]:
        """Returns all that the network does not know of the graph yet: at a start, everything."""
        return self.part(graph, tops_of(graph), 0, 1)

    def part(self, graph: HotGraph, tops: Tops, at: int, parts: int) -> tuple[FeatureBatch, LinkBatch]:
        """Returns what the network does not know yet of one of so many parts of the graph.

        Between two parts the graph may change, if every change is told (`update`).

        Args:
            tops: as of the first part; what came later is told as a change.
        """
        users, idents, slots, transfers = _living(graph, tops, at, parts)
        self._in_parts = at + 1 < parts
        # A user's links one after the other, and users in order: what is near in the network's memory is used together.
        slots = slots[np.argsort(graph.links.user[slots], kind="stable")]
        return self._tell(graph, users, idents, slots, _NOTHING, transfers.tolist(), [], [])

    def only(self, graph: HotGraph, near: Near) -> tuple[FeatureBatch, LinkBatch]:
        """Returns what scores of some users depend on, and nothing else of the graph."""
        users, idents = _with_ends(graph, near.users, _NOTHING, near.links, near.transfers)
        return self._tell(graph, users, idents, near.links, _NOTHING, near.transfers.tolist(), [], [])

    def update(self, graph: HotGraph, change: GraphChange) -> tuple[FeatureBatch, LinkBatch]:
        """Returns what a change of the graph, just applied to it, means to the network."""
        return self._tell(
            graph,
            change.users,
            change.idents,
            change.links,
            change.links_deleted,
            change.transfers,
            change.transfers_deleted,
            change.entities_deleted,
        )

    def told_ms(self, last_ms: int) -> int:
        """Returns the last use that the network is told of a link that was last used then."""
        step_ms = last_ms // _STEP * _STEP
        return step_ms if self._reach_ms is None else max(step_ms, self._newest_ms - self._reach_ms)

    def _tell(
        self,
        graph: HotGraph,
        users: I32,
        idents: I32,
        slots: I32,
        slots_deleted: I32,
        transfers: list[int],
        transfers_deleted: list[int],
        entities_deleted: list[tuple[int, int]],
    ) -> tuple[FeatureBatch, LinkBatch]:
        self._told = _reserve(self._told, _node_count(graph), len(graph.links.user))
        told = self._told
        if self._in_parts:
            users, idents = _with_ends(graph, users, idents, slots, transfers)
        features = self._features(graph, users, idents)
        removed = np.empty((len(slots_deleted), 3), np.int32)
        count = int(take_back_links(told, graph.idents.kind, slots_deleted, removed))
        put, steps = np.empty((len(slots), 3), np.int32), np.empty(len(slots), np.int64)
        puts = int(tell_links(told, graph.links, graph.idents.kind, slots, put, steps))
        pair_removed, pair_put, pair_steps = self._transfers(graph, transfers, transfers_deleted)
        muted = _is_muted(graph.idents, self._limits, idents)
        turned = muted != told.muted[2 * idents + 1]
        told.muted[2 * idents + 1] = muted
        gone = self._forget(entities_deleted)
        rows = [
            _operations(REMOVE, removed[:count]),
            _operations(REMOVE, pair_removed),
            _operations(MUTE, _alone(2 * idents[turned & muted] + 1)),
            _operations(UNMUTE, _alone(2 * idents[turned & ~muted] + 1)),
            _operations(PUT, put[:puts]),
            _operations(PUT, pair_put),
            _operations(FORGET, _alone(gone)),
        ]
        everything = np.concatenate(rows)
        op, family, a, b = (np.ascontiguousarray(everything[:, i]) for i in range(4))
        last_ms = None
        if puts or len(pair_steps):
            used_ms = np.concatenate((steps[:puts], pair_steps)) * _STEP
            self._newest_ms = max(self._newest_ms, int(used_ms.max()))
            # What puts nothing has no time of its own; the network wants one within its reach.
            last_ms = np.full(len(op), self._newest_ms, np.int64)
            last_ms[op == PUT] = (
                used_ms if self._reach_ms is None else np.maximum(used_ms, self._newest_ms - self._reach_ms)
            )
        return features, LinkBatch(op.astype(np.int8), family, a, b, last_ms)

    def _features(self, graph: HotGraph, users: I32, idents: I32) -> FeatureBatch:
        of_users, of_idents = user_bands(graph, users), ident_bands(graph, idents)
        node = np.concatenate((2 * users, 2 * idents + 1))
        kind = np.concatenate((np.zeros(len(users), np.int8), graph.idents.kind[idents].astype(np.int8)))
        bands = np.concatenate((of_users, of_idents))
        packed = _pack(bands)
        differ = np.flatnonzero(self._told.packed[node] != packed)
        self._told.packed[node] = packed
        return FeatureBatch(node[differ].astype(np.int32), kind[differ], bands[differ])

    def _transfers(self, graph: HotGraph, used: list[int], deleted: list[int]) -> tuple[I32, I32, I64]:
        """Returns links between users to remove and to put; a pair's currencies are one link."""
        if not used and not deleted:
            return np.empty((0, 3), np.int32), np.empty((0, 3), np.int32), np.empty(0, np.int64)
        columns = graph.transfers.columns
        before: dict[tuple[int, int, int], int] = {}
        for slot in deleted:
            pair = self._pair_of.pop(slot, None)
            if pair is not None:
                before.setdefault(pair, max(self._pairs[pair].values()))
                del self._pairs[pair][slot]
        for slot in used:
            family = _FAMILY_OF[int(columns.kind[slot])]
            pair = (family, 2 * int(columns.sender[slot]), 2 * int(columns.receiver[slot]))
            steps = self._pairs.setdefault(pair, {})
            before.setdefault(pair, max(steps.values(), default=_UNKNOWN))
            steps[slot] = int(columns.last_ms[slot]) // _STEP
            self._pair_of[slot] = pair
        removed, put, put_steps = [], [], []
        for pair, step in before.items():
            steps = self._pairs[pair]
            if not steps:
                del self._pairs[pair]
                removed.append(pair)
                self._count_partners(pair, -1)
                continue
            if step == _UNKNOWN:
                self._count_partners(pair, 1)
            if (latest := max(steps.values())) != step:
                put.append(pair)
                put_steps.append(latest)
        return _rows(removed), _rows(put), np.array(put_steps, np.int64)

    def _count_partners(self, pair: tuple[int, int, int], change: int) -> None:
        family, sender, receiver = pair
        for side, node in enumerate((sender, receiver)):
            end = (family, side, node)
            self._partners[end] += change
            if self._partners[end] >= self._busy_from:
                self.busy.add(end)
            else:
                self.busy.discard(end)
                if not self._partners[end]:
                    del self._partners[end]

    def _forget(self, entities: list[tuple[int, int]]) -> I32:
        nodes = np.array([2 * entity + (kind != EntityKind.USER) for kind, entity in entities], np.int32)
        known: I32 = nodes[self._told.packed[nodes] != _UNKNOWN]
        self._told.packed[known] = _UNKNOWN
        self._told.muted[known] = False
        return known


class _Told(NamedTuple):
    """What the network was told.

    Attributes:
        packed: `[nodes]` int64 banded features; -1 where the node is not known. muted: `[nodes]`.
        step: `[slots]` int64 last use of the link in a slot, in steps; -1 where there is none. user, ident: its ends.
    """

    packed: I64
    muted: Bool
    step: I64
    user: I32
    ident: I32


def _new_told() -> _Told:
    empty = np.empty(0, np.int32)
    return _Told(np.empty(0, np.int64), np.empty(0, np.bool_), np.empty(0, np.int64), empty, empty)


def _reserve(told: _Told, nodes: int, slots: int) -> _Told:
    if nodes > len(told.packed):
        told = told._replace(packed=grown(told.packed, nodes, _UNKNOWN), muted=grown(told.muted, nodes))
    if slots > len(told.step):
        told = told._replace(
            step=grown(told.step, slots, _UNKNOWN), user=grown(told.user, slots), ident=grown(told.ident, slots)
        )
    return told


def _node_count(graph: HotGraph) -> int:
    return 2 * max(len(graph.users.last_ms), len(graph.idents.kind))


Tops: TypeAlias = tuple[int, int, int, int]
"""Ids of users, identifiers, links and transfers below which all of them lie."""


def tops_of(graph: HotGraph) -> Tops:
    """Returns how many of each a graph has room for."""
    return (
        len(graph.users.last_ms),
        len(graph.idents.degree),
        len(graph.links.user),
        len(graph.transfers.columns.sender),
    )


def _living(graph: HotGraph, tops: Tops, at: int = 0, parts: int = 1) -> tuple[I32, I32, I32, I32]:
    """Returns the users, identifiers, links and transfers that are there, of one of so many parts below the tops."""
    users, idents, links, transfers = (slice(top * at // parts, top * (at + 1) // parts) for top in tops)
    return (
        _ids(graph.users.last_ms[users] >= 0, users),
        _ids(graph.idents.degree[idents] > 0, idents),
        _ids(graph.links.user[links] >= 0, links),
        _ids(graph.transfers.columns.sender[transfers] >= 0, transfers),
    )


def _ids(there: Bool, part: slice) -> I32:
    ids: I32 = (np.flatnonzero(there) + part.start).astype(np.int32)
    return ids


def _with_ends(graph: HotGraph, users: I32, idents: I32, slots: I32, transfers: list[int] | I32) -> tuple[I32, I32]:
    """Returns users and identifiers with those at the ends of links and transfers, which may not be told yet."""
    c = graph.transfers.columns
    return (
        distinct(np.concatenate((users, graph.links.user[slots], c.sender[transfers], c.receiver[transfers]))),
        distinct(np.concatenate((idents, graph.links.ident[slots]))),
    )


def _is_muted(idents: Idents, limits: I64, ids: I32) -> Bool:
    return (idents.degree[ids] > limits[idents.kind[ids]]) | idents.benign[ids]


def _pack(bands: I32) -> I64:
    packed = np.zeros(len(bands), np.int64)
    for column in bands.T:
        packed = (packed << _PACKED_BITS) | column
    return packed


def _rows(rows: list[tuple[int, int, int]]) -> I32:
    return np.array(rows, np.int32).reshape(-1, 3)


def _alone(nodes: I32) -> I32:
    """Returns operations on nodes as rows of family, a, b."""
    zero = np.zeros(len(nodes), np.int32)
    return np.column_stack((zero, nodes.astype(np.int32), zero))


def _operations(op: int, rows: I32) -> I32:
    return np.column_stack((np.full(len(rows), op, np.int32), rows))


@njit(cache=True)
def tell_links(told: _Told, links: Links, kinds: U8, slots: I32, put: I32, steps: I64) -> Int:
    """Fills `put` `[n, 3]` (family, a, b) and `steps` of the links that differ from what was told; returns how many."""
    n = 0
    for slot in slots:
        step = links.last_ms[slot] // _STEP
        if told.step[slot] != step:
            told.step[slot] = step
            told.user[slot], told.ident[slot] = links.user[slot], links.ident[slot]
            put[n, 0] = kinds[links.ident[slot]] - 1
            put[n, 1] = 2 * links.user[slot]
            put[n, 2] = 2 * links.ident[slot] + 1
            steps[n] = step
            n += 1
    return n


@njit(cache=True)
def take_back_links(told: _Told, kinds: U8, slots: I32, removed: I32) -> Int:
    """Fills `removed` `[n, 3]` with the links that were told and are gone; returns how many."""
    n = 0
    for slot in slots:
        if told.step[slot] != -1:
            told.step[slot] = -1
            removed[n, 0] = kinds[told.ident[slot]] - 1
            removed[n, 1] = 2 * told.user[slot]
            removed[n, 2] = 2 * told.ident[slot] + 1
            n += 1
    return n
