"""What models say of a stream, reading by reading, kept as scores: the slices themselves can be let go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from fraudgraph.durations import DAY_MS
from fraudgraph.graph.types import F64, I8, I64
from fraudgraph.scoring.gnn.features import HEAD_FEATURES
from training.gnn.dataset import Slice
from training.gnn.measure import Said
from training.labels import POSITIVE, UNKNOWN
from training.ring_truth import Truth

Bool = npt.NDArray[np.bool_]
Model = Callable[[Slice], Said]
"""What every model is here: from a slice to log-odds of its accounts and rings. It may look at nothing later."""

NEVER: Final = np.iinfo(np.int64).max
NEW_DAYS: Final = 7.0
_AGE: Final = HEAD_FEATURES.index("age")


@dataclass(frozen=True, slots=True)
class Losses:
    """`n` fraudulent amounts; whose account, when, and how much.

    Attributes:
        user: `[n]` key of the account that moved the money (a victim's where it was taken over).
        ts_ms, minor: `[n]` int64 time, and minor units of one currency.
    """

    user: Sequence[str]
    ts_ms: I64
    minor: I64


@dataclass(frozen=True, slots=True)
class Observed:
    """A stream to measure on.

    Attributes:
        slices: readings in order of time. Truth about accounts is `is_fraud` where that is told, else `targets`.
            Accounts that were known as fraud by a reading (`known`) are no find there.
        truth: about rings, where it is known. losses: where they are.
    """

    slices: Iterable[Slice]
    truth: Truth | None = None
    losses: Losses | None = None


@dataclass(slots=True)
class Calls:
    """Groups that could be called rings, over all readings; all `[n]`.

    Attributes:
        score: log-odds, or whatever a detector of its own groups ranks by.
        true: whether it is a ring: by majority of members.
        ring: the true ring that it overlaps most, -1 where none or not known. right: found it (Jaccard 0.5).
        inside, size: members who belong to that ring, and all.
        first: smallest number of an account in it: who it is, where nobody knows better.
        reading: which.
        own_groups: whether the detector found them itself, and did not rank the slices' rings.
    """

    score: list[float] = field(default_factory=list)
    true: list[bool] = field(default_factory=list)
    ring: list[int] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    inside: list[int] = field(default_factory=list)
    size: list[int] = field(default_factory=list)
    first: list[int] = field(default_factory=list)
    reading: list[int] = field(default_factory=list)
    own_groups: bool = False


@dataclass(slots=True)
class Seen:
    """A stream after all models have read it.

    Attributes:
        names: of the accounts, numbered as they were first read.
        cuts_ms: of the readings. days: that each stands for.
        rows: by reading, numbers of its accounts. target: by reading, what is true of each; `UNKNOWN` is left out.
        alertable: by reading, accounts that are not known yet.
        known_ms: `[names]` the first reading at which each was known as fraud, `NEVER` where it was not.
        said: by model and reading, log-odds of the accounts.
        calls: by model.
        segments: `[names]` by name: who belongs to it, as of the first reading that has the account.
        component: `[names]` of each account at the last reading that has it.
    """

    truth: Truth | None
    losses: Losses | None
    names: list[str] = field(default_factory=list)
    cuts_ms: list[int] = field(default_factory=list)
    rows: list[I64] = field(default_factory=list)
    target: list[I8] = field(default_factory=list)
    alertable: list[Bool] = field(default_factory=list)
    said: dict[str, list[npt.NDArray[np.float32]]] = field(default_factory=dict)
    calls: dict[str, Calls] = field(default_factory=dict)
    segments: dict[str, Bool] = field(default_factory=dict)
    known_ms: I64 = field(default_factory=lambda: np.empty(0, np.int64))
    component: I64 = field(default_factory=lambda: np.empty(0, np.int64))

    @property
    def days(self) -> list[float]:
        """Days between each reading and the one before; the first one counts as the second, one alone as a day."""
        gaps = [(later - earlier) / DAY_MS for earlier, later in pairwise(self.cuts_ms)]
        return [gaps[0] if gaps else 1.0, *gaps]


def observe(models: Mapping[str, Model], stream: Observed) -> Seen:
    """Lets all models read a stream and returns what they said."""
    seen = Seen(stream.truth, stream.losses, said={name: [] for name in models}, calls={n: Calls() for n in models})
    number_of: dict[str, int] = {}
    parts: dict[str, list[Bool]] = {name: [] for name in SEGMENTS}
    component: dict[int, int] = {}
    in_ring: set[int] = set()
    known_ms: dict[int, int] = {}
    for at, piece in enumerate(stream.slices):
        fresh = [name for name in piece.names if name not in number_of]
        number_of.update(zip(fresh, range(len(number_of), len(number_of) + len(fresh)), strict=True))
        rows = np.array([number_of[name] for name in piece.names], np.int64)
        first = rows >= len(number_of) - len(fresh)
        for name, segment in SEGMENTS.items():
            parts[name].append(segment(piece)[first])
        in_ring.update(rows[piece.rings.member].tolist())
        component.update(zip(rows.tolist(), (at << 32 | components_of(piece)).tolist(), strict=True))
        target, known = _target(piece), piece.known
        alertable = np.ones(len(rows), np.bool_) if known is None else known != POSITIVE
        seen.cuts_ms.append(piece.cut.cut_ms)
        seen.rows.append(rows)
        seen.target.append(np.where(alertable, target, UNKNOWN).astype(np.int8))
        seen.alertable.append(alertable)
        for number in rows[~alertable].tolist():
            known_ms.setdefault(number, piece.cut.cut_ms)
        own = _Judged(piece, stream.truth, rows)
        for name, model in models.items():
            said = model(piece)
            seen.said[name].append(said.users.astype(np.float32))
            own.take(said, seen.calls[name], at)
    seen.names = list(number_of)
    seen.segments = {name: np.concatenate([np.empty(0, np.bool_), *of]) for name, of in parts.items()}
    everybody = np.arange(len(seen.names))
    seen.segments["shares what rings share"] = np.isin(everybody, list(in_ring))
    seen.segments["shares nothing with a ring"] = ~seen.segments["shares what rings share"]
    seen.known_ms = np.array([known_ms.get(number, NEVER) for number in everybody.tolist()], np.int64)
    seen.component = np.array([component[number] for number in everybody.tolist()], np.int64)
    return seen


def components_of(piece: Slice) -> I64:
    """Returns a number of each account, `[u]`: accounts of one ring have one, and whoever is in none is alone.

    Rings and not whole components: over addresses and IPs nearly everybody is in one.
    """
    unit = np.arange(len(piece.users), dtype=np.int64)
    starts = piece.rings.starts
    unit[piece.rings.member] = len(unit) + np.repeat(np.arange(len(piece.rings)), np.diff(starts))
    return unit


def _age_days(piece: Slice) -> F64:
    return np.exp2(piece.head[:, _AGE].astype(np.float64)) - 1.0


SEGMENTS: Final[dict[str, Callable[[Slice], Bool]]] = {
    "new when first read": lambda piece: _age_days(piece) < NEW_DAYS,
    "older when first read": lambda piece: _age_days(piece) >= NEW_DAYS,
}


def _target(piece: Slice) -> I8:
    if piece.is_fraud is not None:
        return piece.is_fraud
    if piece.targets is None:
        return np.full(len(piece.users), UNKNOWN, np.int8)
    return piece.targets.target


class _Judged:
    """A slice's rings beside the truth, judged once for all models."""

    def __init__(self, piece: Slice, truth: Truth | None, rows: I64) -> None:
        self._piece, self._truth, self._rows = piece, truth, rows
        self._own: Calls | None = None

    def take(self, said: Said, calls: Calls, reading: int) -> None:
        """Adds what a model said of rings to its calls."""
        if said.groups is not None and self._truth is not None:
            judged = self._judge(said.groups.teams)
            score, calls.own_groups = said.groups.score, True
        elif self._truth is not None or self._piece.is_ring is not None:
            if self._own is None:
                self._own = self._judge(self._piece.rings.teams(), self._piece.is_ring)
            judged = self._own
            score = said.rings
        else:
            return
        calls.score += score.tolist()
        calls.reading += [reading] * len(score)
        for name in ("true", "ring", "right", "inside", "size", "first"):
            getattr(calls, name).extend(getattr(judged, name))

    def _judge(self, teams: Sequence[npt.NDArray[np.int32]], told: Bool | None = None) -> Calls:
        out = Calls()
        for number, team in enumerate(teams):
            names = [self._piece.names[row] for row in team.tolist()]
            verdict = (self._truth or _NOBODY).judge(names)
            out.ring.append(verdict.ring)
            out.right.append(verdict.is_right)
            out.inside.append(verdict.inside)
            out.size.append(verdict.size)
            out.true.append(2 * verdict.inside >= verdict.size > 0 if told is None else bool(told[number]))
            out.first.append(int(self._rows[team].min()))
        return out


_NOBODY = Truth([], 0)
