"""Memory over a sliding window: what is used no more is forgotten, so the process stops growing.

`python -m benchmarks.window [--events 1200000]`

Links live for a day, users for two, and the mix brings 430,000 events a day, so the run is nearly three windows
long. The rival keeps the same links in networkx and forgets nothing, as a first version does; its growth is measured
on a part and would go on.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import islice
from typing import Final

import networkx as nx
from rich.console import Console
from rich.table import Table

from benchmarks.engine import BATCH, batches, make_decoder, resident_bytes
from benchmarks.mix import mix_lines
from fraudgraph.engine import Engine, EngineRules
from fraudgraph.graph.hot import GraphLimits
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.scoring.structural import StructuralScorer

STEP: Final = 100_000
USERS: Final = 200_000
RIVAL_EVENTS: Final = 200_000
FLAT: Final = 1.1


def day_policy() -> LinkPolicy:
    """Returns the shipped policy with links that live for a day."""
    policy = LinkPolicy()
    return replace(policy, kinds={name: replace(kind, ttl_days=1) for name, kind in policy.kinds.items()})


def main() -> None:
    """Prints the table, and whether memory is flat: its last window beside the one before."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_200_000)
    events = parser.parse_args().events
    console = Console()
    limits = GraphLimits(user_days=2, order_days=1, transfer_days=1)
    engine, decoder = Engine(day_policy(), EngineRules(limits=limits), StructuralScorer()), make_decoder()
    table = Table(title=f"{USERS:,} users, links live for a day")
    for column in ("events", "users alive", "links alive", "resident MB"):
        table.add_column(column, justify="right")
    sizes = []
    for place, raw in enumerate(batches(mix_lines(events, users=USERS)), 1):
        engine.apply(decoder.decode(raw))
        if place * BATCH % STEP == 0:
            sizes.append(resident_bytes())
            links = int(engine.graph.links.state[0])
            table.add_row(
                f"{place * BATCH:,}", f"{len(engine.graph.user_table):,}", f"{links:,}", f"{sizes[-1] / 1e6:,.0f}"
            )
    console.print(table)
    third = len(sizes) // 3
    growth = max(sizes[-third:]) / max(sizes[third:-third])
    console.print(f"last third beside the one before: {growth:.2f} × (flat below {FLAT} ×)")
    console.print(f"networkx without expiry: {rival_bytes_per_event():,.0f} bytes per event, for ever")


def rival_bytes_per_event() -> float:
    """Returns how much networkx grows per event of the mix when nothing is forgotten."""
    graph: nx.Graph[str | bytes] = nx.Graph()
    decoder = make_decoder()
    before = resident_bytes()
    for raw in islice(batches(mix_lines(RIVAL_EVENTS, users=USERS, seed=8)), RIVAL_EVENTS // BATCH):
        batch = decoder.decode(raw)
        for event, key in zip(batch.link_event.tolist(), batch.link_key, strict=True):
            graph.add_edge(batch.user[event], key, ts=int(batch.ts_ms[event]))
    return (resident_bytes() - before) / RIVAL_EVENTS


if __name__ == "__main__":
    main()
