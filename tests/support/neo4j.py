"""A real Neo4j for the tests: the one that FRAUDGRAPH_TEST_NEO4J names, or one that is made and stopped here."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from fraudgraph.services.jars import cache_folder
from fraudgraph.services.neo4j import Neo4jServer
from fraudgraph.stores.neo4j.access import Neo4jAddress, Neo4jOptions, connect, parse_url

TEST_VARIABLE = "FRAUDGRAPH_TEST_NEO4J"
"""URL of a server for nothing but tests: they delete what is in it. Its password is in FRAUDGRAPH_NEO4J_PASSWORD."""


@dataclass(frozen=True, slots=True)
class Database:
    """A running database in which each test makes stores in spaces of their own."""

    url: str
    options: Neo4jOptions

    def fresh(self) -> Neo4jAddress:
        """Returns the address of a store that nobody used before."""
        return replace(parse_url(self.url), space=1 + secrets.randbelow(1 << 22 - 1))

    def wipe(self) -> None:
        """Deletes everything, for queries that look at the whole database."""
        with connect(parse_url(self.url), self.options) as driver, driver.session() as session:
            session.run("MATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 2000 ROWS").consume()

    def fresh_url(self) -> str:
        """Returns the URL of such a store."""
        return f"{self.url}?space={self.fresh().space}"


@contextmanager
def running(folder: Path) -> Iterator[Neo4jServer]:
    """Yields a server of its own, and stops it whatever happens."""
    server = Neo4jServer(folder, cache_folder(), heap="512m", page_cache="128m")
    server.start()
    try:
        yield server
    finally:
        server.stop()
