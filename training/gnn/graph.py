"""Builds the `HeteroData` of a graph from scratch: what the incremental engine's result must equal."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch_geometric.data import HeteroData

from fraudgraph.graph.types import F64, I8, I32, I64
from fraudgraph.scoring.gnn.model import NetworkSchema
from training.gnn.network import edge_types


def hetero_data(schema: NetworkSchema, kind: I8, bands: I32, family: I32, a: I32, b: I32, weight: F64) -> HeteroData:
    """Returns a graph for `TypedSage`; within its kind, a node's row follows its number.

    Args:
        kind: `[nodes]`, -1 where there is none; bands: `[nodes, f]`.
        family, a, b, weight: `[links]`, each link once.
    """
    data = HeteroData()
    row = rows_of(kind, len(schema.kinds))
    for index, of in enumerate(schema.kinds):
        own = bands[kind == index][:, : len(of.bands)]
        data[of.name].bands = torch.from_numpy(own.astype(np.int64))
    for at, (side, edge) in enumerate(zip(schema.sides, edge_types(schema), strict=True)):
        of_family = family == side.family
        source, target = (
            (row[b[of_family]], row[a[of_family]]) if side.opposite < at else (row[a[of_family]], row[b[of_family]])
        )
        share = weight[of_family]
        if side.opposite == at:
            source, target, share = np.append(source, target), np.append(target, source), np.append(share, share)
        data[edge].edge_index = torch.from_numpy(np.stack((source, target)))
        data[edge].edge_weight = torch.from_numpy(share)
    return data


def rows_of(kind: I8, kinds: int) -> I64:
    """Returns each node's row among those of its kind, `[nodes]`."""
    row = np.full(len(kind), -1, np.int64)
    for index in range(kinds):
        members = np.flatnonzero(kind == index)
        row[members] = np.arange(len(members))
    return row


@dataclass(slots=True)
class PlainGraph:
    """A graph in dictionaries, changed one operation at a time.

    Attributes:
        nodes: kind and bands by node.
        links: last use by (family, a, b); both orders of a symmetric family's ends are one link.
        muted: nodes that do not link.
    """

    schema: NetworkSchema
    nodes: dict[int, tuple[int, tuple[int, ...]]] = field(default_factory=dict)
    links: dict[tuple[int, int, int], int] = field(default_factory=dict)
    muted: set[int] = field(default_factory=set)

    def key(self, family: int, a: int, b: int) -> tuple[int, int, int]:
        """Returns the one key of a link."""
        return (family, min(a, b), max(a, b)) if self.schema.families[family].symmetric else (family, a, b)

    def build(self) -> HeteroData:
        """Returns the graph for `TypedSage`."""
        kind = np.full(max(self.nodes, default=-1) + 1, -1, np.int8)
        bands = np.zeros((len(kind), max(len(of.bands) for of in self.schema.kinds)), np.int32)
        for node, (of, values) in self.nodes.items():
            kind[node] = of
            bands[node, : len(values)] = values
        alive = [(*key, last) for key, last in self.links.items() if not self.muted & {*key[1:]}]
        family, a, b, last_ms = np.array(alive, np.int64).reshape(-1, 4).T
        half_life_ms = self.schema.half_life_ms
        newest = max(self.links.values(), default=0)
        weight = np.ones(len(a)) if half_life_ms is None else np.exp2((last_ms - newest) / half_life_ms)
        return hetero_data(self.schema, kind, bands, family, a, b, weight)
