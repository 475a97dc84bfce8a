"""Puts models beside each other on the same streams: `compare` for one stream, `compare_streams` for several.

A model is a function from a `Slice` to what it says of it (`Said`: log-odds of accounts and of rings); anything can be
one. All are asked about the same slices, and measured in the same resamples. Of several streams, whole streams are
resampled, which is all that can be said about another one. Of one stream, components are, whose accounts depend on each
other: such an interval speaks for that stream only.

    figures = compare({"trees": trees, "network": network}, stream.slices)
    found = figures.of("average precision", "network")
    print(found.value, found.low, found.high, figures.difference("average precision", "network", "trees"))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from fraudgraph.graph.types import F64, I64
from training.evaluation.alerts import alerts, money
from training.evaluation.figures import (
    ACCOUNTS,
    RESAMPLES,
    RINGS,
    Bool,
    Figure,
    Ranking,
    bootstrap,
    brier,
    calibration_error,
    mean,
    ratio,
)
from training.evaluation.observe import Losses, Model, Observed, Seen, observe
from training.evaluation.rings import RingCurve, TrueRings, median_delay, soon, true_rings
from training.gnn.dataset import Slice
from training.labels import POSITIVE, UNKNOWN
from training.reliability import Bin, reliability
from training.ring_truth import Truth

BUDGETS: Final = (10, 50, 100, 500)
"""Alerts a day."""

AVERAGE_PRECISION: Final = "average precision"
ROC_AUC: Final = "ROC-AUC (for comparison only)"
LIFT: Final = "lift at 1 %"
BRIER: Final = "Brier score"
CALIBRATION_ERROR: Final = "expected calibration error"
RING_RECALL: Final = "recall at 90 % purity"
RING_PURITY: Final = "purity there"
RING_DELAY: Final = "median days to detect"
RING_SOON: Final = "found within 7 days"


def at_budget(what: str, a_day: int) -> str:
    """Returns the name of a figure (`precision`, `recall`, `money stopped`, `money found`) at a budget."""
    return f"{what} at {a_day} a day"


@dataclass(frozen=True, slots=True)
class Counts:
    """What was measured on."""

    streams: int
    readings: int
    accounts: int
    frauds: int
    rings: int
    units: int
    resampled: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """All figures of all models, in the order in which the models were given.

    Attributes:
        reliability: by model, bins of what it said of accounts and what was true; where it says probabilities.
        curves: by model, recall and precision of accounts over all readings of all streams, to be drawn.
    """

    counts: Counts
    models: tuple[str, ...]
    figures: tuple[Figure, ...]
    reliability: Mapping[str, Sequence[Bin]]
    curves: Mapping[str, tuple[list[float], list[float]]]

    def of(self, name: str, model: str, *, level: str = ACCOUNTS, part: str = "") -> Figure:
        """Returns a figure.

        Raises:
            KeyError: it was not measured: no ring truth, no losses.
        """
        for each in self.figures:
            if (each.level, each.name, each.model, each.part) == (level, name, model, part):
                return each
        raise KeyError(f"{level}: {name} of {model} {part}")

    def difference(self, name: str, model: str, rival: str, *, level: str = ACCOUNTS, part: str = "") -> Figure:
        """Returns how much more a model's figure is than a rival's, in the same resamples."""
        return self.of(name, model, level=level, part=part).over(self.of(name, rival, level=level, part=part))

    def names(self, level: str, part: str = "") -> list[str]:
        """Returns the names of the figures that there are."""
        return list(dict.fromkeys(each.name for each in self.figures if (each.level, each.part) == (level, part)))

    def parts(self) -> list[str]:
        """Returns the typologies and segments that there are."""
        return list(dict.fromkeys(each.part for each in self.figures if each.part))


def compare(
    models: Mapping[str, Model],
    pieces: Sequence[Slice],
    *,
    truth: Truth | None = None,
    losses: Losses | None = None,
    budgets: Sequence[int] = BUDGETS,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Returns the figures of models on one stream, read once or several times.

    Args:
        models: by the name that reports show. One that was trained anew at each origin looks its cut up.
        pieces: readings in order of time, with `is_fraud` told, or `targets` by the label clock.
        truth: about rings; figures about them need it.
        losses: what fraud cost, by account; figures about money need it.
    """
    return compare_streams(models, [Observed(pieces, truth, losses)], budgets=budgets, resamples=resamples)


