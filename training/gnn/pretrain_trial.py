"""Does it pay to learn from links first? `python -m training.gnn.pretrain_trial` trains with it and without, and says.

Both are trained on the same worlds with the same seeds, once with all labels and once with a part of the accounts that
teach, and measured on worlds that neither has seen. A pair differs in nothing but the links learnt from beforehand.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from training.gnn.dataset import Slice
from training.gnn.from_worlds import replay_roles
from training.gnn.recipe import Recipe, read_recipe, teaching
from training.gnn.train import Show, train, user_logits
from training.labels import POSITIVE, UNKNOWN, Targets
from training.reliability import average_precision

CONFIG = Path("configs/training/default.toml")


def with_fewer_labels(pieces: Sequence[Slice], share: float, seed: int) -> list[Slice]:
    """Returns slices of whose accounts that teach only a part does, drawn once for each world and moment."""
    out = []
    for number, piece in enumerate(pieces):
        assert piece.targets is not None
        keep = np.random.default_rng([seed, number]).random(len(piece.users)) < share
        fewer = copy.copy(piece)
        fewer.targets = Targets(
            np.where(keep, piece.targets.target, UNKNOWN).astype(np.int8), np.where(keep, piece.targets.weight, 0.0)
        )
        out.append(fewer)
    return out


def precision_of(recipe: Recipe, fit: Sequence[Slice], stop: Sequence[Slice], check: Sequence[Slice]) -> list[float]:
    """Trains once; returns the average precision of accounts in each world that was kept back."""
    model = train(recipe.network, fit, stop).model
    worlds: dict[int, list[Slice]] = {}
    for piece in check:
        worlds.setdefault(piece.world, []).append(piece)
    out = []
    for pieces in worlds.values():
        said = np.concatenate([user_logits(model, piece)[0] for piece in pieces])
        truth = np.concatenate([piece.is_fraud for piece in pieces if piece.is_fraud is not None])
        known = truth != UNKNOWN
        out.append(average_precision(said[known], truth[known] == POSITIVE))
    return out


def trial(recipe: Recipe, *, epochs: int, seeds: int, shares: Sequence[float]) -> str:
    """Returns a Markdown table: average precision with and without, and the paired difference with its interval."""
    streams = replay_roles(recipe, ("fit", "stop", "check"), lambda title: _quiet(title))
    fit, stop = teaching(streams["fit"]), teaching(streams["stop"])
    check = [piece for stream in streams["check"] for piece in stream.slices]
    lines = ["| accounts that teach | without | with | difference |", "| --- | ---: | ---: | ---: |"]
    for share in shares:
        pairs = []
        for seed in range(1, seeds + 1):
            taught = with_fewer_labels(fit, share, seed)
            each = []
            for ahead in (0, epochs):
                network = msgspec.structs.replace(recipe.network, seed=seed, pretrain_epochs=ahead)
                each.append(precision_of(msgspec.structs.replace(recipe, network=network), taught, stop, check))
            pairs.append(each)
            print(f"share {share}, seed {seed}: {np.mean(each, axis=1)}", file=sys.stderr, flush=True)
        found = np.array(pairs)  # [seeds, 2, worlds]
        gain = (found[:, 1] - found[:, 0]).mean(axis=0)
        draws = np.random.default_rng(1).integers(0, len(gain), (2_000, len(gain)))
        low, high = np.quantile(gain[draws].mean(axis=1), (0.025, 0.975))
        without, having = found.mean(axis=(0, 2))
        lines.append(f"| {share:.0%} | {without:.3f} | {having:.3f} | {gain.mean():+.3f} [{low:+.3f}, {high:+.3f}] |")
    return "\n".join(lines)


def _quiet(title: str) -> Show:
    print(title, file=sys.stderr, flush=True)
    return lambda done, total, words: None


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the trial and prints its table."""
    parser = argparse.ArgumentParser(prog="python -m training.gnn.pretrain_trial", description=__doc__)
    parser.add_argument("--config", type=Path, default=CONFIG, help="the recipe")
    parser.add_argument("--worlds", type=int, default=12, help="to fit on; half as many to stop and to measure on")
    parser.add_argument("--epochs", type=int, default=10, help="on links alone")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each kind")
    parser.add_argument("--shares", type=float, nargs="+", default=(1.0, 0.1), help="of the accounts that teach")
    options = parser.parse_args(arguments)
    recipe = read_recipe(options.config)
    plan, half = recipe.worlds, max(options.worlds // 2, 1)
    smaller = msgspec.structs.replace(
        plan, fit=(plan.fit[0], options.worlds), stop=(plan.stop[0], half), check=(plan.check[0], half), workers=1
    )
    recipe = msgspec.structs.replace(recipe, worlds=smaller)
    print(trial(recipe, epochs=options.epochs, seeds=options.seeds, shares=options.shares))


if __name__ == "__main__":
    main()
