"""What a model says of itself: everything in a bundle but its weights."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from fraudgraph.errors import ConfigurationError
from fraudgraph.scoring.gnn.model import NetworkSchema
from fraudgraph.scoring.ring_head import RingHead
from fraudgraph.scoring.user_calibration import UserCalibration

FORMAT: Final = 1
NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_LATER: Final[Mapping[str, object]] = {"kind": "network", "trees": None, "event_head": None}
"""Fields that bundles of before have not: at these values they are no part of a digest, which a store remembers."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of a model, with its 95 % bootstrap interval.

    Attributes:
        data: what it was measured on (`simulated`, `planted`).
        level: `user` or `ring`.
        name: `average precision`, `precision at 50`, …
        model: whose figure it is: the bundle's, or a rival's in the same run.
        low, high: of the interval; resampled are whole worlds, whose rings are not independent.
    """

    data: str
    level: str
    name: str
    model: str
    value: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.value, self.low, self.high))):
            raise ConfigurationError(
                f"{self.level} {self.name} of {self.model} on {self.data} is not finite",
                do="Evaluate again on data with at least one positive.",
            )


@dataclass(frozen=True, slots=True)
class TrainingNote:
    """Where a model comes from.

    Attributes:
        data: in words; `data_hash` of its bytes, or of its worlds' specs.
        cut_ms: event time after which the training saw nothing, labels included; of the newest world where simulated.
        seeds: by purpose (`fit`, `stop`, `calibrate`, `network`).
        settings: of the training, as they were configured.
        users, positives: that the loss was taken over.
        caution: what the model is not good for, one sentence each.
    """

    data: str
    data_hash: str
    cut_ms: int
    seeds: Mapping[str, tuple[int, ...]]
    settings: Mapping[str, str | int | float | bool]
    users: int
    positives: int
    caution: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TreesNote:
    """What trees over accounts were fitted on.

    Attributes:
        features: the set of columns, `a` to `d`; columns: their names, in order, those of a network's embedding among
            them.
        columns_hash: of their definition in the code (`scoring.trees_columns`).
        rounds: how many trees.
        sha256: of the file of trees, in hex.
    """

    features: Literal["a", "b", "c", "d"]
    columns: tuple[str, ...]
    columns_hash: str
    rounds: int
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class EventNote:
    """What the trees that score one order were fitted on; as of `TreesNote` but for its own columns.

    Attributes:
        calibration: of orders' logits.
        data, cut_ms, orders, positives: as of `TrainingNote`, of the orders that it learnt from.
    """

    columns: tuple[str, ...]
    columns_hash: str
    rounds: int
    calibration: UserCalibration
    data: str
    cut_ms: int
    orders: int
    positives: int
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A bundle without its weights.

    Attributes:
        name: of the bundle and of its folder.
        features: names of the banded features by kind of node, in order; the head's are in `schema.head_features`.
        features_hash: of their definition in the code (`scoring.gnn.features`).
        policy_hash, policy_version: of the link policy under which it was trained.
        calibration: of accounts' logits; `ring_head` of rings.
        weights_sha256: of the file of weights, in hex; "" without a network.
        schema: of the network; None without one.
        kind: what scores accounts: the network, or trees, which may read a network's embeddings.
        trees: of the trees over accounts; event_head: of those over orders; None without them.
    """

    name: str
    schema: NetworkSchema | None
    features: Mapping[str, tuple[str, ...]]
    features_hash: str
    policy_hash: str
    policy_version: str
    calibration: UserCalibration
    ring_head: RingHead
    training: TrainingNote
    code_version: str
    metrics: tuple[Metric, ...] = ()
    weights_sha256: str = ""
    format: int = FORMAT
    kind: Literal["network", "trees"] = "network"
    trees: TreesNote | None = None
    event_head: EventNote | None = None

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ConfigurationError(
                f"the bundle {self.name!r} is of format {self.format}, this version reads {FORMAT}",
                do="Train it again with this version, or use the version that wrote it.",
            )
        if not NAME.fullmatch(self.name):
            raise ConfigurationError(
                f"{self.name!r} is no name of a bundle",
                do="Use up to 64 lower-case letters, digits, dots, hyphens and underscores.",
            )
        if (self.kind == "trees") != (self.trees is not None):
            raise ConfigurationError(
                f"the bundle {self.name!r} is of kind {self.kind} and {'has' if self.trees else 'has no'} trees",
                do="Train it again: fraudgraph train.",
            )

    @property
    def digest(self) -> str:
        """16 hex digits that change with every number of the bundle, weights included."""
        said = msgspec.to_builtins(self)
        for name in _LATER:
            if said[name] == _LATER[name]:
                del said[name]
        return hashlib.blake2b(msgspec.json.encode(said, order="sorted"), digest_size=8).hexdigest()

    def require(self, *, features_hash: str, policy_hash: str, columns_hash: str = "", events_hash: str = "") -> None:
        """Refuses to serve where training would have computed something else.

        Args:
            columns_hash, events_hash: of the columns of trees over accounts and orders; not read where there are none.

        Raises:
            ConfigurationError: a hash differs; the message says which, and what to do.
        """
        if self.features_hash != features_hash:
            raise ConfigurationError(
                f"the bundle {self.name!r} was trained on features {self.features_hash}, this version computes"
                f" {features_hash}",
                do="Train it again with this version: fraudgraph train.",
            )
        for what, note, computed in (
            ("the trees", self.trees, columns_hash),
            ("the event trees", self.event_head, events_hash),
        ):
            if note is not None and note.columns_hash != computed:
                raise ConfigurationError(
                    f"{what} of the bundle {self.name!r} were trained on columns {note.columns_hash}, this version"
                    f" computes {computed}",
                    do="Train it again with this version: fraudgraph train.",
                )
        if self.policy_hash != policy_hash:
            raise ConfigurationError(
                f"the bundle {self.name!r} was trained under link policy {self.policy_hash} (version"
                f" {self.policy_version}), and the settings have {policy_hash}",
                do="Train it again under these settings, or put back the [links] under which it was trained.",
            )
