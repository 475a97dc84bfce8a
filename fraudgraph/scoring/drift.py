"""How far what a model sees and says has moved from a reference: features, scores, the graph's shape, calibration.

Two measures of two samples of a number. The population stability index over bins between the reference's deciles,
`sum (p - q) ln(p / q)` (Siddiqi, Credit Risk Scorecards, 2006): 0.1 is a shift worth a look, 0.25 a large one. And the
Kolmogorov-Smirnov statistic, the largest distance of the two distributions. An index is counted as over its line only
where chance would not bring it: under no drift `psi * nm / (n + m)` is chi-squared with as many degrees of freedom as
there are bins less one (Yurdakul, Statistical Properties of Population Stability Index, 2018).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import msgspec
import numpy as np

from fraudgraph.errors import ConfigurationError, DependencyError
from fraudgraph.graph.types import F64

FILE: Final = "drift.json"
FORMAT: Final = 1
QUANTILES: Final = 129
"""A series is kept as so many evenly spaced quantiles of its sample."""
BINS: Final = 10
CHANCE: Final = 0.99999
"""An index that chance brings more often than one time in 100,000 is no drift: some fifty numbers are looked at."""

Kind = Literal["features", "scores", "graph"]
KINDS: Final[tuple[Kind, ...]] = ("features", "scores", "graph")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class DriftRules:
    """When a difference counts.

    Attributes:
        psi: population stability index from which a series has drifted.
        min_sample: a series with fewer values, on either side, is not judged.
        calibration: distance of the mean probability from the part that turned out fraud, from which a month counts.
        min_verdicts: a month with fewer alerts that have a verdict is not judged.
    """

    psi: float = 0.25
    min_sample: int = 100
    calibration: float = 0.15
    min_verdicts: int = 20


@dataclass(frozen=True, slots=True)
class Series:
    """A number's distribution, as the reference keeps it: `n` values, by their quantiles."""

    kind: Kind
    n: int
    quantiles: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """What a model is used to see.

    Attributes:
        model: name of the bundle, or `structural`; `digest` of the bundle, "" for none.
        policy_hash: of the link policy that the graph was made under.
        source: what it was measured on, in words.
        until_ms: event time of its latest event.
        simulated: of worlds that no shop is like: it says where a shop differs from these, and alarms nobody.
    """

    model: str
    digest: str
    policy_hash: str
    source: str
    until_ms: int
    series: Mapping[str, Series]
    simulated: bool = False
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class Drifted:
    """A series against its reference; `psi` and `ks` are None where there are too few values."""

    name: str
    kind: Kind
    n: int
    psi: float | None
    ks: float | None
    over: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """An alert with a verdict that came after it: what was said, and what turned out."""

    at_ms: int
    probability: float
    fraud: bool


@dataclass(frozen=True, slots=True)
class Month:
    """Alerts of a month (UTC) of which a verdict has arrived.

    Attributes:
        predicted: mean probability at the alert; `observed` part that turned out fraud.
        over: they differ by more than the line, and by more than chance would (1.96 standard errors).
    """

    month: str
    verdicts: int
    predicted: float
    observed: float
    over: bool


@dataclass(frozen=True, slots=True)
class Sample:
    """What is there now: values by name, and verdicts."""

    values: Mapping[str, tuple[Kind, F64]]
    outcomes: tuple[Outcome, ...] = ()


@dataclass(frozen=True, slots=True)
class DriftReport:
    """Everything against the reference.

    Attributes:
        model: what is in force; `why_not` says why nothing was compared, "" where it was.
        source, simulated: of the reference.
    """

    model: str
    why_not: str
    series: tuple[Drifted, ...] = ()
    months: tuple[Month, ...] = ()
    source: str = ""
    simulated: bool = False

    @property
    def over(self) -> bool:
        """Returns whether anything is over its line."""
        return any(each.over for each in self.series) or any(month.over for month in self.months)

    def largest(self, kind: Kind) -> tuple[float, float, int]:
        """Returns the largest index and distance of a kind's series, and how many are over the line."""
        of_kind = [each for each in self.series if each.kind == kind]
        psi = max((each.psi for each in of_kind if each.psi is not None), default=0.0)
        ks = max((each.ks for each in of_kind if each.ks is not None), default=0.0)
        return psi, ks, sum(each.over for each in of_kind)

    @property
    def calibration_gap(self) -> float:
        """Returns how far the mean probability of the latest judged month is from what turned out; 0 for none."""
        return self.months[-1].predicted - self.months[-1].observed if self.months else 0.0


def make_reference(
    sample: Sample,
    *,
    model: str,
    digest: str,
    policy_hash: str,
    source: str,
    until_ms: int,
    simulated: bool = False,
) -> Reference:
    """Returns the reference that a sample makes; series without values are left out."""
    grid = np.linspace(0.0, 1.0, QUANTILES)
    series = {
        name: Series(kind, len(values), tuple(_rounded(np.quantile(values, grid, method="nearest")).tolist()))
        for name, (kind, values) in sample.values.items()
        if len(values)
    }
    return Reference(model, digest, policy_hash, source, until_ms, series, simulated)


