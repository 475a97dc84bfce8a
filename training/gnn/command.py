"""What `fraudgraph train` calls."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec

from fraudgraph.engine import Engine
from fraudgraph.errors import ConfigurationError
from fraudgraph.events.decoder import Decoder
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.scoring.bundle import Bundle, write_bundle
from training.gnn.from_stream import train_on_stream
from training.gnn.from_worlds import train_on_worlds
from training.gnn.recipe import Progress, Recipe, read_recipe
from training.replay import Events


def recipe_of(path: Path | None, device: str = "cpu") -> Recipe:
    """Returns the recipe in a file, or the defaults, for a device.

    Raises:
        ConfigurationError: the file does not fit, or there is no such device here.
    """
    import torch

    recipe = Recipe() if path is None else read_recipe(path)
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError("PyTorch finds no GPU", do="Leave --device out.")
    return msgspec.structs.replace(recipe, network=msgspec.structs.replace(recipe.network, device=device))


def train_bundle(
    recipe: Recipe,
    data: Events | None,
    folder: Path,
    *,
    progress: Progress,
    say: Callable[[str], None],
    make_engine: Callable[[], Engine],
    decoder: Decoder,
) -> Bundle:
    """Trains on a shop's events, or on simulated worlds where `data` is None, and writes the bundle.

    Args:
        make_engine, decoder: as the shop has them; the decoder's key may be any.

    Raises:
        ConfigurationError: worlds cannot be trained on under another link policy than the default one.
        UsageError: there is too little to learn from.
    """
    checkpoint = folder.with_name(f".{folder.name}.training")
    checkpoint.mkdir(parents=True, exist_ok=True)
    if data is not None:
        bundle = train_on_stream(
            recipe, data, make_engine=make_engine, decoder=decoder, progress=progress, say=say, checkpoint=checkpoint
        )
    elif make_engine().policy.hash != LinkPolicy().hash:
        raise ConfigurationError(
            "simulated worlds are replayed under the default link policy, and the settings have another",
            do="Train on your own events (--data), or leave [links] out of the settings.",
        )
    else:
        bundle = train_on_worlds(recipe, progress=progress, say=say, checkpoint=checkpoint)
    written = write_bundle(bundle, folder)
    shutil.rmtree(checkpoint)
    return written
