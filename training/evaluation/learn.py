"""The models that an evaluation knows by name, each learnt from the same slices and put behind one function.

*Alone*: what a model says of an account is calibrated by the labels of slices that it has not seen, and a ring is worth
the mean of its members. *With a ring head* (as bundles ship): a ring is worth what a logistic regression makes of the
structural log-odds and of its members, and an account what it or its ring is worth, whichever is more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Literal, Protocol

import numpy as np

from fraudgraph.errors import UsageError
from fraudgraph.graph.types import F64
from fraudgraph.scoring.bundle import Bundle
from fraudgraph.scoring.gnn.model import NetworkWeights
from fraudgraph.scoring.user_calibration import UserCalibration
from training.evaluation.observe import Model
from training.gnn.dataset import Rings, Slice
from training.gnn.measure import OUTSIDE_RINGS, Said
from training.gnn.recipe import Logits, calibrate, head_of, saying, structural
from training.labels import NEGATIVE, POSITIVE, UNKNOWN, Targets
from training.rivals_anomaly import Autoencoder, IsolationForest, PerStream
from training.rivals_dense import DenseBlocks
from training.rivals_labels import LabelPropagation, PersonalisedPageRank
from training.trees import TreeModel

CHANCE: Final = "chance"
STRUCTURAL: Final = "structural"
NETWORK: Final = "network"
TREES_A: Final = "trees (a)"
TREES_C: Final = "trees (c)"
TREES_C_RINGS: Final = "trees (c) with ring head"

SHIPPED: Final = STRUCTURAL
"""The scorer that a shop has unless it promotes another."""


@dataclass(frozen=True, slots=True)
class Teaching:
    """What models learn from.

    Attributes:
        fit: slices whose accounts teach. stop: by which the number of trees is chosen. calibrate: accounts' labels that
            no model has seen. rings: slices whose rings are known; empty where nobody knows any.
        positive_share: of the loss that positives make up.
        bundle: with the network. weights: of a network without a bundle, trained on `fit`.
    """

    fit: Sequence[Slice]
    stop: Sequence[Slice]
    calibrate: Sequence[Slice]
    rings: Sequence[Slice]
    positive_share: float
    half_life_ms: int | None
    seed: int
    kind: Literal["platt", "isotonic"]
    bundle: Bundle | None = None
    weights: NetworkWeights | None = None
    _logits: dict[str, Logits] = field(default_factory=dict)

    def once(self, name: str, make: Callable[[], Logits]) -> Logits:
        """Returns a model's logits, made and asked once for all that build on them."""
        if name not in self._logits:
            self._logits[name] = _Remembered(make())
        return self._logits[name]

    def calibration(self, logits: Logits) -> UserCalibration:
        """Returns the calibration of a model's logits.

        Raises:
            UsageError: no account that is still to be found is fraud, or all are.
        """
        slices = still_unknown(self.calibrate)
        known = {target for piece in slices if piece.targets is not None for target in np.unique(piece.targets.target)}
        if not {POSITIVE, NEGATIVE} <= known:
            raise UsageError(
                "the slices to calibrate on have no account that is fraud, or none that is honest",
                do="Give a longer stream, or more labels in it.",
            )
        return calibrate(logits, slices, self.kind)


class Ranker(Protocol):
    """Something that ranks accounts."""

    def logits(self, piece: Slice) -> tuple[F64, F64]:
        """Returns log-odds, or anything that grows with them, of accounts `[u]` and rings' members `[m]`."""


def learn(
    names: Iterable[str], teaching: Teaching, say: Callable[[str], None] = lambda words: None
) -> dict[str, Model]:
    """Returns the models of some names, in that order.

    Raises:
        UsageError: a name is unknown, or the network is asked for without a bundle.
    """
    models: dict[str, Model] = {}
    for name in names:
        if name not in MODELS:
            raise UsageError(f"there is no model {name!r}", do=f"Choose from {', '.join(MODELS)}.")
        say(f"learning: {name}")
        models[name] = MODELS[name](teaching)
    return models


def still_unknown(slices: Sequence[Slice]) -> list[Slice]:
    """Returns the slices without the targets of accounts that were known as fraud by the cut: they are no find."""
    out = []
    for piece in slices:
        assert piece.targets is not None
        known = np.zeros(len(piece.users), np.bool_) if piece.known is None else piece.known == POSITIVE
        targets = Targets(
            np.where(known, UNKNOWN, piece.targets.target).astype(np.int8),
            np.where(known, 0.0, piece.targets.weight),
        )
        out.append(replace(piece, targets=targets))
    return out


def alone(logits: Logits, calibration: UserCalibration) -> Model:
    """Returns a model of accounts for which a ring is worth the mean of its members."""

    def say(piece: Slice) -> Said:
        users, members = logits(piece)
        return Said(calibration.apply(users), mean_of_members(piece.rings, calibration.apply(members)))

    return say


def mean_of_members(rings: Rings, members: F64) -> F64:
    """Returns the mean of each ring's members, `[r]`."""
    return np.add.reduceat(members, rings.starts[:-1]) / np.diff(rings.starts) if len(rings) else np.empty(0)


