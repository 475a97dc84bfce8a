"""`fraudgraph simulate`: a shop's world with fraud rings in it, and the truth beside it."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from fraudgraph.cli.output import note
from fraudgraph.errors import UsageError


def simulate(
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where events.jsonl and truth.json go.")],
    seed: Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Same seed, same world, byte for byte.")] = 7,
    users: Annotated[int, typer.Option("--users", metavar="N", help="Accounts, honest and fraudulent.")] = 20_000,
    days: Annotated[int, typer.Option("--days", metavar="N", help="Days of events.")] = 30,
    start: Annotated[str, typer.Option("--start", metavar="DATE", help="First day, as 2026-01-31.")] = "2026-01-01",
    ring_share: Annotated[
        float, typer.Option("--ring-share", metavar="X", help="Share of accounts that are in rings, 0 to 0.2.")
    ] = 0.015,
    typology: Annotated[
        list[str] | None,
        typer.Option("--typology", metavar="NAME", help="Kind of ring; may be repeated. All kinds if absent."),
    ] = None,
) -> None:
    """Simulates a shop with fraud rings in it.

    Honest people who share things, rings of several kinds among them, late and wrong labels, and the truth beside.
    """
    from fraudgraph.rings.facts_words import count
    from fraudgraph.simulate.spec import TYPOLOGIES, WorldSpec
    from fraudgraph.simulate.world import simulate as draw
    from fraudgraph.simulate.world import write_world

    spec = WorldSpec(
        seed=seed,
        users=users,
        days=days,
        start=_date(start),
        ring_share=ring_share,
        typologies=tuple(typology or TYPOLOGIES),
    )
    if (out / "events.jsonl").exists() and not (out / "truth.json").exists():
        raise UsageError(f"{out / 'events.jsonl'} exists and is no simulated world", do="Name another folder.")
    world = draw(spec)
    write_world(world, out)
    note(
        f"wrote {out / 'events.jsonl'}: {count(len(world.events), 'event')} of {count(users, 'account')}"
        f" in {count(days, 'day')}, {count(len(world.rings), 'ring')} among them ({out / 'truth.json'})"
    )
    note(f"next: fraudgraph ingest {out / 'events.jsonl'} --store sqlite:///shop.db")


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--start {text!r} is no date", do="Write it as 2026-01-31.") from None
