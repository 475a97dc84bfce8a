"""The stream port's conformance suite over a real Kafka."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from support.kafka import Cluster, fresh_name

from fraudgraph.streams.kafka import KafkaAccess, KafkaStream
from fraudgraph.streams.port import Stream
from fraudgraph.testing.stream_suite import StreamSuite

PARTITIONS = 2


class TestKafka(StreamSuite):
    ends = False

    @pytest.fixture(autouse=True)
    def _cluster(self, kafka_address: str) -> None:
        self.cluster = Cluster(kafka_address)
        self.topics: dict[tuple[bytes, ...], str] = {}

    def make_stream(self, records: Sequence[bytes]) -> Stream:
        sent = tuple(records)
        if sent not in self.topics:
            self.topics[sent] = fresh_name()
            self.cluster.make(self.topics[sent], partitions=PARTITIONS)
            self.cluster.send(self.topics[sent], sent, partitions=PARTITIONS)
        # A run to the present end needs no guess at how long a broker may take; it announces no end of a partition.
        access = KafkaAccess(self.cluster.bootstrap)
        return KafkaStream(access, [self.topics[sent]], until_end=True, poll_wait_ms=1000)
