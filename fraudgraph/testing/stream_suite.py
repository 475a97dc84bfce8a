"""Conformance suite of the stream port, for anyone's adapter: derive a test class and say how to make a stream.

    class TestMyBroker(StreamSuite):
        def make_stream(self, records):
            return MyBrokerStream(fill_topic(records))

`make_stream` may spread the records over partitions, and must give the same source each time that it is called
with the same records, as a restart would. Sources that never end set `ends = False`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec

from fraudgraph.errors import DependencyError
from fraudgraph.streams.port import RawBatch, Stream

IDLE_POLLS = 3
"""A source that never ends counts as read through after so many empty batches in a row."""


class Read(NamedTuple):
    """One record as it came."""

    value: bytes
    partition: str
    offset: int
    next_offset: int


class StreamSuite(ABC):
    """Tests of the port's promises; pytest runs those of each derived class."""

    ends = True
    """Whether the source announces its end."""

    @abstractmethod
    def make_stream(self, records: Sequence[bytes]) -> Stream:
        """Returns a new stream over a source that holds these JSON objects, each without a line break."""

    def same(self, sent: bytes, got: bytes) -> bool:
        """Whether a record is the one that was sent; sources that store columns may write JSON differently."""
        return bool(msgspec.json.decode(sent) == msgspec.json.decode(got))

    def records(self, count: int) -> list[bytes]:
        """Returns records of different lengths."""
        return [
            msgspec.json.encode({"type": "login", "event_id": f"e{i}", "user_id": "u" * (1 + i * 7 % 90)})
            for i in range(count)
        ]

    def read_all(self, stream: Stream, *, max_records: int = 7) -> tuple[list[Read], list[RawBatch]]:
        """Polls to the end and returns the records and the batches."""
        reads: list[Read] = []
        batches: list[RawBatch] = []
        idle = 0
        while (batch := stream.poll(max_records)) is not None and idle < IDLE_POLLS:
            idle = 0 if self.ends or len(batch) else idle + 1
            batches.append(batch)
            for value, part, offset, after in zip(
                batch.values, batch.partition_of, batch.offsets, batch.next_offsets, strict=True
            ):
                reads.append(Read(value, batch.partitions[part], offset, after))
        return reads, batches

    def read_from(self, records: Sequence[bytes], positions: Mapping[str, int]) -> list[Read]:
        """Opens the source anew and reads it from the positions to its end."""
        stream = self.make_stream(records)
        try:
            stream.seek(positions)
            return self.read_all(stream)[0]
        finally:
            stream.close()

    def test_every_record_arrives(self) -> None:
        """Whatever was put in comes out, once where nothing crashed."""
        sent = self.records(41)
        got = self.read_from(sent, {})
        assert len(got) == len(sent)
        left = [read.value for read in got]
        for record in sent:
            match = next((i for i, value in enumerate(left) if self.same(record, value)), None)
            assert match is not None, "a record did not arrive"
            del left[match]

    def test_order_holds_within_a_partition(self) -> None:
        """Records of a partition come in the order in which they were sent, with growing positions."""
        sent = self.records(41)
        by_partition: dict[str, list[Read]] = defaultdict(list)
        for read in self.read_from(sent, {}):
            by_partition[read.partition].append(read)
        for reads in by_partition.values():
            numbers = [int(msgspec.json.decode(read.value)["event_id"][1:]) for read in reads]
            assert numbers == sorted(numbers)
            offsets = [read.offset for read in reads]
            assert all(a < b for a, b in pairwise(offsets))
            assert all(read.offset < read.next_offset for read in reads)
            assert all(a.next_offset <= b.offset for a, b in pairwise(reads))

    def test_resume_continues_exactly_there(self) -> None:
        """From the position after any record, exactly those after it in its partition come, at the same positions."""
        sent = self.records(23)
        whole = self.read_from(sent, {})
        for cut in range(len(whole) + 1):
            positions = {read.partition: read.next_offset for read in whole[:cut]}
            expected = whole[cut:]
            again = self.read_from(sent, positions)
            assert sorted(again, key=_place) == sorted(expected, key=_place)

    def test_seek_to_a_record_brings_that_record(self) -> None:
        """A record's own position brings it again."""
        sent = self.records(11)
        for read in self.read_from(sent, {}):
            again = self.read_from(sent, {read.partition: read.offset})
            assert next(other for other in again if other.partition == read.partition) == read

    def test_unknown_partitions_are_ignored(self) -> None:
        """Positions of a source that is gone disturb nobody."""
        sent = self.records(5)
        assert self.read_from(sent, {"somewhere-else#0": 10**9}) == self.read_from(sent, {})

    def test_position_beyond_the_end_is_refused(self) -> None:
        """A source that lost what was read says so, at the latest when it is read."""
        sent = self.records(5)
        partition = self.read_from(sent, {})[0].partition
        if not self.ends:
            return  # an endless source cannot tell a lost record from one that is still to come
        try:
            self.read_from(sent, {partition: 10**9})
        except DependencyError as error:
            assert error.do
        else:
            raise AssertionError("a position beyond the end was accepted")

    def test_batches_keep_their_limit(self) -> None:
        """No batch holds more than asked for, and its columns have one length."""
        for limit in (1, 2, 1000):
            stream = self.make_stream(self.records(9))
            stream.seek({})
            reads, batches = self.read_all(stream, max_records=limit)
            stream.close()
            assert len(reads) == 9
            for batch in batches:
                assert len(batch) <= limit
                columns = [batch.partition_of, batch.offsets, batch.next_offsets]
                if batch.broker_ts_ms is not None:
                    columns.append(batch.broker_ts_ms)
                assert {len(column) for column in columns} == {len(batch)}

    def test_end_is_announced_once(self) -> None:
        """Each partition ends once, after its last record, and then poll returns None for good."""
        if not self.ends:
            return
        stream = self.make_stream(self.records(9))
        stream.seek({})
        ended: list[str] = []
        seen: set[str] = set()
        while (batch := stream.poll(2)) is not None:
            names = {batch.partitions[part] for part in batch.partition_of}
            assert not names & set(ended), "a record after its partition ended"
            seen |= names
            ended.extend(batch.ended)
        assert stream.poll(2) is None
        stream.close()
        assert len(ended) == len(set(ended))
        assert seen <= set(ended)

    def test_acknowledge_and_close_are_idempotent(self) -> None:
        """Both may come twice, and an acknowledged position changes nothing for a reader who holds an older one."""
        sent = self.records(9)
        stream = self.make_stream(sent)
        stream.seek({})
        reads, _ = self.read_all(stream)
        positions = {read.partition: read.next_offset for read in reads}
        stream.acknowledge(positions)
        stream.acknowledge(positions)
        stream.acknowledge({})
        stream.close()
        stream.close()
        assert self.read_from(sent, {}) == reads

    def test_progress_grows_to_the_whole(self) -> None:
        """Bytes read never shrink, and reach what there is where that is known."""
        stream = self.make_stream(self.records(9))
        stream.seek({})
        last = 0
        idle = 0
        while (batch := stream.poll(2)) is not None and idle < IDLE_POLLS:
            idle = 0 if self.ends or len(batch) else idle + 1
            read, total = stream.progress()
            assert read >= last
            assert total is None or read <= total
            last = read
        read, total = stream.progress()
        assert total is None or read == total
        stream.close()

    def test_an_empty_source_ends(self) -> None:
        """No records is no error."""
        assert self.read_from([], {}) == []


def _place(read: Read) -> tuple[str, int]:
    return read.partition, read.offset
