"""`fraudgraph demo`: the whole way from a shop's events to a ring report, in a minute."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from fraudgraph.cli.ingest import run_ingest, summarise
from fraudgraph.cli.output import console, note, write_bytes, write_text
from fraudgraph.errors import UsageError
from fraudgraph.settings import load_settings

RING_SHARE = 0.03
QUEUE_ROWS = 10


def demo(
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Where world, store, report and picture go.")
    ] = Path("demo-out"),
    seed: Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Same seed, same shop.")] = 7,
    users: Annotated[int, typer.Option("--users", min=100, metavar="N", help="Accounts of the shop.")] = 4000,
    days: Annotated[int, typer.Option("--days", min=1, metavar="N", help="Days of events.")] = 21,
) -> None:
    """Simulates a shop and finds its rings.

    Streams its events into a store, prints the queue and one full report, and saves the report as HTML with a picture.
    """
    from fraudgraph.app import draw_ring, open_reader, render_report
    from fraudgraph.cli.queue import listed, print_rows
    from fraudgraph.reports.model import build_report
    from fraudgraph.reports.terminal import print_report
    from fraudgraph.simulate.spec import WorldSpec
    from fraudgraph.simulate.world import simulate, write_world

    store = _fresh(out)
    note(f"1 of 3  simulating {users:,} accounts over {days} days, some of them in fraud rings")
    world = simulate(WorldSpec(seed=seed, users=users, days=days, ring_share=RING_SHARE))
    write_world(world, out / "world")
    settings = load_settings(flags={"store.url": f"sqlite:///{store}"}).settings
    note(f"2 of 3  streaming {len(world.events):,} events into {store}")
    summarise(*run_ingest(settings, [str(out / "world" / "events.jsonl")]))
    note("3 of 3  the queue, and the report of its first ring that is an alert\n")
    with closing(open_reader(settings)) as reader:
        as_of_ms = int(reader.meta()["watermark_ms"])
        rows = reader.rings(limit=QUEUE_ROWS)
        alerts = reader.rings(limit=1, min_probability=settings.alerts.min_probability)
        snapshot = next((reader.snapshot(row.ring_id) for row in alerts or rows), None)
    if snapshot is None:
        note("no ring was found in this small shop: try --users 8000")
        return
    print_rows(listed(row, settings.priority, as_of_ms) for row in rows)
    typer.echo()
    report = build_report(snapshot, settings.links)
    print_report(report, console())
    typer.echo()
    write_text(render_report(report, "html"), out / "ring.html")
    write_bytes(draw_ring(report, ".png"), out / "ring.png")
    note(f"next: fraudgraph rings list --store {settings.store.url}")


def _fresh(out: Path) -> Path:
    """Returns the demo's store, of which nothing is left from an earlier demo."""
    store = out / "shop.db"
    mine = [store.with_name(store.name + suffix) for suffix in ("", "-wal", "-shm", ".key", ".snapshot")]
    if store.exists() and not (out / "world" / "truth.json").exists():
        raise UsageError(f"{store} is there and no earlier demo's", do="Name another folder with --out.")
    for file in mine:
        file.unlink(missing_ok=True)
    return store
