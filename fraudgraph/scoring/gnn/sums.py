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

from fraudgraph.graph.types import Int
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


@njit(cache=True, fastmath={"contract"}, inline="always")
def add_scaled(out: F32, row: F32, factor: Int) -> None:
    """Adds `factor` times a row."""
    for k in range(out.shape[0]):
        out[k] += factor * row[k]


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
def multiply(out: F32, matrix: F32, vector: F32) -> None:
    """Adds the transposed matrix times a vector; half of a relu's outputs are zero, and skipped."""
    width = vector.shape[0]
    j = 0
    while j < width:
        while j < width and vector[j] == 0.0:
            j += 1
        if j >= width:
            return
        first = j
        j += 1
        while j < width and vector[j] == 0.0:
            j += 1
        x = vector[first]
        row = matrix[first]
        if j >= width:
            for k in range(out.shape[0]):
                out[k] += x * row[k]
            return
        y = vector[j]
        other = matrix[j]
        for k in range(out.shape[0]):
            out[k] += x * row[k] + y * other[k]
        j += 1


@njit(cache=True)
def add_message(model: Model, state: State, to: Int, source: Int, weight: Int, count: Int) -> None:
    """Adds `weight` times slot `source`'s messages of all layers to slot `to`'s sums, and `count` links to its number.

    `weight` is what a link's weight changed by, `count` 1 for a new link, -1 for one that goes, 0 else. The last
    layer's message of a slot that is pulled from stays out.
    """
    record = state.slots[to]
    layers = model.sizes[0]
    side, source_side, base = record[SIDE], state.slots[source, SIDE], record[BASE]
    record[LIVE] += count
    pulled = state.slots[source, FLAGS] & PULL
    if pulled:
        record[PULLED] += count
    before = state.slots_f64[to, TOTAL_F64]
    if record[LIVE] == 0:
        state.slots_f64[to, TOTAL_F64] = 0.0
        state.slots_f32[to, MASS_F32] = 0.0
        for layer in range(1, layers + 1):
            at = model.sum_at[layer, side]
            if at >= 0:
                state.rows[base + at] = 0
        return
    total = before + weight
    state.slots_f64[to, TOTAL_F64] = total
    state.slots_f32[to, MASS_F32] += max(before, total)
    factor = np.float32(weight)
    at = model.sum_at[1, side]
    if at >= 0:
        node = state.slots[source, NODE]
        for f in range(model.features[state.nodes[node, KIND]]):
            add_scaled(state.rows[base + at], model.table[source_side, state.nodes[node, FEATURES + f]], factor)
    for layer in range(2, layers + 1):
        at = model.sum_at[layer, side]
        if at >= 0 and not (pulled and layer == layers):
            row = state.slots[source, BASE] + model.message_at[layer, source_side]
            add_scaled(state.rows[base + at], state.rows[row], factor)


@njit(cache=True)
def refresh(model: Model, state: State, slot: Int) -> None:
    """Adds a slot's sums up anew from its links."""
    record = state.slots[slot]
    record[LIVE] = 0
    record[PULLED] = 0
    state.slots_f64[slot, TOTAL_F64] = 0.0
    for layer in range(1, model.sizes[0] + 1):
        at = model.sum_at[layer, record[SIDE]]
        if at >= 0:
            state.rows[record[BASE] + at] = 0
    if not record[FLAGS] & MUTED:
        for i in range(record[START], record[START] + record[DEGREE]):
            partner = state.links[i, PARTNER]
            if not state.slots[partner, FLAGS] & MUTED:
                add_message(model, state, slot, partner, np.float64(state.links_f32[i, WEIGHT_F32]), 1)
    state.slots_f32[slot, MASS_F32] = 0.0
    state.counters[REFRESHED] += 1


@njit(cache=True, fastmath={"contract"})
def embed(model: Model, state: State, layer: Int, node: Int, out: F32) -> None:
    """Writes h of a layer into `out`, from the cached sums and, at the last layer, from what is pulled."""
    kind = state.nodes[node, KIND]
    out[:] = 0
    if layer == 1:
        add_scaled(out, model.bias[0, kind], np.float32(1))
        for f in range(model.features[kind]):
            add_scaled(out, model.own_table[state.nodes[node, FEATURES + f]], np.float32(1))
    else:
        add_scaled(out, state.rows[state.nodes[node, OWN] + model.own_at[layer, kind]], np.float32(1))
    slot = state.nodes[node, FIRST]
    while slot >= 0:
        record = state.slots[slot]
        if record[LIVE] > 0:
            total = state.slots_f64[slot, TOTAL_F64]
            mass = state.slots_f32[slot, MASS_F32]
            if mass > (MASS_LIMIT + MASS_PER_LINK * record[DEGREE]) * total:
                refresh(model, state, slot)
                total = state.slots_f64[slot, TOTAL_F64]
            share = np.float32(1.0 / total)
            add_scaled(out, state.rows[record[BASE] + model.sum_at[layer, record[SIDE]]], share)
            if record[PULLED] > 0 and layer == model.sizes[0]:
                pull(model, state, slot, share, out)
        slot = record[NEXT]
    for k in range(out.shape[0]):
        out[k] = max(out[k], np.float32(0))


@njit(cache=True)
def pull(model: Model, state: State, slot: Int, share: Int, out: F32) -> None:
    """Adds the last layer's messages of those neighbours that do not push."""
    layer = model.sizes[0]
    message_at = model.message_at[layer, model.opposite[state.slots[slot, SIDE]]]
    start = state.slots[slot, START]
    for i in range(start, start + state.slots[slot, DEGREE]):
        partner = state.slots[state.links[i, PARTNER]]
        if partner[FLAGS] & (PULL | MUTED) == PULL:
            add_scaled(out, state.rows[partner[BASE] + message_at], share * state.links_f32[i, WEIGHT_F32])
