"""Kernels that keep the records: lines of the memory, slots of nodes, their lists of links."""

from __future__ import annotations

from fraudgraph.graph.types import Int
from fraudgraph.kernels import bare
from fraudgraph.scoring.gnn.state import (
    BACK,
    CLASS_MASK,
    CLASS_SHIFT,
    DEGREE,
    FIRST,
    FLAGS,
    ID,
    KIND,
    KIND_MASK,
    LINE_SHIFT,
    LINE_TOP,
    LINK_COLUMNS,
    LINK_TOP,
    LIVE,
    MESSAGE,
    MUTED,
    NEXT,
    NODE,
    NODES,
    PARTNER,
    SIDE_SHIFT,
    SILENT,
    SLOTS,
    SMALLEST_LIST,
    START,
    TOTAL_F64,
    WEIGHT_F32,
    Model,
    State,
)

# Nodes and slots are handled by the word at which their line begins, and stored by line: a line is 16 words.


@bare(inline="always")
def kind_of(state: State, node: Int) -> Int:
    """Returns a node's kind."""
    return state.words[node + KIND] & KIND_MASK


@bare(inline="always")
def side_of(state: State, slot: Int) -> Int:
    """Returns a slot's side."""
    return state.words[slot + FLAGS] >> SIDE_SHIFT


@bare(inline="always")
def node_of(state: State, slot: Int) -> Int:
    """Returns a slot's node."""
    return state.words[slot + NODE] << LINE_SHIFT


@bare(inline="always")
def first_slot(state: State, node: Int) -> Int:
    """Returns a node's first slot, negative where there is none."""
    return state.words[node + FIRST] << LINE_SHIFT


@bare(inline="always")
def next_slot(state: State, slot: Int) -> Int:
    """Returns the next slot of a slot's node, negative after the last."""
    return state.words[slot + NEXT] << LINE_SHIFT


@bare(inline="always")
def partner_of(state: State, half: Int) -> Int:
    """Returns the slot at the other end of a half of a link."""
    return state.links[half, PARTNER] << LINE_SHIFT


@bare(inline="always")
def total_of(state: State, slot: Int) -> Int:
    """Returns the place in `doubles` of a slot's total weight."""
    return (slot >> 1) + TOTAL_F64


@bare()
def take_lines(state: State, length: Int) -> Int:
    """Returns the first of `length` zeroed lines; the caller reserved room."""
    line = state.line_free[length]
    if line >= 0:
        at = line << LINE_SHIFT
        state.line_free[length] = state.words[at]
        for word in range(at, at + (length << LINE_SHIFT)):
            state.words[word] = 0
        return line
    line = state.counters[LINE_TOP]
    state.counters[LINE_TOP] += length
    return line


@bare(inline="always")
def give_lines(state: State, line: Int, length: Int) -> None:
    """Keeps a record for re-use."""
    state.words[line << LINE_SHIFT] = state.line_free[length]
    state.line_free[length] = line


@bare(inline="always")
def size_of(size_class: Int) -> Int:
    """Returns how many halves of links a list has room for: 2, 3, 4, 6, 8, 12, …"""
    return (SMALLEST_LIST + (size_class & 1)) << (size_class >> 1)


@bare(inline="always")
def _take_list(state: State, size_class: Int) -> Int:
    start = state.link_free[size_class]
    if start >= 0:
        state.link_free[size_class] = state.links[start, PARTNER]
        return start
    start = state.counters[LINK_TOP]
    state.counters[LINK_TOP] += size_of(size_class)
    return start


@bare(inline="always")
def _give_list(state: State, start: Int, size_class: Int) -> None:
    state.links[start, PARTNER] = state.link_free[size_class]
    state.link_free[size_class] = start


@bare()
def open_node(model: Model, state: State, number: Int, kind: Int) -> Int:
    """Returns the record of a new node, all rows zero; the caller reserved room."""
    line = take_lines(state, model.node_lines[kind])
    at = line << LINE_SHIFT
    state.place[number] = line
    state.words[at + ID] = number
    state.words[at + KIND] = kind
    state.words[at + FIRST] = -1
    state.words[at + NODE] = line
    state.words[at + START] = -1
    state.counters[NODES] += 1
    return at


@bare()
def close_node(model: Model, state: State, node: Int) -> None:
    """Gives the record of a node without slots back."""
    state.place[state.words[node + ID]] = -1
    state.counters[NODES] -= 1
    give_lines(state, node >> LINE_SHIFT, model.node_lines[kind_of(state, node)])


@bare(inline="always")
def find_slot(state: State, node: Int, side: Int) -> Int:
    """Returns a node's slot on a side, or a negative number."""
    slot = first_slot(state, node)
    while slot >= 0 and side_of(state, slot) != side:
        slot = next_slot(state, slot)
    return slot


