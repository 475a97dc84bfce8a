"""Trains the network: a plain loop over whole graphs, one slice at a time, weighted, stopped on later data.

Fraud is rare. The positives' weights are scaled so that they make up `positive_share` of the loss; what that does to
probabilities, the calibration takes back (`training.gnn.calibrate`).
"""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import torch
from msgspec import Meta
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch_geometric.data import HeteroData

from fraudgraph.durations import DAY_MS
from fraudgraph.errors import UsageError
from fraudgraph.graph.types import F64
from fraudgraph.scoring.gnn.features import network_schema
from fraudgraph.scoring.gnn.model import F32, NetworkSchema
from training.gnn.dataset import Slice
from training.gnn.graph import hetero_data
from training.gnn.network import TypedSage
from training.gnn.pretrain import pretrain
from training.labels import POSITIVE, UNKNOWN
from training.reliability import average_precision

Show = Callable[[int, int | None, str], None]
"""Called with (epochs done, in all, words)."""

CHECKPOINT = "checkpoint.pt"


class TrainConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the network is trained.

    Attributes:
        half_life_days: age at which a link weighs half as much as a fresh one.
        positive_share: of the loss that the positives make up.
        patience: epochs without a better average precision on the stopping slices.
        link_dropout: part of the links left out of each step, drawn anew: no single link may decide.
        pretrain_epochs: on the fitting slices' links alone, before a label is seen (`training.gnn.pretrain`).
        seed: of the weights, the order of slices and the dropout.
        threads: of PyTorch.
    """

    width: Annotated[int, Meta(ge=1, le=64)] = 16
    layers: Annotated[int, Meta(ge=1, le=3)] = 2
    half_life_days: Annotated[int, Meta(ge=1)] = 30
    epochs: Annotated[int, Meta(ge=1)] = 40
    patience: Annotated[int, Meta(ge=1)] = 8
    rate: Annotated[float, Meta(gt=0.0)] = 0.005
    weight_decay: Annotated[float, Meta(ge=0.0)] = 0.0005
    positive_share: Annotated[float, Meta(gt=0.0, lt=1.0)] = 0.2
    link_dropout: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.1
    pretrain_epochs: Annotated[int, Meta(ge=0)] = 0
    seed: int = 1
    threads: Annotated[int, Meta(ge=1)] = 1
    device: Literal["cpu", "cuda"] = "cpu"

    @property
    def schema(self) -> NetworkSchema:
        """The network that is trained."""
        return network_schema(layers=self.layers, width=self.width, half_life_ms=self.half_life_days * DAY_MS)


@dataclass(slots=True)
class Example:
    """A slice as tensors: `data` for `TypedSage`, and of the accounts that teach rows, head, target and weight."""

    data: HeteroData
    rows: Tensor
    head: Tensor
    target: Tensor
    weight: Tensor


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained network; `epoch` is the one that was kept, `stop_precision` its average precision there."""

    model: TypedSage
    epoch: int
    stop_precision: float


def graph_data(schema: NetworkSchema, piece: Slice, device: str = "cpu") -> HeteroData:
    """Returns the graph of a slice, float32."""
    family, a, b, weight = piece.graph.messages(schema.half_life_ms)
    data = hetero_data(schema, piece.graph.kind, piece.graph.bands, family, a, b, weight)
    for edge in data.edge_types:
        data[edge].edge_weight = data[edge].edge_weight.float()
    return data.to(device)


def example(schema: NetworkSchema, piece: Slice, device: str = "cpu") -> Example:
    """Returns a slice that has its targets, as tensors."""
    if piece.targets is None:
        raise UsageError("a slice has no targets", do="Read its labels first: Stream.aim.")
    rows = np.flatnonzero(piece.targets.target != UNKNOWN)
    return Example(
        data=graph_data(schema, piece, device),
        rows=torch.from_numpy(rows).to(device),
        head=torch.from_numpy(piece.head[rows]).to(device),
        target=torch.from_numpy((piece.targets.target[rows] == POSITIVE).astype(np.float32)).to(device),
        weight=torch.from_numpy(piece.targets.weight[rows].astype(np.float32)).to(device),
    )


