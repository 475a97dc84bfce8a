"""The Neo4j store beside the same rows by batched UNWIND alone, which is what the database itself can do.

`python -m benchmarks.neo4j_store [--users 100000] [--batches 20] [--events 1000 4000]`
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from neo4j import Driver
from rich.console import Console
from rich.table import Table

from benchmarks.store import EVENTS, POLICY, PRIORITY, Clock, World
from fraudgraph.events.kinds import EntityKind
from fraudgraph.services.jars import cache_folder
from fraudgraph.services.neo4j import Neo4jServer
from fraudgraph.stores.neo4j.access import Neo4jOptions, connect, parse_url
from fraudgraph.stores.neo4j.model import LABELS, USES
from fraudgraph.stores.neo4j.store import Neo4jStore
from fraudgraph.stores.port import LINK_COLUMNS, CommitDelta

ROWS: Final = 5_000
RIVAL_SPACE: Final = 1


class Rival:
    """What a careful team would write first: nodes and links merged by key in batches, one transaction per batch.

    It keeps no activity of accounts, no orders, no rings and no positions, and of a link only times and count.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        with driver.session() as session:
            for label in LABELS.values():
                session.run(f"CREATE CONSTRAINT IF NOT EXISTS FOR (n:Bare{label}) REQUIRE n.number IS UNIQUE").consume()
            session.run("CALL db.awaitIndexes(300)").consume()

    def commit(self, delta: CommitDelta) -> int:
        """Writes the links of a batch, both ends merged; returns how many."""
        rows = list(zip(*(delta.links[name].tolist() for name in LINK_COLUMNS), strict=True))
        by_kind: dict[int, list[list[Any]]] = {}
        for slot, user, kind, ident, *numbers in rows:
            by_kind.setdefault(kind, []).append([slot, user, ident, *numbers])

        def write(tx: Any) -> None:
            for kind, links in sorted(by_kind.items()):
                links.sort(key=lambda row: row[1:3])
                label, use = LABELS[EntityKind(kind)], USES[EntityKind(kind)]
                for start in range(0, len(links), ROWS):
                    tx.run(
                        f"""
                        UNWIND $rows AS row
                        MERGE (u:BareUser {{number: row[1]}})
                        MERGE (n:Bare{label} {{number: row[2]}})
                        MERGE (u)-[r:BARE_{use}]->(n)
                        SET r.first_ms = row[3], r.last_ms = row[4], r.count = row[5]""",
                        rows=links[start : start + ROWS],
                    ).consume()

        with self._driver.session() as session:
            session.execute_write(write)
        return len(rows)


def together(world: World, batches: int) -> CommitDelta:
    """Returns several batches as the one that the engine would make of their events: each row once, as it is last."""
    parts = [world.batch() for _ in range(batches)]
    whole = replace(parts[-1], commit=parts[0].commit)
    world.commit = whole.commit
    for table, key in (("links", "slot"), ("users", "user"), ("transfers", "slot")):
        columns = {name: np.concatenate([getattr(p, table)[name] for p in parts]) for name in getattr(parts[0], table)}
        order = len(columns[key]) - 1 - np.unique(columns[key][::-1], return_index=True)[1]
        setattr(whole, table, {name: column[order] for name, column in columns.items()})
    whole.orders = {name: np.concatenate([p.orders[name] for p in parts]) for name in whole.orders}
    whole.rings = list({ring.ring_id: ring for part in parts for ring in part.rings}.values())
    whole.members = {ring_id: team for part in parts for ring_id, team in part.members.items()}
    for name in ("entities", "order_keys", "lineage", "seen_keys", "seen_ts_ms"):
        setattr(whole, name, [row for part in parts for row in getattr(part, name)])
    return whole


def changed_rows(delta: CommitDelta) -> int:
    """Returns how many rows a commit changes."""
    rows = 0
    for each in fields(delta):
        value = getattr(delta, each.name)
        if each.name == "members":
            rows += sum(map(len, value.values()))
        elif isinstance(value, dict) and each.name in ("links", "users", "orders", "transfers"):
            rows += len(next(iter(value.values()), ()))
        elif isinstance(value, list) and each.name not in ("seen_keys", "seen_ts_ms", "order_keys"):
            rows += len(value)
    return rows


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--events", type=int, nargs="+", default=[1_000, 4_000, 8_000])
    parser.add_argument("--heap", default="1g")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = Neo4jServer(Path(folder) / "neo4j", cache_folder(), heap=arguments.heap, page_cache="512m")
        server.start()
        try:
            run(server, arguments.users, arguments.batches, arguments.events)
        finally:
            server.stop()


def run(server: Neo4jServer, users: int, batches: int, sizes: list[int]) -> None:
    """Fills a store, then commits the same deltas by the store and by the rival, in turns."""
    table = Table("what", "measured", title=f"Neo4j store, {users:,} users, 2 cores shared with the server")
    address, options = parse_url(server.url), Neo4jOptions(password=server.password)
    world = World(users, np.random.default_rng(7))
    with closing(Neo4jStore(address, options, POLICY, PRIORITY)) as store, connect(address, options) as driver:
        rival = Rival(driver)
        store.claim()
        store.bind(key_id="benchmark", policy_hash=POLICY.hash, policy_version=POLICY.version)
        fill, rows, rival_fill, links = Clock(), 0, Clock(), 0
        for delta in world.fill(ROWS * 2):
            rows += changed_rows(delta)
            fill.time(lambda delta=delta: store.commit(delta))
            links += rival_fill.time(lambda delta=delta: rival.commit(delta))
        table.add_row("fill, all rows/s", f"{rows / fill.wall:,.0f}")
        table.add_row(
            "fill, links/s: ours with all else, merged alone",
            f"{links / fill.wall:,.0f}, {links / rival_fill.wall:,.0f}",
        )
        for size in sizes:
            ours, bare, rows, links, events = Clock(), Clock(), 0, 0, 0
            for _ in range(max(3, batches * EVENTS // size)):
                delta = together(world, size // EVENTS)
                rows += changed_rows(delta)
                events += size
                ours.time(lambda delta=delta: store.commit(delta))
                links += bare.time(lambda delta=delta: rival.commit(delta))
            name = f"batches of {size:,} events"
            table.add_row(f"{name}: events/s", f"{events / ours.wall:,.0f}")
            table.add_row(f"{name}: rows/s, per event", f"{rows / ours.wall:,.0f}, {rows / events:.2f}")
            table.add_row(
                f"{name}: merged alone, links/s, per event", f"{links / bare.wall:,.0f}, {links / events:.2f}"
            )
            table.add_row(f"{name}: share of the merged links' rate", f"{rows / ours.wall / (links / bare.wall):.0%}")
            table.add_row(
                f"{name}: longest commit, ms; CPU of the client",
                f"{ours.longest * 1e3:,.0f}, {ours.cpu / ours.wall:.0%}",
            )
        loading = Clock()
        state = loading.time(store.load)
        entities = loading.time(lambda: sum(1 for _ in state.entities))
        table.add_row(f"load of {len(state.links['slot']):,} links, {entities:,} entities, s", f"{loading.wall:.1f}")
        some = store.rings(limit=50)
        for name, call in {
            f"rings(limit=50) of {world.rings:,}": lambda: store.rings(limit=50),
            "snapshot": lambda: store.snapshot(some[0].ring_id),
            "identifiers_of": lambda: store.identifiers_of("user-17"),
        }.items():
            call()
            clock = Clock()
            clock.time(call)
            table.add_row(f"{name}, ms", f"{clock.wall * 1e3:.1f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
