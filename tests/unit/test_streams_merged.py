"""A stream and a small one beside it."""

from __future__ import annotations

from fraudgraph.streams.merged import MergedStream
from fraudgraph.testing.memory_stream import MemoryStream


def read(stream: MergedStream, size: int = 2) -> list[list[bytes]]:
    batches = []
    while (raw := stream.poll(size)) is not None and len(batches) < 20:
        batches.append(raw.values)
    return batches


def test_they_take_turns_and_neither_starves() -> None:
    main = MemoryStream({"main": [b"1", b"2", b"3", b"4"]})
    side = MemoryStream({"side": [b"a", b"b", b"c", b"d"]}, endless=True)
    stream = MergedStream(main, side)
    stream.seek({})
    assert read(stream) == [[b"a", b"b"], [b"1", b"2"], [b"c", b"d"], [b"3", b"4"]]


def test_it_ends_with_the_main_one_once_the_side_is_read() -> None:
    main, side = MemoryStream({"main": [b"1"]}), MemoryStream({"side": []}, endless=True)
    stream = MergedStream(main, side)
    stream.seek({})
    assert [raw.values for raw in (stream.poll(5),) if raw is not None] == [[b"1"]]
    side.append("side", b"a", b"b", b"c")
    assert read(stream) == [[b"a", b"b"], [b"c"]]
    side.append("side", b"late")
    assert stream.poll(5) is not None, "what comes before anybody asks still comes"
    assert stream.poll(5) is None


def test_an_endless_main_one_says_that_there_is_nothing_yet() -> None:
    stream = MergedStream(MemoryStream({"main": []}, endless=True), MemoryStream({"side": []}, endless=True))
    stream.seek({})
    for _ in range(3):
        raw = stream.poll(5)
        assert raw is not None
        assert len(raw) == 0


def test_both_hear_positions_and_the_end() -> None:
    main, side = MemoryStream({"main": [b"1", b"2"]}), MemoryStream({"side": [b"a", b"b"]}, endless=True)
    stream = MergedStream(main, side)
    stream.seek({"main": 1, "side": 1})
    assert read(stream) == [[b"b"], [b"2"]]
    stream.acknowledge({"main": 2, "side": 2})
    assert main.acknowledged == side.acknowledged == {"main": 2, "side": 2}
    assert stream.progress() == (2, 2)
    stream.close()
    assert main.closed
    assert side.closed
