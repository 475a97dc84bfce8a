"""Components under a sliding window: the forest beside Neo4j's Graph Data Science on a real Neo4j, in the same run.

`python -m benchmarks.gds [--window 200000] [--batches 5]`; makes a server of its own (Java 17, Maven), about 2 minutes

GDS documents its seeded components as unsafe once relationships are removed, so each batch of 1,000 ties that come and
1,000 that end is followed by a projection and `gds.wcc` anew. "Asked anew" counts these two alone, as if the
database's own update cost nothing; "with the update" adds the creates and deletes.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Final

import numpy as np
from neo4j import Driver, GraphDatabase, NotificationMinimumSeverity
from rich.console import Console
from rich.table import Table

from benchmarks.components import BATCH, World, ours, scipy_labels, worlds
from fraudgraph.graph.types import I32
from fraudgraph.services.jars import cache_folder, fetch_jars
from fraudgraph.services.neo4j import USER, Neo4jServer

GDS_VERSION: Final = "2.13.9"
GDS: Final = tuple(
    f"org.neo4j.gds:{name}:{GDS_VERSION}"
    for name in ("proc", "proc-sysinfo", "opengds-extension", "open-model-catalog", "open-write-services")
)
ROWS: Final = 20_000


class GdsServer(Neo4jServer):
    """A Neo4j with the open edition of Graph Data Science in its plug-ins."""

    def _make(self, jars: Path, port: int) -> None:
        super()._make(jars, port)
        has = {_artefact(jar) for jar in jars.glob("*.jar")}
        for jar in fetch_jars("gds", GDS, self._cache).glob("*.jar"):
            if jar.name.endswith(f"-{GDS_VERSION}.jar") or _artefact(jar) not in has:
                shutil.copy(jar, self.folder / "plugins" / jar.name)
        with self._settings.open("a") as settings:
            settings.write("dbms.security.procedures.unrestricted=gds.*\n")


def _artefact(jar: Path) -> str:
    """Returns a jar's name without its version."""
    words = jar.stem.split("-")
    return "-".join(words[: next((i for i, word in enumerate(words) if word[:1].isdigit()), len(words))])


def fill(driver: Driver, world: World) -> None:
    """Makes all nodes and the first window's ties."""
    driver.execute_query("CREATE CONSTRAINT node IF NOT EXISTS FOR (n:Node) REQUIRE n.id IS UNIQUE")
    for start in range(0, world.nodes, ROWS):
        driver.execute_query(
            "UNWIND range($first, $last) AS id CREATE (:Node {id: id})",
            first=start,
            last=min(start + ROWS, world.nodes) - 1,
        )
    for start in range(0, world.window, ROWS):
        _create(driver, world, np.arange(start, min(start + ROWS, world.window), dtype=np.int32))


def _create(driver: Driver, world: World, ties: I32) -> None:
    rows = np.stack((ties, world.user[ties], world.ident[ties]), axis=1).tolist()
    driver.execute_query(
        "UNWIND $rows AS row MATCH (a:Node {id: row[1]}), (b:Node {id: row[2]}) CREATE (a)-[:TIE {n: row[0]}]->(b)",
        rows=rows,
    )


def _end(driver: Driver, world: World, ties: I32) -> None:
    rows = np.stack((ties, world.user[ties]), axis=1).tolist()
    driver.execute_query(
        "UNWIND $rows AS row MATCH (:Node {id: row[1]})-[r:TIE]->() WHERE r.n = row[0] DELETE r", rows=rows
    )


def asked_anew(driver: Driver) -> int:
    """Projects the graph and returns how many components it has."""
    driver.execute_query("CALL gds.graph.drop('window', false) YIELD graphName RETURN graphName")
    driver.execute_query(
        "CALL gds.graph.project('window', 'Node', {TIE: {orientation: 'UNDIRECTED'}}) YIELD nodeCount RETURN nodeCount"
    )
    found = driver.execute_query("CALL gds.wcc.stats('window') YIELD componentCount RETURN componentCount")
    return int(found.records[0][0])


def rates(driver: Driver, world: World, batches: int) -> tuple[float, float]:
    """Returns slides/s of a batch asked anew, without and with the database's update; scipy has the last word."""
    asked, whole = [], []
    stop = world.window
    for _ in range(batches):
        start = time.perf_counter()
        _create(driver, world, np.arange(stop, stop + BATCH, dtype=np.int32))
        _end(driver, world, np.arange(stop - world.window, stop - world.window + BATCH, dtype=np.int32))
        updated = time.perf_counter()
        count = asked_anew(driver)
        done = time.perf_counter()
        asked.append(BATCH / (done - updated))
        whole.append(BATCH / (done - start))
        stop += BATCH
    if count != len(np.unique(scipy_labels(world, stop))):
        raise SystemExit(f"{world.name}: GDS and scipy differ")
    return max(asked), max(whole)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--window", type=int, default=200_000)
    parser.add_argument("--batches", type=int, default=5)
    arguments = parser.parse_args()
    world = next(worlds(arguments.window, 30_000))
    forest = ours(world, events=True).slides_per_s
    with tempfile.TemporaryDirectory() as folder:
        server = GdsServer(Path(folder) / "neo4j", cache_folder(), heap="2g", page_cache="1g")
        server.start()
        try:
            with GraphDatabase.driver(
                server.url.replace(f"{USER}@", ""),
                auth=(USER, server.password),
                notifications_min_severity=NotificationMinimumSeverity.OFF,
            ) as driver:
                fill(driver, world)
                asked, whole = rates(driver, world, arguments.batches)
        finally:
            server.stop()
    table = Table("small rings, batches of 1,000", "slides/s", "times", title=f"window of {arguments.window:,} ties")
    table.add_row("forest, ring events included, one core", f"{forest:,.0f}", "1")
    table.add_row("GDS: projection and wcc anew", f"{asked:,.0f}", f"1/{forest / asked:,.0f}")
    table.add_row("GDS, with the update", f"{whole:,.0f}", f"1/{forest / whole:,.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
