"""The tables of an evaluation, the same in the report and in the note."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from training.evaluation.absent import absent_name
from training.evaluation.compare import (
    AVERAGE_PRECISION,
    BRIER,
    CALIBRATION_ERROR,
    LIFT,
    RING_DELAY,
    RING_PURITY,
    RING_RECALL,
    RING_SOON,
    ROC_AUC,
    Comparison,
    at_budget,
)
from training.evaluation.figures import ACCOUNTS, RINGS, Figure
from training.evaluation.gate import GOAL_BUDGET, TREES

_WITHOUT = absent_name("", "")
MAIN_NOTE = (
    "In brackets: 95 % bootstrap interval. Days to detect are of the rings that a model finds at its line: a model that"
    " finds few, and those at once, looks quick; the part found within 7 days does not."
)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under a header; the first column names the row."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


Column = tuple[str, str, str]
"""Heading, level and name of a figure."""


def tables(part: Comparison, budgets: Sequence[int]) -> list[Table]:
    """Returns all tables of a comparison; those for which nothing was measured are left out."""
    models = main_models(part)
    out = [
        _models("Main figures", part, models, main_columns(part), MAIN_NOTE),
        differences(part, models),
        _models(
            "Precision and recall by alerts a day",
            part,
            models,
            [(at_budget(what, a), ACCOUNTS, at_budget(what, a)) for what in ("precision", "recall") for a in budgets],
        ),
        _models(
            "Money by alerts a day, as a part of all that could be caught",
            part,
            models,
            [
                (at_budget(what, a), ACCOUNTS, at_budget(what, a))
                for what in ("money stopped", "money found")
                for a in budgets
            ],
            "Stopped: moved after the account's alert. Found: all of an alerted account, before it too.",
        ),
        _models(
            "Probabilities, and what is good for comparison only",
            part,
            models,
            [(name, ACCOUNTS, name) for name in (BRIER, CALIBRATION_ERROR, LIFT, ROC_AUC)],
            "Where nearly all accounts are honest, ROC-AUC and Brier score look good for nearly anything.",
        ),
        _models(
            "Rings",
            part,
            models,
            [(name, RINGS, name) for name in (AVERAGE_PRECISION, RING_RECALL, RING_PURITY, RING_DELAY, RING_SOON)],
            "The line of each model is the one at which most rings are found while 90 % of the people in called groups"
            " belong there, in hindsight and for each alike. Days count from a ring's third linked account.",
        ),
    ]
    of_typologies = [name for name in part.parts() if name.startswith("typology")]
    of_segments = [name for name in part.parts() if name.startswith("segment")]
    recall = at_budget("recall", GOAL_BUDGET if GOAL_BUDGET in budgets else max(budgets))
    for level, name, listed in (
        (ACCOUNTS, AVERAGE_PRECISION, of_typologies),
        (ACCOUNTS, recall, of_typologies),
        (RINGS, RING_RECALL, of_typologies),
        (ACCOUNTS, AVERAGE_PRECISION, of_segments),
        (ACCOUNTS, recall, of_segments),
    ):
        out.append(_parts(f"{level.capitalize()}: {name}", part, models, level, name, listed))
    return [table for table in [*out, absent(part)] if table is not None and len(table.header) > 1 and table.rows]


def main_columns(part: Comparison) -> list[Column]:
    """Returns the columns that the first table has, as far as they were measured."""
    wanted = [
        ("accounts: average precision", ACCOUNTS, AVERAGE_PRECISION),
        ("rings: average precision", RINGS, AVERAGE_PRECISION),
        ("rings: recall at 90 % purity", RINGS, RING_RECALL),
        *((at_budget("money stopped", a), ACCOUNTS, at_budget("money stopped", a)) for a in (10, GOAL_BUDGET)),
        ("rings: median days to detect", RINGS, RING_DELAY),
        ("rings: found within 7 days", RINGS, RING_SOON),
    ]
    return [column for column in wanted if column[2] in part.names(column[1])]


def main_models(part: Comparison) -> list[str]:
    """Returns the models that were trained on everything."""
    return [model for model in part.models if _WITHOUT not in model]


def differences(part: Comparison, models: Sequence[str]) -> Table | None:
    """Returns how much more each model reaches than the trees that a network has to beat, in the same resamples."""
    rival = next((name for name in TREES if name in models), None)
    if rival is None:
        return None
    columns = main_columns(part)
    rows = []
    for model in models:
        if model != rival:
            cells = [
                _shown(_maybe(part, name, model, level), _maybe(part, name, rival, level)) for _, level, name in columns
            ]
            rows.append([model, *cells])
    return Table(
        f"Over {rival}, in the same resamples",
        ["", *(heading for heading, _, _ in columns)],
        rows,
        "An interval without 0 in it is a difference.",
    )


def absent(part: Comparison) -> Table | None:
    """Returns what a model finds of a typology that it never saw, beside itself when it saw all."""
    rows = []
    for model in part.models:
        if _WITHOUT not in model:
            continue
        whole, typology = model.split(_WITHOUT, 1)
        of = f"typology: {typology}"
        cells = []
        for level, name in ((ACCOUNTS, AVERAGE_PRECISION), (RINGS, RING_RECALL)):
            seen, unseen = _maybe(part, name, whole, level, of), _maybe(part, name, model, level, of)
            cells += [text(seen), text(unseen), _shown(unseen, seen)]
        rows.append([f"{whole}: {typology}", *cells])
    header = [
        "",
        *(
            f"{what}: {heading}"
            for what in ("accounts, average precision", "rings, recall at 90 % purity")
            for heading in ("seen", "never seen", "difference")
        ),
    ]
    return Table("A typology that was absent from training", header, rows) if rows else None


def text(figure: Figure | None) -> str:
    """Returns a figure with its interval; a dash where there is none."""
    return _written(figure, "{:.3f} [{:.3f}, {:.3f}]")


def signed(figure: Figure | None, pattern: str = "{:+.3f} [{:+.3f}, {:+.3f}]") -> str:
    """Returns a difference with its interval; a dash where there is none."""
    return _written(figure, pattern)


def _written(figure: Figure | None, pattern: str) -> str:
    if figure is None or np.isnan(figure.value):
        return "–"
    return pattern.format(figure.value, figure.low, figure.high)


def _shown(figure: Figure | None, rival: Figure | None) -> str:
    return "–" if figure is None or rival is None else signed(figure.over(rival))


def _models(title: str, part: Comparison, models: Sequence[str], columns: Sequence[Column], note: str = "") -> Table:
    kept = [column for column in columns if column[2] in part.names(column[1])]
    rows = [[model, *(text(_maybe(part, name, model, level)) for _, level, name in kept)] for model in models]
    return Table(title, ["", *(heading for heading, _, _ in kept)], rows, note)


def _parts(title: str, part: Comparison, models: Sequence[str], level: str, name: str, listed: Sequence[str]) -> Table:
    kept = [of for of in listed if name in part.names(level, of)]
    rows = [[model, *(text(_maybe(part, name, model, level, of)) for of in kept)] for model in models]
    words: Callable[[str], str] = lambda of: of.partition(": ")[2].replace("_", " ")  # noqa: E731  # used once
    return Table(title, ["", *map(words, kept)], rows)


def _maybe(part: Comparison, name: str, model: str, level: str, of: str = "") -> Figure | None:
    try:
        return part.of(name, model, level=level, part=of)
    except KeyError:
        return None
