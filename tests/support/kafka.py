"""A real Kafka for the tests: the one that FRAUDGRAPH_TEST_KAFKA names, or one that is made and stopped here."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
from kafka import KafkaAdminClient, KafkaProducer

from fraudgraph.services.jars import cache_folder
from fraudgraph.services.kafka import KafkaServer

TEST_VARIABLE = "FRAUDGRAPH_TEST_KAFKA"


@contextmanager
def running(folder: Path) -> Iterator[KafkaServer]:
    """Yields a broker of its own, and stops it whatever happens."""
    server = KafkaServer(folder, cache_folder())
    server.start()
    try:
        yield server
    finally:
        server.stop()


class Cluster:
    """Topics of a running cluster."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def make(self, name: str, *, partitions: int = 1) -> None:
        """Makes a topic, and waits until it can be written to."""
        with closing(KafkaAdminClient(bootstrap_servers=self.bootstrap)) as admin:
            wanted = {name: {"num_partitions": partitions, "replication_factor": 1}}
            admin.create_topics(wanted, wait_for_metadata=True)

    def drop(self, name: str) -> None:
        """Deletes a topic, and waits until it is not there."""
        with closing(KafkaAdminClient(bootstrap_servers=self.bootstrap)) as admin:
            admin.delete_topics([name])
            while name in admin.list_topics():
                pass

    def add_partitions(self, name: str, count: int) -> None:
        """Raises the number of partitions."""
        with closing(KafkaAdminClient(bootstrap_servers=self.bootstrap)) as admin:
            admin.create_partitions({name: count})

    def delete_records(self, name: str, before: int) -> None:
        """Drops what is before a position of partition 0, as retention does."""
        from kafka import TopicPartition

        with closing(KafkaAdminClient(bootstrap_servers=self.bootstrap)) as admin:
            admin.delete_records({TopicPartition(name, 0): before})

    def send(
        self,
        name: str,
        records: Sequence[bytes | None],
        *,
        partitions: int = 1,
        compression: str | None = None,
        times: Sequence[int] | None = None,
        by_user: bool = False,
    ) -> None:
        """Writes records to partitions in turns, or each user's to one, and waits for all acknowledgements."""
        with closing(
            KafkaProducer(bootstrap_servers=self.bootstrap, acks="all", linger_ms=10, compression_type=compression)
        ) as producer:
            waits = []
            for place, record in enumerate(records):
                number = place
                if by_user:
                    number = sum(msgspec.json.decode(record or b"{}").get("user_id", "").encode())
                time_ms = None if times is None else times[place]
                key = b"k" if record is None else None  # a record of neither is none
                waits.append(producer.send(name, record, key, partition=number % partitions, timestamp_ms=time_ms))
            producer.flush()
            for wait in waits:
                wait.get(timeout=30)


def fresh_name() -> str:
    """Returns a name of a topic that nobody used before."""
    return f"test-{uuid.uuid4().hex[:12]}"
