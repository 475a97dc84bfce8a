"""What `fraudgraph evaluate` calls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from fraudgraph.durations import DAY_MS
from fraudgraph.engine import Engine
from fraudgraph.events.decoder import Decoder
from training.evaluation.note import render_note
from training.evaluation.origins import back_test
from training.evaluation.plan import Plan, read_plan
from training.evaluation.report import verdict_of, write_report
from training.evaluation.run import Evaluation, evaluate_worlds
from training.gnn.recipe import Progress, read_recipe
from training.replay import Events

CONFIG = Path(__file__).parents[2] / "configs" / "training" / "evaluation.toml"
REAL_DATA = Path(__file__).parents[2].parent / "shared" / "data"
OWN = "Own events"


def plan_of(config: Path | None, models: str | None, *, quick: bool) -> tuple[Plan, Path]:
    """Returns the plan, and the folder beside which its recipe is found.

    Args:
        models: names by commas; those of the plan where None.
        quick: fewer and smaller worlds: to see that it runs.

    Raises:
        ConfigurationError: the file does not fit, or a model is unknown.
    """
    path = config or CONFIG
    plan = read_plan(path)
    if models is not None:
        named = tuple(name.strip() for name in models.split(",") if name.strip())
        plan = msgspec.structs.replace(plan, models=named, absent=msgspec.structs.replace(plan.absent, models=()))
    return (quick_plan(plan) if quick else plan), path.parent


def quick_plan(plan: Plan) -> Plan:
    """Returns a plan that takes a minute or two, whose figures say nothing."""
    return msgspec.structs.replace(
        plan,
        quick=True,
        resamples=min(plan.resamples, 100),
        simulated=msgspec.structs.replace(
            plan.simulated, seeds=(plan.simulated.seeds[0], 2), users=1_500, days=30, first_day=18, every_days=4
        ),
        planted=msgspec.structs.replace(plan.planted, seeds=(plan.planted.seeds[0], 0)),
        absent=msgspec.structs.replace(plan.absent, models=()),
    )


def evaluate(
    plan: Plan,
    beside: Path,
    data: Events | None,
    out: Path,
    *,
    make_engine: Callable[[], Engine],
    decoder: Decoder | None,
    progress: Progress,
    say: Callable[[str], None],
    note: Path | None = None,
    real_data: Path = REAL_DATA,
) -> Evaluation:
    """Measures on a shop's events, or on worlds whose truth is known where `data` is None, and writes the report.

    Args:
        make_engine, decoder: as the shop has them.
        note: Markdown file to write besides.

    Raises:
        ConfigurationError: the plan's recipe or bundle does not fit.
        UsageError: there is too little to learn from, or to measure on.
    """
    if data is None:
        found = evaluate_worlds(plan, beside, real_data, progress=progress, say=say)
    else:
        assert decoder is not None
        found = evaluate_events(
            plan, beside, data, make_engine=make_engine, decoder=decoder, progress=progress, say=say
        )
    for written in write_report(found, out):
        say(f"wrote {written}")
    if note is not None:
        note.write_text(render_note(found), encoding="utf-8")
        say(f"wrote {note}")
    say(verdict_of(found).words)
    return found


def evaluate_events(
    plan: Plan,
    beside: Path,
    data: Events,
    *,
    make_engine: Callable[[], Engine],
    decoder: Decoder,
    progress: Progress,
    say: Callable[[str], None],
) -> Evaluation:
    """Returns the rolling back-test of a shop's own events."""
    recipe = read_recipe(beside / plan.recipe)
    found = back_test(plan, recipe, data, make_engine=make_engine, decoder=decoder, progress=progress, say=say)
    left_out = f" Left out: {', '.join(found.left_out)}." if found.left_out else ""
    if plan.origins.disjoint:
        left_out = f" Nobody is judged who shares a component with an account that was learnt from.{left_out}"
    note = (
        f"{len(found.origins)} origins, {len(found.readings)} readings; at each origin everything is learnt anew from"
        f" labels that had arrived by then. An account is fraud that is reported for an act up to"
        f" {plan.origins.horizon_days} days after a reading; 9 of 10 reports arrive within"
        f" {found.maturity_ms / DAY_MS:.0f} days, and who was reported before is left out.{left_out} Fraud that"
        " nobody reports counts as honest. Resampled are accounts, those of one ring together: the intervals speak for"
        " this stream only."
    )
    return Evaluation(
        plan, recipe, None, {OWN: found.comparison}, {OWN: note}, (OWN,), "Models learnt from the stream's own past."
    )
