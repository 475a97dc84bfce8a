"""Which store a URL names, opened to read or to write."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fraudgraph.app.keys import key_file, read_keys
from fraudgraph.errors import ConfigurationError
from fraudgraph.settings import NEO4J_PASSWORD_VARIABLE, Settings

if TYPE_CHECKING:
    from fraudgraph.events.keys import KeyRing
    from fraudgraph.narration import StoredRings
    from fraudgraph.stores.neo4j.access import Neo4jOptions
    from fraudgraph.stores.port import Store, StoreReader


def open_reader(settings: Settings) -> StoreReader:
    """Opens the configured store for reading.

    Raises:
        ConfigurationError, DependencyError, StoreError: the store cannot be used; the message says why.
    """
    from fraudgraph.stores.url import open_reader as open_by_url

    return open_by_url(
        settings.store.url,
        settings.links,
        settings.priority,
        _neo4j_options(settings.store.url, settings),
        warmup_days=settings.rings.warmup_days,
    )


def open_store(url: str, settings: Settings, on_load: Callable[[int, int], None] | None = None) -> Store:
    from fraudgraph.stores.url import open_store

    return open_store(
        url,
        settings.links,
        settings.priority,
        _neo4j_options(url, settings),
        warmup_days=settings.rings.warmup_days,
        on_load=on_load,
    )


def _neo4j_options(url: str, settings: Settings, environment: Mapping[str, str] = os.environ) -> Neo4jOptions:
    """Returns what the URL of a store in Neo4j does not say; nothing is read for another store.

    Raises:
        ConfigurationError: the password's file cannot be read.
    """
    from fraudgraph.stores.neo4j.access import Neo4jOptions
    from fraudgraph.stores.url import is_neo4j

    if not is_neo4j(url):
        return Neo4jOptions()
    neo4j = settings.neo4j
    password = environment.get(NEO4J_PASSWORD_VARIABLE, "")
    if neo4j.password_file and not password:
        try:
            password = Path(neo4j.password_file).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"neo4j.password_file {neo4j.password_file} cannot be read ({type(error).__name__})",
                do=f"Name an existing file that this user may read, or set {NEO4J_PASSWORD_VARIABLE}.",
            ) from error
    return Neo4jOptions(
        password=password,
        connection_timeout_ms=neo4j.connection_timeout_ms,
        retry_max_ms=neo4j.retry_max_seconds * 1000,
        write_max_ms=neo4j.write_max_seconds * 1000,
        fetch_rows=neo4j.fetch_rows,
        ca_file=neo4j.ca_file,
    )


def alone(settings: Settings) -> AbstractContextManager[bool]:
    from fraudgraph.stores.url import alone

    return alone(settings.store.url, settings.links, settings.priority, _neo4j_options(settings.store.url, settings))


def stored_rings(settings: Settings) -> StoredRings:
    from fraudgraph.narration import StoredRings

    return StoredRings(open_reader(settings), settings.links)


@dataclass(frozen=True, slots=True)
class Writer:
    store: Store
    keys: KeyRing
    key_made: Path | None


@contextmanager
def open_writer(
    settings: Settings, environment: Mapping[str, str], on_load: Callable[[int, int], None] | None = None
) -> Iterator[Writer]:
    """Opens the store for writing, under its own key; only a new store gets a new key.

    Args:
        on_load: told (rows read, rows in all) while a server's store is read as a whole.
    """
    from fraudgraph.events.keys import load_key

    with closing(open_store(settings.store.url, settings, on_load)) as store:
        file = key_file(settings)
        if (meta := store.meta())["key_id"]:
            keys, made = read_keys(settings, meta, environment), False
        else:
            keys, made = load_key(environment, file)
        store.bind(
            key_id=keys.key_id,
            policy_hash=settings.links.hash,
            policy_version=settings.links.version,
        )
        yield Writer(store, keys, file if made else None)
