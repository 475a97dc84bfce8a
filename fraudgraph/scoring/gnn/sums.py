"""Kernels on cached sums: what a message adds, what a node's embedding is, when a sum is added up anew.

**Drift.** Sums are float32: a fixed point that would be order-free and bit-equal has 31 bits for range and precision
together, and weights with a forward decay span more than that within a year. Each addition to a sum rounds by at most
u = 2⁻²⁴ of the weight it then holds, times the largest message. So a slot counts its *mass*, the total weight at each
addition; the error of its mean is at most u · mass / weight · |message|. Where mass / weight passes
`MASS_LIMIT` + `MASS_PER_LINK` · degree, all its sums are added up anew before they are next used: after 256 additions
on a slot of few links, and at once where a heavy link leaves light ones behind. That holds the error
below 1.6e-5 of a message plus what one plain summation of a hub's neighbours has.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from fraudgraph.graph.types import I64, Int
from fraudgraph.kernels import njit
from fraudgraph.rings.processor import prefetch
from fraudgraph.scoring.gnn.model import F32
from fraudgraph.scoring.gnn.state import (
    BASE,
    DEGREE,
    DIRTY,
    FEATURES,
    FIRST,
    FLAGS,
    KIND,
    LIVE,
    MASS_F32,
    MUTED,
    NEXT,
    NODE,
    OWN,
    PARTNER,
    PULL,
    PULLED,
    REFRESHED,
    SERIAL,
    SIDE,
    STAMP,
    START,
    TOTAL_F64,
    WEIGHT_F32,
    Model,
    State,
)

MASS_LIMIT: Final = 256
MASS_PER_LINK: Final = 2
LINE: Final = 16
"""float32 in a cache line."""

# A call hands over each array of the model and the state by itself, some hundred words, which costs as much as a row:
# what runs per link or per neighbour is inlined, and indexes instead of making views, whose references are counted.


@njit(cache=True, inline="always")
def add_to(rows: F32, row: Int, factor: Int, delta: F32) -> None:
    """Adds `factor` times a vector to a row."""
    for k in range(rows.shape[1]):
        rows[row, k] += factor * delta[k]


@njit(cache=True, inline="always")
def add_from(out: F32, factor: Int, rows: F32, row: Int) -> None:
    """Adds `factor` times a row to a vector."""
    for k in range(rows.shape[1]):
        out[k] += factor * rows[row, k]


@njit(cache=True, inline="always")
def clear(rows: F32, row: Int) -> None:
    """Sets a row to zero."""
    for k in range(rows.shape[1]):
        rows[row, k] = 0


@njit(cache=True, inline="always")
def fetch_row(state: State, row: Int) -> None:
    """Starts to load a row."""
    width = state.rows.shape[1]
    for k in range(0, width, LINE):
        prefetch(state.rows, row * width + k)


@njit(cache=True, inline="always")
def mark(state: State, node: Int) -> None:
    """Puts a node into the batch's list, once."""
    if state.nodes[node, STAMP] != state.counters[SERIAL]:
        state.nodes[node, STAMP] = state.counters[SERIAL]
        state.dirty[state.counters[DIRTY]] = node
        state.counters[DIRTY] += 1


@njit(cache=True, fastmath={"contract"})
def multiply(out: F32, matrix: F32, vector: F32, picks: I64) -> None:
    """Adds the transposed matrix times a vector, four inputs at a time; a relu's zeros are left out."""
    count = 0
    for j in range(vector.shape[0]):
        picks[count] = j
        count += vector[j] != 0
    first = 0
    while first + 4 <= count:
        j0, j1, j2, j3 = picks[first], picks[first + 1], picks[first + 2], picks[first + 3]
        x0, x1, x2, x3 = vector[j0], vector[j1], vector[j2], vector[j3]
        for k in range(out.shape[0]):
            out[k] += (x0 * matrix[j0, k] + x1 * matrix[j1, k]) + (x2 * matrix[j2, k] + x3 * matrix[j3, k])
        first += 4
    for i in range(first, count):
        x = vector[picks[i]]
        for k in range(out.shape[0]):
            out[k] += x * matrix[picks[i], k]


