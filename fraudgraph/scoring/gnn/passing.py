"""Kernels that send changes on through the layers, and read what stands there."""

from __future__ import annotations

from typing import Final

import numpy as np

from fraudgraph.graph.types import I32, Int
from fraudgraph.kernels import bare
from fraudgraph.rings.processor import prefetch
from fraudgraph.scoring.gnn.means import WEAR_LIMIT, keep_exact, message_of
from fraudgraph.scoring.gnn.model import F32
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
    DIRTY,
    FLAGS,
    ID,
    LINE_SHIFT,
    LINK_COLUMNS,
    MUTED,
    PULL,
    PULLED,
    PUSHED,
    SERIAL,
    SPOT,
    STAMP,
    START,
    WEAR_F32,
    WEIGHT_F32,
    Model,
    State,
)
from fraudgraph.scoring.gnn.vectors import add_row, add_to_row, copy_table, fetch_row, load_row, multiply, pick

_AHEAD: Final = 32


@bare(inline="always")
def mark(model: Model, state: State, node: Int) -> None:
    """Puts a node into the batch's list, once."""
    words, counters = state.words, state.counters
    if words[node + STAMP] != counters[SERIAL]:
        spot = counters[DIRTY]
        words[node + STAMP] = counters[SERIAL]
        words[node + SPOT] = spot
        state.dirty[spot] = node >> LINE_SHIFT
        state.touched[spot] = words[node + ID] if model.outputs[kind_of(state, node)] else -1
        counters[DIRTY] = spot + 1


@bare(fastmath={"contract"})
def add_pulled(model: Model, state: State, node: Int, out: F32) -> None:
    """Adds the means of those neighbours' last messages that are pulled."""
    layer = model.sizes[0]
    slot = first_slot(state, node)
    while slot >= 0:
        at = model.message_at[layer, model.opposite[side_of(state, slot)]]
        start = state.words[slot + START]
        for half in range(start, start + state.words[slot + DEGREE]):
            partner = partner_of(state, half)
            if state.words[partner + FLAGS] & (PULL | MUTED) == PULL:
                share = state.links_f32[half, WEIGHT_F32] / state.doubles[total_of(state, slot)]
                add_row(out, np.float32(share), state.memory, message_of(state, partner, at))
        slot = next_slot(state, slot)


@bare(inline="always")
def embed(model: Model, state: State, layer: Int, node: Int, out: F32) -> None:
    """Writes h of a layer into `out`."""
    keep_exact(model, state, node)
    load_row(out, state.memory, node + model.z_at[layer, kind_of(state, node)])
    if state.words[node + PULLED] > 0 and layer == model.sizes[0]:
        add_pulled(model, state, node, out)
    for k in range(len(out)):
        out[k] = max(out[k], np.float32(0))


@bare(fastmath={"contract", "reassoc", "nsz"})
def score_slowly(model: Model, state: State, node: Int) -> Int:
    """Returns an output's logit where more than its Z may count."""
    h = state.scratch[2]
    embed(model, state, model.sizes[0], node, h)
    total = model.head_bias[0]
    for k in range(len(h)):
        total += h[k] * model.head[k]
    return total


@bare(inline="always")
def score(model: Model, state: State, node: Int) -> None:
    """Notes the logit of an output that is in the batch's list."""
    state.logit[state.words[node + SPOT]] = score_slowly(model, state, node)


@bare(inline="always")
def fetch_neighbours(state: State, slot: Int, z_at: Int) -> None:
    """Starts to load what `push` writes."""
    start = state.words[slot + START]
    stop = start + min(state.words[slot + DEGREE], _AHEAD)
    for half in range(start, stop):
        prefetch(state.memory, partner_of(state, half))
    for half in range(start, stop):
        node = node_of(state, partner_of(state, half))
        prefetch(state.memory, node)
        fetch_row(state.memory, node + z_at, state.scratch.shape[1])


@bare(fastmath={"contract", "reassoc", "nsz"}, error_model="numpy")
def push(model: Model, state: State, slot: Int, layer: Int, delta: F32, scores: Int) -> None:
    """Adds the change of a slot's message to its neighbours' Z of a layer and marks them; `scores`: with logits."""
    words, memory = state.words, state.memory
    z_at = model.z_at[layer, model.side_kind[model.opposite[side_of(state, slot)]]]
    start, degree = words[slot + START], words[slot + DEGREE]
    state.counters[PUSHED] += degree
    for first in range(start, start + degree, _AHEAD):
        stop = min(first + _AHEAD, start + degree)
        for half in range(first, stop):
            prefetch(memory, partner_of(state, half))
        for half in range(first, stop):
            node = node_of(state, partner_of(state, half))
            prefetch(memory, node)
            fetch_row(memory, node + z_at, len(delta))
        for half in range(first, stop):
            partner = partner_of(state, half)
            if words[partner + FLAGS] & MUTED:
                continue
            node = node_of(state, partner)
            share = np.float32(state.links_f32[half, WEIGHT_F32] / state.doubles[total_of(state, partner)])
            at = np.uint64(node + z_at)
            mark(model, state, node)
            memory[node + WEAR_F32] += np.float32(1)
            if not scores or words[node + PULLED] > 0 or memory[node + WEAR_F32] > WEAR_LIMIT:
                add_to_row(memory, node + z_at, share, delta)
                if scores:
                    score(model, state, node)
                continue
            logit = np.float32(0)
            for k in range(len(delta)):
                z = memory[at + np.uint64(k)] + share * delta[k]
                memory[at + np.uint64(k)] = z
                logit += max(z, np.float32(0)) * model.head[k]
            state.logit[words[node + SPOT]] = logit + model.head_bias[0]


