"""Measures a bundle against its rivals: `python -m training.gnn.evaluate --out docs/models.md`.

The rivals are trained here, on the very worlds of the bundle's recipe; the bundle is taken as it is. Then all are run
once on worlds that nobody has learnt, calibrated or chosen anything on: those of `training.evaluate_rings`. Rings are
also planted into the real payments where `../shared/data` is beside the checkout.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from fraudgraph.engine import Engine, EngineRules
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.graph.types import F64
from fraudgraph.scoring.bundle import Bundle, read_bundle
from fraudgraph.scoring.library import SHIPPED
from fraudgraph.scoring.structural import StructuralScorer
from fraudgraph.simulate.spec import WorldSpec
from fraudgraph.simulate.world import simulate
from training.evaluate_rings import DATA, FULL, QUICK, Scale, lines_of
from training.gnn.dataset import Slice, replay_slices
from training.gnn.from_worlds import replay_roles, slices_of
from training.gnn.measure import Figure, Said, figures
from training.gnn.models_note import Results, document
from training.gnn.network import TypedSage
from training.gnn.recipe import (
    STRUCTURAL_NAME,
    Recipe,
    by_ring,
    calibrate,
    head_of,
    read_recipe,
    said_by,
    saying,
    structural,
    teaching,
)
from training.gnn.train import Show, user_logits
from training.gnn.worlds import tell_truth
from training.planted import load_background, plant
from training.ring_truth import Truth, truth_of
from training.splits import Cut
from training.trees import TreeModel

TREES, RING_TREES = "trees", "ring-trees"
CONFIG = Path(__file__).parents[2] / "configs" / "training" / "default.toml"
READINGS = 3
"""Of each world: at its end, and before."""

Model = Callable[[Slice], Said]


def models_of(recipe: Recipe, bundle: Bundle, say: Callable[[str], None]) -> dict[str, Model]:
    """Returns the bundle and its rivals, those that need it trained on the recipe's worlds."""
    streams = replay_roles(recipe, ("fit", "calibrate", "rings"), partial(_progress, say))
    rings = slices_of(streams["rings"])
    trees = TreeModel("c", seed=recipe.network.seed).fit(teaching(streams["fit"]), recipe.network.positive_share)
    calibration = calibrate(trees.logits, teaching(streams["calibrate"]), recipe.calibration)
    network = TypedSage(bundle.weights.schema).load(bundle.weights)
    return {
        STRUCTURAL_NAME: structural,
        f"network-1/{bundle.name}": saying(
            partial(user_logits, network), bundle.manifest.calibration, bundle.manifest.ring_head
        ),
        TREES: saying(trees.logits, calibration, head_of(trees.logits, calibration, rings)),
        RING_TREES: ring_trees(rings, recipe.network.seed),
    }


def ring_trees(slices: Sequence[Slice], seed: int) -> Model:
    """Returns gradient boosting over the structural scorer's own features of rings, taught by the truth about them.

    Not a model that could be had without truth about rings: it says what the features could give.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        learning_rate=0.06, max_iter=100, max_leaf_nodes=8, min_samples_leaf=20, random_state=seed
    )
    truth = np.concatenate([piece.is_ring for piece in slices if piece.is_ring is not None])
    model.fit(np.vstack([piece.rings.features for piece in slices]), truth)

    def say(piece: Slice) -> Said:
        rings: F64 = model.decision_function(piece.rings.features) if len(piece.rings) else np.empty(0)
        return Said(by_ring(piece, rings), rings)

    return say


def simulated(models: Mapping[str, Model], scale: Scale, say: Callable[[str], None]) -> list[Figure]:
    """Returns the figures on the simulator's test worlds."""
    worlds = []
    for seed in scale.seeds[0]:
        world = simulate(WorldSpec(seed=seed, users=scale.users, days=scale.days))
        lines = (line for _, line in lines_of(world))
        worlds.append(_read(lines, truth_of(world), world.spec.start_ms, world.spec.end_ms, models))
        say(f"simulated seed {seed}")
    return figures(worlds)


def planted(models: Mapping[str, Model], scale: Scale, folder: Path, say: Callable[[str], None]) -> list[Figure]:
    """Returns the figures on rings planted into the real payments."""
    background = load_background(folder)
    worlds = []
    for seed in scale.seeds[1]:
        lines, truth = plant(background, seed, scale.members)
        found = _read((line for _, line in lines), truth, background.start_ms, background.end_ms, models)
        worlds.append(found)
        say(f"planted seed {seed}")
    return figures(worlds)


def _read(
    lines: Iterable[bytes], truth: Truth, start_ms: int, end_ms: int, models: Mapping[str, Model]
) -> list[tuple[Slice, dict[str, Said]]]:
    """Returns what all models say of a stream, read `READINGS` times in the later half of its days and at their end."""
    moments = np.linspace((start_ms + end_ms) / 2, end_ms, READINGS).astype(np.int64).tolist()
    engine = Engine(LinkPolicy(), EngineRules(), StructuralScorer())
    stream = replay_slices(lines, [Cut(moment, moment) for moment in moments], engine)
    tell_truth(stream.slices, truth)
    return said_by(models, stream.slices)


def _progress(say: Callable[[str], None], title: str) -> Show:
    say(title)
    return lambda done, total, words: None


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains the rivals, runs everything once and writes the note."""
    parser = argparse.ArgumentParser(prog="python -m training.gnn.evaluate", description=__doc__)
    parser.add_argument("--out", type=Path, help="Markdown file to write; printed where absent")
    parser.add_argument("--config", type=Path, default=CONFIG, help="the recipe that the bundle was made by")
    parser.add_argument("--bundle", type=Path, default=SHIPPED / "default", help="folder of the bundle")
    parser.add_argument("--quick", action="store_true", help="fewer and smaller worlds: to see that it runs")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the real data (default: ../shared/data)")
    options = parser.parse_args(arguments)
    recipe, bundle = read_recipe(options.config), read_bundle(options.bundle)
    models = models_of(recipe, bundle, _say)
    scale, p2p = QUICK if options.quick else FULL, options.data / "p2p"
    results = Results(
        recipe=recipe,
        manifest=bundle.manifest,
        scale=scale,
        simulated=simulated(models, scale, _say),
        planted=planted(models, scale, p2p, _say) if p2p.is_dir() else None,
    )
    if options.out is None:
        print(document(results))
    else:
        options.out.write_text(document(results), encoding="utf-8")


if __name__ == "__main__":
    main()
