"""Records into a Kafka topic, each acknowledged by all replicas in sync before the call returns."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from kafka import KafkaProducer
from kafka.errors import KafkaConfigurationError, KafkaError

from fraudgraph.errors import ConfigurationError, DependencyError
from fraudgraph.streams.kafka import KafkaAccess

_BLOCK_LIMIT_MS: Final = 5_000
_CLOSE_LIMIT_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Record:
    """What is written: bytes, a key that chooses the partition (none: any), headers, and a time in ms (none: now)."""

    value: bytes
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    time_ms: int | None = None


class KafkaTopic:
    """A topic to write to, by an idempotent producer: the client's own retries neither double nor reorder records.

    A call that failed may have written some of its records, and whoever tries again writes them again. Not safe for
    several threads.

    Args:
        access: where the brokers are; first met by the first `write`.
        name: of the topic; it must exist.
        limit_s: a call ends after so long, whatever the brokers do.
    """

    def __init__(self, access: KafkaAccess, name: str, *, limit_s: float = 15.0) -> None:
        self.name = name
        self._access = access
        self._limit_s = limit_s
        self._producer: Any = None

    def write(self, records: Sequence[Record]) -> None:
        """Writes records in order, and returns once all are acknowledged.

        Raises:
            ConfigurationError: the client refuses the settings.
            DependencyError: no broker answers, the topic is not there, or not all were acknowledged in time.
        """
        deadline = time.monotonic() + self._limit_s
        try:
            if self._producer is None:
                self._producer = self._open()
            sent = [
                self._producer.send(
                    self.name, each.value, each.key, headers=list(each.headers), timestamp_ms=each.time_ms
                )
                for each in records
            ]
            self._producer.flush(timeout=max(0.0, deadline - time.monotonic()))
            for future in sent:
                future.get(timeout=max(0.0, deadline - time.monotonic()))
        except KafkaConfigurationError as error:
            raise ConfigurationError(f"Kafka's client refuses the settings ({error})", do="Mend [kafka].") from error
        except (KafkaError, OSError, TimeoutError) as error:
            self.close()  # what it still holds must not come behind what is written next
            # The brokers' words may quote a record; the name of the error does not.
            raise DependencyError(
                f"topic {self.name} at {self._access.bootstrap} cannot be written to ({type(error).__name__})",
                do="Check that Kafka runs, that the topic exists, and that this user may write to it.",
            ) from error

    def close(self) -> None:
        """Disconnects. Idempotent."""
        if self._producer is not None:
            self._producer.close(timeout=_CLOSE_LIMIT_S)
            self._producer = None

    def _open(self) -> Any:
        limit_ms = round(self._limit_s * 1000)
        return KafkaProducer(
            **self._access.options() | {"bootstrap_timeout_ms": min(_BLOCK_LIMIT_MS, limit_ms)},
            enable_idempotence=True,
            acks="all",
            linger_ms=5,
            max_block_ms=min(_BLOCK_LIMIT_MS, limit_ms),
            delivery_timeout_ms=limit_ms,
            request_timeout_ms=max(1, limit_ms // 2),
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )
