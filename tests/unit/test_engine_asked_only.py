"""An engine that is only asked makes the network for those alone whom it is asked about, and says the same of them."""

from __future__ import annotations

import numpy as np
import pytest
from support.journal import SMALL_POLICY, SMALL_RULES, START_MS, Happening, Source

from fraudgraph.durations import DAY_MS
from fraudgraph.engine import Engine
from fraudgraph.events.kinds import EntityKind, EventType
from fraudgraph.scoring.reasons import explain_user
from fraudgraph.testing.bundles import random_bundle
from fraudgraph.testing.fakes import FakeScorer

BUNDLE = random_bundle(SMALL_POLICY, 1)
USERS = 60


def source(seed: int) -> Source:
    """Returns 300 events: devices of four accounts, cards that wander, an address that is a hub or nearly one."""
    rng = np.random.default_rng(seed)
    events = []
    for place, moment in enumerate(np.sort(rng.integers(0, DAY_MS, 300)).tolist()):
        who = int(rng.integers(0, USERS))
        kind = (EventType.LOGIN, EventType.ORDER, EventType.TRANSFER)[int(rng.integers(0, 3))]
        wanders = int(rng.integers(0, 60)) if rng.random() < 0.05 else who
        links = (
            (EntityKind.DEVICE, f"{who // 4}"),
            (EntityKind.CARD, f"{wanders}"),
            *([(EntityKind.ADDRESS, "home")] if who < 12 else []),
        )
        to = f"u{(who + int(rng.integers(1, 4))) % USERS}" if kind is EventType.TRANSFER else None
        events.append(
            Happening(f"e{place}", START_MS + moment, f"u{who}", kind, links, other=to, amount_minor=500, currency=978)
        )
    return Source([("p0", event) for event in events])


def engines(seed: int) -> tuple[Engine, Engine]:
    """Returns one that was fed, and one that is only asked."""
    fed = Engine(SMALL_POLICY, SMALL_RULES, FakeScorer(), bundle=BUNDLE)
    events = source(seed)
    for at in range(0, 290, 10):
        fed.apply(events.batch(at, at + 10))
    asked = Engine(SMALL_POLICY, SMALL_RULES, FakeScorer(), bundle=BUNDLE)
    asked.restore(fed.export(), asked_only=True)
    return fed, asked


@pytest.mark.parametrize("seed", [0, 1, 2, 5])  # 5 has a component on which igraph's own stop rule never ends
def test_scores_and_reasons_are_those_of_the_whole_network(seed: int) -> None:
    fed, asked = engines(seed)
    assert fed.serving.live is not None
    smaller = 0
    for name, user in fed.graph.user_table.id_of.items():
        here = asked.graph.user_table.id_of[name]
        asked.serving.look_at(asked.graph, np.array([here], np.int32))
        assert asked.serving.live is not None
        told = explain_user(asked.serving.live, asked.graph, here, fed.watermark_ms)
        expected = explain_user(fed.serving.live, fed.graph, user, fed.watermark_ms)
        assert told.log_odds == pytest.approx(expected.log_odds, abs=1e-4)
        parts, wanted = ({(p.kind, p.other, p.name): p.log_odds for p in of.parts} for of in (told, expected))
        for part in parts.keys() | wanted.keys():
            assert parts.get(part, 0.0) == pytest.approx(wanted.get(part, 0.0), abs=1e-4)
        smaller += asked.serving.live.figures().links < fed.serving.live.figures().links
    assert smaller > 0
