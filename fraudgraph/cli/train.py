"""`fraudgraph train`: a network out of a shop's own events, or out of simulated worlds."""

from __future__ import annotations

import warnings
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fraudgraph.cli.options import SetOption, effective_settings
from fraudgraph.cli.output import note
from fraudgraph.cli.progress import Show, progress_bar
from fraudgraph.errors import DependencyError, UsageError

if TYPE_CHECKING:
    from fraudgraph.events.decoder import Decoder
    from fraudgraph.scoring.bundle import Bundle
    from fraudgraph.settings import Settings
    from training.replay import Events

DataOption = Annotated[
    str | None,
    typer.Option("--data", metavar="PATH|URL", help="Events with labels: a file, a folder, or a store's URL."),
]
SourcesOption = Annotated[
    list[Path] | None,
    typer.Option("--sources", metavar="PATH", help="Files that the store of --data was filled from; may be repeated."),
]


def train(
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="The training (TOML); configs/training/gnn.toml explains it."),
    ] = None,
    data: DataOption = None,
    sources: SourcesOption = None,
    worlds: Annotated[bool, typer.Option("--worlds", help="Trains on simulated worlds instead.")] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="The bundle's folder; its name in model.folder if absent."),
    ] = None,
    device: Annotated[str, typer.Option("--device", metavar="NAME", help="cpu, or cuda for a GPU.")] = "cpu",
    shop: Annotated[
        Path | None,
        typer.Option("--settings", metavar="FILE", help="The shop's settings (TOML), whose link policy it will serve."),
    ] = None,
    overrides: SetOption = None,
) -> None:
    """Trains a network, or trees, and writes a bundle.

    Events are replayed through the engine itself, so that training sees what serving computes. Labels count from when
    they arrived. A store holds no past: of one, what it was filled from is read again, and its investigators' labels
    are added. What was stopped goes on from its checkpoint when called again.
    """
    from fraudgraph.app import make_engine

    if (data is None) == (not worlds):
        raise UsageError("there is nothing to train on, or too much", do="Give --data PATH or --worlds, one of them.")
    if device not in ("cpu", "cuda"):
        raise UsageError(f"--device {device!r} is not known", do="Give cpu or cuda.")
    settings = effective_settings(store_url(data), shop, overrides).settings
    training = training_module("training.gnn.command")
    plan = training.recipe_of(config, device)
    folder = out or Path(settings.model.folder) / plan.name
    if folder.name != plan.name:
        raise UsageError(
            f"--out ends in {folder.name!r}, and the bundle's name is {plan.name!r}",
            do="Let the folder have the bundle's name: bundles are found by it. `name` in --config sets it.",
        )
    with ExitStack() as stack:

        def progress(title: str) -> Show:
            note(title)
            stack.close()  # one bar at a time
            return stack.enter_context(progress_bar(title))

        events, decoder = (None, None) if data is None else events_of(settings, data, sources)
        bundle: Bundle = training.train_bundle(
            plan,
            events,
            folder,
            progress=progress,
            say=note,
            make_engine=partial(make_engine, settings),
            decoder=decoder,
        )
    note(f"wrote {folder}: {bundle.name}, {bundle.manifest.digest}")
    note(f"next: fraudgraph model show {bundle.name}; fraudgraph model promote {bundle.name} --store sqlite:///shop.db")


def store_url(data: str | None) -> str | None:
    """Returns the store that --data names; None where it names files."""
    return data if data is not None and "://" in data else None


def events_of(settings: Settings, data: str, sources: list[Path] | None) -> tuple[Events, Decoder]:
    """Returns the events behind --data, and what decodes them.

    Args:
        settings: with the store's URL where `data` is one.

    Raises:
        UsageError: --sources without a store.
        ConfigurationError, DependencyError: the events of a store cannot be read again; the message says why.
    """
    from fraudgraph.app import make_decoder, stored_events
    from fraudgraph.events.keys import KeyRing

    if store_url(data) is not None:
        stored = stored_events(settings, sources or [])
        return import_module("training.replay").EventSource(stored.read, stored.labels), stored.decoder
    if sources:
        raise UsageError("--sources goes with a store", do="Give --data sqlite:///shop.db, or leave --sources out.")
    return Path(data), make_decoder(settings, KeyRing(bytes(32), bytes(32)))  # pseudonyms that nobody keeps


def training_module(name: str) -> Any:
    """Returns a module that trains, which needs PyTorch.

    Raises:
        DependencyError: PyTorch is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # PyTorch Geometric's use of PyTorch, when imported
            return import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("torch", "torch_geometric"):
            raise
        raise DependencyError(
            f"training needs {error.name}, which is not installed", do="pip install 'fraudgraph-rings[train]'"
        ) from error
