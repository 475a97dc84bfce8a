"""Tells rings beside the daemon: alerts never wait for words, and the one writer saves them when they are there."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from fraudgraph.errors import FraudgraphError
from fraudgraph.narrative.evidence import Evidence
from fraudgraph.narrative.kept import Asked, KeptPlan, keep
from fraudgraph.narrative.port import Planner

MAX_WAITING: Final = 1_000
"""Rings that may wait; what comes when so many do is left to the next time that ring changes."""

OUTCOMES: Final = ("model", "template", "unchanged", "failed", "dropped")
"""What becomes of a ring: told by the model or, for it, by the template; told before; not readable; queue full."""

AGAIN_AFTER_S: Final = 60.0
"""So long after the last one a ring for which there was no answer is tried again."""

CHANGED_AFTER_S: Final = 300.0
"""A ring that goes on changing is looked at again no sooner than this after the last time."""

MAX_FOLLOWED: Final = 10_000
"""So many rings, those offered last, are looked at again when they change."""

_LOOK_S = 0.5


class Source(Protocol):
    """Where the worker reads rings; it is made, used and closed in the worker's thread."""

    def evidence(self, ring_id: str) -> Evidence | None:
        """Returns a ring as of the last commit, or None where it lives no more."""
        ...

    def kept(self, ring_id: str) -> KeptPlan | None:
        """Returns what was last kept about it."""
        ...

    def recent(self, limit: int) -> list[str]:
        """Returns rings of the latest alerts, which an earlier run may have left untold."""
        ...

    def close(self) -> None:
        """Releases what was opened."""
        ...


class NarrationWorker:
    """Takes ring ids from a bounded queue, and gives plans to the one writer to be saved; `offer` never waits.

    A failure to read or to tell one ring is logged and counted, and the next ring is told: nothing here stops the
    daemon, and nothing of the daemon waits for it. Rings for which the model gave no answer are offered again later.

    Args:
        source: opens where rings are read.
        planner: a model's; where only the template narrates, words are made when a ring is shown, and nothing is kept.
        save: has the store's writing thread keep a plan; called in the worker's thread.
        on_done: told for each ring what became of it (`OUTCOMES`), and what it cost: millionths, currency.
    """

    def __init__(
        self,
        source: Callable[[], Source],
        planner: Planner,
        asked: Asked,
        save: Callable[[KeptPlan], None],
        *,
        max_waiting: int = MAX_WAITING,
        on_done: Callable[[str, int, str], None] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._planner = planner
        self._asked = asked
        self._waiting: queue.Queue[str] = queue.Queue(max_waiting)
        self._save = save
        self._queued: set[str] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._opened: Source | None = None
        self._log = structlog.get_logger("fraudgraph.narrator")
        self._on_done = on_done
        self._monotonic = monotonic
        self._unanswered: dict[str, None] = {}
        self._followed: dict[str, float] = {}
        self._changed: dict[str, None] = {}
        self._asked_s = 0.0
        self.counts = dict.fromkeys(OUTCOMES, 0)

    def offer(self, ring_id: str) -> bool:
        """Asks for a ring to be told; returns whether it waits now. A ring that waits already waits once."""
        with self._lock:
            self._follow(ring_id)
            if ring_id in self._queued:
                return True
            try:
                self._waiting.put_nowait(ring_id)
            except queue.Full:
                self._count("dropped")
                return False
            self._queued.add(ring_id)
            return True

    def changed(self, ring_id: str) -> None:
        """Says that a ring is not what it was; if it was offered before, it is looked at again, in `CHANGED_AFTER_S`.

        It is told anew only where its evidence is another one by then.
        """
        with self._lock:
            if ring_id in self._followed:
                self._changed[ring_id] = None

    def merged(self, ring_id: str, into: str) -> None:
        """Says that a ring lives on in another one, which is followed in its place."""
        with self._lock:
            if (looked_s := self._followed.pop(ring_id, None)) is not None:
                self._changed.pop(ring_id, None)
                self._followed.setdefault(into, looked_s)
                self._changed[into] = None

    def _follow(self, ring_id: str) -> None:
        self._followed.pop(ring_id, None)  # those offered last stand last
        self._followed[ring_id] = self._monotonic()
        if len(self._followed) > MAX_FOLLOWED:
            oldest = next(iter(self._followed))
            del self._followed[oldest]
            self._changed.pop(oldest, None)

    def _offer_changed(self) -> None:
        now_s = self._monotonic()
        with self._lock:
            due = [ring_id for ring_id in self._changed if now_s - self._followed[ring_id] >= CHANGED_AFTER_S]
            for ring_id in due:
                del self._changed[ring_id]
        for ring_id in due:
            self.offer(ring_id)

    def step(self, wait_s: float = 0.0) -> bool:
        """Tells the ring that waits longest; returns False where none came within `wait_s`."""
        self._offer_unanswered()
        self._offer_changed()
        try:
            ring_id = self._waiting.get(timeout=wait_s) if wait_s else self._waiting.get_nowait()
        except queue.Empty:
            return False
        with self._lock:
            self._queued.discard(ring_id)  # before it is read: what changes from here on asks again
        self._step(lambda: self._tell(ring_id))
        return True

    def start(self) -> None:
        """Begins to tell rings in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="narrator", daemon=True)
        self._thread.start()

    def close(self, wait_s: float = 2.0) -> None:
        """Stops after the ring in hand, without waiting longer than `wait_s` for it. Idempotent."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(wait_s)

    def _run(self) -> None:
        self._step(self._offer_recent)
        while not self._stopping.is_set():
            self.step(_LOOK_S)
        self._close_source()

    def _offer_recent(self) -> None:
        for ring_id in self._reading().recent(MAX_WAITING // 2):
            self.offer(ring_id)

    def _offer_unanswered(self) -> None:
        if self._unanswered and self._monotonic() - self._asked_s >= AGAIN_AFTER_S:
            again, self._unanswered = self._unanswered, {}
            for ring_id in again:
                self.offer(ring_id)

    def _step(self, what: Callable[[], None]) -> None:
        try:
            what()
        except FraudgraphError as error:
            self._count("failed")
            self._log.warning("a ring could not be told", why=error.what)
            self._close_source()  # a store that was away is opened anew

    def _reading(self) -> Source:
        if self._opened is None:
            self._opened = self._source()
        return self._opened

    def _tell(self, ring_id: str) -> None:
        source = self._reading()
        evidence = source.evidence(ring_id)
        if evidence is None:
            return
        kept = source.kept(ring_id)
        if kept is not None and kept.still(evidence, self._asked):
            self._count("unchanged")
            return
        told = keep(evidence, self._planner, self._asked)
        if told.answered:
            self._save(told)
        else:
            self._unanswered[ring_id] = None
            self._asked_s = self._monotonic()
        self._count("template" if told.fallback else "model", told.cost_micros, told.currency)

    def _count(self, outcome: str, cost_micros: int = 0, currency: str = "") -> None:
        self.counts[outcome] += 1
        if self._on_done is not None:
            self._on_done(outcome, cost_micros, currency)

    def _close_source(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None
