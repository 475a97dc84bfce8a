"""Events from files: JSON lines, plain or gzipped, Parquet, or standard input."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

from fraudgraph.errors import ConfigurationError, DependencyError
from fraudgraph.streams.parquet_source import ParquetSource
from fraudgraph.streams.port import RawBatch
from fraudgraph.streams.sources import Source
from fraudgraph.streams.text_sources import GZIP_MAGIC, GzipSource, PlainSource, StdinSource, cannot_read

LINE_SUFFIXES = (".jsonl", ".ndjson", ".json")
SUFFIXES = (*LINE_SUFFIXES, *(suffix + ".gz" for suffix in LINE_SUFFIXES), ".parquet")
STDIN = "-"


class FileStream:
    """The stream port over files, read one after another in the order of their paths.

    Each file is a partition, named `file:<basename>#<fingerprint>`: appending to a file keeps the name, a file
    that was replaced gets another one. The watermark is the lowest over *active* partitions, and a partition is
    active from its first record until it is announced in `ended`. Read in sequence, only one file is active at
    a time: files that follow each other in time (one per day) should be named in that order; of files that
    cover the same time, the later ones come after the watermark, and need `allowed_lateness` of their span or
    a back-fill.

    Args:
        paths: files (`.jsonl`, `.ndjson`, `.json`, these with `.gz`, `.parquet`), folders (all such files
            directly inside), or `-` for standard input.
        stdin: what `-` reads; the process's own standard input unless given.
        max_record_bytes: longer lines are skipped, and reported as damaged.
        max_batch_bytes: a batch is handed over early when it holds this much.

    Raises:
        ConfigurationError: a file is not of a kind that holds events.
        DependencyError: a path does not exist, or a folder holds no events.
    """

    def __init__(
        self,
        paths: Iterable[str | Path],
        *,
        stdin: BinaryIO | None = None,
        max_record_bytes: int = 1 << 20,
        max_batch_bytes: int = 64 << 20,
    ) -> None:
        self._sources: list[Source] = [
            StdinSource(stdin or sys.stdin.buffer, max_record_bytes=max_record_bytes)
            if path is None
            else _source(path, max_record_bytes)
            for path in _resolve(paths)
        ]
        self._max_batch_bytes = max_batch_bytes
        self._names: dict[int, str] = {}
        self._copies: Counter[str] = Counter()
        self._positions: Mapping[str, int] | None = None
        self._current = 0
        self._open = False

    def seek(self, positions: Mapping[str, int]) -> None:
        """Takes over the positions; a file that is shorter than its position is refused here where that is cheap."""
        self._positions = dict(positions)
        for index, source in enumerate(self._sources):
            if not source.live:  # a name that has to wait for input is asked for when it is that source's turn
                source.check(positions.get(self._name(index), 0))

    def poll(self, max_records: int) -> RawBatch | None:
        """Returns up to `max_records` records; fewer at the end, where input is slow, or where records are big."""
        if self._positions is None:
            self.seek({})
        if self._current == len(self._sources):
            return None
        batch = RawBatch(values=[], partitions=[], partition_of=[], offsets=[], next_offsets=[])
        ended: list[str] = []
        room_bytes = self._max_batch_bytes
        while self._current < len(self._sources) and room_bytes > 0:
            room = max_records - len(batch) - len(batch.damaged)
            if room <= 0:
                break
            source = self._sources[self._current]
            name = self._name(self._current)
            if not self._open:
                source.open((self._positions or {}).get(name, 0))
                self._open = True
            chunk = source.read(room)
            if chunk.values:
                if not batch.partitions or batch.partitions[-1] != name:
                    batch.partitions.append(name)
                batch.values.extend(chunk.values)
                batch.offsets.extend(chunk.offsets)
                batch.next_offsets.extend(chunk.next_offsets)
                batch.partition_of.extend([len(batch.partitions) - 1] * len(chunk.values))
                room_bytes -= sum(map(len, chunk.values))
            batch.damaged.extend((name, *damage) for damage in chunk.damaged)
            if chunk.ended:
                source.close()
                ended.append(name)
                self._current += 1
                self._open = False
            elif source.live and (chunk.values or chunk.damaged):
                break
        return RawBatch(
            batch.values,
            batch.partitions,
            batch.partition_of,
            batch.offsets,
            batch.next_offsets,
            ended=tuple(ended),
            damaged=batch.damaged,
        )

    def acknowledge(self, positions: Mapping[str, int]) -> None:
        """Does nothing: files keep no positions, the store does."""

    def progress(self) -> tuple[int, int | None]:
        """Returns (bytes read, bytes in all); None in all while standard input is among the sources."""
        parts = [source.progress() for source in self._sources]
        # A file that ended counts as read to its end, whatever its last block was.
        done = [total if i < self._current and total is not None else read for i, (read, total) in enumerate(parts)]
        totals = [total for _, total in parts if total is not None]
        return sum(done), sum(totals) if len(totals) == len(parts) else None

    def close(self) -> None:
        """Closes the files."""
        for source in self._sources:
            source.close()

    def _name(self, index: int) -> str:
        """Returns the partition's name; a copy of an earlier file under the same name is numbered."""
        if index not in self._names:
            name = self._sources[index].partition()
            self._copies[name] += 1
            self._names[index] = name if self._copies[name] == 1 else f"{name}~{self._copies[name]}"
        return self._names[index]


def _resolve(paths: Iterable[str | Path]) -> list[Path | None]:
    """Returns the files behind the paths, each once, sorted by name; None, at the end, for standard input."""
    files: set[Path] = set()
    stdin = False
    for given in paths:
        if str(given) == STDIN:
            stdin = True
            continue
        path = Path(given)
        if path.is_dir():
            inside = [p for p in path.iterdir() if p.name.endswith(SUFFIXES) and not p.name.startswith(".")]
            if not inside:
                raise DependencyError(
                    f"the folder {path.name} holds no events", do=f"Event files end in one of {', '.join(SUFFIXES)}."
                )
            files.update(inside)
        elif not path.exists():
            raise DependencyError(f"there is no file {path}", do="Check the path; `-` reads standard input.")
        elif not path.name.endswith(SUFFIXES):
            raise ConfigurationError(
                f"{path.name} is not a kind of file that holds events",
                do=f"Use one of {', '.join(SUFFIXES)}; tables of your own go through `fraudgraph import` first.",
            )
        else:
            files.add(path)
    ordered: list[Path | None] = list({path.resolve(): path for path in sorted(files)}.values())
    if stdin:
        ordered.append(None)
    if not ordered:
        raise ConfigurationError("no file was named", do="Name a file, a folder, or `-` for standard input.")
    return ordered


def _source(path: Path, max_record_bytes: int) -> Source:
    if path.name.endswith(".parquet"):
        return ParquetSource(path)
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == GZIP_MAGIC
    except OSError as error:
        raise cannot_read(path, error) from error
    # By content too: a download is often decompressed, or compressed, without being renamed.
    if zipped or path.name.endswith(".gz"):
        return GzipSource(path, max_record_bytes=max_record_bytes)
    return PlainSource(path, max_record_bytes=max_record_bytes)
