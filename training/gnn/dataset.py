"""Graphs at moments of a stream, replayed through the engine itself: what training sees is what serving would.

A *slice* is everything at one cut: the graph as the network sees it, its accounts with the head's features as of the
cut, its living rings. No event after the cut has been applied when it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fraudgraph.engine import Engine
from fraudgraph.events.decoder import Decoder
from fraudgraph.events.slicing import select, without_rejects
from fraudgraph.graph.types import F64, I32, I64
from fraudgraph.rings.measure import RingMeasure
from fraudgraph.scoring.gnn.features import head_features
from fraudgraph.scoring.gnn.feed import NetworkGraph, network_graph
from fraudgraph.scoring.gnn.model import F32
from fraudgraph.scoring.ring_head import reading_times
from fraudgraph.scoring.trees_columns import ColumnReader
from training.labels import NEGATIVE, POSITIVE, UNKNOWN, LabelLog, Targets
from training.replay import EVENTS_PER_COMMIT, Events, passing_decoder, raw_batches
from training.splits import Cut

_ALMOST_ONE = 1.0 - 1e-6

Show = Callable[[int, int | None, str], None]


@dataclass(frozen=True, slots=True)
class Rings:
    """`r` living rings.

    Attributes:
        member: `[m]` rows of the slice's accounts, ring by ring; `starts` `[r + 1]`.
        head: `[m, x]` the head's features as of each ring's last event; columns: `[m, k]` the trees', as of then.
        features: `[r, len(RING_FEATURES)]`.
        structural: `[r]` log-odds of the engine's structural scorer.
    """

    member: I32
    starts: I64
    head: F32
    columns: F32
    features: F64
    structural: F64

    def __len__(self) -> int:
        return len(self.structural)

    def teams(self) -> list[I32]:
        """Returns each ring's rows of accounts."""
        return np.split(self.member, self.starts[1:-1]) if len(self) else []


@dataclass(slots=True)
class Slice:
    """A stream at a cut.

    Attributes:
        world: number of the stream; slices of one are not independent.
        users: `[u]` dense ids, ascending: the order of the network's rows. names: their keys.
        head: `[u, x]` the head's features as of the cut; columns: `[u, k]` the trees' (`scoring.trees_columns`, set c).
        last_ms: `[u]` last event before the cut.
        targets: of the accounts, where labels were read.
        known: `[u]` what had been reported of each account by the cut: `POSITIVE`, `NEGATIVE`, `UNKNOWN` (nothing).
        is_ring: `[r]`, is_fraud: `[u]` as of `Targets.target`, victims left out: the truth, where it is known.
    """

    world: int
    cut: Cut
    graph: NetworkGraph
    users: I32
    names: list[str]
    head: F32
    columns: F32
    last_ms: I64
    rings: Rings
    targets: Targets | None = None
    known: npt.NDArray[np.int8] | None = None
    is_ring: npt.NDArray[np.bool_] | None = None
    is_fraud: npt.NDArray[np.int8] | None = None


@dataclass(slots=True)
class Stream:
    """A replayed stream: its slices, its labels, and the last event of each account."""

    slices: list[Slice]
    labels: LabelLog = field(default_factory=LabelLog)
    last_ms: dict[str, int] = field(default_factory=dict)
    events: int = 0

    def tell_known(self) -> None:
        """Says in every slice what had been reported of whom by its cut."""
        for each in self.slices:
            known = self.labels.known(each.cut.cut_ms)
            each.known = np.array(
                [
                    UNKNOWN if (label := known.get(name)) is None else POSITIVE if label.fraud else NEGATIVE
                    for name in each.names
                ],
                np.int8,
            )

    def aim(self, horizon_ms: int, maturity_ms: int, *, keep_known: bool = False) -> None:
        """Gives every slice its targets; arguments as of `LabelLog.targets`."""
        for each in self.slices:
            last = [self.last_ms.get(name, int(ms)) for name, ms in zip(each.names, each.last_ms, strict=True)]
            each.targets = self.labels.targets(
                each.names,
                np.array(last, np.int64),
                cut_ms=each.cut.cut_ms,
                horizon_ms=horizon_ms,
                label_cut_ms=each.cut.label_cut_ms,
                maturity_ms=maturity_ms,
                keep_known=keep_known,
            )


