"""Dead letters are kept for so many days of wall time, whatever the events' own time."""

from __future__ import annotations

from fraudgraph.durations import DAY_MS, HOUR_MS
from fraudgraph.stores.port import CommitDelta
from fraudgraph.stores.retention import DeadLetterRetention


def test_every_commit_is_stamped_and_old_letters_go_once_an_hour() -> None:
    moments = iter([100 * DAY_MS, 100 * DAY_MS + 1, 100 * DAY_MS + HOUR_MS])
    retention = DeadLetterRetention(30, lambda: next(moments))
    deltas = [CommitDelta(commit=n, watermark_ms=0) for n in (1, 2, 3)]
    for delta in deltas:
        retention.stamp(delta)
    assert [delta.recorded_ms for delta in deltas] == [100 * DAY_MS, 100 * DAY_MS + 1, 100 * DAY_MS + HOUR_MS]
    assert [delta.dead_letters_before_ms for delta in deltas] == [70 * DAY_MS, None, 70 * DAY_MS + HOUR_MS]
