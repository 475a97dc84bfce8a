"""A slow store makes commits larger and never more; one that is away holds the loop, and no signal waits for ever."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import pytest
from support.daemon_world import KEY, POLICY, RULES, WAITS

from fraudgraph.committer import Committed, Committer
from fraudgraph.daemon import Daemon, Pace, Step, Totals
from fraudgraph.engine import Engine
from fraudgraph.errors import DependencyError, FencedError, StoreError
from fraudgraph.events.decoder import Decoder
from fraudgraph.events.pseudonyms import Pseudonymiser
from fraudgraph.events.vault import Vault
from fraudgraph.stores.port import CommitDelta
from fraudgraph.streams.port import RawBatch
from fraudgraph.testing.fakes import FakeScorer
from fraudgraph.testing.memory_store import MemoryStore

FIRST = datetime(2026, 3, 1, tzinfo=UTC)


class Logins:
    """As many logins as one asks for, so many times."""

    def __init__(self, polls: int) -> None:
        self.left = polls
        self.asked: list[int] = []
        self.acknowledged: list[int] = []
        self._at = 0

    def seek(self, positions: Mapping[str, int]) -> None:
        self._at = positions.get("p", 0)

    def poll(self, max_records: int) -> RawBatch | None:
        if not self.left:
            return None
        self.left -= 1
        self.asked.append(max_records)
        offsets = list(range(self._at, self._at + max_records))
        self._at += max_records
        values = [
            json.dumps(
                {
                    "type": "login",
                    "event_id": f"e{n}",
                    "user_id": f"u{n % 7}",
                    "ts": (FIRST + timedelta(seconds=n)).isoformat(),
                }
            ).encode()
            for n in offsets
        ]
        times = [int(FIRST.timestamp() * 1000)] * max_records
        return RawBatch(values, ["p"], [0] * max_records, offsets, [n + 1 for n in offsets], times)

    def acknowledge(self, positions: Mapping[str, int]) -> None:
        self.acknowledged.append(positions["p"])

    def progress(self) -> tuple[int, int | None]:
        return 0, None

    def close(self) -> None:
        """Does nothing."""


class SlowStore(MemoryStore):
    """Commits only once the loop was seen waiting, as long as it is slow."""

    def __init__(self) -> None:
        super().__init__(POLICY, RULES.priority)
        self.waited_for = threading.Event()
        self.slow = True

    def commit(self, delta: CommitDelta) -> None:
        if self.slow:
            self.waited_for.wait(30)
            self.waited_for.clear()
        super().commit(delta)


class Waits:
    """Sees a loop that shows twice that it lives, and polls nothing in between."""

    def __init__(self, store: SlowStore, stream: Logins) -> None:
        self._store, self._stream = store, stream
        self._polls = -1
        self.settled_events: list[int] = []

    def restored(self, positions: int, rings: int, watermark_ms: int) -> None:
        """Not of interest."""

    def beat(self) -> None:
        if self._polls == self._stream.left:
            self._store.waited_for.set()
        self._polls = self._stream.left

    def taken(self, records: int) -> None:
        """Not of interest."""

    def settled(self, step: Step, totals: Totals) -> None:
        self.settled_events.append(len(step.batch))
        self._store.slow = totals.commits < 5


def daemon(stream: Logins, committer: Committer, pace: Pace, observer: Waits | None = None) -> Daemon:
    return Daemon(
        stream,
        Decoder(Pseudonymiser(KEY), Vault(KEY), default_region=None, default_currency="EUR"),
        Engine(POLICY, RULES, FakeScorer()),
        committer,
        pace=pace,
        observer=observer,
    )


def test_commits_grow_while_the_store_is_slow_and_no_more_than_two_are_under_way() -> None:
    store, stream = SlowStore(), Logins(polls=9)
    waits = Waits(store, stream)
    with Committer(store) as committer:
        totals = daemon(stream, committer, Pace(4, 20, commits_ahead=1), waits).run()
    assert stream.asked[:5] == [4, 4, 8, 16, 20]
    assert max(stream.asked) == 20
    assert waits.settled_events == stream.asked
    assert totals.events == sum(stream.asked) == stream.acknowledged[-1]


class Trickle(Logins):
    """Has one login at a time, and remembers how many commits were done when it was asked for it."""

    def __init__(self, polls: int, done: Callable[[], int]) -> None:
        super().__init__(polls)
        self.commits_at: list[int] = []
        self._done = done

    def poll(self, max_records: int) -> RawBatch | None:
        self.commits_at.append(self._done())
        return super().poll(1)


def test_where_little_comes_each_batch_is_what_came_during_the_last_commit() -> None:
    store = MemoryStore(POLICY, RULES.priority)
    done: list[int] = []
    stream = Trickle(5, lambda: len(done))

    class Counting(Committer):
        def _commit(self, delta: CommitDelta) -> Committed:
            said = super()._commit(delta)
            done.append(delta.commit)
            return said

    with Counting(store) as committer:
        daemon(stream, committer, Pace(4, 20, commits_ahead=1)).run()
    assert stream.commits_at == [0, 1, 2, 3, 4, 5], "a record was read early, only to wait for another's commit"


class AwayStore(MemoryStore):
    """Is away from a commit on; may have written it all the same, under an epoch of ours or another's."""

    def __init__(self, away_from: int, *, written: bool = False, error: type[StoreError] | None = None) -> None:
        super().__init__(POLICY, RULES.priority)
        self._away_from = away_from
        self._written = written
        self._error = error
        self.tries = 0

    def commit(self, delta: CommitDelta) -> None:
        if delta.commit < self._away_from:
            super().commit(delta)
            return
        self.tries += 1
        if self._error is not None and self.tries > 1:
            raise self._error("refused", do="Stop.")
        if self._written and self.tries == 1:
            super().commit(delta)
        if self._written and self.tries > 2:
            super().commit(delta)
            return
        raise DependencyError("the store is away", do="Wait.")


