"""A model on disk: weights as safetensors, trees as XGBoost's UBJSON, all else as JSON, a card for people. Nothing is
ever unpickled.

`bundle.json` holds the SHA-256 of each other file: none can be exchanged without it. The hash guards against accidents
and mixtures, not against somebody who may write both.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from fraudgraph.errors import ConfigurationError, DependencyError
from fraudgraph.scoring.card import card_of
from fraudgraph.scoring.gnn.model import NetworkSchema, NetworkWeights
from fraudgraph.scoring.manifest import Manifest
from fraudgraph.scoring.trees import BoostedTrees

MANIFEST_FILE: Final = "bundle.json"
WEIGHTS_FILE: Final = "weights.safetensors"
TREES_FILE: Final = "trees.ubj"
EVENTS_FILE: Final = "event-head.ubj"
CARD_FILE: Final = "card.md"

_ARRAYS: Final = ("encoder", "relation", "own", "bias", "head", "head_x")
_HEAD_BIAS: Final = "head_bias"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model: what it says of itself, and its numbers.

    Attributes:
        network: weights; None for trees that read no embeddings.
        trees: over accounts, where the bundle's kind is that; event_trees: over orders, where it has an event head.

    Raises:
        ConfigurationError: the numbers are of another model than the manifest's, or one of them is not finite.
    """

    manifest: Manifest
    network: NetworkWeights | None = None
    trees: BoostedTrees | None = None
    event_trees: BoostedTrees | None = None

    def __post_init__(self) -> None:
        said = self.manifest
        if (None if self.network is None else self.network.schema) != said.schema:
            raise ConfigurationError(
                f"the weights of {said.name!r} are of another network than the manifest says",
                do="Train it again: fraudgraph train.",
            )
        told = (
            said.kind == "network" or (said.trees is not None and said.trees.features == "d"),
            said.trees,
            said.event_head,
        )
        held = (self.network is not None, self.trees, self.event_trees)
        if [bool(each) for each in told] != [bool(each) for each in held]:
            raise ConfigurationError(
                f"the bundle {said.name!r} lacks a part that its manifest names, or has one more",
                do="Copy the whole folder again, or train it again: fraudgraph train.",
            )
        arrays = [] if self.network is None else [getattr(self.network, name) for name in (*_ARRAYS, _HEAD_BIAS)]
        if not all(np.isfinite(array).all() for array in arrays):
            raise ConfigurationError(
                f"the bundle {said.name!r} has weights that are not finite",
                do="Train it again, with a smaller learning rate where the loss was not finite either.",
            )

    @property
    def weights(self) -> NetworkWeights:
        """The network's weights.

        Raises:
            ConfigurationError: there is no network in it.
        """
        if self.network is None:
            raise ConfigurationError(f"there is no network in the bundle {self.name!r}", do="Name one with a network.")
        return self.network

    @property
    def name(self) -> str:
        """Its name."""
        return self.manifest.name


def write_bundle(bundle: Bundle, folder: Path) -> Bundle:
    """Writes a bundle into its own folder, whole or not at all, and returns it with the hashes of its files.

    A bundle that is there already is replaced.

    Raises:
        ConfigurationError: the folder is there and is no bundle.
        DependencyError: it cannot be written.
    """
    if folder.exists() and not (folder / MANIFEST_FILE).exists():
        raise ConfigurationError(f"{folder} is there and is no bundle", do="Name another folder.")
    files, said = _files(bundle), bundle.manifest
    digest = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    said = replace(
        said,
        weights_sha256=digest.get(WEIGHTS_FILE, ""),
        trees=said.trees and replace(said.trees, sha256=digest[TREES_FILE]),
        event_head=said.event_head and replace(said.event_head, sha256=digest[EVENTS_FILE]),
    )
    written = replace(bundle, manifest=said)
    part = folder.with_name(f".{folder.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for name, data in files.items():
            (part / name).write_bytes(data)
        (part / CARD_FILE).write_text(card_of(written.manifest), encoding="utf-8")
        document = msgspec.json.format(msgspec.json.encode(written.manifest), indent=1)
        (part / MANIFEST_FILE).write_bytes(document + b"\n")
        if folder.exists():
            shutil.rmtree(folder)
        part.rename(folder)
    except OSError as error:
        raise DependencyError(
            f"the bundle {folder} cannot be written ({error.strerror})", do="Name a folder that you may write to."
        ) from error
    return written


def read_manifest(folder: Path) -> Manifest:
    """Returns what a bundle says of itself, without reading its weights.

    Raises:
        ConfigurationError: it is not there, or not of this version.
    """
    try:
        return msgspec.json.decode((folder / MANIFEST_FILE).read_bytes(), type=Manifest)
    except OSError as error:
        raise ConfigurationError(
            f"{folder} holds no bundle ({error.strerror})", do="`fraudgraph model list` shows those that are there."
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{MANIFEST_FILE} of {folder} cannot be read ({error})",
            do="Train the bundle again, or copy it again from where it came.",
        ) from error


def read_bundle(folder: Path) -> Bundle:
    """Returns a bundle.

    Raises:
        ConfigurationError: it is not there, not of this version, damaged, changed, or not finite.
    """
    manifest = read_manifest(folder)
    schema, trees, head = manifest.schema, manifest.trees, manifest.event_head
    return Bundle(
        manifest,
        None if schema is None else _read_weights(folder, manifest, schema),
        None if trees is None else BoostedTrees(_bytes_of(folder, TREES_FILE, trees.sha256), trees.columns),
        None if head is None else BoostedTrees(_bytes_of(folder, EVENTS_FILE, head.sha256), head.columns),
    )


def _files(bundle: Bundle) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    if bundle.network is not None:
        files[WEIGHTS_FILE] = save(
            {
                **{name: getattr(bundle.network, name) for name in _ARRAYS},
                _HEAD_BIAS: np.array([bundle.network.head_bias], np.float64),
            }
        )
    if bundle.trees is not None:
        files[TREES_FILE] = bundle.trees.data
    if bundle.event_trees is not None:
        files[EVENTS_FILE] = bundle.event_trees.data
    return files


def _bytes_of(folder: Path, name: str, sha256: str) -> bytes:
    try:
        data = (folder / name).read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{name} of {folder} cannot be read ({error.strerror})", do="Copy the whole folder again."
        ) from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ConfigurationError(
            f"{name} of {folder} is not the file that {MANIFEST_FILE} was written with",
            do="Copy the whole folder again from where it came, or train the bundle again.",
        )
    return data


def _read_weights(folder: Path, manifest: Manifest, schema: NetworkSchema) -> NetworkWeights:
    try:
        arrays = load(_bytes_of(folder, WEIGHTS_FILE, manifest.weights_sha256))
        return NetworkWeights(
            schema=schema, head_bias=float(arrays[_HEAD_BIAS].item()), **{name: arrays[name] for name in _ARRAYS}
        )
    except (SafetensorError, KeyError, ValueError) as error:
        raise ConfigurationError(
            f"{WEIGHTS_FILE} of {folder} holds no network ({error})", do="Train the bundle again."
        ) from error
