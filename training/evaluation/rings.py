"""Figures about rings: how many are found while most people in what is called belong there, and how soon."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from fraudgraph.durations import DAY_MS
from fraudgraph.graph.types import F64, I64
from training.evaluation.observe import Calls, Seen

Bool = npt.NDArray[np.bool_]

PURITY: Final = 0.9
SOON_DAYS: Final = 7.0


@dataclass(frozen=True, slots=True)
class TrueRings:
    """The true rings of all streams that events show as one by the last reading; all `[rings]`.

    Attributes:
        stream, ring: which. unit: resampled by. linked_ms: when its third account was linked.
        fresh: whether that was after the first reading, so that how soon it is found can be told.
    """

    stream: I64
    ring: I64
    unit: I64
    linked_ms: I64
    fresh: Bool
    typology: npt.NDArray[np.str_]


class RingCurve:
    """All groups that a model could call, in the order of its score, over all readings of all streams.

    Args:
        unit: by stream and call, what is resampled.
    """

    def __init__(self, seen: Sequence[Seen], calls: Sequence[Calls], unit: Sequence[I64], rings: TrueRings) -> None:
        score = np.concatenate([np.array(each.score, np.float64) for each in calls])
        order = np.argsort(-score, kind="stable")
        self._ends = np.flatnonzero(np.append(np.diff(score[order]) != 0, True)) if len(order) else np.empty(0, np.intp)
        self._unit = np.concatenate(list(unit))[order] if len(order) else np.empty(0, np.int64)
        self._inside = np.concatenate([np.array(each.inside, np.float64) for each in calls])[order]
        self._size = np.concatenate([np.array(each.size, np.float64) for each in calls])[order]
        self._rings = rings
        row_of = {key: row for row, key in enumerate(zip(rings.stream.tolist(), rings.ring.tolist(), strict=True))}
        # By the call's place in the order: the ring that it finds, -1 where none, and when.
        found = [
            row_of.get((stream, ring), -1) if right else -1
            for stream, each in enumerate(calls)
            for ring, right in zip(each.ring, each.right, strict=True)
        ]
        at_ms = [seen[stream].cuts_ms[reading] for stream, each in enumerate(calls) for reading in each.reading]
        self._found, self._at_ms = np.array(found, np.int64)[order], np.array(at_ms, np.int64)[order]
        self._place = np.full(len(rings.ring), len(order), np.int64)
        np.minimum.at(self._place, self._found[self._found >= 0], np.flatnonzero(self._found >= 0))
        self._lines: dict[bytes, int] = {}

    def line(self, weights: F64) -> int:
        """Returns how many calls, surest first, find the most rings at a purity of at least `PURITY`; 0 where none.

        Purity: people in called groups who belong to the ring that the group overlaps most, of all people in them.
        """
        key = weights.tobytes()  # every figure asks about the same resamples
        if key not in self._lines:
            self._lines[key] = self._line(weights)
        return self._lines[key]

    def _line(self, weights: F64) -> int:
        each = weights[self._unit]
        inside, size = np.cumsum(each * self._inside)[self._ends], np.cumsum(each * self._size)[self._ends]
        pure = np.flatnonzero((inside >= PURITY * size) & (size > 0))
        return int(self._ends[pure[-1]]) + 1 if len(pure) else 0

    def recall(self, weights: F64, rows: Bool | None = None) -> float:
        """Returns the part of the true rings, or of some, that is found at `line`."""
        each = weights[self._rings.unit] * (1.0 if rows is None else rows)
        return float(each @ (self._place < self.line(weights)) / each.sum()) if each.any() else float("nan")

    def purity(self, weights: F64) -> float:
        """Returns the purity at `line`."""
        last = self.line(weights)
        each = weights[self._unit[:last]]
        size = float(each @ self._size[:last])
        return float(each @ self._inside[:last]) / size if size else float("nan")

    def delays(self) -> F64:
        """Returns days from each ring's third linked account to the first reading that finds it, `[rings]`.

        At the `line` of all streams as they are; infinite where it is not found.
        """
        first = np.full(len(self._place), np.iinfo(np.int64).max, np.int64)
        called = np.flatnonzero(self._found[: self.line(np.ones(self._units()))] >= 0)
        np.minimum.at(first, self._found[called], self._at_ms[called])
        days = np.maximum(first.astype(np.float64) - self._rings.linked_ms, 0.0) / DAY_MS
        return np.where(first == np.iinfo(np.int64).max, np.inf, days)

    def _units(self) -> int:
        return int(max(self._unit.max(initial=-1), self._rings.unit.max(initial=-1))) + 1


def median_delay(days: F64, unit: I64) -> Callable[[F64], float]:
    """Returns the median delay of the rings that are found, by weights of units."""
    found = np.isfinite(days)

    def figure(weights: F64) -> float:
        repeated = np.repeat(days[found], weights[unit[found]].astype(np.int64))
        return float(np.median(repeated)) if len(repeated) else float("nan")

    return figure


def soon(days: F64, unit: I64, fresh: Bool) -> Callable[[F64], float]:
    """Returns the part of the fresh rings that is found within `SOON_DAYS`, by weights of units."""

    def figure(weights: F64) -> float:
        each = weights[unit] * fresh
        return float(each @ (days <= SOON_DAYS) / each.sum()) if each.any() else float("nan")

    return figure


def true_rings(seen: Sequence[Seen], unit_of: Callable[[int, int], int]) -> TrueRings:
    """Returns the true rings; `unit_of` says by stream and ring what it is resampled by."""
    rows = [
        (stream, ring, unit_of(stream, ring), told.linked_ms, told.linked_ms > each.cuts_ms[0], told.typology)
        for stream, each in enumerate(seen)
        if each.truth is not None
        for ring, told in enumerate(each.truth.rings)
        if told.linked_ms is not None and told.linked_ms <= each.cuts_ms[-1]
    ]
    stream, ring, unit, linked, fresh = np.array([row[:5] for row in rows], np.int64).reshape(-1, 5).T
    return TrueRings(stream, ring, unit, linked, fresh.astype(np.bool_), np.array([row[5] for row in rows], np.str_))