@njit(cache=True, inline="always")
def add_message(model: Model, state: State, to: Int, source: Int, weight: Int, count: Int) -> None:
    """Adds `weight` times slot `source`'s messages of all layers to slot `to`'s sums, and `count` links to its number.

    `weight` is what a link's weight changed by, `count` 1 for a new link, -1 for one that goes, 0 else. The last
    layer's message of a slot that is pulled from stays out.
    """
    layers = model.sizes[0]
    side, source_side = state.slots[to, SIDE], state.slots[source, SIDE]
    base, source_base = state.slots[to, BASE], state.slots[source, BASE]
    state.slots[to, LIVE] += count
    pulled = state.slots[source, FLAGS] & PULL
    if pulled:
        state.slots[to, PULLED] += count
    before = state.slots_f64[to, TOTAL_F64]
    if state.slots[to, LIVE] == 0:
        state.slots_f64[to, TOTAL_F64] = 0.0
        state.slots_f32[to, MASS_F32] = 0.0
        for layer in range(1, layers + 1):
            if model.sum_at[layer, side] >= 0:
                clear(state.rows, base + model.sum_at[layer, side])
    else:
        total = before + weight
        state.slots_f64[to, TOTAL_F64] = total
        state.slots_f32[to, MASS_F32] += max(before, total)
        factor = np.float32(weight)
        if model.sum_at[1, side] >= 0:
            row = base + model.sum_at[1, side]
            node = state.slots[source, NODE]
            for f in range(model.features[state.nodes[node, KIND]]):
                table_row = state.nodes[node, FEATURES + f]
                for k in range(state.rows.shape[1]):
                    state.rows[row, k] += factor * model.table[source_side, table_row, k]
        for layer in range(2, layers + 1):
            if model.sum_at[layer, side] >= 0 and not (pulled and layer == layers):
                row = base + model.sum_at[layer, side]
                message = source_base + model.message_at[layer, source_side]
                for k in range(state.rows.shape[1]):
                    state.rows[row, k] += factor * state.rows[message, k]


@njit(cache=True, inline="always")
def is_due(state: State, slot: Int) -> Int:
    """Returns whether a slot's sums must be added up anew before they are used."""
    limit = MASS_LIMIT + MASS_PER_LINK * state.slots[slot, DEGREE]
    return state.slots_f32[slot, MASS_F32] > limit * state.slots_f64[slot, TOTAL_F64]


@njit(cache=True, fastmath={"contract"})
def refresh(model: Model, state: State, slot: Int) -> None:
    """Adds a slot's sums up anew from its links."""
    state.slots[slot, LIVE] = 0
    state.slots[slot, PULLED] = 0
    state.slots_f64[slot, TOTAL_F64] = 0.0
    for layer in range(1, model.sizes[0] + 1):
        at = model.sum_at[layer, state.slots[slot, SIDE]]
        if at >= 0:
            clear(state.rows, state.slots[slot, BASE] + at)
    if not state.slots[slot, FLAGS] & MUTED:
        start = state.slots[slot, START]
        for i in range(start, start + state.slots[slot, DEGREE]):
            partner = state.links[i, PARTNER]
            if not state.slots[partner, FLAGS] & MUTED:
                add_message(model, state, slot, partner, np.float64(state.links_f32[i, WEIGHT_F32]), 1)
    state.slots_f32[slot, MASS_F32] = 0.0
    state.counters[REFRESHED] += 1


@njit(cache=True, inline="always")
def embed(model: Model, state: State, layer: Int, node: Int, out: F32) -> None:
    """Writes h of a layer into `out`, from the cached sums and, at the last layer, from what is pulled."""
    kind = state.nodes[node, KIND]
    if layer == 1:
        for k in range(out.shape[0]):
            out[k] = model.bias[0, kind, k]
        for f in range(model.features[kind]):
            add_from(out, np.float32(1), model.own_table, state.nodes[node, FEATURES + f])
    else:
        own = state.nodes[node, OWN] + model.own_at[layer, kind]
        for k in range(out.shape[0]):
            out[k] = state.rows[own, k]
    slot = state.nodes[node, FIRST]
    while slot >= 0:
        if state.slots[slot, LIVE] > 0:
            if is_due(state, slot):
                refresh(model, state, slot)
            share = np.float32(1.0 / state.slots_f64[slot, TOTAL_F64])
            row = state.slots[slot, BASE] + model.sum_at[layer, state.slots[slot, SIDE]]
            add_from(out, share, state.rows, row)
            if state.slots[slot, PULLED] > 0 and layer == model.sizes[0]:
                pull(model, state, slot, share, out)
        slot = state.slots[slot, NEXT]
    for k in range(out.shape[0]):
        out[k] = max(out[k], np.float32(0))


@njit(cache=True, fastmath={"contract"})
def pull(model: Model, state: State, slot: Int, share: Int, out: F32) -> None:
    """Adds the last layer's messages of those neighbours that do not push."""
    layer = model.sizes[0]
    message_at = model.message_at[layer, model.opposite[state.slots[slot, SIDE]]]
    start = state.slots[slot, START]
    for i in range(start, start + state.slots[slot, DEGREE]):
        partner = state.links[i, PARTNER]
        if state.slots[partner, FLAGS] & (PULL | MUTED) == PULL:
            factor = share * state.links_f32[i, WEIGHT_F32]
            add_from(out, factor, state.rows, state.slots[partner, BASE] + message_at)
