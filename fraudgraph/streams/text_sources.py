"""Lines from a plain file, a gzip file, or standard input."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import BinaryIO

from fraudgraph.errors import DependencyError, UsageError
from fraudgraph.streams.lines import BOM, LineReader
from fraudgraph.streams.sources import Chunk, partition_name

FINGERPRINT_BYTES = 64 * 1024
GZIP_MAGIC = b"\x1f\x8b"


def cannot_read(path: Path, error: OSError) -> DependencyError:
    """Returns the error for a file that the system refuses."""
    return DependencyError(
        f"{path.name} cannot be read: {error.strerror or 'input/output error'}",
        do="Check the path and its permissions, then run again; reading goes on where it stopped.",
    )


def beyond_end(path: Path, position: int, end: int, unit: str) -> DependencyError:
    """Returns the error for a position that the file does not have (any more)."""
    return DependencyError(
        f"{path.name} ends at {unit} {end}, before the position {position} that was already read",
        do="The file was cut or replaced: bring the old one back, or give the new one another name.",
    )


def _first_line(head: bytes) -> bytes:
    """Returns the first line that is not blank; appending to a file does not change it."""
    return head.removeprefix(BOM).lstrip(b"\r\n").split(b"\n", 1)[0].rstrip(b"\r")


def _require_one_event_a_line(name: str, first_line: bytes) -> None:
    """Refuses what would make every line a dead letter.

    Raises:
        UsageError: the file is one JSON array, or its objects stretch over lines.
    """
    start = first_line.strip()
    if start.startswith(b"[") or start == b"{":
        raise UsageError(
            f"{name} is one JSON document over several lines, and events are read one a line",
            do=f"Make it JSON Lines: `jq -c 'if type == \"array\" then .[] else . end' {name} > events.jsonl`.",
        )


class PlainSource:
    """Lines of an uncompressed file; positions are byte offsets, so a resume is one seek."""

    live = False

    def __init__(self, path: Path, *, max_record_bytes: int) -> None:
        self._path = path
        self._max = max_record_bytes
        self._file: BinaryIO | None = None
        self._lines: LineReader | None = None
        self._size = 0

    def partition(self) -> str:
        """Names the partition after the first line."""
        try:
            with self._path.open("rb") as file:
                self._size = self._path.stat().st_size
                first_line = _first_line(file.read(FINGERPRINT_BYTES))
        except OSError as error:
            raise cannot_read(self._path, error) from error
        _require_one_event_a_line(self._path.name, first_line)
        return partition_name(self._path.name, first_line)

    def check(self, position: int) -> None:
        """Compares with the file's size."""
        if position > self._size:
            raise beyond_end(self._path, position, self._size, "byte")

    def open(self, position: int) -> None:
        """Seeks; a position inside a line means that the line was unfinished or too long when it was read."""
        try:
            self._file = self._path.open("rb")
            start = self._line_start(self._file, position)
            skipping = start is None
            start = position if start is None else start
            self._file.seek(start)
        except OSError as error:
            raise cannot_read(self._path, error) from error
        self._lines = LineReader(
            self._read,
            start,
            numbered=False,
            max_record_bytes=self._max,
            reported_before=position,
            skipping=skipping,
        )

    def _line_start(self, file: BinaryIO, position: int) -> int | None:
        """Returns where to read on so that a line that grew after it was read comes again, whole.

        None if that line began too far back, so that it was reported as too long and its rest is left out.
        """
        window_start = max(0, position - self._max - 2)
        file.seek(window_start)
        before = file.read(position - window_start)
        after = file.read(2)
        if not before or before.endswith(b"\n") or after.startswith((b"\n", b"\r\n")) or not after:
            return position
        newline = before.rfind(b"\n")
        if newline >= 0:
            return window_start + newline + 1
        return 0 if window_start == 0 else None

    def read(self, max_records: int) -> Chunk:
        """Returns the lines of at most one block."""
        assert self._lines is not None, "open() comes first"
        return self._lines.take(max_records)

    def _read(self, size: int) -> bytes:
        assert self._file is not None
        try:
            return self._file.read(size)
        except OSError as error:
            raise cannot_read(self._path, error) from error

    def progress(self) -> tuple[int, int | None]:
        """Counts what earlier runs read, so that a bar goes on where it stood."""
        read = self._lines.position if self._lines else 0
        return read, max(read, self._size)  # the file may have grown meanwhile

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()


