"""Builds the `HeteroData` of a graph from scratch: what the incremental engine's result must equal."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch_geometric.data import HeteroData

from fraudgraph.scoring.gnn.model import NetworkSchema
from training.gnn.network import edge_types


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

    def build(self) -> tuple[HeteroData, dict[int, tuple[str, int]]]:
        """Returns the graph, and each node's kind and row in it."""
        schema = self.schema
        place: dict[int, tuple[str, int]] = {}
        data = HeteroData()
        for index, kind in enumerate(schema.kinds):
            members = [node for node, (of, _) in self.nodes.items() if of == index]
            place.update({node: (kind.name, row) for row, node in enumerate(members)})
            bands = [self.nodes[node][1] for node in members]
            data[kind.name].bands = torch.tensor(bands, dtype=torch.int64).reshape(len(members), len(kind.bands))
        newest = max(self.links.values(), default=0)
        types = edge_types(schema)
        pairs: list[list[tuple[int, int, float]]] = [[] for _ in types]
        for (family, a, b), last_ms in self.links.items():
            if a in self.muted or b in self.muted:
                continue
            weight = 1.0 if schema.half_life_ms is None else float(np.exp2((last_ms - newest) / schema.half_life_ms))
            forth, *back = (at for at, side in enumerate(schema.sides) if side.family == family)
            pairs[forth].append((place[a][1], place[b][1], weight))
            pairs[back[0] if back else forth].append((place[b][1], place[a][1], weight))
        for edge, found in zip(types, pairs, strict=True):
            array = np.array(found, np.float64).reshape(-1, 3)
            data[edge].edge_index = torch.from_numpy(array[:, :2].T.astype(np.int64).copy())
            data[edge].edge_weight = torch.from_numpy(array[:, 2].copy())
        return data, place
