"""Columns that grow where they stand: a copy of gigabytes would hold up the commit that it falls into."""

from __future__ import annotations

import math
import os
import resource
from typing import Any, Final, TypeVar, cast

import numpy as np
import numpy.typing as npt

Column = TypeVar("Column", bound=npt.NDArray[Any])

_LARGE_BYTES: Final = 1 << 22
"""What is smaller is copied when it grows, which takes less than a millisecond."""


def _room_bytes() -> int:
    if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        return 0  # addresses themselves are scarce
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


_ROOM_BYTES: Final = _room_bytes()


def roomy(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Returns zeros that `grown` lengthens in place where they are many.

    Addresses are reserved, half as many as there is memory; memory itself is used where something is written.
    """
    row_bytes = np.dtype(dtype).itemsize * math.prod(shape[1:])
    most = _ROOM_BYTES // row_bytes
    if shape[0] * row_bytes >= _LARGE_BYTES and most > shape[0]:
        try:
            return np.zeros((most, *shape[1:]), dtype)[: shape[0]]
        except MemoryError:  # a system that promises no more than it has
            pass
    return np.zeros(shape, dtype)


def grown(column: Column, capacity: int, fill: int = 0) -> Column:
    """Returns a longer column, filled up with `fill`; the shorter one is not to be used any more."""
    out = _in_place(column, capacity)
    if out is None:
        out = cast(Column, roomy((capacity, *column.shape[1:]), column.dtype))
        out[: len(column)] = column
    # Zeroed pages come from the system untouched; only what must differ from zero is written.
    if fill:
        out[len(column) :] = fill
    return out


def _in_place(column: Column, capacity: int) -> Column | None:
    """Returns the longer column if this one lies in what `roomy` reserved, which no other column shares."""
    room = column.base
    if not isinstance(room, np.ndarray) or room.dtype != column.dtype or room.shape[1:] != column.shape[1:]:
        return None
    if column.strides != room.strides or len(room) != _ROOM_BYTES // room.strides[0]:
        return None
    start = (column.ctypes.data - room.ctypes.data) // room.strides[0]
    return cast(Column, room[start : start + capacity]) if start + capacity <= len(room) else None
