"""Replays events through the engine and reads what its rings look like, at moments of event time and at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fraudgraph.engine import Engine
from fraudgraph.events.batch import LabelRow
from fraudgraph.events.decoder import Decoder
from fraudgraph.events.pseudonyms import Pseudonymiser
from fraudgraph.events.vault import Vault
from fraudgraph.rings.features import RING_FEATURES, RING_MONEY
from fraudgraph.rings.measure import RingMeasure
from fraudgraph.streams.files import FileStream
from fraudgraph.streams.port import RawBatch

EVENTS_PER_COMMIT = 2_000


@dataclass(frozen=True, slots=True)
class EventSource:
    """Events that can be read again and again from elsewhere than a path.

    Attributes:
        read: yields them in batches of at most so many; the last one says that nothing follows.
        labels: that are not among the events: an investigator's, from a store.
    """

    read: Callable[[int], Iterator[RawBatch]]
    labels: tuple[LabelRow, ...] = ()


Events = Iterable[bytes] | Path | EventSource
"""JSON lines, one record each; or a file or folder of them; or what reads them."""


def passing_decoder() -> Decoder:
    """Returns a decoder for a replay whose pseudonyms nobody keeps; its key is no secret, so that runs agree."""
    return Decoder(Pseudonymiser(bytes(32)), Vault(bytes(32)), default_region=None, default_currency=None)


@dataclass(frozen=True, slots=True)
class Candidates:
    """All living rings at a moment of event time, in the order of their serials.

    Attributes:
        as_of_ms: the watermark.
        serials: `r` ring serials.
        members: `r` lists of user keys.
        features: `[r, len(RING_FEATURES)]`.
        money: `[r, len(RING_MONEY)]`.
    """

    as_of_ms: int
    serials: list[int]
    members: list[list[str]]
    features: npt.NDArray[np.float64]
    money: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.serials)


def replay(
    events: Events,
    engine: Engine,
    decoder: Decoder,
    *,
    tick_ms: int | None = None,
    events_per_commit: int = EVENTS_PER_COMMIT,
) -> Iterator[Candidates]:
    """Applies events and yields the living rings after each tick of event time, and once at the end.

    A tick is read at the first commit whose watermark has passed it; empty ticks are left out.

    Args:
        events: as of `Events`.
        tick_ms: event time between readings; none but the last where None.
    """
    next_tick_ms: int | None = None
    for raw in raw_batches(events, events_per_commit):
        engine.apply(decoder.decode(raw))
        if tick_ms is None:
            continue
        now_ms = engine.watermark_ms
        if next_tick_ms is not None and now_ms >= next_tick_ms:
            yield read_candidates(engine)
        if next_tick_ms is None or now_ms >= next_tick_ms:
            next_tick_ms = (now_ms // tick_ms + 1) * tick_ms
    yield read_candidates(engine)


def read_candidates(engine: Engine) -> Candidates:
    """Returns the engine's living rings with their features and members."""
    serials = sorted(engine.register.members)
    teams = [engine.register.members[serial] for serial in serials]
    key_of = engine.graph.user_table.key_of
    if not teams:
        features = np.zeros((0, len(RING_FEATURES)))
        money = np.zeros((0, len(RING_MONEY)), np.int64)
        return Candidates(engine.watermark_ms, [], [], features, money)
    starts = np.zeros(len(teams) + 1, np.int64)
    np.cumsum([len(team) for team in teams], out=starts[1:])
    features, money = RingMeasure()(engine.graph, engine.ties.tables.limit, engine.watch, np.concatenate(teams), starts)
    members = [[key_of[user] or "" for user in team.tolist()] for team in teams]
    return Candidates(engine.watermark_ms, serials, members, features, money)


def raw_batches(events: Events, size: int = EVENTS_PER_COMMIT) -> Iterator[RawBatch]:
    """Yields events, or those of a file or folder, in commits, and says at the end that nothing follows."""
    if isinstance(events, EventSource):
        yield from events.read(size)
        return
    if isinstance(events, Path):
        stream = FileStream([events])
        stream.seek({})
        while (raw := stream.poll(size)) is not None:
            if len(raw) or raw.ended or raw.damaged:
                yield raw
        stream.close()
        return
    lines, first = iter(events), 0
    while values := list(islice(lines, size)):
        offsets = list(range(first, first + len(values)))
        first += len(values)
        yield RawBatch(values, ["replay"], [0] * len(values), offsets, [at + 1 for at in offsets])
    # Said at the end: events after a long gap, which nothing could confirm so far, are believed now.
    yield RawBatch([], ["replay"], [], [], [], ended=("replay",))
