"""Models on real data: `python -m training.real.evaluate --out docs/results-real.md`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from training.evaluate_rings import DATA
from training.real import circular, ecom, p2p
from training.real.note import Results, document

EPOCHS, QUICK_EPOCHS = 6, 1
SEED = 1


def results(folder: Path, seed: int, epochs: int) -> Results:
    """Runs everything once."""
    slices = p2p.read(folder / "p2p")
    origins = p2p.judge(slices, seed, epochs, _say)
    circle = circular.judge(slices[-1], p2p.reported(slices[-1]), seed)
    _say("circular target")
    shop = ecom.judge(folder / "ecom", seed, epochs, _say)
    return Results(
        seed=seed,
        epochs=epochs,
        origins=origins,
        learnt={each.name: p2p.learnt_from(slices, each.name) for each in origins},
        circular=circle,
        shop=shop,
    )


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs everything once and writes the note."""
    parser = argparse.ArgumentParser(prog="python -m training.real.evaluate", description=__doc__)
    parser.add_argument("--out", type=Path, help="Markdown file to write; printed where absent")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the real data (default: ../shared/data)")
    parser.add_argument("--seed", type=int, default=SEED, help="of all models and of what is resampled")
    parser.add_argument("--quick", action="store_true", help="a network that hardly learns: to see that it runs")
    options = parser.parse_args(arguments)
    found = results(options.data, options.seed, QUICK_EPOCHS if options.quick else EPOCHS)
    if options.out is None:
        print(document(found))
    else:
        options.out.write_text(document(found), encoding="utf-8")


if __name__ == "__main__":
    main()
