"""Link updates through the incremental network, beside recomputing, in the same run.

`python -m benchmarks.gnn [--nodes 1000000] [--links 3000000] [--only homogeneous|typed|hubs|typed-hubs|sizes]`; about 5
minutes on a machine that does nothing else, 8 GB

Two layers, width 64, one core, CPU seconds of one thread. An update is one link that comes, with every score that it
moves computed in the same call; in "+ expiry" each comes with one that goes, counted as one update together; in
"+ features" every tenth also changes the features of a node. "Rescored" counts outputs per update, each once per batch.
Batches of 1 are sent on one by one from a compiled loop, as an engine without an interpreter would; "1, Python" is one
call of the Python interface for each, whose time is also shown as a distribution, by the wall and by the processor.

The memory's limit is what the same machine reaches at the same time when it only adds vectors to random rows of 256
bytes; an update is counted as the rows that it must touch: Z of each output rescored, and of each end of the link Z of
both layers, own term and message.

At the end the whole graph is given to PyG, and the largest difference of any score is printed beside the number of
updates that led there.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.gnn_graphs import BANDS, Stream, plain, shop
from benchmarks.gnn_loop import apply_in_steps
from benchmarks.gnn_rivals import Rivals, k_hop_per_s, pyg_logits, rows_per_s
from fraudgraph.graph.types import F64
from fraudgraph.scoring.gnn.engine import FeatureBatch, IncrementalNetwork, LinkBatch
from fraudgraph.scoring.gnn.kernels import PUT, REMOVE
from fraudgraph.scoring.gnn.model import NetworkWeights

BATCHES: Final = (1, 100, 10_000)
PART: Final = 20_000
SIZES: Final = (10_000, 100_000, 1_000_000, 5_000_000)
DRIFT_UPDATES: Final = 1_000_000
K_HOP_EVENTS: Final = 5
BAR_P50_US, BAR_P99_US = 15.0, 50.0
BAR_K_HOP_TIMES: Final = 10_000
BARS: Final = {
    ("homogeneous", "inserts"): 250_000,
    ("homogeneous", "inserts + expiry"): 130_000,
    ("typed", "inserts"): 150_000,
    ("typed", "inserts + expiry"): 75_000,
    ("hubs", "inserts"): 80_000,
}
GROUPS: Final = {
    "homogeneous": (plain, False),
    "typed": (shop, False),
    "hubs": (plain, True),
    "typed-hubs": (shop, True),
}
BAR_NODE_BYTES: Final = 1_228
BAR_SLOT_BYTES: Final = 614


@dataclass(slots=True)
class Run:
    """A stream on its way through the engine: links `old` … `new` - 1 of it are in the graph."""

    stream: Stream
    weights: NetworkWeights
    engine: IncrementalNetwork
    old: int
    new: int
    updates: int = 0

    def batch(self, size: int, expire: bool) -> LinkBatch:
        """Returns the next links, each followed by the oldest one's end if `expire`."""
        new = np.arange(self.new, self.new + size)
        op = np.zeros(size, np.int8)
        if expire:
            new = np.stack((new, np.arange(self.old, self.old + size)), axis=1).ravel()
            op = np.tile(np.array([PUT, REMOVE], np.int8), size)
            self.old += size
        self.new += size
        stream = self.stream
        return LinkBatch(op, stream.family[new], stream.a[new], stream.b[new], stream.last_ms[new])

    def features(self, count: int, random: np.random.Generator) -> FeatureBatch:
        """Returns other bands for some nodes."""
        nodes = np.unique(random.integers(0, len(self.stream.kind), count)).astype(np.int32)
        bands = random.integers(0, BANDS, (len(nodes), 2)).astype(np.int32)
        self.stream.bands[nodes] = bands
        return FeatureBatch(nodes, self.stream.kind[nodes], bands)

    def rate(self, size: int, updates: int, *, expire: bool, features: bool = False) -> tuple[float, float]:
        """Returns updates per CPU second and outputs rescored per update."""
        random = np.random.default_rng(self.new)
        batches = [self.batch(size, expire) for _ in range(updates // size)]
        changes = [self.features(max(1, size // 10), random) if features else None for _ in batches]
        rescored = 0
        start = time.thread_time()
        for batch, change in zip(batches, changes, strict=True):
            rescored += len(self.engine.apply(batch, change).nodes)
        seconds = time.thread_time() - start
        self.updates += updates
        return updates / seconds, rescored / updates

    def loop_rate(self, updates: int, *, expire: bool) -> float:
        """Returns updates per CPU second, each sent on by itself, from a compiled loop."""
        step = 1 + expire
        apply_in_steps(self.engine, self.batch(1, expire), step)  # compiles
        seconds = apply_in_steps(self.engine, self.batch(updates, expire), step)
        self.updates += updates
        return updates / seconds

    def weight(self) -> F64:
        """Returns the weights of the links in the graph, in float64."""
        half_life_ms, last_ms = self.stream.schema.half_life_ms, self.stream.last_ms[self.old : self.new]
        return np.ones(len(last_ms)) if half_life_ms is None else np.exp2((last_ms - last_ms.max()) / half_life_ms)

    def drift(self) -> tuple[float, float]:
        """Returns the largest difference of a probability from PyG's, and the CPU seconds of its forward."""
        stream, alive = self.stream, slice(self.old, self.new)
        expected, seconds = pyg_logits(
            stream, self.weights, stream.family[alive], stream.a[alive], stream.b[alive], self.weight()
        )
        users = np.flatnonzero(stream.kind == 0).astype(np.int32)
        found = self.engine.logits(users)
        return float(np.abs(1 / (1 + np.exp(-found)) - 1 / (1 + np.exp(-expected))).max()), seconds


def start_run(stream: Stream, links: int) -> Run:
    """Returns the engine with the first `links` links of a stream."""
    nodes = len(stream.kind)
    weights = NetworkWeights.random(stream.schema, 1)
    run = Run(stream, weights, IncrementalNetwork(weights, nodes=nodes, links=nodes), 0, 0)
    run.engine.apply(None, FeatureBatch(np.arange(nodes, dtype=np.int32), stream.kind, stream.bands))
    while run.new < links:
        run.engine.apply(run.batch(min(500_000, links - run.new), expire=False))
    return run


def verdict(value: float, bar: float, *, most: bool = False) -> str:
    """Returns the bar and whether it was reached."""
    reached = value <= bar if most else value >= bar
    return f"{bar:,.0f} {'ok' if reached else 'MISSED'}"


def updates_table(run: Run, table: Table, group: str) -> None:
    """Adds a row for each mix."""
    limit = rows_per_s()
    mixes = [("inserts", False, False), ("inserts + expiry", True, False), ("inserts + expiry + features", True, True)]
    for mix, expire, features in mixes:
        rates, rescored = [], 0.0
        for size in BATCHES:
            rate, rescored = run.rate(size, PART, expire=expire, features=features)
            rates.append(rate)
        loop = [0.0 if features else run.loop_rate(PART, expire=expire)]
        rows = rates[-1] * (rescored + 8 * (1 + expire))
        bar = BARS.get((group, mix))
        table.add_row(
            mix,
            *(f"{rate:,.0f}" if rate else "" for rate in (rates[0], *loop, *rates[1:])),
            f"{rescored:.1f}",
            f"{rates[-1] * rescored / 1e6:.2f}",
            f"{100 * rows / limit:.0f} %",
            "" if bar is None else verdict(min(*loop, *rates[1:]), bar),
        )


def show_sizes(console: Console) -> None:
    """Prints the same figures for graphs of other sizes: what an update costs is what it reaches."""
    table = Table(title="homogeneous, batches of 100: cost by the size of the graph")
    for column in (
        "links",
        "inserts/s",
        "rescored each",
        "ns per rescored",
        "inserts + expiry/s",
        "slots added up anew",
    ):
        table.add_column(column, justify="right", no_wrap=True)
    for links in SIZES:
        part = min(PART, links // 10)
        run = start_run(plain(links // 3, links + 3 * part, hubs=False), links)
        rate, rescored = run.rate(100, part, expire=False)
        both, _ = run.rate(100, part, expire=True)
        table.add_row(
            f"{links:,}",
            f"{rate:,.0f}",
            f"{rescored:.1f}",
            f"{1e9 / rate / rescored:.0f}",
            f"{both:,.0f}",
            f"{run.engine.figures().refreshed:,}",
        )
    console.print(table)


def show_latency(run: Run, console: Console) -> None:
    """Prints what one update takes through the Python interface, by the wall and by the processor's clock."""
    for clock, name in ((time.perf_counter_ns, "wall clock"), (time.thread_time_ns, "processor")):
        microseconds = []
        for batch in [run.batch(1, expire=False) for _ in range(10_000)]:
            start = clock()
            run.engine.apply(batch)
            microseconds.append((clock() - start) / 1e3)
        run.updates += len(microseconds)
        p50, p99, p999 = np.percentile(microseconds, (50, 99, 99.9))
        console.print(
            f"one update, {name}: p50 {p50:.1f} µs (bar {verdict(p50, BAR_P50_US, most=True)}), "
            f"p99 {p99:.1f} µs (bar {verdict(p99, BAR_P99_US, most=True)}), p99.9 {p999:.1f} µs"
        )


def show_memory(run: Run, console: Console) -> None:
    """Prints what a node or a slot takes, links included."""
    figures = run.engine.figures()
    nodes = len(run.stream.kind)
    if len(run.stream.schema.kinds) == 1:
        each = figures.bytes / nodes
        console.print(f"memory: {each:,.0f} B per node, bar {verdict(each, BAR_NODE_BYTES, most=True)}")
    else:
        each = figures.bytes / figures.slots
        console.print(
            f"memory: {each:,.0f} B per (node, relation present), bar {verdict(each, BAR_SLOT_BYTES, most=True)}"
        )


def show_rivals(run: Run, table: Table, batch_rates: list[float], pyg_s: float) -> None:
    """Adds what recomputing would reach on the same graph."""
    stream, alive = run.stream, slice(run.old, run.new)
    a, b = stream.a[alive], stream.b[alive]
    rivals = Rivals(stream, run.weights, a, b)
    full_s = rivals.full_s()
    cached = [rivals.cached_per_s(a[-10_000:], b[-10_000:], size) for size in BATCHES]
    k_hop = k_hop_per_s(stream, run.weights, a, b, K_HOP_EVENTS)

    def row(name: str, rates: list[float]) -> None:
        times = [ours / theirs for ours, theirs in zip(batch_rates, rates, strict=True)]
        table.add_row(name, *(f"{rate:,.1f}" for rate in rates), *(f"{many:,.1f}" for many in times))

    table.add_row("incremental", *(f"{rate:,.0f}" for rate in batch_rates), "", "", "")
    row("layer by layer from cached embeddings, numba", cached)
    row(f"in full, numba ({full_s:.2f} s)", [size / full_s for size in BATCHES])
    row(f"in full, PyG ({pyg_s:.2f} s)", [size / pyg_s for size in BATCHES])
    row("PyG k_hop_subgraph and forward, one by one", [k_hop] * 3)
    table.caption = f"per event against PyG's k hops: {batch_rates[0] / k_hop:,.0f} times, bar " + verdict(
        batch_rates[0] / k_hop, BAR_K_HOP_TIMES
    )


def show_group(group: str, stream: Stream, links: int, rivals: Table, console: Console) -> None:
    """Prints all figures of one graph."""
    run = start_run(stream, links)
    console.print()
    show_memory(run, console)
    table = Table(
        title=f"{stream.name}: {len(stream.kind):,} nodes, {links:,} links, width 64, 2 layers; link updates/s"
    )
    for column in (
        "mix",
        "1, Python",
        "batch 1",
        "100",
        "10,000",
        "rescored each",
        "M rescored/s",
        "of memory's limit",
        "bar (worst batch)",
    ):
        table.add_column(column, justify="left" if column == "mix" else "right", no_wrap=True)
    updates_table(run, table, group)
    console.print(table)
    show_latency(run, console)
    if group == "homogeneous":
        rates = [run.loop_rate(PART, expire=False), *(run.rate(size, PART, expire=False)[0] for size in BATCHES[1:])]
        run.rate(10_000, DRIFT_UPDATES // 2, expire=True)
        run.updates += DRIFT_UPDATES // 2  # each of these was a link that came and one that went
    worst, pyg_s = run.drift()
    console.print(
        f"largest difference of a score from PyG after {run.updates:,} updates: {worst:.1e}, bar 1e-4 "
        f"{'ok' if worst <= 1e-4 else 'MISSED'}; nodes added up anew: {run.engine.figures().refreshed:,}"
    )
    if group == "homogeneous":
        show_rivals(run, rivals, rates, pyg_s)
        console.print(rivals)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=1_000_000)
    parser.add_argument("--links", type=int, default=3_000_000)
    parser.add_argument("--only", choices=(*GROUPS, "sizes"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    nodes, links = arguments.nodes, arguments.links
    room = 13 * PART + 30_000
    console = Console(width=170)
    rivals = Table(title="homogeneous, inserts: updates/s by batch of 1, 100 and 10,000; how many times slower")
    for column in ("way", "1", "100", "10,000", "times", "times", "times"):
        rivals.add_column(column, justify="left" if column == "way" else "right", no_wrap=True)
    for group, (make, hubs) in GROUPS.items():
        if arguments.only in (None, group):
            more = DRIFT_UPDATES if group == "homogeneous" else 0
            show_group(group, make(nodes, links + room + more, hubs=hubs), links, rivals, console)
    if arguments.only in (None, "sizes"):
        show_sizes(console)


if __name__ == "__main__":
    main()
