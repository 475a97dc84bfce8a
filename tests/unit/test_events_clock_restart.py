"""The de-duplication set of a clock that was put away and taken up again."""

from __future__ import annotations

from support.journal import Happening, decoded

from fraudgraph.durations import HOUR_MS, MINUTE_MS
from fraudgraph.events.clock import ClockRules, EventClock


def test_an_event_of_the_watermarks_own_hour_is_still_known() -> None:
    rules = ClockRules(allowed_lateness_ms=10 * MINUTE_MS, max_skew_ms=24 * HOUR_MS)
    start_ms = 1000 * HOUR_MS
    events = [Happening(f"e{minute}", start_ms + minute * MINUTE_MS, "u") for minute in (0, 45, 50)]
    rows = [("p", event, place) for place, event in enumerate(events)]
    clock = EventClock(rules)
    now = [event.ts_ms for event in events]
    clock.admit(decoded(rows, names=["p"], broker_ms=now))
    assert clock.watermark_ms == start_ms + 40 * MINUTE_MS
    again = EventClock(rules)
    again.restore(clock.watermark_ms, clock.stored_clocks_ms(), *clock.seen())
    admission = again.admit(decoded([("q", events[1], 0)], names=["q"], broker_ms=now[1:2]))
    assert (admission.duplicates, admission.dead_letters) == (1, [])
