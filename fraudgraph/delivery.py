"""From the store's outbox to a sink, in a thread of its own: detection never waits for it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import closing, contextmanager
from typing import Any, Final, Protocol

import structlog
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential
from tenacity.nap import sleep_using_event
from tenacity.stop import stop_when_event_set

from fraudgraph.alerts.message import AlertMessage
from fraudgraph.alerts.sinks import AlertSink
from fraudgraph.errors import DependencyError, FraudgraphError
from fraudgraph.events.batch import DeadLetter
from fraudgraph.rings.facts_words import rfc3339
from fraudgraph.stores.port import AlertRow, CommitDelta, StoreReader
from fraudgraph.streams.kafka_sink import KafkaTopic, Record

FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 60.0
LOOK_EVERY_S: Final = 60.0
"""So often the outbox is looked at although nobody said that something is in it."""


class Errand(Protocol):
    """What a courier does again and again."""

    @property
    def name(self) -> str:
        """For logs and metrics."""
        ...

    def run(self) -> int:
        """Does what there is to do and returns how many things it did; 0 says that nothing is left.

        Raises:
            DependencyError: it did not work; it is tried again later.
        """
        ...

    def close(self) -> None:
        """Releases what it holds. Idempotent."""
        ...


class AlertErrand:
    """Sends a batch of alerts that a sink has not got, then notes in the store that it has.

    A crash between the two sends them again, under the same ids.

    Args:
        reader: belongs to this errand, and is closed with it.
        mark_sent: has the store's writing thread note (sink, alert ids).
        limit: alerts in one delivery.
    """

    def __init__(
        self,
        sink: AlertSink,
        reader: StoreReader,
        mark_sent: Callable[[str, list[str]], Future[None]],
        *,
        limit: int = 100,
    ) -> None:
        self._sink = sink
        self._reader = reader
        self._mark_sent = mark_sent
        self._limit = limit

    @property
    def name(self) -> str:
        """The sink's."""
        return self._sink.name

    def run(self) -> int:
        """Sends up to `limit` alerts, the oldest first."""
        rows = self._reader.outbox(self._sink.name, limit=self._limit)
        if rows:
            self._sink.send([self._message(row) for row in rows])
            self._mark_sent(self._sink.name, [row.alert_id for row in rows]).result()
        return len(rows)

    def close(self) -> None:
        """Closes sink and reader."""
        self._sink.close()
        self._reader.close()

    def _message(self, row: AlertRow) -> AlertMessage:
        ring = self._reader.snapshot(row.ring_id)
        return AlertMessage(
            alert_id=row.alert_id,
            ring_id=row.ring_id,
            at=rfc3339(row.at_ms),
            probability=row.probability,
            priority=row.priority,
            reason=row.reason,
            users=0 if ring is None else len(ring.users),
            identifiers=0 if ring is None else ring.identifiers,
            value_at_risk_minor=0 if ring is None else ring.value_at_risk_minor,
            currency=0 if ring is None else ring.currency,
        )


class DeadLetterErrand:
    """Copies dead letters to a topic, opened: the original bytes, with why and where in the headers.

    The copies are a convenience, the store has the letters: what waits here when the process ends is not copied, and
    where the topic is away for long the oldest are passed over.

    Args:
        opened: returns a letter's original bytes.
        most: letters that may wait.
    """

    def __init__(self, topic: KafkaTopic, opened: Callable[[bytes], bytes], *, most: int = 10_000) -> None:
        self._topic = topic
        self._opened = opened
        self._waiting: deque[tuple[int, DeadLetter]] = deque(maxlen=most)
        self._log = structlog.get_logger("fraudgraph.delivery")

    @property
    def name(self) -> str:
        """`dead-letters:` and the topic."""
        return f"dead-letters:{self._topic.name}"

    def offer(self, delta: CommitDelta) -> None:
        """Takes in the dead letters of a commit, from another thread."""
        over = len(self._waiting) + len(delta.dead_letters) - (self._waiting.maxlen or 0)
        if over > 0:
            self._log.warning("dead letters are not copied to the topic; the store has them", letters=over)
        self._waiting.extend((delta.commit, letter) for letter in delta.dead_letters)

    def run(self) -> int:
        """Writes up to 100 letters, the oldest first."""
        taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), 100))]
        if not taken:
            return 0
        try:
            self._topic.write([self._record(commit, letter) for commit, letter in taken])
        except DependencyError:
            room = (self._waiting.maxlen or 0) - len(self._waiting)
            self._waiting.extendleft(reversed(taken[len(taken) - min(len(taken), room) :]))
            raise
        return len(taken)

    def close(self) -> None:
        """Disconnects."""
        self._topic.close()

    def _record(self, commit: int, letter: DeadLetter) -> Record:
        headers = {
            "reason": letter.reason.code,
            "detail": letter.detail,
            "partition": letter.partition,
            "offset": str(letter.offset),
            "commit": str(commit),
        }
        named = tuple((f"fraudgraph-{name}", text.encode()) for name, text in headers.items())
        return Record(self._opened(letter.ciphertext), headers=named)


