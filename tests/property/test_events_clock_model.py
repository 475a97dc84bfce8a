"""The clock against a plain model that looks at one event after the other, for any cut into batches."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support.journal import Happening, decoded, key

from fraudgraph.durations import HOUR_MS
from fraudgraph.events.clock import ClockRules, EventClock
from fraudgraph.events.kinds import RejectReason

RULES = ClockRules(allowed_lateness_ms=HOUR_MS, max_skew_ms=10 * HOUR_MS, max_gap_ms=50 * HOUR_MS, confirmations=3)
BASE_MS = 1000 * HOUR_MS
MOVES_MS = (0, 0, HOUR_MS // 2, HOUR_MS // 2, -HOUR_MS // 2, -2 * HOUR_MS, 3 * HOUR_MS, 30 * HOUR_MS, 90 * HOUR_MS)

Arrival = tuple[str, Happening]


class PlainClock:
    """The rules of event time, read off their description."""

    def __init__(self) -> None:
        self.watermark_ms = 0
        self.latest: dict[str, int] = {}
        self.ended: set[str] = set()
        self.accepted: dict[str, int] = {}
        self.verdicts: list[str] = []

    def see(self, arrivals: Sequence[Arrival], broker_ms: Sequence[int] | None, ends: bool) -> None:
        for place, (partition, event) in enumerate(arrivals):
            later = [e.ts_ms for p, e in arrivals[place + 1 :] if p == partition]
            self.verdicts.append(self._judge(partition, event, later, None if broker_ms is None else broker_ms[place]))
            if ends and not later:
                self.ended.add(partition)
            self._advance()

    def _judge(self, partition: str, event: Happening, later: list[int], broker_ms: int | None) -> str:
        if broker_ms is not None:
            if event.ts_ms > broker_ms + RULES.max_skew_ms:
                return "future"
        elif not self._is_confirmed(partition, event.ts_ms, later[: RULES.confirmations]):
            return "future"
        if event.ts_ms < self.watermark_ms:
            return "late"
        before_ms = self.watermark_ms
        self.latest[partition] = max(self.latest.get(partition, 0), event.ts_ms)
        self.ended.discard(partition)
        if self.accepted.get(event.id, -1) >= before_ms:
            return "duplicate"
        self.accepted[event.id] = event.ts_ms
        return "accepted"

    def _is_confirmed(self, partition: str, ts_ms: int, following: list[int]) -> bool:
        if partition in self.latest and ts_ms <= self.latest[partition] + RULES.max_skew_ms:
            return True
        if not following:
            return partition not in self.latest or ts_ms <= self.latest[partition] + RULES.max_gap_ms
        agree = [after for after in following if after >= ts_ms - RULES.max_skew_ms]
        return 2 * len(agree) > len(following)

    def _advance(self) -> None:
        active = [ms for partition, ms in self.latest.items() if partition not in self.ended]
        lowest = min(active, default=max(self.latest.values(), default=0))
        self.watermark_ms = max(self.watermark_ms, lowest - RULES.allowed_lateness_ms)


def run(
    arrivals: Sequence[Arrival], at: Sequence[int], broker_ms: Sequence[int] | None
) -> tuple[EventClock, list[str]]:
    """Returns a clock that saw the arrivals in batches, and the verdict on each event in the order of arrival."""
    clock = EventClock(RULES)
    names = ["a", "b", "c"]
    verdicts: dict[tuple[str, int], str] = {}
    offsets = [sum(p == partition for p, _ in arrivals[:i]) for i, (partition, _) in enumerate(arrivals)]
    for begin, end in pairwise(at):
        rest = {partition for partition, _ in arrivals[end:]}
        rows = [(*arrivals[i], offsets[i]) for i in range(begin, end)]
        ended = tuple(sorted({partition for partition, _, _ in rows} - rest))
        broker = None if broker_ms is None else broker_ms[begin:end]
        admission = clock.admit(decoded(rows, names=names, ended=ended, broker_ms=broker))
        batch = admission.batch
        refused = {
            (letter.partition, letter.offset): "late" if letter.reason is RejectReason.TOO_LATE else "future"
            for letter in admission.dead_letters
        }
        for i in range(len(batch)):
            where = (batch.partitions[int(batch.partition_of[i])], int(batch.offset[i]))
            assert where not in verdicts
            taken = admission.accepted is None or bool(admission.accepted[i])
            verdicts[where] = refused.get(where, "accepted" if taken else "duplicate")
            assert (where in refused) <= (not taken)
        assert admission.duplicates == sum(
            verdicts[batch.partitions[int(batch.partition_of[i])], int(batch.offset[i])] == "duplicate"
            for i in range(len(batch))
        )
    return clock, [verdicts[partition, offset] for (partition, _), offset in zip(arrivals, offsets, strict=True)]


def arrivals_of(moves: Sequence[tuple[int, int, int]]) -> list[Arrival]:
    now_ms, found = BASE_MS, []
    for move, partition, name in moves:
        ts_ms = now_ms + MOVES_MS[move]
        # Only small steps last; the others are the odd event out.
        now_ms = ts_ms if MOVES_MS[move] in (HOUR_MS // 2, 3 * HOUR_MS) else now_ms
        found.append(("abc"[partition], Happening(f"e{name}", ts_ms, "u0")))
    return found


def steps(partitions: int) -> st.SearchStrategy[list[tuple[int, int, int]]]:
    step = st.tuples(st.integers(0, len(MOVES_MS) - 1), st.integers(0, partitions - 1), st.integers(0, 30))
    return st.lists(step, min_size=1, max_size=30)


cuts = st.sets(st.integers(1, 29))


def places(inner: set[int], count: int) -> list[int]:
    return sorted({0, count, *(place for place in inner if place < count)})


@settings(max_examples=1500, deadline=None)
@given(steps(1), cuts)
def test_one_partition_is_judged_like_the_model_for_any_cut(moves: list[tuple[int, int, int]], inner: set[int]) -> None:
    arrivals = arrivals_of(moves)
    model = PlainClock()
    model.see(arrivals, None, ends=True)
    clock, verdicts = run(arrivals, places(inner, len(arrivals)), None)
    assert verdicts == model.verdicts
    assert clock.watermark_ms == model.watermark_ms
    assert clock.clocks_ms == model.latest


@settings(max_examples=1000, deadline=None)
@given(steps(3))
def test_several_partitions_are_judged_like_the_model(moves: list[tuple[int, int, int]]) -> None:
    arrivals = arrivals_of(moves)
    model = PlainClock()
    model.see(arrivals, None, ends=True)
    clock, verdicts = run(arrivals, [0, len(arrivals)], None)
    assert verdicts == model.verdicts
    assert clock.watermark_ms == model.watermark_ms


@settings(max_examples=1500, deadline=None)
@given(steps(3), cuts, st.integers(0, 2))
def test_with_broker_times_several_partitions_are_judged_like_the_model_for_any_cut(
    moves: list[tuple[int, int, int]], inner: set[int], slow: int
) -> None:
    arrivals = arrivals_of(moves)
    broker_ms = [BASE_MS + 4 * place * HOUR_MS // (1 + slow) for place in range(len(arrivals))]
    model = PlainClock()
    model.see(arrivals, broker_ms, ends=True)
    clock, verdicts = run(arrivals, places(inner, len(arrivals)), broker_ms)
    assert verdicts == model.verdicts
    assert clock.watermark_ms == model.watermark_ms
    assert clock.clocks_ms == model.latest


@settings(max_examples=500, deadline=None)
@given(steps(2), cuts, cuts)
def test_a_restored_clock_judges_like_one_that_never_stopped(
    moves: list[tuple[int, int, int]], inner: set[int], stops: set[int]
) -> None:
    arrivals = arrivals_of(moves)
    broker_ms = [BASE_MS + 2 * place * HOUR_MS for place in range(len(arrivals))]
    offsets = [sum(p == partition for p, _ in arrivals[:i]) for i, (partition, _) in enumerate(arrivals)]
    never, often = EventClock(RULES), EventClock(RULES)
    seen: dict[bytes, int] = {}
    clocks_ms: dict[str, int] = {}
    for begin, end in pairwise(places(inner, len(arrivals))):
        rows = [(*arrivals[i], offsets[i]) for i in range(begin, end)]
        rest = {partition for partition, _ in arrivals[end:]}
        ended = tuple({partition for partition, _, _ in rows} - rest)
        told, again = (
            clock.admit(decoded(rows, names=["a", "b"], ended=ended, broker_ms=broker_ms[begin:end]))
            for clock in (never, often)
        )
        np.testing.assert_equal(again.accepted, told.accepted)
        assert (again.watermark_ms, again.clocks_ms, again.positions) == (
            told.watermark_ms,
            told.clocks_ms,
            told.positions,
        )
        seen |= dict(zip(again.seen_keys, again.seen_ts_ms, strict=True))
        seen = {name: ms for name, ms in seen.items() if ms >= again.watermark_ms}
        clocks_ms |= again.clocks_ms
        if end in stops:
            often = EventClock(RULES)
            often.restore(again.watermark_ms, clocks_ms, seen.keys(), seen.values())


def test_a_backfill_lets_late_events_in_and_leaves_the_clock_and_what_waits_alone() -> None:
    clock = EventClock(RULES)
    waiting = [("a", Happening("far", BASE_MS + 90 * HOUR_MS, "u0"), 4)]
    clock.admit(
        decoded([("a", Happening(f"e{i}", BASE_MS, "u0"), i) for i in range(4)] + waiting, names=["a"]),
    )
    before = clock.watermark_ms
    late = [("dead-letters", Happening(f"l{i}", BASE_MS - 40 * HOUR_MS, "u0"), i) for i in range(2)]
    admission = clock.admit(decoded(late, names=["dead-letters"]), backfill=True)
    assert admission.accepted is None
    assert admission.batch.event_key == [key("l0"), key("l1")]
    assert clock.watermark_ms == before
    assert "dead-letters" not in clock.clocks_ms
    # What waited is still there, and is refused once the next events contradict it.
    after = clock.admit(
        decoded([("a", Happening(f"n{i}", BASE_MS, "u0"), 5 + i) for i in range(3)], names=["a"]),
    )
    assert [letter.reason for letter in after.dead_letters] == [RejectReason.FUTURE_TIMESTAMP]


def test_sealing_what_waited_for_thousands_of_polls_works() -> None:
    clock = EventClock(RULES)
    clock.admit(decoded([("a", Happening("first", BASE_MS, "u0"), 0)], names=["a"]))
    for _ in range(3000):
        clock.admit(decoded([], names=["a"]))
    last = [("a", Happening(f"e{i}", BASE_MS - 90 * HOUR_MS, "u0"), 1 + i) for i in range(3)]
    admission = clock.admit(decoded(last, names=["a"], ended=("a",)))
    assert [letter.ciphertext for letter in admission.dead_letters] == [b"first"]
