"""Where bundles are found by name: a shop's own folder, and those that ship with the package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fraudgraph.errors import ConfigurationError

if TYPE_CHECKING:
    from fraudgraph.scoring.bundle import Bundle

SHIPPED: Final = Path(__file__).parents[1] / "bundles"
_MANIFEST: Final = "bundle.json"


@dataclass(frozen=True, slots=True)
class BundleLibrary:
    """Bundles by name; a shop's own goes before a shipped one of the same name.

    Attributes:
        folder: of the shop's bundles, one folder each; it need not be there.
    """

    folder: Path
    shipped: Path = SHIPPED

    def paths(self) -> dict[str, Path]:
        """Returns the folder of each bundle by name, in the order of names."""
        found = {
            path.parent.name: path.parent
            for folder in (self.shipped, self.folder)
            for path in folder.glob(f"*/{_MANIFEST}")
            if not path.parent.name.startswith(".")
        }
        return dict(sorted(found.items()))

    def path(self, name: str) -> Path:
        """Returns the folder of a bundle.

        Raises:
            ConfigurationError: there is none of that name.
        """
        paths = self.paths()
        if name not in paths:
            raise ConfigurationError(
                f"there is no bundle {name!r} in {self.folder} or among the shipped ones",
                do=f"Name one of {', '.join(paths)}." if paths else "Train one: fraudgraph train.",
            )
        return paths[name]

    def __call__(self, name: str) -> Bundle:
        """Returns a bundle.

        Raises:
            ConfigurationError: it is not there, goes by another name inside, or cannot be used.
        """
        from fraudgraph.scoring.bundle import read_bundle

        bundle = read_bundle(self.path(name))
        if bundle.name != name:
            raise ConfigurationError(
                f"the folder {name!r} holds the bundle {bundle.name!r}", do="Rename the folder back."
            )
        return bundle
