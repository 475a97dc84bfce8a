"""The whole evaluation where truth is known: learns every model, measures all of them on the same streams."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fraudgraph.errors import ConfigurationError
from fraudgraph.scoring.bundle import Bundle, read_bundle
from fraudgraph.scoring.library import SHIPPED
from training.evaluation.absent import absent_models
from training.evaluation.compare import Comparison, compare_streams
from training.evaluation.learn import learn
from training.evaluation.plan import Plan
from training.evaluation.worlds import planted, simulated, teaching_of
from training.gnn.from_worlds import ROLES
from training.gnn.recipe import Progress, Recipe, read_recipe


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured, and how.

    Attributes:
        parts: figures by the title of what was measured on.
        notes: by title, how it was measured, in a sentence or two.
        needed: titles without which the gate is not passed.
        learnt: what from, in a sentence.
    """

    plan: Plan
    recipe: Recipe
    bundle: Bundle | None
    parts: Mapping[str, Comparison]
    notes: Mapping[str, str]
    needed: tuple[str, ...]
    learnt: str


SIMULATED = "Simulated shops"
PLANTED = "Rings planted into real payments"
QUICK_WORLDS = {"fit": 3, "stop": 1, "calibrate": 1, "rings": 2}


def bundle_of(plan: Plan, beside: Path) -> Bundle:
    """Returns the network's bundle: a folder beside the plan, or one that ships with the package."""
    folder = beside / plan.bundle
    return read_bundle(folder if folder.is_dir() else SHIPPED / plan.bundle)


def quick_recipe(recipe: Recipe) -> Recipe:
    """Returns the recipe with a few small worlds."""
    few = {role: (recipe.worlds.seeds(role)[0], count) for role, count in QUICK_WORLDS.items()}
    worlds = msgspec.structs.replace(recipe.worlds, users=1_500, shop_users=1_500, workers=1, **few)
    return msgspec.structs.replace(recipe, worlds=worlds)


def refuse_learnt_seeds(plan: Plan, recipe: Recipe) -> None:
    """Refuses a plan that measures on worlds that models learn from.

    Raises:
        ConfigurationError: a seed plays both parts.
    """
    learnt = {seed for role in ROLES for seed in recipe.worlds.seeds(role)}
    both = learnt & {*plan.simulated.range, *plan.planted.range}
    if both:
        raise ConfigurationError(
            f"seed {min(both)} is learnt from and measured on", do="Give the evaluation seeds of its own."
        )


def evaluate_worlds(
    plan: Plan, beside: Path, data: Path, *, progress: Progress, say: Callable[[str], None]
) -> Evaluation:
    """Learns and measures all models.

    Args:
        beside: folder of the plan's file, where its recipe is.
        data: folder of the real data; what needs it is left out where it is absent.

    Raises:
        ConfigurationError: the recipe or the bundle does not fit, or a seed is learnt from and measured on.
    """
    recipe, bundle = read_recipe(beside / plan.recipe), bundle_of(plan, beside)
    refuse_learnt_seeds(plan, recipe)
    if plan.quick:
        recipe = quick_recipe(recipe)
    teaching = teaching_of(recipe, bundle, progress)
    models = learn(plan.models, teaching, say)
    absent = absent_models(plan.absent.models, teaching, recipe, say)
    parts, notes = {}, {}
    if plan.simulated.seeds[1]:
        say("measuring: simulated shops")
        parts[SIMULATED] = compare_streams(
            {**models, **absent}, simulated(plan.simulated), budgets=plan.budgets, resamples=plan.resamples, say=say
        )
        notes[SIMULATED] = (
            f"{plan.simulated.seeds[1]} worlds of {plan.simulated.users:,} accounts and {plan.simulated.days} days"
            f" (default spec), read every {_days(plan.simulated.every_days)} from day {plan.simulated.first_day} on."
            " Banks and analysts report late, not all, and sometimes wrongly; what they have reported by then is no"
            " find any more. Resampled are worlds."
        )
    if plan.planted.seeds[1] and (data / "p2p").is_dir():
        say("measuring: planted rings")
        parts[PLANTED] = compare_streams(
            models, planted(plan.planted, data / "p2p"), budgets=plan.budgets, resamples=plan.resamples, say=say
        )
        notes[PLANTED] = (
            f"{plan.planted.seeds[1]} times rings of about {plan.planted.members} accounts in the last 180 days of the"
            " peer-to-peer data (33,315 users; anonymised sample published with Neo4j's fraud-detection demo, ODC-BY),"
            f" read every {_days(plan.planted.every_days)} from the {plan.planted.first_day}th of them on. Nothing is"
            " reported there; real fraud in the background counts as honest. Resampled are seeds, which share that one"
            " background: no interval speaks for another one."
        )
    taught = ", ".join(f"{_span(recipe.worlds.seeds(role))} ({role})" for role in ("fit", "stop", "calibrate", "rings"))
    learnt = (
        f"Models learnt from simulated worlds with late and noisy labels, seeds {taught}; they are measured on seeds"
        f" {_span(plan.simulated.range)} (simulated) and {_span(plan.planted.range)} (planted), on which nothing was"
        " learnt, calibrated or chosen."
    )
    if plan.quick:
        learnt += " A quick run, to see that it runs: its figures say nothing."
    return Evaluation(plan, recipe, bundle, parts, notes, (SIMULATED, PLANTED), learnt)


def _days(days: int) -> str:
    return "day" if days == 1 else f"{days} days"


def _span(seeds: range) -> str:
    return f"{seeds[0]:,} to {seeds[-1]:,}" if len(seeds) > 1 else ", ".join(f"{seed:,}" for seed in seeds) or "none"