def compare_streams(
    models: Mapping[str, Model],
    streams: Iterable[Observed],
    *,
    budgets: Sequence[int] = BUDGETS,
    resamples: int = RESAMPLES,
    say: Callable[[str], None] = lambda words: None,
) -> Comparison:
    """Returns the figures of models on several streams, which are taken one after the other.

    Raises:
        ValueError: there is no stream, or none has a reading.
    """
    seen = []
    for stream in streams:
        seen.append(observe(models, stream))
        say(f"stream {len(seen)}: {len(seen[-1].names):,} accounts, {len(seen[-1].cuts_ms)} readings")
    seen = [each for each in seen if each.names]
    if not seen:
        raise ValueError("nothing to measure on: no stream has a reading with an account in it")
    measuring = _Measuring(seen, budgets, resamples)
    for model in models:
        measuring.accounts(model)
        measuring.rings(model)
    return Comparison(
        measuring.counts(), tuple(models), tuple(measuring.figures), measuring.reliability, measuring.curves
    )


class _Measuring:
    """Streams whose units are numbered: the streams themselves, or the components of the only one."""

    def __init__(self, seen: Sequence[Seen], budgets: Sequence[int], resamples: int) -> None:
        self._seen, self._budgets, self._resamples = seen, budgets, resamples
        self._alone = len(seen) == 1
        if self._alone:
            self._unit_of = [np.unique(seen[0].component, return_inverse=True)[1].astype(np.int64)]
            self._units = int(self._unit_of[0].max()) + 1
        else:
            self._unit_of = [np.full(len(each.names), number, np.int64) for number, each in enumerate(seen)]
            self._units = len(seen)
        self._typology = [_typologies(each) for each in seen]
        self._true_rings = true_rings(seen, (lambda _, ring: ring) if self._alone else (lambda stream, _: stream))
        self.figures: list[Figure] = []
        self.reliability: dict[str, list[Bin]] = {}
        self.curves: dict[str, tuple[list[float], list[float]]] = {}

    def counts(self) -> Counts:
        """Returns what was measured on."""
        frauds = sum(
            len(np.unique(np.concatenate([r[t == POSITIVE] for r, t in zip(each.rows, each.target, strict=True)])))
            for each in self._seen
        )
        return Counts(
            streams=len(self._seen),
            readings=sum(len(each.cuts_ms) for each in self._seen),
            accounts=sum(len(each.names) for each in self._seen),
            frauds=frauds,
            rings=len(self._true_rings.ring),
            units=self._units,
            resampled="components" if self._alone else "streams",
        )

    def accounts(self, model: str) -> None:
        """Measures what a model says of accounts."""
        self._rankings(model)
        self._probabilities(model)
        for a_day in self._budgets:
            self._budget(model, a_day)

    def rings(self, model: str) -> None:
        """Measures what a model says of rings, where the truth about them is known."""
        calls = [each.calls[model] for each in self._seen]
        if not any(each.score for each in calls):
            return
        units, unit = self._call_units(model)
        if not any(each.own_groups for each in calls):  # how precise a ranking is shows beside others of the same
            ranked = [
                (np.array(each.score, np.float64), np.array(each.true, np.bool_), of)
                for each, of in zip(calls, unit, strict=True)
            ]
            average = self._ranked(ranked, units, Ranking.average_precision)
            self._add(RINGS, AVERAGE_PRECISION, model, "", average, units)
        rings = self._true_rings
        if not len(rings.ring):
            return
        curve = RingCurve(self._seen, calls, unit, rings)
        self._add(RINGS, RING_RECALL, model, "", curve.recall, units)
        self._add(RINGS, RING_PURITY, model, "", curve.purity, units)
        days = np.where(rings.fresh, curve.delays(), np.inf)
        self._add(RINGS, RING_DELAY, model, "", median_delay(days, rings.unit), units)
        self._add(RINGS, RING_SOON, model, "", soon(days, rings.unit, rings.fresh), units)
        for kind in np.unique(rings.typology).tolist():
            self._typology_of_rings(model, kind, curve, days, rings, units)

    def _typology_of_rings(
        self, model: str, kind: str, curve: RingCurve, days: F64, rings: TrueRings, units: int
    ) -> None:
        rows = rings.typology == kind
        part = f"typology: {kind}"
        self._add(RINGS, RING_RECALL, model, part, lambda weights: curve.recall(weights, rows), units)
        self._add(RINGS, RING_DELAY, model, part, median_delay(np.where(rows, days, np.inf), rings.unit), units)

    def _call_units(self, model: str) -> tuple[int, list[I64]]:
        """Returns the unit of every call: the stream; of one stream the ring, or, of a group that is none, itself."""
        calls = [each.calls[model] for each in self._seen]
        if not self._alone:
            return self._units, [np.full(len(each.score), number, np.int64) for number, each in enumerate(calls)]
        ring, first = np.array(calls[0].ring, np.int64), np.array(calls[0].first, np.int64)
        rings = len(self._seen[0].truth.rings) if self._seen[0].truth is not None else 0
        unit = np.where(ring >= 0, ring, rings + np.unique(first, return_inverse=True)[1])
        return max(int(unit.max(initial=0)) + 1, rings), [unit]

    def _rankings(self, model: str) -> None:
        rows = [self._rows(number, model) for number in range(len(self._seen))]
        pooled = Ranking(*(np.concatenate(column) for column in zip(*[row[:3] for row in rows], strict=True)))
        self.curves[model] = pooled.curve()
        every = [(score, truth, unit) for score, truth, unit, _ in rows]
        for name, figure in (
            (AVERAGE_PRECISION, Ranking.average_precision),
            (LIFT, Ranking.lift),
            (ROC_AUC, Ranking.roc_auc),
        ):
            self._add(ACCOUNTS, name, model, "", self._ranked(every, self._units, figure))
        for part, kept in self._parts(rows):
            some = [(s[k], t[k], u[k]) for (s, t, u, _), k in zip(rows, kept, strict=True)]
            if any(truth.any() for _, truth, _ in some):
                self._add(
                    ACCOUNTS,
                    AVERAGE_PRECISION,
                    model,
                    part,
                    self._ranked(some, self._units, Ranking.average_precision),
                )

    def _probabilities(self, model: str) -> None:
        score, truth, unit = (
            np.concatenate(column)
            for column in zip(*[self._rows(n, model)[:3] for n in range(len(self._seen))], strict=True)
        )
        said = 1.0 / (1.0 + np.exp(-score))
        self.reliability[model] = reliability(said, truth, np.ones(len(said)))
        self._add(ACCOUNTS, BRIER, model, "", brier(said, truth, unit, self._units))
        self._add(ACCOUNTS, CALIBRATION_ERROR, model, "", calibration_error(said, truth, unit, self._units))

    def _budget(self, model: str, a_day: int) -> None:
        found = [alerts(each, model, a_day) for each in self._seen]
        hit, miss, wanted = ([getattr(each, name) for each in found] for name in ("hit", "miss", "wanted"))
        called = [h + m for h, m in zip(hit, miss, strict=True)]
        self._add(ACCOUNTS, at_budget("precision", a_day), model, "", ratio(self._sum(hit), self._sum(called)))
        self._add(ACCOUNTS, at_budget("recall", a_day), model, "", ratio(self._sum(hit), self._sum(wanted)))
        for part, kept in self._account_parts():
            of = [w * k for w, k in zip(wanted, kept, strict=True)]
            if not any(each.any() for each in of):
                continue
            caught = [h * k for h, k in zip(hit, kept, strict=True)]
            self._add(ACCOUNTS, at_budget("recall", a_day), model, part, ratio(self._sum(caught), self._sum(of)))
        worth = [money(each, alert) for each, alert in zip(self._seen, found, strict=True)]
        known = [each for each in worth if each is not None]
        if len(known) < len(worth):
            return
        stopped, reached, lost = (self._sum([each[column] for each in known]) for column in range(3))
        self._add(ACCOUNTS, at_budget("money stopped", a_day), model, "", ratio(stopped, lost))
        self._add(ACCOUNTS, at_budget("money found", a_day), model, "", ratio(reached, lost))

    def _rows(self, number: int, model: str) -> tuple[F64, Bool, I64, I64]:
        """Returns score, truth, unit and account of all readings of a stream where the truth is known."""
        each = self._seen[number]
        target, account = np.concatenate(each.target), np.concatenate(each.rows)
        sure = target != UNKNOWN
        score = np.concatenate(each.said[model])[sure].astype(np.float64)
        account = account[sure]
        return score, target[sure] == POSITIVE, self._unit_of[number][account], account

    def _parts(self, rows: Sequence[tuple[F64, Bool, I64, I64]]) -> list[tuple[str, list[Bool]]]:
        """Returns, by part, which rows belong: a typology's frauds and all honest, or a segment."""
        return [
            (
                part,
                [
                    kept[account] | (~truth if part.startswith("typology") else False)
                    for kept, (_, truth, _, account) in zip(of, rows, strict=True)
                ],
            )
            for part, of in self._account_parts()
        ]

    def _account_parts(self) -> list[tuple[str, list[Bool]]]:
        """Returns, by part, which accounts of each stream belong to it."""
        kinds = sorted({kind for each in self._typology for kind in np.unique(each).tolist() if kind})
        out = [(f"typology: {kind}", [each == kind for each in self._typology]) for kind in kinds]
        segments = list(dict.fromkeys(name for each in self._seen for name in each.segments))
        return [*out, *((f"segment: {name}", [each.segments[name] for each in self._seen]) for name in segments)]

    def _ranked(
        self, rows: Sequence[tuple[F64, Bool, I64]], units: int, figure: Callable[[Ranking, F64], float]
    ) -> Callable[[F64], float]:
        """Returns a ranking's figure under weights: of one stream, or its mean over several."""
        if self._alone:
            ranking = Ranking(*rows[0])
            return lambda weights: figure(ranking, weights)
        # A stream's score means something beside scores of its own.
        once = np.ones(units)
        return mean(np.array([figure(Ranking(*each), once) for each in rows]))

    def _sum(self, values: Sequence[F64]) -> F64:
        """Returns the sums of accounts' values by unit."""
        return sum(
            (np.bincount(unit, value, self._units) for unit, value in zip(self._unit_of, values, strict=True)),
            np.zeros(self._units),
        )

    def _add(
        self,
        level: str,
        name: str,
        model: str,
        part: str,
        figure: Callable[[F64], float],
        units: int | None = None,
    ) -> None:
        value, draws = bootstrap(figure, self._units if units is None else units, self._resamples)
        self.figures.append(Figure(level, name, model, part, value, draws))


def _typologies(seen: Seen) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
    """Returns the typology of each account's ring, empty where it is in none."""
    if seen.truth is None:
        return np.full(len(seen.names), "", dtype="U1")
    of, rings = seen.truth.ring_of, seen.truth.rings
    return np.array([rings[of[name]].typology if name in of else "" for name in seen.names], np.str_)
