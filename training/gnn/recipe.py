"""What a training is made of, as its TOML file says, and the whole way from there to a bundle."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta

import fraudgraph
from fraudgraph.durations import DAY_MS
from fraudgraph.errors import ConfigurationError
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.graph.types import F64
from fraudgraph.scoring.bundle import Bundle
from fraudgraph.scoring.gnn.features import FEATURES, FEATURES_HASH
from fraudgraph.scoring.gnn.model import NetworkWeights
from fraudgraph.scoring.manifest import NAME, Manifest, Metric, TrainingNote, TreesNote
from fraudgraph.scoring.ring_head import RingHead
from fraudgraph.scoring.structural import StructuralScorer
from fraudgraph.scoring.trees import BoostedTrees
from fraudgraph.scoring.user_calibration import UserCalibration
from training.gnn.dataset import Slice, Stream
from training.gnn.heads import fit_ring_head, fit_user_calibration, ring_columns
from training.gnn.measure import OUTSIDE_RINGS, Said
from training.gnn.train import Show, TrainConfig
from training.labels import POSITIVE, UNKNOWN
from training.trees.models import TreeSettings
from training.trees.orders import EventSettings

Seeds = Annotated[tuple[int, Annotated[int, Meta(ge=1)]], Meta(description="First seed, and how many from it on.")]
Progress = Callable[[str], Show]
"""From a title to what moves its bar."""

STRUCTURAL_NAME = StructuralScorer.name

HALF = 0.5
"""A slice teaches where at least this part of its accounts is mature: later ones hold only the silent."""


class LabelPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How labels are read (`training.labels`).

    Attributes:
        horizon_days: acts so long after a cut still count as the account's.
        keep_known: also learn from accounts that were reported before the cut; only where nobody acts upon reports.
        fit_cuts: of a stream from files, moments to learn at.
        disjoint: leave out of later roles whoever shares a component with an account that was learnt from.
    """

    horizon_days: Annotated[int, Meta(ge=0)] = 7
    keep_known: bool = False
    fit_cuts: Annotated[int, Meta(ge=1)] = 4
    disjoint: bool = False


class WorldPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which simulated worlds play which part; no seed may play two.

    Attributes:
        users, shop_users: accounts of the largest world to learn accounts from, and to judge rings in.
        fit, stop, calibrate: of the network and its accounts' probabilities, by labels.
        rings: of the ring head, by the truth about rings; check: measured on, and nothing else.
        workers: processes that replay worlds.
    """

    users: int = 5_000
    shop_users: int = 8_000
    fit: Seeds = (90_000, 32)
    stop: Seeds = (91_000, 6)
    calibrate: Seeds = (92_000, 6)
    rings: Seeds = (93_000, 20)
    check: Seeds = (94_000, 8)
    workers: Annotated[int, Meta(ge=1)] = 1

    def __post_init__(self) -> None:
        taken: set[int] = set()
        for role in ("fit", "stop", "calibrate", "rings", "check"):
            seeds = set(self.seeds(role))
            if taken & seeds:
                raise ConfigurationError(
                    f"seed {min(taken & seeds)} plays two parts in the training", do="Give every part its own seeds."
                )
            taken |= seeds

    def seeds(self, role: str) -> range:
        """Returns the seeds of a role."""
        first, count = getattr(self, role)
        return range(first, first + count)


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A training: `configs/training/gnn.toml` and `trees.toml` explain each part.

    Attributes:
        trees: where they are given, trees are trained and not a network.
        event_head: where it is given, the bundle scores single orders too.
    """

    name: str = "network"
    calibration: Literal["platt", "isotonic"] = "platt"
    network: TrainConfig = msgspec.field(default_factory=TrainConfig)
    trees: TreeSettings | None = None
    event_head: EventSettings | None = None
    labels: LabelPlan = msgspec.field(default_factory=LabelPlan)
    worlds: WorldPlan = msgspec.field(default_factory=WorldPlan)

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ConfigurationError(
                f"{self.name!r} is no name of a bundle",
                do="Use up to 64 lower-case letters, digits, dots, hyphens and underscores.",
            )

    @property
    def horizon_ms(self) -> int:
        """The horizon of labels."""
        return self.labels.horizon_days * DAY_MS


