"""What a file source gives to the stream: chunks of records with their positions, and the name of its partition."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Protocol

TOO_LARGE = "too-large"
TRUNCATED_INPUT = "truncated-input"
"""First words of the reason of a damaged record; the same words as in the dead letters."""


@dataclass(slots=True)
class Chunk:
    """Records of one partition, in order.

    Attributes:
        values, offsets, next_offsets: as in `RawBatch`, `[n]`.
        damaged: (offset, bytes seen, reason); reading goes on at `offset + 1`.
        ended: the partition brings no record after these.
    """

    values: list[bytes] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    next_offsets: list[int] = field(default_factory=list)
    damaged: list[tuple[int, bytes, str]] = field(default_factory=list)
    ended: bool = False


class Source(Protocol):
    """One file, opened late and read once from a position."""

    live: bool
    """Whether records may still be on their way, so that a short chunk is worth handing over at once."""

    def partition(self) -> str:
        """Returns `file:<basename>#<fingerprint>`; may read the head of the source.

        Raises:
            DependencyError: the file cannot be read.
        """
        ...

    def check(self, position: int) -> None:
        """Says early, where that is cheap, that a position lies beyond the end (DependencyError)."""
        ...

    def open(self, position: int) -> None:
        """Makes ready to read from a position.

        Raises:
            DependencyError: the position lies beyond the end, or the file cannot be read.
        """
        ...

    def read(self, max_records: int) -> Chunk:
        """Returns at most `max_records` records; fewer, or none, do not mean the end."""
        ...

    def progress(self) -> tuple[int, int | None]:
        """Returns (bytes read so far, bytes in all or None)."""
        ...

    def close(self) -> None:
        """Releases the file. Idempotent."""
        ...


def partition_name(basename: str, head: bytes) -> str:
    """Returns the partition's name: the file's name and 64 bits of BLAKE2b (RFC 7693) over its identifying bytes."""
    return f"file:{basename}#{hashlib.blake2b(head, digest_size=8).hexdigest()}"
