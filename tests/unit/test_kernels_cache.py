"""Compiled kernels are kept per state of their sources, so that none outlives a change in what it calls."""

from __future__ import annotations

from pathlib import Path

import numba

from fraudgraph.kernels import cache_folder


def package(folder: Path, text: str) -> Path:
    """A package with one kernel source."""
    (folder / "graph").mkdir(parents=True)
    (folder / "graph" / "links.py").write_text(text)
    return folder


def test_a_changed_source_has_a_folder_of_its_own(tmp_path: Path) -> None:
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    one = cache_folder(environment, package(tmp_path / "a", "x = 1\n"))
    same = cache_folder(environment, package(tmp_path / "b", "x = 1\n"))
    other = cache_folder(environment, package(tmp_path / "c", "x = 2\n"))
    assert one == same != other
    assert one.is_relative_to(tmp_path / "cache" / "fraudgraph")


def test_numba_uses_a_folder_of_its_own_choice_or_ours() -> None:
    import fraudgraph.graph.links

    assert fraudgraph.graph.links.njit is numba.njit
    assert numba.config.CACHE_DIR
