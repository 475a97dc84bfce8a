"""A store's URL, and the adapter that it names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.errors import ConfigurationError
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.stores import lock
from fraudgraph.stores.neo4j.access import SCHEMES, Neo4jOptions, parse_url
from fraudgraph.stores.port import Store, StoreReader

_USE: Final = "Use sqlite:///relative.db, sqlite:////absolute/path.db, or neo4j://user@host:7687."
_NO_OPTIONS: Final = Neo4jOptions()


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


def is_neo4j(url: str) -> bool:
    """Returns whether the URL names a store in Neo4j."""
    scheme, separator, _ = url.partition("://")
    return bool(separator) and scheme in SCHEMES


def local_file(url: str, folder: Path) -> Path:
    """Returns the file beside which this machine keeps what belongs to a store: its key, its snapshot.

    Args:
        url: of the store; the file of an embedded one.
        folder: where there is no such file.

    Raises:
        ConfigurationError: the URL cannot be read.
    """
    if not is_neo4j(url):
        return sqlite_path(url)
    address = parse_url(url)
    space = f"-{address.space}" if address.space else ""
    return folder / f"neo4j-{address.host.replace(':', '_')}-{address.port}-{address.database}{space}"


def open_reader(
    url: str,
    policy: LinkPolicy,
    priority: PriorityRules,
    neo4j: Neo4jOptions = _NO_OPTIONS,
    *,
    warmup_days: int = 14,
) -> StoreReader:
    """Opens the store for reading.

    Args:
        url: which store.
        policy, priority, warmup_days: as the readers take them.
        neo4j: what the URL of such a store does not say.

    Raises:
        ConfigurationError: an unknown scheme, or a file that is not a store.
        DependencyError: the store is missing or unreadable.
        StoreError: another schema version.
    """
    if is_neo4j(url):
        from fraudgraph.stores.neo4j.reader import Neo4jReader

        return Neo4jReader(parse_url(url), neo4j, policy, priority, warmup_days=warmup_days)
    from fraudgraph.stores.sqlite.reader import SqliteReader

    return SqliteReader(sqlite_path(url), policy, priority, warmup_days=warmup_days)


def open_store(
    url: str,
    policy: LinkPolicy,
    priority: PriorityRules,
    neo4j: Neo4jOptions = _NO_OPTIONS,
    *,
    warmup_days: int = 14,
    on_load: Callable[[int, int], None] | None = None,
) -> Store:
    """Opens the store for writing, and makes it where there is none.

    Args:
        url, policy, priority, neo4j, warmup_days: as of `open_reader`.
        on_load: told (rows read, rows in all) while a server's store is read as a whole.

    Raises:
        ConfigurationError: an unknown scheme, or a file that is not a store.
        DependencyError: the store cannot be written.
        StoreError: a newer schema.
    """
    if is_neo4j(url):
        from fraudgraph.stores.neo4j.store import Neo4jStore

        return Neo4jStore(parse_url(url), neo4j, policy, priority, warmup_days=warmup_days, on_load=on_load)
    from fraudgraph.stores.sqlite.store import SqliteStore

    return SqliteStore(sqlite_path(url), policy, priority, warmup_days=warmup_days)


@contextmanager
def at_work(url: str, store: Store) -> Iterator[None]:
    """Says, until it is left, that an engine works on the store: to this machine, or to all where a server keeps it.

    Raises:
        OSError: the lock file of an embedded store cannot be made.
    """
    if is_neo4j(url):
        from fraudgraph.stores.neo4j.store import Neo4jStore

        assert isinstance(store, Neo4jStore)  # opened by this URL
        with store.at_work():
            yield
    else:
        with lock.at_work(sqlite_path(url)):
            yield


@contextmanager
def alone(url: str, policy: LinkPolicy, priority: PriorityRules, neo4j: Neo4jOptions = _NO_OPTIONS) -> Iterator[bool]:
    """Yields whether nobody works on the store; in an embedded one nobody begins until it is left.

    Args:
        url, policy, priority, neo4j: as of `open_reader`.

    Raises:
        DependencyError: the server does not answer.
        OSError: the lock file of an embedded store cannot be made.
    """
    if is_neo4j(url):
        from fraudgraph.stores.neo4j.reader import Neo4jReader

        with closing(Neo4jReader(parse_url(url), neo4j, policy, priority)) as reader:
            yield not reader.is_at_work()
    else:
        with lock.alone(sqlite_path(url)) as nobody_else:
            yield nobody_else
