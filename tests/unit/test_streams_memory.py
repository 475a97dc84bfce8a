"""The in-memory stream behaves like a broker where tests need one."""

from __future__ import annotations

from fraudgraph.testing.memory_stream import MemoryStream


def test_turns_times_and_records_that_come_later() -> None:
    stream = MemoryStream(
        {"a": [b"a0", b"a1"], "b": [b"b0"]}, broker_ts={"a": [1, 2], "b": [3], "c": [4]}, endless=True
    )
    stream.seek({"a": 1})
    batch = stream.poll(10)
    assert batch is not None
    assert batch.values == [b"a1", b"b0"]
    assert batch.broker_ts_ms == [2, 3]
    assert batch.ended == ()
    stream.append("c", b"c0")
    later = stream.poll(10)
    assert later is not None
    assert later.values == [b"c0"]
    assert later.broker_ts_ms == [4]
    empty = stream.poll(10)
    assert empty is not None
    assert len(empty) == 0
    stream.acknowledge({"c": 1})
    assert stream.acknowledged == {"c": 1}


def test_records_added_before_the_end_still_come() -> None:
    stream = MemoryStream({"a": [b"a0", b"a1"]})
    stream.append("a", b"a2")
    first, second = stream.poll(2), stream.poll(2)
    assert first is not None
    assert second is not None
    assert (first.ended, second.values, second.ended) == ((), [b"a2"], ("a",))
    assert stream.poll(2) is None