def test_a_stop_while_the_store_is_away_ends_after_the_drain_and_says_why() -> None:
    store, stream = AwayStore(3), Logins(polls=50)
    away = threading.Event()
    with Committer(store, patience=WAITS, on_away=lambda is_away: away.set()) as committer:
        loop = daemon(stream, committer, Pace(4, 4, commits_ahead=1, drain_s=0.1))
        stopper = threading.Thread(target=lambda: (away.wait(30), loop.stop()))
        stopper.start()
        with pytest.raises(DependencyError, match="away"):
            loop.run()
        stopper.join()
    assert store.tries > 1
    assert len(stream.asked) <= 4, "reading goes on although the store is away"
    assert stream.acknowledged == [4, 8]
    assert store.load().commit == 2


def test_a_commit_that_went_through_unheard_is_counted_once() -> None:
    store, stream = AwayStore(3, written=True), Logins(polls=3)
    with Committer(store, patience=WAITS) as committer:
        totals = daemon(stream, committer, Pace(4, 4)).run()
    assert totals.commits == store.load().commit == 3
    assert store.load().positions == {"p": 12}


@pytest.mark.parametrize("error", [StoreError, FencedError])
def test_a_store_that_refuses_after_it_was_away_ends_the_run(error: type[StoreError]) -> None:
    store, stream = AwayStore(2, error=error), Logins(polls=5)
    with Committer(store, patience=WAITS) as committer, pytest.raises(error):
        daemon(stream, committer, Pace(4, 4)).run()
    assert store.load().commit == 1
    assert stream.acknowledged == [4]


def test_without_patience_the_first_failure_ends_the_run() -> None:
    store, stream = AwayStore(2), Logins(polls=5)
    with Committer(store, patience=None) as committer, pytest.raises(DependencyError):
        daemon(stream, committer, Pace(4, 4)).run()
    assert store.tries <= 2, "the commit behind it fails too, and that is all"
    assert store.load().commit == 1
