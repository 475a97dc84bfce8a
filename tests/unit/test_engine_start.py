"""When a stream began decides what looks new in it: one stray old event must not move that."""

from __future__ import annotations

import json

import pytest

from fraudgraph.durations import DAY_MS
from fraudgraph.engine import Engine, EngineRules
from fraudgraph.events.decoder import Decoder
from fraudgraph.events.keys import load_key
from fraudgraph.events.pseudonyms import Pseudonymiser
from fraudgraph.events.vault import Vault
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.streams.port import RawBatch
from fraudgraph.testing.fakes import FakeScorer

START_MS = 1_767_225_600_000  # 2026-01-01
KEYS, _ = load_key({"FRAUDGRAPH_KEY": "11" * 32}, None)
GOOD = [f"2026-01-0{day}T12:00:00Z" for day in range(1, 8)]


def began_ms(*cuts: list[str], backfilled: str | None = None) -> int:
    """Feeds logins at these times, a batch per list, and returns when the engine says that the stream began."""
    decoder = Decoder(Pseudonymiser(KEYS.pseudonyms), Vault(KEYS.vault), default_region=None, default_currency=None)
    engine = Engine(LinkPolicy(), EngineRules(), FakeScorer())
    at = 0
    for times in cuts:
        engine.apply(decoder.decode(raw(times, at)))
        at += len(times)
    if backfilled is not None:
        engine.apply(decoder.decode(raw([backfilled], at)), backfill=True)
    return engine.watch.links_ms - EngineRules().warmup_days * DAY_MS


def raw(times: list[str], at: int) -> RawBatch:
    """A batch of logins at these times."""
    values = [
        json.dumps({"type": "login", "event_id": f"e{at + i}", "ts": ts, "user_id": f"u{i}"}).encode()
        for i, ts in enumerate(times)
    ]
    offsets = list(range(at, at + len(times)))
    return RawBatch(values, ["p"], [0] * len(times), offsets, [offset + 1 for offset in offsets])


@pytest.mark.parametrize("cut", range(1, len(GOOD)))
def test_the_first_event_begins_it_however_the_stream_is_cut(cut: int) -> None:
    assert began_ms(GOOD[:cut], GOOD[cut:]) == START_MS + DAY_MS // 2


@pytest.mark.parametrize("cut", range(1, len(GOOD)))
def test_a_stray_event_of_long_ago_before_all_others_is_no_beginning(cut: int) -> None:
    stray = ["1971-01-01T00:00:00Z", *GOOD]
    assert began_ms(stray[:cut], stray[cut:]) == START_MS + DAY_MS // 2


def test_an_event_of_long_ago_that_is_replayed_is_no_beginning() -> None:
    assert began_ms(GOOD, backfilled="1971-01-01T00:00:00Z") == START_MS + DAY_MS // 2


def test_events_out_of_order_move_it_back() -> None:
    assert began_ms(["2026-01-01T12:30:00Z", "2026-01-01T12:10:00Z", "2026-01-01T13:00:00Z", *GOOD[1:]]) == (
        START_MS + DAY_MS // 2 + 600_000
    )
