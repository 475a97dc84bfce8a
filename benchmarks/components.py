"""Components under a sliding window of ties: the forest beside scipy, networkx and union-find, in the same run.

`python -m benchmarks.components [--window 1000000] [--slides 300000] [--links 3000000]`; about 2 minutes, 3 GB

A slide is one tie that comes and one that ends; a tie that comes again before its end is re-keyed, and counted as any
other. Batches of 1,000 slides, one core, CPU seconds, best of three passes over different slides; p99 of all batches.
"Ring events" adds what the engine asks for after each batch: which components were touched, and who is in each; of one
with more users than a ring may have (200) only that it is one: whoever cuts it into rings lists it then, and that costs
far more than the list.

The rivals find all components anew after each batch, and do less: they do not say which of them changed. scipy's matrix
is built from the live ties each time, because they are others each time; union-find starts anew in compiled code;
networkx is given the graph with its ties up to date for nothing. Before any figure is printed, the forest's components
are compared with scipy's.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import networkx as nx
import numpy as np
from numba import njit
from rich.console import Console
from rich.table import Table
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fraudgraph.graph.types import I32, I64, Int
from fraudgraph.rings.components import ComponentFinder
from fraudgraph.rings.forest import Forest, cut_ended, find_root, insert_ties, new_forest

BATCH: Final = 1_000
PASSES: Final = 3
START_MS: Final = 1_770_000_000_000
WINDOW_MS: Final = 30 * 86_400_000
RING_USERS: Final = 4
TIES_PER_HUB: Final = 50
HUB_SHARE: Final = 0.02
MIN_USERS: Final = 3
MAX_USERS: Final = 200
SCIPY_BATCHES: Final = 3
NETWORKX_BATCHES: Final = 1
BAR_EVENTS: Final = 500_000
BAR_TIMES: Final = 100
BAR_P99_MS: Final = 5.0


@dataclass(frozen=True, slots=True)
class World:
    """Ties in the order in which they come; node 2u is user u, node 2i + 1 identifier i, numbered at random.

    Attributes:
        window: how many ties live at a time.
        bar: slides/s that the forest must reach.
        ends_ms: when each tie ends: at the moment at which the one comes that is `window` later.
    """

    name: str
    window: int
    bar: int
    user: I32
    ident: I32
    ends_ms: I64

    @property
    def nodes(self) -> int:
        """Room for all nodes."""
        return int(max(self.user.max(), self.ident.max())) + 2

    def live(self, stop: int) -> tuple[I32, I32]:
        """Returns the ends of the ties in the window that ends before tie `stop`."""
        return self.user[stop - self.window : stop], self.ident[stop - self.window : stop]


@dataclass(slots=True)
class Spent:
    """What a run took: CPU seconds of each batch, by pass."""

    batches: list[list[float]] = field(default_factory=list)
    members: int = 0

    @property
    def slides_per_s(self) -> float:
        """Slides per CPU second in the best pass."""
        return BATCH * max(len(part) / sum(part) for part in self.batches)

    @property
    def p99_ms(self) -> float:
        """99th percentile of all batches."""
        return 1e3 * float(np.percentile(np.concatenate(self.batches), 99))


def worlds(window: int, slides: int, seed: int = 7) -> Iterator[World]:
    """Yields the three graphs, each with as many nodes as ties in the window."""
    random = np.random.default_rng(seed)
    ties, users = window + slides, window // 2
    ring = random.integers(0, users // RING_USERS, ties) * RING_USERS
    user = random.permutation(users)[ring + random.integers(0, RING_USERS, ties)]
    ident = random.permutation(users)[ring + random.integers(0, RING_USERS, ties)]
    yield _world("small rings", window, 2_000_000, user, ident)
    to_hub = np.flatnonzero(random.random(ties) < HUB_SHARE)
    user[to_hub] = random.integers(0, users, len(to_hub))
    hubs = int(HUB_SHARE * window) // TIES_PER_HUB
    ident[to_hub] = users + random.integers(0, hubs, len(to_hub))
    yield _world("rings, mild hubs", window, 2_000_000, user, ident)
    yield _world(
        "one giant component", window, 1_000_000, random.integers(0, users, ties), random.integers(0, users, ties)
    )


def _world(name: str, window: int, bar: int, user: I64, ident: I64) -> World:
    ends_ms = START_MS + (np.arange(len(user), dtype=np.int64) + window) * (WINDOW_MS // window)
    return World(name, window, bar, (2 * user).astype(np.int32), (2 * ident + 1).astype(np.int32), ends_ms)


def slide(forest: Forest, world: World, at: int, changed: I32) -> int:
    """Moves the window by a batch; returns how many nodes of parts that fell off are in `changed`."""
    batch = slice(at, at + BATCH)
    now_ms = int(world.ends_ms[batch][-1]) - WINDOW_MS // world.window * world.window
    count = int(cut_ended(forest, now_ms, changed))
    insert_ties(forest, world.user[batch], world.ident[batch], world.ends_ms[batch])
    return count


def ours(world: World, *, events: bool) -> Spent:
    """Slides the window over the ties; with `events`, lists the touched components with their members each time."""
    forest, finder, spent = new_forest(world.nodes), ComponentFinder(MIN_USERS, MAX_USERS), Spent()
    changed = np.empty(4 * BATCH, np.int32)
    no_ring, sizes = np.full(world.nodes // 2, -1, np.int32), np.zeros(1, np.int32)
    finder(forest, world.user[:BATCH], no_ring, sizes)  # compiles
    for at in range(0, world.window, BATCH):
        slide(forest, world, at, changed)
    for part in np.array_split(np.arange(world.window, len(world.user), BATCH), PASSES):
        seconds = []
        for at in part.tolist():
            start = time.process_time()
            count = slide(forest, world, at, changed)
            if events:
                found = finder(forest, np.concatenate((changed[:count], world.user[at : at + BATCH])), no_ring, sizes)
                spent.members += len(found.members)
            seconds.append(time.process_time() - start)
        spent.batches.append(seconds)
    _check(forest, world)
    return spent


def _check(forest: Forest, world: World) -> None:
    """Compares the forest's components with scipy's, node by node."""
    roots = all_roots(forest)
    labels = scipy_labels(world, len(world.user))
    pairs = len(np.unique(roots.astype(np.int64) * len(labels) + labels[: len(roots)]))
    if not pairs == len(np.unique(roots)) == len(np.unique(labels)):
        raise SystemExit(f"{world.name}: the forest's components are not scipy's")


@njit(cache=True)
def all_roots(forest: Forest) -> I32:
    """Returns the root of each node."""
    roots = np.empty(len(forest.nodes), np.int32)
    for node in range(len(roots)):
        roots[node] = find_root(forest, node)
    return roots


def scipy_labels(world: World, stop: int) -> I32:
    """Returns scipy's component of each node."""
    user, ident = world.live(stop)
    matrix = coo_array((np.ones(len(user), np.int8), (user, ident)), shape=(world.nodes, world.nodes))
    labels: I32 = connected_components(matrix.tocsr(), directed=False)[1]
    return labels


