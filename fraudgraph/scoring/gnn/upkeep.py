"""Kernels that run now and then: a new start of the weights' scale, and the measure of drift."""

from __future__ import annotations

from typing import Final

import numpy as np

from fraudgraph.graph.types import F64, I32, Int
from fraudgraph.kernels import njit
from fraudgraph.scoring.gnn.state import (
    BASE,
    DEGREE,
    FEATURES,
    FIRST,
    FLAGS,
    KIND,
    LIVE,
    MASS_F32,
    MUTED,
    NEXT,
    NODE,
    PARTNER,
    PULL,
    SIDE,
    SLOT_TOP,
    START,
    TOTAL_F64,
    WEIGHT_F32,
    Model,
    State,
)
from fraudgraph.scoring.gnn.sums import is_due

LEAST_WEIGHT: Final = 2.0**-100
"""Of a newest link's, at most: links older than a hundred half-lives are not told apart."""


@njit(cache=True)
def rescale(model: Model, state: State, factor: Int) -> None:
    """Multiplies all weights and sums by a power of two, which rounds nothing.

    A weight stays above `LEAST_WEIGHT`; sums with one that would not are added up anew when they are next used.
    """
    single = np.float32(factor)
    for slot in range(state.counters[SLOT_TOP]):
        if state.slots[slot, NODE] >= 0:
            state.slots_f64[slot, TOTAL_F64] *= factor
            state.slots_f32[slot, MASS_F32] *= single
            start = state.slots[slot, START]
            for i in range(start, start + state.slots[slot, DEGREE]):
                weight = state.links_f32[i, WEIGHT_F32] * single
                if weight < LEAST_WEIGHT:
                    weight = np.float32(LEAST_WEIGHT)
                    state.slots_f32[slot, MASS_F32] = np.inf
                state.links_f32[i, WEIGHT_F32] = weight
            for layer in range(1, model.sizes[0] + 1):
                at = model.sum_at[layer, state.slots[slot, SIDE]]
                if at >= 0:
                    for k in range(state.rows.shape[1]):
                        state.rows[state.slots[slot, BASE] + at, k] *= single


@njit(cache=True)
def measure_drift(model: Model, state: State, nodes: I32) -> Int:
    """Returns the largest difference of a cached mean of these nodes from one added up anew in float64.

    Sums that are due to be added up anew are nobody's, and left out.
    """
    worst = 0.0
    fresh = np.empty(state.rows.shape[1], np.float64)
    for node in nodes:
        slot = state.nodes[node, FIRST]
        while slot >= 0:
            for layer in range(1, model.sizes[0] + 1):
                at = model.sum_at[layer, state.slots[slot, SIDE]]
                if at >= 0 and state.slots[slot, LIVE] > 0 and not is_due(state, slot):
                    total = _add_up(model, state, slot, layer, fresh)
                    for k in range(len(fresh)):
                        mean = np.float64(state.rows[state.slots[slot, BASE] + at, k])
                        mean /= state.slots_f64[slot, TOTAL_F64]
                        worst = max(worst, abs(mean - fresh[k] / total))
            slot = state.slots[slot, NEXT]
    return worst


@njit(cache=True)
def _add_up(model: Model, state: State, slot: Int, layer: Int, out: F64) -> Int:
    """Writes the sum of a layer's messages that should be cached; returns the weight."""
    out[:] = 0.0
    total = 0.0
    side = model.opposite[state.slots[slot, SIDE]]
    start = state.slots[slot, START]
    for i in range(start, start + state.slots[slot, DEGREE]):
        partner = state.links[i, PARTNER]
        flags, weight = state.slots[partner, FLAGS], np.float64(state.links_f32[i, WEIGHT_F32])
        if flags & MUTED:
            continue
        total += weight
        node = state.slots[partner, NODE]
        if layer == 1:
            for f in range(model.features[state.nodes[node, KIND]]):
                for k in range(len(out)):
                    out[k] += weight * model.table[side, state.nodes[node, FEATURES + f], k]
        elif not (layer == model.sizes[0] and flags & PULL):
            for k in range(len(out)):
                out[k] += weight * state.rows[state.slots[partner, BASE] + model.message_at[layer, side], k]
    return total
