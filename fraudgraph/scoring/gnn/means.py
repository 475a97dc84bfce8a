"""Kernels on what is cached of a node: how a link's change moves it, and when it is added up anew.

For each layer l that outputs depend on, a node v keeps

    Z^l(v) = own^l(v) + Σ_s mean^l_s(v),    h^l(v) = relu(Z^l(v)),

over its slots s with links that count, mean^l_s the weighted mean of the *stored* messages of its neighbours there, as
they were last sent. (Of the last layer, without neighbours that are pulled from; their weight counts.) When a link's
weight in slot s grows by w, to a total weight T, and its neighbour's message is m,

    Z^l += w / T · (m − mean^l_s).

A node of one slot has its mean in Z^l − own^l. Of several slots, the mean comes from those neighbours that are fewer:
the slot's own, or the other slots'. An identifier has one slot; of a user's, at most one or two are large.

**Drift.** Z is float32: a fixed point that would be order-free and bit-equal has 31 bits for range and precision
together, and weights with a forward decay span more than that within a year. Each addition rounds by at most u = 2⁻²⁴
of the largest message; when a link goes, what error the mean has grows by T_before / T_after. A node counts this bound
on its error, in units of u: its *wear*. Beyond `WEAR_LIMIT` + `WEAR_PER_LINK` · degree, all its Z are added up anew
before they are next used; at once where a heavy link leaves light ones behind. That holds the error below 1.6e-5 of a
message plus what one plain summation of a hub's neighbours has.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from fraudgraph.graph.types import Int
from fraudgraph.kernels import bare
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
    FLAGS,
    ID,
    KIND,
    LINE_SHIFT,
    LIVE,
    MESSAGE,
    MUTED,
    PULL,
    PULLED,
    REFRESHED,
    SILENT,
    START,
    WEAR_F32,
    WEIGHT_F32,
    Model,
    State,
)
from fraudgraph.scoring.gnn.vectors import add_row, add_table, add_to_row, load_row, store_row

WEAR_LIMIT: Final = 256
WEAR_PER_LINK: Final = 2
WORN: Final = np.float32(np.inf)
LEAST_LEFT: Final = 2.0**-10
"""Where less than this of a slot's weight remains, what remains is not computed from what was."""
FEW: Final = 8
"""Links of a slot whose mean is added up without asking whether the node's other slots have fewer."""


@bare(inline="always")
def message_of(state: State, slot: Int, at: Int) -> Int:
    """Returns where a slot's message stands, `at` words into them."""
    return (state.words[slot + MESSAGE] << LINE_SHIFT) + at


@bare(inline="always")
def add_first_own(model: Model, state: State, node: Int, factor: Int, out: F32) -> None:
    """Adds `factor` times own^1 to a vector."""
    kind, number = kind_of(state, node), state.words[node + ID]
    add_table(out, factor, model.bias[0], kind)
    for f in range(model.features[kind]):
        add_table(out, factor, model.own_table, state.features[number, f])


@bare(inline="always")
def add_first_message(model: Model, state: State, slot: Int, factor: Int, out: F32) -> None:
    """Adds `factor` times a slot's message of layer 1 to a vector."""
    node, side = node_of(state, slot), side_of(state, slot)
    number = state.words[node + ID]
    for f in range(model.features[kind_of(state, node)]):
        add_table(out, factor, model.table[side], state.features[number, f])


@bare(fastmath={"contract"})
def add_mean(model: Model, state: State, layer: Int, slot: Int, factor: Int, out: F32) -> None:
    """Adds `factor` times a slot's mean of a layer to a vector, from its neighbours' stored messages."""
    share = factor / state.doubles[total_of(state, slot)]
    at = model.message_at[layer, model.opposite[side_of(state, slot)]]
    start = state.words[slot + START]
    for half in range(start, start + state.words[slot + DEGREE]):
        partner = partner_of(state, half)
        flags = state.words[partner + FLAGS]
        if flags & MUTED or (layer == model.sizes[0] and flags & PULL):
            continue
        weight = np.float32(share * state.links_f32[half, WEIGHT_F32])
        if layer == 1:
            add_first_message(model, state, partner, weight, out)
        else:
            add_row(out, weight, state.memory, message_of(state, partner, at))


@bare()
def _others(state: State, node: Int, slot: Int) -> Int:
    """Returns how many links that count a node's other slots have."""
    count = 0
    other = first_slot(state, node)
    while other >= 0:
        if other != slot:
            count += state.words[other + LIVE]
        other = next_slot(state, other)
    return count


@bare(inline="always")
def is_only(state: State, node: Int, slot: Int) -> Int:
    """Returns whether a node has this slot and no other."""
    return first_slot(state, node) == slot and next_slot(state, slot) < 0


@bare(fastmath={"contract"})
def load_mean(model: Model, state: State, layer: Int, slot: Int, from_rest: Int, out: F32) -> None:
    """Writes a slot's mean of a layer, from Z less all else (`from_rest`), or from its neighbours."""
    if not from_rest:
        out[:] = 0
        add_mean(model, state, layer, slot, 1.0, out)
        return
    node = node_of(state, slot)
    kind = kind_of(state, node)
    load_row(out, state.memory, node + model.z_at[layer, kind])
    if layer == 1:
        add_first_own(model, state, node, np.float32(-1), out)
    else:
        add_row(out, np.float32(-1), state.memory, node + model.own_at[layer, kind])
    if not is_only(state, node, slot):
        other = first_slot(state, node)
        while other >= 0:
            if other != slot and state.words[other + LIVE] > 0:
                add_mean(model, state, layer, other, -1.0, out)
            other = next_slot(state, other)


@bare(fastmath={"contract"})
def join(model: Model, state: State, to: Int, source: Int, weight: Int, count: Int) -> None:
    """Lets a link count by `weight` more at slot `to`, and `count` links more: 1 for a new one, -1 for one that goes.

    The lists of links are still as before, and both ends are not muted, and not of one node.
    """
    words, doubles = state.words, state.doubles
    node = node_of(state, to)
    before, live = doubles[total_of(state, to)], words[to + LIVE]
    gone, only, wear = live + count == 0, is_only(state, node, to), state.memory[node + WEAR_F32]
    total = 0.0 if gone else before + weight
    if not gone and total < LEAST_LEFT * before:
        wear = WORN
    if gone and only:
        _clear(model, state, node)
        wear = np.float32(0)
    elif wear < WORN:
        pulls, from_rest = (0 if only else live), only
        if pulls > FEW:
            others = _others(state, node, to)
            pulls, from_rest = min(live, others), others < live
        factor = 1.0 if gone else weight / total
        _move(model, state, to, source, factor, gone, from_rest)
        if from_rest and not gone and total < before:
            wear *= np.float32(before / total)
        wear += np.float32((1.0 + abs(factor)) * (2 + pulls))
    doubles[total_of(state, to)] = total
    words[to + LIVE] = live + count
    state.memory[node + WEAR_F32] = wear
    if words[source + FLAGS] & PULL:
        words[node + PULLED] += count


@bare(fastmath={"contract"})
def _move(model: Model, state: State, to: Int, source: Int, factor: Int, gone: Int, from_rest: Int) -> None:
    """Adds `factor` times what a neighbour's messages, none if `gone`, have over a slot's means."""
    node = node_of(state, to)
    kind, source_side = kind_of(state, node), side_of(state, source)
    layers, change = model.sizes[0], state.scratch[4]
    for layer in range(1, layers + 1):
        z_at = model.z_at[layer, kind]
        if z_at == 0:
            continue
        change[:] = 0
        if state.words[to + LIVE] > 0:
            load_mean(model, state, layer, to, from_rest, change)
            for k in range(len(change)):
                change[k] = -change[k]
        if layer == 1 and not gone:
            add_first_message(model, state, source, np.float32(1), change)
        elif not gone and (layer < layers or not state.words[source + FLAGS] & PULL):
            at = message_of(state, source, model.message_at[layer, source_side])
            add_row(change, np.float32(1), state.memory, at)
        add_to_row(state.memory, node + z_at, np.float32(factor), change)


@bare()
def _clear(model: Model, state: State, node: Int) -> None:
    """Sets a node's Z to its own terms: nothing comes in."""
    kind, own = kind_of(state, node), state.scratch[4]
    for layer in range(1, model.sizes[0] + 1):
        z_at = model.z_at[layer, kind]
        if z_at > 0:
            if layer == 1:
                own[:] = 0
                add_first_own(model, state, node, np.float32(1), own)
            else:
                load_row(own, state.memory, node + model.own_at[layer, kind])
            store_row(state.memory, node + z_at, own)


@bare()
def is_worn(state: State, node: Int) -> Int:
    """Returns whether a node must be added up anew before it is used."""
    wear = state.memory[node + WEAR_F32]
    if wear <= WEAR_LIMIT:
        return False
    links = 0
    slot = first_slot(state, node)
    while slot >= 0:
        links += state.words[slot + DEGREE]
        slot = next_slot(state, slot)
    return wear > WEAR_LIMIT + WEAR_PER_LINK * links


@bare(inline="always")
def keep_exact(model: Model, state: State, node: Int) -> None:
    """Adds a node up anew if it must be."""
    if state.memory[node + WEAR_F32] > WEAR_LIMIT and is_worn(state, node):
        rebuild(model, state, node)


@bare()
def rebuild(model: Model, state: State, node: Int) -> None:
    """Adds all that is cached of a node up anew, from its links and its neighbours' stored messages."""
    words, kind = state.words, kind_of(state, node)
    words[node + PULLED] = 0
    slot = first_slot(state, node)
    while slot >= 0:
        live, total = 0, 0.0
        start = words[slot + START]
        for half in range(start, start + words[slot + DEGREE]):
            flags = words[partner_of(state, half) + FLAGS]
            if not (flags | words[slot + FLAGS]) & MUTED:
                live += 1
                total += np.float64(state.links_f32[half, WEIGHT_F32])
                words[node + PULLED] += (flags & PULL) != 0
        words[slot + LIVE] = live
        state.doubles[total_of(state, slot)] = total
        slot = next_slot(state, slot)
    _clear(model, state, node)
    state.memory[node + WEAR_F32] = 0
    sums = state.scratch[4]
    if not words[node + KIND] & SILENT:
        for layer in range(1, model.sizes[0] + 1):
            z_at = model.z_at[layer, kind]
            slot = first_slot(state, node) if z_at > 0 else np.int64(-1)
            while slot >= 0:
                if words[slot + LIVE] > 0:
                    sums[:] = 0
                    add_mean(model, state, layer, slot, 1.0, sums)
                    add_to_row(state.memory, node + z_at, np.float32(1), sums)
                slot = next_slot(state, slot)
    state.counters[REFRESHED] += 1
