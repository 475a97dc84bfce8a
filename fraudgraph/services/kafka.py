"""A real single-node Kafka (KRaft) in a folder of its own, on loopback."""

from __future__ import annotations

import base64
import subprocess
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from fraudgraph.errors import DependencyError
from fraudgraph.services.jars import fetch_jars, find_program
from fraudgraph.services.process import HOST, ServerProcess, reserved

VERSION = "4.4.0"
COORDINATES = (
    f"org.apache.kafka:kafka_2.13:{VERSION}",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.5",
)
_HEAP = "512m"
_READY_LIMIT_S = 120.0

# Every internal topic has one replica, for there is one node. Nothing expires by age. The short broker session lets a
# restart after a kill be quick: the controller must first give up the session of the one that died.
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs={data}
log.retention.ms=-1
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
num.partitions=1
default.replication.factor=1
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=400
"""


class _Event(msgspec.Struct):
    ts: datetime | int | None = None
    user_id: str = ""


class KafkaServer(ServerProcess):
    """One broker in a folder of its own.

    Args:
        folder: made where it does not exist; a second start finds the data of the first.
        cache: where the jars are kept.
    """

    def __init__(self, folder: Path, cache: Path) -> None:
        super().__init__("Kafka", folder, ready_limit_s=_READY_LIMIT_S)
        self._cache = cache
        self._settings = self.folder / "server.properties"

    @property
    def bootstrap(self) -> str:
        """The address for clients.

        Raises:
            DependencyError: the folder holds no broker.
        """
        try:
            lines = self._settings.read_text().splitlines()
        except OSError as error:
            raise DependencyError(
                f"{self.folder} holds no Kafka", do="Make one with `fraudgraph services up`."
            ) from error
        settings = dict(line.split("=", 1) for line in lines)
        return settings["advertised.listeners"].removeprefix("PLAINTEXT://")

    def start(self, *, port: int = 0) -> None:
        """Starts the broker and waits until it answers; does nothing where it runs.

        Args:
            port: of the clients' listener when the folder is new; 0 takes a free one, and keeps it.

        Raises:
            DependencyError: Java or Maven is missing, the port is taken, or the broker does not come up.
        """
        if self.pid is not None:
            return
        jars = fetch_jars("kafka", COORDINATES, self._cache)
        if not self._settings.exists():
            self._format(jars, port)
        host, taken = self.bootstrap.rsplit(":", 1)
        self._launch([*_java(jars), "kafka.Kafka", str(self._settings)], host, int(taken), self._serves_metadata)

    def make_topic(self, name: str, partitions: int) -> None:
        """Makes a topic and waits until it can be used; does nothing where it exists.

        Raises:
            DependencyError: the broker does not answer, or refuses the name.
        """
        with self._admin() as admin:
            if name not in admin.list_topics():
                wanted = {name: {"num_partitions": partitions, "replication_factor": 1}}
                admin.create_topics(wanted, wait_for_metadata=True)

    def produce(self, topic: str, records: Iterable[bytes], *, compression: str | None = None) -> int:
        """Writes JSON events, keyed by their user so that each user's keep their order; returns how many.

        A record's time is that of its event, as from a shop that sends what happens at once. A line that is no event
        goes in as it is.

        Raises:
            DependencyError: the broker does not answer.
        """
        from kafka import KafkaProducer
        from kafka.errors import KafkaError

        fields = msgspec.json.Decoder(_Event)
        count = 0
        sent: list[Any] = []
        try:
            producer = KafkaProducer(
                bootstrap_servers=self.bootstrap,
                acks="all",
                linger_ms=20,
                batch_size=1 << 18,
                compression_type=compression,
            )
            try:
                for line in records:
                    value = line.rstrip(b"\r\n")
                    try:
                        event = fields.decode(value)
                    except msgspec.DecodeError:
                        event = _Event()
                    sent.append(producer.send(topic, value, event.user_id.encode(), timestamp_ms=_past_ms(event.ts)))
                    count += 1
                producer.flush()
                for future in sent:
                    future.get(timeout=0)
            finally:
                producer.close()
        except (KafkaError, OSError) as error:
            raise self._silent(error) from error
        return count

    @contextmanager
    def _admin(self) -> Iterator[Any]:
        from kafka import KafkaAdminClient
        from kafka.errors import KafkaError

        try:
            with closing(KafkaAdminClient(bootstrap_servers=self.bootstrap)) as admin:
                yield admin
        except (KafkaError, OSError) as error:
            raise self._silent(error) from error

    def _silent(self, error: Exception) -> DependencyError:
        return DependencyError(
            f"Kafka at {self.bootstrap} does not do it ({type(error).__name__})",
            do=f"See `fraudgraph services status`, and read {self.log_file}.",
        )

    def _format(self, jars: Path, port: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with reserved(port) as clients, reserved(0) as controller:
            text = _PROPERTIES.format(
                host=HOST,
                port=clients.getsockname()[1],
                controller=controller.getsockname()[1],
                data=self.folder / "data",
            )
        part = self._settings.with_suffix(".part")
        part.write_text(text)
        done = subprocess.run(
            [*_java(jars), "kafka.tools.StorageTool", "format", "-t", _cluster_id(), "-c", str(part)],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()[-1:]
            raise DependencyError(
                f"Kafka could not format {self.folder / 'data'} ({' '.join(said)})",
                do="Use an empty folder, and Java 17 or newer.",
            )
        part.rename(self._settings)

    def _serves_metadata(self) -> bool:
        """A listener alone may still be starting."""
        with suppress(DependencyError), self._admin() as admin:
            return bool(admin.describe_cluster()["brokers"])
        return False


def _java(jars: Path) -> list[str]:
    return [
        find_program("java"),
        f"-Xms{_HEAP}",
        f"-Xmx{_HEAP}",
        "-XX:+UseSerialGC",
        "-XX:+ExitOnOutOfMemoryError",
        "-Dlog4j2.level=INFO",
        "-Dlog4j2.disable.jmx=true",
        "-cp",
        f"{jars}/*",
    ]


def _past_ms(moment: datetime | int | None) -> int | None:
    """Returns a time for a record: brokers refuse one that is still to come."""
    if moment is None:
        return None
    ms = moment if isinstance(moment, int) else round(moment.timestamp() * 1000)
    return min(ms, round(time.time() * 1000))


def _cluster_id() -> str:
    """Returns a random id as Kafka writes it: 128 bits in base64 for URLs; one that begins with `-` is no argument."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text
