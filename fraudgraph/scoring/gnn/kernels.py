"""Kernels of a batch: links come and go, then embeddings that changed send the change on, layer by layer.

Between any two steps, what is cached of a node follows from its neighbours' *stored* messages. So links can come and go
in any number before anything is recomputed, and the order of a batch does not matter to the result.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from fraudgraph.graph.types import I8, I32, I64, Int
from fraudgraph.kernels import bare
from fraudgraph.rings.processor import prefetch
from fraudgraph.scoring.gnn.means import WORN, add_first_own, is_only, join, message_of, rebuild
from fraudgraph.scoring.gnn.model import F32
from fraudgraph.scoring.gnn.passing import fetch_receivers, finish, mark, pass_on, push
from fraudgraph.scoring.gnn.slots import (
    close_node,
    close_slot,
    find_link,
    find_slot,
    first_slot,
    kind_of,
    next_slot,
    node_of,
    open_node,
    open_slot,
    partner_of,
    room_for_one_more,
    side_of,
    tie,
    total_of,
    untie,
)
from fraudgraph.scoring.gnn.state import (
    BACK,
    DEGREE,
    FLAGS,
    KIND,
    LINE_SHIFT,
    LINE_TOP,
    LINK_COLUMNS,
    LINK_TOP,
    LINKS,
    MUTED,
    PULL,
    PULLED,
    SERIAL,
    SILENT,
    SPOT,
    STAMP,
    START,
    WEAR_F32,
    WEIGHT_F32,
    Model,
    State,
)
from fraudgraph.scoring.gnn.vectors import add_table, add_to_row, fetch_row, load_row

PUT: Final = 0
REMOVE: Final = 1
MUTE: Final = 2
UNMUTE: Final = 3
FORGET: Final = 4

_FEW: Final = 4


@bare()
def change_features(model: Model, state: State, nodes: I32, kinds: I8, rows: I32, old: I32) -> Int:
    """Sets the encoder rows of nodes, new ones or known; the caller reserved room, and lends `old` for one node's.

    Returns how many were set before one that is known as of another kind.
    """
    delta = state.scratch[0]
    for i in range(len(nodes)):
        number, kind = nodes[i], kinds[i]
        count = model.features[kind]
        known = state.place[number] >= 0
        node = state.place[number] << LINE_SHIFT if known else open_node(model, state, number, kind)
        if kind_of(state, node) != kind:
            return i
        changed = not known
        for f in range(count):
            old[f] = state.features[number, f]
            changed |= old[f] != rows[i, f]
            state.features[number, f] = rows[i, f]
        mark(model, state, node)
        if not changed:
            continue
        if model.z_at[1, kind] > 0:
            delta[:] = 0
            if known:
                _add_difference(model.own_table, state.features[number], old, count, delta)
            else:
                add_first_own(model, state, node, np.float32(1), delta)
            add_to_row(state.memory, node + model.z_at[1, kind], np.float32(1), delta)
            state.memory[node + WEAR_F32] += np.float32(2)
        slot = first_slot(state, node)
        while slot >= 0:
            side = side_of(state, slot)
            if model.z_at[1, model.side_kind[model.opposite[side]]] > 0 and not state.words[slot + FLAGS] & MUTED:
                delta[:] = 0
                _add_difference(model.table[side], state.features[number], old, count, delta)
                push(model, state, slot, 1, delta, False)
            slot = next_slot(state, slot)
    return len(nodes)


@bare(inline="always")
def _add_difference(table: F32, new: I32, old: I32, count: Int, out: F32) -> None:
    for f in range(count):
        add_table(out, np.float32(1), table, new[f])
        add_table(out, np.float32(-1), table, old[f])


@bare()
def _join_both(model: Model, state: State, a: Int, b: Int, weight: Int, count: Int) -> None:
    """Lets a link between two slots that are not muted count by `weight` more; its lists change after this."""
    # One body for both directions: what is inlined twice is compiled twice.
    for turn in range(2):
        to, source = (a, b) if turn == 0 else (b, a)
        join(model, state, to, source, weight, count)
        mark(model, state, node_of(state, to))


@bare()
def _start_anew(model: Model, state: State, node: Int) -> None:
    """Adds a node up after its lists changed: one with links to itself."""
    rebuild(model, state, node)
    mark(model, state, node)


@bare(inline="always")
def _is_alive(state: State, a: Int, b: Int) -> Int:
    return not (state.words[a + FLAGS] | state.words[b + FLAGS]) & MUTED


@bare()
def _put(model: Model, state: State, slot_a: Int, slot_b: Int, weight: Int) -> None:
    alive, node = _is_alive(state, slot_a, slot_b), node_of(state, slot_a)
    to_itself = node == node_of(state, slot_b)
    at = find_link(state, slot_a, slot_b)
    if at >= 0:
        place = state.words[slot_a + START] + at
        change = np.float64(weight) - np.float64(state.links_f32[place, WEIGHT_F32])
        if change == 0.0:
            return
        if alive and not to_itself:
            _join_both(model, state, slot_a, slot_b, change, 0)
        state.links_f32[place, WEIGHT_F32] = weight
        state.links_f32[state.words[slot_b + START] + state.links[place, BACK], WEIGHT_F32] = weight
    else:
        if alive and not to_itself:
            _join_both(model, state, slot_a, slot_b, np.float64(weight), 1)
        tie(state, slot_a, slot_b, weight)
        state.counters[LINKS] += 1
    if alive and to_itself:
        _start_anew(model, state, node)
    if at < 0:
        choose_pull(model, state, slot_a)
        choose_pull(model, state, slot_b)


@bare()
def _remove(model: Model, state: State, slot_a: Int, at: Int) -> None:
    place = state.words[slot_a + START] + at
    slot_b, node = partner_of(state, place), node_of(state, slot_a)
    alive, to_itself = _is_alive(state, slot_a, slot_b), node == node_of(state, slot_b)
    if alive and not to_itself:
        _join_both(model, state, slot_a, slot_b, -np.float64(state.links_f32[place, WEIGHT_F32]), -1)
    untie(state, slot_a, at)
    state.counters[LINKS] -= 1
    if alive and to_itself:
        _start_anew(model, state, node)
    for turn in range(2):
        slot = slot_a if turn == 0 else slot_b
        choose_pull(model, state, slot)
        if state.words[slot + DEGREE] == 0:
            close_slot(model, state, slot)


@bare(inline="always")
def choose_pull(model: Model, state: State, slot: Int) -> None:
    """Takes a slot's last message out of its neighbours' Z when it has many links, and back when it has few."""
    degree, pulled = state.words[slot + DEGREE], state.words[slot + FLAGS] & PULL
    limit = model.sizes[1]
    if (degree > limit and not pulled) or (2 * degree < limit and pulled):
        _turn_pull(model, state, slot)


@bare(error_model="numpy")
def _turn_pull(model: Model, state: State, slot: Int) -> None:
    words, layer, side = state.words, model.sizes[0], side_of(state, slot)
    message_at = model.message_at[layer, side]
    if message_at < 0:
        return
    sign = 1 if words[slot + FLAGS] & PULL else -1
    words[slot + FLAGS] ^= PULL
    if words[slot + FLAGS] & MUTED:
        return
    message, z_at = state.scratch[0], model.z_at[layer, model.side_kind[model.opposite[side]]]
    load_row(message, state.memory, message_of(state, slot, message_at))
    start = words[slot + START]
    for half in range(start, start + words[slot + DEGREE]):
        partner = partner_of(state, half)
        if not words[partner + FLAGS] & MUTED:
            node = node_of(state, partner)
            words[node + PULLED] -= sign
            share = sign * state.links_f32[half, WEIGHT_F32] / state.doubles[total_of(state, partner)]
            add_to_row(state.memory, node + z_at, np.float32(share), message)
            state.memory[node + WEAR_F32] += np.float32(1)


@bare()
def _silence(model: Model, state: State, node: Int, silent: Int) -> None:
    """Takes a node's links out of its neighbours' means and its own, or back into them; the lists of links stay."""
    words = state.words
    if (words[node + KIND] & SILENT != 0) == silent:
        return
    words[node + KIND] ^= SILENT
    sign = -1 if silent else 1
    slot = first_slot(state, node)
    while slot >= 0:
        start = words[slot + START]
        for half in range(start, start + words[slot + DEGREE]):
            partner = partner_of(state, half)
            if not words[partner + FLAGS] & MUTED and node_of(state, partner) != node:
                # A mean taken from a neighbour's other slots would find a link there that no longer counts.
                if not is_only(state, node_of(state, partner), partner):
                    state.memory[node_of(state, partner) + WEAR_F32] = WORN
                join(model, state, partner, slot, sign * np.float64(state.links_f32[half, WEIGHT_F32]), sign)
                mark(model, state, node_of(state, partner))
        slot = next_slot(state, slot)
    # Only now, since to its neighbours the slots are what they were while each mean is taken from its list.
    slot = first_slot(state, node)
    while slot >= 0:
        words[slot + FLAGS] ^= MUTED
        slot = next_slot(state, slot)
    _start_anew(model, state, node)


@bare(inline="always")
def fetch_operations(model: Model, state: State, a: I32, b: I32, at: Int, alone: Int) -> None:
    """Starts to load what the operations after `at` touch: the further away, the less of each.

    Args:
        alone: operations are sent on one by one, so that the next one's neighbours will still be in the cache.
    """
    for turn in range(2):
        ends = a if turn == 0 else b
        if at + 12 < len(ends):
            prefetch(state.place, ends[at + 12])
            prefetch(state.features, ends[at + 12] * state.features.shape[1])
        if at + 6 < len(ends) and state.place[ends[at + 6]] >= 0:
            prefetch(state.memory, state.place[ends[at + 6]] << LINE_SHIFT)
        if at + 2 < len(ends) and state.place[ends[at + 2]] >= 0:
            node = state.place[ends[at + 2]] << LINE_SHIFT
            fetch_row(state.memory, node + 16, (model.node_lines[kind_of(state, node)] - 1) * 16)
            slot = first_slot(state, node)
            while slot >= 0:
                prefetch(state.links, state.words[slot + START] * LINK_COLUMNS)
                fetch_row(state.memory, message_of(state, slot, 0), model.message_lines[side_of(state, slot)] * 16)
                slot = next_slot(state, slot)
        if alone and at + 1 < len(ends) and state.place[ends[at + 1]] >= 0:
            fetch_receivers(model, state, model.sizes[0] - 1, state.place[ends[at + 1]])


@bare()
def first_strange(model: Model, state: State, op: I8, family: I32, a: I32, b: I32) -> Int:
    """Returns the first operation that is none, or names a number of a family or node that there cannot be; or -1."""
    known, families = len(state.place), len(model.first_side)
    for i in range(len(op)):
        if not (PUT <= op[i] <= FORGET and 0 <= family[i] < families and 0 <= a[i] < known and 0 <= b[i] < known):
            return i
    return -1


@bare()
def run(model: Model, state: State, op: I8, family: I32, a: I32, b: I32, weight: F32, start: Int, room: I64) -> Int:
    """Applies operations from `start` on; then, after the last one, sends the changes on.

    Args:
        weight: `[n]`, or empty where every link weighs 1.

    Returns:
        How many outputs were touched (`touched`, `logit`), or a negative number: -1 - i when operation i names a node
        of another kind or none, and with `room[0]` ≥ 0 when it needs so many lines and links (`room`).
    """
    room[0] = -1
    strange = first_strange(model, state, op, family, a, b)
    if strange >= 0:
        return -1 - strange
    return run_until(model, state, op, family, a, b, weight, start, len(op), room)


@bare()
def run_until(
    model: Model, state: State, op: I8, family: I32, a: I32, b: I32, weight: F32, start: Int, stop: Int, room: I64
) -> Int:
    """Does what `run` does with the operations before `stop`, of which none is strange; what follows it may look at."""
    room[0] = -1
    counters = state.counters
    alone = stop - start <= _FEW and stop < len(op)
    for i in range(start, stop):
        fetch_operations(model, state, a, b, i, alone)
        node = state.place[a[i]] << LINE_SHIFT
        if node < 0:
            return -1 - i
        if op[i] <= REMOVE:
            side = model.first_side[family[i]]
            other, opposite = state.place[b[i]] << LINE_SHIFT, model.opposite[side]
            if (
                other < 0
                or kind_of(state, node) != model.side_kind[side]
                or kind_of(state, other) != model.side_kind[opposite]
                or (node == other and opposite == side)
            ):
                return -1 - i
            slot_a, slot_b = find_slot(state, node, side), find_slot(state, other, opposite)
            if op[i] == REMOVE:
                at = find_link(state, slot_a, slot_b)
                if at >= 0:
                    _remove(model, state, slot_a, at)
                continue
            links = counters[LINK_TOP] + room_for_one_more(state, slot_a) + room_for_one_more(state, slot_b)
            lines = counters[LINE_TOP] + model.message_lines[side] + model.message_lines[opposite] + 2
            if lines << LINE_SHIFT > len(state.memory) or links > len(state.links):
                room[0], room[1] = lines, links
                return -1 - i
            if slot_a < 0:
                slot_a = open_slot(model, state, node, side)
            if slot_b < 0:
                slot_b = open_slot(model, state, other, opposite)
            _put(model, state, slot_a, slot_b, weight[i] if len(weight) > 0 else np.float32(1))
        elif op[i] == FORGET:
            if first_slot(state, node) >= 0:
                return -1 - i
            if state.words[node + STAMP] == counters[SERIAL]:
                state.dirty[state.words[node + SPOT]] = -1
                state.touched[state.words[node + SPOT]] = -1
            close_node(model, state, node)
        else:
            _silence(model, state, node, op[i] == MUTE)
    for layer in range(1, model.sizes[0]):
        pass_on(model, state, layer)
    return finish(model, state)