def replay_slices(
    events: Events,
    cuts: Sequence[Cut],
    engine: Engine,
    *,
    decoder: Decoder | None = None,
    world: int = 0,
    events_per_commit: int = EVENTS_PER_COMMIT,
    show: Show = lambda done, total, words: None,
) -> Stream:
    """Replays a whole stream and reads a slice at each cut, before the first event that is later.

    Args:
        events: as of `training.replay.Events`.
        cuts: in order of time.
        decoder: as the shop has it; one without defaults of its own where None.
        show: called with the slices that were read, of how many, and words.
    """
    stream, decoder = Stream([]), decoder or passing_decoder()
    for piece in slices_of_stream(
        events, cuts, engine, stream, decoder=decoder, world=world, events_per_commit=events_per_commit, show=show
    ):
        stream.slices.append(piece)
    return stream


def slices_of_stream(
    events: Events,
    cuts: Sequence[Cut],
    engine: Engine,
    stream: Stream,
    *,
    decoder: Decoder,
    world: int = 0,
    events_per_commit: int = EVENTS_PER_COMMIT,
    show: Show = lambda done, total, words: None,
) -> Iterator[Slice]:
    """Yields the slice of each cut and forgets it; all else is as of `replay_slices`.

    Args:
        stream: gets everything but the slices.
    """
    due = list(cuts)
    for raw in raw_batches(events, events_per_commit):
        batch = decoder.decode(raw)
        stream.events += len(batch)
        stream.labels.take(batch)
        while due and (batch.ts_ms > due[0].cut_ms).any():
            first = int(np.argmax(batch.ts_ms > due[0].cut_ms))
            if first:
                engine.apply(without_rejects(select(batch, np.arange(first))))
                batch = select(batch, np.arange(first, len(batch)))
            yield read_slice(engine, due.pop(0), world)
        engine.apply(batch)
        show(len(cuts) - len(due), len(cuts), f"{stream.events:,} events")
    for cut in due:
        yield read_slice(engine, cut, world)
    for name, user in engine.graph.user_table.id_of.items():
        stream.last_ms[name] = int(engine.graph.users.last_ms[user])


def read_slice(engine: Engine, cut: Cut, world: int = 0) -> Slice:
    """Returns what is known at an engine's last commit."""
    graph = engine.graph
    users = np.flatnonzero(graph.users.last_ms >= 0).astype(np.int32)
    key_of = graph.user_table.key_of
    return Slice(
        world=world,
        cut=cut,
        graph=network_graph(graph),
        users=users,
        names=[key_of[user] or "" for user in users.tolist()],
        head=head_features(graph, users, cut.cut_ms),
        columns=ColumnReader()(graph, users, cut.cut_ms),
        last_ms=graph.users.last_ms[users],
        rings=_read_rings(engine, users),
    )


def _read_rings(engine: Engine, users: I32) -> Rings:
    teams = [engine.register.members[serial] for serial in sorted(engine.register.members)]
    starts = np.zeros(len(teams) + 1, np.int64)
    np.cumsum([len(team) for team in teams], out=starts[1:])
    member = np.concatenate(teams) if teams else np.empty(0, np.int32)
    features, _ = RingMeasure()(engine.graph, engine.ties.tables.limit, engine.watch, member, starts)
    probability = np.clip(engine.serving.structural.score(features).probability, 1.0 - _ALMOST_ONE, _ALMOST_ONE)
    as_of_ms = reading_times(engine.graph.users.last_ms[member], starts)
    return Rings(
        member=np.searchsorted(users, member).astype(np.int32),
        starts=starts,
        head=head_features(engine.graph, member, as_of_ms),
        columns=ColumnReader()(engine.graph, member, as_of_ms),
        features=features,
        structural=np.log(probability / (1.0 - probability)),
    )
