"""`fraudgraph audit-leakage`: whether a training table knows what it must not, and what that would have gained."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fraudgraph.cli.options import FINDINGS, SetOption, effective_settings
from fraudgraph.cli.output import Column, note, print_json, print_table
from fraudgraph.cli.progress import Show, progress_bar
from fraudgraph.cli.train import DataOption, SourcesOption, events_of, store_url, training_module
from fraudgraph.errors import UsageError

if TYPE_CHECKING:
    from training.leakage.command import Report
    from training.ring_figures import Estimate


def audit_leakage(
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="The training (TOML); configs/training/gnn.toml explains it."),
    ] = None,
    data: DataOption = None,
    sources: SourcesOption = None,
    worlds: Annotated[bool, typer.Option("--worlds", help="Audits the pipeline on simulated worlds instead.")] = False,
    table: Annotated[
        Path | None,
        typer.Option("--table", metavar="FILE", help="Your own table (CSV, Parquet); the pipeline's own if absent."),
    ] = None,
    label_cut: Annotated[
        datetime | None,
        typer.Option("--label-cut", help="Until when labels were read for --table, if not until the next part (UTC)."),
    ] = None,
    write_table: Annotated[
        Path | None, typer.Option("--write-table", metavar="FILE", help="Writes the pipeline's own table there.")
    ] = None,
    gains: Annotated[
        bool, typer.Option("--gains/--no-gains", help="Trains on what leaks, to show what it would have gained.")
    ] = True,
    json: Annotated[bool, typer.Option("--json", help="Writes JSON to standard output.")] = False,
    shop: Annotated[
        Path | None,
        typer.Option("--settings", metavar="FILE", help="The shop's settings (TOML)."),
    ] = None,
    overrides: SetOption = None,
) -> None:
    """Looks for leaks in a training table, and shows what each kind would have gained.

    Features are rebuilt by replaying the events through the engine; labels are read by their time of arrival. A table
    has the columns user, cut_ts, label, split (train, stop, test) and features. Exits with 3 where there is a leak.
    """
    from fraudgraph.app import make_engine

    if (data is None) == (not worlds):
        raise UsageError("there is nothing to audit, or too much", do="Give --data PATH or --worlds, one of them.")
    if worlds and (table is not None or write_table is not None):
        raise UsageError("a table goes with events", do="Give --data PATH, the events that it was made from.")
    settings = effective_settings(store_url(data), shop, overrides).settings
    recipe = training_module("training.gnn.command").recipe_of(config)
    audits = import_module("training.leakage.command")
    with ExitStack() as stack:

        def progress(title: str) -> Show:
            note(title)
            stack.close()  # one bar at a time
            return stack.enter_context(progress_bar(title))

        if data is None:
            report: Report = audits.audit_worlds(recipe, progress=progress, say=note, measure=gains)
        else:
            events, decoder = events_of(settings, data, sources)
            make = partial(make_engine, settings)
            if table is not None:
                cut_ms = None if label_cut is None else round(label_cut.replace(tzinfo=UTC).timestamp() * 1000)
                report = audits.audit_table(
                    recipe,
                    events,
                    table,
                    make_engine=make,
                    decoder=decoder,
                    progress=progress,
                    label_cut_ms=cut_ms,
                )
            else:
                report = audits.audit_events(
                    recipe,
                    events,
                    make_engine=make,
                    decoder=decoder,
                    progress=progress,
                    say=note,
                    write=write_table,
                    measure=gains,
                )
    if json:
        print_json(_document(report))
    else:
        _print(report)
    if report.leaks:
        raise typer.Exit(FINDINGS)


def _print(report: Report) -> None:
    note(f"{report.rows:,} rows, {report.positives:,} fraud: {len(report.leaks)} leaks")
    if report.findings:
        print_table(
            [Column(""), Column("kind"), Column("what", folds=True)],
            [["LEAK" if found.leak else "note", found.kind, found.what] for found in report.findings],
        )
    if report.gains:
        note("what each leak would have gained: average precision, same test rows, 95 % intervals over components")
        print_table(
            [
                Column("leak"),
                Column("honest", right=True),
                Column("leaking", right=True),
                Column("gain", right=True),
                Column("what was done", folds=True),
            ],
            [
                [
                    each.kind,
                    _figure(each.honest),
                    _figure(each.leaking),
                    _figure(each.gain, sign=True),
                    f"{each.words}; honest: {each.beside}",
                ]
                for each in report.gains
            ],
        )


def _figure(of: Estimate, *, sign: bool = False) -> str:
    shape = "+.3f" if sign else ".3f"
    return f"{of.value:{shape}} [{of.low:{shape}}, {of.high:{shape}}]"


def _document(report: Report) -> dict[str, object]:
    def figure(of: Estimate) -> dict[str, float | None]:
        return {name: None if value != value else value for name, value in zip(_PARTS, _values(of), strict=True)}

    return {
        "rows": report.rows,
        "positives": report.positives,
        "leaks": len(report.leaks),
        "findings": [
            {"kind": each.kind, "leak": each.leak, "column": each.column, "rows": each.rows, "what": each.what}
            for each in report.findings
        ],
        "gains": [
            {
                "kind": each.kind,
                "what": each.words,
                "honest_split": each.beside,
                "average_precision": figure(each.honest),
                "average_precision_leaking": figure(each.leaking),
                "gain": figure(each.gain),
            }
            for each in report.gains
        ],
    }


_PARTS = ("value", "low", "high")


def _values(of: Estimate) -> tuple[float, float, float]:
    return of.value, of.low, of.high
