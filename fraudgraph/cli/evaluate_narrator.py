"""`fraudgraph evaluate-narrator`: how far a narrator can be trusted, on simulated shops."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fraudgraph.cli.options import FINDINGS, ConfigOption, SetOption, effective_settings
from fraudgraph.cli.output import note, write_text

if TYPE_CHECKING:
    from fraudgraph.settings import Settings
    from fraudgraph.testing.narrative_judge import JudgedRing

RING_SHARE = 0.06
MUTANTS = 10_000


def evaluate_narrator(
    seed: Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Of the first shop.")] = 101,
    worlds: Annotated[int, typer.Option("--worlds", min=1, metavar="N", help="Simulated shops.")] = 5,
    users: Annotated[int, typer.Option("--users", min=100, metavar="N", help="Accounts per shop.")] = 6000,
    days: Annotated[int, typer.Option("--days", min=1, metavar="N", help="Days per shop.")] = 45,
    mutants: Annotated[
        int, typer.Option("--mutants", min=0, metavar="N", help="False claims to try the verifier with, at least.")
    ] = MUTANTS,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Where the figures go, as Markdown; - is standard output.")
    ] = Path("-"),
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Measures what narrators publish.

    Tells every group of simulated shops by the template, by a liar and by random JSON, and takes each published
    sentence apart against an oracle; makes false claims from true ones and counts those that the verifier catches.
    What the liar and random JSON leave standing is published however little it is. Exits with 3 where a published
    sentence is not so.
    """
    from fraudgraph.narrative.port import Planner
    from fraudgraph.testing.narrative_judge import judge_narrator, judge_verifier, table
    from fraudgraph.testing.narrators import Liar, RandomJson

    settings = effective_settings(None, config, overrides).settings
    rings = [ring for k in range(worlds) for ring in simulated(settings, seed + k, users, days)]
    planners: dict[str, Planner | None] = {"template": None, "liar": Liar(seed), "random": RandomJson(seed)}
    figures = []
    for name, planner in planners.items():
        note(f"{len(rings):,} rings told by {name}")
        figures.append((name, judge_narrator(rings, planner, settings.links, floor=planner is None)))
    note("false claims to the verifier")
    verifier = judge_verifier(rings, seed, settings.links, mutants)
    write_text("\n".join(table(figures, verifier)) + "\n", out)
    wrong = [fault for _, f in figures for fault in f.faults]
    for fault in wrong[:20]:
        note(f"not so ({', '.join(fault.claims)}): {fault.text}")
    if wrong:
        raise typer.Exit(FINDINGS)


def simulated(settings: Settings, seed: int, users: int, days: int) -> Iterator[JudgedRing]:
    """Yields every group that a simulated shop's engine finds, with what it is by the simulator's truth."""
    from fraudgraph.app import open_reader
    from fraudgraph.cli.ingest import run_ingest
    from fraudgraph.simulate.spec import WorldSpec
    from fraudgraph.simulate.world import simulate, write_world
    from fraudgraph.testing.narrative_judge import JudgedRing

    note(f"shop {seed}: {users:,} accounts over {days} days")
    world = simulate(WorldSpec(seed=seed, users=users, days=days, ring_share=RING_SHARE))
    truth = world.truth()
    typology = {m["user_id"]: str(r["typology"]) for r in truth["rings"] for m in r["members"]}
    group = {user_id: str(g["kind"]) for g in truth["groups"] for user_id in g["users"]}
    with tempfile.TemporaryDirectory() as folder:
        write_world(world, Path(folder))
        store = replace(settings, store=replace(settings.store, url=f"sqlite:///{folder}/shop.db"))
        run_ingest(store, [str(Path(folder) / "events.jsonl")])
        with closing(open_reader(store)) as reader:
            for row in reader.rings(min_probability=0.0):
                snapshot = reader.snapshot(row.ring_id)
                if snapshot is None or not snapshot.users:
                    continue
                fraud = [typology[u.user_id] for u in snapshot.users if u.user_id in typology]
                kinds = fraud or [group[u.user_id] for u in snapshot.users if u.user_id in group] or [""]
                yield JudgedRing(snapshot, max(sorted(set(kinds)), key=kinds.count), innocent=not fraud)