class GzipSource:
    """Lines of a gzip file; positions count decompressed bytes, so a resume decompresses up to there.

    A file that is still being written is no source: its broken end is reported as damage, and the rest of the
    line that broke is not read later.
    """

    live = False

    def __init__(self, path: Path, *, max_record_bytes: int) -> None:
        self._path = path
        self._max = max_record_bytes
        self._raw: BinaryIO | None = None
        self._gzip: gzip.GzipFile | None = None
        self._lines: LineReader | None = None
        self._size = 0

    def partition(self) -> str:
        """Names the partition after the first line, decompressed; after its first bytes where it is broken."""
        try:
            self._size = self._path.stat().st_size
            with self._path.open("rb") as raw:
                start = raw.read(64)
            head = b""
            with gzip.open(self._path, "rb") as file:
                try:
                    while len(head) < FINGERPRINT_BYTES and b"\n" not in head.lstrip(b"\r\n"):
                        block = file.read1(FINGERPRINT_BYTES - len(head))
                        if not block:
                            break
                        head += block
                except (EOFError, zlib.error, gzip.BadGzipFile):
                    head = head or start
        except OSError as error:
            raise cannot_read(self._path, error) from error
        first_line = _first_line(head)
        _require_one_event_a_line(self._path.name, first_line)
        return partition_name(self._path.name, first_line)

    def check(self, position: int) -> None:
        """Nothing is known before the file is decompressed; `open` compares."""

    def open(self, position: int) -> None:
        """Decompresses up to the position."""
        try:
            self._raw = self._path.open("rb")
        except OSError as error:
            raise cannot_read(self._path, error) from error
        self._gzip = gzip.GzipFile(fileobj=self._raw, mode="rb")
        skipping = broken = False
        done = 0
        try:
            while done < position:
                block = self._read(min(1 << 20, position - done))
                if not block:
                    raise beyond_end(self._path, position, done, "decompressed byte")
                done += len(block)
                skipping = not block.endswith(b"\n")
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            if position > done + 1:
                raise beyond_end(self._path, position, done, "decompressed byte") from error
            broken = True  # reported at `done` by the run that came this far
        self._lines = LineReader(
            (lambda _: b"") if broken else self._read,
            position,
            numbered=False,
            max_record_bytes=self._max,
            reported_before=position,
            skipping=skipping,
        )

    def read(self, max_records: int) -> Chunk:
        """Returns the lines of at most one block."""
        assert self._lines is not None, "open() comes first"
        return self._lines.take(max_records)

    def _read(self, size: int) -> bytes:
        # read1, because read drops what it already has when the end turns out to be broken.
        assert self._gzip is not None
        try:
            return self._gzip.read1(size)
        except gzip.BadGzipFile:
            raise
        except OSError as error:
            raise cannot_read(self._path, error) from error

    def progress(self) -> tuple[int, int | None]:
        """Counts compressed bytes."""
        if self._raw is None:
            return 0, self._size
        return (self._size if self._raw.closed else self._raw.tell()), self._size

    def close(self) -> None:
        """Closes the file."""
        if self._gzip is not None:
            self._gzip.close()
        if self._raw is not None:
            self._raw.close()


class StdinSource:
    """Lines of standard input; positions are line numbers, so a resume reads and drops the lines before.

    The same input has to be piped in again: it is recognised by its first line.
    """

    live = True

    def __init__(self, file: BinaryIO, *, max_record_bytes: int) -> None:
        self._file = file
        self._max = max_record_bytes
        self._head = b""
        self._bytes = 0
        self._drop_before = 0
        self._lines: LineReader | None = None

    def partition(self) -> str:
        """Waits for the first line."""
        while len(self._head) < FINGERPRINT_BYTES and b"\n" not in self._head.lstrip(b"\r\n"):
            block = self._next(FINGERPRINT_BYTES)
            if not block:
                break
            self._head += block
        return partition_name("-", _first_line(self._head))

    def check(self, position: int) -> None:
        """Nothing is known before the end; `read` compares."""

    def open(self, position: int) -> None:
        """Remembers how many lines to drop."""
        self._drop_before = position
        self._lines = LineReader(self._read, 0, numbered=True, max_record_bytes=self._max, reported_before=position)

    def read(self, max_records: int) -> Chunk:
        """Returns the lines of at most one block that come at or after the position."""
        assert self._lines is not None, "open() comes first"
        chunk = self._lines.take(max_records)
        if self._drop_before:
            if chunk.ended and self._lines.position < self._drop_before:
                raise DependencyError(
                    f"standard input ends at line {self._lines.position}, before the position "
                    f"{self._drop_before} that was already read",
                    do="Pipe the same input in again, from its beginning.",
                )
            old = sum(offset < self._drop_before for offset in chunk.offsets)
            if old < len(chunk.offsets):
                self._drop_before = 0
            del chunk.values[:old], chunk.offsets[:old], chunk.next_offsets[:old]
        return chunk

    def _read(self, size: int) -> bytes:
        if self._head:
            block, self._head = self._head, b""
            return block
        return self._next(size)

    def _next(self, size: int) -> bytes:
        # read1 hands over what a slow producer has written so far; in-memory files only have read.
        read1 = getattr(self._file, "read1", None)
        try:
            block: bytes = read1(size) if read1 is not None else self._file.read(size)
        except OSError as error:
            raise cannot_read(Path("standard input"), error) from error
        self._bytes += len(block)
        return block

    def progress(self) -> tuple[int, int | None]:
        """Counts bytes; how many will come is not known."""
        return self._bytes, None

    def close(self) -> None:
        """Leaves standard input to its owner."""
