"""A small shop with gangs, as event lines: enough to split by time, and small enough to replay in a moment."""

from __future__ import annotations

import json

import numpy as np

from fraudgraph.durations import DAY_MS, HOUR_MS

START = np.datetime64("2026-01-01T00:00:00", "ms")
DAYS = 240


def shop_with_gangs(seed: int, *, people: int = 220, days: int = DAYS, every_days: int = 5) -> list[bytes]:
    """Returns honest accounts with a device each, some in households, and every few days a gang of four, in order.

    Every week a flat of four honest people does what gangs do, but for the chargebacks. What gangs order comes back
    from the bank within 12 to 20 days, for one in eleven within 45 to 90.
    """
    rng = np.random.default_rng([seed, 0x5A])
    rows: list[tuple[float, dict[str, str]]] = []

    def add(ms: float, kind: str, user: str, **fields: str) -> None:
        rows.append((ms, {"type": kind, "user_id": user, **fields}))

    for person in range(people):
        born, device = rng.uniform(0, days) * DAY_MS, f"d{person // 2 if rng.random() < 0.2 else person}"
        add(born, "signup", f"h{person}", device_id=device, email=f"h{person}@example.com")
        for visit in range(3):
            at = born + (visit + 1) * rng.uniform(1, 20) * DAY_MS
            add(at, "order", f"h{person}", device_id=device, order_id=f"h{person}-{visit}", amount="20.00")
    for kind, every, device in (("f", every_days, "gang"), ("w", 7, "flat")):
        for start in range(0, days, every):
            for member in range(4):
                at, user = (start + rng.uniform(0, 1)) * DAY_MS, f"{kind}{start}-{member}"
                spent = f"{rng.uniform(15, 90):.2f}"
                late = rng.uniform(45, 90) if rng.random() < 0.09 else rng.uniform(12, 20)
                add(at, "signup", user, device_id=f"{device}{start}")
                add(at + HOUR_MS, "order", user, device_id=f"{device}{start}", order_id=user, amount=spent)
                if kind == "f":
                    add(at + late * DAY_MS, "chargeback", user, order_id=user)
    kept = sorted((row for row in rows if row[0] < days * DAY_MS), key=lambda row: row[0])
    return [_line(number, ms, row) for number, (ms, row) in enumerate(kept)]


def _line(number: int, ms: float, row: dict[str, str]) -> bytes:
    currency = {"currency": "EUR"} if "amount" in row else {}
    stamp = f"{START + np.timedelta64(int(ms), 'ms')}Z"
    return json.dumps({**row, **currency, "event_id": str(number), "ts": stamp}).encode()
