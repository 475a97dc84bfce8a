"""Kernels of a batch: links come and go, then embeddings that changed send the change on, layer by layer.

Between any two steps, each cached sum is the sum of its neighbours' *stored* messages. So links can come and go in any
number before anything is recomputed, and the order of a batch does not matter to the result.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from fraudgraph.graph.types import I8, I32, I64, Int
from fraudgraph.kernels import njit
from fraudgraph.rings.processor import prefetch
from fraudgraph.scoring.gnn.model import F32
from fraudgraph.scoring.gnn.slots import (
    close_slot,
    find_link,
    find_slot,
    give_rows,
    open_slot,
    room_for_one_more,
    take_rows,
    tie,
    untie,
)
from fraudgraph.scoring.gnn.state import (
    BASE,
    DEGREE,
    DIRTY,
    FEATURES,
    FIRST,
    FLAGS,
    KIND,
    LINK_TOP,
    LINKS,
    MASS_F32,
    MUTED,
    NEXT,
    NODE,
    OWN,
    PARTNER,
    PULL,
    PULLED,
    PUSHED,
    ROW_TOP,
    SIDE,
    SILENT,
    SLOT_COLUMNS,
    SLOT_TOP,
    START,
    TOTAL_F64,
    WEIGHT_F32,
    Model,
    State,
)
from fraudgraph.scoring.gnn.sums import add_message, add_scaled, embed, fetch_row, mark, multiply

PUT: Final = 0
REMOVE: Final = 1
MUTE: Final = 2
UNMUTE: Final = 3
FORGET: Final = 4

_AHEAD: Final = 32


@njit(cache=True)
def change_features(model: Model, state: State, nodes: I32, kinds: I8, rows: I32) -> None:
    """Sets the encoder rows of nodes, new ones or known; the caller reserved room."""
    old = np.zeros(rows.shape[1], np.int32)
    for i in range(len(nodes)):
        node = nodes[i]
        record = state.nodes[node]
        kind = kinds[i]
        count = model.features[kind]
        if record[KIND] < 0:
            record[KIND] = kind
            record[FIRST] = -1
            record[SILENT] = 0
            record[OWN] = take_rows(state, model.node_rows[kind])
        changed = False
        for f in range(count):
            old[f] = record[FEATURES + f]
            changed |= old[f] != rows[i, f]
            record[FEATURES + f] = rows[i, f]
        mark(state, node)
        slot = record[FIRST] if changed and not record[SILENT] else np.int32(-1)
        while slot >= 0:
            _push_features(model, state, slot, old[:count])
            slot = state.slots[slot, NEXT]


@njit(cache=True)
def _push_features(model: Model, state: State, slot: Int, old: I32) -> None:
    """Sends the change of a node's first message to its neighbours on one side."""
    record = state.slots[slot]
    side, node = record[SIDE], record[NODE]
    at = model.sum_at[1, model.opposite[side]]
    if at < 0:
        return
    delta = state.scratch[0]
    delta[:] = 0
    for f in range(len(old)):
        add_scaled(delta, model.table[side, state.nodes[node, FEATURES + f]], np.float32(1))
        add_scaled(delta, model.table[side, old[f]], np.float32(-1))
    _push(state, slot, at, delta)


@njit(cache=True)
def _push(state: State, slot: Int, at: Int, delta: F32) -> None:
    """Adds the change of a message to the sums of all neighbours on one side, and marks them."""
    start, degree = state.slots[slot, START], state.slots[slot, DEGREE]
    state.counters[PUSHED] += degree
    for first in range(start, start + degree, _AHEAD):
        stop = min(first + _AHEAD, start + degree)
        for i in range(first, stop):
            prefetch(state.slots, state.links[i, PARTNER] * SLOT_COLUMNS)
            prefetch(state.slots, state.links[i, PARTNER] * SLOT_COLUMNS + SLOT_COLUMNS - 1)
        for i in range(first, stop):
            partner = state.links[i, PARTNER]
            fetch_row(state, state.slots[partner, BASE] + at)
            prefetch(state.nodes, state.slots[partner, NODE] * state.nodes.shape[1])
        for i in range(first, stop):
            partner = state.links[i, PARTNER]
            record = state.slots[partner]
            if not record[FLAGS] & MUTED:
                add_scaled(state.rows[record[BASE] + at], delta, state.links_f32[i, WEIGHT_F32])
                state.slots_f32[partner, MASS_F32] += state.slots_f64[partner, TOTAL_F64]
                mark(state, record[NODE])


