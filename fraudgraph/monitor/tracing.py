"""Spans of what the daemon does: wrapped around its parts where it is put together, so they cost nothing when off.

A span says how long something took and how many things it was about. It holds counts only: no field could carry a name.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from fraudgraph.daemon import Observer, Step, Totals
from fraudgraph.delivery import Errand
from fraudgraph.narrative.pack import EvidencePack
from fraudgraph.narrative.port import Failure, Planner, PlanReply
from fraudgraph.streams.port import RawBatch, Stream


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time; times in ns since the epoch.

    Attributes:
        failed: it ended with an error.
        parts: spans within it.
    """

    name: str
    began_ns: int
    ended_ns: int
    counts: Mapping[str, int] = field(default_factory=dict)
    failed: bool = False
    parts: Sequence[Span] = ()


class Tracer(Protocol):
    """Where spans go. `add` is called from any thread, returns at once and never fails."""

    def add(self, span: Span) -> None:
        """Takes a span that has ended."""
        ...


@dataclass(frozen=True, slots=True)
class Clock:
    """Time at the edge: since the epoch, and monotonic, as `committer.Committed` has it."""

    wall_ns: Callable[[], int] = time.time_ns
    monotonic_s: Callable[[], float] = time.monotonic


class TracedLoop:
    """The stream and the observer of a daemon, which together see a batch from its poll to its acknowledgement."""

    def __init__(self, tracer: Tracer, stream: Stream, observer: Observer, clock: Clock | None = None) -> None:
        self._tracer = tracer
        self._stream = stream
        self._observer = observer
        self._clock = clock or Clock()
        self._polled = Span("poll", 0, 0)
        self._under_way: deque[tuple[Span, int]] = deque()

    def seek(self, positions: Mapping[str, int]) -> None:
        """As the stream's."""
        self._stream.seek(positions)

    def poll(self, max_records: int) -> RawBatch | None:
        """As the stream's."""
        began_ns = self._clock.wall_ns()
        batch = self._stream.poll(max_records)
        self._polled = Span("poll", began_ns, self._clock.wall_ns(), {"records": 0 if batch is None else len(batch)})
        return batch

    def acknowledge(self, positions: Mapping[str, int]) -> None:
        """As the stream's."""
        self._stream.acknowledge(positions)

    def progress(self) -> tuple[int, int | None]:
        """As the stream's."""
        return self._stream.progress()

    def close(self) -> None:
        """As the stream's."""
        self._stream.close()

    def restored(self, positions: int, rings: int, watermark_ms: int) -> None:
        """As the observer's."""
        self._observer.restored(positions, rings, watermark_ms)

    def beat(self) -> None:
        """As the observer's."""
        self._observer.beat()

    def taken(self, records: int) -> None:
        """As the observer's."""
        self._observer.taken(records)
        self._under_way.append((self._polled, self._clock.wall_ns()))

    def settled(self, step: Step, totals: Totals) -> None:
        """As the observer's."""
        now_ns = self._clock.wall_ns()
        committed, delta = step.commit.result(), step.outcome.delta
        polled, taken_ns = self._under_way.popleft()
        decoded_ns = taken_ns + _ns(step.decode_s)
        committed_ns = now_ns - _ns(self._clock.monotonic_s() - committed.done_at_s)
        parts = (
            polled,
            Span("decode", taken_ns, decoded_ns, {"dead_letters": len(step.batch.dead_letters)}),
            Span("apply", decoded_ns, decoded_ns + _ns(step.engine_s), {"events": step.outcome.applied}),
            Span(
                "commit",
                committed_ns - _ns(committed.took_s),
                committed_ns,
                {"links": len(delta.links.get("slot", ())), "entities": len(delta.entities), "rings": len(delta.rings)},
            ),
            Span("acknowledge", now_ns - _ns(step.acknowledge_s), now_ns, {"partitions": len(delta.positions)}),
        )
        counts = {
            "commit": delta.commit,
            "events": step.outcome.applied,
            "duplicates": step.outcome.duplicates,
            "commands": step.outcome.commands,
            "dead_letters": len(delta.dead_letters),
            "alerts": len(delta.alerts),
            "rings": step.rings,
            "rekeyed": len(delta.rekeyed),
        }
        self._tracer.add(Span("batch", polled.began_ns, now_ns, counts, parts=parts))
        self._observer.settled(step, totals)


class TracedErrand:
    """An errand whose deliveries, and failures, are spans; one that finds nothing to do is none."""

    def __init__(self, tracer: Tracer, errand: Errand, clock: Clock | None = None) -> None:
        self._tracer = tracer
        self._errand = errand
        self._clock = clock or Clock()

    @property
    def name(self) -> str:
        """As the errand's."""
        return self._errand.name

    def run(self) -> int:
        """As the errand's."""
        counts = {"delivered": 0}
        with _spanned(self._tracer, "deliver", counts, self._clock):
            counts["delivered"] = self._errand.run()
        return counts["delivered"]

    def close(self) -> None:
        """As the errand's."""
        self._errand.close()


class TracedPlanner:
    """A planner whose calls are spans."""

    def __init__(self, tracer: Tracer, planner: Planner, clock: Clock | None = None) -> None:
        self._tracer = tracer
        self._planner = planner
        self._clock = clock or Clock()

    def plan(self, pack: EvidencePack) -> PlanReply:
        """As the planner's."""
        with _spanned(self._tracer, "narrate", {"rings": 1}, self._clock):
            return self._planner.plan(pack)

    def repair(self, pack: EvidencePack, reply: PlanReply, failures: tuple[Failure, ...]) -> PlanReply | None:
        """As the planner's."""
        with _spanned(self._tracer, "narrate again", {"failures": len(failures)}, self._clock):
            return self._planner.repair(pack, reply, failures)


@contextmanager
def _spanned(tracer: Tracer, name: str, counts: dict[str, int], clock: Clock) -> Iterator[None]:
    began_ns, failed = clock.wall_ns(), True
    try:
        yield
        failed = False
    finally:
        if failed or any(counts.values()):
            tracer.add(Span(name, began_ns, clock.wall_ns(), counts, failed))


def _ns(seconds: float) -> int:
    return round(seconds * 1_000_000_000)
