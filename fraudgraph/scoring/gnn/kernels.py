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
from fraudgraph.scoring.gnn.passing import fetch_slot, pass_on, push, score
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
    BACK,
    BASE,
    DEGREE,
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
    ROW_TOP,
    SIDE,
    SILENT,
    SLOT_TOP,
    START,
    TOTAL_F64,
    WEIGHT_F32,
    Model,
    State,
)
from fraudgraph.scoring.gnn.sums import add_from, add_message, add_to, fetch_row, mark

PUT: Final = 0
REMOVE: Final = 1
MUTE: Final = 2
UNMUTE: Final = 3
FORGET: Final = 4


@njit(cache=True)
def change_features(model: Model, state: State, nodes: I32, kinds: I8, rows: I32) -> Int:
    """Sets the encoder rows of nodes, new ones or known; the caller reserved room.

    Returns how many were set before one that is known as of another kind.
    """
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
        elif record[KIND] != kind:
            return i
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
    return len(nodes)


@njit(cache=True, fastmath={"contract"})
def _push_features(model: Model, state: State, slot: Int, old: I32) -> None:
    """Sends the change of a node's first message to its neighbours on one side."""
    side, node = state.slots[slot, SIDE], state.slots[slot, NODE]
    at = model.sum_at[1, model.opposite[side]]
    if at < 0:
        return
    delta = state.scratch[0]
    delta[:] = 0
    for f in range(len(old)):
        add_from(delta, np.float32(1), model.table[side], state.nodes[node, FEATURES + f])
        add_from(delta, np.float32(-1), model.table[side], old[f])
    push(state, slot, at, delta)


@njit(cache=True, fastmath={"contract"})
def _join(model: Model, state: State, a: Int, b: Int, weight: Int, count: Int) -> None:
    """Lets a link between two slots that are not muted count by `weight` more."""
    # One body for both directions: what is inlined twice is compiled twice.
    for turn in range(2):
        to, source = (a, b) if turn == 0 else (b, a)
        add_message(model, state, to, source, weight, count)
        mark(state, state.slots[to, NODE])


@njit(cache=True)
def _put(model: Model, state: State, slot_a: Int, slot_b: Int, weight: Int) -> None:
    alive = not (state.slots[slot_a, FLAGS] | state.slots[slot_b, FLAGS]) & MUTED
    at = find_link(state, slot_a, slot_b)
    if at >= 0:
        place = state.slots[slot_a, START] + at
        change = np.float64(weight) - np.float64(state.links_f32[place, WEIGHT_F32])
        if change != 0.0:
            other = state.slots[slot_b, START] + state.links[place, BACK]
            state.links_f32[place, WEIGHT_F32] = weight
            state.links_f32[other, WEIGHT_F32] = weight
            if alive:
                _join(model, state, slot_a, slot_b, change, 0)
        return
    tie(state, slot_a, slot_b, weight)
    state.counters[LINKS] += 1
    if alive:
        _join(model, state, slot_a, slot_b, np.float64(weight), 1)
    choose_pull(model, state, slot_a)
    choose_pull(model, state, slot_b)


@njit(cache=True)
def _remove(model: Model, state: State, slot_a: Int, at: Int) -> None:
    place = state.slots[slot_a, START] + at
    slot_b = np.int64(state.links[place, PARTNER])
    if not (state.slots[slot_a, FLAGS] | state.slots[slot_b, FLAGS]) & MUTED:
        _join(model, state, slot_a, slot_b, -np.float64(state.links_f32[place, WEIGHT_F32]), -1)
    untie(state, slot_a, at)
    state.counters[LINKS] -= 1
    for turn in range(2):
        slot = slot_a if turn == 0 else slot_b
        choose_pull(model, state, slot)
        if state.slots[slot, DEGREE] == 0:
            close_slot(model, state, slot)


@njit(cache=True, inline="always")
def choose_pull(model: Model, state: State, slot: Int) -> None:
    """Takes a slot's last message out of its neighbours' sums when it has many links, and back when it has few."""
    degree, pulled = state.slots[slot, DEGREE], state.slots[slot, FLAGS] & PULL
    limit = model.sizes[1]
    if (degree > limit and not pulled) or (2 * degree < limit and pulled):
        _turn_pull(model, state, slot)


