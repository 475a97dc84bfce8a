"""Events from Kafka topics, behind the stream port."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from kafka import KafkaAdminClient, KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.errors import KafkaConfigurationError, KafkaError, OffsetOutOfRangeError

from fraudgraph.errors import ConfigurationError, DependencyError
from fraudgraph.streams.by_time import TimeMerge
from fraudgraph.streams.port import RawBatch

_BOOTSTRAP_LIMIT_MS = 30_000
_ADMIN_LIMIT_MS = 5_000
_CLOSE_LIMIT_MS = 2_000
_ASK_MS = 100
_PARTITION_FETCH_BYTES = 1 << 20
_HELD_BYTES_MAX = 64 << 20
_FILL_WAIT_MS = 20
_HOLD_LIMIT_S = 5.0
_ACKNOWLEDGE_EVERY_S = 1.0
_CHECK_EVERY_S = 10.0
_MISSING_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class KafkaAccess:
    """How to reach the brokers; "" stands for none. The meaning of each is kafka-python's.

    Attributes:
        bootstrap: `host:port`, comma between several.
        security_protocol: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.
        sasl_mechanism: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
        ca_file, certificate_file, key_file: PEM files.
    """

    bootstrap: str
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""

    def options(self) -> dict[str, Any]:
        """Returns the arguments of kafka-python's clients."""
        return {
            "bootstrap_servers": [server.strip() for server in self.bootstrap.split(",")],
            "security_protocol": self.security_protocol,
            "sasl_mechanism": self.sasl_mechanism or None,
            "sasl_plain_username": self.username or None,
            "sasl_plain_password": self.password or None,
            "ssl_cafile": self.ca_file or None,
            "ssl_certfile": self.certificate_file or None,
            "ssl_keyfile": self.key_file or None,
            "bootstrap_timeout_ms": _BOOTSTRAP_LIMIT_MS,
            "reconnect_backoff_max_ms": 2_000,
        }


@dataclass(frozen=True, slots=True)
class _Topic:
    """What the brokers say of a topic: `id` tells it from an earlier one of the same name."""

    id: str
    partitions: tuple[int, ...]


