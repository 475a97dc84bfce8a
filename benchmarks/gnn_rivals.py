"""What the incremental network is compared with: recomputation in full, by layers from a cache, and of k hops."""

from __future__ import annotations

import time

import numpy as np
import torch
from torch_geometric.utils import k_hop_subgraph

from benchmarks.gnn_graphs import Stream
from fraudgraph.graph.types import F64, I8, I32, I64
from fraudgraph.kernels import njit
from fraudgraph.rings.processor import prefetch
from fraudgraph.scoring.gnn.model import F32, NetworkWeights
from fraudgraph.scoring.gnn.state import Model, new_model
from fraudgraph.scoring.gnn.vectors import multiply, pick
from training.gnn.graph import hetero_data
from training.gnn.network import TypedSage


@njit(cache=True, fastmath={"contract"})
def _layer_one(model: Model, first: I64, to: I32, rows: I32, node: int, out: F32) -> None:
    out[:] = model.bias[0, 0]
    share = np.float32(1.0 / max(1, first[node + 1] - first[node]))
    for f in range(rows.shape[1]):
        for k in range(len(out)):
            out[k] += model.own_table[rows[node, f], k]
    for i in range(first[node], first[node + 1]):
        for f in range(rows.shape[1]):
            for k in range(len(out)):
                out[k] += share * model.table[0, rows[to[i], f], k]
    for k in range(len(out)):
        out[k] = max(out[k], np.float32(0))


@njit(cache=True, fastmath={"contract", "reassoc"})
def _layer_two(model: Model, first: I64, to: I32, h1: F32, node: int, mean: F32, out: F32, picks: I64) -> float:
    """Returns the logit of a node from the first layer of its neighbours."""
    out[:] = model.bias[1, 0]
    multiply(out, model.own[1, 0], h1[node], picks, pick(h1[node], picks))
    mean[:] = 0
    degree = np.float32(max(1, first[node + 1] - first[node]))
    for i in range(first[node], first[node + 1]):
        for k in range(len(mean)):
            mean[k] += h1[to[i], k]
    for k in range(len(mean)):
        mean[k] /= degree
    multiply(out, model.relation[1, 0], mean, picks, pick(mean, picks))
    logit = model.head_bias[0]
    for k in range(len(out)):
        logit += max(out[k], np.float32(0)) * model.head[k]
    return logit


@njit(cache=True)
def recompute(model: Model, first: I64, to: I32, rows: I32, h1: F32, logit: F32) -> None:
    """Computes all nodes' first layer and logits."""
    mean, out, picks = np.empty(h1.shape[1], np.float32), np.empty(h1.shape[1], np.float32), np.empty(65, np.int64)
    for node in range(len(logit)):
        _layer_one(model, first, to, rows, node, h1[node])
    for node in range(len(logit)):
        logit[node] = _layer_two(model, first, to, h1, node, mean, out, picks)


@njit(cache=True)
def recompute_cached(
    model: Model, first: I64, to: I32, rows: I32, h1: F32, logit: F32, ends: I32, stamp: I32, serial: int, found: I32
) -> int:
    """Computes the first layer of links' ends, then the logits of all that they reach, each once; returns how many."""
    mean, out, picks = np.empty(h1.shape[1], np.float32), np.empty(h1.shape[1], np.float32), np.empty(65, np.int64)
    count = 0
    for node in ends:
        if stamp[node] != serial:
            stamp[node] = serial
            found[count] = node
            count += 1
            _layer_one(model, first, to, rows, node, h1[node])
    for at in range(count):
        for i in range(first[found[at]], first[found[at] + 1]):
            if stamp[to[i]] != serial:
                stamp[to[i]] = serial
                found[count] = to[i]
                count += 1
    for at in range(count):
        logit[found[at]] = _layer_two(model, first, to, h1, found[at], mean, out, picks)
    return count


@njit(cache=True, fastmath={"contract"})
def _touch_rows(rows: F32, order: I32, delta: F32) -> None:
    for i in range(len(order)):
        if i + 8 < len(order):
            for k in range(0, rows.shape[1], 16):
                prefetch(rows, order[i + 8] * rows.shape[1] + k)
        for k in range(rows.shape[1]):
            rows[order[i], k] += delta[k]


