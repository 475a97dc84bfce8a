"""What the incremental engine holds, in columns that kernels take: the network's numbers, and the cached sums.

A *slot* is one node's end of its links on one side: the list of its links, the weighted sums of what came in over them
and the messages that go out. A record is allotted only for a (node, side) that has a link, and within it only the rows
that some output depends on. h⁰ is a sum of encoder rows, so everything of layer 1 but the sums comes from small tables.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from fraudgraph.graph.interning import grown
from fraudgraph.graph.types import F64, I32, I64, Bool
from fraudgraph.scoring.gnn.model import F32, NetworkSchema, NetworkWeights

# Columns of `State.slots`; total weight is column 4 of `slots_f64`, which is columns 8 and 9 here.
NODE: Final = 0
SIDE: Final = 1
BASE: Final = 2
START: Final = 3
DEGREE: Final = 4
LIVE: Final = 5
FLAGS: Final = 6
NEXT: Final = 7
TOTAL_F64: Final = 4
MASS_F32: Final = 10
PULLED: Final = 11
SLOT_COLUMNS: Final = 12

# Bits of a slot's flags; the size class of its list of links stands above them.
PULL: Final = 1
MUTED: Final = 2
CLASS_SHIFT: Final = 8

# Columns of `State.nodes`; encoder rows of the node's features follow.
FIRST: Final = 0
KIND: Final = 1
OWN: Final = 2
STAMP: Final = 3
SILENT: Final = 4
FEATURES: Final = 5

# Columns of `State.links`.
PARTNER: Final = 0
BACK: Final = 1
WEIGHT_F32: Final = 2

# Entries of `State.counters`.
SLOT_TOP: Final = 0
SLOT_FREE: Final = 1
LINK_TOP: Final = 2
ROW_TOP: Final = 3
SERIAL: Final = 4
DIRTY: Final = 5
REFRESHED: Final = 6
LINKS: Final = 7
SLOTS: Final = 8
PUSHED: Final = 9
COUNTERS: Final = 10

SMALLEST_LIST: Final = 2


class Model(NamedTuple):
    """The network as kernels read it; layers count from 1, `l` indexes layer l + 1 where a first axis has length L.

    Attributes:
        sizes: `[2]` layers L and pull degree.
        first_side: `[families]` side 0 of each; opposite, side_kind: `[sides]`.
        sum_at, message_at: `[L + 1, sides]` row within a slot's record, -1 where nothing depends on it.
        own_at: `[L + 1, kinds]` row within a node's record, of U h + b; -1 where nothing depends on it.
        slot_rows: `[sides]`, node_rows: `[kinds]` lengths of the records.
        needed: `[L + 1, kinds]`; outputs: `[kinds]`.
        features: `[kinds]` how many.
        table: `[sides, rows, d]` W¹ E; own_table: `[rows, d]` U¹ E.
        relation, own: `[L, sides or kinds, d, d]`, transposed: row j is what input j adds.
        bias: `[L, kinds, d]`.
        head: `[d]`; head_bias: `[1]`.
    """

    sizes: I64
    first_side: I32
    opposite: I32
    side_kind: I32
    sum_at: I32
    message_at: I32
    own_at: I32
    slot_rows: I32
    node_rows: I32
    needed: Bool
    outputs: Bool
    features: I32
    table: F32
    own_table: F32
    relation: F32
    own: F32
    bias: F32
    head: F32
    head_bias: F32


class State(NamedTuple):
    """The cache. Views of one memory: `slots`, `slots_f32`, `slots_f64`; `links`, `links_f32`; `rows`, `rows_i32`.

    Attributes:
        nodes: `[nodes, 5 + features]` int32, see the columns above; KIND is -1 where there is none.
        slots: `[slots, 12]` int32.
        links: `[halves, 3]` int32: the partner's slot, the place of the other half in the partner's list, weight.
        rows: `[rows, d]` sums, messages and own terms.
        link_free: `[32]` first free list of links by size class; row_free: `[16]` first free record by length.
        dirty: `[nodes]` nodes that this batch touched. logit: `[nodes]` the outputs among them.
        scratch: `[4, d]`.
        picks: `[d + 1]` inputs of a product that are not zero.
        counters: `[10]` int64.
    """

    nodes: I32
    slots: I32
    slots_f32: F32
    slots_f64: F64
    links: I32
    links_f32: F32
    rows: F32
    rows_i32: I32
    link_free: I32
    row_free: I32
    dirty: I32
    logit: F32
    scratch: F32
    picks: I64
    counters: I64


def new_model(weights: NetworkWeights, pull_degree: int) -> Model:
    """Returns the network laid out for the kernels."""
    schema = weights.schema
    sides, kinds, layers = schema.sides, range(len(schema.kinds)), schema.layers
    needed = np.zeros((layers + 1, len(kinds)), np.bool_)
    for layer in range(1, layers + 1):
        needed[layer, list(schema.needed(layer))] = True
    sum_at, message_at = (np.full((layers + 1, len(sides)), -1, np.int32) for _ in range(2))
    own_at = np.full((layers + 1, len(kinds)), -1, np.int32)
    slot_rows, node_rows = np.zeros(len(sides), np.int32), np.zeros(len(kinds), np.int32)
    for layer in range(1, layers + 1):
        for at, side in enumerate(sides):
            if needed[layer, side.kind]:
                sum_at[layer, at] = slot_rows[at]
                slot_rows[at] += 1
            if layer > 1 and needed[layer, sides[side.opposite].kind]:
                message_at[layer, at] = slot_rows[at]
                slot_rows[at] += 1
        for kind in kinds:
            if layer > 1 and needed[layer, kind]:
                own_at[layer, kind] = node_rows[kind]
                node_rows[kind] += 1
    kind_of_row = np.repeat(np.array(kinds), [sum(kind.bands) for kind in schema.kinds])
    encoder = weights.encoder.astype(np.float64)
    own_table = np.einsum("rij,rj->ri", weights.own[0][kind_of_row].astype(np.float64), encoder)
    return Model(
        sizes=np.array([layers, pull_degree], np.int64),
        first_side=np.array(
            [next(i for i, side in enumerate(sides) if side.family == f) for f in range(len(schema.families))], np.int32
        ),
        opposite=np.array([side.opposite for side in sides], np.int32),
        side_kind=np.array([side.kind for side in sides], np.int32),
        sum_at=sum_at,
        message_at=message_at,
        own_at=own_at,
        slot_rows=slot_rows,
        node_rows=node_rows,
        needed=needed,
        outputs=np.array([kind.name in schema.outputs for kind in schema.kinds]),
        features=np.array([len(kind.bands) for kind in schema.kinds], np.int32),
        table=np.einsum("sij,rj->sri", weights.relation[0].astype(np.float64), encoder).astype(np.float32),
        own_table=own_table.astype(np.float32),
        relation=np.ascontiguousarray(weights.relation.transpose(0, 1, 3, 2)),
        own=np.ascontiguousarray(weights.own.transpose(0, 1, 3, 2)),
        bias=weights.bias,
        head=weights.head,
        head_bias=np.array([weights.head_bias], np.float32),
    )


def _aligned_rows(capacity: int, width: int) -> F32:
    """Returns zeroed rows that begin at a cache line, where the width lets them."""
    room = np.zeros(capacity * width + 16, np.float32)
    skip = (-room.ctypes.data % 64) // 4
    return room[skip : skip + capacity * width].reshape(capacity, width)


def _views(nodes: I32, slots: I32, links: I32, rows: F32) -> dict[str, Any]:
    return {
        "nodes": nodes,
        "slots": slots,
        "slots_f32": slots.view(np.float32),
        "slots_f64": slots.view(np.float64),
        "links": links,
        "links_f32": links.view(np.float32),
        "rows": rows,
        "rows_i32": rows.view(np.int32),
    }


def new_state(schema: NetworkSchema, *, nodes: int = 1024, links: int = 1024) -> State:
    """Returns an empty cache with room for so many nodes and links to begin with."""
    features = max(len(kind.bands) for kind in schema.kinds)
    node_columns = np.zeros((nodes, FEATURES + features), np.int32)
    node_columns[:, [FIRST, KIND, OWN]] = -1
    counters = np.zeros(COUNTERS, np.int64)
    counters[SLOT_FREE] = -1
    return State(
        **_views(
            node_columns,
            np.zeros((links, SLOT_COLUMNS), np.int32),
            np.zeros((4 * links, 3), np.int32),
            _aligned_rows(2 * links, schema.width),
        ),
        dirty=np.empty(nodes, np.int32),
        logit=np.empty(nodes, np.float32),
        link_free=np.full(32, -1, np.int32),
        row_free=np.full(16, -1, np.int32),
        scratch=np.zeros((4, schema.width), np.float32),
        picks=np.zeros(schema.width + 1, np.int64),
        counters=counters,
    )


def grow_nodes(state: State, nodes: int) -> State:
    """Returns a cache with room for nodes 0 … `nodes` - 1."""
    before = len(state.nodes)
    columns = grown(state.nodes, max(nodes, before * 3 // 2))
    columns[before:, [FIRST, KIND, OWN]] = -1
    return state._replace(
        nodes=columns, dirty=grown(state.dirty, len(columns)), logit=np.empty(len(columns), np.float32)
    )


def grow(state: State, slots: int, links: int, rows: int) -> State:
    """Returns a cache with room for so many slots, halves of links and rows, each half as large again if at all."""

    def size(now: int, need: int) -> int:
        return now if need <= now else max(need, now * 3 // 2)

    row_count, width = state.rows.shape
    row_columns = state.rows
    if rows > row_count:
        row_columns = _aligned_rows(size(row_count, rows), width)
        row_columns[:row_count] = state.rows
    slot_columns = grown(state.slots, size(len(state.slots), slots)) if slots > len(state.slots) else state.slots
    link_columns = grown(state.links, size(len(state.links), links)) if links > len(state.links) else state.links
    return state._replace(**_views(state.nodes, slot_columns, link_columns, row_columns))
