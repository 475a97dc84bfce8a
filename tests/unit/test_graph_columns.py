"""Columns grow where they stand once they are large, and hold what they held, filled up as asked."""

from __future__ import annotations

import numpy as np
import pytest

from fraudgraph.graph.columns import grown, roomy

LARGE = 2_000_000


def test_a_large_column_grows_where_it_stands() -> None:
    column = roomy((LARGE,), np.int32)
    column[:] = 7
    longer = grown(column, 2 * LARGE, fill=-1)
    assert longer.ctypes.data == column.ctypes.data
    assert len(longer) == 2 * LARGE
    assert (longer[:LARGE] == 7).all()
    assert (longer[LARGE:] == -1).all()


@pytest.mark.parametrize("size", [3, LARGE])
def test_a_column_without_room_is_copied_once_and_what_is_new_is_zero(size: int) -> None:
    column = np.arange(2 * size, dtype=np.int64).reshape(size, 2)
    longer = grown(column, size + 5)
    assert (longer[:size] == column).all()
    assert not longer[size:].any()
    again = grown(longer, size + 9)
    assert (again[:size] == column).all()
    assert not again[size:].any()
    assert (again.ctypes.data == longer.ctypes.data) == (size == LARGE)


def test_a_part_of_a_larger_array_does_not_grow_into_the_rest_of_it() -> None:
    whole = np.arange(2 * LARGE, dtype=np.int32)
    longer = grown(whole[:LARGE], LARGE + 10)
    assert not longer[LARGE:].any()
    longer[0] = 5
    assert whole[0] == 0