def read_recipe(path: Path) -> Recipe:
    """Returns the recipe in a TOML file.

    Raises:
        ConfigurationError: it cannot be read, or a value in it does not fit.
    """
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Recipe)
    except OSError as error:
        raise ConfigurationError(
            f"the training's file {path} cannot be read ({error.strerror})", do="Give one as configs/training/gnn.toml."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise ConfigurationError(
            f"the training's file {path} does not fit: {error}", do="configs/training/gnn.toml explains every knob."
        ) from error


def teaching(streams: Sequence[Stream]) -> list[Slice]:
    """Returns the slices in which enough accounts are mature."""
    return [
        piece
        for stream in streams
        for piece in stream.slices
        if piece.targets is not None and len(piece.users) and (piece.targets.target != UNKNOWN).mean() >= HALF
    ]


Logits = Callable[[Slice], tuple[F64, F64]]
"""Of a slice's accounts as of the cut, and of its rings' members as of each ring's last event."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What scores accounts, fitted, with all that its bundle holds of it.

    Attributes:
        network: weights; None where none are read.
        trees: with their note; None for a network.
        seed: that it was fitted with; settings: all else that is worth a line in its card.
    """

    logits: Logits
    seed: int
    settings: Mapping[str, str | int | float | bool]
    network: NetworkWeights | None = None
    trees: BoostedTrees | None = None
    trees_note: TreesNote | None = None

    @property
    def kind(self) -> Literal["network", "trees"]:
        """The bundle's kind."""
        return "network" if self.trees is None else "trees"


def calibrate(logits: Logits, slices: Sequence[Slice], kind: Literal["platt", "isotonic"]) -> UserCalibration:
    """Returns the calibration of accounts, by their labels in slices that the network has not seen."""
    said, truth = [], []
    for piece in slices:
        assert piece.targets is not None
        known = piece.targets.target != UNKNOWN
        said.append(logits(piece)[0][known])
        truth.append(piece.targets.target[known] == POSITIVE)
    return fit_user_calibration(np.concatenate(said), np.concatenate(truth), kind)


def head_of(logits: Logits, calibration: UserCalibration, slices: Sequence[Slice]) -> RingHead:
    """Returns the ring head fitted on slices whose rings are known."""
    with_rings = [piece for piece in slices if len(piece.rings)]
    columns = [ring_columns(piece.rings, calibration.apply(logits(piece)[1])) for piece in with_rings]
    return fit_ring_head(
        np.vstack(columns), np.concatenate([piece.is_ring for piece in with_rings if len(piece.rings)])
    )


def saying(logits: Logits, calibration: UserCalibration, head: RingHead) -> Callable[[Slice], Said]:
    """Returns what a model says of a slice: an account counts by itself or by its ring, whichever is surer."""

    def say(piece: Slice) -> Said:
        users, members = logits(piece)
        columns = ring_columns(piece.rings, calibration.apply(members))
        rings = head.apply(columns[:, 0], columns[:, 1:])
        return Said(np.maximum(calibration.apply(users), by_ring(piece, rings)), rings)

    return say


def structural(piece: Slice) -> Said:
    """Returns what the structural scorer says of a slice: of an account, what it says of its ring."""
    return Said(by_ring(piece, piece.rings.structural), piece.rings.structural)


def said_by(
    models: Mapping[str, Callable[[Slice], Said]], slices: Sequence[Slice]
) -> list[tuple[Slice, dict[str, Said]]]:
    """Returns what each model says of each slice, for `training.gnn.measure.figures`."""
    return [(piece, {name: say(piece) for name, say in models.items()}) for piece in slices]


def by_ring(piece: Slice, rings: F64) -> F64:
    """Returns each account's ring's score, `[u]`; that of nobody outside of rings."""
    out = np.full(len(piece.users), OUTSIDE_RINGS)
    out[piece.rings.member] = np.repeat(rings, np.diff(piece.rings.starts))
    return out


def bundle_of(
    recipe: Recipe,
    fitted: Fitted,
    calibration: UserCalibration,
    head: RingHead,
    *,
    fit: Sequence[Slice],
    data: str,
    data_hash: str,
    seeds: Mapping[str, tuple[int, ...]],
    caution: tuple[str, ...],
    metrics: Sequence[Metric],
    policy: LinkPolicy,
) -> Bundle:
    """Returns the bundle of what was fitted."""
    targets = [piece.targets for piece in fit if piece.targets is not None]
    note = TrainingNote(
        data=data,
        data_hash=data_hash,
        cut_ms=max(piece.cut.label_cut_ms for piece in fit),
        seeds={**seeds, fitted.kind: (fitted.seed,)},
        settings={
            **fitted.settings,
            "horizon_days": recipe.labels.horizon_days,
            "keep_known": recipe.labels.keep_known,
        },
        users=sum(int((each.target != UNKNOWN).sum()) for each in targets),
        positives=sum(int((each.target == POSITIVE).sum()) for each in targets),
        caution=caution,
    )
    manifest = Manifest(
        name=recipe.name,
        schema=None if fitted.network is None else fitted.network.schema,
        features={kind: tuple(bands) for kind, bands in FEATURES.items()},
        features_hash=FEATURES_HASH,
        policy_hash=policy.hash,
        policy_version=policy.version,
        calibration=calibration,
        ring_head=head,
        training=note,
        code_version=fraudgraph.__version__,
        metrics=tuple(metrics),
        kind=fitted.kind,
        trees=fitted.trees_note,
    )
    return Bundle(manifest, fitted.network, fitted.trees)