@bare()
def fetch_receivers(model: Model, state: State, layer: Int, line: Int) -> None:
    """Starts to load those to which a node, given by its line, may send; none if that is negative."""
    if line < 0:
        return
    slot = first_slot(state, line << LINE_SHIFT)
    while slot >= 0:
        side = side_of(state, slot)
        if model.message_at[layer + 1, side] >= 0:
            fetch_neighbours(state, slot, model.z_at[layer + 1, model.side_kind[model.opposite[side]]])
        slot = next_slot(state, slot)


@bare(inline="always")
def fetch_ahead(model: Model, state: State, layer: Int, at: Int, count: Int) -> None:
    """Starts to load what `pass_on` needs of the nodes after `at`: the further away, the less of each."""
    width = state.scratch.shape[1]
    if at + 6 < count and state.dirty[at + 6] >= 0:
        prefetch(state.memory, state.dirty[at + 6] << LINE_SHIFT)
    if at + 3 < count and state.dirty[at + 3] >= 0:
        node = state.dirty[at + 3] << LINE_SHIFT
        kind = kind_of(state, node)
        fetch_row(state.memory, node + model.z_at[layer, kind], width)
        fetch_row(state.memory, node + model.z_at[layer + 1, kind], width)
        fetch_row(state.memory, node + model.own_at[layer + 1, kind], width)
        slot = first_slot(state, node)
        while slot >= 0:
            message_at = model.message_at[layer + 1, side_of(state, slot)]
            if message_at >= 0:
                prefetch(state.links, state.words[slot + START] * LINK_COLUMNS)
                fetch_row(state.memory, message_of(state, slot, message_at), width)
            slot = next_slot(state, slot)
    if at + 1 < count:
        fetch_receivers(model, state, layer, state.dirty[at + 1])


@bare(fastmath={"contract"})
def pass_on(model: Model, state: State, layer: Int) -> None:
    """Sends on what the batch's nodes have at a layer, to the next."""
    h, fresh, last = state.scratch[0], state.scratch[1], layer + 1 == model.sizes[0]
    memory = state.memory
    count = state.counters[DIRTY]
    if count > 0:
        fetch_receivers(model, state, layer, state.dirty[0])
    for i in range(count):
        fetch_ahead(model, state, layer, i, count)
        node = state.dirty[i] << LINE_SHIFT
        if node < 0:
            continue
        kind = kind_of(state, node)
        if model.z_at[layer, kind] == 0:
            continue
        embed(model, state, layer, node, h)
        inputs = pick(h, state.picks)
        z_at = model.z_at[layer + 1, kind]
        if z_at > 0:
            copy_table(fresh, model.bias[layer], kind)
            multiply(fresh, model.own[layer, kind], h, state.picks, inputs)
            _exchange(memory, node + model.own_at[layer + 1, kind], fresh)
            add_to_row(memory, node + z_at, np.float32(1), fresh)
            memory[node + WEAR_F32] += np.float32(2)
            if last:
                score(model, state, node)
        slot = first_slot(state, node)
        while slot >= 0:
            side = side_of(state, slot)
            message_at = model.message_at[layer + 1, side]
            if message_at >= 0:
                fresh[:] = 0
                multiply(fresh, model.relation[layer, side], h, state.picks, inputs)
                changed = _exchange(memory, message_of(state, slot, message_at), fresh)
                held = state.words[slot + FLAGS] & MUTED or (last and state.words[slot + FLAGS] & PULL)
                if changed > 0 and not held:
                    push(model, state, slot, layer + 1, fresh, last)
            slot = next_slot(state, slot)


@bare()
def _exchange(memory: F32, at: Int, fresh: F32) -> Int:
    """Stores a vector in a row, leaves in it what it has over what stood there; returns the largest change."""
    first, changed = np.uint64(at), np.float32(0)
    for k in range(len(fresh)):
        new = fresh[k]
        fresh[k] = new - memory[first + np.uint64(k)]
        memory[first + np.uint64(k)] = new
        changed = max(changed, abs(fresh[k]))
    return changed


@bare()
def finish(model: Model, state: State) -> Int:
    """Leaves only outputs in the batch's list, with their logits beside; returns how many."""
    found = 0
    for i in range(state.counters[DIRTY]):
        if state.touched[i] >= 0:
            if model.sizes[0] == 1:
                score(model, state, state.dirty[i] << LINE_SHIFT)
            state.touched[found] = state.touched[i]
            state.logit[found] = state.logit[i]
            found += 1
    return found


@bare(fastmath={"contract"})
def read_embeddings(model: Model, state: State, layer: Int, nodes: I32, out: F32) -> Int:
    """Writes h of a layer; returns how many nodes could be read before one that cannot."""
    h = state.scratch[2]
    for i in range(len(nodes)):
        if not 0 <= nodes[i] < len(state.place) or state.place[nodes[i]] < 0:
            return i
        node = state.place[nodes[i]] << LINE_SHIFT
        if model.z_at[layer, kind_of(state, node)] == 0:
            return i
        embed(model, state, layer, node, h)
        for k in range(out.shape[1]):
            out[i, k] = h[k]
    return len(nodes)
