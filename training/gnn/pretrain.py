"""Teaches a network who shares what, before it sees a label: links are hidden, and it tells them from drawn ones.

Labels are few, links are many. A hidden link's ends are scored by DistMult (Yang et al., ICLR 2015) on the last
layer's embeddings; beside each stands the same account with an identifier of the same kind that another hidden link
ends at, so that popularity alone tells nothing. The scores' own weights are thrown away afterwards.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch_geometric.data import HeteroData

from training.gnn.network import EdgeType, TypedSage

HIDDEN_SHARE = 0.2
"""Of the links, drawn anew in each step; the network passes messages over the others."""

_MIN_LINKS = 2
"""Of a kind that are hidden: one alone has no other to be told from."""


def pretrain(
    model: TypedSage,
    graphs: Sequence[HeteroData],
    *,
    epochs: int,
    rate: float,
    seed: int,
    show: Callable[[int, int | None, str], None] = lambda done, total, words: None,
) -> list[float]:
    """Trains a network on the links of graphs, without labels; returns the mean loss of each epoch.

    The head is left as it is. Graphs of the fitting slices only: what comes later is not looked at.
    """
    sides = [edge for edge in model.edge_types if edge[0] == model.schema.outputs[0] != edge[2]]
    links = nn.ParameterDict({edge[1]: nn.Parameter(torch.ones(model.schema.width)) for edge in sides})
    bias = nn.ParameterDict({edge[1]: nn.Parameter(torch.zeros(1)) for edge in sides})
    device = next(model.parameters()).device
    links, bias = links.to(device), bias.to(device)
    kept = [each for name, each in model.named_parameters() if not name.startswith("head")]
    optimiser = torch.optim.Adam([*kept, *links.parameters(), *bias.parameters()], lr=rate)
    losses = []
    model.train()
    for epoch in range(epochs):
        torch.manual_seed(seed * 100_003 + epoch)
        order = np.random.default_rng([seed, epoch, 1]).permutation(len(graphs))
        total, steps = 0.0, 0
        for index in order.tolist():
            thinned, hidden = hide_links(graphs[index], sides, HIDDEN_SHARE)
            if not hidden:
                continue
            h = model(thinned)[-1]
            said, truth = [], []
            for edge, ends in hidden.items():
                user, ident = h[edge[0]][ends[0]], h[edge[2]]
                drawn = ends[1][torch.randperm(ends.size(1), device=ends.device)]
                for other, value in ((ends[1], 1.0), (drawn, 0.0)):
                    said.append((user * links[edge[1]] * ident[other]).sum(dim=1) + bias[edge[1]])
                    truth.append(torch.full_like(said[-1], value))
            loss = binary_cross_entropy_with_logits(torch.cat(said), torch.cat(truth))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total, steps = total + float(loss.detach()), steps + 1
        losses.append(total / max(steps, 1))
        show(epoch + 1, epochs, f"loss of hidden links {losses[-1]:.4f}")
    return losses


def hide_links(data: HeteroData, sides: Sequence[EdgeType], share: float) -> tuple[HeteroData, dict[EdgeType, Tensor]]:
    """Returns a graph without a part of the links of some sides, and those links `[2, e]`: account, identifier.

    A link goes in both of its directions; kinds of which fewer than two links would be hidden stay whole.
    """
    out, hidden = copy.copy(data), {}
    for edge in sides:
        index = data[edge].edge_index
        hide = torch.rand(index.size(1), device=index.device) < share
        if int(hide.sum()) < _MIN_LINKS:
            continue
        hidden[edge] = index[:, hide]
        for side in data.edge_types:
            if side == edge or _family(side) == _family(edge):
                out[side].edge_index = data[side].edge_index[:, ~hide]
                out[side].edge_weight = data[side].edge_weight[~hide]
    return out, hidden


def _family(edge: EdgeType) -> str:
    return edge[1].split("_")[0]