@njit(cache=True)
def _join(model: Model, state: State, a: Int, b: Int, weight: Int, count: Int) -> None:
    """Lets a link between two slots that are not muted count by `weight` more."""
    add_message(model, state, a, b, weight, count)
    add_message(model, state, b, a, weight, count)
    mark(state, state.slots[a, NODE])
    mark(state, state.slots[b, NODE])


@njit(cache=True)
def _put(model: Model, state: State, a: Int, b: Int, side: Int, weight: Int) -> None:
    slot_a = open_slot(model, state, a, side)
    slot_b = open_slot(model, state, b, model.opposite[side])
    alive = not (state.slots[slot_a, FLAGS] | state.slots[slot_b, FLAGS]) & MUTED
    at = find_link(state, slot_a, slot_b)
    if at >= 0:
        place = state.slots[slot_a, START] + at
        change = np.float64(weight) - np.float64(state.links_f32[place, WEIGHT_F32])
        if change != 0.0:
            other = state.slots[slot_b, START] + state.links[place, 1]
            state.links_f32[place, WEIGHT_F32] = weight
            state.links_f32[other, WEIGHT_F32] = weight
            if alive:
                _join(model, state, slot_a, slot_b, change, 0)
        return
    tie(state, slot_a, slot_b, weight)
    state.counters[LINKS] += 1
    if alive:
        _join(model, state, slot_a, slot_b, np.float64(weight), 1)
    _choose_pull(model, state, slot_a)
    _choose_pull(model, state, slot_b)


@njit(cache=True)
def _remove(model: Model, state: State, slot_a: Int, at: Int) -> None:
    place = state.slots[slot_a, START] + at
    slot_b = state.links[place, PARTNER]
    if not (state.slots[slot_a, FLAGS] | state.slots[slot_b, FLAGS]) & MUTED:
        _join(model, state, slot_a, slot_b, -np.float64(state.links_f32[place, WEIGHT_F32]), -1)
    untie(state, slot_a, at)
    state.counters[LINKS] -= 1
    for slot in (slot_a, slot_b):
        _choose_pull(model, state, slot)
        if state.slots[slot, DEGREE] == 0:
            close_slot(model, state, slot)


@njit(cache=True)
def _choose_pull(model: Model, state: State, slot: Int) -> None:
    """Takes a slot's last message out of its neighbours' sums when it has many links, and back when it has few."""
    record = state.slots[slot]
    layers, limit = model.sizes[0], model.sizes[1]
    message_at = model.message_at[layers, record[SIDE]]
    if message_at < 0:
        return
    if record[DEGREE] > limit and not record[FLAGS] & PULL:
        record[FLAGS] |= PULL
        sign = -1
    elif 2 * record[DEGREE] < limit and record[FLAGS] & PULL:
        record[FLAGS] &= ~PULL
        sign = 1
    else:
        return
    if record[FLAGS] & MUTED:
        return
    sum_at = model.sum_at[layers, model.opposite[record[SIDE]]]
    for i in range(record[START], record[START] + record[DEGREE]):
        partner = state.links[i, PARTNER]
        other = state.slots[partner]
        if not other[FLAGS] & MUTED:
            other[PULLED] -= sign
            weight = np.float32(sign) * state.links_f32[i, WEIGHT_F32]
            add_scaled(state.rows[other[BASE] + sum_at], state.rows[record[BASE] + message_at], weight)
            state.slots_f32[partner, MASS_F32] += state.slots_f64[partner, TOTAL_F64]