def train(
    config: TrainConfig,
    fit: Sequence[Slice],
    stop: Sequence[Slice],
    *,
    folder: Path | None = None,
    show: Show = lambda done, total, words: None,
) -> Trained:
    """Trains a network and returns it as it was at the epoch that was best on the stopping slices.

    Args:
        folder: where a checkpoint is kept after each epoch; one of the same training that is there is taken up.

    Raises:
        UsageError: there is nothing to learn from, or the loss is not finite.
    """
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    schema = config.schema
    learnt = [example(schema, piece, config.device) for piece in fit]
    later = [example(schema, piece, config.device) for piece in stop]
    scale = _positive_scale(learnt, config.positive_share)
    if not any(bool(each.target.any()) for each in later):
        raise UsageError(
            "no account of the stopping slices is positive", do="Give a longer stream, or more labels in it."
        )
    model = TypedSage(schema).to(config.device)
    optimiser = torch.optim.Adam(model.parameters(), lr=config.rate, weight_decay=config.weight_decay)
    state = _State(model, optimiser, None if folder is None else folder / CHECKPOINT, _fingerprint(config, fit, stop))
    state.load()
    if config.pretrain_epochs and not state.epoch:
        graphs = [each.data for each in learnt]
        pretrain(model, graphs, epochs=config.pretrain_epochs, rate=config.rate, seed=config.seed, show=show)
    total = sum(float(_weights(each, scale).sum()) for each in learnt) / len(learnt)
    while state.epoch < config.epochs and state.epoch - state.best_epoch < config.patience:
        random = np.random.default_rng([config.seed, state.epoch])
        torch.manual_seed(config.seed * 100_003 + state.epoch)
        loss = _epoch(model, optimiser, learnt, scale, total, config.link_dropout, random)
        if not math.isfinite(loss):
            raise UsageError(f"the loss is {loss} in epoch {state.epoch + 1}", do="Lower the training's rate.")
        state.ended(_precision(model, later))
        show(state.epoch, config.epochs, f"loss {loss:.4f}, best {state.best:.3f} at {state.best_epoch}")
    model.load_state_dict(state.weights)
    return Trained(model, state.best_epoch, state.best)


def user_logits(model: TypedSage, piece: Slice) -> tuple[F64, F64]:
    """Returns the logits of a slice's accounts as of the cut, `[u]`, and of its rings' members as read there, `[m]`."""
    return embeddings_and_logits(model, piece)[1:]


@torch.no_grad()
def embeddings_and_logits(model: TypedSage, piece: Slice) -> tuple[F32, F64, F64]:
    """Returns the embeddings of a slice's accounts, `[u, width]`, and what `user_logits` returns."""
    model.eval()
    device = str(next(model.parameters()).device)
    h = model(graph_data(model.schema, piece, device))[-1][model.schema.outputs[0]]
    base = model.logits(h).cpu().numpy().astype(np.float64)
    q = model.head_x.weight[0].cpu().numpy().astype(np.float64)
    return h.cpu().numpy(), base + piece.head @ q, base[piece.rings.member] + piece.rings.head @ q


def _epoch(
    model: TypedSage,
    optimiser: torch.optim.Optimizer,
    examples: Sequence[Example],
    scale: float,
    total: float,
    dropout: float,
    random: np.random.Generator,
) -> float:
    """Takes one step per slice, in random order; returns the mean loss."""
    model.train()
    sum_of_losses = 0.0
    for index in random.permutation(len(examples)).tolist():
        each = examples[index]
        h = model(_thinned(each.data, dropout))[-1][model.schema.outputs[0]]
        logits = model.logits(h[each.rows], each.head)
        loss = binary_cross_entropy_with_logits(logits, each.target, _weights(each, scale), reduction="sum") / total
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        sum_of_losses += float(loss.detach())
    return sum_of_losses / len(examples)