class Courier:
    """Runs an errand in a thread whenever it is woken, and with back-off while it fails.

    Args:
        make: makes the errand, in the thread: its connections belong there.
        offer: takes in each commit before the errand is run, where the errand needs it.
        on_done: told (name, how many) after each success, and (name, None) after each failure.
        first_wait_s, longest_wait_s: bounds of the waits between two tries.
    """

    def __init__(
        self,
        make: Callable[[], Errand],
        *,
        offer: Callable[[CommitDelta], None] | None = None,
        on_done: Callable[[str, int | None], None] | None = None,
        first_wait_s: float = FIRST_WAIT_S,
        longest_wait_s: float = LONGEST_WAIT_S,
    ) -> None:
        self._make = make
        self._offer = offer
        self._on_done = on_done
        self._waits = (first_wait_s, longest_wait_s)
        self._begun = False
        self._log = structlog.get_logger("fraudgraph.delivery")
        self._woken, self._last, self._stopped = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="courier", daemon=True)

    def start(self) -> None:
        """Starts the thread, which sleeps until it is woken."""
        self._thread.start()

    def committed(self, delta: CommitDelta | None) -> None:
        """Wakes the thread. Returns at once."""
        if self._offer is not None and delta is not None:
            self._offer(delta)
        self._begun = True
        self._woken.set()

    def close(self, limit_s: float) -> bool:
        """Lets it do what there is to do, once more, and ends it; returns whether it ended within the limit.

        What was not delivered waits in the store for the next run. One that was never woken does nothing: without an
        epoch it could not note what it sent.
        """
        self._last.set()
        self._woken.set()
        self._thread.join(limit_s)
        self._stopped.set()
        return not self._thread.is_alive()

    def _work(self) -> None:
        self._woken.wait()
        if not self._begun:
            return
        try:
            with self._errand() as errand:
                while not self._stopped.is_set():
                    last = self._last.is_set()
                    self._woken.clear()
                    while self._retrying(errand.name)(errand.run) and not self._stopped.is_set():
                        pass
                    if last:
                        return
                    self._woken.wait(LOOK_EVERY_S)
        except CancelledError:
            return  # the store's thread ended first: what was sent is sent again at the next start
        except FraudgraphError as error:
            # A store that was taken over, or that cannot be read: the daemon says what to do about it.
            self._log.warning("deliveries end", because=error.what, do=error.do)

    @contextmanager
    def _errand(self) -> Iterator[Errand]:
        with closing(self._retrying("outbox")(self._make)) as errand:
            yield errand

    def _retrying(self, name: str) -> Any:
        def failed(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome is not None else None
            if state.attempt_number == 1 and isinstance(error, FraudgraphError):
                self._log.warning("not delivered, trying again", what=name, because=error.what, do=error.do)
            if self._on_done is not None:
                self._on_done(name, None)

        first_s, longest_s = self._waits
        retrying = Retrying(
            retry=retry_if_exception_type(DependencyError),
            wait=wait_random_exponential(multiplier=first_s, max=longest_s),
            stop=stop_when_event_set(self._stopped),
            sleep=sleep_using_event(self._stopped),
            before_sleep=failed,
            reraise=True,
        )

        def run(call: Callable[[], Any]) -> Any:
            result = retrying(call)
            if self._on_done is not None and isinstance(result, int) and result:
                self._on_done(name, result)
            return result

        return run
