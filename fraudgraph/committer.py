"""The one thread that writes to the store: commits in their order, and patience with a store that is away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import ParamSpec, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential
from tenacity.nap import sleep_using_event
from tenacity.stop import stop_when_event_set

from fraudgraph.errors import DependencyError, FencedError, StoreError
from fraudgraph.stores.port import CommitDelta, Store

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Patience:
    """How a store that is away is tried again: after waits that double, each drawn at random below its bound.

    Attributes:
        first_wait_s: bound of the first wait.
        longest_wait_s: bound of every later one.
    """

    first_wait_s: float = 0.25
    longest_wait_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Committed:
    """When a commit was done, on the monotonic clock, and how many seconds it took, waits included."""

    done_at_s: float
    took_s: float


class Committer:
    """Runs whatever writes to the store in one thread, one call after the other, in the order in which they came.

    The engine computes the next batch meanwhile. It is safe because a commit is accepted only as the next one of its
    epoch: when one fails, those behind it fail too, and nothing of them is written.

    A store that is away (`DependencyError`) is tried again with the same commit as long as patience says so. Where it
    cannot be told whether a commit went through, the store's own commit number tells: that number, under our epoch,
    can be nobody else's.

    Args:
        store: touched by nobody else from the first commit on.
        patience: None gives up at the first failure.
        on_away: told True when the store is away, and False when it is back; called in the writing thread.
    """

    def __init__(
        self, store: Store, *, patience: Patience | None = None, on_away: Callable[[bool], None] | None = None
    ) -> None:
        self.store = store
        self._patience = patience
        self._on_away = on_away
        self._epoch = 0
        self._away = False
        self._given_up = threading.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")

    def __enter__(self) -> Committer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def claim(self) -> None:
        """Takes the store's next epoch."""
        self._epoch = self.store.claim()

    def commit(self, delta: CommitDelta) -> Future[Committed]:
        """Asks for a commit; its future raises what `Store.commit` raises."""
        return self._thread.submit(self._commit, delta)

    def submit(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Asks for another call of the store, between commits; it is not tried again.

        Raises:
            CancelledError: the thread has ended.
        """
        try:
            return self._thread.submit(call, *args, **kwargs)
        except RuntimeError as error:
            raise CancelledError from error

    def give_up(self) -> None:
        """Waits for a store that is away no longer: what was not committed comes again at the next start."""
        self._given_up.set()

    def close(self) -> None:
        """Ends the thread after the call in hand; what still waits is dropped. Idempotent."""
        self.give_up()
        self._thread.shutdown(cancel_futures=True)

    def _commit(self, delta: CommitDelta) -> Committed:
        started = time.monotonic()
        if self._patience is None:
            self.store.commit(delta)
        else:
            for attempt in self._retrying(self._patience):
                with attempt:
                    self._try(delta, doubtful=attempt.retry_state.attempt_number > 1)
        self._say(away=False)
        done = time.monotonic()
        return Committed(done, done - started)

    def _retrying(self, patience: Patience) -> Retrying:
        return Retrying(
            retry=retry_if_exception_type(DependencyError),
            wait=wait_random_exponential(multiplier=patience.first_wait_s, max=patience.longest_wait_s),
            stop=stop_when_event_set(self._given_up),
            sleep=sleep_using_event(self._given_up),
            before_sleep=self._wait,
            reraise=True,
        )

    def _try(self, delta: CommitDelta, *, doubtful: bool) -> None:
        try:
            self.store.commit(delta)
        except FencedError:
            raise
        except StoreError:
            if not doubtful or not self._is_in(delta):
                raise

    def _is_in(self, delta: CommitDelta) -> bool:
        """Returns whether a commit of ours, of which nothing was heard, is the store's last one."""
        meta = self.store.meta()
        return (meta["commit"], meta["epoch"]) == (str(delta.commit), str(self._epoch))

    def _wait(self, state: RetryCallState) -> None:
        self._say(away=True)

    def _say(self, *, away: bool) -> None:
        if self._on_away is not None and away != self._away:
            self._on_away(away)
        self._away = away
