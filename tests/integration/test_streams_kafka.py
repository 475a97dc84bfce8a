"""KafkaStream against a real broker: what only a broker can do to a reader."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from support.kafka import Cluster, fresh_name, running

from fraudgraph.errors import DependencyError
from fraudgraph.streams.kafka import KafkaAccess, KafkaStream
from fraudgraph.streams.port import RawBatch

DEADLINE_POLLS = 400


@pytest.fixture
def cluster(kafka_address: str) -> Cluster:
    return Cluster(kafka_address)


@contextmanager
def reading(
    cluster: Cluster, topic: str, positions: Mapping[str, int] | None = None, *, until_end: bool = False
) -> Iterator[KafkaStream]:
    access = KafkaAccess(cluster.bootstrap)
    with closing(KafkaStream(access, [topic], until_end=until_end, poll_wait_ms=100)) as stream:
        stream.seek(positions or {})
        yield stream


def read(stream: KafkaStream, count: int, *, each: int = 100) -> list[bytes]:
    """Polls until there are so many records, or for a long time."""
    values: list[bytes] = []
    for _ in range(DEADLINE_POLLS):
        batch = stream.poll(each)
        assert batch is not None
        values.extend(batch.values)
        if len(values) >= count:
            break
    return values


def first_batch(stream: KafkaStream, most: int) -> RawBatch:
    """Polls until records come."""
    for _ in range(DEADLINE_POLLS):
        batch = stream.poll(most)
        assert batch is not None
        if len(batch):
            return batch
    raise AssertionError("no record came")


def read_to_end(cluster: Cluster, topic: str) -> list[bytes]:
    with reading(cluster, topic, until_end=True) as stream:
        values: list[bytes] = []
        while (batch := stream.poll(100)) is not None:
            values.extend(batch.values)
        return values


@pytest.mark.parametrize("compression", ["lz4", "zstd", "gzip"])
def test_compressed_records_are_read(cluster: Cluster, compression: str) -> None:
    topic, sent = fresh_name(), [b'{"n":%d}' % n for n in range(500)]
    cluster.make(topic)
    cluster.send(topic, sent, compression=compression)
    assert read_to_end(cluster, topic) == sent


def test_a_backlog_comes_in_the_order_of_its_times(cluster: Cluster) -> None:
    topic, sent = fresh_name(), [b'{"n":%05d}' % n + b" " * 400 for n in range(6000)]
    cluster.make(topic, partitions=3)
    cluster.send(topic, sent, partitions=3, times=[1_772_000_000_000 + n for n in range(6000)])
    assert read_to_end(cluster, topic) == sent


def test_only_committed_transactions_are_read_and_their_marks_are_passed(cluster: Cluster) -> None:
    topic = fresh_name()
    cluster.make(topic)
    producer = KafkaProducer(bootstrap_servers=cluster.bootstrap, transactional_id=topic, acks="all")
    with closing(producer):
        producer.init_transactions()
        for value, ends in ((b"kept", producer.commit_transaction), (b"dropped", producer.abort_transaction)):
            producer.begin_transaction()
            producer.send(topic, value)
            producer.flush()
            ends()
    assert read_to_end(cluster, topic) == [b"kept"]  # and ends, although marks stand behind the last record


def test_a_tombstone_is_a_record_of_no_bytes(cluster: Cluster) -> None:
    topic = fresh_name()
    cluster.make(topic)
    cluster.send(topic, [b"{}", None, b"[]"])
    assert read_to_end(cluster, topic) == [b"{}", b"", b"[]"]


def test_broker_time_is_the_time_of_the_record(cluster: Cluster) -> None:
    topic = fresh_name()
    cluster.make(topic)
    cluster.send(topic, [b"{}"], times=[1_772_000_000_123])
    with reading(cluster, topic, until_end=True) as stream:
        batch = first_batch(stream, 10)
    assert batch.broker_ts_ms == [1_772_000_000_123]


def test_a_topic_made_anew_between_two_runs_is_another_one(cluster: Cluster) -> None:
    topic = fresh_name()
    cluster.make(topic)
    cluster.send(topic, [b"old-0", b"old-1"])
    with reading(cluster, topic) as stream:
        batch = first_batch(stream, 100)
        positions = {batch.partitions[0]: batch.next_offsets[-1]}
    cluster.drop(topic)
    cluster.make(topic)
    cluster.send(topic, [b"new-0", b"new-1", b"new-2"])
    values: list[bytes] = []
    partitions: set[str] = set()
    ended: list[str] = []
    with reading(cluster, topic, positions, until_end=True) as stream:
        while (part := stream.poll(100)) is not None:
            values.extend(part.values)
            partitions.update(part.partitions[place] for place in part.partition_of)
            ended.extend(part.ended)
    assert values == [b"new-0", b"new-1", b"new-2"]
    assert partitions.isdisjoint(positions)
    assert set(positions) <= set(ended)


def test_a_topic_made_anew_while_it_is_read_stops_the_reader(cluster: Cluster) -> None:
    topic = fresh_name()
    cluster.make(topic)
    cluster.send(topic, [b"old"] * 3)
    with reading(cluster, topic) as stream:
        assert read(stream, 3) == [b"old"] * 3
        cluster.drop(topic)
        cluster.make(topic)
        cluster.send(topic, [b"new"] * 9)
        with pytest.raises(DependencyError, match="made anew"):
            read(stream, 1)


def test_positions_that_are_gone_or_not_there_yet_are_refused(cluster: Cluster) -> None:
    topic = fresh_name()
    cluster.make(topic)
    cluster.send(topic, [b"%d" % n for n in range(10)])
    with reading(cluster, topic, until_end=True) as stream:
        batch = first_batch(stream, 4)
        (name,), after = batch.partitions, batch.next_offsets[-1]
    with pytest.raises(DependencyError, match="ends at 10"), reading(cluster, topic, {name: 11}):
        pass
    cluster.delete_records(topic, 7)
    with pytest.raises(DependencyError, match="begins at 7"), reading(cluster, topic, {name: after}):
        pass
    with reading(cluster, topic, {name: 7}) as stream:
        assert read(stream, 3) == [b"7", b"8", b"9"]
    assert read_to_end(cluster, topic) == [b"7", b"8", b"9"]


def test_a_missing_topic_says_what_to_do(cluster: Cluster) -> None:
    with pytest.raises(DependencyError, match="no topic"), reading(cluster, fresh_name()):
        pass


def test_new_partitions_are_taken_up(cluster: Cluster) -> None:
    topic = fresh_name()
    cluster.make(topic)
    cluster.send(topic, [b"a"])
    with reading(cluster, topic) as stream:
        assert read(stream, 1) == [b"a"]
        cluster.add_partitions(topic, 2)
        cluster.send(topic, [b"b", b"c"], partitions=2)
        assert sorted(read(stream, 2)) == [b"b", b"c"]


def test_acknowledged_positions_are_shown_as_offsets_of_the_group(cluster: Cluster) -> None:
    topic, group = fresh_name(), fresh_name()
    cluster.make(topic)
    cluster.send(topic, [b"a", b"b", b"c"])
    with closing(KafkaStream(KafkaAccess(cluster.bootstrap), [topic], group=group, until_end=True)) as stream:
        stream.seek({})
        batch = first_batch(stream, 2)
        while batch.next_offsets[-1] < 2:
            batch = first_batch(stream, 1)
        assert stream.lag() == 1
        stream.acknowledge({batch.partitions[0]: 2})
    with closing(KafkaConsumer(bootstrap_servers=cluster.bootstrap, group_id=group)) as consumer:
        assert consumer.committed(TopicPartition(topic, 0)) == 2


def test_what_is_read_through_is_known_only_from_the_brokers(tmp_path: Path) -> None:
    with running(tmp_path / "kafka") as server:
        cluster = Cluster(server.bootstrap)
        cluster.make("events", partitions=2)
        cluster.send("events", [b"a", b"b"])  # all in partition 0
        producer = KafkaProducer(bootstrap_servers=cluster.bootstrap, transactional_id="t", acks="all")
        with closing(producer):
            producer.init_transactions()
            producer.begin_transaction()
            producer.send("events", b"c", partition=0)
            producer.flush()
            producer.commit_transaction()
        with reading(cluster, "events") as stream:
            assert set(stream.read_through().values()) == {0}, "one is empty, and one has records"
            assert read(stream, 2, each=2) == [b"a", b"b"]
            assert len(stream.read_through()) == 1
            assert read(stream, 1) == [b"c"]
            assert sorted(stream.read_through().values()) == [0, 3]  # a marker stands behind the last record
            assert set(stream.lags()) == set(stream.read_through())
            cluster.send("events", [b"d"])
            assert len(stream.read_through()) == 1
            assert read(stream, 1) == [b"d"]
            server.stop()
            assert stream.read_through() == {}
            server.start()


def test_a_killed_broker_is_waited_for_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    with running(tmp_path / "kafka") as server:
        cluster = Cluster(server.bootstrap)
        cluster.make("events", partitions=3)
        sent = [b'{"n":%d}' % n for n in range(9000)]
        cluster.send("events", sent, partitions=3, times=list(range(1, 9001)))
        with reading(cluster, "events") as stream:
            values: list[bytes] = []
            kills: list[Callable[[], None]] = [server.kill, server.stop]
            while len(values) < len(sent):
                values.extend(read(stream, 1, each=500))
                if kills and len(values) > 3000 * (3 - len(kills)):
                    kills.pop(0)()
                    for _ in range(5):
                        batch = stream.poll(500)
                        assert batch is not None
                        values.extend(batch.values)
                    server.start()
        assert values == sent


def test_a_store_that_was_filled_from_files_goes_on_by_time(cluster: Cluster) -> None:
    name = fresh_name()
    cluster.make(name, partitions=2)
    cluster.send(name, [b"%d" % i for i in range(8)], partitions=2, times=[1_000 + i for i in range(8)])

    def records(since_ms: int, positions: Mapping[str, int]) -> list[bytes]:
        access = KafkaAccess(cluster.bootstrap)
        with closing(KafkaStream(access, [name], until_end=True, since_ms=since_ms, poll_wait_ms=100)) as stream:
            stream.seek(positions)
            values: list[bytes] = []
            while (batch := stream.poll(100)) is not None:
                values.extend(batch.values)
            return values

    assert sorted(records(1_005, {})) == [b"5", b"6", b"7"]
    assert records(9_000, {}) == []
    with reading(cluster, name) as stream:
        first = next(iter(stream.lags()))
    assert len(records(9_000, {first: 0})) == 4
