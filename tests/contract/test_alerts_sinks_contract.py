"""Every alert sink keeps the port's promises."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from kafka import KafkaConsumer, TopicPartition
from support.kafka import Cluster, fresh_name

from fraudgraph.alerts.message import alert_json_schema, encode
from fraudgraph.alerts.sinks import LinesSink, TopicSink
from fraudgraph.streams.kafka import KafkaAccess
from fraudgraph.streams.kafka_sink import KafkaTopic
from fraudgraph.testing.sink_suite import SinkSuite, message


class Pipe(BytesIO):
    """Standard output, whose reader may go away."""

    broken = False

    def write(self, data: Any) -> int:
        if self.broken:
            raise BrokenPipeError(32, "Broken pipe")
        return super().write(data)


class TestFile(SinkSuite):
    """JSON lines in a file."""

    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.file = tmp_path / "alerts.jsonl"

    def make_sink(self) -> LinesSink:
        return LinesSink(str(self.file), BytesIO())

    def delivered(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.file.read_bytes().splitlines()]

    def break_down(self) -> None:
        self.file.mkdir()

    def test_a_rotated_file_is_left_alone(self) -> None:
        sink = self.make_sink()
        sink.send([message(1)])
        old = self.file.rename(self.file.with_suffix(".1"))
        sink.send([message(2)])
        assert len(old.read_bytes().splitlines()) == len(self.delivered()) == 1


class TestStandardOutput(TestFile):
    """JSON lines on standard output."""

    @pytest.fixture(autouse=True)
    def _out(self) -> None:
        self.out = Pipe()

    def make_sink(self) -> LinesSink:
        return LinesSink("-", self.out)

    def delivered(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.getvalue().splitlines()]

    def break_down(self) -> None:
        self.out.broken = True

    def test_a_rotated_file_is_left_alone(self) -> None:
        """There is no file."""


class TestTopic(SinkSuite):
    """A topic of a real Kafka."""

    @pytest.fixture(autouse=True)
    def _topic(self, kafka_address: str) -> Iterator[None]:
        self.cluster, self.name = Cluster(kafka_address), fresh_name()
        self.cluster.make(self.name, partitions=3)
        yield

    def make_sink(self) -> TopicSink:
        return TopicSink(KafkaTopic(KafkaAccess(self.cluster.bootstrap), self.name, limit_s=10.0))

    def delivered(self) -> list[dict[str, Any]]:
        with closing(KafkaConsumer(bootstrap_servers=self.cluster.bootstrap, metrics_enabled=False)) as consumer:
            partitions = [TopicPartition(self.name, number) for number in range(3)]
            consumer.assign(partitions)
            consumer.seek_to_beginning()
            ends = sum(consumer.end_offsets(partitions).values())
            got: list[Any] = []
            while len(got) < ends:
                for records in consumer.poll(timeout_ms=500).values():
                    got += records
        assert all(record.key == b"R000001" for record in got)
        return [json.loads(record.value) for record in got]

    def break_down(self) -> None:
        self.cluster.drop(self.name)


def test_a_message_is_as_its_schema_says_and_names_nobody() -> None:
    schema = alert_json_schema()
    jsonschema.validate(json.loads(encode(message(1))), schema)
    (fields,) = [part["properties"] for part in schema["$defs"].values()]
    assert set(fields) == {
        "version",
        "alert_id",
        "ring_id",
        "at",
        "probability",
        "priority",
        "reason",
        "users",
        "identifiers",
        "value_at_risk_minor",
        "currency",
    }
