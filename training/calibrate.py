"""Calibrates the structural scorer on simulated worlds: `python -m training.calibrate --write`.

Whoever wrote the simulator also wrote the scorer, so the fit is held back on purpose. The slope that the worlds ask
for is moved half of the way (in its logarithm) to 1, where the weights count as they were written down; the intercept
is set for a stated part of rings among candidates, lower than in the worlds; worlds of several such parts, lengths
and richness of events are mixed. What the worlds would ask for is printed and kept beside.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

import fraudgraph
from fraudgraph.scoring.calibration import FILE, Calibration
from fraudgraph.scoring.evidence import EvidenceRules, contributions
from fraudgraph.scoring.structural import StructuralScorer
from fraudgraph.simulate.spec import TYPOLOGIES, WorldSpec
from training.reliability import average_precision, brier, calibration_error, precision_interval, reliability
from training.worlds import Labelled, concatenate, labelled_candidates

F64 = npt.NDArray[np.float64]

PRIOR = 0.02
"""Rings among candidates: a stand-in. Of users who share a card or device on a real payment platform 1.3 % are known
to be fraudulent, which is known to be an undercount."""
RING_SHARES = (0.003, 0.007, 0.012, 0.02)
DAYS = (30, 45, 90)
USERS = 8_000
FIT_SEED, CHECK_SEED = 1_000, 5_000


@dataclass(frozen=True, slots=True)
class Fit:
    """A calibration, and the slope and intercept that the worlds alone would ask for."""

    calibration: Calibration
    asked: Calibration


def worlds(first_seed: int, count: int) -> Labelled:
    """Returns the candidates of `count` worlds: parts of rings and lengths in turn, every fourth a thin stream."""
    scorer = StructuralScorer(calibration=Calibration(1.0, -4.0))
    parts = []
    for number in range(count):
        spec = WorldSpec(
            seed=first_seed + number,
            users=USERS,
            days=DAYS[number % len(DAYS)],
            ring_share=RING_SHARES[number // len(DAYS) % len(RING_SHARES)],
        )
        parts.append(labelled_candidates(spec, scorer, number, thin=number % 4 == 3))
        print(f"world {number + 1} of {count}: {len(parts[-1])} candidates", file=sys.stderr, flush=True)
    return concatenate(parts)


def prior_weights(truth: npt.NDArray[np.bool_], prior: float) -> F64:
    """Returns weights under which a part `prior` is true; they sum to the number of rows."""
    share = float(truth.mean())
    return np.asarray(np.where(truth, prior / share, (1.0 - prior) / (1.0 - share)))


def fit(data: Labelled, rules: EvidenceRules) -> Fit:
    """Returns Platt's slope and intercept by weighted maximum likelihood, the slope held back."""
    from sklearn.linear_model import LogisticRegression

    structural = contributions(data.features, rules).sum(axis=1)
    weight = prior_weights(data.is_ring, PRIOR)
    model = LogisticRegression(C=1e6).fit(structural[:, None], data.is_ring, sample_weight=weight)
    asked = Calibration(float(model.coef_[0, 0]), float(model.intercept_[0]))
    slope = round(float(np.sqrt(asked.slope)), 2)
    return Fit(Calibration(slope, round(_intercept(slope * structural, weight), 2)), asked)


def _intercept(log_odds: F64, weight: F64) -> float:
    """Returns what to add to log-odds so that their mean probability is the prior."""
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2.0
        mean = float(np.average(1.0 / (1.0 + np.exp(-(log_odds + middle))), weights=weight))
        low, high = (low, middle) if mean > PRIOR else (middle, high)
    return (low + high) / 2.0


