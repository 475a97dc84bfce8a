"""Bytes to ring and score deltas at 1M users and 3M links, in memory and with a commit per batch; memory; restart.

`python -m benchmarks.engine [--users 1000000] [--events 200000] [--network] [--no-store] [--profile]`

With `--network` a network of width 64 with random weights is in force: then the rows say what scoring by it costs, and
at the end another is promoted, while the stream goes on.

CPU seconds over all threads. The rival is what a team would write first: networkx, and the connected components
of the batch's users after each batch. It gets an easier task: it starts empty, expires nothing and scores nothing.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import pstats
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import networkx as nx
from rich.console import Console
from rich.table import Table

from benchmarks.mix import mix_lines, population_lines
from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.engine import Engine, EngineRules
from fraudgraph.events.batch import DecodedBatch
from fraudgraph.events.decoder import Decoder
from fraudgraph.events.keys import load_key
from fraudgraph.events.pseudonyms import Pseudonymiser
from fraudgraph.events.vault import Vault
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.scoring.gnn.live import LiveNetwork
from fraudgraph.scoring.structural import StructuralScorer
from fraudgraph.stores.sqlite.store import SqliteStore
from fraudgraph.streams.port import RawBatch
from fraudgraph.testing.bundles import random_bundle

BATCH: Final = 1_000
BAR_ENGINE, BAR_BOTH, BAR_STORE = 100_000, 40_000, 15_000
BAR_NETWORK = 25_000
BAR_LINK_BYTES, BAR_RESTART_S = 250, 30
POLICY: Final = LinkPolicy()
BUNDLE: Final = random_bundle(POLICY, 7, width=64, half_life_days=90)
NEXT: Final = random_bundle(POLICY, 8, name="next", width=64, half_life_days=90)


@dataclass(slots=True)
class Spent:
    """CPU seconds by part, over `events` events; of the engine also those of its longest batch."""

    events: int = 0
    decode_s: float = 0.0
    engine_s: float = 0.0
    commit_s: float = 0.0
    changed_rows: int = 0
    longest_s: float = 0.0

    def add(self, other: Spent) -> None:
        """Adds another part of the run."""
        self.events += other.events
        self.decode_s += other.decode_s
        self.engine_s += other.engine_s
        self.commit_s += other.commit_s
        self.changed_rows += other.changed_rows
        self.longest_s = max(self.longest_s, other.engine_s)


def batches(lines: Iterable[bytes]) -> Iterator[RawBatch]:
    """Yields batches of lines as one partition."""
    source = iter(lines)
    at = 0
    while values := list(islice(source, BATCH)):
        n = len(values)
        offsets = list(range(at, at + n))
        yield RawBatch(values, ["bench"], [0] * n, offsets, [offset + 1 for offset in offsets])
        at += n


def make_decoder() -> Decoder:
    """Returns a decoder under a fixed key."""
    ring, _ = load_key({"FRAUDGRAPH_KEY": "00" * 32}, None)
    return Decoder(Pseudonymiser(ring.pseudonyms), Vault(ring.vault), default_region="DE", default_currency=None)


def make_engine(network: bool) -> Engine:
    """Returns an engine as the shop runs it."""
    bundle = BUNDLE if network else None
    return Engine(POLICY, EngineRules(), StructuralScorer(), bundle=bundle, library=lambda name: NEXT)


def feed(
    raws: Iterable[RawBatch],
    decoder: Decoder,
    engine: Engine,
    store: SqliteStore | None,
    profile: cProfile.Profile | None,
) -> Spent:
    """Runs batches through, and returns what each part took."""
    spent = Spent()
    for raw in raws:
        start = time.process_time()
        batch = decoder.decode(raw)
        decoded = time.process_time()
        if profile is not None:
            profile.enable()
        outcome = engine.apply(batch)
        if profile is not None:
            profile.disable()
        applied = time.process_time()
        if store is not None:
            store.commit(outcome.delta)
        spent.add(
            Spent(
                outcome.applied,
                decoded - start,
                applied - decoded,
                time.process_time() - applied,
                changed_rows(outcome.delta),
            )
        )
    return spent


def promote(raws: Iterator[RawBatch], decoder: Decoder, engine: Engine) -> tuple[int, float]:
    """Promotes another network; returns how many batches later it was in force, and the longest one's CPU seconds."""
    start = time.process_time()
    engine.serving.promote(NEXT.name, "promotion", engine.graph, engine.commit)
    count, longest_s = 0, time.process_time() - start
    while engine.serving.name != NEXT.name:
        longest_s = max(longest_s, feed([next(raws)], decoder, engine, None, None).longest_s)
        count += 1
    return count, longest_s


def changed_rows(delta: object) -> int:
    """Returns how many rows a delta writes or deletes."""
    total = 0
    for name in ("links", "users", "orders", "transfers"):
        columns = getattr(delta, name)
        total += len(next(iter(columns.values()))) if columns else 0
    for name in ("entities", "rings", "lineage", "alerts", "labels", "links_deleted", "entities_deleted"):
        total += len(getattr(delta, name))
    return total + sum(len(team) for team in delta.members.values())  # type: ignore[attr-defined] # any delta


