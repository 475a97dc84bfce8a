"""A bounded memory of identifiers already normalised: the cold way costs 10 to 100 times the warm one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeAlias, TypeVar

from fraudgraph.events.rejected import Refusal

K = TypeVar("K", bytes, str)

Seen: TypeAlias = tuple[K | None, str, Refusal | None]
"""What became of a raw identifier: (key, mask, refusal); the key is its pseudonym, or a user's business key, and None
where it was refused or makes no link. A plain tuple, because the garbage collector stops tracking those."""

NO_LINK: Final[Seen[Any]] = (None, "", None)
"""Absent, or no identifier at all. One object, so that columns can be filtered by identity."""

ENTRY_BYTES: Final = 420
"""Memory of one entry, measured with e-mail addresses of 30 characters: text, tuple, pseudonym, mask, dict slot."""


class Cache(Generic[K]):
    """Raw text -> `Seen`, in two generations: a full young one becomes the old one, and the old one is dropped.

    So eviction is one assignment, an entry in use survives, and there are never more than `capacity` entries
    (about `ENTRY_BYTES` each). It holds raw identifiers: in this process's memory only, never written anywhere.

    Args:
        make: the cold way; called once per text that is not held.
        capacity: entries at most; 0 remembers nothing.
    """

    def __init__(self, make: Callable[[str], Seen[K]], capacity: int) -> None:
        self._make: Callable[[str], Seen[K]] = make
        self._half = capacity // 2
        self._young: dict[str | None, Seen[K]] = {None: NO_LINK}
        self._old: dict[str | None, Seen[K]] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old) - 1

    def __repr__(self) -> str:
        return f"Cache({len(self)} entries)"

    def column(self, raws: Sequence[str | None]) -> list[Seen[K]]:
        """Returns what is known of each text, in order; `NO_LINK` for None."""
        column = list(map(self._young.get, raws))
        if None not in column:
            return column  # type: ignore[return-value]  # just checked
        recall = self._recall
        return [recall(raw) if seen is None else seen for raw, seen in zip(raws, column, strict=True)]

    def _recall(self, raw: str | None) -> Seen[K]:
        """The way of what the young generation did not hold when the column was read."""
        young = self._young
        seen = young.get(raw)
        if seen is not None:
            return seen
        assert raw is not None
        seen = self._old.pop(raw, None) or self._make(raw)
        if self._half:
            if len(young) > self._half:
                del young[None]
                self._old = young
                self._young = young = {None: NO_LINK}
            young[raw] = seen
        return seen
