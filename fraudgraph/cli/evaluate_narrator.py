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
from fraudgraph.errors import UsageError

if TYPE_CHECKING:
    from fraudgraph.narrative.port import Planner
    from fraudgraph.settings import Settings
    from fraudgraph.testing.narrative_judge import JudgedRing

RING_SHARE = 0.06
MUTANTS = 10_000
NARRATORS = ("template", "liar", "random")


def evaluate_narrator(
    seed: Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Of the first shop.")] = 101,
    worlds: Annotated[int, typer.Option("--worlds", min=1, metavar="N", help="Simulated shops.")] = 5,
    users: Annotated[int, typer.Option("--users", min=100, metavar="N", help="Accounts per shop.")] = 6000,
    days: Annotated[int, typer.Option("--days", min=1, metavar="N", help="Days per shop.")] = 45,
    mutants: Annotated[
        int, typer.Option("--mutants", min=0, metavar="N", help="False claims to try the verifier with, at least.")
    ] = MUTANTS,
    narrator: Annotated[
        list[str] | None,
        typer.Option(
            "--narrator",
            metavar="NAME",
            help="template, liar, random, or model ([narrator]); may be repeated.",
        ),
    ] = None,
    most: Annotated[
        int, typer.Option("--most", min=0, metavar="N", help="So many groups a shop, the likeliest; 0 is all.")
    ] = 0,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Where the figures go, as Markdown; - is standard output.")
    ] = Path("-"),
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Measures what narrators publish.

    Tells every group of simulated shops by the template, by a liar and by random JSON, or by a model, and takes each
    published sentence apart against an oracle; makes false claims from true ones and counts those that the verifier
    catches. What all but the template leave standing is published however little it is. Exits with 3 where a
    published sentence is not so.
    """
    from fraudgraph.testing.narrative_judge import VerifierFigures, confusion, judge_narrator, judge_verifier, table
    from fraudgraph.testing.narrative_readings import judge_reading, reading_table

    settings = effective_settings(None, config, overrides).settings
    planners = {name: _planner(name, settings, seed) for name in narrator or NARRATORS}
    rings = [ring for k in range(worlds) for ring in simulated(settings, seed + k, users, days, most)]
    figures = []
    for name, planner in planners.items():
        note(f"{len(rings):,} rings told by {name}")
        figures.append((name, judge_narrator(rings, planner, settings.links, floor=planner is None)))
    note("false claims to the verifier")
    verifier = judge_verifier(rings, seed, settings.links, mutants) if mutants else VerifierFigures()
    lines = [*table(figures, verifier), "", *reading_table(judge_reading(rings, settings.links))]
    for name, f in figures:
        if f.named and name in ("template", "model"):
            lines += ["", f"What {name} called rings with a probability from 45 %:", "", *confusion(f.named)]
    write_text("\n".join(lines) + "\n", out)
    wrong = [fault for _, f in figures for fault in f.faults]
    for fault in wrong[:20]:
        note(f"not so ({', '.join(fault.claims)}): {fault.text}")
    if wrong:
        raise typer.Exit(FINDINGS)


def _planner(name: str, settings: Settings, seed: int) -> Planner | None:
    from fraudgraph.app import make_planner
    from fraudgraph.testing.narrators import Liar, RandomJson

    if name == "model":
        planner = make_planner(settings)
        if planner is None:
            raise UsageError("no model is configured to evaluate", do="Set [narrator] in --config, or by --set.")
        return planner
    if name not in NARRATORS:
        raise UsageError(f"--narrator {name!r} is not known", do=f"Give {', '.join(NARRATORS)} or model.")
    return {"template": None, "liar": Liar(seed), "random": RandomJson(seed)}[name]


def simulated(settings: Settings, seed: int, users: int, days: int, most: int = 0) -> Iterator[JudgedRing]:
    """Yields groups that a simulated shop's engine finds, with what each is by the simulator's truth.

    Args:
        most: the likeliest so many; 0 is all.
    """
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
            rows = sorted(reader.rings(min_probability=0.0), key=lambda row: (-row.probability, row.ring_id))
            for row in rows[: most or None]:
                snapshot = reader.snapshot(row.ring_id)
                if snapshot is None or not snapshot.users:
                    continue
                fraud = [typology[u.user_id] for u in snapshot.users if u.user_id in typology]
                kinds = fraud or [group[u.user_id] for u in snapshot.users if u.user_id in group] or [""]
                yield JudgedRing(snapshot, max(sorted(set(kinds)), key=kinds.count), innocent=not fraud)