def rows_per_s(width: int = 64, rows: int = 4_000_000, count: int = 2_000_000) -> float:
    """Returns random rows to which this machine can add a vector, per CPU second: the memory's limit."""
    memory, delta = np.ones((rows, width), np.float32), np.ones(width, np.float32)
    order = np.random.default_rng(1).integers(0, rows, count).astype(np.int32)
    _touch_rows(memory, order[:1], delta)  # compiles
    start = time.process_time()
    _touch_rows(memory, order, delta)
    return count / (time.process_time() - start)


class Rivals:
    """The rivals on a homogeneous graph as it stands; they get the adjacency up to date for nothing."""

    def __init__(self, stream: Stream, weights: NetworkWeights, a: I32, b: I32) -> None:
        self.model = new_model(weights, 0)
        nodes = len(stream.kind)
        self.rows = (stream.bands + np.array(stream.schema.row_offsets(0), np.int32)).astype(np.int32)
        ends, others = np.append(a, b), np.append(b, a)
        order = np.argsort(ends, kind="stable")
        self.to = others[order]
        self.first = np.searchsorted(ends[order], np.arange(nodes + 1)).astype(np.int64)
        self.h1 = np.empty((nodes, stream.schema.width), np.float32)
        self.logit = np.empty(nodes, np.float32)

    def full_s(self) -> float:
        """Returns CPU seconds of a recomputation in full."""
        recompute(self.model, self.first[:2], self.to, self.rows, self.h1, self.logit[:1])  # compiles
        start = time.process_time()
        recompute(self.model, self.first, self.to, self.rows, self.h1, self.logit)
        return time.process_time() - start

    def cached_per_s(self, a: I32, b: I32, batch: int) -> float:
        """Returns links per CPU second of a recomputation of what links reach, from cached embeddings."""
        stamp, found = np.zeros(len(self.logit), np.int32), np.empty(len(self.logit), np.int32)

        def run(at: int, serial: int) -> None:
            ends = np.append(a[at : at + batch], b[at : at + batch])
            recompute_cached(
                self.model, self.first, self.to, self.rows, self.h1, self.logit, ends, stamp, serial, found
            )

        run(0, 1)  # compiles
        start = time.process_time()
        for serial, at in enumerate(range(0, len(a), batch), start=2):
            run(at, serial)
        return len(a) / (time.process_time() - start)


def pyg_logits(stream: Stream, weights: NetworkWeights, family: I32, a: I32, b: I32, weight: F64) -> tuple[F32, float]:
    """Returns PyG's logits of all outputs and the CPU seconds of its forward."""
    module = TypedSage(stream.schema).load(weights)
    data = hetero_data(stream.schema, stream.kind, stream.bands, family, a, b, weight.astype(np.float32))
    with torch.no_grad():
        start = time.process_time()
        logits = module.logits(module(data)[-1][stream.schema.kinds[0].name])
        return logits.numpy(), time.process_time() - start


def k_hop_per_s(stream: Stream, weights: NetworkWeights, a: I32, b: I32, events: int) -> float:
    """Returns links per CPU second of PyG's `k_hop_subgraph` and forward, one link at a time.

    Three hops around its ends: what a link reaches is one hop away, and needs two more. Homogeneous graphs only.
    `NeighborLoader` would need pyg-lib or torch-sparse, which PyPI does not serve for this torch.
    """
    module = TypedSage(stream.schema).load(weights)
    edges = torch.from_numpy(np.stack((np.append(a, b), np.append(b, a))).astype(np.int64))
    nodes = len(stream.kind)
    kind: I8 = np.zeros(0, np.int8)
    start = time.process_time()
    with torch.no_grad():
        for at in range(events):
            ends = [int(a[-1 - at]), int(b[-1 - at])]
            subset, inside, _, _ = k_hop_subgraph(ends, 3, edges, relabel_nodes=True, num_nodes=nodes)
            kind = np.zeros(len(subset), np.int8)
            none = np.zeros(0, np.int32)
            data = hetero_data(stream.schema, kind, stream.bands[subset.numpy()], none, none, none, np.zeros(0))
            edge = module.edge_types[0]
            data[edge].edge_index, data[edge].edge_weight = inside, torch.ones(inside.shape[1])
            module.logits(module(data)[-1]["node"])
    return events / (time.process_time() - start)
