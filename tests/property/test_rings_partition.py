"""A component above the limit is always cut to it: by communities, and where there are none, at what crowds share."""

from __future__ import annotations

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudgraph.engine import Engine, EngineRules
from fraudgraph.events.decoder import Decoder
from fraudgraph.events.pseudonyms import Pseudonymiser
from fraudgraph.events.vault import Vault
from fraudgraph.graph.policy import LinkPolicy
from fraudgraph.rings.partition import partition
from fraudgraph.scoring.structural import StructuralScorer
from fraudgraph.streams.port import RawBatch

LIMIT = 6
NOW_MS = 1_767_225_600_000

uses = st.lists(st.tuples(st.integers(0, 13), st.sampled_from("abcdef")), min_size=1, max_size=40)


def engine_with(pairs: list[tuple[int, str]]) -> Engine:
    """Returns an engine that saw each user log in with each device."""
    engine = Engine(LinkPolicy(), EngineRules(max_users=LIMIT), StructuralScorer())
    values = [
        msgspec.json.encode(
            {"type": "login", "event_id": f"e{i}", "ts": "2026-01-01T00:00:00Z", "user_id": f"u{u:02}", "device_id": d}
        )
        for i, (u, d) in enumerate(pairs)
    ]
    offsets = list(range(len(values)))
    raw = RawBatch(values, ["p"], [0] * len(values), offsets, [at + 1 for at in offsets])
    decoder = Decoder(Pseudonymiser(bytes(32)), Vault(bytes(32)), default_region=None, default_currency=None)
    engine.apply(decoder.decode(raw))
    return engine


def rings_of(engine: Engine) -> list[list[str]]:
    key_of = engine.graph.user_table.key_of
    return sorted(sorted(key_of[user] or "" for user in team.tolist()) for team in engine.register.members.values())


def test_a_crowd_on_one_device_is_no_ring_and_hides_none() -> None:
    crowd = [(user, "kiosk") for user in range(12)]
    ring = [(user, "farm") for user in (3, 4, 5)]
    assert rings_of(engine_with(crowd)) == []
    assert rings_of(engine_with(crowd + ring)) == [["u03", "u04", "u05"]]


@settings(max_examples=60, deadline=None)
@given(uses)
def test_no_part_exceeds_the_limit_and_nobody_is_lost(pairs: list[tuple[int, str]]) -> None:
    engine = engine_with(pairs)
    assert max(map(len, engine.register.members.values()), default=0) <= LIMIT
    everybody = sorted(engine.graph.user_table.id_of.values())
    parts = partition(engine.graph, np.array(everybody, np.int32), NOW_MS, LIMIT)
    assert sorted(user for part in parts for user in part.tolist()) == everybody
    assert all(len(part) <= LIMIT for part in parts)
