"""Where bundles come from: the models' folder, those that ship, and a registry that a team shares."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fraudgraph.errors import ConfigurationError
from fraudgraph.settings import Settings

if TYPE_CHECKING:
    from fraudgraph.scoring.registry import FetchingLibrary, Registry


def make_registry(settings: Settings) -> Registry:
    """Returns the registry that the settings describe; the models' folder itself where they name no other.

    Raises:
        ConfigurationError: mlflow is not installed, or no address is given.
        DependencyError: it cannot be reached.
    """
    from fraudgraph.scoring.registry import FolderRegistry

    url = settings.model.registry_url
    if settings.model.registry == "folder":
        return FolderRegistry(Path(url or settings.model.folder))
    if not url:
        raise ConfigurationError(
            "model.registry is mlflow, and model.registry_url is empty", do="Write sqlite:///mlflow.db, or https://…"
        )
    from fraudgraph.scoring.registry_mlflow import MlflowRegistry

    return MlflowRegistry(url)


def make_library(settings: Settings) -> FetchingLibrary:
    """Returns the bundles by name; what the models' folder lacks is asked of the registry, and kept there."""
    from fraudgraph.scoring.library import BundleLibrary
    from fraudgraph.scoring.registry import FetchingLibrary

    return FetchingLibrary(BundleLibrary(Path(settings.model.folder)), lambda: make_registry(settings))


def bundle_name(settings: Settings, said: str) -> str:
    """Returns the name that `@champion` stands for in the registry; another name as it is.

    Raises:
        ConfigurationError, DependencyError: as `make_registry`, or the alias points to nothing.
    """
    from fraudgraph.scoring.registry import resolve

    return resolve(make_registry(settings), said) if "@" in said else said
