"""The incremental engine: keeps every output of the network exact while links, features and hubs change.

Only the change of an embedding travels (Ripple, ICDCS 2025; InkStream, IPDPS 2025): messages are sent already
multiplied, `W · h`. What differs from those papers: what is cached of a node is what stands inside its relus, not a sum
per relation (`means`); layer 1 comes from tables, since h⁰ is a sum of encoder rows; rows on which no output depends
are not kept; nodes of many links do not push their last message, their neighbours pull it when they are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from fraudgraph.errors import ConfigurationError
from fraudgraph.graph.types import F64, I8, I32, I64, Bool
from fraudgraph.scoring.gnn.kernels import change_features, run
from fraudgraph.scoring.gnn.model import F32, NetworkWeights
from fraudgraph.scoring.gnn.passing import read_embeddings
from fraudgraph.scoring.gnn.state import (
    DIRTY,
    LINE,
    LINE_TOP,
    LINK_TOP,
    LINKS,
    NODES,
    PULLED,
    PUSHED,
    REFRESHED,
    SERIAL,
    SLOTS,
    STAMP,
    grow,
    grow_nodes,
    new_model,
    new_state,
)
from fraudgraph.scoring.gnn.upkeep import measure_drift, rescale

PULL_DEGREE: Final = 100
"""More links than this on one side, and the last message is pulled. The trial's break-even; any value is exact."""

HALF_LIVES: Final = 60
"""float32 holds 2^-126 … 2^127: weights are rescaled when they reach 2^60, and a new link older by that is refused."""

_LAST_SERIAL: Final = 2**31 - 1
"""Batches are numbered in int32 on each node."""

_ALL_ONE: Final = np.empty(0, np.float32)


@dataclass(frozen=True, slots=True)
class FeatureBatch:
    """Nodes that are new or whose features changed; applied before a batch's links.

    Attributes:
        node: `[n]` int32, numbers of the caller's choice from 0, dense.
        kind: `[n]` int8, index in the schema.
        bands: `[n, f]` int32, f the most features that a kind has; what a kind does not have is ignored.
    """

    node: I32
    kind: I8
    bands: I32


@dataclass(frozen=True, slots=True)
class LinkBatch:
    """Operations in order.

    Attributes:
        op: `[n]` int8 of `kernels`: PUT (a new link, or another last use), REMOVE (nothing where there is none), MUTE
            and UNMUTE (node `a` stops or begins to link), FORGET (node `a`, which has no links, is dropped).
        family: `[n]` int32 index in the schema, for links; 0 else, with `b` 0.
        a, b: `[n]` int32 nodes at side 0 and side 1.
        last_ms: `[n]` int64 last use of a link that is put; None where the schema has no half-life.
    """

    op: I8
    family: I32
    a: I32
    b: I32
    last_ms: I64 | None = None


_NOTHING: Final = np.empty(0, np.int32)
_NO_LINKS: Final = LinkBatch(np.empty(0, np.int8), _NOTHING, _NOTHING, _NOTHING)


@dataclass(frozen=True, slots=True)
class Affected:
    """Outputs whose score may have moved, each once, in no order.

    Neighbours of a node that is pulled from are not listed when only that node's message moved: `logits` reads them.

    Attributes:
        nodes: `[n]` int32.
        logits: `[n]` float32, p · h^L + c: the logit without the head's own features.
    """

    nodes: I32
    logits: F32


@dataclass(frozen=True, slots=True)
class Figures:
    """What the engine holds and did.

    Attributes:
        bytes: memory of what is in use.
        pushed: rows that messages were added to; refreshed: nodes that were added up anew (`means`).
    """

    links: int
    slots: int
    bytes: int
    pushed: int
    refreshed: int


