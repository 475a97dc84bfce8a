"""Holds the lines of an import on disk until they can be written in order of time, and its rejects beside them."""

from __future__ import annotations

import mmap
import os
import tempfile
from array import array
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, NamedTuple, Self

import msgspec

from fraudgraph.tables.report import BlockReport, ImportReport, Reject

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

LINES_AT_ONCE = 10_000


class Origin(NamedTuple):
    """Where a line came from: block of the mapping, index of the file in its table, row number."""

    block: int
    file: int
    row: int


class AtomicFile:
    """A file that appears under its name only when it is complete."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        self._part = Path(name)
        self.file: IO[bytes] = os.fdopen(handle, "wb")

    def commit(self) -> None:
        """Makes it durable and gives it its name."""
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        umask = os.umask(0)
        os.umask(umask)
        self._part.chmod(0o666 & ~umask)
        self._part.replace(self._path)

    def discard(self) -> None:
        """Removes what was written, unless it was committed."""
        self.file.close()
        self._part.unlink(missing_ok=True)


class Spool:
    """Lines in the order of arrival, in an unnamed file; their times and origins in memory."""

    def __init__(self, out: Path) -> None:
        self._out = AtomicFile(out)
        self._file = tempfile.TemporaryFile(dir=out.parent)  # noqa: SIM115 - closed in __exit__
        self._times = array("q")
        self._starts = array("q", [0])
        self._keys = array("q")
        self._origins: list[array[int]] = [array("H"), array("i"), array("q")]
        self._order: npt.NDArray[np.int64] | None = None
        self._lines: mmap.mmap | bytes | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(self._lines, mmap.mmap):
            self._lines.close()
        self._file.close()
        self._out.discard()

    def add(self, line: bytes, event_id: str, ts_ms: int, origin: Origin) -> None:
        """Takes one event."""
        self._file.write(line)
        self._times.append(ts_ms)
        self._starts.append(self._starts[-1] + len(line))
        self._keys.append(hash(event_id))
        for column, value in zip(self._origins, origin, strict=True):
            column.append(value)

    def time_range_ms(self) -> tuple[int | None, int | None]:
        """Returns (first, last) time of what will be written."""
        import numpy as np

        order = self._sorted()
        if not len(order):
            return None, None
        times = np.asarray(self._times)
        return int(times[order[0]]), int(times[order[-1]])

    def _sorted(self) -> npt.NDArray[np.int64]:
        import numpy as np

        if self._order is None:
            self._order = np.argsort(np.array(self._times, dtype=np.int64), kind="stable")
        return self._order

    def drop_doubles(self) -> list[Origin]:
        """Leaves out events whose id an earlier one has, and returns where they came from."""
        import numpy as np

        order = self._sorted()
        keys = np.asarray(self._keys, dtype=np.int64)[order]
        by_key = np.argsort(keys, kind="stable")
        same = keys[by_key][1:] == keys[by_key][:-1]
        suspects = np.union1d(by_key[1:][same], by_key[:-1][same])  # in order of time
        if not len(suspects):
            return []
        seen: set[str] = set()
        doubles = []
        view, starts = self._mapped(), self._starts
        for place in suspects.tolist():  # few: equal ids, and the rare equal hashes of different ones
            i = int(order[place])
            event_id = msgspec.json.decode(view[starts[i] : starts[i + 1]], type=_Id).event_id
            if event_id in seen:
                doubles.append(place)
            seen.add(event_id)
        origins = [Origin(*(int(column[order[place]]) for column in self._origins)) for place in doubles]
        self._order = np.delete(order, doubles)
        return origins

    def write(self) -> None:
        """Writes the lines in order of time, and gives the output its name."""
        order = self._sorted()
        view, starts = self._mapped(), self._starts
        for first in range(0, len(order), LINES_AT_ONCE):
            part = order[first : first + LINES_AT_ONCE].tolist()
            self._out.file.write(b"".join([view[starts[i] : starts[i + 1]] + b"\n" for i in part]))
        self._out.commit()

    def _mapped(self) -> mmap.mmap | bytes:
        """Returns the spooled lines, once all are there."""
        if self._lines is None:
            self._file.flush()
            size = self._starts[-1]
            self._lines = mmap.mmap(self._file.fileno(), size, access=mmap.ACCESS_READ) if size else b""
        return self._lines


class _Id(msgspec.Struct):
    event_id: str


class RejectLog:
    """Counts rejects in the report, keeps the first of each reason, and writes all of them where asked."""

    def __init__(self, report: ImportReport, path: Path | None, max_examples: int) -> None:
        self._report = report
        self._out = AtomicFile(path) if path is not None else None
        self._max = max_examples
        self._encode = msgspec.json.Encoder().encode

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._out is not None:
            self._out.discard()

    def add(self, counted: BlockReport, file: str, row: int, reason: str) -> None:
        """Takes one reject."""
        reject = Reject(counted.table, file, row, counted.event, reason)
        counted.rejected += 1
        key = (counted.table, reason)
        self._report.reasons[key] += 1
        if self._report.reasons[key] <= self._max:
            self._report.examples.append(reject)
        if self._out is not None:
            self._out.file.write(self._encode(reject) + b"\n")

    def commit(self) -> None:
        """Gives the rejects' file its name."""
        if self._out is not None:
            self._out.commit()
