"""Times as people type them, in event time."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from fraudgraph.durations import DAY_MS, HOUR_MS, MINUTE_MS
from fraudgraph.errors import UsageError

_UNITS_MS = {"m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS, "w": 7 * DAY_MS}
_SPAN = re.compile(r"(\d{1,6})([mhdw])")


def parse_since(text: str, watermark_ms: int) -> int:
    """Returns ms since the epoch (UTC) of an RFC 3339 time, a date, or a span back from the store's watermark.

    Raises:
        UsageError: it is none of these.
    """
    if span := _SPAN.fullmatch(text):
        return watermark_ms - int(span[1]) * _UNITS_MS[span[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or (moment.tzinfo is None and len(text) > len("2026-03-01")):
        raise UsageError(
            f"{text!r} is no time", do="Write 2026-03-01, 2026-03-01T14:05:00Z, or 24h, 7d before the latest event."
        )
    return round(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000)
