"""From events to slices with targets: the one way by which networks learn, trees are judged and leaks are sought."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fraudgraph.durations import DAY_MS
from fraudgraph.engine import Engine
from fraudgraph.errors import UsageError
from fraudgraph.events.decoder import Decoder
from fraudgraph.graph.types import I32
from training.gnn.dataset import Slice, Stream, replay_slices
from training.labels import UNKNOWN, LabelLog, Targets, maturity_ms
from training.replay import EVENTS_PER_COMMIT, Events, EventSource, raw_batches
from training.splits import TimeSplit, by_time, components, disjoint

SMALLEST_COMMIT = 20

Show = Callable[[int, int | None, str], None]


@dataclass(frozen=True, slots=True)
class Survey:
    """What a first reading of a stream says.

    Attributes:
        labels: all of them, those of a store's investigators among them.
        digest: 16 hex digits of the bytes.
    """

    labels: LabelLog
    first_ms: int
    last_ms: int
    events: int
    digest: str

    @property
    def commit(self) -> int:
        """How many events a replay commits at a time."""
        return max(SMALLEST_COMMIT, min(EVENTS_PER_COMMIT, self.events // 200))


@dataclass(frozen=True, slots=True)
class Prepared:
    """A stream that was split by time, replayed and given its targets; the slices stand in the order of the split."""

    survey: Survey
    maturity_ms: int
    split: TimeSplit
    stream: Stream

    @property
    def fit(self) -> list[Slice]:
        """The slices to learn from."""
        return self.stream.slices[:-2]

    @property
    def stop(self) -> Slice:
        """The slice to stop at."""
        return self.stream.slices[-2]

    @property
    def last(self) -> Slice:
        """The slice to calibrate and to measure on."""
        return self.stream.slices[-1]


def prepare(
    data: Events,
    *,
    horizon_ms: int,
    fit_cuts: int,
    keep_known: bool,
    apart: bool,
    make_engine: Callable[[], Engine],
    decoder: Decoder,
    show: Show,
    say: Callable[[str], None],
) -> Prepared:
    """Reads the labels, splits by time, replays and aims.

    Args:
        horizon_ms, keep_known: as of `LabelLog.targets`; fit_cuts: as of `by_time`.
        apart: leave out of later roles whoever shares a component with an account that was learnt from.

    Raises:
        UsageError: the stream is too short, or nobody ever said fraud.
    """
    seen = survey(data, decoder)
    mature_ms = maturity_ms(seen.labels.labels.values(), seen.last_ms)
    if mature_ms < 0:
        raise UsageError("no label and no chargeback says fraud", do="Add labels to the events, or use --worlds.")
    split = by_time(seen.first_ms, seen.last_ms, fit_cuts=fit_cuts, horizon_ms=horizon_ms, maturity_ms=mature_ms)
    say(f"{len(seen.labels.labels):,} labels; 9 of 10 reports arrive within {mature_ms / DAY_MS:.0f} days")
    stream = replay_slices(
        data,
        [*split.fit, split.stop, split.calibrate],
        make_engine(),
        decoder=decoder,
        events_per_commit=seen.commit,
        show=show,
    )
    stream.labels = seen.labels
    stream.aim(horizon_ms, mature_ms, keep_known=keep_known)
    ready = Prepared(seen, mature_ms, split, stream)
    if apart:
        keep_apart(ready.fit, ready.stop)
        keep_apart([*ready.fit, ready.stop], ready.last)
    return ready


def survey(data: Events, decoder: Decoder) -> Survey:
    """Returns all labels, the first and last event time, how many events, and a digest of their bytes."""
    log, digest = LabelLog(), hashlib.blake2b(digest_size=8)
    first_ms, last_ms, events = np.iinfo(np.int64).max, 0, 0
    for raw in raw_batches(data):
        for value in raw.values:
            digest.update(value)
        batch = decoder.decode(raw)
        log.take(batch)
        events += len(batch)
        if len(batch):
            first_ms = min(first_ms, int(batch.ts_ms.min()))
            last_ms = max(last_ms, int(batch.ts_ms.max()))
    if isinstance(data, EventSource):
        log.add(data.labels)
    return Survey(log, int(first_ms), last_ms, events, digest.hexdigest())


def targets_of(piece: Slice) -> Targets:
    """Returns the targets of a slice that was aimed."""
    assert piece.targets is not None
    return piece.targets


def components_of(piece: Slice) -> I32:
    """Returns the component of each account over links that carry messages, `[u]`."""
    _, a, b, _ = piece.graph.messages(None)
    return components(len(piece.graph.kind), a, b)[2 * piece.users]


def keep_apart(earlier: list[Slice], later: Slice) -> None:
    """Leaves out of a later slice whoever shares a component with an account that an earlier one taught."""
    learnt = frozenset(
        name
        for piece in earlier
        for name, target in zip(piece.names, targets_of(piece).target.tolist(), strict=True)
        if target != UNKNOWN
    )
    targets, kept = targets_of(later), disjoint(components_of(later), later.names, learnt)
    later.targets = Targets(
        np.where(kept, targets.target, UNKNOWN).astype(np.int8), np.where(kept, targets.weight, 0.0)
    )
