"""A model on disk: weights as safetensors, all else as JSON, a card for people. Nothing is ever unpickled.

`bundle.json` holds the SHA-256 of `weights.safetensors`: neither can be exchanged without the other. The hash guards
against accidents and mixtures, not against somebody who may write both.
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
from fraudgraph.scoring.gnn.model import NetworkWeights
from fraudgraph.scoring.manifest import Manifest

MANIFEST_FILE: Final = "bundle.json"
WEIGHTS_FILE: Final = "weights.safetensors"
CARD_FILE: Final = "card.md"

_ARRAYS: Final = ("encoder", "relation", "own", "bias", "head", "head_x")
_HEAD_BIAS: Final = "head_bias"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model: what it says of itself, and its numbers.

    Raises:
        ConfigurationError: the numbers are of another network than the manifest's, or one of them is not finite.
    """

    manifest: Manifest
    weights: NetworkWeights

    def __post_init__(self) -> None:
        if self.weights.schema != self.manifest.schema:
            raise ConfigurationError(
                f"the weights of {self.manifest.name!r} are of another network than the manifest says",
                do="Train it again: fraudgraph train.",
            )
        arrays = [getattr(self.weights, name) for name in _ARRAYS]
        if not all(np.isfinite(array).all() for array in (*arrays, self.weights.head_bias)):
            raise ConfigurationError(
                f"the bundle {self.manifest.name!r} has weights that are not finite",
                do="Train it again, with a smaller learning rate where the loss was not finite either.",
            )

    @property
    def name(self) -> str:
        """Its name."""
        return self.manifest.name


def write_bundle(bundle: Bundle, folder: Path) -> Bundle:
    """Writes a bundle into its own folder, whole or not at all, and returns it with the hash of its weights.

    A bundle that is there already is replaced.

    Raises:
        ConfigurationError: the folder is there and is no bundle.
        DependencyError: it cannot be written.
    """
    if folder.exists() and not (folder / MANIFEST_FILE).exists():
        raise ConfigurationError(f"{folder} is there and is no bundle", do="Name another folder.")
    weights = save(
        {
            **{name: getattr(bundle.weights, name) for name in _ARRAYS},
            _HEAD_BIAS: np.array([bundle.weights.head_bias], np.float64),
        }
    )
    written = replace(bundle, manifest=replace(bundle.manifest, weights_sha256=hashlib.sha256(weights).hexdigest()))
    part = folder.with_name(f".{folder.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        (part / WEIGHTS_FILE).write_bytes(weights)
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
    try:
        data = (folder / WEIGHTS_FILE).read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{WEIGHTS_FILE} of {folder} cannot be read ({error.strerror})", do="Copy the whole folder again."
        ) from error
    if hashlib.sha256(data).hexdigest() != manifest.weights_sha256:
        raise ConfigurationError(
            f"{WEIGHTS_FILE} of {folder} is not the file that {MANIFEST_FILE} was written with",
            do="Copy the whole folder again from where it came, or train the bundle again.",
        )
    try:
        arrays = load(data)
        weights = NetworkWeights(
            schema=manifest.schema,
            head_bias=float(arrays[_HEAD_BIAS].item()),
            **{name: arrays[name] for name in _ARRAYS},
        )
    except (SafetensorError, KeyError, ValueError) as error:
        raise ConfigurationError(
            f"{WEIGHTS_FILE} of {folder} holds no network ({error})", do="Train the bundle again."
        ) from error
    return Bundle(manifest, weights)
