"""The network of `fraudgraph.scoring.gnn.model` as a module of PyTorch Geometric on `HeteroData`."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.nn import HeteroConv, MessagePassing
from torch_geometric.utils import scatter

from fraudgraph.scoring.gnn.model import NetworkSchema, NetworkWeights

EdgeType = tuple[str, str, str]


class WeightedMean(MessagePassing):
    """Σ w W h / Σ w over the neighbours at one side; 0 where there are none.

    Shapes:
        x: (`[sources, d]`, `[targets, d]`); edge_index: `[2, e]`; edge_weight: `[e]`; returns `[targets, d]`.
    """

    def __init__(self, width: int) -> None:
        super().__init__(aggr="sum")
        self.linear = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor | tuple[Tensor, Tensor], edge_index: Tensor, edge_weight: Tensor) -> Tensor:
        """Returns the means; one `x` where both ends are of one kind."""
        x = (x, x) if isinstance(x, Tensor) else x
        targets = x[1].size(0)
        total = scatter(edge_weight, edge_index[1], dim_size=targets, reduce="sum")
        share = edge_weight / total[edge_index[1]]
        return cast(
            Tensor,
            self.propagate(edge_index, x=self.linear(x[0]), edge_weight=share, size=(x[0].size(0), targets)),
        )

    def message(self, x_j: Tensor, edge_weight: Tensor) -> Tensor:
        """Returns what goes over each edge."""
        return edge_weight.unsqueeze(-1) * x_j


class TypedSage(nn.Module):
    """The network; `forward` returns every kind's embeddings, layer by layer.

    A graph has, for each kind, `bands` `[n, f]` int64 and, for each edge type of `edge_types`, `edge_index` and
    `edge_weight`; edges of a symmetric family stand there in both directions. A kind without nodes has `bands` of no
    rows, a family without links an `edge_index` of no columns.
    """

    def __init__(self, schema: NetworkSchema) -> None:
        super().__init__()
        self.schema = schema
        names, width = [kind.name for kind in schema.kinds], schema.width
        self.edge_types = edge_types(schema)
        self.encoder = nn.Embedding(schema.rows, width)
        self.means = nn.ModuleList(
            HeteroConv({edge: WeightedMean(width) for edge in self.edge_types}, aggr="sum")
            for _ in range(schema.layers)
        )
        self.own = nn.ModuleList(
            nn.ModuleDict({name: nn.Linear(width, width) for name in names}) for _ in range(schema.layers)
        )
        self.head = nn.Linear(width, 1)
        self.head_x = nn.Linear(len(schema.head_features), 1, bias=False)

    def forward(self, graph: HeteroData) -> list[dict[str, Tensor]]:
        """Returns h¹ … h^L by kind, each `[n, d]`."""
        h: dict[str, Tensor] = {}
        for index, kind in enumerate(self.schema.kinds):
            bands = graph[kind.name].bands
            offsets = torch.tensor(self.schema.row_offsets(index), dtype=torch.int64, device=bands.device)
            h[kind.name] = self.encoder(bands + offsets).sum(dim=1)
        out = []
        for means, own in zip(self.means, self.own, strict=True):
            came = means(h, graph.edge_index_dict, graph.edge_weight_dict)
            h = {name: torch.relu(cast(nn.ModuleDict, own)[name](x) + came.get(name, 0.0)) for name, x in h.items()}
            out.append(h)
        return out

    def logits(self, h: Tensor, x: Tensor | None = None) -> Tensor:
        """Returns logits `[n]` of last embeddings, with the head's own features `[n, x]` where given."""
        logits: Tensor = self.head(h).squeeze(-1)
        return logits if x is None else logits + cast(Tensor, self.head_x(x)).squeeze(-1)

    @torch.no_grad()
    def load(self, weights: NetworkWeights) -> TypedSage:
        """Takes up exported weights."""
        self.encoder.weight.copy_(torch.from_numpy(weights.encoder))
        for layer in range(self.schema.layers):
            for side, linear in enumerate(self._relations(layer)):
                linear.weight.copy_(torch.from_numpy(weights.relation[layer, side]))
            for kind, linear in enumerate(self._owns(layer)):
                linear.weight.copy_(torch.from_numpy(weights.own[layer, kind]))
                linear.bias.copy_(torch.from_numpy(weights.bias[layer, kind]))
        self.head.weight.copy_(torch.from_numpy(weights.head[None]))
        self.head.bias.fill_(weights.head_bias)
        self.head_x.weight.copy_(torch.from_numpy(weights.head_x[None]))
        return self

    def export(self) -> NetworkWeights:
        """Returns the weights for the incremental engine."""

        def array(tensor: Tensor) -> np.ndarray:
            return tensor.detach().cpu().float().numpy().copy()

        layers = range(self.schema.layers)
        return NetworkWeights(
            self.schema,
            encoder=array(self.encoder.weight),
            relation=np.stack([np.stack([array(m.weight) for m in self._relations(layer)]) for layer in layers]),
            own=np.stack([np.stack([array(m.weight) for m in self._owns(layer)]) for layer in layers]),
            bias=np.stack([np.stack([array(m.bias) for m in self._owns(layer)]) for layer in layers]),
            head=array(self.head.weight)[0],
            head_x=array(self.head_x.weight)[0],
            head_bias=float(self.head.bias.item()),
        )

    def _relations(self, layer: int) -> list[nn.Linear]:
        means = cast(HeteroConv, self.means[layer])
        return [cast(WeightedMean, means.convs[edge]).linear for edge in self.edge_types]

    def _owns(self, layer: int) -> list[nn.Linear]:
        own = cast(nn.ModuleDict, self.own[layer])
        return [cast(nn.Linear, own[kind.name]) for kind in self.schema.kinds]


def edge_types(schema: NetworkSchema) -> list[EdgeType]:
    """Returns the edge type over which each side sends."""
    sides = schema.sides
    return [
        (schema.kinds[side.kind].name, side.name.replace(":", "_"), schema.kinds[sides[side.opposite].kind].name)
        for side in sides
    ]