@njit(cache=True)
def _turn_pull(model: Model, state: State, slot: Int) -> None:
    layer = model.sizes[0]
    message_at = model.message_at[layer, state.slots[slot, SIDE]]
    if message_at < 0:
        return
    sign = 1 if state.slots[slot, FLAGS] & PULL else -1
    state.slots[slot, FLAGS] ^= PULL
    if state.slots[slot, FLAGS] & MUTED:
        return
    message = state.rows[state.slots[slot, BASE] + message_at]
    sum_at = model.sum_at[layer, model.opposite[state.slots[slot, SIDE]]]
    start = state.slots[slot, START]
    for i in range(start, start + state.slots[slot, DEGREE]):
        partner = state.links[i, PARTNER]
        if not state.slots[partner, FLAGS] & MUTED:
            state.slots[partner, PULLED] -= sign
            weight = np.float32(sign) * state.links_f32[i, WEIGHT_F32]
            add_to(state.rows, state.slots[partner, BASE] + sum_at, weight, message)
            state.slots_f32[partner, MASS_F32] += state.slots_f64[partner, TOTAL_F64]


@njit(cache=True)
def _silence(model: Model, state: State, node: Int, silent: Int) -> None:
    """Takes a node's links out of all sums, or back into them; the lists of links stay."""
    if state.nodes[node, SILENT] == silent:
        return
    state.nodes[node, SILENT] = silent
    mark(state, node)
    slot = np.int64(state.nodes[node, FIRST])
    while slot >= 0:
        if not silent:
            state.slots[slot, FLAGS] &= ~MUTED
        start = state.slots[slot, START]
        for i in range(start, start + state.slots[slot, DEGREE]):
            partner = np.int64(state.links[i, PARTNER])
            # A link from a node to itself counts while neither of its two slots is muted.
            if not state.slots[partner, FLAGS] & MUTED:
                sign = -1 if silent else 1
                _join(model, state, slot, partner, sign * np.float64(state.links_f32[i, WEIGHT_F32]), sign)
        if silent:
            state.slots[slot, FLAGS] |= MUTED
        slot = state.slots[slot, NEXT]


@njit(cache=True, inline="always")
def fetch_operations(model: Model, state: State, a: I32, b: I32, at: Int) -> None:
    """Starts to load what the operations after `at` touch: the further away, the less of each."""
    for turn in range(2):
        ends = a if turn == 0 else b
        if at + 8 < len(ends):
            prefetch(state.nodes, ends[at + 8] * state.nodes.shape[1])
        if at + 5 < len(ends):
            slot = state.nodes[ends[at + 5], FIRST]
            if slot >= 0:
                fetch_slot(state, slot)
        if at + 2 < len(ends):
            slot = state.nodes[ends[at + 2], FIRST]
            while slot >= 0:
                prefetch(state.links, state.slots[slot, START] * 3)
                for row in range(model.slot_rows[state.slots[slot, SIDE]]):
                    fetch_row(state, state.slots[slot, BASE] + row)
                slot = state.slots[slot, NEXT]


@njit(cache=True)
def run(model: Model, state: State, op: I8, family: I32, a: I32, b: I32, weight: F32, start: Int, room: I64) -> Int:
    """Applies operations from `start` on; then, after the last one, sends the changes on.

    Args:
        weight: `[n]`, or empty where every link weighs 1.

    Returns:
        How many outputs were touched (`dirty`, `logit`), or a negative number: -1 - i when operation i names a node
        of another kind or none, and with `room[0]` ≥ 0 when it needs so many slots, links and rows (`room`).
    """
    room[0] = -1
    counters = state.counters
    known, families = len(state.nodes), len(model.first_side)
    for i in range(start, len(op)):
        if not (PUT <= op[i] <= FORGET and 0 <= family[i] < families and 0 <= a[i] < known and 0 <= b[i] < known):
            return -1 - i
    for i in range(start, len(op)):
        fetch_operations(model, state, a, b, i)
        node = a[i]
        if state.nodes[node, KIND] < 0:
            return -1 - i
        if op[i] <= REMOVE:
            side = model.first_side[family[i]]
            other, opposite = b[i], model.opposite[side]
            if (
                state.nodes[node, KIND] != model.side_kind[side]
                or state.nodes[other, KIND] != model.side_kind[opposite]
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
            rows = counters[ROW_TOP] + model.slot_rows[side] + model.slot_rows[opposite]
            if counters[SLOT_TOP] + 2 > len(state.slots) or links > len(state.links) or rows > len(state.rows):
                room[0], room[1], room[2] = counters[SLOT_TOP] + 2, links, rows
                return -1 - i
            if slot_a < 0:
                slot_a = open_slot(model, state, node, side)
            if slot_b < 0:
                slot_b = open_slot(model, state, other, opposite)
            _put(model, state, slot_a, slot_b, weight[i] if len(weight) > 0 else np.float32(1))
        elif op[i] == FORGET:
            if state.nodes[node, FIRST] >= 0:
                return -1 - i
            give_rows(state, state.nodes[node, OWN], model.node_rows[state.nodes[node, KIND]])
            state.nodes[node, KIND] = -1
        else:
            _silence(model, state, node, 1 if op[i] == MUTE else 0)
    for layer in range(1, model.sizes[0]):
        pass_on(model, state, layer)
    return score(model, state)