def _thinned(data: HeteroData, dropout: float) -> HeteroData:
    """Returns the graph with a part of its links left out; a link goes in both of its directions."""
    if not dropout:
        return data
    out = copy.copy(data)
    kept: dict[str, Tensor] = {}
    for edge in data.edge_types:
        family = edge[1].split("_")[0]
        count = data[edge].edge_weight.numel()
        keep = kept.setdefault(family, torch.rand(count, device=data[edge].edge_weight.device) >= dropout)
        out[edge].edge_index = data[edge].edge_index[:, keep]
        out[edge].edge_weight = data[edge].edge_weight[keep]
    return out


@torch.no_grad()
def _precision(model: TypedSage, examples: Sequence[Example]) -> float:
    model.eval()
    said, truth = [], []
    for each in examples:
        h = model(each.data)[-1][model.schema.outputs[0]]
        said.append(model.logits(h[each.rows], each.head).cpu().numpy())
        truth.append(each.target.cpu().numpy() > 0)
    return average_precision(np.concatenate(said).astype(np.float64), np.concatenate(truth))


def _positive_scale(examples: Sequence[Example], share: float) -> float:
    """Returns what to multiply positives' weights with, so that they are a share of all.

    Raises:
        UsageError: there are no positives, or only those.
    """
    positive = sum(float((each.weight * each.target).sum()) for each in examples)
    negative = sum(float((each.weight * (1 - each.target)).sum()) for each in examples)
    if not positive or not negative:
        raise UsageError(
            f"the fitting slices have positives of weight {positive:.0f} and negatives of weight {negative:.0f}",
            do="Give a longer stream, or more labels in it.",
        )
    return share / (1.0 - share) * negative / positive


def _weights(each: Example, scale: float) -> Tensor:
    return each.weight * torch.where(each.target > 0, scale, 1.0)


class _State:
    """Where a training stands; kept in a file, so that one that was stopped goes on."""

    def __init__(self, model: TypedSage, optimiser: torch.optim.Optimizer, path: Path | None, fingerprint: str) -> None:
        self._model, self._optimiser, self._path, self._fingerprint = model, optimiser, path, fingerprint
        self.epoch, self.best_epoch, self.best = 0, 0, -1.0
        self.weights: dict[str, Any] = copy.deepcopy(model.state_dict())

    def ended(self, precision: float) -> None:
        """Notes an epoch's end."""
        self.epoch += 1
        if precision > self.best:
            self.best, self.best_epoch = precision, self.epoch
            self.weights = copy.deepcopy(self._model.state_dict())
        if self._path is not None:
            part = self._path.with_suffix(".part")
            torch.save(
                {
                    "fingerprint": self._fingerprint,
                    "epoch": self.epoch,
                    "best_epoch": self.best_epoch,
                    "best": self.best,
                    "weights": self.weights,
                    "model": self._model.state_dict(),
                    "optimiser": self._optimiser.state_dict(),
                },
                part,
            )
            part.replace(self._path)

    def load(self) -> None:
        """Takes up a checkpoint of the same training; another one's is left alone until it is written over."""
        if self._path is None or not self._path.exists():
            return
        stored = torch.load(self._path, weights_only=True)  # plain tensors and numbers: nothing else is unpickled
        if stored["fingerprint"] == self._fingerprint:
            self.epoch, self.best_epoch, self.best = stored["epoch"], stored["best_epoch"], stored["best"]
            self.weights = stored["weights"]
            self._model.load_state_dict(stored["model"])
            self._optimiser.load_state_dict(stored["optimiser"])


def _fingerprint(config: TrainConfig, fit: Sequence[Slice], stop: Sequence[Slice]) -> str:
    """Returns what two trainings share that may go on from each other's checkpoint."""
    own = msgspec.json.encode(msgspec.structs.replace(config, epochs=1, patience=1, threads=1))
    digest = hashlib.blake2b(own, digest_size=16)
    for piece in (*fit, *stop):
        digest.update(piece.graph.bands.tobytes())
        digest.update(piece.graph.a.tobytes())
        digest.update(piece.head.tobytes())
        digest.update(b"" if piece.targets is None else piece.targets.target.tobytes())
    return digest.hexdigest()
