"""Kernels that run now and then: a new start of the weights' scale, and the measure of drift."""

from __future__ import annotations

from typing import Final

import numpy as np

from fraudgraph.graph.types import F64, I32, Int
from fraudgraph.kernels import bare, njit
from fraudgraph.scoring.gnn.means import WORN, is_worn, message_of
from fraudgraph.scoring.gnn.slots import (
    first_slot,
    kind_of,
    next_slot,
    node_of,
    partner_of,
    side_of,
    total_of,
)
from fraudgraph.scoring.gnn.state import (
    DEGREE,
    FLAGS,
    ID,
    LINE_SHIFT,
    MUTED,
    PULL,
    START,
    WEAR_F32,
    WEIGHT_F32,
    Model,
    State,
)

LEAST_WEIGHT: Final = 2.0**-100
"""Of a newest link's, at most: links older than a hundred half-lives are not told apart."""


@bare()
def rescale(state: State, factor: Int) -> None:
    """Multiplies all weights by a power of two, which rounds nothing and moves no mean.

    A weight stays above `LEAST_WEIGHT`; a node with one that would not is added up anew when it is next used.
    """
    for number in range(len(state.place)):
        if state.place[number] < 0:
            continue
        node = state.place[number] << LINE_SHIFT
        slot = first_slot(state, node)
        while slot >= 0:
            state.doubles[total_of(state, slot)] *= factor
            start = state.words[slot + START]
            for half in range(start, start + state.words[slot + DEGREE]):
                weight = np.float64(state.links_f32[half, WEIGHT_F32]) * factor
                if weight < LEAST_WEIGHT:
                    weight = LEAST_WEIGHT
                    state.memory[node + WEAR_F32] = WORN
                state.links_f32[half, WEIGHT_F32] = weight
            slot = next_slot(state, slot)


@njit(cache=True)
def measure_drift(model: Model, state: State, nodes: I32) -> Int:
    """Returns the largest difference of these nodes' Z from one added up anew in float64.

    What is due to be added up anew is nobody's, and left out.
    """
    worst = 0.0
    fresh = np.empty(state.scratch.shape[1], np.float64)
    for number in nodes:
        node = state.place[number] << LINE_SHIFT
        kind = kind_of(state, node)
        for layer in range(1, model.sizes[0] + 1):
            z_at = model.z_at[layer, kind]
            if z_at > 0 and not is_worn(state, node):
                _add_up(model, state, node, layer, fresh)
                for k in range(len(fresh)):
                    worst = max(worst, abs(np.float64(state.memory[node + z_at + k]) - fresh[k]))
    return worst


@bare()
def _add_up(model: Model, state: State, node: Int, layer: Int, out: F64) -> None:
    """Writes the Z of a layer that should be cached."""
    kind, number = kind_of(state, node), state.words[node + ID]
    for k in range(len(out)):
        if layer == 1:
            out[k] = model.bias[0, kind, k]
            for f in range(model.features[kind]):
                out[k] += model.own_table[state.features[number, f], k]
        else:
            out[k] = state.memory[node + model.own_at[layer, kind] + k]
    slot = first_slot(state, node)
    while slot >= 0:
        if not state.words[slot + FLAGS] & MUTED:
            _add_slot(model, state, slot, layer, out)
        slot = next_slot(state, slot)


@bare()
def _add_slot(model: Model, state: State, slot: Int, layer: Int, out: F64) -> None:
    side = model.opposite[side_of(state, slot)]
    start, total = state.words[slot + START], 0.0
    stop = start + state.words[slot + DEGREE]
    for half in range(start, stop):
        if not state.words[partner_of(state, half) + FLAGS] & MUTED:
            total += np.float64(state.links_f32[half, WEIGHT_F32])
    for half in range(start, stop):
        partner = partner_of(state, half)
        flags, number = state.words[partner + FLAGS], state.words[node_of(state, partner) + ID]
        if flags & MUTED or (layer == model.sizes[0] and flags & PULL and layer > 1):
            continue
        share = np.float64(state.links_f32[half, WEIGHT_F32]) / total
        for k in range(len(out)):
            if layer == 1:
                for f in range(model.features[kind_of(state, node_of(state, partner))]):
                    out[k] += share * model.table[side, state.features[number, f], k]
            else:
                out[k] += share * state.memory[message_of(state, partner, model.message_at[layer, side]) + k]