def check(data: Labelled, calibration: Calibration, rules: EvidenceRules) -> list[str]:
    """Returns the lines of a report on worlds that the calibration has not seen."""
    scorer = StructuralScorer(rules, calibration)
    said = scorer.score(data.features).probability
    weight = prior_weights(data.is_ring, PRIOR)
    low, high = precision_interval(said, data.is_ring, data.world)
    lines = [
        f"{len(data):,} candidates of {len(np.unique(data.world))} held-out worlds, {int(data.is_ring.sum()):,} of them"
        f" rings ({data.is_ring.mean():.1%}), weighted to {PRIOR:.0%}",
        f"  Brier score {brier(said, data.is_ring, weight):.4f} (always the prior: {PRIOR * (1 - PRIOR):.4f}),"
        f" calibration error {calibration_error(said, data.is_ring, weight):.4f}",
        f"  average precision {average_precision(said, data.is_ring):.3f}, 95 % interval {low:.3f} to {high:.3f}"
        " over worlds (not weighted)",
        "  probability    candidates   said    true",
    ]
    for b in reliability(said, data.is_ring, weight):
        lines.append(f"  {b.low:4.2f} to {b.high:4.2f} {b.count:12,} {b.said:6.3f}  {b.true:6.3f}")
    lines.append("  average precision by typology     rings  without it  alone   found at 0.5")
    for typology in TYPOLOGIES:
        its = data.typology == typology
        if its.any():
            without, alone = ~its, its | ~data.is_ring
            lines.append(
                f"    {typology:26} {int(its.sum()):8,} {average_precision(said[without], data.is_ring[without]):11.3f}"
                f" {average_precision(said[alone], its[alone]):6.3f} {float((said[its] >= 0.5).mean()):14.1%}"
            )
    forest = _with_forests(data, calibration, rules)
    lines.append(
        f"  with an Isolation Forest per world: average precision {average_precision(forest, data.is_ring):.3f},"
        f" Brier score {brier(forest, data.is_ring, weight):.4f},"
        f" calibration error {calibration_error(forest, data.is_ring, weight):.4f}"
    )
    false = int(((said >= 0.5) & ~data.is_ring).sum())
    lines.append(f"  at 0.5: {false:,} false of {int((said >= 0.5).sum()):,}")
    return lines


def _with_forests(data: Labelled, calibration: Calibration, rules: EvidenceRules) -> F64:
    """Returns probabilities as a shop has them that has fitted a forest on its own candidates, where it had enough."""
    said = np.zeros(len(data))
    for number in np.unique(data.world):
        rows = data.world == number
        scorer = StructuralScorer(rules, calibration)
        scorer.observe(data.features[rows])
        said[rows] = scorer.score(data.features[rows]).probability
    return said


def provenance(fitted: Fit, fit_worlds: int, check_worlds: int, report: Sequence[str], rules: EvidenceRules) -> str:
    """Returns the text of the calibration file."""
    comment = "\n".join(f"# {line}".rstrip() for line in report)
    return f"""\
# Written by `python -m training.calibrate --write`, from simulated worlds only. Do not edit: fit it again.
# log-odds of a ring = slope x structural log-odds + intercept.
#
{comment}

slope = {fitted.calibration.slope}
intercept = {fitted.calibration.intercept}

[provenance]
code_version = "{fraudgraph.__version__}"
evidence_rules = "{rules.hash}"
prior = {PRIOR}
slope_asked = {fitted.asked.slope:.4f}
intercept_asked = {fitted.asked.intercept:.4f}
fit_seeds = [{FIT_SEED}, {FIT_SEED + fit_worlds - 1}]
check_seeds = [{CHECK_SEED}, {CHECK_SEED + check_worlds - 1}]
ring_shares = {list(RING_SHARES)}
days = {list(DAYS)}
users = {USERS}
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Fits on one set of worlds, checks on another, prints the report, and writes the file where asked."""
    parser = argparse.ArgumentParser(prog="python -m training.calibrate", description=__doc__)
    parser.add_argument(
        "--worlds", type=int, default=24, help="worlds to fit on, and as many to check on (default: 24)"
    )
    parser.add_argument("--write", action="store_true", help=f"write fraudgraph/scoring/{FILE}")
    options = parser.parse_args(arguments)
    rules = EvidenceRules()
    fitted = fit(worlds(FIT_SEED, options.worlds), rules)
    held_out = worlds(CHECK_SEED, options.worlds)
    report = [
        f"The worlds ask for slope {fitted.asked.slope:.2f} and intercept {fitted.asked.intercept:.2f};"
        f" held back to {fitted.calibration.slope:.2f} and {fitted.calibration.intercept:.2f}.",
        "Held back:",
        *check(held_out, fitted.calibration, rules),
        "As asked for:",
        *check(held_out, fitted.asked, rules)[1:2],
    ]
    print("\n".join(report))
    if options.write:
        import fraudgraph.scoring

        path = Path(fraudgraph.scoring.__path__[0]) / FILE
        path.write_text(provenance(fitted, options.worlds, options.worlds, report, rules), encoding="utf-8")


if __name__ == "__main__":
    main()
