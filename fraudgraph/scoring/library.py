"""Where bundles are found: the one that ships with the package, and those of a folder, by name."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Final

from fraudgraph.errors import ConfigurationError
from fraudgraph.scoring.bundle import Bundle, read_bundle
from fraudgraph.scoring.manifest import NAME

DEFAULT: Final = "default"
"""Name of the bundle that ships with the package."""


def bundle_folder(name: str, folder: Path) -> Path:
    """Returns the folder of a bundle, whether or not it is there.

    Raises:
        ConfigurationError: that is no name of a bundle.
    """
    if name == DEFAULT:
        return Path(str(files("fraudgraph.scoring"))) / "bundles" / DEFAULT
    if not NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} is no name of a bundle", do="Name one of those that `fraudgraph model list` shows."
        )
    return folder / name


def find_bundle(name: str, folder: Path) -> Bundle:
    """Returns a bundle by its name.

    Raises:
        ConfigurationError: there is none of that name, it cannot be read, or says that it has another name.
    """
    bundle = read_bundle(bundle_folder(name, folder))
    if bundle.name != name:
        raise ConfigurationError(
            f"the bundle in the folder {name!r} says that its name is {bundle.name!r}",
            do="Give the folder that name: a store remembers what is in force by it.",
        )
    return bundle