def resident_bytes() -> int:
    """Returns this process's resident memory."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def rival(decoded: list[DecodedBatch]) -> float:
    """Returns the CPU seconds that networkx takes for the same links and the components that each batch touched."""
    graph = nx.Graph()
    start = time.process_time()
    for batch in decoded:
        touched = set()
        for event, key in zip(batch.link_event.tolist(), batch.link_key, strict=True):
            user = batch.user[event]
            graph.add_edge(user, key, ts=int(batch.ts_ms[event]))
            touched.add(user)
        seen: set[object] = set()
        for user in touched:
            if user not in seen:
                seen |= nx.node_connected_component(graph, user)
    return time.process_time() - start


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--network", action="store_true")
    parser.add_argument("--no-store", action="store_true")
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    console = Console()
    compiled = make_decoder(), make_engine(arguments.network)
    feed(batches(islice(population_lines(1000), 1000)), *compiled, None, None)
    feed(batches(mix_lines(5000, users=1000)), *compiled, None, None)

    decoder, engine = make_decoder(), make_engine(arguments.network)
    before = resident_bytes()
    feed(batches(population_lines(arguments.users)), make_decoder(), engine, None, None)
    links, entities = int(engine.graph.links.state[0]), len(engine.graph.user_table) + int(engine.graph.keys.state[0])
    grown = resident_bytes() - before
    warmed = BATCH * (2 + arguments.users // EngineRules().warmed_users) if arguments.network else 0
    lines = list(mix_lines(2 * arguments.events + warmed, users=arguments.users))
    feed(batches(lines[: arguments.events]), decoder, engine, None, None)  # fills the decoder's caches
    profile = cProfile.Profile() if arguments.profile else None
    measured = lines[arguments.events : 2 * arguments.events]
    spent = feed(batches(measured), decoder, engine, None, profile)
    naive_s = rival([decoder.decode(raw) for raw in batches(measured)])

    table = Table(
        title=f"{arguments.users:,} users, {links:,} links before; {spent.events:,} events, batches of {BATCH:,}"
    )
    for column in ("what", "events/s per core", "bar", "beside"):
        table.add_column(column)
    n = spent.events
    table.add_row("bytes → columns", f"{n / spent.decode_s:,.0f}", "see benchmarks.decode", "")
    table.add_row(
        "columns → deltas (engine)", f"{n / spent.engine_s:,.0f}", f"{BAR_ENGINE:,}", f"networkx {n / naive_s:,.0f}"
    )
    both_bar = BAR_NETWORK if arguments.network else BAR_BOTH
    table.add_row("bytes → deltas", f"{n / (spent.decode_s + spent.engine_s):,.0f}", f"{both_bar:,}", "")
    console.print(table)
    console.print(f"longest batch in the engine: {1000 * spent.longest_s:,.0f} ms")
    if engine.serving.live is not None:
        figures = engine.serving.live.figures()
        drift = engine.serving.live.drift(engine.graph, 10_000)
        console.print(
            f"network: {figures.bytes / 1e6:,.0f} MB for {figures.links:,} links; {figures.pushed:,} rows were added "
            f"to, {figures.refreshed:,} slots added up anew; drift {drift:.1e}"
        )
        start = time.process_time()
        LiveNetwork(BUNDLE, engine.graph)
        console.print(f"network made from the graph anew, as at a start: {time.process_time() - start:.1f} s")
        count, longest_s = promote(batches(lines[2 * arguments.events :]), decoder, engine)
        console.print(
            f"a promotion took over {count} batches later; the longest of them, its own work included, took the engine "
            f"{1000 * longest_s:,.0f} ms"
        )
    console.print(
        f"hot graph: {grown / 1e6:,.0f} MB resident for {links:,} links and {entities:,} entities; "
        f"{grown / links:,.0f} bytes per link with its share of entities (bar {BAR_LINK_BYTES} + "
        f"{400 * entities / links:,.0f} for the entities)"
    )
    console.print(f"rings alive: {len(engine.register.members):,}")
    if profile is not None:
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
    del engine, lines
    if not arguments.profile and not arguments.no_store:
        _with_store(console, arguments.users, arguments.events, arguments.network)


def _with_store(console: Console, users: int, events: int, network: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shop.db"
        store = SqliteStore(path, POLICY, PriorityRules())
        store.claim()
        decoder, engine = make_decoder(), make_engine(network)
        start = time.perf_counter()
        feed(batches(population_lines(users)), decoder, engine, store, None)
        console.print(f"store of {users:,} users made in {time.perf_counter() - start:.0f} s")
        lines = list(mix_lines(2 * events, users=users))
        feed(batches(lines[:events]), decoder, engine, store, None)
        spent = feed(batches(lines[events:]), decoder, engine, store, None)
        total = spent.decode_s + spent.engine_s + spent.commit_s
        console.print(
            f"bytes → SQLite commits: {spent.events / total:,.0f} events/s per core (bar {BAR_STORE:,}); "
            f"commit alone {spent.changed_rows / spent.commit_s:,.0f} rows/s; "
            f"{spent.changed_rows / spent.events:.2f} changed rows per event (its rival: benchmarks.store)"
        )
        store.close()
        start = time.perf_counter()
        store = SqliteStore(path, POLICY, PriorityRules())
        engine = make_engine(network)
        engine.restore(store.load())
        console.print(f"restart from the store alone: {time.perf_counter() - start:.1f} s (bar {BAR_RESTART_S} s)")


if __name__ == "__main__":
    main()
