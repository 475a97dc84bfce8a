"""Splits blocks of bytes into lines with their positions, in bounded memory and without a Python loop per line."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from itertools import accumulate
from operator import add

from fraudgraph.streams.sources import TOO_LARGE, TRUNCATED_INPUT, Chunk

BOM = b"\xef\xbb\xbf"
HEAD_BYTES = 4096
"""Of a line that is too long, so much goes into the dead letters."""


class LineReader:
    """Lines of a stream of bytes: blank ones left out, CR and byte order mark taken off, no newline at the end needed.

    Args:
        read: returns the next block, at most as many bytes as asked; empty at the end.
        position: byte offset of the first block, or the number of its first record where `numbered`.
        numbered: positions count lines instead of bytes.
        max_record_bytes: longer lines are skipped in blocks and reported as damaged.
        reported_before: damage at positions below this one was reported in an earlier run.
        block_bytes: size of a block.
    """

    def __init__(
        self,
        read: Callable[[int], bytes],
        position: int,
        *,
        numbered: bool,
        max_record_bytes: int,
        reported_before: int = 0,
        skipping: bool = False,
        block_bytes: int = 256 * 1024,
    ) -> None:
        self._read = read
        self._base = position
        self._numbered = numbered
        self._max = max_record_bytes
        self._reported_before = reported_before
        self._block_bytes = block_bytes
        self._tail: list[bytes] = []
        self._tail_bytes = 0
        self._skipping = skipping
        self._ended = False
        self._cursor = 0
        self._values: list[bytes] = []
        self._starts: list[int] = []
        self._nexts: list[int] = []
        self._damaged: list[tuple[int, bytes, str]] = []

    @property
    def position(self) -> int:
        """Position after the last complete line that was read from the source."""
        return self._base

    def take(self, max_records: int) -> Chunk:
        """Returns the next lines, after reading at most one block."""
        if self._cursor == len(self._values) and not self._ended:
            self._fill()
        end = min(len(self._values), self._cursor + max_records)
        window = slice(self._cursor, end)
        self._cursor = end
        damaged, self._damaged = self._damaged, []
        return Chunk(
            values=self._values[window],
            offsets=self._starts[window],
            next_offsets=self._nexts[window],
            damaged=damaged,
            ended=self._ended and end == len(self._values),
        )

    def _fill(self) -> None:
        self._cursor = 0
        self._values, self._starts, self._nexts = [], [], []
        try:
            block = self._read(self._block_bytes)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            self._break_off(error)
            return
        if not block:
            self._finish()
            return
        if self._skipping:
            block = self._skip(block)
        cut = block.rfind(b"\n")
        if cut >= 0:
            complete = b"".join((*self._tail, block[:cut]))
            self._tail, self._tail_bytes = [], 0
            self._emit(complete)
            block = block[cut + 1 :]
        if block:
            self._tail.append(block)
            self._tail_bytes += len(block)
        if self._tail_bytes > self._max + len(BOM) + 1:  # these, and a CR, may not belong to the record
            self._start_skipping()

    def _emit(self, complete: bytes) -> None:
        """Turns complete lines, joined by newlines and without the last one, into records."""
        lines = complete.split(b"\n")
        count = len(lines)
        base = self._base
        if self._numbered:
            bounds = list(range(base, base + count + 1))
        else:
            bounds = list(map(add, accumulate(map(len, lines), initial=base), range(count + 1)))
        self._base = bounds[-1]
        values = lines
        if base == 0 and lines[0].startswith(BOM):
            values = [lines[0][len(BOM) :], *lines[1:]]
        starts, nexts = bounds[:-1], bounds[1:]
        if b"\r" in complete:
            values = [line[:-1] if line.endswith(b"\r") else line for line in values]
        too_long = len(complete) > self._max and max(map(len, values)) > self._max
        if too_long or not all(values):
            for start, line in zip(starts, values, strict=True):
                if len(line) > self._max:
                    self._report_long(start, line[:HEAD_BYTES])
            keep = [i for i, line in enumerate(values) if line and len(line) <= self._max]
            values = [values[i] for i in keep]
            starts = [starts[i] for i in keep]
            nexts = [nexts[i] for i in keep]
        self._values, self._starts, self._nexts = values, starts, nexts

    def _start_skipping(self) -> None:
        self._report_long(self._base, b"".join(self._tail)[:HEAD_BYTES])
        if not self._numbered:
            self._base += self._tail_bytes
        self._tail, self._tail_bytes = [], 0
        self._skipping = True

    def _skip(self, block: bytes) -> bytes:
        """Drops the rest of a line that is not read."""
        cut = block.find(b"\n")
        dropped = len(block) if cut < 0 else cut + 1
        self._skipping = cut < 0
        if not self._numbered:
            self._base += dropped
        elif cut >= 0:
            self._base += 1
        return block[dropped:]

    def _finish(self) -> None:
        if self._tail:
            last = b"".join(self._tail)
            self._tail, self._tail_bytes = [], 0
            end = self._base + (1 if self._numbered else len(last))
            self._emit(last)
            self._base = end
            if self._nexts:  # no newline follows: the position after it is the end
                self._nexts[-1] = end
        elif self._skipping and self._numbered:
            self._base += 1
        self._ended = True

    def _break_off(self, error: Exception) -> None:
        """Ends the partition where its bytes cannot be read; what came of the last line is reported with it."""
        seen = b"".join(self._tail)[:HEAD_BYTES]
        self._tail, self._tail_bytes = [], 0
        self._ended = True
        if self._base >= self._reported_before and not self._skipping:
            # The library's own words would quote what it found there.
            ends = isinstance(error, EOFError)
            what = "the file ends in the middle of its compressed data" if ends else "this is not, or no longer, gzip"
            self._damaged.append((self._base, seen, f"{TRUNCATED_INPUT}: {what}; what follows is unreadable"))

    def _report_long(self, start: int, head: bytes) -> None:
        if start >= self._reported_before:
            self._damaged.append((start, head, f"{TOO_LARGE}: a line of more than {self._max} bytes"))