class _Remembered:
    """Logits that remember what they said of the last slice, of which a model alone and one with a ring head ask."""

    def __init__(self, logits: Logits) -> None:
        self._logits = logits
        self._last: Slice | None = None
        self._said: tuple[F64, F64] = (np.empty(0), np.empty(0))

    def __call__(self, piece: Slice) -> tuple[F64, F64]:
        if piece is not self._last:
            self._last, self._said = piece, self._logits(piece)
        return self._said


def _alone(name: str, make: Callable[[Teaching], Ranker], teaching: Teaching) -> Model:
    logits = teaching.once(name, lambda: make(teaching).logits)
    return alone(logits, teaching.calibration(logits))


def _with_head(name: str, make: Callable[[Teaching], Ranker], teaching: Teaching) -> Model:
    logits = teaching.once(name, lambda: make(teaching).logits)
    calibration = teaching.calibration(logits)
    if not any(piece.is_ring is not None and piece.is_ring.any() for piece in teaching.rings):
        return alone(logits, calibration)  # nobody knows a ring
    return saying(logits, calibration, head_of(logits, calibration, teaching.rings))


def _trees(features: Literal["a", "b", "c", "d"], teaching: Teaching) -> Ranker:
    model = TreeModel(features, seed=teaching.seed, weights=_weights(teaching) if features == "d" else None)
    return model.fit(teaching.fit, teaching.positive_share, teaching.stop)


def _weights(teaching: Teaching) -> NetworkWeights:
    weights = teaching.weights if teaching.bundle is None else teaching.bundle.network
    if weights is None:
        raise UsageError("the network is asked for and there is none", do="Name its bundle, or leave the network out.")
    return weights


class _Network:
    """A network's word of accounts."""

    def __init__(self, weights: NetworkWeights) -> None:
        from training.gnn.network import TypedSage

        self._model = TypedSage(weights.schema).load(weights)

    def logits(self, piece: Slice) -> tuple[F64, F64]:
        """Returns logits of accounts `[u]`, and of rings' members `[m]`."""
        from training.gnn.train import user_logits

        return user_logits(self._model, piece)


def _network(teaching: Teaching) -> Model:
    """Returns the bundle as it ships; of a network without one, what it says of accounts alone."""
    if teaching.bundle is None:
        return _alone(NETWORK, lambda t: _Network(_weights(t)), teaching)
    manifest = teaching.bundle.manifest
    return saying(_Network(_weights(teaching)).logits, manifest.calibration, manifest.ring_head)


def _dense(teaching: Teaching) -> Model:
    detector = DenseBlocks()
    calibration = teaching.calibration(detector.logits)

    def say(piece: Slice) -> Said:
        groups = detector.groups(piece)
        users = detector.of_accounts(piece, groups)
        return Said(calibration.apply(users), np.full(len(piece.rings), OUTSIDE_RINGS), groups)

    return say


def _chance(teaching: Teaching) -> Model:
    rng = np.random.default_rng(teaching.seed)
    return lambda piece: Said(rng.normal(size=len(piece.users)) - 4.6, rng.normal(size=len(piece.rings)) - 4.0)


MODELS: Final[Mapping[str, Callable[[Teaching], Model]]] = {
    STRUCTURAL: lambda teaching: structural,
    NETWORK: _network,
    TREES_A: partial(_alone, TREES_A, partial(_trees, "a")),
    "trees (b)": partial(_alone, "trees (b)", partial(_trees, "b")),
    TREES_C: partial(_alone, TREES_C, partial(_trees, "c")),
    TREES_C_RINGS: partial(_with_head, TREES_C, partial(_trees, "c")),
    "trees (d)": partial(_alone, "trees (d)", partial(_trees, "d")),
    "trees (d) with ring head": partial(_with_head, "trees (d)", partial(_trees, "d")),
    "label propagation": partial(_alone, "label propagation", lambda t: LabelPropagation(t.half_life_ms)),
    "personalised PageRank": partial(_alone, "personalised PageRank", lambda t: PersonalisedPageRank(t.half_life_ms)),
    "dense blocks": _dense,
    "Isolation Forest": partial(_alone, "Isolation Forest", lambda t: PerStream(IsolationForest, t.seed)),
    "autoencoder": partial(_alone, "autoencoder", lambda t: PerStream(Autoencoder, t.seed)),
    CHANCE: _chance,
}
"""By the names that reports show."""

ABOUT: Final[Mapping[str, str]] = {
    STRUCTURAL: "readable evidence about rings, as shipped; an account is worth what its ring is, and needs no label",
    NETWORK: "the shipped bundle: GraphSAGE over accounts and identifiers, with its ring head",
    TREES_A: "gradient boosting on an account's own activity: what a shop has without a graph",
    "trees (b)": "and on what it shares with how many, as known at the time",
    TREES_C: "and on means over its neighbours, one and two steps away and lately",
    TREES_C_RINGS: "the same behind the same kind of ring head as the network's: the network has to beat it",
    "trees (d)": "and on the network's embeddings",
    "trees (d) with ring head": "the same behind a ring head",
    "label propagation": "what had been reported by then, spread over links (Zhou et al., 2003)",
    "personalised PageRank": "where walks from the known frauds end (Haveliwala, 2002)",
    "dense blocks": "greedy peeling after FRAUDAR (Hooi et al., 2016); its blocks are rings of its own",
    "Isolation Forest": "strange accounts, without labels (Liu et al., 2008)",
    "autoencoder": "the same, by what a narrow network cannot rebuild",
    CHANCE: "random scores: what a budget buys anyway",
}
