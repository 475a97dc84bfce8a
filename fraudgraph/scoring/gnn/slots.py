"""Kernels that keep the records: slots of nodes, their lists of links, and the rows that belong to them."""

from __future__ import annotations

from fraudgraph.graph.types import Int
from fraudgraph.kernels import njit
from fraudgraph.scoring.gnn.state import (
    BACK,
    BASE,
    CLASS_SHIFT,
    DEGREE,
    FIRST,
    FLAGS,
    LINK_TOP,
    LIVE,
    MASS_F32,
    MUTED,
    NEXT,
    NODE,
    PARTNER,
    PULLED,
    ROW_TOP,
    SIDE,
    SILENT,
    SLOT_FREE,
    SLOT_TOP,
    SLOTS,
    SMALLEST_LIST,
    START,
    TOTAL_F64,
    WEIGHT_F32,
    Model,
    State,
)


@njit(cache=True, inline="always")
def take_rows(state: State, length: Int) -> Int:
    """Returns the first of `length` zeroed rows; the caller reserved room."""
    if length == 0:
        return -1
    base = state.row_free[length]
    if base >= 0:
        state.row_free[length] = state.rows_i32[base, 0]
        state.rows[base : base + length] = 0
        return base
    base = state.counters[ROW_TOP]
    state.counters[ROW_TOP] += length
    return base


@njit(cache=True, inline="always")
def give_rows(state: State, base: Int, length: Int) -> None:
    """Keeps a record of rows for re-use."""
    if length > 0:
        state.rows_i32[base, 0] = state.row_free[length]
        state.row_free[length] = base


@njit(cache=True, inline="always")
def _take_list(state: State, size_class: Int) -> Int:
    start = state.link_free[size_class]
    if start >= 0:
        state.link_free[size_class] = state.links[start, PARTNER]
        return start
    start = state.counters[LINK_TOP]
    state.counters[LINK_TOP] += SMALLEST_LIST << size_class
    return start


@njit(cache=True, inline="always")
def _give_list(state: State, start: Int, size_class: Int) -> None:
    state.links[start, PARTNER] = state.link_free[size_class]
    state.link_free[size_class] = start


@njit(cache=True, inline="always")
def find_slot(state: State, node: Int, side: Int) -> Int:
    """Returns a node's slot on a side, or -1."""
    slot = state.nodes[node, FIRST]
    while slot >= 0 and state.slots[slot, SIDE] != side:
        slot = state.slots[slot, NEXT]
    return slot


@njit(cache=True)
def open_slot(model: Model, state: State, node: Int, side: Int) -> Int:
    """Returns a new slot; the caller reserved room."""
    slot = state.counters[SLOT_FREE]
    if slot >= 0:
        state.counters[SLOT_FREE] = state.slots[slot, NEXT]
    else:
        slot = state.counters[SLOT_TOP]
        state.counters[SLOT_TOP] += 1
    state.counters[SLOTS] += 1
    record = state.slots[slot]
    record[NODE] = node
    record[SIDE] = side
    record[BASE] = take_rows(state, model.slot_rows[side])
    record[START] = _take_list(state, 0)
    record[DEGREE] = 0
    record[LIVE] = 0
    record[FLAGS] = MUTED if state.nodes[node, SILENT] else 0
    record[NEXT] = state.nodes[node, FIRST]
    record[PULLED] = 0
    state.slots_f64[slot, TOTAL_F64] = 0.0
    state.slots_f32[slot, MASS_F32] = 0.0
    state.nodes[node, FIRST] = slot
    return slot


@njit(cache=True)
def close_slot(model: Model, state: State, slot: Int) -> None:
    """Gives a slot without links back."""
    record = state.slots[slot]
    node = record[NODE]
    before = state.nodes[node, FIRST]
    if before == slot:
        state.nodes[node, FIRST] = record[NEXT]
    else:
        while state.slots[before, NEXT] != slot:
            before = state.slots[before, NEXT]
        state.slots[before, NEXT] = record[NEXT]
    give_rows(state, record[BASE], model.slot_rows[record[SIDE]])
    _give_list(state, record[START], record[FLAGS] >> CLASS_SHIFT)
    record[NODE] = -1
    record[NEXT] = state.counters[SLOT_FREE]
    state.counters[SLOT_FREE] = slot
    state.counters[SLOTS] -= 1


@njit(cache=True, inline="always")
def room_for_one_more(state: State, slot: Int) -> Int:
    """Returns how many halves of links a slot's list would take from the top to hold one more link."""
    if slot < 0:
        return SMALLEST_LIST
    size = SMALLEST_LIST << (state.slots[slot, FLAGS] >> CLASS_SHIFT)
    return 2 * size if state.slots[slot, DEGREE] == size else 0


@njit(cache=True, inline="always")
def _append(state: State, slot: Int) -> Int:
    """Makes room at the end of a slot's list and returns its place; the list moves when it is full."""
    degree, size_class = state.slots[slot, DEGREE], state.slots[slot, FLAGS] >> CLASS_SHIFT
    if degree == SMALLEST_LIST << size_class:
        old, new = state.slots[slot, START], _take_list(state, size_class + 1)
        for i in range(degree):
            for k in range(3):
                state.links[new + i, k] = state.links[old + i, k]
        _give_list(state, old, size_class)
        state.slots[slot, START] = new
        state.slots[slot, FLAGS] += 1 << CLASS_SHIFT
    state.slots[slot, DEGREE] = degree + 1
    return degree


@njit(cache=True, inline="always")
def tie(state: State, a: Int, b: Int, weight: Int) -> None:
    """Puts a link into the lists of two slots."""
    at_a, at_b = _append(state, a), _append(state, b)
    place_a, place_b = state.slots[a, START] + at_a, state.slots[b, START] + at_b
    state.links[place_a, PARTNER] = b
    state.links[place_a, BACK] = at_b
    state.links_f32[place_a, WEIGHT_F32] = weight
    state.links[place_b, PARTNER] = a
    state.links[place_b, BACK] = at_a
    state.links_f32[place_b, WEIGHT_F32] = weight


@njit(cache=True, inline="always")
def _take_out(state: State, slot: Int, at: Int) -> None:
    last = state.slots[slot, DEGREE] - 1
    state.slots[slot, DEGREE] = last
    if at < last:
        hole, end = state.slots[slot, START] + at, state.slots[slot, START] + last
        for k in range(3):
            state.links[hole, k] = state.links[end, k]
        state.links[state.slots[state.links[hole, PARTNER], START] + state.links[hole, BACK], BACK] = at


@njit(cache=True, inline="always")
def untie(state: State, a: Int, at_a: Int) -> None:
    """Takes the link at place `at_a` of a slot's list out of both lists."""
    place = state.slots[a, START] + at_a
    b, at_b = state.links[place, PARTNER], state.links[place, BACK]
    _take_out(state, a, at_a)
    _take_out(state, b, at_b)


@njit(cache=True, inline="always")
def find_link(state: State, a: Int, b: Int) -> Int:
    """Returns the place in slot a's list of its link to slot b, or -1; looks through the shorter list."""
    if a < 0 or b < 0:
        return -1
    if state.slots[a, DEGREE] <= state.slots[b, DEGREE]:
        start = state.slots[a, START]
        for i in range(state.slots[a, DEGREE]):
            if state.links[start + i, PARTNER] == b:
                return i
    else:
        start = state.slots[b, START]
        for i in range(state.slots[b, DEGREE]):
            if state.links[start + i, PARTNER] == a:
                return state.links[start + i, BACK]
    return -1
