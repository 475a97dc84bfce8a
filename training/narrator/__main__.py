"""`python -m training.narrator pairs | tune | gguf`: see docs/narrative.md, "A model of your own"."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

NEEDED = ("torch", "transformers", "peft", "gguf", "safetensors")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one of the three; a missing library is named together with the extra that brings it."""
    chosen = _parser().parse_args(arguments)
    try:
        _RUN[chosen.what](chosen)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in NEEDED:
            raise
        print(f"{chosen.what} needs {error.name}: pip install 'fraudgraph-rings[narrator]'", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.narrator", description=__doc__)
    steps = parser.add_subparsers(dest="what", required=True)

    pairs = steps.add_parser("pairs", help="writes fit.jsonl and check.jsonl: evidence and the best plan for it")
    pairs.add_argument("--out", type=Path, required=True, help="a folder")
    pairs.add_argument("--seed", type=int, default=1001, help="of the first simulated shop")
    pairs.add_argument("--worlds", type=int, default=8, help="simulated shops to fit on")
    pairs.add_argument("--check-worlds", type=int, default=2, help="further ones, to check on")
    pairs.add_argument("--users", type=int, default=6000)
    pairs.add_argument("--days", type=int, default=45)
    pairs.add_argument("--innocent", type=float, default=1.0, help="innocent groups for each ring, at most")
    pairs.add_argument("--store", default="", help="URL of a store: plans on whose rings an analyst agreed are added")
    pairs.add_argument("--set", action="append", default=[], dest="knobs", help="KNOB=VALUE of the settings")

    tune = steps.add_parser("tune", help="fine-tunes a model on them")
    tune.add_argument("--pairs", type=Path, required=True, help="the folder that `pairs` wrote")
    tune.add_argument("--base", required=True, help="folder or name of the model to begin with")
    tune.add_argument("--out", type=Path, required=True, help="a folder: model/, adapter/ and training.json")
    tune.add_argument("--method", choices=("lora", "full"), default="lora")
    tune.add_argument("--rank", type=int, default=16, help="of the LoRA")
    tune.add_argument("--epochs", type=int, default=3)
    tune.add_argument("--rate", type=float, default=2e-4, help="learning rate")
    tune.add_argument("--batch", type=int, default=8, help="pairs between two steps")
    tune.add_argument("--most-tokens", type=int, default=6144, help="longer pairs are left out")
    tune.add_argument("--enough", type=float, default=0.0, help="ends when an epoch's mean loss is below")
    tune.add_argument("--device", default="cpu", help="cpu or cuda")
    tune.add_argument("--seed", type=int, default=7)

    gguf = steps.add_parser("gguf", help="writes a Falcon (of the first architecture) for llama.cpp")
    gguf.add_argument("model", type=Path, help="the folder model/ of a tuning")
    gguf.add_argument("out", type=Path)
    return parser


def _pairs(chosen: argparse.Namespace) -> None:
    import_module("training.narrator.pairs").run(chosen)


def _tune(chosen: argparse.Namespace) -> None:
    import_module("training.narrator.tune").run(chosen)


def _gguf(chosen: argparse.Namespace) -> None:
    import_module("training.narrator.falcon_gguf").main(chosen.model, chosen.out)


_RUN = {"pairs": _pairs, "tune": _tune, "gguf": _gguf}

if __name__ == "__main__":
    sys.exit(main())
