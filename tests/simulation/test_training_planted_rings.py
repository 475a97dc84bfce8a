"""Rings in a real background: nothing of the background is lost, and what is planted is as the simulator drew it."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import msgspec
import numpy as np
import pytest

from fraudgraph.durations import DAY_MS
from training.planted import DAYS, Background, background_of, load_background, plant

DATA = Path(__file__).parents[3] / "shared" / "data" / "p2p"
START_MS = 1_500_000_000_000 // DAY_MS * DAY_MS


def stamp(ms: int) -> str:
    return f"{np.datetime64(ms, 'ms')}Z"


@pytest.fixture(scope="module")
def background() -> Background:
    """200 users over 300 days, each with a card and a device; every tenth card is shared with the next user."""
    events = []
    for user in range(200):
        day = START_MS + user * DAY_MS * 3 // 2
        card = user - 1 if user % 10 == 1 else user
        events.append((day, {"type": "login", "user_id": f"{user}", "card": f"card-{card}"}))
        device = user // 3 if user % 7 == 0 else user
        events.append((day, {"type": "login", "user_id": f"{user}", "device_id": f"d{device}"}))
        sent = {"type": "transfer", "user_id": f"{user}", "to_user_id": "7", "amount": "5.00", "currency": "USD"}
        events.append((day + 5, sent))
    events.append((START_MS + 299 * DAY_MS, {"type": "chargeback", "user_id": "3"}))
    events.sort(key=lambda event: event[0])
    return background_of(
        [msgspec.json.encode({"event_id": str(i), "ts": stamp(ts), **event}) for i, (ts, event) in enumerate(events)]
    )


def test_chargebacks_are_known_but_not_in_the_stream(background: Background) -> None:
    assert background.fraud == {"3"}
    assert not any(b"chargeback" in line for _, line in background.lines)


def test_planting_adds_and_takes_nothing_away(background: Background) -> None:
    lines, truth = plant(background, seed=5, members=60)
    assert lines == plant(background, seed=5, members=60)[0]
    assert lines != plant(background, seed=6, members=60)[0]
    assert lines == sorted(lines, key=lambda line: line[0])
    assert set(background.lines) <= set(lines)
    planted = [msgspec.json.decode(line) for _, line in set(lines) - set(background.lines)]
    assert {event["type"] for event in planted} == {"login", "transfer"}
    times = [ts for ts, _ in set(lines) - set(background.lines)]
    assert background.end_ms - DAYS * DAY_MS <= min(times) <= max(times) < background.end_ms
    assert truth.honest == len(background.first_ms) - sum(len(ring.victims) for ring in truth.rings)


def test_members_share_and_victims_are_real(background: Background) -> None:
    lines, truth = plant(background, seed=5, members=60)
    users_of: dict[str, set[str]] = defaultdict(set)
    for _, line in lines:
        event = msgspec.json.decode(line)
        for field in ("card", "device_id"):
            if field in event:
                users_of[event[field]].add(event["user_id"])
    shown = [ring for ring in truth.rings if ring.linked_ms is not None]
    assert len(shown) >= len(truth.rings) / 2
    for ring in shown:
        everybody = ring.members | ring.victims
        assert any(len(users & everybody) >= 2 for users in users_of.values())
    victims = {user for ring in truth.rings for user in ring.victims}
    assert victims and victims <= set(background.first_ms) - background.fraud
    real = {thing for thing in users_of if not thing.startswith("planted")}
    accounts = {user for ring in truth.rings for user in ring.members}
    assert any(users_of[thing] & accounts for thing in real), "some share with the background, as real users do"


@pytest.mark.real_data
@pytest.mark.skipif(not DATA.is_dir(), reason="the real data is not there (../shared/data)")
def test_the_real_background() -> None:
    background = load_background(DATA)
    assert (len(background.first_ms), len(background.fraud)) == (33_315, 168)
    assert len(background.lines) == 98_826 + 41_806 + 74_345
