"""A store copied whole: to a backup, from one, into another kind."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from fraudgraph.app.stores import open_reader, open_store
from fraudgraph.settings import Settings

if TYPE_CHECKING:
    from fraudgraph.stores.copy import Copied
    from fraudgraph.stores.port import StoreReader


def back_up(settings: Settings, out: Path) -> Copied:
    """Copies the store, as of its last commit, into a new file; see `stores.copy`."""
    from fraudgraph.stores.copy import back_up as back_up_into

    with closing(open_reader(settings)) as source:
        return back_up_into(source, out, settings.links, settings.priority)


def restore(settings: Settings, backup: Path) -> Copied:
    """Copies a backup into the configured store.

    Raises:
        DependencyError: there is no such backup.
        StoreError: the store is not new.
    """
    from fraudgraph.stores.sqlite.reader import SqliteReader

    with closing(SqliteReader(backup, settings.links, settings.priority)) as source:
        return _copy_to(settings, source, settings.store.url)


def migrate(settings: Settings, url: str) -> Copied:
    """Copies the configured store into a new one of any kind.

    Raises:
        StoreError: the other store is not new.
    """
    with closing(open_reader(settings)) as source:
        return _copy_to(settings, source, url)


def _copy_to(settings: Settings, source: StoreReader, url: str) -> Copied:
    from fraudgraph.stores.copy import copy_store

    with closing(open_store(url, settings)) as target:
        return copy_store(source, target)