class KafkaStream:
    """The stream port over all partitions of some topics.

    A partition is named `kafka:<topic>/<number>#<cluster id>/<topic id>`. Both ids are the brokers' own, so a topic
    that was deleted and made anew has other partitions: they are read from their beginning, and the old ones count as
    ended.

    One engine owns a store, and needs all partitions for its one watermark. So there is nothing to share out: all
    partitions are assigned by hand, no group is joined, and no rebalance can happen. A second daemon on the same
    store is fenced by the store's epoch, whatever its group. The group's offsets are written for tools that watch the
    lag, and never read: positions are the store's.

    While the brokers are away, the client retries, and `poll` returns empty batches. kafka-python fetches by name, so
    after each fetch the brokers are asked for the topic's id, and a batch is handed over only where that is still the
    one that positions are kept under; this is as exact as the brokers' metadata are up to date.

    Only committed records are read (`read_committed`). A record's broker time is its timestamp, which is the
    producer's own unless the topic says `message.timestamp.type=LogAppendTime`. A record without a value (a
    tombstone) comes as one of zero bytes, and so gets into the dead letters.

    Partitions come together by their records' times (`TimeMerge`), so that a backlog is read in the order in which it
    was made. A partition that has records and brings none is waited for a few seconds, or until 64 MiB wait.

    Back-pressure is the caller's silence: the client holds at most one fetch per broker that nobody polled. Nothing is
    paused: kafka-python 3.0.12 can forget the records of a partition that is resumed.

    Args:
        access: where the brokers are.
        topics: names.
        group: under which committed offsets are shown.
        until_end: `poll` returns None once what was there at `seek` is read. No partition is announced as ended: the
            topic goes on, with the next run.
        since_ms: a partition without a position starts at its first record of this time or later, None at its
            beginning: how a store that was filled from files goes on. It is not promised that records older than that
            tell of no later event.
        poll_wait_ms: so long an empty poll waits.
        fetch_max_bytes: size of a fetch; a single larger record still comes.
    """

    def __init__(
        self,
        access: KafkaAccess,
        topics: Sequence[str],
        *,
        group: str = "fraudgraph",
        until_end: bool = False,
        since_ms: int | None = None,
        poll_wait_ms: int = 250,
        fetch_max_bytes: int = 16 << 20,
    ) -> None:
        self._access = access
        self._topics = tuple(topics)
        self._group = group
        self._until_end = until_end
        self._since_ms = since_ms
        self._poll_wait_ms = poll_wait_ms
        self._fetch_max_bytes = fetch_max_bytes
        self._log = structlog.get_logger("fraudgraph.kafka")
        self._consumer: Any = None
        self._admin: Any = None
        self._cluster = ""
        self._known: dict[str, _Topic] = {}
        self._names: dict[TopicPartition, str] = {}
        self._merge: TimeMerge[TopicPartition, Any] = TimeMerge()
        self._next: dict[TopicPartition, int] = {}  # to hand over
        self._fetched: dict[TopicPartition, int] = {}  # to fetch
        self._silent_since: dict[TopicPartition, float] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._gone: tuple[str, ...] = ()
        self._unchecked: RawBatch | None = None
        self._checked_at = 0.0
        self._missing_since: float | None = None
        self._lost = False
        self._committed: dict[TopicPartition, int] = {}
        self._acknowledged_at = 0.0
        self._bytes_read = 0

    def seek(self, positions: Mapping[str, int]) -> None:
        """Connects, and starts every partition at its position or at its beginning.

        Raises:
            ConfigurationError: the settings of the connection cannot be used.
            DependencyError: no broker answers, a topic is not there, or a position is not there any more.
        """
        try:
            self._open()
            self._known = self._describe()
            self._assign(positions)
        except KafkaConfigurationError as error:
            raise ConfigurationError(f"Kafka's client refuses the settings ({error})", do="Mend [kafka].") from error
        except (KafkaError, OSError) as error:
            raise self._away(error) from error
        own = set(self._names.values())
        prefixes = tuple(f"kafka:{topic}/" for topic in self._topics)
        self._gone = tuple(name for name in positions if name.startswith(prefixes) and name not in own)
        if self._gone:
            self._log.warning("another topic under the same name, read from its beginning", was=self._gone)

    def poll(self, max_records: int) -> RawBatch | None:
        """Returns what the client has, after waiting a little where that is nothing.

        Raises:
            DependencyError: records before the next one to read are gone, a topic was deleted or made anew, access is
                denied, or a record is damaged on the broker.
        """
        if self._unchecked is None:
            if self._until_end and self._at_ends():
                return None
            self._unchecked = self._fetch(max_records)
        if not len(self._unchecked) and time.monotonic() - self._checked_at < _CHECK_EVERY_S:
            self._unchecked = None
            return RawBatch([], [], [], [], [])
        if not self._still_the_same():
            time.sleep(self._poll_wait_ms / 1000)
            return RawBatch([], [], [], [], [])
        batch, self._unchecked = self._unchecked, None
        self._bytes_read += sum(map(len, batch.values))
        if len(batch):
            self._gone = ()
        return batch

    def acknowledge(self, positions: Mapping[str, int]) -> None:
        """Shows the positions as the group's offsets, at most once a second; losing that costs nothing."""
        for partition, name in self._names.items():
            if name in positions:
                self._committed[partition] = positions[name]
        now = time.monotonic()
        if self._committed and now - self._acknowledged_at >= _ACKNOWLEDGE_EVERY_S:
            self._acknowledged_at = now
            self._consumer.commit_async(self._offsets())

    def progress(self) -> tuple[int, int | None]:
        """Returns the bytes read; how many there will be is not known."""
        return self._bytes_read, None

    def lag(self) -> int:
        """Returns how many records wait on the brokers, as of the last fetch; transaction markers count as records."""
        return sum(self.lags().values())

    def lags(self) -> dict[str, int]:
        """Returns the same for each partition, by its name; nothing before `seek`."""
        return {
            self._names[at]: max(0, (self._consumer.highwater(at) or 0) - position)
            for at, position in self._next.items()
        }

    def read_through(self) -> dict[str, int]:
        """Returns, by name, the partitions of which all that the brokers have now was handed over, and the position
        behind that. It asks them: where they do not answer, nothing is known to be read through."""
        try:
            ends = self._consumer.end_offsets(list(self._next), timeout_ms=_ADMIN_LIMIT_MS)
        except (KafkaError, OSError):
            return {}
        return {
            self._names[at]: position
            for at, position in self._next.items()
            if self._unchecked is None and not self._merge.holds(at) and self._reached(at) >= ends[at]
        }

    def _reached(self, at: TopicPartition) -> int:
        """Returns the position behind what was fetched, transaction markers included."""
        position = self._consumer.position(at, timeout_ms=_ASK_MS) or 0
        return max(self._fetched[at], position)

    def close(self) -> None:
        """Shows the last positions as the group's offsets where a broker answers, and disconnects."""
        if self._consumer is not None:
            try:
                if self._committed:
                    self._consumer.commit(self._offsets(), timeout_ms=_CLOSE_LIMIT_MS)
            except (KafkaError, OSError) as error:
                self._log.warning("the group's offsets are behind", because=type(error).__name__)
            self._consumer.close(autocommit=False, timeout_ms=_CLOSE_LIMIT_MS)
            self._consumer = None
        if self._admin is not None:
            self._admin.close()
            self._admin = None

    def _open(self) -> None:
        options = self._access.options()
        self._consumer = KafkaConsumer(
            **options,
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            allow_auto_create_topics=False,
            fetch_max_bytes=self._fetch_max_bytes,
            max_partition_fetch_bytes=min(_PARTITION_FETCH_BYTES, self._fetch_max_bytes),
            max_poll_records=1_000_000,
            metrics_enabled=False,
        )
        self._admin = KafkaAdminClient(**options, request_timeout_ms=_ADMIN_LIMIT_MS)
        self._cluster = self._admin.describe_cluster()["cluster_id"] or ""

    def _describe(self) -> dict[str, _Topic]:
        """Asks for the topics; one that is not there is left out."""
        found: dict[str, _Topic] = {}
        for topic in self._admin.describe_topics(list(self._topics)):
            if not topic["error_code"]:
                numbers = sorted(part["partition_index"] for part in topic["partitions"])
                found[topic["name"]] = _Topic(str(topic.get("topic_id") or ""), tuple(numbers))
        return found

    def _assign(self, positions: Mapping[str, int]) -> None:
        for name in self._topics:
            if name not in self._known:
                raise DependencyError(f"there is no topic {name} at {self._access.bootstrap}", do="Create it.")
            if not self._cluster or not self._known[name].id:
                raise DependencyError(
                    f"the brokers give topic {name} no id, without which a new topic could be taken for this one",
                    do="Use Kafka 2.8 or newer.",
                )
        partitions = self._name_partitions()
        self._consumer.assign(partitions)
        begins = self._consumer.beginning_offsets(partitions)
        ends = self._consumer.end_offsets(partitions)
        starts = self._starts([at for at in partitions if self._names[at] not in positions], begins, ends)
        for partition in partitions:
            position = positions.get(self._names[partition], starts.get(partition, begins[partition]))
            if position < begins[partition]:
                raise self._expired(partition, position, begins[partition])
            if position > ends[partition]:
                raise DependencyError(
                    f"{_words(partition)} ends at {ends[partition]}, before position {position}: it lost records",
                    do="Restore the topic, or begin a new store.",
                )
            self._consumer.seek(partition, position)
            self._next[partition] = self._fetched[partition] = position
        self._ends = ends

    def _starts(
        self, new: list[TopicPartition], begins: dict[TopicPartition, int], ends: dict[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        """Returns where partitions without a position start."""
        if self._since_ms is None or not new:
            return {at: begins[at] for at in new}
        found = self._consumer.offsets_for_times(dict.fromkeys(new, self._since_ms))
        return {at: ends[at] if found.get(at) is None else found[at].offset for at in new}

    def _name_partitions(self) -> list[TopicPartition]:
        """Names all partitions; returns those that had no name before."""
        added = []
        for name, topic in self._known.items():
            for number in topic.partitions:
                partition = TopicPartition(name, number)
                if partition not in self._names:
                    self._names[partition] = f"kafka:{name}/{number}#{self._cluster}/{topic.id}"
                    added.append(partition)
        return added

    def _fetch(self, max_records: int) -> RawBatch:
        """Returns the earliest records of all partitions; none after waiting a little where they are not there yet."""
        deadline = time.monotonic() + self._poll_wait_ms / 1000
        taken = self._merge.take(max_records, self._behind())
        while len(taken) < max_records:
            left_ms = round((deadline - time.monotonic()) * 1000)
            wait_ms = left_ms if not taken else min(left_ms, _FILL_WAIT_MS) if self._behind() else 0
            got = self._top_up(max_records, wait_ms=max(0, wait_ms))
            taken += self._merge.take(max_records - len(taken), self._behind())
            if not got and (taken or left_ms <= 0):
                break
        batch = RawBatch([], [], [], [], [], broker_ts_ms=(times := []), ended=self._gone if taken else ())
        places: dict[TopicPartition, int] = {}
        for partition, record in taken:
            batch.partition_of.append(places.setdefault(partition, len(places)))
            batch.values.append(record.value or b"")
            batch.offsets.append(record.offset)
            batch.next_offsets.append(record.offset + 1)
            times.append(record.timestamp)
            self._next[partition] = record.offset + 1
        batch.partitions.extend(self._names[partition] for partition in places)
        return batch

    def _top_up(self, max_records: int, *, wait_ms: int) -> bool:
        """Takes in what the client has, and returns whether that is anything."""
        try:
            found = self._consumer.poll(timeout_ms=wait_ms, max_records=max_records)
        except OffsetOutOfRangeError as error:
            partition, position = next(iter(error.args[0].items()))
            raise self._expired(partition, position, None) from error
        except KafkaError as error:
            if not error.retriable:
                raise self._away(error) from error
            time.sleep(wait_ms / 1000)
            return False
        for partition, records in found.items():
            self._merge.add(partition, records)
            self._fetched[partition] = records[-1].offset + 1
            self._silent_since.pop(partition, None)
        return bool(found)

    def _behind(self) -> set[TopicPartition]:
        """Returns the partitions of which the brokers have more than was fetched, and may be waited for."""
        behind = set()
        now = time.monotonic()
        full = self._merge.held_bytes >= _HELD_BYTES_MAX
        for partition, fetched in self._fetched.items():
            end = max(self._ends.get(partition, 0), self._consumer.highwater(partition) or 0)
            if fetched < end and not self._merge.holds(partition):
                # The client's own position also passes transaction markers, which come as no record.
                fetched = max(fetched, self._consumer.position(partition, timeout_ms=_ASK_MS) or 0)
                self._fetched[partition] = fetched
                if full or now - self._silent_since.setdefault(partition, now) > _HOLD_LIMIT_S:
                    continue
            if fetched < end:
                behind.add(partition)
        return behind

    def _still_the_same(self) -> bool:
        """Returns whether the topics are known to be those that were read so far; takes up new partitions.

        Raises:
            DependencyError: they are not.
        """
        now = time.monotonic()
        try:
            found = self._describe()
        except (KafkaError, OSError) as error:
            if not self._lost:
                self._lost = True
                self._log.warning("the brokers do not answer, trying again", because=type(error).__name__)
            return False
        if self._lost:
            self._lost = False
            self._log.warning("the brokers answer again")
        for name, topic in self._known.items():
            if name in found and found[name].id != topic.id:
                raise DependencyError(
                    f"topic {name} was deleted and made anew while it was read",
                    do="Start again: the new one is read from its beginning; what was not read of the old one is gone.",
                )
        if found.keys() != self._known.keys():
            self._missing_since = self._missing_since or now
            if now - self._missing_since < _MISSING_LIMIT_S:  # brokers that just started may not know it yet
                return False
            gone = ", ".join(sorted(self._known.keys() - found.keys()))
            raise DependencyError(f"topic {gone} was deleted while it was read", do="Create it, and start again.")
        self._missing_since = None
        self._checked_at = now
        if found != self._known:
            self._known = found
            self._take_up(self._name_partitions())
        return True

    def _take_up(self, added: list[TopicPartition]) -> None:
        self._consumer.assign(list(self._names))
        for partition in added:
            self._consumer.seek(partition, 0)  # just made: its records begin there
            self._next[partition] = self._fetched[partition] = 0
        self._log.info("partitions were added", partitions=[self._names[partition] for partition in added])

    def _at_ends(self) -> bool:
        self._behind()  # looks for transaction markers at the ends
        return all(
            self._next[partition] >= end or (self._fetched[partition] >= end and not self._merge.holds(partition))
            for partition, end in self._ends.items()
        )

    def _offsets(self) -> dict[TopicPartition, OffsetAndMetadata]:
        return {partition: OffsetAndMetadata(position, "", -1) for partition, position in self._committed.items()}

    def _away(self, error: Exception) -> DependencyError:
        # The brokers' words may quote a record; the name of the error does not.
        return DependencyError(
            f"Kafka at {self._access.bootstrap} cannot be read ({type(error).__name__})",
            do="Check that it runs, and [kafka]: bootstrap, security_protocol, user and password.",
        )

    def _expired(self, partition: TopicPartition, position: int, begin: int | None) -> DependencyError:
        now = "" if begin is None else f", and begins at {begin}"
        return DependencyError(
            f"{_words(partition)} has no position {position} any more{now}: retention dropped what was not read",
            do="Raise the topic's retention; build a new store from what is left and from files.",
        )


def _words(partition: TopicPartition) -> str:
    return f"partition {partition.partition} of topic {partition.topic}"
