"""One typology at a time is absent from training: what a model finds of a kind of fraud that it was never shown.

Its members and victims teach nothing, stop nothing and calibrate nothing, and its rings are not among those that the
ring head is fitted on. Their events stay in the streams, unlabelled, as those of a new kind of fraud would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np

from fraudgraph.graph.types import Bool
from fraudgraph.simulate.spec import TYPOLOGIES
from fraudgraph.simulate.world import simulate
from training.evaluation.learn import MODELS, Teaching
from training.evaluation.observe import Model
from training.gnn.dataset import Rings, Slice
from training.gnn.from_worlds import draws_of
from training.gnn.recipe import Recipe
from training.labels import UNKNOWN, Targets
from training.ring_truth import Truth, truth_of

_ROLES = ("fit", "stop", "calibrate", "rings")


def absent_name(model: str, typology: str) -> str:
    """Returns what reports call a model that never saw a typology."""
    return f"{model}, without {typology}"


def absent_models(
    names: Iterable[str], teaching: Teaching, recipe: Recipe, say: Callable[[str], None]
) -> dict[str, Model]:
    """Returns models, each trained without each typology in turn."""
    listed = list(names)
    if not listed:
        return {}
    say("drawing the worlds' truth again")
    draws = draws_of(recipe.worlds)
    truths = {drawn.spec.seed: truth_of(simulate(drawn.spec)) for role in _ROLES for drawn in draws[role]}
    out: dict[str, Model] = {}
    for typology in TYPOLOGIES:
        say(f"learning without {typology}")
        fewer = without(teaching, typology, truths)
        out |= {absent_name(name, typology): MODELS[name](fewer) for name in listed}
    return out


def without(teaching: Teaching, typology: str, truths: Mapping[int, Truth]) -> Teaching:
    """Returns what is left to learn from.

    Args:
        truths: by the number of a slice's world.
    """

    def untold(piece: Slice) -> Slice:
        assert piece.targets is not None
        kept = ~_of_typology(piece, typology, truths[piece.world])
        target = np.where(kept, piece.targets.target, UNKNOWN).astype(np.int8)
        return replace(piece, targets=Targets(target, np.where(kept, piece.targets.weight, 0.0)))

    def unringed(piece: Slice) -> Slice:
        assert piece.is_ring is not None
        of = _of_typology(piece, typology, truths[piece.world])
        kept = np.array([not ring or not of[team].any() for ring, team in _judged(piece)], np.bool_)
        return replace(piece, rings=some_rings(piece.rings, kept), is_ring=piece.is_ring[kept])

    return replace(
        teaching,
        fit=[untold(piece) for piece in teaching.fit],
        stop=[untold(piece) for piece in teaching.stop],
        calibrate=[untold(piece) for piece in teaching.calibrate],
        rings=[unringed(piece) for piece in teaching.rings],
        _logits={},
    )


def some_rings(rings: Rings, kept: Bool) -> Rings:
    """Returns some of the rings, `kept` `[r]`."""
    sizes = np.diff(rings.starts)
    rows = np.repeat(kept, sizes)
    return replace(
        rings,
        member=rings.member[rows],
        starts=np.concatenate(([0], np.cumsum(sizes[kept]))).astype(np.int64),
        head=rings.head[rows],
        columns=rings.columns[rows],
        features=rings.features[kept],
        structural=rings.structural[kept],
    )


def _judged(piece: Slice) -> Iterable[tuple[bool, np.ndarray[tuple[int], np.dtype[np.int32]]]]:
    assert piece.is_ring is not None
    return zip(piece.is_ring.tolist(), piece.rings.teams(), strict=True)


def _of_typology(piece: Slice, typology: str, truth: Truth) -> Bool:
    """Returns who is in a ring of that kind, `[u]`."""
    ring_of, rings = truth.ring_of, truth.rings
    return np.array(
        [(ring := ring_of.get(name)) is not None and rings[ring].typology == typology for name in piece.names],
        np.bool_,
    )
