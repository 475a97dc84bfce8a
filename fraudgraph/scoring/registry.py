"""A registry of bundles that a team shares: what is there, what the aliases point to; a folder is the simplest one.

Obligations of every registry (`testing.registry_suite`): a bundle's name stands for one set of numbers for ever, so a
push of other numbers under a name that is there is refused, and one of the same numbers changes nothing; an alias
points to one bundle at a time; what is fetched is whole, has the digest that was pushed, and is never unpickled.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from fraudgraph.errors import ConfigurationError, DependencyError
from fraudgraph.scoring.library import BundleLibrary

if TYPE_CHECKING:
    from fraudgraph.scoring.bundle import Bundle

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
ALIASES: Final = (CHAMPION, CHALLENGER)
_ALIAS_FILE: Final = "aliases.json"
_REFERENCE: Final = re.compile(r"(?:[a-z0-9][a-z0-9._-]{0,63})?@([a-z]+)")


@dataclass(frozen=True, slots=True)
class Entry:
    """A bundle of a registry, with the aliases that point to it."""

    name: str
    digest: str
    aliases: tuple[str, ...] = ()


class Registry(Protocol):
    """Where bundles are shared. All calls may raise DependencyError where it cannot be reached."""

    def entries(self) -> list[Entry]:
        """Returns the bundles in the order of their names."""
        ...

    def push(self, folder: Path) -> Entry:
        """Takes a bundle in; one that is there already with the same digest changes nothing.

        Raises:
            ConfigurationError: it cannot be used, or its name stands for another one.
        """
        ...

    def point(self, alias: str, name: str) -> None:
        """Lets an alias point to a bundle, whatever it pointed to before.

        Raises:
            ConfigurationError: there is no such alias or bundle.
        """
        ...

    def fetch(self, name: str, into: Path) -> Path:
        """Copies a bundle into a folder of its name in `into`, whole or not at all, and returns that.

        Raises:
            ConfigurationError: there is no such bundle, it is damaged, or another one of that name is there.
        """
        ...


def resolve(registry: Registry, said: str) -> str:
    """Returns the name of the bundle that `@champion` (or `NAME@champion`) points to; another text as it is.

    Raises:
        ConfigurationError: there is no such alias, it points to nothing, or to another bundle than `NAME`.
    """
    match = _REFERENCE.fullmatch(said)
    if match is None:
        return said
    alias = require_alias(match[1])
    found = next((entry for entry in registry.entries() if alias in entry.aliases), None)
    if found is None:
        raise ConfigurationError(f"@{alias} points to no bundle", do=f"fraudgraph model alias {alias} NAME does that.")
    wanted = said.partition("@")[0]
    if wanted and wanted != found.name:
        raise ConfigurationError(
            f"@{alias} points to {found.name!r}, not to {wanted!r}", do=f"Say @{alias}, or name the bundle alone."
        )
    return found.name


def require_alias(alias: str) -> str:
    """Returns an alias.

    Raises:
        ConfigurationError: it is none.
    """
    if alias not in ALIASES:
        raise ConfigurationError(f"there is no alias {alias!r}", do=f"There are {' and '.join(ALIASES)}.")
    return alias


def checked_entry(folder: Path) -> Entry:
    """Returns what a bundle's folder holds, all of it read and its hashes checked.

    Raises:
        ConfigurationError: it cannot be used.
    """
    from fraudgraph.scoring.bundle import read_bundle

    bundle = read_bundle(folder)
    return Entry(bundle.name, bundle.manifest.digest)


def require_same(known: Entry, pushed: Entry) -> None:
    """Refuses other numbers under a name that is there.

    Raises:
        ConfigurationError: the digests differ.
    """
    if known.digest != pushed.digest:
        raise ConfigurationError(
            f"the registry has another bundle {known.name!r} ({known.digest}, this is {pushed.digest})",
            do="Train it under a name of its own: a name stands for one set of numbers.",
        )


def take_over(part: Path, name: str, digest: str, into: Path) -> Path:
    """Puts a fetched folder in its place, where it is what was pushed.

    Raises:
        ConfigurationError: it is not, or another bundle of that name is there.
    """
    found = checked_entry(part)
    if (found.name, found.digest) != (name, digest):
        raise ConfigurationError(
            f"the registry's bundle {name!r} is not what was pushed ({found.name} {found.digest}, expected {digest})",
            do="Push it again from where it was trained, under a new name.",
        )
    place = into / name
    if place.exists():
        require_same(checked_entry(place), found)
        return place
    part.rename(place)
    return place


@dataclass(frozen=True, slots=True)
class FolderRegistry:
    """A registry in a folder, which may be the models' folder itself.

    Attributes:
        root: a folder for each bundle, and the aliases in `aliases.json`.
    """

    root: Path

    def entries(self) -> list[Entry]:
        """Returns the bundles; one that cannot be read is left out."""
        from fraudgraph.scoring.bundle import read_manifest

        pointed = self._aliases()
        found = []
        for name, folder in BundleLibrary(self.root, self.root).paths().items():
            try:
                digest = read_manifest(folder).digest
            except ConfigurationError:
                continue
            found.append(Entry(name, digest, tuple(alias for alias in ALIASES if pointed.get(alias) == name)))
        return found

    def push(self, folder: Path) -> Entry:
        """Copies a bundle in."""
        pushed = checked_entry(folder)
        place = self.root / pushed.name
        if place.exists():
            require_same(checked_entry(place), pushed)
            return pushed
        part = self.root / f".{pushed.name}.part"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(folder, part)
        except OSError as error:
            raise _unwritable(place, error) from error
        take_over(part, pushed.name, pushed.digest, self.root)
        return pushed

    def point(self, alias: str, name: str) -> None:
        """Lets an alias point to a bundle."""
        require_alias(alias)
        _require(self.entries(), name)
        path = self.root / _ALIAS_FILE
        part = path.with_name(f".{_ALIAS_FILE}.part")
        try:
            part.write_text(json.dumps(dict(self._aliases()) | {alias: name}, indent=1) + "\n", encoding="utf-8")
            part.replace(path)
        except OSError as error:
            raise _unwritable(path, error) from error

    def fetch(self, name: str, into: Path) -> Path:
        """Copies a bundle out; where the registry is the models' folder, it is there already."""
        entry = _require(self.entries(), name)
        if into.resolve() == self.root.resolve():
            return self.root / name
        part = into / f".{name}.part"
        try:
            into.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(self.root / name, part)
        except OSError as error:
            raise _unwritable(into / name, error) from error
        return take_over(part, name, entry.digest, into)

    def _aliases(self) -> Mapping[str, str]:
        path = self.root / _ALIAS_FILE
        try:
            said = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{path} cannot be read ({error})", do="Mend it, or delete it.") from error
        if not isinstance(said, dict):
            raise ConfigurationError(f"{path} holds no aliases", do="Mend it, or delete it.")
        return {str(alias): str(name) for alias, name in said.items()}


@dataclass(frozen=True, slots=True)
class FetchingLibrary:
    """A library that asks a registry for the bundles that the models' folder lacks."""

    library: BundleLibrary
    registry: Callable[[], Registry]

    def __call__(self, name: str) -> Bundle:
        """Returns a bundle.

        Raises:
            ConfigurationError: neither has it, or it cannot be used, or the registry cannot be reached.
        """
        if name not in self.library.paths():
            try:
                self.registry().fetch(name, self.library.folder)
            except DependencyError as error:
                raise ConfigurationError(
                    f"the bundle {name!r} is not in {self.library.folder}, and {error.what}", do=error.do
                ) from error
        return self.library(name)


def _require(entries: list[Entry], name: str) -> Entry:
    found = next((entry for entry in entries if entry.name == name), None)
    if found is None:
        names = ", ".join(entry.name for entry in entries)
        raise ConfigurationError(
            f"the registry has no bundle {name!r}",
            do=f"Name one of {names}." if names else "fraudgraph model push NAME.",
        )
    return found


def _unwritable(path: Path, error: OSError) -> DependencyError:
    return DependencyError(f"{path} cannot be written ({error.strerror})", do="Check its permissions and the disk.")
