"""Event time: the watermark, what comes too late or from the future, and what came before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from fraudgraph.durations import HOUR_MS
from fraudgraph.events.batch import ArrivedCommand, DeadLetter, DecodedBatch
from fraudgraph.events.idle import IdleMark, read_mark
from fraudgraph.events.kinds import RejectReason
from fraudgraph.events.slicing import concatenate, hold_back, take_commands
from fraudgraph.kernels import njit

NO_TIME = -1
_LAST = np.iinfo(np.int64).max


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
        commands: what people ask for, in the order of arrival. A command has no event time: it is never late, held or
            from the future, and moves no clock. Idle marks are not among them: they are the clock's own.
        batch: the events to look at: the batch without commands and held ones, with those held before at its head.
        accepted: `[n]` which of them apply; None for all.
        watermark_ms: after the batch.
        positions: partition -> where to resume once the batch is committed.
        clocks_ms: partition -> latest time seen, as stored: `-1 - ms` for a partition that ended.
        dead_letters: those that were refused, beside the batch's own.
        duplicates: how many events came before.
        seen_keys, seen_ts_ms: event ids to remember, newer than the watermark.
    """

    commands: list[ArrivedCommand]
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
        self._seen: dict[bytes, int] = {}
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
        """Returns the event ids newer than the watermark, some a little older too, and their times in ms."""
        return list(self._seen), list(self._seen.values())

    def rekey(self, keys: Mapping[bytes, bytes]) -> None:
        """Takes event ids that are known by the first pseudonym of a pair to be known by the second."""
        for former in sorted(keys.keys() & self._seen.keys()):
            ts_ms = self._seen.pop(former)
            self._seen[keys[former]] = ts_ms
            self._seen_by_hour[ts_ms // HOUR_MS].append(keys[former])

    def admit(
        self, batch: DecodedBatch, *, backfill: bool = False, positions: Mapping[str, int] | None = None
    ) -> Admission:
        """Returns which events apply. With `backfill`, late events apply and the clock does not move.

        Args:
            positions: where each partition stood before this batch, by which idle marks are checked.
        """
        arrived, batch = take_commands(batch)
        commands, marked = (arrived, set()) if backfill else self._take_marks(arrived, positions or {})
        if backfill:
            verdict = np.zeros(len(batch), np.uint8)
            watermarks = np.full(len(batch), self.watermark_ms, np.int64)
        else:
            waited = 0
            if self._held is not None:
                waited = len(self._held)
                batch = concatenate(self._held, batch)
                self._held = None
            verdict, watermarks = self._judge(batch, waited)
            held = verdict == Verdict.HELD
            if held.any():
                self._held, batch = hold_back(batch, held)
                verdict, watermarks = verdict[~held], watermarks[~held]
        duplicates = self._mark_duplicates(batch, verdict, watermarks)
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
            commands=commands,
            batch=batch,
            accepted=accepted,
            watermark_ms=self.watermark_ms,
            positions=self._positions(batch, arrived),
            clocks_ms=self.stored_clocks_ms({*batch.partitions, *batch.ended, *marked}),
            dead_letters=[self._refuse(batch, int(i), Verdict(int(verdict[i]))) for i in refused],
            duplicates=duplicates,
            seen_keys=keys,
            seen_ts_ms=times.tolist(),
        )

    def _take_marks(
        self, arrived: list[ArrivedCommand], positions: Mapping[str, int]
    ) -> tuple[list[ArrivedCommand], set[str]]:
        """Obeys the idle marks; returns the other commands, and the partitions that count as silent now."""
        others: list[ArrivedCommand] = []
        marked: set[str] = set()
        for command in arrived:
            mark = read_mark(command)
            if mark is None:
                others.append(command)
            else:
                marked |= self._pass_by(mark, positions)
        return others, marked

    def _pass_by(self, mark: IdleMark, positions: Mapping[str, int]) -> set[str]:
        """Lets silent partitions hold event time no more, as if they had ended; their next event brings them back."""
        silent = {
            name
            for name, position in mark.positions.items()
            if name in self.clocks_ms and positions.get(name) == position
        }
        self._ended |= silent
        if mark.until_ms is not None and self._held is None and silent and self._ended >= self.clocks_ms.keys():
            self.watermark_ms = max(self.watermark_ms, mark.until_ms - self._rules.allowed_lateness_ms)
        return silent

    def _judge(self, batch: DecodedBatch, waited: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """Returns a verdict on each event, and the watermark that it met; moves the clocks.

        The first `waited` events were held before. They must not be too late because other partitions went on
        meanwhile, so until they are judged the others count as if they had stood still.
        """
        rules = self._rules
        names = batch.partitions
        n = len(batch)
        verdict, watermarks = np.zeros(n, np.uint8), np.zeros(n, np.int64)
        # A partition that ends does so behind its last record, wherever the batch is cut.
        last = np.full(len(names), n, np.int64)
        for place, name in enumerate(names):
            if name in batch.ended:
                mine = np.flatnonzero(batch.partition_of == place)
                last[place] = mine[-1] if len(mine) else -1
        self._ended.update(name for name in batch.ended if name not in names or last[names.index(name)] < 0)
        clocks = np.array([self.clocks_ms.get(name, NO_TIME) for name in names], np.int64)
        active = np.array([name not in self._ended for name in names], np.bool_)
        others = {name: ms for name, ms in self.clocks_ms.items() if name not in names}
        floor = min((ms for name, ms in others.items() if name not in self._ended), default=_LAST)
        peak = max(others.values(), default=NO_TIME)
        broker = batch.broker_ms if batch.broker_ms is not None else np.full(n, NO_TIME, np.int64)
        watermark = np.array([self.watermark_ms], np.int64)
        waits = np.zeros(len(names), np.bool_)
        waits[batch.partition_of[:waited]] = True
        waits &= (clocks < 0) | ~active
        waiting = np.flatnonzero(waits).tolist()
        pins = np.array([_LAST, min((self._first_time(batch, place) for place in waiting), default=_LAST)])
        advance(clocks, active, waits, floor, peak, pins, rules.allowed_lateness_ms, watermark)
        at, believed = 0, False
        while True:
            at = judge(
                batch.partition_of,
                batch.ts_ms,
                broker,
                clocks,
                active,
                last,
                waits,
                waited,
                floor,
                peak,
                pins,
                rules.allowed_lateness_ms,
                rules.max_skew_ms,
                watermark,
                verdict,
                watermarks,
                at,
                believed,
            )
            if at >= n:
                break
            believed = self._judge_jump(batch, at, clocks, verdict)
            place = int(batch.partition_of[at])
            if verdict[at] == Verdict.HELD and (clocks[place] < 0 or not active[place]):
                pins[0] = min(pins[0], self._first_time(batch, place, at))
        for place, name in enumerate(names):
            if clocks[place] >= 0:
                self.clocks_ms[name] = int(clocks[place])
            if active[place]:
                self._ended.discard(name)
        self._ended.update(batch.ended)
        self.watermark_ms = int(watermark[0])
        return verdict, watermarks

    def _first_time(self, batch: DecodedBatch, place: int, at: int = 0) -> int:
        """Returns the time of the first event of a partition, from `at` on, that the next ones do not contradict."""
        times = batch.ts_ms[at:][batch.partition_of[at:] == place].tolist()
        for i, ts_ms in enumerate(times):
            following = times[i + 1 : i + 1 + self._rules.confirmations]
            if 2 * sum(after >= ts_ms - self._rules.max_skew_ms for after in following) >= len(following):
                return int(ts_ms)
        return _LAST

    def _judge_jump(
        self, batch: DecodedBatch, at: int, clocks: npt.NDArray[np.int64], verdict: npt.NDArray[np.uint8]
    ) -> bool:
        """Returns whether a jump is believed; else refuses it, or holds it and all behind it."""
        rules = self._rules
        place = int(batch.partition_of[at])
        ts_ms = int(batch.ts_ms[at])
        following = np.flatnonzero(batch.partition_of[at + 1 :] == place)[: rules.confirmations] + at + 1
        votes = batch.ts_ms[following] >= ts_ms - rules.max_skew_ms
        if len(following) < rules.confirmations and batch.partitions[place] not in batch.ended:
            verdict[np.flatnonzero(batch.partition_of[at:] == place) + at] = Verdict.HELD
            return False
        believed = 2 * int(votes.sum()) > len(following)
        if len(following) == 0:
            believed = clocks[place] < 0 or ts_ms - int(clocks[place]) <= rules.max_gap_ms
        if not believed:
            verdict[at] = Verdict.FUTURE
        return believed

    def _mark_duplicates(
        self, batch: DecodedBatch, verdict: npt.NDArray[np.uint8], watermarks: npt.NDArray[np.int64]
    ) -> int:
        """Marks events whose id came before, and is newer than the watermark that they met; returns how many."""
        keys = batch.event_key
        distinct = set(keys)
        if len(distinct) == len(keys) and self._seen.keys().isdisjoint(distinct):
            return 0
        count = 0
        here: dict[bytes, int] = {}
        times, met = batch.ts_ms.tolist(), watermarks.tolist()
        for i in np.flatnonzero(verdict == Verdict.ACCEPTED).tolist():
            key = keys[i]
            if here.get(key, self._seen.get(key, NO_TIME)) >= met[i]:
                verdict[i] = Verdict.DUPLICATE
                count += 1
            else:
                here[key] = times[i]
        return count

    def _remember(self, keys: list[bytes], times: npt.NDArray[np.int64]) -> None:
        self._seen.update(zip(keys, times.tolist(), strict=True))
        hours = times // HOUR_MS
        for hour in np.unique(hours).tolist():
            chosen = np.flatnonzero(hours == hour).tolist()
            self._seen_by_hour[hour].extend(keys if len(chosen) == len(keys) else [keys[i] for i in chosen])

    def _forget(self) -> None:
        """Drops whole hours behind the watermark; a key kept a little longer changes nothing, for its time tells."""
        now = self.watermark_ms // HOUR_MS
        for hour in [hour for hour in self._seen_by_hour if hour < now]:
            for key in self._seen_by_hour.pop(hour):
                if self._seen.get(key, _LAST) // HOUR_MS == hour:
                    del self._seen[key]

    def _positions(self, batch: DecodedBatch, commands: list[ArrivedCommand]) -> dict[str, int]:
        # A command behind a held event comes again after a restart, and is known by its key.
        positions = dict(batch.damaged_through)
        for command in commands:
            positions[command.partition] = max(positions.get(command.partition, 0), command.next_offset)
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
def advance(
    clocks: npt.NDArray[np.int64],
    active: npt.NDArray[np.bool_],
    waits: npt.NDArray[np.bool_],
    floor_ms: Any,
    peak_ms: Any,
    pins_ms: npt.NDArray[np.int64],
    lateness_ms: Any,
    watermark: npt.NDArray[np.int64],
) -> None:
    """Moves the watermark behind the slowest active partition; where all have ended, behind the latest of all.

    It does not pass `pins_ms[0]`, and partitions that do not wait count as if they were not beyond `pins_ms[1]`.
    """
    highest = min(peak_ms, pins_ms[1])
    lowest = floor_ms if floor_ms == _LAST else min(floor_ms, pins_ms[1])
    for place in range(len(clocks)):
        if clocks[place] >= 0:
            clock = clocks[place] if waits[place] else min(clocks[place], pins_ms[1])
            highest = max(highest, clock)
            if active[place]:
                lowest = min(lowest, clock)
    if lowest == _LAST:
        lowest = highest
    watermark[0] = max(watermark[0], min(lowest, pins_ms[0]) - lateness_ms)


@njit(cache=True)
def judge(
    partition_of: npt.NDArray[np.int32],
    ts_ms: npt.NDArray[np.int64],
    broker_ms: npt.NDArray[np.int64],
    clocks: npt.NDArray[np.int64],
    active: npt.NDArray[np.bool_],
    last: npt.NDArray[np.int64],
    waits: npt.NDArray[np.bool_],
    waited: Any,
    floor_ms: Any,
    peak_ms: Any,
    pins_ms: npt.NDArray[np.int64],
    lateness_ms: Any,
    skew_ms: Any,
    watermark: npt.NDArray[np.int64],
    verdict: npt.NDArray[np.uint8],
    watermarks: npt.NDArray[np.int64],
    start: Any,
    believed: Any,
) -> Any:
    """Fills `verdict` and `watermarks` from `start` on, and moves clocks and watermark.

    `pins_ms[0]` is what waits again, `pins_ms[1]` what waited before and is judged by now at `waited`.

    Returns where a jump must be decided, or n; `believed` says that the one at `start` was.
    """
    for i in range(start, len(ts_ms)):
        place, ts = partition_of[i], ts_ms[i]
        watermarks[i] = watermark[0]
        if verdict[i] == 0:
            if broker_ms[i] >= 0:
                if ts > broker_ms[i] + skew_ms:
                    verdict[i] = 2
            elif (clocks[place] < 0 or ts > clocks[place] + skew_ms) and not (believed and i == start):
                return i
            if verdict[i] == 0 and ts < watermark[0]:
                verdict[i] = 1
            elif verdict[i] == 0:
                active[place] = True
                clocks[place] = max(clocks[place], ts)
        if i == last[place]:
            active[place] = False
        if i == waited - 1:
            pins_ms[1] = _LAST
        advance(clocks, active, waits, floor_ms, peak_ms, pins_ms, lateness_ms, watermark)
    return len(ts_ms)