@bare()
def open_slot(model: Model, state: State, node: Int, side: Int) -> Int:
    """Returns a new slot, in the node's own line where that is free; the caller reserved room."""
    slot = node
    if state.words[node + START] >= 0:
        slot = take_lines(state, 1) << LINE_SHIFT
    words = state.words
    words[slot + NODE] = node >> LINE_SHIFT
    words[slot + MESSAGE] = take_lines(state, model.message_lines[side]) if model.message_lines[side] > 0 else -1
    words[slot + START] = _take_list(state, 0)
    words[slot + DEGREE] = 0
    words[slot + LIVE] = 0
    words[slot + FLAGS] = (side << SIDE_SHIFT) | (MUTED if words[node + KIND] & SILENT else 0)
    words[slot + NEXT] = words[node + FIRST]
    state.doubles[total_of(state, slot)] = 0.0
    words[node + FIRST] = slot >> LINE_SHIFT
    state.counters[SLOTS] += 1
    return slot


@bare()
def close_slot(model: Model, state: State, slot: Int) -> None:
    """Gives a slot without links back."""
    words, node, line = state.words, node_of(state, slot), slot >> LINE_SHIFT
    if words[node + FIRST] == line:
        words[node + FIRST] = words[slot + NEXT]
    else:
        before = first_slot(state, node)
        while words[before + NEXT] != line:
            before = next_slot(state, before)
        words[before + NEXT] = words[slot + NEXT]
    lines = model.message_lines[side_of(state, slot)]
    if lines > 0:
        give_lines(state, words[slot + MESSAGE], lines)
    _give_list(state, words[slot + START], size_class_of(state, slot))
    words[slot + START] = -1
    if slot != node:
        give_lines(state, line, 1)
    state.counters[SLOTS] -= 1


@bare(inline="always")
def size_class_of(state: State, slot: Int) -> Int:
    """Returns the size class of a slot's list of links."""
    return (state.words[slot + FLAGS] >> CLASS_SHIFT) & CLASS_MASK


@bare(inline="always")
def room_for_one_more(state: State, slot: Int) -> Int:
    """Returns how many halves of links a slot's list would take from the top to hold one more link."""
    if slot < 0:
        return SMALLEST_LIST
    size_class = size_class_of(state, slot)
    return size_of(size_class + 1) if state.words[slot + DEGREE] == size_of(size_class) else 0


@bare(inline="always")
def _append(state: State, slot: Int) -> Int:
    """Makes room at the end of a slot's list and returns its place; the list moves when it is full."""
    degree, size_class = state.words[slot + DEGREE], size_class_of(state, slot)
    if degree == size_of(size_class):
        old, new = state.words[slot + START], _take_list(state, size_class + 1)
        for i in range(degree):
            for k in range(LINK_COLUMNS):
                state.links[new + i, k] = state.links[old + i, k]
        _give_list(state, old, size_class)
        state.words[slot + START] = new
        state.words[slot + FLAGS] += 1 << CLASS_SHIFT
    state.words[slot + DEGREE] = degree + 1
    return degree


@bare(inline="always")
def tie(state: State, a: Int, b: Int, weight: Int) -> None:
    """Puts a link into the lists of two slots."""
    at_a, at_b = _append(state, a), _append(state, b)
    place_a, place_b = state.words[a + START] + at_a, state.words[b + START] + at_b
    state.links[place_a, PARTNER] = b >> LINE_SHIFT
    state.links[place_a, BACK] = at_b
    state.links_f32[place_a, WEIGHT_F32] = weight
    state.links[place_b, PARTNER] = a >> LINE_SHIFT
    state.links[place_b, BACK] = at_a
    state.links_f32[place_b, WEIGHT_F32] = weight


@bare(inline="always")
def _take_out(state: State, slot: Int, at: Int) -> None:
    last = state.words[slot + DEGREE] - 1
    state.words[slot + DEGREE] = last
    if at < last:
        hole, end = state.words[slot + START] + at, state.words[slot + START] + last
        for k in range(LINK_COLUMNS):
            state.links[hole, k] = state.links[end, k]
        other = partner_of(state, hole)
        state.links[state.words[other + START] + state.links[hole, BACK], BACK] = at


@bare(inline="always")
def untie(state: State, a: Int, at_a: Int) -> None:
    """Takes the link at place `at_a` of a slot's list out of both lists."""
    place = state.words[a + START] + at_a
    b, at_b = partner_of(state, place), state.links[place, BACK]
    _take_out(state, a, at_a)
    _take_out(state, b, at_b)


@bare(inline="always")
def find_link(state: State, a: Int, b: Int) -> Int:
    """Returns the place in slot a's list of its link to slot b, or -1; looks through the shorter list."""
    if a < 0 or b < 0:
        return -1
    if state.words[a + DEGREE] <= state.words[b + DEGREE]:
        start, wanted = state.words[a + START], b >> LINE_SHIFT
        for i in range(state.words[a + DEGREE]):
            if state.links[start + i, PARTNER] == wanted:
                return i
    else:
        start, wanted = state.words[b + START], a >> LINE_SHIFT
        for i in range(state.words[b + DEGREE]):
            if state.links[start + i, PARTNER] == wanted:
                return state.links[start + i, BACK]
    return -1
