"""Fits whatever a recipe asks for, a network or trees, to slices; and what a bundle says of a slice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from fraudgraph.scoring.bundle import Bundle, read_bundle
from fraudgraph.scoring.gnn.model import NetworkWeights
from fraudgraph.scoring.library import SHIPPED
from fraudgraph.scoring.manifest import TreesNote
from fraudgraph.scoring.trees_columns import COLUMNS_HASH
from training.gnn.dataset import Slice
from training.gnn.network import TypedSage
from training.gnn.recipe import Fitted, Logits, Progress, Recipe
from training.gnn.train import train, user_logits
from training.trees.models import TreeModel, TreeSettings


def learn(
    recipe: Recipe,
    fit: Sequence[Slice],
    stop: Sequence[Slice],
    *,
    progress: Progress,
    say: Callable[[str], None],
    folder: Path | None = None,
) -> Fitted:
    """Returns what was fitted to `fit`, and stopped where it was best on `stop`.

    Args:
        folder: for a network's checkpoints.

    Raises:
        UsageError: there is too little to learn from.
        ConfigurationError: the network whose embeddings trees are to read cannot be had.
    """
    if recipe.trees is not None:
        progress("growing trees")
        return _trees(recipe.trees, fit, stop, say)
    trained = train(recipe.network, fit, stop, folder=folder, show=progress("training the network"))
    say(f"kept epoch {trained.epoch}, average precision {trained.stop_precision:.3f} where it stopped")
    named = ("half_life_days", "rate", "weight_decay", "positive_share", "link_dropout")
    return Fitted(
        logits=partial(user_logits, trained.model),
        seed=recipe.network.seed,
        settings={
            "epochs": trained.epoch,
            "average precision when stopped": round(trained.stop_precision, 4),
            **{name: getattr(recipe.network, name) for name in named},
        },
        network=trained.model.export(),
    )


def logits_of(bundle: Bundle) -> Logits:
    """Returns what a bundle's model says of a slice, not calibrated: the way of training, not that of serving."""
    note = bundle.manifest.trees
    if note is None:
        return partial(user_logits, TypedSage(bundle.weights.schema).load(bundle.weights))
    model = TreeModel(note.features, weights=bundle.network)
    model.trees = bundle.trees
    return model.logits


def _trees(settings: TreeSettings, fit: Sequence[Slice], stop: Sequence[Slice], say: Callable[[str], None]) -> Fitted:
    weights = _network(settings.network) if settings.features == "d" else None
    model = TreeModel(settings.features, weights=weights, settings=settings)
    model.fit(fit, settings.positive_share, stop)
    say(f"kept {model.rounds} trees over {len(model.names)} columns")
    named = ("rate", "leaves", "child_weight", "l2", "positive_share")
    return Fitted(
        logits=model.logits,
        seed=settings.seed,
        settings={
            **{name: getattr(settings, name) for name in named},
            **({"network": settings.network} if weights is not None else {}),
        },
        network=weights,
        trees=model.trees,
        trees_note=TreesNote(settings.features, model.names, COLUMNS_HASH, model.rounds),
    )


def _network(name: str) -> NetworkWeights:
    """Returns the weights of a shipped bundle by name, or of one in a folder."""
    shipped = SHIPPED / name
    return read_bundle(shipped if Path(name).name == name and shipped.is_dir() else Path(name)).weights
