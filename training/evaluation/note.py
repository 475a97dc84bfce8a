"""An evaluation as the note that the repository keeps, in Markdown."""

from __future__ import annotations

from textwrap import fill

from training.evaluation.gate import verdict
from training.evaluation.learn import ABOUT
from training.evaluation.report import counted, named_models, points, provenance
from training.evaluation.run import Evaluation
from training.evaluation.tables import Table, tables

WIDTH = 120
COMMAND = "fraudgraph evaluate --worlds --note docs/models.md"


def render_note(evaluation: Evaluation) -> str:
    """Returns the note."""
    parts = [
        "# Models, side by side",
        _wrapped(f"Written by `{COMMAND}`; do not edit. {provenance(evaluation)}"),
        _wrapped(
            "Accounts and rings are ranked at every reading of a stream. Accounts are fraud by their world's truth,"
            " victims left out, and whoever had been reported by then is no find any more. A group is a ring by"
            " majority of its members; it finds one where the Jaccard overlap of their members is at least 0.5. With n"
            " alerts a day the accounts that rank highest are looked at, nobody twice. Money stopped is what rings"
            " moved from an account after its alert, of all that could be caught. Brackets hold 95 % bootstrap"
            " intervals; differences are of the same resamples. ROC-AUC is there for comparison only."
        ),
        "\n".join(_wrapped(f"- **{name}**: {ABOUT[name]}.") for name in named_models(evaluation)),
        "## In short",
        "\n".join(
            _wrapped(f"- {point}")
            for point in (*points(evaluation), f"**{verdict(evaluation.parts, evaluation.needed).words}**")
        ),
    ]
    for title, part in evaluation.parts.items():
        parts += [f"## {title}", _wrapped(f"{evaluation.notes[title]} {counted(part.counts)}")]
        for table in tables(part, evaluation.plan.budgets):
            parts += [f"### {table.title}", _table(table)]
            parts += [_wrapped(table.note)] if table.note else []
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> str:
    lines = [table.header, ["---", *["---:"] * (len(table.header) - 1)], *table.rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _wrapped(paragraph: str) -> str:
    return fill(paragraph, WIDTH, subsequent_indent="  " if paragraph.startswith("- ") else "")
