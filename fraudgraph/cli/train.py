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
    from fraudgraph.scoring.bundle import Bundle


def train(
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="The training (TOML); configs/training/gnn.toml explains it."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="PATH", help="Events with labels or chargebacks: a file, or a folder of them."),
    ] = None,
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
    """Trains the network and writes a bundle.

    Events are replayed through the engine itself, so that training sees what serving computes. Labels count from when
    they arrived. What was stopped goes on from its checkpoint when called again.
    """
    from fraudgraph.app import make_decoder, make_engine
    from fraudgraph.events.keys import KeyRing

    if (data is None) == (not worlds):
        raise UsageError("there is nothing to train on, or too much", do="Give --data PATH or --worlds, one of them.")
    if device not in ("cpu", "cuda"):
        raise UsageError(f"--device {device!r} is not known", do="Give cpu or cuda.")
    settings = effective_settings(None, shop, overrides).settings
    training = _training()
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

        bundle: Bundle = training.train_bundle(
            plan,
            data,
            folder,
            progress=progress,
            say=note,
            make_engine=partial(make_engine, settings),
            decoder=make_decoder(settings, KeyRing(bytes(32), bytes(32))),  # pseudonyms that nobody keeps
        )
    note(f"wrote {folder}: {bundle.name}, {bundle.manifest.digest}")
    note(f"next: fraudgraph model show {bundle.name}; fraudgraph model promote {bundle.name} --store sqlite:///shop.db")


def _training() -> Any:
    """Returns the module that trains, which needs PyTorch.

    Raises:
        DependencyError: PyTorch is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # PyTorch Geometric's use of PyTorch, when imported
            return import_module("training.gnn.command")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("torch", "torch_geometric"):
            raise
        raise DependencyError(
            f"training needs {error.name}, which is not installed", do="pip install 'fraudgraph-rings[train]'"
        ) from error
