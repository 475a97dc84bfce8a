"""Runs events through the engine in ticks of event time, and writes down what it calls rings, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import numpy.typing as npt

from fraudgraph.engine import Engine, EngineRules, Outcome
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.rings.identity import ring_serial
from fraudgraph.scoring.structural import StructuralScorer
from fraudgraph.streams.port import RawBatch
from training.replay import passing_decoder
from training.ring_truth import Judgement, Truth

Line = tuple[int, bytes]
"""Event time in ms, and the event as JSON."""


@dataclass(frozen=True, slots=True)
class Calls:
    """`n` groups that somebody calls rings, each with a score (higher is surer) and its judgement."""

    score: npt.NDArray[np.float64]
    judged: list[Judgement]

    def at(self, line: float) -> list[Judgement]:
        """Returns the groups with at least that score."""
        return [verdict for verdict, score in zip(self.judged, self.score.tolist(), strict=True) if score >= line]


def calls_of(groups: Sequence[Iterable[str]], scores: Sequence[float], truth: Truth) -> Calls:
    """Judges groups."""
    return Calls(np.array(scores, np.float64), [truth.judge(group) for group in groups])


@dataclass(slots=True)
class Watch:
    """What an engine said while the stream ran.

    Attributes:
        since_ms: alerts, and users in rings at the alert line, count from here.
        found_ms: true ring -> end of the first commit after which a ring at the alert line was it.
        surest: true ring -> highest probability of a ring that was it at the time.
        alerts: judgement of each ring when it was alerted; a ring can be alerted more than once.
        called: users who were in a ring at the alert line at any time.
        largest: most users of any ring after any commit.
    """

    truth: Truth
    line: float
    since_ms: int = 0
    found_ms: dict[int, int] = field(default_factory=dict)
    surest: dict[int, float] = field(default_factory=dict)
    alerts: list[Judgement] = field(default_factory=list)
    called: set[str] = field(default_factory=set)
    largest: int = 0

    @property
    def honest(self) -> set[str]:
        """Those of them who are outside all true rings."""
        return {user for user in self.called if user not in self.truth.ring_of}

    def see(self, engine: Engine, outcome: Outcome, now_ms: int) -> None:
        """Takes one commit in."""
        delta, key_of = outcome.delta, engine.graph.user_table.key_of
        alerted = {alert.ring_id for alert in delta.alerts}
        for name in sorted({row.ring_id for row in delta.rings} | set(delta.members)):
            team = engine.register.members.get(ring_serial(name))
            if team is None:
                continue
            self.largest = max(self.largest, len(team))
            probability = engine.rows[ring_serial(name)].probability
            users = [key_of[user] or "" for user in team.tolist()]
            verdict = self.truth.judge(users)
            if name in alerted and now_ms > self.since_ms:
                self.alerts.append(verdict)
            if probability >= self.line and now_ms > self.since_ms:
                self.called.update(users)
            if verdict.is_right:
                self.surest[verdict.ring] = max(self.surest.get(verdict.ring, 0.0), probability)
                if probability >= self.line:
                    self.found_ms.setdefault(verdict.ring, now_ms)


def new_engine() -> Engine:
    """Returns an engine as it ships."""
    return Engine(LinkPolicy(), EngineRules(), StructuralScorer())


def run(
    lines: Iterable[Line], engine: Engine, tick_ms: int, see: Callable[[Engine, Outcome, int], None]
) -> Iterator[int]:
    """Applies events in commits that each hold one tick of event time; yields the end of each.

    Args:
        lines: in order of time.
        see: called after each commit with the engine, the outcome, and the end of the tick.
    """
    decoder = passing_decoder()
    offset = 0
    for end_ms, values in _ticks(lines, tick_ms):
        offsets = list(range(offset, offset + len(values)))
        offset += len(values)
        raw = RawBatch(values, ["replay"], [0] * len(values), offsets, [at + 1 for at in offsets])
        outcome = engine.apply(decoder.decode(raw))
        if outcome.delta.dead_letters:
            raise ValueError(
                f"{len(outcome.delta.dead_letters)} events refused: {outcome.delta.dead_letters[0].detail}"
            )
        see(engine, outcome, end_ms)
        yield end_ms


def standing(engine: Engine, truth: Truth) -> Calls:
    """Returns the engine's living rings with their probabilities."""
    key_of = engine.graph.user_table.key_of
    serials = sorted(engine.register.members)
    groups = [[key_of[user] or "" for user in engine.register.members[serial].tolist()] for serial in serials]
    return calls_of(groups, [engine.rows[serial].probability for serial in serials], truth)


def _ticks(lines: Iterable[Line], tick_ms: int) -> Iterator[tuple[int, list[bytes]]]:
    for tick, some in groupby(lines, key=lambda line: line[0] // tick_ms):
        yield (tick + 1) * tick_ms, [line for _, line in some]
