"""The composition root: the only place that names concrete streams, stores, scorers and renderers.

Heavy rooms are imported inside the functions: a reader of a store must start without numpy.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fraudgraph.errors import ConfigurationError
from fraudgraph.settings import KEY_VARIABLE, Settings

if TYPE_CHECKING:
    from fraudgraph.events.keys import KeyRing
    from fraudgraph.events.resolver import Resolver
    from fraudgraph.reports.model import RingReport
    from fraudgraph.stores.port import StoreReader


def open_reader(settings: Settings) -> StoreReader:
    """Opens the configured store for reading.

    Raises:
        ConfigurationError, DependencyError, StoreError: the store cannot be used; the message says why.
    """
    from fraudgraph.stores.url import open_reader as open_by_url

    return open_by_url(settings.store.url, settings.links, settings.priority)


def key_file(settings: Settings) -> Path:
    """Returns the file of the secret key: as set, else beside the embedded store."""
    from fraudgraph.stores.url import sqlite_path

    if settings.identity.key_file:
        return Path(settings.identity.key_file)
    store = sqlite_path(settings.store.url)
    return store.with_name(f"{store.name}.key")


def read_keys(settings: Settings, environment: Mapping[str, str] = os.environ) -> KeyRing:
    """Returns the keys of an existing store; never makes one.

    Raises:
        ConfigurationError: there is no key, or it cannot be read.
    """
    from fraudgraph.events.keys import load_key

    file = key_file(settings)
    if not environment.get(KEY_VARIABLE) and not file.exists():
        raise ConfigurationError(
            f"the key of the store is missing: {KEY_VARIABLE} is not set and there is no file {file}",
            do="Set it, or put the key file back, as it was when the store was written.",
        )
    keys, _ = load_key(environment, file)
    return keys


def open_resolver(settings: Settings, reader: StoreReader, environment: Mapping[str, str] = os.environ) -> Resolver:
    """Returns what turns identifiers into the pseudonyms of this store.

    Raises:
        ConfigurationError: the key is missing, or another one than the store was written under.
    """
    from fraudgraph.events.pseudonyms import Pseudonymiser
    from fraudgraph.events.resolver import Resolver

    pseudonymiser = Pseudonymiser(read_keys(settings, environment).pseudonyms)
    bound = reader.meta()["key_id"]
    if bound and bound != pseudonymiser.key_id:
        raise ConfigurationError(
            f"the store was written under key {bound}, and the key given is {pseudonymiser.key_id}",
            do=f"Set {KEY_VARIABLE}, or put back the key file, as it was when the store was written.",
        )
    return Resolver(pseudonymiser, default_region=settings.identity.default_region or None)


def render_report(report: RingReport, format: str, *, picture: Path | None = None, beside: Path | None = None) -> str:
    """Returns a ring's report as `md`, or as `html` with its picture inside.

    Args:
        picture: the file of the picture, for Markdown to point at.
        beside: the file that the report goes to; the way to the picture starts there.
    """
    if format == "html":
        from fraudgraph.reports.html import render_html
        from fraudgraph.reports.picture import svg

        return render_html(report, svg(report))
    from fraudgraph.reports.markdown import render_markdown

    return render_markdown(report, None if picture is None else _way(picture, beside))


def draw_ring(report: RingReport, suffix: str) -> bytes:
    """Returns the picture of a ring, for a file that ends in `.png` or `.svg`."""
    from fraudgraph.reports.picture import png, svg

    return svg(report).encode() if suffix == ".svg" else png(report)


def _way(picture: Path, beside: Path | None) -> str:
    folder = Path() if beside is None else beside.parent
    return Path(os.path.relpath(picture, folder)).as_posix()
