"""Kernels that send changes on through the layers, and read what stands there."""

from __future__ import annotations

from typing import Final

import numpy as np

from fraudgraph.graph.types import I32, Int
from fraudgraph.kernels import njit
from fraudgraph.rings.processor import prefetch
from fraudgraph.scoring.gnn.model import F32
from fraudgraph.scoring.gnn.state import (
    BASE,
    DEGREE,
    DIRTY,
    FIRST,
    FLAGS,
    KIND,
    MASS_F32,
    MUTED,
    NEXT,
    NODE,
    OWN,
    PARTNER,
    PULL,
    PUSHED,
    SIDE,
    SLOT_COLUMNS,
    START,
    TOTAL_F64,
    WEIGHT_F32,
    Model,
    State,
)
from fraudgraph.scoring.gnn.sums import add_to, embed, fetch_row, mark, multiply

_AHEAD: Final = 32


@njit(cache=True, inline="always")
def fetch_slot(state: State, slot: Int) -> None:
    """Starts to load a slot, which may lie across two cache lines."""
    prefetch(state.slots, slot * SLOT_COLUMNS)
    prefetch(state.slots, slot * SLOT_COLUMNS + SLOT_COLUMNS - 1)


@njit(cache=True, inline="always")
def push(state: State, slot: Int, at: Int, delta: F32) -> None:
    """Adds the change of a message to the sums of all neighbours on one side, and marks them."""
    start, degree = state.slots[slot, START], state.slots[slot, DEGREE]
    state.counters[PUSHED] += degree
    for first in range(start, start + degree, _AHEAD):
        stop = min(first + _AHEAD, start + degree)
        for i in range(first, stop):
            fetch_slot(state, state.links[i, PARTNER])
        for i in range(first, stop):
            partner = state.links[i, PARTNER]
            fetch_row(state, state.slots[partner, BASE] + at)
            prefetch(state.nodes, state.slots[partner, NODE] * state.nodes.shape[1])
        for i in range(first, stop):
            partner = state.links[i, PARTNER]
            if not state.slots[partner, FLAGS] & MUTED:
                add_to(state.rows, state.slots[partner, BASE] + at, state.links_f32[i, WEIGHT_F32], delta)
                state.slots_f32[partner, MASS_F32] += state.slots_f64[partner, TOTAL_F64]
                mark(state, state.slots[partner, NODE])


@njit(cache=True, inline="always")
def fetch_ahead(model: Model, state: State, layer: Int, at: Int) -> None:
    """Starts to load what `embed` reads of the nodes after `at`: the further away, the less of each."""
    count = state.counters[DIRTY]
    if at + 6 < count:
        prefetch(state.nodes, state.dirty[at + 6] * state.nodes.shape[1])
    if at + 4 < count and state.nodes[state.dirty[at + 4], FIRST] >= 0:
        fetch_slot(state, state.nodes[state.dirty[at + 4], FIRST])
    if at + 2 < count:
        node = state.dirty[at + 2]
        kind = state.nodes[node, KIND]
        if kind >= 0:
            if model.own_at[layer, kind] >= 0:
                fetch_row(state, state.nodes[node, OWN] + model.own_at[layer, kind])
            slot = state.nodes[node, FIRST]
            while slot >= 0:
                if model.sum_at[layer, state.slots[slot, SIDE]] >= 0:
                    fetch_row(state, state.slots[slot, BASE] + model.sum_at[layer, state.slots[slot, SIDE]])
                slot = state.slots[slot, NEXT]


@njit(cache=True, fastmath={"contract"})
def pass_on(model: Model, state: State, layer: Int) -> None:
    """Sends on what the batch's nodes have at a layer, to the sums of the next."""
    h, fresh, layers = state.scratch[0], state.scratch[1], model.sizes[0]
    count = state.counters[DIRTY]
    for i in range(count):
        node = state.dirty[i]
        fetch_ahead(model, state, layer, i)
        kind = state.nodes[node, KIND]
        if kind < 0 or not model.needed[layer, kind]:
            continue
        embed(model, state, layer, node, h)
        if model.own_at[layer + 1, kind] >= 0:
            own = state.rows[state.nodes[node, OWN] + model.own_at[layer + 1, kind]]
            own[:] = model.bias[layer, kind]
            multiply(own, model.own[layer, kind], h, state.picks)
        slot = state.nodes[node, FIRST]
        while slot >= 0:
            side = state.slots[slot, SIDE]
            message_at = model.message_at[layer + 1, side]
            if message_at >= 0:
                start = state.slots[slot, START]
                for j in range(start, start + min(state.slots[slot, DEGREE], _AHEAD)):
                    fetch_slot(state, state.links[j, PARTNER])
                fresh[:] = 0
                multiply(fresh, model.relation[layer, side], h, state.picks)
                stored = state.slots[slot, BASE] + message_at
                changed = np.float32(0)
                for k in range(fresh.shape[0]):
                    new = fresh[k]
                    fresh[k] = new - state.rows[stored, k]
                    state.rows[stored, k] = new
                    changed = max(changed, abs(fresh[k]))
                held = state.slots[slot, FLAGS] & MUTED or (layer + 1 == layers and state.slots[slot, FLAGS] & PULL)
                if changed > 0 and not held:
                    push(state, slot, model.sum_at[layer + 1, model.opposite[side]], fresh)
            slot = state.slots[slot, NEXT]


@njit(cache=True, fastmath={"contract", "reassoc"})
def score(model: Model, state: State) -> Int:
    """Leaves only outputs in the batch's list, with their logits beside; returns how many."""
    h, layers, found = state.scratch[2], model.sizes[0], 0
    for i in range(state.counters[DIRTY]):
        node = state.dirty[i]
        fetch_ahead(model, state, layers, i)
        kind = state.nodes[node, KIND]
        if kind >= 0 and model.outputs[kind]:
            embed(model, state, layers, node, h)
            total = np.float32(0)
            for k in range(h.shape[0]):
                total += h[k] * model.head[k]
            state.dirty[found] = node
            state.logit[found] = total + model.head_bias[0]
            found += 1
    state.counters[DIRTY] = found
    return found


@njit(cache=True, fastmath={"contract"})
def read_embeddings(model: Model, state: State, layer: Int, nodes: I32, out: F32) -> Int:
    """Writes h of a layer; returns how many nodes could be read before one that cannot."""
    h = state.scratch[2]
    for i in range(len(nodes)):
        if not 0 <= nodes[i] < len(state.nodes):
            return i
        kind = state.nodes[nodes[i], KIND]
        if kind < 0 or not model.needed[layer, kind]:
            return i
        embed(model, state, layer, nodes[i], h)
        out[i] = h
    return len(nodes)
