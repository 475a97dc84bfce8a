"""What the incremental engine holds, in arrays that kernels take: the network's numbers, and what is cached of nodes.

One memory of lines of 64 bytes holds all records, since what a neighbour's update costs is the lines that it touches:

- A *node's* record: a line of its own fields, then rows of `pitch` float32: Z^l, what stands inside layer l's relu, the
  last layer first; then own^l = U^l h^(l-1) + b^l for l ≥ 2, as it is part of Z^l. Only rows on which some output
  depends. Layer 1's own terms and messages come from small tables, since h⁰ is a sum of encoder rows.
- A *slot*, one node's end of its links on one side, takes the second half of a line: of the node's own line for one of
  its slots, a further line for each other. So an update of a node of one slot runs over five lines in a row.
- The *messages* W^l h^(l-1), l ≥ 2, that a slot last sent: rows apart, since only its own node touches them.

What is cached is Z, with the means of what came in, not a sum per slot: rescoring a neighbour reads one row. The mean
over one slot is needed only when its links change, and then follows from Z, or from few neighbours (`means`).
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from fraudgraph.graph.columns import grown, roomy
from fraudgraph.graph.types import F64, I32, I64, Bool
from fraudgraph.scoring.gnn.model import F32, NetworkSchema, NetworkWeights

LINE: Final = 16
"""Words of four bytes in a line; records are named by their line, and reached at 16 times that."""
LINE_SHIFT: Final = 4

# Words of a node's line.
ID: Final = 0
KIND: Final = 1
STAMP: Final = 2
SPOT: Final = 3
WEAR_F32: Final = 4
FIRST: Final = 5
PULLED: Final = 6

# Words of a slot's line. Total weight is a float64 in the last two.
NODE: Final = 7
MESSAGE: Final = 8
START: Final = 9
DEGREE: Final = 10
LIVE: Final = 11
FLAGS: Final = 12
NEXT: Final = 13
TOTAL_F64: Final = 7

# A node's kind, and above it whether the node is silent.
KIND_MASK: Final = 255
SILENT: Final = 256

# A slot's flags: two bits, the size class of its list of links, its side.
PULL: Final = 1
MUTED: Final = 2
CLASS_SHIFT: Final = 2
CLASS_MASK: Final = 63
SIDE_SHIFT: Final = 8

# Columns of `State.links`.
PARTNER: Final = 0
BACK: Final = 1
WEIGHT_F32: Final = 2
LINK_COLUMNS: Final = 3

SMALLEST_LIST: Final = 2

# Entries of `State.counters`.
LINE_TOP: Final = 0
LINK_TOP: Final = 1
SERIAL: Final = 2
DIRTY: Final = 3
REFRESHED: Final = 4
LINKS: Final = 5
SLOTS: Final = 6
NODES: Final = 7
PUSHED: Final = 8
COUNTERS: Final = 9


class Model(NamedTuple):
    """The network as kernels read it; rows are padded with zeros from d to the pitch, a multiple of 16.

    Attributes:
        sizes: `[2]` layers L and pull degree.
        first_side: `[families]` side 0 of each; opposite, side_kind: `[sides]`.
        z_at, own_at: `[L + 1, kinds]` word of Z^l and own^l in a node's record, 0 where there is none.
        message_at: `[L + 1, sides]` word in a slot's messages, -1 where nothing depends on it.
        node_lines: `[kinds]`, message_lines: `[sides]` lengths of records.
        outputs: `[kinds]`.
        features: `[kinds]` how many.
        table: `[sides, rows, pitch]` W¹ E; own_table: `[rows, pitch]` U¹ E.
        relation, own: `[L, sides or kinds, pitch, pitch]`, transposed: row j is what input j adds.
        bias: `[L, kinds, pitch]`.
        head: `[pitch]`; head_bias: `[1]`.
    """

    sizes: I64
    first_side: I32
    opposite: I32
    side_kind: I32
    z_at: I64
    own_at: I64
    message_at: I64
    node_lines: I32
    message_lines: I32
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
    """The cache. `memory`, `words` and `doubles` are one memory; `links` and `links_f32` another.

    Attributes:
        memory: `[lines * 16]`.
        place: `[nodes]` line of a node's record, -1 where there is none. features: `[nodes, f]` encoder rows.
        links: `[halves, 3]` int32: the partner's slot, the place of the other half in the partner's list, weight.
        link_free: `[64]` first free list of links by size class; line_free: `[64]` first free record by length.
        dirty: `[nodes]` lines of the nodes that this batch touched, -1 for one that was dropped.
        touched, logit: `[nodes]` their numbers, -1 unless they are outputs, and logits.
        scratch: `[5, pitch]`.
        picks: `[pitch + 1]` inputs of a product that are not zero.
        counters: `[9]` int64.
    """

    memory: F32
    words: I32
    doubles: F64
    place: I32
    features: I32
    links: I32
    links_f32: F32
    link_free: I32
    line_free: I32
    dirty: I32
    touched: I32
    logit: F32
    scratch: F32
    picks: I64
    counters: I64


def pitch_of(width: int) -> int:
    """Returns the words of a row."""
    return -(-width // LINE) * LINE


def _padded(array: F64 | F32, axes: int) -> F32:
    """Returns an array whose last axes are filled up with zeros to the pitch."""
    wide = [(0, 0)] * (array.ndim - axes) + [(0, pitch_of(size) - size) for size in array.shape[-axes:]]
    return np.ascontiguousarray(np.pad(array, wide), np.float32)


def new_model(weights: NetworkWeights, pull_degree: int) -> Model:
    """Returns the network laid out for the kernels."""
    schema = weights.schema
    sides, kinds, layers, pitch = schema.sides, range(len(schema.kinds)), schema.layers, pitch_of(schema.width)
    z_at, own_at = (np.zeros((layers + 1, len(kinds)), np.int64) for _ in range(2))
    message_at = np.full((layers + 1, len(sides)), -1, np.int64)
    node_words, message_words = np.full(len(kinds), LINE), np.zeros(len(sides), np.int64)
    for layer in range(layers, 0, -1):
        needed = schema.needed(layer)
        for kind in needed:
            z_at[layer, kind] = node_words[kind]
            node_words[kind] += pitch
        for at, side in enumerate(sides):
            if layer > 1 and sides[side.opposite].kind in needed:
                message_at[layer, at] = message_words[at]
                message_words[at] += pitch
    for layer in range(2, layers + 1):
        for kind in schema.needed(layer):
            own_at[layer, kind] = node_words[kind]
            node_words[kind] += pitch
    kind_of_row = np.repeat(np.array(kinds), [sum(kind.bands) for kind in schema.kinds])
    encoder = weights.encoder.astype(np.float64)
    return Model(
        sizes=np.array([layers, pull_degree], np.int64),
        first_side=np.array(
            [next(i for i, side in enumerate(sides) if side.family == f) for f in range(len(schema.families))], np.int32
        ),
        opposite=np.array([side.opposite for side in sides], np.int32),
        side_kind=np.array([side.kind for side in sides], np.int32),
        z_at=z_at,
        own_at=own_at,
        message_at=message_at,
        node_lines=(node_words // LINE).astype(np.int32),
        message_lines=(message_words // LINE).astype(np.int32),
        outputs=np.array([kind.name in schema.outputs for kind in schema.kinds]),
        features=np.array([len(kind.bands) for kind in schema.kinds], np.int32),
        table=_padded(np.einsum("sij,rj->sri", weights.relation[0].astype(np.float64), encoder), 1),
        own_table=_padded(np.einsum("rij,rj->ri", weights.own[0][kind_of_row].astype(np.float64), encoder), 1),
        relation=_padded(weights.relation.transpose(0, 1, 3, 2), 2),
        own=_padded(weights.own.transpose(0, 1, 3, 2), 2),
        bias=_padded(weights.bias, 1),
        head=_padded(weights.head, 1),
        head_bias=np.array([weights.head_bias], np.float32),
    )


def _aligned(lines: int) -> F32:
    """Returns zeroed lines that are lines of the processor's cache."""
    room = roomy(((lines + 1) * LINE,), np.float32)
    skip = (-room.ctypes.data % 64) // 4
    return (room if room.base is None else room.base)[skip : skip + lines * LINE]


