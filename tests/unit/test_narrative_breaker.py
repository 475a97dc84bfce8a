"""The circuit breaker under a clock that the test holds."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from fraudgraph.narrative.llm.breaker import Breaker


class _Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def _breaker(clock: _Clock) -> Breaker:
    return Breaker(failures=3, cooldown_s=60.0, clock=clock)


def test_it_opens_after_three_failures_in_a_row_and_not_before() -> None:
    clock = _Clock()
    breaker = _breaker(clock)
    for outcome in (breaker.failed, breaker.failed, breaker.succeeded, breaker.failed, breaker.failed):
        assert breaker.allow()
        outcome()
    assert breaker.allow()
    breaker.failed()
    assert breaker.open
    assert not breaker.allow()


def test_after_the_cooldown_one_call_alone_tries_again() -> None:
    clock = _Clock()
    breaker = _breaker(clock)
    for _ in range(3):
        assert breaker.allow()
        breaker.failed()
    clock.now_s = 59.9
    assert not breaker.allow()
    clock.now_s = 60.0
    assert breaker.allow()
    assert not breaker.allow()
    breaker.failed()
    assert not breaker.allow()
    clock.now_s = 120.0
    assert breaker.allow()
    breaker.succeeded()
    assert breaker.allow()


def test_a_trial_that_was_not_made_frees_the_next() -> None:
    clock = _Clock()
    breaker = _breaker(clock)
    for _ in range(3):
        breaker.allow()
        breaker.failed()
    clock.now_s = 61.0
    assert breaker.allow()
    breaker.abandoned()
    assert breaker.allow()


def test_among_threads_one_trial_is_let_through() -> None:
    clock = _Clock()
    breaker = _breaker(clock)
    for _ in range(3):
        breaker.allow()
        breaker.failed()
    clock.now_s = 61.0
    start, let_through = threading.Barrier(8), []

    def ask() -> None:
        start.wait()
        let_through.append(breaker.allow())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(let_through) == 1


@given(st.lists(st.sampled_from(["ok", "bad", "wait"]), max_size=60))
def test_it_is_open_exactly_while_three_failures_in_a_row_are_fresh(steps: list[str]) -> None:
    clock = _Clock()
    breaker = _breaker(clock)
    row, last_s = 0, -1e9
    for step in steps:
        if step == "wait":
            clock.now_s += 45.0
            continue
        expected = row < 3 or clock.now_s - last_s >= 60.0
        assert breaker.allow() is expected
        if not expected:
            continue
        if step == "ok":
            breaker.succeeded()
            row = 0
        else:
            breaker.failed()
            row, last_s = row + 1, clock.now_s
