"""A store's URL, and the adapter that it names."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.errors import ConfigurationError
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.stores.port import Store, StoreReader

_USE: Final = "Use sqlite:///relative.db or sqlite:////absolute/path.db."


def sqlite_path(url: str) -> Path:
    """Returns the file that `sqlite:///relative.db` or `sqlite:////absolute/path.db` names.

    Raises:
        ConfigurationError: another scheme, a host, or no file; the message holds the scheme only, since a URL may
            carry a password.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise ConfigurationError("the store is not given as a URL", do=_USE)
    if scheme != "sqlite":
        raise ConfigurationError(f"no store is known by the scheme {scheme!r}", do=_USE)
    host, slash, path = rest.partition("/")
    if host or not slash or not path.strip("/"):
        raise ConfigurationError("the sqlite URL names no file, or names a host", do=_USE)
    return Path(path)


def open_reader(url: str, policy: LinkPolicy, priority: PriorityRules) -> StoreReader:
    """Opens the store for reading.

    Raises:
        ConfigurationError: an unknown scheme, or a file that is not a store.
        DependencyError: the store is missing or unreadable.
        StoreError: another schema version.
    """
    from fraudgraph.stores.sqlite.reader import SqliteReader

    return SqliteReader(sqlite_path(url), policy, priority)


def open_store(url: str, policy: LinkPolicy, priority: PriorityRules) -> Store:
    """Opens the store for writing, and makes it where there is none.

    Raises:
        ConfigurationError: an unknown scheme, or a file that is not a store.
        DependencyError: the file cannot be written.
        StoreError: a newer schema.
    """
    from fraudgraph.stores.sqlite.store import SqliteStore

    return SqliteStore(sqlite_path(url), policy, priority)