def _views(memory: F32, links: I32) -> dict[str, Any]:
    return {
        "memory": memory,
        "words": memory.view(np.int32),
        "doubles": memory.view(np.float64),
        "links": links,
        "links_f32": links.view(np.float32),
    }


def new_state(schema: NetworkSchema, *, nodes: int = 1024, links: int = 1024) -> State:
    """Returns an empty cache with room for so many nodes and links to begin with."""
    pitch = pitch_of(schema.width)
    features = max(len(kind.bands) for kind in schema.kinds)
    place = roomy((nodes,), np.int32)
    place[:] = -1
    return State(
        **_views(_aligned(nodes + links // 2 * pitch // LINE), roomy((4 * links, LINK_COLUMNS), np.int32)),
        place=place,
        features=roomy((nodes, features), np.int32),
        link_free=np.full(64, -1, np.int32),
        line_free=np.full(64, -1, np.int32),
        dirty=roomy((nodes,), np.int32),
        touched=roomy((nodes,), np.int32),
        logit=roomy((nodes,), np.float32),
        scratch=np.zeros((5, pitch), np.float32),
        picks=np.zeros(pitch + 1, np.int64),
        counters=np.zeros(COUNTERS, np.int64),
    )


def grow_nodes(state: State, nodes: int) -> State:
    """Returns a cache with room for nodes 0 … `nodes` - 1."""
    size = max(nodes, len(state.place) * 3 // 2)
    return state._replace(
        place=grown(state.place, size, -1),
        features=grown(state.features, size),
        dirty=grown(state.dirty, size),
        touched=grown(state.touched, size),
        logit=grown(state.logit, size),
    )


def grow(state: State, lines: int, links: int) -> State:
    """Returns a cache with room for so many lines and halves of links, each half as large again if at all."""
    memory, halves = state.memory, state.links
    if lines * LINE > len(memory):
        wanted = max(lines, len(memory) // LINE * 3 // 2)
        memory = grown(memory, wanted * LINE)
        if memory.ctypes.data % 64:  # it moved
            memory = _aligned(wanted)
            memory[: len(state.memory)] = state.memory
    if links > len(halves):
        halves = grown(halves, max(links, len(halves) * 3 // 2))
    return state._replace(**_views(memory, halves))