def compare(sample: Sample, reference: Reference, rules: DriftRules, *, model: str) -> DriftReport:
    """Returns a sample against the reference."""
    series = [
        _drifted(name, known, sample.values[name][1] if name in sample.values else np.empty(0), rules)
        for name, known in reference.series.items()
    ]
    ordered = sorted(series, key=lambda each: (KINDS.index(each.kind), -(each.psi or 0.0), each.name))
    said = tuple(months(sample.outcomes, rules))
    return DriftReport(model, "", tuple(ordered), said, reference.source, reference.simulated)


def months(outcomes: Iterable[Outcome], rules: DriftRules) -> list[Month]:
    """Returns the months with enough verdicts, in order."""
    by_month: dict[str, list[Outcome]] = {}
    for each in outcomes:
        moment = datetime.fromtimestamp(each.at_ms / 1000, UTC)
        by_month.setdefault(moment.strftime("%Y-%m"), []).append(each)
    return [_month(name, rows, rules) for name, rows in sorted(by_month.items()) if len(rows) >= rules.min_verdicts]


def _month(name: str, rows: Sequence[Outcome], rules: DriftRules) -> Month:
    said = np.array([row.probability for row in rows])
    predicted, observed = float(said.mean()), float(np.mean([row.fraud for row in rows]))
    error = float(np.sqrt((said * (1.0 - said)).sum())) / len(rows)
    gap = abs(predicted - observed)
    return Month(name, len(rows), predicted, observed, gap > max(rules.calibration, 1.96 * error))


def _drifted(name: str, known: Series, values: F64, rules: DriftRules) -> Drifted:
    if min(len(values), known.n) < rules.min_sample:
        return Drifted(name, known.kind, len(values), None, None, False)
    values = _rounded(values)
    psi, bins = stability(np.array(known.quantiles), values)
    return Drifted(
        name,
        known.kind,
        len(values),
        round(psi, 4),
        round(distance(np.array(known.quantiles), values), 4),
        psi > max(rules.psi, _by_chance(bins, known.n, len(values))),
    )


def stability(reference: F64, values: F64) -> tuple[float, int]:
    """Returns the population stability index of values against a reference's quantiles, and how many bins it has.

    Where many values are equal (most features are often 0) deciles coincide: such a value is a bin of its own. A bin
    that is empty on one side counts as half a value there; one that is empty on both is none.
    """
    deciles = np.quantile(reference, np.linspace(0.0, 1.0, BINS + 1)[1:-1], method="nearest")
    edges, times = np.unique(deciles, return_counts=True)
    edges = np.unique(np.concatenate((edges, np.nextafter(edges[times > 1], -np.inf))))
    p, q = (np.bincount(np.searchsorted(edges, x, side="left"), minlength=len(edges) + 1) for x in (values, reference))
    some = (p > 0) | (q > 0)
    parts, usual = (np.maximum(count[some], 0.5) / np.maximum(count[some], 0.5).sum() for count in (p, q))
    return float(((parts - usual) * np.log(parts / usual)).sum()), int(some.sum())


def distance(reference: F64, values: F64) -> float:
    """Returns the Kolmogorov-Smirnov statistic of the two samples, in [0, 1]."""
    from scipy.stats import ks_2samp

    return float(ks_2samp(reference, values, method="asymp").statistic)


def _rounded(values: F64) -> F64:
    """Returns values as a reference keeps them: many are equal, and must stay so."""
    return np.asarray(np.round(values, 6))


def _by_chance(bins: int, n: int, m: int) -> float:
    from scipy.stats import chi2

    return float(chi2.ppf(CHANCE, max(bins - 1, 1))) * (1.0 / n + 1.0 / m)


def write_reference(reference: Reference, folder: Path) -> Path:
    """Writes a reference into a model's folder, whole or not at all; one that is there is replaced.

    Raises:
        DependencyError: it cannot be written.
    """
    path = folder / FILE
    part = path.with_name(f".{FILE}.part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part.write_bytes(msgspec.json.format(msgspec.json.encode(reference), indent=0) + b"\n")
        part.replace(path)
    except OSError as error:
        raise DependencyError(
            f"the reference {path} cannot be written ({error.strerror})", do="Name a folder that you may write to."
        ) from error
    return path


def read_reference(folders: Iterable[Path]) -> Reference | None:
    """Returns the reference in the first of the folders that has one.

    Raises:
        ConfigurationError: it is damaged, or of another version.
    """
    for folder in folders:
        path = folder / FILE
        if not path.exists():
            continue
        try:
            reference = msgspec.json.decode(path.read_bytes(), type=Reference)
        except (OSError, msgspec.DecodeError) as error:
            raise ConfigurationError(
                f"{path} is no reference ({error})", do="Make it again: model reference."
            ) from error
        if reference.format != FORMAT:
            raise ConfigurationError(
                f"{path} is of format {reference.format}, this version reads {FORMAT}",
                do="Make it again: fraudgraph model reference.",
            )
        return reference
    return None
