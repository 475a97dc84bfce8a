"""Event time: the watermark, what comes too late or from the future, and what came before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from fraudgraph.events.batch import DeadLetter, DecodedBatch
from fraudgraph.events.kinds import RejectReason
from fraudgraph.events.slicing import concatenate, select, without_rejects

HOUR_MS = 3_600_000
NO_TIME = -1


class Verdict(IntEnum):
    """What the clock says of an event."""

    ACCEPTED = 0
    TOO_LATE = 1
    FUTURE = 2
    DUPLICATE = 3
    HELD = 4


@dataclass(frozen=True, slots=True)
class ClockRules:
    """How event time passes.

    Attributes:
        allowed_lateness_ms: the watermark stays so far behind the slowest active partition.
        max_skew_ms: a jump ahead of the latest time seen (or of the broker's time) by more than this is suspicious.
        max_gap_ms: a jump at the very end of a partition, which no later event can confirm, is believed up to this.
        confirmations: so many following events of the partition are asked whether a jump is real; most must agree.
    """

    allowed_lateness_ms: int = HOUR_MS
    max_skew_ms: int = 24 * HOUR_MS
    max_gap_ms: int = 30 * 24 * HOUR_MS
    confirmations: int = 3


@dataclass(slots=True)
class Admission:
    """What the clock made of a batch.

    Attributes:
        batch: the events to look at: the batch without held ones, with those held before at its head.
        accepted: `[n]` which of them apply; None for all.
        watermark_ms: after the batch.
        positions: partition -> where to resume once the batch is committed.
        clocks_ms: partition -> latest time seen, as stored: `-1 - ms` for a partition that ended.
        dead_letters: those that were refused, beside the batch's own.
        duplicates: how many events came before.
        seen_keys, seen_ts_ms: event ids to remember, newer than the watermark.
    """

    batch: DecodedBatch
    accepted: npt.NDArray[np.bool_] | None
    watermark_ms: int
    positions: dict[str, int]
    clocks_ms: dict[str, int]
    dead_letters: list[DeadLetter] = field(default_factory=list)
    duplicates: int = 0
    seen_keys: list[bytes] = field(default_factory=list)
    seen_ts_ms: list[int] = field(default_factory=list)


class EventClock:
    """Decides on every event in the order of arrival, the same for any cut into batches."""

    def __init__(self, rules: ClockRules) -> None:
        self._rules = rules
        self.watermark_ms = 0
        self.clocks_ms: dict[str, int] = {}
        self._ended: set[str] = set()
        self._seen: set[bytes] = set()
        self._seen_by_hour: dict[int, list[bytes]] = defaultdict(list)
        self._held: DecodedBatch | None = None

    def restore(
        self, watermark_ms: int, clocks_ms: Mapping[str, int], seen_keys: Iterable[bytes], seen_ts_ms: Iterable[int]
    ) -> None:
        """Takes up a stored state."""
        self.watermark_ms = watermark_ms
        self.clocks_ms = {name: ms if ms >= 0 else -1 - ms for name, ms in clocks_ms.items()}
        self._ended = {name for name, ms in clocks_ms.items() if ms < 0}
        self._remember(list(seen_keys), np.fromiter(seen_ts_ms, np.int64))

    def stored_clocks_ms(self, names: Iterable[str] | None = None) -> dict[str, int]:
        """Returns the latest time seen per partition, as stored: `-1 - ms` for one that ended."""
        return {
            name: -1 - self.clocks_ms[name] if name in self._ended else self.clocks_ms[name]
            for name in sorted(self.clocks_ms if names is None else names)
            if name in self.clocks_ms
        }

    def seen(self) -> tuple[list[bytes], list[int]]:
        """Returns the event ids newer than the watermark, and times of the same hour."""
        keys = [key for hour in self._seen_by_hour.values() for key in hour]
        times = [hour * HOUR_MS for hour, known in self._seen_by_hour.items() for _ in known]
        return keys, times

    def admit(self, batch: DecodedBatch, *, backfill: bool = False) -> Admission:
        """Returns which events apply. With `backfill`, late events apply and the clock does not move."""
        if self._held is not None:
            batch = concatenate(self._held, batch)
            self._held = None
        n = len(batch)
        verdict = np.zeros(n, np.uint8)
        if not backfill:
            self._judge(batch, verdict)
            held = np.flatnonzero(verdict == Verdict.HELD)
            if len(held):
                self._held = without_rejects(select(batch, held))
                rest = np.flatnonzero(verdict != Verdict.HELD)
                batch, verdict = select(batch, rest), verdict[rest]
        duplicates = self._mark_duplicates(batch.event_key, verdict)
        refused = np.flatnonzero((verdict == Verdict.TOO_LATE) | (verdict == Verdict.FUTURE))
        accepted = None if not verdict.any() else verdict == Verdict.ACCEPTED
        fresh = batch.ts_ms >= self.watermark_ms
        if accepted is not None:
            fresh &= accepted
        keys = batch.event_key if fresh.all() else [batch.event_key[i] for i in np.flatnonzero(fresh).tolist()]
        times = batch.ts_ms[fresh]
        self._remember(keys, times)
        self._forget()
        return Admission(
            batch=batch,
            accepted=accepted,
            watermark_ms=self.watermark_ms,
            positions=self._positions(batch),
            clocks_ms=self.stored_clocks_ms({*batch.partitions, *batch.ended}),
            dead_letters=[self._refuse(batch, int(i), Verdict(int(verdict[i]))) for i in refused],
            duplicates=duplicates,
            seen_keys=keys,
            seen_ts_ms=times.tolist(),
        )

    def _judge(self, batch: DecodedBatch, verdict: npt.NDArray[np.uint8]) -> None:
        rules = self._rules
        names = batch.partitions
        clocks = np.array([self.clocks_ms.get(name, NO_TIME) for name in names], np.int64)
        present = set(np.unique(batch.partition_of).tolist())
        for place in present:
            self._ended.discard(names[place])
        others = [ms for name, ms in self.clocks_ms.items() if name not in self._ended and name not in names]
        # Partitions named in the batch without a record in it count if they were active before.
        active = np.array([name not in self._ended for name in names], np.bool_)
        floor = min(others, default=np.iinfo(np.int64).max)
        broker = batch.broker_ms if batch.broker_ms is not None else np.full(len(batch), NO_TIME, np.int64)
        watermark = np.array([self.watermark_ms], np.int64)
        at = 0
        while True:
            at = judge(
                batch.partition_of,
                batch.ts_ms,
                broker,
                clocks,
                active,
                floor,
                rules.allowed_lateness_ms,
                rules.max_skew_ms,
                watermark,
                verdict,
                at,
            )
            if at >= len(batch):
                break
            self._judge_jump(batch, at, clocks, verdict)
            at += 1 if verdict[at] != Verdict.ACCEPTED else 0
        for place, name in enumerate(names):
            if clocks[place] >= 0:
                self.clocks_ms[name] = int(clocks[place])
        self._ended.update(batch.ended)
        self.watermark_ms = int(watermark[0])

    def _judge_jump(
        self, batch: DecodedBatch, at: int, clocks: npt.NDArray[np.int64], verdict: npt.NDArray[np.uint8]
    ) -> None:
        """Believes a jump (by moving the partition's clock there), refuses it, or holds it and all behind it."""
        rules = self._rules
        place = int(batch.partition_of[at])
        ts_ms = int(batch.ts_ms[at])
        following = np.flatnonzero(batch.partition_of[at + 1 :] == place)[: rules.confirmations] + at + 1
        votes = batch.ts_ms[following] >= ts_ms - rules.max_skew_ms
        ended = batch.partitions[place] in batch.ended
        if len(following) < rules.confirmations and not ended:
            rest = np.flatnonzero(batch.partition_of[at:] == place) + at
            verdict[rest] = Verdict.HELD
            return
        believed = 2 * int(votes.sum()) > len(following)
        if len(following) == 0:
            believed = clocks[place] < 0 or ts_ms - int(clocks[place]) <= rules.max_gap_ms
        if believed:
            clocks[place] = max(int(clocks[place]), ts_ms)
        else:
            verdict[at] = Verdict.FUTURE

    def _mark_duplicates(self, keys: list[bytes], verdict: npt.NDArray[np.uint8]) -> int:
        distinct = set(keys)
        if len(distinct) == len(keys) and self._seen.isdisjoint(distinct):
            return 0
        count = 0
        here: set[bytes] = set()
        for i, key in enumerate(keys):
            if verdict[i] == Verdict.ACCEPTED:
                if key in here or key in self._seen:
                    verdict[i] = Verdict.DUPLICATE
                    count += 1
                here.add(key)
        return count

    def _remember(self, keys: list[bytes], times: npt.NDArray[np.int64]) -> None:
        self._seen.update(keys)
        hours = times // HOUR_MS
        for hour in np.unique(hours).tolist():
            chosen = np.flatnonzero(hours == hour).tolist()
            self._seen_by_hour[hour].extend(keys if len(chosen) == len(keys) else [keys[i] for i in chosen])

    def _forget(self) -> None:
        """Drops whole hours behind the watermark; a key kept a little longer changes nothing, for it is too late."""
        now = self.watermark_ms // HOUR_MS
        for hour in [hour for hour in self._seen_by_hour if hour < now]:
            self._seen.difference_update(self._seen_by_hour.pop(hour))

    def _positions(self, batch: DecodedBatch) -> dict[str, int]:
        positions = dict(batch.damaged_through)
        for place, name in enumerate(batch.partitions):
            mine = batch.partition_of == place
            if mine.any():
                positions[name] = max(positions.get(name, 0), int(batch.next_offset[mine].max()))
        if self._held is not None:
            for place, name in enumerate(self._held.partitions):
                mine = self._held.partition_of == place
                if mine.any():
                    positions[name] = int(self._held.offset[mine].min())
        return positions

    def _refuse(self, batch: DecodedBatch, at: int, verdict: Verdict) -> DeadLetter:
        late = verdict is Verdict.TOO_LATE
        return DeadLetter(
            reason=RejectReason.TOO_LATE if late else RejectReason.FUTURE_TIMESTAMP,
            detail="ts: older than the watermark" if late else "ts: ahead of the stream, and not confirmed by it",
            partition=batch.partitions[int(batch.partition_of[at])],
            offset=int(batch.offset[at]),
            ciphertext=batch.seal(at),
        )


@njit(cache=True)
def judge(
    partition_of: npt.NDArray[np.int32],
    ts_ms: npt.NDArray[np.int64],
    broker_ms: npt.NDArray[np.int64],
    clocks: npt.NDArray[np.int64],
    active: npt.NDArray[np.bool_],
    floor_ms: Any,
    lateness_ms: Any,
    skew_ms: Any,
    watermark: npt.NDArray[np.int64],
    verdict: npt.NDArray[np.uint8],
    start: Any,
) -> Any:
    """Fills `verdict` from `start` on, and moves clocks and watermark; returns where a jump must be decided, or n."""
    for i in range(start, len(ts_ms)):
        if verdict[i] != 0:
            continue
        place, ts = partition_of[i], ts_ms[i]
        if broker_ms[i] >= 0:
            if ts > broker_ms[i] + skew_ms:
                verdict[i] = 2
                continue
        elif clocks[place] < 0 or ts > clocks[place] + skew_ms:
            return i
        if ts < watermark[0]:
            verdict[i] = 1
            continue
        active[place] = True
        if ts > clocks[place]:
            clocks[place] = ts
        lowest = floor_ms
        for other in range(len(clocks)):
            if active[other] and clocks[other] >= 0 and clocks[other] < lowest:
                lowest = clocks[other]
        watermark[0] = max(watermark[0], lowest - lateness_ms)
    return len(ts_ms)
