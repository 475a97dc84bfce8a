"""An evaluation as one HTML file with its plots inside, and as JSON with the same figures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

import fraudgraph
from fraudgraph.graph.policy import LinkPolicy
from training.evaluation.compare import Comparison, Counts
from training.evaluation.figures import Figure
from training.evaluation.gate import GOAL, GOAL_BUDGET, TREES, Verdict, gain, goal, verdict
from training.evaluation.learn import ABOUT, NETWORK, SHIPPED, TREES_A
from training.evaluation.plots import plots
from training.evaluation.run import Evaluation
from training.evaluation.tables import main_models, signed, tables

HTML, JSON = "evaluation.html", "evaluation.json"


def write_report(evaluation: Evaluation, folder: Path) -> tuple[Path, Path]:
    """Writes `evaluation.html` and `evaluation.json` into a folder, which is made where absent."""
    folder.mkdir(parents=True, exist_ok=True)
    html, data = folder / HTML, folder / JSON
    html.write_text(render_html(evaluation), encoding="utf-8")
    data.write_bytes(msgspec.json.format(msgspec.json.encode(as_json(evaluation)), indent=1) + b"\n")
    return html, data


def render_html(evaluation: Evaluation) -> str:
    """Returns the report; nothing in it is fetched from anywhere."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("training.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found = verdict_of(evaluation)
    budgets = evaluation.plan.budgets
    parts = [
        {
            "title": title,
            "note": evaluation.notes[title],
            "counts": counted(part.counts),
            "plots": [(name, Markup(svg)) for name, svg in plots(part, budgets)],  # our own drawing, text outlined
            "tables": tables(part, budgets),
        }
        for title, part in evaluation.parts.items()
    ]
    return environment.get_template("evaluation.html.j2").render(
        verdict=found,
        provenance=provenance(evaluation),
        points=list(points(evaluation)),
        models=[(name, ABOUT[name]) for name in named_models(evaluation)],
        parts=parts,
    )


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """Returns the figures, the paired differences over the rival of the gate, and the verdict, as plain values."""
    found = verdict_of(evaluation)
    return {
        "version": fraudgraph.__version__,
        "link_policy": LinkPolicy().hash,
        "bundle": None if evaluation.bundle is None else evaluation.bundle.manifest.digest,
        "plan": msgspec.to_builtins(evaluation.plan),
        "recipe": msgspec.to_builtins(evaluation.recipe),
        "gate": {
            "passed": found.passed,
            "rival": found.rival,
            "ships": found.ships,
            "shipped": found.shipped,
            "words": found.words,
            "gains": {title: _plain(figure) for title, figure in found.gains.items()},
        },
        "parts": {
            title: {
                "note": evaluation.notes[title],
                "counts": msgspec.to_builtins(part.counts),
                "figures": [_plain(figure) for figure in part.figures],
                "differences": [_plain(figure) for figure in _differences(part)],
                "reliability": {
                    model: [msgspec.to_builtins(each) for each in bins] for model, bins in part.reliability.items()
                },
                "curves": {
                    model: {"recall": recall, "precision": precision}
                    for model, (recall, precision) in part.curves.items()
                },
            }
            for title, part in evaluation.parts.items()
        },
    }


def verdict_of(evaluation: Evaluation) -> Verdict:
    """Returns what the gate says."""
    return verdict(evaluation.parts, evaluation.needed)


def named_models(evaluation: Evaluation) -> list[str]:
    """Returns the models that were trained on everything, in all parts."""
    return list(dict.fromkeys(name for part in evaluation.parts.values() for name in main_models(part)))


def points(evaluation: Evaluation) -> Iterator[str]:
    """Yields what matters most, a sentence each, good or bad."""
    found = verdict_of(evaluation)
    for title, figure in found.gains.items():
        yield f"{title}: the network over {found.rival}, average precision of {figure.level}: {signed(figure)}."
    for title, part in evaluation.parts.items():
        for model in dict.fromkeys((SHIPPED, found.rival, NETWORK)):
            gains = [(a_day, goal(part, model, a_day)) for a_day in evaluation.plan.budgets]
            told = [
                f"{signed(more, '{:+.0%} [{:+.0%}, {:+.0%}]')} at {a_day}"
                for a_day, more in gains
                if more is not None and not np.isnan(more.value)
            ]
            if not told:
                continue
            more = goal(part, model)
            name = f"{model} (the shipped scorer)" if model == SHIPPED else model
            goals = f"; the goal is {GOAL:+.0%} at {GOAL_BUDGET}: {_met(more is not None and more.value >= GOAL)}"
            yield (
                f"{title}: money that {name} stops beside {TREES_A}, by alerts a day: {', '.join(told)}"
                f"{goals if model == SHIPPED else ''}."
            )
    for title, part in evaluation.parts.items():
        rival = next((name for name in TREES if name in part.models), None)
        if rival is not None and SHIPPED in part.models:
            over = gain(part, SHIPPED, rival)
            yield (
                f"{title}: the shipped scorer over {rival}, average precision of {over.level}: {signed(over)}; the goal"
                f" is beyond the interval: {_met(over.low > 0)}."
            )


def provenance(evaluation: Evaluation) -> str:
    """Returns what was measured, and what it was learnt from, in words."""
    bundle = evaluation.bundle
    of = "" if bundle is None else f", bundle {bundle.manifest.digest}, features {bundle.manifest.features_hash}"
    return f"Version {fraudgraph.__version__}, link policy {LinkPolicy().hash}{of}. {evaluation.learnt}"


def counted(counts: Counts) -> str:
    """Returns what was measured on, in words."""
    rings = f", {counts.rings:,} rings of at least three linked accounts" if counts.rings else ""
    return (
        f"{counts.streams:,} stream{'s' if counts.streams > 1 else ''}, {counts.readings:,} readings,"
        f" {counts.accounts:,} accounts, {counts.frauds:,} of them fraud that was still to be found{rings};"
        f" {counts.units:,} {counts.resampled} are resampled."
    )


def _met(met: bool) -> str:
    return "met" if met else "not met"


def _plain(figure: Figure) -> dict[str, str | float | None]:
    return {
        "level": figure.level,
        "part": figure.part,
        "name": figure.name,
        "model": figure.model,
        **{
            name: None if np.isnan(value) else round(float(value), 6)
            for name, value in (("value", figure.value), ("low", figure.low), ("high", figure.high))
        },
    }


def _differences(part: Comparison) -> Iterator[Figure]:
    rival = next((name for name in TREES if name in part.models), None)
    if rival is None:
        return
    for figure in part.figures:
        if figure.model != rival and not figure.part:
            try:
                yield figure.over(part.of(figure.name, rival, level=figure.level))
            except KeyError:
                continue  # a figure that only one of them has
