"""A small shop's events, with gangs that are reported, for tests that train on a shop's own file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from fraudgraph.durations import DAY_MS

START = np.datetime64("2026-01-01T00:00:00", "ms")
DAYS = 240


def write_shop(path: Path) -> None:
    """Writes honest accounts with a device each, and every few days four that share one, and order.

    Their orders come back from the bank within 12 to 20 days.
    """
    rng = np.random.default_rng(5)
    rows: list[tuple[float, dict[str, str]]] = []

    def add(ms: float, kind: str, user: str, **fields: str) -> None:
        rows.append((ms, {"type": kind, "user_id": user, **fields}))

    for person in range(300):
        born = rng.uniform(0, DAYS) * DAY_MS
        add(born, "signup", f"h{person}", device_id=f"d{person}", email=f"h{person}@example.com")
        for visit in range(3):
            at = born + (visit + 1) * rng.uniform(1, 20) * DAY_MS
            add(at, "order", f"h{person}", device_id=f"d{person}", order_id=f"h{person}-{visit}", amount="20.00")
    for gang in range(0, DAYS, 5):
        for member in range(4):
            at, user = (gang + rng.uniform(0, 1)) * DAY_MS, f"f{gang}-{member}"
            add(at, "signup", user, device_id=f"gang{gang}")
            add(at + 3_600_000, "order", user, device_id=f"gang{gang}", order_id=user, amount="400.00")
            add(at + rng.uniform(12, 20) * DAY_MS, "chargeback", user, order_id=user)
    kept = sorted((row for row in rows if row[0] < DAYS * DAY_MS), key=lambda row: row[0])
    with path.open("w", encoding="utf-8") as file:
        for number, (ms, row) in enumerate(kept):
            currency = {"currency": "EUR"} if "amount" in row else {}
            stamp = f"{START + np.timedelta64(int(ms), 'ms')}Z"
            file.write(json.dumps({**row, **currency, "event_id": str(number), "ts": stamp}) + "\n")
