"""Couriers: what fails is tried again, what hangs holds nobody up, and what was not delivered waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

import pytest

from fraudgraph.alerts.message import AlertMessage
from fraudgraph.alerts.priority import PriorityRules
from fraudgraph.committer import Committer
from fraudgraph.delivery import AlertErrand, Courier, DeadLetterErrand
from fraudgraph.errors import DependencyError
from fraudgraph.events.batch import DeadLetter
from fraudgraph.events.kinds import RejectReason
from fraudgraph.events.vault import Vault
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.stores.port import AlertRow, CommitDelta
from fraudgraph.streams.kafka_sink import Record
from fraudgraph.testing.memory_store import MemoryFile, MemoryStore
from fraudgraph.testing.store_journal import START_MS, small_shop

ALERTS = [AlertRow(f"A-{n}", "R-1", START_MS + n, 0.9, 10.0, "burst") for n in range(5)]
LIMIT_S = 30.0


class Sink:
    """Fails so many times, and then takes all; may hang until it is told to go on."""

    name = "test"

    def __init__(self, failures: int = 0, hangs: bool = False) -> None:
        self.failures = failures
        self.got: list[str] = []
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.closed = False
        if not hangs:
            self.go_on.set()

    def send(self, alerts: Sequence[AlertMessage]) -> None:
        self.reached.set()
        self.go_on.wait(LIMIT_S)
        if self.failures:
            self.failures -= 1
            raise DependencyError("the sink is away", do="Wait.")
        self.got += [alert.alert_id for alert in alerts]

    def close(self) -> None:
        self.closed = True


def store(file: MemoryFile) -> MemoryStore:
    return MemoryStore(LinkPolicy(), PriorityRules(), file)


def alerted() -> MemoryFile:
    """Returns a store with five alerts."""
    file = MemoryFile()
    writer = store(file)
    writer.claim()
    delta = small_shop(1)
    delta.alerts = ALERTS
    writer.commit(delta)
    return file


def courier(file: MemoryFile, sink: Sink, committer: Committer, told: list[int | None] | None = None) -> Courier:
    committer.claim()

    def mark(name: str, ids: list[str]) -> Future[None]:
        return committer.submit(committer.store.mark_sent, name, ids)

    def say(name: str, count: int | None) -> None:
        if told is not None:
            told.append(count)

    return Courier(
        lambda: AlertErrand(sink, store(file), mark, limit=2), on_done=say, first_wait_s=0.001, longest_wait_s=0.002
    )


def waiting(file: MemoryFile) -> list[str]:
    return [alert.alert_id for alert in store(file).outbox("test")]


@pytest.mark.parametrize("failures", [0, 3])
def test_all_alerts_arrive_in_order_and_are_marked(failures: int) -> None:
    file, sink, told = alerted(), Sink(failures), list[int | None]()
    with Committer(store(file)) as committer:
        walking = courier(file, sink, committer, told)
        walking.start()
        walking.committed(None)
        assert walking.close(LIMIT_S)
    assert sink.got == [alert.alert_id for alert in ALERTS]
    assert told == [None] * failures + [2, 2, 1]
    assert waiting(file) == []
    assert sink.closed


def test_a_sink_that_hangs_holds_up_neither_commits_nor_the_end() -> None:
    file, sink = alerted(), Sink(hangs=True)
    with Committer(store(file)) as committer:
        walking = courier(file, sink, committer)
        walking.start()
        walking.committed(None)
        assert sink.reached.wait(LIMIT_S)
        committer.commit(CommitDelta(commit=2, watermark_ms=START_MS)).result(LIMIT_S)
        assert not walking.close(0.01)
    assert waiting(file) == [alert.alert_id for alert in ALERTS]
    sink.go_on.set()  # sent at last, and nobody is there to mark it: it comes again


def test_a_daemon_that_never_got_the_store_delivers_nothing() -> None:
    file, sink = alerted(), Sink()
    with Committer(store(file)) as committer:
        walking = courier(file, sink, committer)
        walking.start()
        assert walking.close(LIMIT_S)
    assert sink.got == []


def test_a_store_that_was_taken_over_ends_deliveries() -> None:
    file, sink = alerted(), Sink()
    with Committer(store(file)) as committer:
        walking = courier(file, sink, committer)
        store(file).claim()
        walking.start()
        walking.committed(None)
        assert walking.close(LIMIT_S)
    assert waiting(file) == [alert.alert_id for alert in ALERTS]
    assert sink.got == ["A-0", "A-1"]  # at least once: whoever took over sends them again


class Topic:
    """A topic in memory that may be away."""

    name = "letters"

    def __init__(self) -> None:
        self.away = False
        self.got: list[Record] = []

    def write(self, records: Sequence[Record]) -> None:
        if self.away:
            raise DependencyError("the topic is away", do="Wait.")
        self.got += records

    def close(self) -> None:
        """Does nothing."""


def letters(commit: int, count: int, seal: Callable[[bytes], bytes]) -> CommitDelta:
    made = [
        DeadLetter(
            RejectReason.MALFORMED_JSON, "not JSON", "kafka:shop/3#c/t", 10 * commit + n, seal(b"no JSON %d" % n)
        )
        for n in range(count)
    ]
    return CommitDelta(commit=commit, watermark_ms=START_MS, dead_letters=made)


def test_dead_letters_are_copied_with_why_and_where() -> None:
    vault, topic = Vault(bytes(32)), Topic()
    errand = DeadLetterErrand(topic, vault.open)  # type: ignore[arg-type]  # a topic by shape
    errand.offer(letters(4, 1, vault.seal))
    assert errand.run() == 1
    assert errand.run() == 0
    (record,) = topic.got
    assert record.value == b"no JSON 0"
    assert dict(record.headers) == {
        "fraudgraph-reason": b"malformed-json",
        "fraudgraph-detail": b"not JSON",
        "fraudgraph-partition": b"kafka:shop/3#c/t",
        "fraudgraph-offset": b"40",
        "fraudgraph-commit": b"4",
    }


def test_dead_letters_wait_for_the_topic_and_the_oldest_give_way() -> None:
    vault, topic = Vault(bytes(32)), Topic()
    errand = DeadLetterErrand(topic, vault.open, most=3)  # type: ignore[arg-type]  # a topic by shape
    topic.away = True
    errand.offer(letters(1, 2, vault.seal))
    with pytest.raises(DependencyError):
        errand.run()
    errand.offer(letters(2, 2, vault.seal))
    topic.away = False
    assert errand.run() == 3
    assert [dict(r.headers)["fraudgraph-offset"] for r in topic.got] == [b"11", b"20", b"21"]


def test_a_courier_offers_each_commit_to_its_errand() -> None:
    vault, topic = Vault(bytes(32)), Topic()
    errand = DeadLetterErrand(topic, vault.open)  # type: ignore[arg-type]  # a topic by shape
    walking = Courier(lambda: errand, offer=errand.offer)
    walking.start()
    walking.committed(letters(1, 120, vault.seal))
    assert walking.close(LIMIT_S)
    assert len(topic.got) == 120
