"""The stream port: bytes in, with a position for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RawBatch:
    """Records as they came, in order within each partition.

    Attributes:
        values: the original bytes of each record, `[n]`.
        partitions: names of the partitions in this batch; a name is stable for the life of the source
            (`file:orders.jsonl#1f3a…`), and differs when the source is another one under the same name.
        partition_of: index into `partitions` per record, `[n]`.
        offsets: position of each record in its partition, `[n]`; strictly increasing within a partition.
        next_offsets: per record, the position to resume from once that record is committed, `[n]`.
        broker_ts_ms: the broker's record time per record, `[n]`, or None where the source has none (files).
        ended: partitions that will never bring another record after this batch.
        damaged: what could not be read at all, as (partition, offset, bytes seen, reason text); the caller
            must put each into the dead letters. Reading resumes at `offset + 1`; the reason begins with the code
            of a reject reason (`too-large: …`, `truncated-input: …`).
    """

    values: list[bytes]
    partitions: list[str]
    partition_of: list[int]
    offsets: list[int]
    next_offsets: list[int]
    broker_ts_ms: list[int] | None = None
    ended: tuple[str, ...] = ()
    damaged: list[tuple[str, int, bytes, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.values)


class Stream(Protocol):
    """A source of records, read by one daemon.

    Promises: records arrive at least once; after `seek(p)` the first record of each partition is the one at
    `p` or, where `p` is gone, the error says so. Order holds within a partition only. Nothing is lost as long
    as positions are committed by the caller together with what was made of the records.

    Not promised: order across partitions, exactly-once, stable batch boundaries, or that a record's time
    grows. A crash at any instruction leaves nothing behind that the next `seek` does not mend.

    Back-pressure is the caller's silence: a stream reads ahead at most one batch and holds no more memory
    than that while nobody polls.
    """

    def seek(self, positions: Mapping[str, int]) -> None:
        """Starts each known partition at its position, others at their beginning. Called once, before poll.

        Raises:
            DependencyError: the source cannot be opened, or a position lies beyond its end.
        """
        ...

    def poll(self, max_records: int) -> RawBatch | None:
        """Returns the next records, an empty batch if none is there yet, None at the end of all partitions.

        Called by the daemon only. Not idempotent: each call moves on. A record that is damaged does not stop
        the others.
        """
        ...

    def acknowledge(self, positions: Mapping[str, int]) -> None:
        """Tells the source what is committed. Idempotent; losing the call costs only a re-delivery."""
        ...

    def progress(self) -> tuple[int, int | None]:
        """Returns (bytes read, bytes in all or None where unknown), for a progress bar."""
        ...

    def close(self) -> None:
        """Releases files and connections. Idempotent."""
        ...