@njit(cache=True)
def _silence(model: Model, state: State, node: Int, silent: Int) -> None:
    """Takes a node's links out of all sums, or back into them; the lists of links stay."""
    if state.nodes[node, SILENT] == silent:
        return
    state.nodes[node, SILENT] = silent
    mark(state, node)
    slot = state.nodes[node, FIRST]
    while slot >= 0:
        record = state.slots[slot]
        if not silent:
            record[FLAGS] &= ~MUTED
        for i in range(record[START], record[START] + record[DEGREE]):
            partner = state.links[i, PARTNER]
            # A link from a node to itself counts while neither of its two slots is muted.
            if not state.slots[partner, FLAGS] & MUTED:
                weight = np.float64(state.links_f32[i, WEIGHT_F32])
                if silent:
                    _join(model, state, slot, partner, -weight, -1)
                else:
                    _join(model, state, slot, partner, weight, 1)
        if silent:
            record[FLAGS] |= MUTED
        slot = record[NEXT]


@njit(cache=True)
def _propagate(model: Model, state: State) -> Int:
    """Sends changes on through the layers; returns how many outputs stand in `dirty`, their logits in `logit`."""
    layers = model.sizes[0]
    h, fresh = state.scratch[0], state.scratch[1]
    for layer in range(1, layers):
        count = state.counters[DIRTY]
        for i in range(count):
            node = state.dirty[i]
            if i + 1 < count:
                _fetch_node(model, state, layer, state.dirty[i + 1])
            kind = state.nodes[node, KIND]
            if kind >= 0 and model.needed[layer, kind]:
                embed(model, state, layer, node, h)
                _send(model, state, layer + 1, node, h, fresh)
    found = 0
    for i in range(state.counters[DIRTY]):
        node = state.dirty[i]
        if i + 2 < state.counters[DIRTY]:
            _fetch_node(model, state, layers, state.dirty[i + 2])
        kind = state.nodes[node, KIND]
        if kind >= 0 and model.outputs[kind]:
            state.dirty[found] = node
            state.logit[found] = _logit(model, state, node)
            found += 1
    return found


@njit(cache=True)
def _fetch_node(model: Model, state: State, layer: Int, node: Int) -> None:
    """Starts to load what `embed` will read of a node's first slot."""
    slot = state.nodes[node, FIRST]
    if slot >= 0:
        at = model.sum_at[layer, state.slots[slot, SIDE]]
        if at >= 0:
            fetch_row(state, state.slots[slot, BASE] + at)
    at = model.own_at[layer, state.nodes[node, KIND]]
    if at >= 0:
        fetch_row(state, state.nodes[node, OWN] + at)


@njit(cache=True)
def _send(model: Model, state: State, layer: Int, node: Int, h: F32, fresh: F32) -> None:
    """Writes a node's own term and messages of a layer from h of the layer before, and pushes what changed."""
    layers, kind = model.sizes[0], state.nodes[node, KIND]
    at = model.own_at[layer, kind]
    if at >= 0:
        own = state.rows[state.nodes[node, OWN] + at]
        own[:] = model.bias[layer - 1, kind]
        multiply(own, model.own[layer - 1, kind], h)
    slot = state.nodes[node, FIRST]
    while slot >= 0:
        record = state.slots[slot]
        side = record[SIDE]
        message_at = model.message_at[layer, side]
        if message_at >= 0:
            fresh[:] = 0
            multiply(fresh, model.relation[layer - 1, side], h)
            stored = state.rows[record[BASE] + message_at]
            changed = False
            for k in range(fresh.shape[0]):
                new = fresh[k]
                fresh[k] = new - stored[k]
                stored[k] = new
                changed |= fresh[k] != 0
            if changed and not record[FLAGS] & MUTED and not (layer == layers and record[FLAGS] & PULL):
                _push(state, slot, model.sum_at[layer, model.opposite[side]], fresh)
        slot = record[NEXT]


