"""Two sources as one stream: a main one, and a small one beside it."""

from __future__ import annotations

from collections.abc import Mapping

from fraudgraph.streams.port import RawBatch, Stream


class MergedStream:
    """Takes turns between a main stream and one beside it, one batch of either at a time; ends with the main one.

    What the side stream has at that moment still comes. Partitions must not have a name in common.
    """

    def __init__(self, main: Stream, side: Stream) -> None:
        self._main = main
        self._side = side
        self._side_next = True
        self._main_ended = False

    def seek(self, positions: Mapping[str, int]) -> None:
        """Starts both at their positions."""
        self._main.seek(positions)
        self._side.seek(positions)

    def poll(self, max_records: int) -> RawBatch | None:
        """Returns a batch of the side stream where it has one and it is its turn, else of the main one."""
        if self._side_next or self._main_ended:
            self._side_next = False
            if raw := self._side.poll(max_records):
                return raw
        self._side_next = True
        if not self._main_ended:
            raw = self._main.poll(max_records)
            if raw is not None:
                return raw
            self._main_ended = True
        return self._side.poll(max_records) or None

    def acknowledge(self, positions: Mapping[str, int]) -> None:
        """Passes the positions on."""
        self._main.acknowledge(positions)
        self._side.acknowledge(positions)

    def progress(self) -> tuple[int, int | None]:
        """Returns the main stream's progress."""
        return self._main.progress()

    def close(self) -> None:
        """Closes both."""
        self._main.close()
        self._side.close()
