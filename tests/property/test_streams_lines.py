"""LineReader against the plain definition of lines, for any content and any cut into blocks."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fraudgraph.streams.lines import BOM, LineReader

LIMIT = 6


def read_all(content: bytes, cuts: list[int], *, numbered: bool) -> tuple[list[tuple[bytes, int, int]], list[int]]:
    """Feeds the content in blocks of the given sizes, over and over."""
    rest = content
    turn = 0

    def read(_: int) -> bytes:
        nonlocal rest, turn
        size = cuts[turn % len(cuts)]
        turn += 1
        block, rest = rest[:size], rest[size:]
        return block

    reader = LineReader(read, 0, numbered=numbered, max_record_bytes=LIMIT)
    records, damaged = [], []
    while True:
        chunk = reader.take(2)
        records += list(zip(chunk.values, chunk.offsets, chunk.next_offsets, strict=True))
        damaged += [offset for offset, _, _ in chunk.damaged]
        if chunk.ended:
            return records, damaged


def expected(content: bytes, *, numbered: bool) -> tuple[list[tuple[bytes, int, int]], list[int]]:
    records, damaged = [], []
    at = 0
    for number, line in enumerate(content.split(b"\n")):
        start = number if numbered else at
        after = number + 1 if numbered else min(at + len(line) + 1, len(content))
        value = line.removesuffix(b"\r")
        if at == 0 and number == 0:
            value = value.removeprefix(BOM)
        if len(value) > LIMIT:
            damaged.append(start)
        elif value:
            records.append((value, start, after))
        at += len(line) + 1
    return records, damaged


content = st.lists(
    st.one_of(st.sampled_from([b"\n", b"\r\n", b"\r", b"", BOM]), st.binary(max_size=9)), max_size=20
).map(b"".join)


@settings(max_examples=400, deadline=None)
@given(content, st.lists(st.integers(1, 12), min_size=1, max_size=5), st.booleans())
def test_lines_for_any_cut_into_blocks(content: bytes, cuts: list[int], numbered: bool) -> None:
    assert read_all(content, cuts, numbered=numbered) == expected(content, numbered=numbered)
