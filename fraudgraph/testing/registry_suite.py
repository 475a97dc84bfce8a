"""What every registry of bundles must do; anyone's adapter can be held to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fraudgraph.errors import ConfigurationError
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.scoring.bundle import MANIFEST_FILE, WEIGHTS_FILE, read_bundle, write_bundle
from fraudgraph.scoring.library import BundleLibrary
from fraudgraph.scoring.registry import CHALLENGER, CHAMPION, FetchingLibrary, Registry, resolve
from fraudgraph.testing.bundles import random_bundle


class RegistrySuite:
    """Tests of one registry; a subclass gives the fixture `registry`, a new and empty one, and `again` to reopen it."""

    @pytest.fixture
    def registry(self, tmp_path: Path) -> Registry:
        """Returns a new registry."""
        raise NotImplementedError

    @pytest.fixture
    def again(self) -> Callable[[], Registry]:
        """Returns what opens the same registry as another process would."""
        raise NotImplementedError

    @pytest.fixture
    def trained(self, tmp_path: Path) -> Callable[[str, int], Path]:
        """Returns what writes a bundle of that name from that seed."""

        def write(name: str, seed: int) -> Path:
            folder = tmp_path / f"trained-{seed}" / name
            folder.parent.mkdir(exist_ok=True)
            write_bundle(random_bundle(LinkPolicy(), seed, name=name), folder)
            return folder

        return write

    def test_what_is_pushed_is_listed_pointed_to_and_fetched_as_it_was(
        self,
        registry: Registry,
        again: Callable[[], Registry],
        trained: Callable[[str, int], Path],
        tmp_path: Path,
    ) -> None:
        """A round trip, seen by another process too."""
        assert registry.entries() == []
        spring, summer = trained("spring", 1), trained("summer", 2)
        for folder in (summer, spring):
            registry.push(folder)
        registry.point(CHAMPION, "spring")
        registry.point(CHALLENGER, "summer")
        seen = again().entries()
        assert [(entry.name, entry.aliases) for entry in seen] == [("spring", (CHAMPION,)), ("summer", (CHALLENGER,))]
        assert seen[0].digest == read_bundle(spring).manifest.digest
        place = again().fetch("spring", tmp_path / "models")
        assert place == tmp_path / "models" / "spring"
        for file in (MANIFEST_FILE, WEIGHTS_FILE):
            assert (place / file).read_bytes() == (spring / file).read_bytes()
        assert again().fetch("spring", tmp_path / "models") == place, "a second time changes nothing"
        registry.point(CHAMPION, "summer")
        assert resolve(again(), "@champion") == resolve(again(), "summer@champion") == "summer"
        assert resolve(again(), "anything-else") == "anything-else"

    def test_a_name_stands_for_one_set_of_numbers(
        self, registry: Registry, trained: Callable[[str, int], Path], tmp_path: Path
    ) -> None:
        """The same may be pushed again; another may not, nor replace one that is there."""
        first = registry.push(trained("spring", 1))
        assert registry.push(trained("spring", 1)) == first
        other = trained("spring", 2)
        with pytest.raises(ConfigurationError, match="another bundle 'spring'"):
            registry.push(other)
        assert [entry.digest for entry in registry.entries()] == [first.digest]
        with pytest.raises(ConfigurationError, match="another bundle 'spring'"):
            registry.fetch("spring", other.parent)
        assert read_bundle(other).manifest.digest != first.digest, "what was there is there still"

    def test_what_is_not_there_or_damaged_is_refused(
        self, registry: Registry, trained: Callable[[str, int], Path], tmp_path: Path
    ) -> None:
        """An alias that is none, a bundle that is none, one whose weights are another's."""
        with pytest.raises(ConfigurationError, match="points to no bundle"):
            resolve(registry, "@champion")
        with pytest.raises(ConfigurationError, match="no alias"):
            resolve(registry, "@winner")
        spring = trained("spring", 1)
        registry.push(spring)
        with pytest.raises(ConfigurationError, match="no bundle 'autumn'"):
            registry.point(CHAMPION, "autumn")
        with pytest.raises(ConfigurationError, match="no bundle 'autumn'"):
            registry.fetch("autumn", tmp_path / "models")
        registry.point(CHAMPION, "spring")
        with pytest.raises(ConfigurationError, match="points to 'spring'"):
            resolve(registry, "summer@champion")
        torn = trained("torn", 3)
        (torn / WEIGHTS_FILE).write_bytes((spring / WEIGHTS_FILE).read_bytes())
        with pytest.raises(ConfigurationError, match="is not the file"):
            registry.push(torn)
        renamed = tmp_path / "renamed"
        bundle = read_bundle(spring)
        write_bundle(replace(bundle, manifest=replace(bundle.manifest, name="renamed")), renamed)
        assert registry.push(renamed).name == "renamed"

    def test_a_library_fetches_what_its_folder_lacks(
        self, registry: Registry, trained: Callable[[str, int], Path], tmp_path: Path
    ) -> None:
        """So a daemon on another machine finds what was promoted."""
        registry.push(trained("spring", 1))
        library = FetchingLibrary(BundleLibrary(tmp_path / "models"), lambda: registry)
        assert library("spring").name == "spring"
        assert (tmp_path / "models" / "spring" / MANIFEST_FILE).exists()
        with pytest.raises(ConfigurationError, match="no bundle 'autumn'"):
            library("autumn")
