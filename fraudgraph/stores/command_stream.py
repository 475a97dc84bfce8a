"""The store's own commands as a stream, so that the engine takes them like anything else: with a position."""

from __future__ import annotations

from collections.abc import Mapping

from fraudgraph.errors import DependencyError
from fraudgraph.stores.port import COMMANDS, StoreReader
from fraudgraph.streams.port import RawBatch


class CommandStream:
    """Reads recorded commands in the order of their numbers, which are the positions; see `Stream`.

    Args:
        reader: the store; closed by whoever opened it.
        ends: `poll` says that the stream has ended where there is no further command, for a run that only obeys.
        patient: where the store cannot be read there is no command yet; its commits say that it is away.
    """

    def __init__(self, reader: StoreReader, *, ends: bool = False, patient: bool = False) -> None:
        self._reader = reader
        self._ends = ends
        self._patient = patient
        self._next = 1

    def seek(self, positions: Mapping[str, int]) -> None:
        """Goes on behind the last command that was taken."""
        self._next = max(1, positions.get(COMMANDS, 1))

    def poll(self, max_records: int) -> RawBatch | None:
        """Returns the next commands."""
        try:
            rows = self._reader.commands(after=self._next - 1, limit=max_records)
        except DependencyError:
            if not self._patient:
                raise
            rows = []
        if not rows:
            return None if self._ends else RawBatch([], [], [], [], [])
        numbers = [number for number, _ in rows]
        self._next = numbers[-1] + 1
        return RawBatch(
            values=[body for _, body in rows],
            partitions=[COMMANDS],
            partition_of=[0] * len(rows),
            offsets=numbers,
            next_offsets=[number + 1 for number in numbers],
        )

    def acknowledge(self, positions: Mapping[str, int]) -> None:
        """Does nothing: the store holds both the commands and the position."""

    def progress(self) -> tuple[int, int | None]:
        """Returns nothing: commands are not worth a progress bar."""
        return 0, None

    def close(self) -> None:
        """Does nothing: the reader is its owner's."""