@njit(cache=True)
def union_find(user: I32, ident: I32, nodes: Int) -> I32:
    """Returns each node's representative (union by the lower number, path halving: Tarjan, van Leeuwen 1984)."""
    parent = np.arange(nodes, dtype=np.int32)
    for i in range(len(user)):
        a, b = user[i], ident[i]
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        while parent[b] != b:
            parent[b] = parent[parent[b]]
            b = parent[b]
        if a < b:
            parent[b] = a
        else:
            parent[a] = b
    for node in range(nodes):
        parent[node] = parent[parent[node]]
    return parent


def union_labels(world: World, stop: int) -> I32:
    """Returns union-find's component of each node."""
    user, ident = world.live(stop)
    labels: I32 = union_find(user, ident, world.nodes)
    return labels


def rival(recompute: Callable[[int], object], world: World, batches: int) -> float:
    """Returns slides per CPU second of a recomputation per batch, by its best batch."""
    best = np.inf
    for batch in range(batches):
        start = time.process_time()
        recompute(world.window + (batch + 1) * BATCH)
        best = min(best, time.process_time() - start)
    return BATCH / best


def networkx_rate(world: World) -> float:
    """Returns slides per CPU second of networkx at its best batch."""
    graph = nx.Graph()
    graph.add_edges_from(np.stack(world.live(world.window), axis=1).tolist())
    return rival(lambda stop: sum(1 for _ in nx.connected_components(graph)), world, NETWORKX_BATCHES)


def show(console: Console, window: int, slides: int, *, against_scipy: bool) -> None:
    """Prints the table of one window; `against_scipy`: the bar is a multiple of scipy's rate in this run."""
    table = Table(title=f"window of {window:,} ties, {slides:,} slides in batches of {BATCH:,}; slides/s per core")
    columns = (
        "graph",
        "what",
        "forest",
        "bar",
        "scipy",
        "times",
        "union-find",
        "networkx",
        f"p99 ms, bar {BAR_P99_MS:g}",
    )
    for column in columns:
        table.add_column(column, justify="left" if column in columns[:2] else "right", no_wrap=True)
    for world in worlds(window, slides):
        largest = int(np.bincount(scipy_labels(world, window)).max())
        scipy_rate = rival(partial(scipy_labels, world), world, SCIPY_BATCHES)
        union_find(world.user[:1], world.ident[:1], world.nodes)  # compiles
        union_rate = rival(partial(union_labels, world), world, 3 * SCIPY_BATCHES)
        network_rate = "" if against_scipy else f"{networkx_rate(world):,.0f}"
        for events in (False, True):
            spent = ours(world, events=events)
            rate, p99_ms = spent.slides_per_s, spent.p99_ms
            bar = BAR_TIMES * scipy_rate if against_scipy else BAR_EVENTS if events else world.bar
            what = f"+ ring events: {spent.members / slides:,.0f} members a slide" if events else "components"
            table.add_row(
                f"  largest {largest:,}" if events else world.name,
                what,
                f"{rate:,.0f}",
                f"{bar:,.0f} {_verdict(rate >= bar)}",
                f"{scipy_rate:,.0f}",
                f"{rate / scipy_rate:,.0f}",
                f"{union_rate:,.0f}",
                network_rate,
                f"{p99_ms:.1f} {_verdict(p99_ms <= BAR_P99_MS)}",
            )
    console.print(table)


def _verdict(reached: bool) -> str:
    return "ok" if reached else "MISSED"


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--window", type=int, default=1_000_000)
    parser.add_argument("--slides", type=int, default=300_000)
    parser.add_argument("--links", type=int, default=3_000_000)
    arguments = parser.parse_args()
    console = Console(width=160)
    show(console, arguments.window, arguments.slides, against_scipy=False)
    show(console, arguments.links, arguments.slides, against_scipy=True)


if __name__ == "__main__":
    main()
