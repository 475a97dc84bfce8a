"""Links sent on a few at a time from a compiled loop: what the network does without a call from Python for each.

Every operation's scores are computed before the next one is looked at, except that what the next ones will touch is
already being loaded: a queue is seen before it is worked through.
"""

from __future__ import annotations

import time

import numpy as np

from fraudgraph.errors import UsageError
from fraudgraph.graph.types import I8, I32, I64
from fraudgraph.kernels import njit
from fraudgraph.scoring.gnn.engine import IncrementalNetwork, LinkBatch
from fraudgraph.scoring.gnn.kernels import first_strange, run_until
from fraudgraph.scoring.gnn.model import F32
from fraudgraph.scoring.gnn.state import DIRTY, LINE_TOP, LINK_TOP, SERIAL, Model, State, grow


@njit(cache=True)
def _in_steps(
    model: Model, state: State, op: I8, family: I32, a: I32, b: I32, weight: F32, step: int, room: I64
) -> int:
    """Returns how many scores were computed, or a negative number where an operation found no room."""
    rescored = 0
    if first_strange(model, state, op, family, a, b) >= 0:
        return -1
    for at in range(0, len(op), step):
        state.counters[SERIAL] += 1
        state.counters[DIRTY] = 0
        found = run_until(model, state, op, family, a, b, weight, at, min(at + step, len(op)), room)
        if found < 0:
            return found
        rescored += found
    return rescored


def apply_in_steps(engine: IncrementalNetwork, links: LinkBatch, step: int) -> float:
    """Applies operations, `step` of them at a time, as so many batches; returns CPU seconds."""
    weight, model = engine._weigh(links), engine._model
    counters, count = engine._state.counters, len(links.op)
    # Room for a slot with its messages at each end, and for lists that grow.
    lines = int(counters[LINE_TOP]) + 2 * count * (1 + int(model.message_lines.max()))
    engine._state = grow(engine._state, lines, int(counters[LINK_TOP]) + 16 * count + 100_000)
    room = np.zeros(2, np.int64)
    start = time.thread_time()
    found = _in_steps(model, engine._state, links.op, links.family, links.a, links.b, weight, step, room)
    seconds = time.thread_time() - start
    if found < 0:
        raise UsageError(f"operation {-1 - found} of the loop found no room", do="Reserve more.")
    return seconds
