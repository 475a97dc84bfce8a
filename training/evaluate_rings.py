"""Measures what the shipped detector finds, ring by ring: `python -m training.evaluate_rings --out docs/results.md`.

Nothing is tuned here: link policy, rules, scorer and calibration are those of the package, and the seeds are none that
a calibration used. Real data is read from `../shared/data` beside the checkout; without it, its parts are left out.
"""

from __future__ import annotations

import argparse
import sys
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from fraudgraph.durations import DAY_MS, HOUR_MS
from fraudgraph.scoring.calibration import FILE
from fraudgraph.simulate.spec import WorldSpec
from fraudgraph.simulate.world import World, simulate
from training.hostile import Hostility, hostile
from training.planted import load_background, plant
from training.real_rings import farms, lift
from training.ring_comparison import LINE, Case, Comparison, case_of, compare
from training.ring_results import HostileFigures, Results, document
from training.ring_truth import Truth, truth_of
from training.ring_watch import Line, Watch, new_engine, run

DATA = Path(__file__).parents[2] / "shared" / "data"
TICK_MS = 6 * HOUR_MS
COMMIT_MS = 4 * HOUR_MS
"""Of a hostile world: about a thousand events a commit, as the shipped configuration has it."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is run.

    Attributes:
        worlds, planted, hostile: how many seeds of each part, from its first one on.
        users, days: of a simulated world.
        members: accounts in planted rings, per seed.
    """

    worlds: int = 10
    planted: int = 10
    hostile: int = 3
    users: int = 20_000
    days: int = 30
    members: int = 350
    hostility: Hostility = field(default_factory=Hostility)
    first_seeds: tuple[int, int, int] = (70_001, 71_001, 73_001)

    @property
    def seeds(self) -> tuple[range, range, range]:
        """Returns the seeds of the simulated, the planted and the hostile part."""
        simulated, planted, hostile = self.first_seeds
        return (
            range(simulated, simulated + self.worlds),
            range(planted, planted + self.planted),
            range(hostile, hostile + self.hostile),
        )


FULL = Scale()
QUICK = Scale(worlds=3, planted=1, hostile=1, users=4_000, hostility=Hostility(1_000, 400, 300))


def evaluate(scale: Scale, data: Path) -> Results:
    """Returns all figures; those of real data are None where `data` is absent."""
    p2p, ecom = data / "p2p", data / "ecom"
    background = load_background(p2p) if p2p.is_dir() else None
    planted = None
    if background is not None:
        cases = []
        for seed in scale.seeds[1]:
            lines, truth = plant(background, seed, scale.members)
            cases.append(case_of(lines, truth, DAY_MS, background.start_ms))
            _say(f"planted seed {seed}", cases[-1])
        planted = compare(cases, 7 * DAY_MS)
    return Results(
        scale=scale,
        calibration_seeds=calibration_seeds(scale),
        simulated=simulated(scale),
        planted=planted,
        lift=lift(background) if background is not None else None,
        farms=farms(ecom) if ecom.is_dir() else None,
        hostile=[hostile_figures(scale, seed) for seed in scale.seeds[2]],
    )


def simulated(scale: Scale) -> Comparison:
    """Returns the figures of the simulator's worlds."""
    cases = []
    for seed in scale.seeds[0]:
        world = simulate(WorldSpec(seed=seed, users=scale.users, days=scale.days))
        cases.append(case_of(lines_of(world), truth_of(world), TICK_MS))
        _say(f"simulated seed {seed}", cases[-1])
    return compare(cases, DAY_MS)


def hostile_figures(scale: Scale, seed: int) -> HostileFigures:
    """Runs a world without and with hostile events, and returns what changed."""
    world = simulate(WorldSpec(seed=seed, users=scale.users, days=scale.days))
    truth, clean = truth_of(world), lines_of(world)
    added = hostile(world, scale.hostility, seed)
    _timed(clean[: len(clean) // 10], truth)  # compiles what a world needs
    clean_rate, clean_watch = _timed(clean, truth)
    mixed = sorted([*clean, *added.lines], key=lambda line: line[0])
    hostile_rate, watch = _timed(mixed, truth)
    _say(f"hostile seed {seed}")
    return HostileFigures(
        share=len(added.lines) / len(mixed),
        rate_ratio=clean_rate / hostile_rate,
        largest=(clean_watch.largest, watch.largest),
        honest=(len(clean_watch.honest), len(watch.honest)),
        honest_by_structure={name: len(watch.honest & users) for name, users in added.touched.items()},
        found=(len(clean_watch.found_ms), len(watch.found_ms)),
        rings=len(truth.rings),
    )


def _timed(lines: Sequence[Line], truth: Truth) -> tuple[float, Watch]:
    """Returns events per second of processor time, of decoding and applying, and what was seen."""
    watch, engine = Watch(truth, LINE), new_engine()
    watching = 0.0

    def see(*commit: object) -> None:
        nonlocal watching
        began = time.process_time()
        watch.see(*commit)  # type: ignore[arg-type]  # passed through
        watching += time.process_time() - began

    began = time.process_time()
    for _ in run(lines, engine, COMMIT_MS, see):
        pass
    return len(lines) / (time.process_time() - began - watching), watch


def lines_of(world: World) -> list[Line]:
    """Returns a world's events with their times."""
    lines = [line for chunk in world.lines() for line in chunk.splitlines()]
    return list(zip(world.events.ts.tolist(), lines, strict=True))


def calibration_seeds(scale: Scale) -> str:
    """Returns the seeds that the shipped calibration was made from, as its file tells."""
    told = tomllib.loads(files("fraudgraph.scoring").joinpath(FILE).read_text(encoding="utf-8")).get("provenance", {})
    spans = [told[name] for name in ("fit_seeds", "check_seeds") if name in told]
    for low, high in spans:
        if any(low <= seed <= high for seeds in scale.seeds for seed in seeds):
            raise SystemExit(f"the calibration was made from seeds {low} to {high}, which are kept for the evaluation")
    return ", ".join(f"{low:,} to {high:,}" for low, high in spans) or "none: it is provisional"


def _say(what: str, case: Case | None = None) -> None:
    detail = "" if case is None else f": {len(case.watch.found_ms)} of {len(case.truth.rings)} rings alerted"
    print(f"{time.strftime('%H:%M:%S')} {what}{detail}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs everything and writes the note."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate_rings", description=__doc__)
    parser.add_argument("--out", type=Path, help="Markdown file to write; printed where absent")
    parser.add_argument("--quick", action="store_true", help="fewer and smaller worlds: to see that it runs")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the real data (default: ../shared/data)")
    options = parser.parse_args(arguments)
    text = document(evaluate(QUICK if options.quick else FULL, options.data))
    if options.out is None:
        print(text)
    else:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
