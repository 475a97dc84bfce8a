"""A real single-node Kafka (KRaft) in a folder of its own, on loopback."""

from __future__ import annotations

import base64
import fcntl
import os
import signal
import socket
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

HOST = "127.0.0.1"
VERSION = "4.4.0"
COORDINATES = (
    f"org.apache.kafka:kafka_2.13:{VERSION}",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.5",
)
_HEAP = "512m"
_READY_LIMIT_S = 120.0
_STOP_LIMIT_S = 30.0
_POLL_S = 0.05

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


class KafkaServer:
    """One broker: its settings, data and log live in `folder`, and so does what says whether it runs.

    The broker's process holds a lock on `folder/lock` for as long as it lives, so that another process can tell
    whether it runs, and nobody else's process is ever stopped for it.

    Args:
        folder: made where it does not exist; a second start finds the data of the first.
        cache: where the jars are kept.
    """

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder.resolve()
        self.log_file = self.folder / "kafka.log"
        self._cache = cache
        self._settings = self.folder / "server.properties"
        self._lock = self.folder / "lock"
        self._process: subprocess.Popen[bytes] | None = None

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

    @property
    def pid(self) -> int | None:
        """The process that runs the broker, or None."""
        try:
            with self._lock.open("r") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return int(file.read())
        except FileNotFoundError:
            pass
        return None

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
        _require_free(host, int(taken))
        with self._lock.open("w") as lock, self.log_file.open("ab") as log:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._process = subprocess.Popen(
                [*_java(jars), "kafka.Kafka", str(self._settings)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C for the command is none for the broker
                pass_fds=(lock.fileno(),),
            )
            lock.write(str(self._process.pid))
        try:
            self._wait_until_ready(host, int(taken))
        except BaseException:
            self.kill()
            raise

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

    def stop(self) -> None:
        """Stops the broker in good order, with force after half a minute. Does nothing where it does not run."""
        self._end(signal.SIGTERM)
        self._end(signal.SIGKILL)

    def kill(self) -> None:
        """Ends the broker's process as a crash would."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        pid = self.pid
        if pid is None:
            return
        os.kill(pid, number)
        deadline = time.monotonic() + _STOP_LIMIT_S
        while self.pid is not None and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        if self._process is not None and self.pid is None:
            self._process.wait()
            self._process = None

    def _format(self, jars: Path, port: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with _reserved(port) as clients, _reserved(0) as controller:
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

    def _wait_until_ready(self, host: str, port: int) -> None:
        """Waits until the broker serves its metadata; a listener alone may still be starting."""
        deadline = time.monotonic() + _READY_LIMIT_S
        while time.monotonic() < deadline:
            if self.pid is None:
                raise DependencyError("Kafka ended while it started", do=f"Read {self.log_file}.")
            if _listens(host, port):
                with suppress(DependencyError), self._admin() as admin:
                    if admin.describe_cluster()["brokers"]:
                        return
            time.sleep(_POLL_S)
        raise DependencyError(
            f"Kafka did not answer within {_READY_LIMIT_S:.0f} s", do=f"Read {self.log_file}; free some memory."
        )


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


def _reserved(port: int) -> socket.socket:
    """Returns a socket on a free port, or on this one; it is free again once the socket is closed."""
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((HOST, port))
    except OSError as error:
        taken.close()
        raise DependencyError(
            f"port {port} of {HOST} is taken ({error.strerror})", do="Stop what listens there, or choose another port."
        ) from error
    return taken


def _require_free(host: str, port: int) -> None:
    if _listens(host, port):
        raise DependencyError(
            f"something else listens on {host}:{port}", do="Stop it, or use another folder with another port."
        )


def _listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, port)) == 0
