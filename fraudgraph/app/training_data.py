"""What a store's engine read, read again: a store keeps the present, and a training needs the past."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fraudgraph.app.engines import make_decoder
from fraudgraph.app.keys import read_keys
from fraudgraph.app.stores import open_reader, open_store
from fraudgraph.errors import ConfigurationError, DependencyError, UsageError
from fraudgraph.settings import Settings

if TYPE_CHECKING:
    from fraudgraph.events.batch import LabelRow
    from fraudgraph.events.decoder import Decoder
    from fraudgraph.streams.port import RawBatch

_FILE = "file:"
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class StoredEvents:
    """The events behind a store.

    Attributes:
        read: yields what the store's commits hold of its sources, in batches of at most so many, from the beginning.
        labels: all that the store knows, those that investigators' decisions made among them.
        decoder: under the store's own key, so that its labels name the orders of these events.
    """

    read: Callable[[int], Iterator[RawBatch]]
    labels: tuple[LabelRow, ...]
    decoder: Decoder


def stored_events(
    settings: Settings, sources: Sequence[Path], environment: Mapping[str, str] = os.environ
) -> StoredEvents:
    """Returns the events that a store was made of, up to where its last commit ends.

    A store holds the present graph: links that expired are gone, counts and bands are those of now, and whoever has a
    label has it already. Nothing can honestly be learnt from that, because no row of it has a future that is known. So
    the events are read again, those and only those that the store's positions say were read.

    Args:
        settings: with the store's URL.
        sources: files and folders that the store was filled from.

    Raises:
        UsageError: no sources are named, or the store is empty.
        ConfigurationError: the store was not filled from files, or its key is not there.
        DependencyError: the store cannot be read.
    """
    from fraudgraph.stores.port import COMMANDS

    with closing(open_reader(settings)) as reader:  # refuses a store that is not there
        keys = read_keys(settings, reader.meta(), environment)
    with closing(open_store(settings.store.url, settings)) as store:
        state = store.load()
        positions = {name: position for name, position in state.positions.items() if name != COMMANDS}
        labels = tuple(state.labels)
    if not positions:
        raise UsageError(
            "the store has read no events yet", do="Ingest first, or give the events themselves as --data."
        )
    others = sorted(name.partition("#")[0] for name in positions if not name.startswith(_FILE))
    if others:
        raise ConfigurationError(
            f"the store was filled from {_some(others)}, and keeps no events: only the present graph, which has no past"
            " to learn from",
            do="Write the topic's records to files, one a line, and give those as --data.",
        )
    if not sources:
        raise UsageError(
            f"the store keeps the present graph, and its past is in {_some(sorted(_file(name) for name in positions))}",
            do="Give the folder of these files as --sources: what the store has read of them is read again.",
        )

    def read(size: int) -> Iterator[RawBatch]:
        return _read(sources, positions, size)

    return StoredEvents(read, labels, make_decoder(settings, keys))


def _read(sources: Sequence[Path], positions: Mapping[str, int], size: int) -> Iterator[RawBatch]:
    """Yields the records below the positions.

    Raises:
        DependencyError: a file that the store has read is not there, or not all of it.
    """
    from fraudgraph.streams.files import FileStream

    reached: dict[str, int] = {}
    with closing(FileStream(sources)) as stream:
        stream.seek({})
        while (raw := stream.poll(size)) is not None:
            kept = _below(raw, positions)
            for place, after in zip(kept.partition_of, kept.next_offsets, strict=True):
                reached[kept.partitions[place]] = after
            for name, offset, _, _ in kept.damaged:
                reached[name] = max(reached.get(name, 0), offset + 1)
            if len(kept) or kept.ended or kept.damaged:
                yield kept
    missing = sorted(_file(name) for name, position in positions.items() if position and name not in reached)
    if missing:
        raise DependencyError(
            f"the store has read {_some(missing)}, which is not among the sources, or is another file by now",
            do="Give the folder where it lies, as it was when it was read.",
        )


def _below(raw: RawBatch, positions: Mapping[str, int]) -> RawBatch:
    ends = [positions.get(name, 0) for name in raw.partitions]
    rows = [i for i, place in enumerate(raw.partition_of) if raw.offsets[i] < ends[place]]
    return replace(
        raw,
        values=[raw.values[i] for i in rows],
        partition_of=[raw.partition_of[i] for i in rows],
        offsets=[raw.offsets[i] for i in rows],
        next_offsets=[raw.next_offsets[i] for i in rows],
        damaged=[each for each in raw.damaged if each[1] < positions.get(each[0], 0)],
    )


def _file(partition: str) -> str:
    return partition.removeprefix(_FILE).partition("#")[0]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