class IncrementalNetwork:
    """One network over one graph; one writer, no thread safety.

    Args:
        weights: the numbers and their schema.
        pull_degree: from more links than this on one side on, a node's last message is pulled at read.
        nodes, links: how many to make room for to begin with.
    """

    def __init__(
        self, weights: NetworkWeights, *, pull_degree: int = PULL_DEGREE, nodes: int = 1024, links: int = 1024
    ) -> None:
        schema = weights.schema
        self.weights = weights
        self._model = new_model(weights, pull_degree)
        self._state = new_state(schema, nodes=nodes, links=links)
        counts = [len(kind.bands) for kind in schema.kinds]
        self._offsets = np.zeros((len(counts), max(counts)), np.int32)
        self._bands = np.full((len(counts), max(counts)), np.iinfo(np.int32).max, np.int32)
        for kind, count in enumerate(counts):
            self._offsets[kind, :count] = schema.row_offsets(kind)
            self._bands[kind, :count] = schema.kinds[kind].bands
        self._start_ms: int | None = None
        self._room = np.zeros(2, np.int64)

    def apply(self, links: LinkBatch | None, features: FeatureBatch | None = None) -> Affected:
        """Applies a batch and returns the outputs that it touched, with their logits.

        Raises:
            ConfigurationError: an operation names a node that is not there or is of another kind than its family
                joins; a feature lies outside of its bands; a link is older than the oldest that can be weighed. What
                stands before it in the batch may be applied.
        """
        self._begin()
        if features is not None:
            self._apply_features(features)
        links = _NO_LINKS if links is None else links
        if not len(links.op) == len(links.family) == len(links.a) == len(links.b):
            raise ConfigurationError("a batch's columns differ in length", do="Give every operation all columns.")
        weight = self._weigh(links)
        start = 0
        while True:
            found = run(self._model, self._state, links.op, links.family, links.a, links.b, weight, start, self._room)
            if found >= 0:
                return Affected(self._state.touched[:found].copy(), self._state.logit[:found].copy())
            if self._room[0] < 0:
                raise ConfigurationError(
                    f"operation {-1 - found} of a batch names a node that is not there, has links, or is of a kind "
                    "that its family does not join",
                    do="Give nodes before their links, and remove links before their nodes.",
                )
            start = -1 - found
            self._state = grow(self._state, int(self._room[0]), int(self._room[1]))

    def _begin(self) -> None:
        counters = self._state.counters
        if counters[SERIAL] == _LAST_SERIAL:
            lines = self._state.place[self._state.place >= 0].astype(np.int64)
            self._state.words[lines * LINE + STAMP] = 0
            counters[SERIAL] = 0
        counters[SERIAL] += 1
        counters[DIRTY] = 0

    def logits(self, nodes: I32) -> F32:
        """Returns exact logits without the head's own features, `[n]`, pulled from hubs where need be.

        Raises:
            ConfigurationError: a node is unknown, or no output.
        """
        logits: F32 = self.embeddings(nodes) @ self.weights.head + np.float32(self.weights.head_bias)
        return logits

    def probabilities(self, nodes: I32, head_features: F32) -> F64:
        """Returns probabilities, `[n]`, with the head's own features as of now, `[n, x]`."""
        logits = self.logits(nodes).astype(np.float64) + head_features.astype(np.float64) @ self.weights.head_x
        out: F64 = 1.0 / (1.0 + np.exp(-logits))
        return out

    def embeddings(self, nodes: I32, layer: int | None = None) -> F32:
        """Returns h of a layer (the last one by default), `[n, d]`.

        Raises:
            ConfigurationError: a node is unknown, or no output depends on its kind at that layer.
        """
        schema = self.weights.schema
        out = np.empty((len(nodes), schema.width), np.float32)
        layer = schema.layers if layer is None else layer
        self._check_read(int(read_embeddings(self._model, self._state, layer, nodes, out)), nodes)
        return out

    def pulls(self, nodes: I32) -> Bool:
        """Returns which of these outputs, all of them known, read a message that is pulled, `[n]`."""
        places = self._state.place[nodes].astype(np.int64) * LINE
        pulled: Bool = self._state.words[places + PULLED] > 0
        return pulled

    def drift(self, nodes: I32) -> float:
        """Returns the largest difference, in these nodes' cached means, from adding them up anew in float64.

        A metric: small beside the messages' size, about 1, as long as `means` keeps its bound.
        """
        self._check_read(_count_known(self._state.place, nodes), nodes)
        return float(measure_drift(self._model, self._state, nodes))

    def figures(self) -> Figures:
        """Returns what is held, in numbers."""
        state, counters = self._state, self._state.counters
        per_node = sum(
            column.strides[0] for column in (state.place, state.features, state.dirty, state.touched, state.logit)
        )
        used = counters[LINE_TOP] * LINE * 4 + counters[LINK_TOP] * state.links.strides[0] + counters[NODES] * per_node
        return Figures(
            links=int(counters[LINKS]),
            slots=int(counters[SLOTS]),
            bytes=int(used),
            pushed=int(counters[PUSHED]),
            refreshed=int(counters[REFRESHED]),
        )

    def _check_read(self, count: int, nodes: I32) -> None:
        if count < len(nodes):
            raise ConfigurationError(
                f"node {int(nodes[count])} has no embedding here",
                do="Read nodes that were given, of a kind that the network's schema has as an output.",
            )

    def _apply_features(self, features: FeatureBatch) -> None:
        if not len(features.node):
            return
        bands = self._bands[features.kind]
        if (features.bands < 0).any() or (features.bands >= bands).any() or int(features.node.min()) < 0:
            raise ConfigurationError(
                "a feature lies outside of the bands that the network knows", do="Clip features to the schema's bands."
            )
        top = int(features.node.max()) + 1
        if top > len(self._state.place):
            self._state = grow_nodes(self._state, top)
        lines = int(self._state.counters[LINE_TOP]) + int(self._model.node_lines[features.kind].sum())
        self._state = grow(self._state, lines, 0)
        bands = features.bands + self._offsets[features.kind]
        lent = np.empty(bands.shape[1], np.int32)
        if change_features(self._model, self._state, features.node, features.kind, bands, lent) < len(features.node):
            raise ConfigurationError("a node changes its kind", do="Forget it first, or use another number.")

    def _weigh(self, links: LinkBatch) -> F32:
        """Returns weights against the present start of the scale, which moves when they grow too large."""
        half_life_ms = self.weights.schema.half_life_ms
        if half_life_ms is None or links.last_ms is None or not len(links.op):
            return _ALL_ONE
        if self._start_ms is None:
            self._start_ms = int(links.last_ms.max())
        if len(links.op) == 1:  # a call of numpy for each step would take longer than the update itself
            age = (int(links.last_ms[0]) - self._start_ms) / half_life_ms
            if -HALF_LIVES <= age <= HALF_LIVES:
                return np.array([2.0**age], np.float32)
        ages = (links.last_ms - self._start_ms) / half_life_ms
        if float(ages.max()) > HALF_LIVES:
            steps = int(ages.max())
            rescale(self._state, 2.0**-steps)
            self._start_ms += steps * half_life_ms
            ages -= steps
        if float(ages.min()) < -HALF_LIVES:
            raise ConfigurationError(
                f"a link is {-float(ages.min()):.0f} half-lives older than the newest, the network weighs up to "
                f"{HALF_LIVES}",
                do="Let links expire earlier than that, or train with a longer half-life.",
            )
        weights: F32 = np.exp2(ages).astype(np.float32)
        return weights


def _count_known(place: I32, wanted: I32) -> int:
    """Returns how many of the wanted nodes are known before one that is not."""
    inside = (wanted >= 0) & (wanted < len(place))
    unknown = np.flatnonzero(~inside | (place[np.where(inside, wanted, 0)] < 0))
    return int(unknown[0]) if len(unknown) else len(wanted)
