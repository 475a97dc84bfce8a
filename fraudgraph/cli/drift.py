"""`fraudgraph model drift` and `model reference`: what a model is used to see, and how far it has moved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fraudgraph.cli.model import Format
from fraudgraph.cli.options import FINDINGS, ConfigOption, SetOption, StoreOption, effective_settings
from fraudgraph.cli.output import Column, note, print_json, print_table

if TYPE_CHECKING:
    from fraudgraph.scoring.drift import Drifted, DriftReport


def drift(
    format: Annotated[Format, typer.Option("--format", help="Table for people, JSON for programs.")] = Format.TABLE,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exits with 3 where something is over its line.")] = (
        False
    ),
    store: StoreOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Holds what the model in force sees and says against its reference: features, scores, graph, calibration."""
    from dataclasses import asdict

    from fraudgraph.app.drift import drift_of

    report = drift_of(effective_settings(store, config, overrides).settings)
    if format is Format.JSON:
        document = {
            "model": report.model,
            "why_not": report.why_not,
            "over": report.over,
            "reference": report.source,
            "simulated": report.simulated,
            "series": [asdict(each) for each in report.series],
            "months": [asdict(month) for month in report.months],
        }
        print_json(document)
    else:
        _print(report)
    if exit_code and report.over:
        raise typer.Exit(FINDINGS)


def reference(store: StoreOption = None, config: ConfigOption = None, overrides: SetOption = None) -> None:
    """Takes what a store holds now as what the model in force is used to see."""
    from fraudgraph.app.drift import take_reference
    from fraudgraph.rings.facts_words import minute

    path, made = take_reference(effective_settings(store, config, overrides).settings)
    note(f"wrote {path}: {len(made.series)} numbers of {made.source}, up to {minute(made.until_ms)} UTC")


def _print(report: DriftReport) -> None:
    if report.why_not:
        note(f"{report.model}: {report.why_not}; next: fraudgraph model reference, while scores are as they should be")
    if report.simulated:
        note(f"held against {report.source}: no shop is like these; `fraudgraph model reference` makes your own")
    if report.series:
        print_table(
            [
                Column("number"),
                Column("of"),
                Column("values", right=True),
                Column("PSI", right=True),
                Column("KS", right=True),
                Column(""),
            ],
            [
                [each.name, each.kind, f"{each.n:,}", *_figures(each), "drifted" if each.over else ""]
                for each in report.series
            ],
        )
    if report.months:
        print_table(
            [
                Column("alerts of"),
                Column("verdicts", right=True),
                Column("said", right=True),
                Column("was fraud", right=True),
                Column(""),
            ],
            [
                [
                    month.month,
                    f"{month.verdicts:,}",
                    f"{month.predicted:.0%}".replace("%", " %"),
                    f"{month.observed:.0%}".replace("%", " %"),
                    "drifted" if month.over else "",
                ]
                for month in report.months
            ],
        )
    else:
        note("calibration: no month has enough alerts with a verdict (drift.min_verdicts)")
    over = [each.name for each in report.series if each.over] + [m.month for m in report.months if m.over]
    note(f"over the line: {', '.join(over)}" if over else "nothing is over its line")


def _figures(each: Drifted) -> tuple[str, str]:
    if each.psi is None or each.ks is None:
        return "too few", "–"
    return f"{each.psi:.3f}", f"{each.ks:.3f}"
