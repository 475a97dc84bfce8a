"""A stream in memory, for tests of everything that reads streams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fraudgraph.errors import DependencyError
from fraudgraph.streams.port import RawBatch


class MemoryStream:
    """Partitions of records that are read in turns, one record of each; positions are record numbers.

    Args:
        partitions: name -> records.
        broker_ts: name -> the broker's time of each record in ms since the epoch; none for a source without.
        endless: partitions are never announced as ended, and `poll` returns empty batches at the end.
    """

    def __init__(
        self,
        partitions: Mapping[str, Sequence[bytes]],
        *,
        broker_ts: Mapping[str, Sequence[int]] | None = None,
        endless: bool = False,
    ) -> None:
        self._partitions = {name: list(records) for name, records in partitions.items()}
        self._broker_ts = broker_ts
        self._endless = endless
        self._next = dict.fromkeys(self._partitions, 0)
        self._open = list(self._partitions)
        self.acknowledged: dict[str, int] = {}
        self.closed = False

    def append(self, partition: str, *records: bytes) -> None:
        """Adds records at the end of a partition, as a producer would."""
        if partition not in self._partitions:
            self._partitions[partition] = []
            self._next[partition] = 0
            self._open.append(partition)
        self._partitions[partition].extend(records)

    def seek(self, positions: Mapping[str, int]) -> None:
        """Starts known partitions at their position."""
        for name, records in self._partitions.items():
            position = positions.get(name, 0)
            if position > len(records):
                raise DependencyError(
                    f"partition {name} has {len(records)} records, before position {position}",
                    do="Give the stream all records that were read before.",
                )
            self._next[name] = position

    def poll(self, max_records: int) -> RawBatch | None:
        """Returns the next records, in turns."""
        if not self._open:
            return RawBatch([], [], [], [], []) if self._endless else None
        names = list(self._open)
        batch = RawBatch([], names, [], [], [], broker_ts_ms=None if self._broker_ts is None else [])
        moved = True
        while moved and len(batch) < max_records:
            moved = False
            for index, name in enumerate(names):
                at = self._next[name]
                if at < len(self._partitions[name]) and len(batch) < max_records:
                    batch.values.append(self._partitions[name][at])
                    batch.partition_of.append(index)
                    batch.offsets.append(at)
                    batch.next_offsets.append(at + 1)
                    if batch.broker_ts_ms is not None and self._broker_ts is not None:
                        batch.broker_ts_ms.append(self._broker_ts[name][at])
                    self._next[name] = at + 1
                    moved = True
        if self._endless:
            return batch
        ended = tuple(name for name in names if self._next[name] == len(self._partitions[name]))
        self._open = [name for name in names if name not in ended]
        return RawBatch(
            batch.values,
            batch.partitions,
            batch.partition_of,
            batch.offsets,
            batch.next_offsets,
            batch.broker_ts_ms,
            ended,
        )

    def acknowledge(self, positions: Mapping[str, int]) -> None:
        """Remembers the positions in `acknowledged`."""
        self.acknowledged.update(positions)

    def progress(self) -> tuple[int, int | None]:
        """Counts the bytes of the records."""
        read = sum(len(r) for name, records in self._partitions.items() for r in records[: self._next[name]])
        total = sum(len(r) for records in self._partitions.values() for r in records)
        return read, None if self._endless else total

    def close(self) -> None:
        """Sets `closed`."""
        self.closed = True
