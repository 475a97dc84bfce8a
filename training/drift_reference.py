"""What the shipped model is used to see, out of the simulated worlds that it was trained on.

    python -m training.drift_reference fraudgraph/bundles/default

writes `drift.json` beside the bundle. It says what those worlds looked like and not what a shop looks like: `fraudgraph
model reference` makes a shop's own, which goes before it. `--structural FOLDER` does the same for the scorer without a
network. Some 20 minutes on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from fraudgraph.drift_watch import sample_of
from fraudgraph.engine import Engine, EngineRules
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.graph.types import F64
from fraudgraph.scoring.bundle import Bundle, read_bundle
from fraudgraph.scoring.drift import Kind, Reference, Sample, make_reference, write_reference
from fraudgraph.scoring.structural import StructuralScorer
from fraudgraph.simulate.world import simulate
from training.gnn.worlds import draw_shop, lines_of
from training.replay import passing_decoder, replay

FIRST_SEED: Final = 93_000
"""The worlds that the default bundle's ring head was fitted on (`configs/training/default.toml`)."""


def measure(seeds: Sequence[int], users: int, bundle: Bundle | None) -> Reference:
    """Returns the reference that the end states of some worlds make together."""
    samples, until_ms = [], 0
    policy = LinkPolicy()
    for seed in seeds:
        drawn = draw_shop(seed, users)
        engine = Engine(policy, EngineRules(), StructuralScorer(), bundle=bundle)
        for _ in replay(lines_of(simulate(drawn.spec), drawn), engine, passing_decoder()):
            pass
        samples.append(sample_of(engine))
        until_ms = max(until_ms, drawn.spec.end_ms)
        print(f"world {seed}: {len(engine.rows):,} rings", flush=True)
    return make_reference(
        Sample(_together([sample.values for sample in samples])),
        model="structural" if bundle is None else bundle.name,
        digest="" if bundle is None else bundle.manifest.digest,
        policy_hash=policy.hash,
        source=f"{len(seeds)} simulated worlds, seeds {seeds[0]} to {seeds[-1]}",
        until_ms=until_ms,
        simulated=True,
    )


def _together(parts: Sequence[Mapping[str, tuple[Kind, F64]]]) -> dict[str, tuple[Kind, F64]]:
    names = dict.fromkeys(name for part in parts for name in part)
    kinds = {name: kind for part in parts for name, (kind, _) in part.items()}
    return {name: (kinds[name], np.concatenate([part[name][1] for part in parts if name in part])) for name in names}


def main() -> None:
    """Measures the worlds and writes the reference."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("folder", type=Path, help="of the bundle; where the reference is written")
    ask.add_argument("--structural", action="store_true", help="of the scorer without a network")
    ask.add_argument("--worlds", type=int, default=20)
    ask.add_argument("--users", type=int, default=6000, help="of the largest world")
    asked = ask.parse_args()
    bundle = None if asked.structural else read_bundle(asked.folder)
    reference = measure(range(FIRST_SEED, FIRST_SEED + asked.worlds), asked.users, bundle)
    print(f"wrote {write_reference(reference, asked.folder)}: {len(reference.series)} numbers")


if __name__ == "__main__":
    main()