@njit(cache=True, fastmath={"contract", "reassoc"})
def _logit(model: Model, state: State, node: Int) -> Int:
    h = state.scratch[2]
    embed(model, state, model.sizes[0], node, h)
    total = np.float32(0)
    for k in range(h.shape[0]):
        total += h[k] * model.head[k]
    return total + model.head_bias[0]


@njit(cache=True)
def run(model: Model, state: State, op: I8, side: I32, a: I32, b: I32, weight: F32, start: Int, room: I64) -> Int:
    """Applies operations from `start` on; then, after the last one, sends the changes on.

    Returns:
        How many outputs were touched (`dirty`, `logit`), or a negative number: -1 - i when operation i names a node
        of another kind or none, and with `room[0]` ≥ 0 when it needs so many slots, links and rows (`room`).
    """
    room[0] = -1
    counters = state.counters
    for i in range(start, len(op)):
        node = a[i]
        if state.nodes[node, KIND] < 0:
            return -1 - i
        if op[i] <= REMOVE:
            other = b[i]
            if (
                state.nodes[node, KIND] != model.side_kind[side[i]]
                or state.nodes[other, KIND] != model.side_kind[model.opposite[side[i]]]
                or (node == other and model.opposite[side[i]] == side[i])
            ):
                return -1 - i
            slot_a = find_slot(state, node, side[i])
            slot_b = find_slot(state, other, model.opposite[side[i]])
            if op[i] == REMOVE:
                at = find_link(state, slot_a, slot_b)
                if at >= 0:
                    _remove(model, state, slot_a, at)
                continue
            links = counters[LINK_TOP] + room_for_one_more(state, slot_a) + room_for_one_more(state, slot_b)
            rows = counters[ROW_TOP] + model.slot_rows[side[i]] + model.slot_rows[model.opposite[side[i]]]
            if counters[SLOT_TOP] + 2 > len(state.slots) or links + 2 > len(state.links) or rows > len(state.rows):
                room[0], room[1], room[2] = counters[SLOT_TOP] + 2, links + 2, rows
                return -1 - i
            _put(model, state, node, other, side[i], weight[i])
        elif op[i] == FORGET:
            if state.nodes[node, FIRST] >= 0:
                return -1 - i
            give_rows(state, state.nodes[node, OWN], model.node_rows[state.nodes[node, KIND]])
            state.nodes[node, KIND] = -1
        else:
            _silence(model, state, node, 1 if op[i] == MUTE else 0)
    return _propagate(model, state)


@njit(cache=True)
def read_logits(model: Model, state: State, nodes: I32, out: F32) -> Int:
    """Writes the logits of nodes, pulled where they must be; returns how many could be read before one that cannot."""
    for i in range(len(nodes)):
        kind = state.nodes[nodes[i], KIND]
        if kind < 0 or not model.outputs[kind]:
            return i
        out[i] = _logit(model, state, nodes[i])
    return len(nodes)


@njit(cache=True)
def read_embeddings(model: Model, state: State, layer: Int, nodes: I32, out: F32) -> Int:
    """Writes h of a layer; returns how many nodes could be read before one that cannot."""
    for i in range(len(nodes)):
        kind = state.nodes[nodes[i], KIND]
        if kind < 0 or not model.needed[layer, kind]:
            return i
        embed(model, state, layer, nodes[i], out[i])
    return len(nodes)


@njit(cache=True)
def rescale(model: Model, state: State, factor: Int) -> None:
    """Multiplies all weights and sums by a power of two, which rounds nothing."""
    single = np.float32(factor)
    for slot in range(state.counters[SLOT_TOP]):
        record = state.slots[slot]
        if record[NODE] >= 0:
            state.slots_f64[slot, TOTAL_F64] *= factor
            state.slots_f32[slot, MASS_F32] *= single
            for i in range(record[START], record[START] + record[DEGREE]):
                state.links_f32[i, WEIGHT_F32] *= single
            for layer in range(1, model.sizes[0] + 1):
                at = model.sum_at[layer, record[SIDE]]
                if at >= 0:
                    state.rows[record[BASE] + at] *= single
