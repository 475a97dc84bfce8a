"""Partitions come together by time, and none passes another that has more to come."""

from __future__ import annotations

from dataclasses import dataclass

import hypothesis.strategies as st
from hypothesis import given

from fraudgraph.streams.by_time import TimeMerge


@dataclass(frozen=True)
class Record:
    timestamp: int
    value: bytes | None = b"xy"


def test_earliest_first_and_each_partition_in_its_own_order() -> None:
    merge: TimeMerge[str, Record] = TimeMerge()
    merge.add("a", [Record(1), Record(5), Record(4)])
    merge.add("b", [Record(2), Record(9)])
    assert merge.held_bytes == 10
    taken = [(name, record.timestamp) for name, record in merge.take(9, ())]
    assert taken == [("a", 1), ("b", 2), ("a", 5), ("a", 4), ("b", 9)]
    assert (merge.held_bytes, merge.holds("a"), merge.holds("unknown")) == (0, 0, 0)


def test_nothing_passes_a_partition_with_more_to_come() -> None:
    merge: TimeMerge[str, Record] = TimeMerge()
    merge.add("a", [Record(1), Record(5), Record(6)])
    assert merge.take(9, {"b"}) == []
    merge.add("b", [Record(3)])
    assert [record.timestamp for _, record in merge.take(9, {"b"})] == [1, 3]
    assert merge.take(9, {"b"}) == []
    assert [record.timestamp for _, record in merge.take(1, ())] == [5]
    assert merge.holds("a") == 1


@given(st.dictionaries(st.sampled_from("abc"), st.lists(st.integers(0, 50)).map(sorted)), st.integers(1, 7))
def test_sorted_partitions_become_one_sorted_stream(times: dict[str, list[int]], limit: int) -> None:
    merge: TimeMerge[str, Record] = TimeMerge()
    for name, moments in times.items():
        merge.add(name, [Record(moment, None) for moment in moments])
    taken: list[int] = []
    while batch := merge.take(limit, ()):
        assert len(batch) <= limit
        taken.extend(record.timestamp for _, record in batch)
    assert taken == sorted(moment for moments in times.values() for moment in moments)
