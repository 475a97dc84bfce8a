"""`fraudgraph evaluate`: models side by side, on a shop's own events or on worlds whose truth is known."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from fraudgraph.cli.options import SetOption, effective_settings
from fraudgraph.cli.output import note
from fraudgraph.cli.progress import Show, progress_bar
from fraudgraph.cli.train import DataOption, SourcesOption, events_of, store_url, training_module
from fraudgraph.errors import UsageError


def evaluate(
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="The evaluation (TOML), as configs/training/evaluation.toml."),
    ] = None,
    data: DataOption = None,
    sources: SourcesOption = None,
    worlds: Annotated[bool, typer.Option("--worlds", help="Measures on simulated and planted rings instead.")] = False,
    models: Annotated[
        str | None,
        typer.Option("--models", metavar="A,B", help="Which models, by commas; the config's if absent."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder of the report.")] = Path("report"),
    note_file: Annotated[
        Path | None, typer.Option("--note", metavar="FILE", help="Markdown to write besides, as docs/models.md.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few small worlds: shows that it runs, no more.")] = False,
    real_data: Annotated[
        Path | None,
        typer.Option("--real-data", metavar="FOLDER", help="The real payments; ../shared/data if absent."),
    ] = None,
    shop: Annotated[
        Path | None, typer.Option("--settings", metavar="FILE", help="The shop's settings (TOML), for --data.")
    ] = None,
    overrides: SetOption = None,
) -> None:
    """Learns and measures models side by side and writes a report.

    One HTML file and one JSON with the same figures, each with its interval: average precision, alerts a day, money,
    calibration, rings, typologies. A shop's own events are back-tested from several origins, each learnt from its past
    only. The gate at the end says what may ship.
    """
    from fraudgraph.app import make_engine

    if (data is None) == (not worlds):
        raise UsageError("there is nothing to measure on, or too much", do="Give --data PATH or --worlds, one of them.")
    settings = effective_settings(store_url(data), shop, overrides).settings
    training = training_module("training.evaluation.command")
    plan, beside = training.plan_of(config, models, quick=quick)
    with ExitStack() as stack:

        def progress(title: str) -> Show:
            note(title)
            stack.close()  # one bar at a time
            return stack.enter_context(progress_bar(title))

        events, decoder = (None, None) if data is None else events_of(settings, data, sources)
        training.evaluate(
            plan,
            beside,
            events,
            out,
            make_engine=partial(make_engine, settings),
            decoder=decoder,
            progress=progress,
            say=note,
            note=note_file,
            real_data=real_data or training.REAL_DATA,
        )
