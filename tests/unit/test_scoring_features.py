"""Banded features and the head's, of accounts whose few events are written out here."""

from __future__ import annotations

import numpy as np
from support.journal import SMALL_POLICY, SMALL_RULES, START_MS, Happening, Source

from fraudgraph.durations import DAY_MS, HOUR_MS
from fraudgraph.events.kinds import EntityKind, EventType, Status
from fraudgraph.graph.hot import HotGraph
from fraudgraph.scoring.gnn.features import (
    BANDS,
    FEATURES,
    HEAD_FEATURES,
    count_band,
    head_features,
    ident_bands,
    user_bands,
    users_band,
)

DEVICE = (EntityKind.DEVICE, "d")


def graph_of(*events: Happening) -> HotGraph:
    graph = HotGraph(SMALL_POLICY, SMALL_RULES.limits)
    source = Source([("p0", event) for event in events])
    graph.apply(source.batch(0, len(events)), None, START_MS)
    return graph


def features_of(graph: HotGraph, name: str) -> dict[str, int]:
    bands = user_bands(graph, np.array([graph.user_table.id_of[name]], np.int32))[0]
    return dict(zip(FEATURES["user"], bands.tolist(), strict=True))


def order(number: int, ts_ms: int, amount_minor: int, status: Status) -> Happening:
    return Happening(
        f"o{number}", ts_ms, "ann", EventType.ORDER, (DEVICE,), None, amount_minor, 978, f"{number}", status
    )


def test_an_account_is_told_in_bands() -> None:
    graph = graph_of(
        Happening("s", START_MS, "ann", EventType.SIGNUP, (DEVICE, (EntityKind.CARD, "1"), (EntityKind.CARD, "2"))),
        *(order(i, START_MS + 2 * HOUR_MS, 1_000, Status.APPROVED) for i in range(3)),
        order(3, START_MS + 3 * DAY_MS, 90_000, Status.DECLINED),
        Happening("c", START_MS + 3 * DAY_MS, "ann", EventType.CHARGEBACK, order="0"),
    )
    told = features_of(graph, "ann")
    assert told == {
        "signed_up": 1,
        "orders": 3,  # 3-4
        "payments": 0,
        "declined": 1,
        "refunds": 0,
        "logins": 0,
        "referrals": 0,
        "transfers": 0,
        "spent": 3,  # 30.00, what was declined apart: from 16.00 on
        "active_days": 3,  # 3-4
        "first_spending": 2,  # within a day
        "devices": 1,
        "cards": 2,
    }


def test_no_count_leaves_its_bands() -> None:
    for name, bands in FEATURES["user"].items():
        if name != "spent":
            assert 0 <= count_band(name, 10**6) == bands - 1
    assert [count_band("logins", n) for n in (0, 1, 2, 3, 4, 5, 8, 9)] == [0, 1, 2, 3, 3, 4, 4, 5]
    assert [users_band(n) for n in (0, 1, 2, 3, 4, 5, 9, 17, 32, 33, 500)] == [0, 0, 1, 2, 2, 3, 4, 5, 5, 6, 6]
    assert all(max(bands) <= 16 for bands in BANDS.values()), "the feed packs a band into four bits"


def test_an_identifier_is_told_by_how_many_use_it() -> None:
    graph = graph_of(*(Happening(f"e{i}", START_MS, f"u{i}", EventType.LOGIN, (DEVICE,)) for i in range(5)))
    bands = ident_bands(graph, np.array([0], np.int32))[0]
    assert bands.tolist() == [3, *[0] * (len(FEATURES["user"]) - 1)]


def test_the_heads_features_are_read_as_of_a_moment() -> None:
    graph = graph_of(
        Happening("a", START_MS, "ann", EventType.LOGIN, (DEVICE,)),
        Happening("b", START_MS + 3 * DAY_MS, "ann", EventType.LOGIN, ((EntityKind.CARD, "1"),)),
    )
    ann = np.array([graph.user_table.id_of["ann"]], np.int32)
    soon, later = (head_features(graph, ann, START_MS + days * DAY_MS)[0] for days in (3, 9))
    assert len(soon) == len(HEAD_FEATURES)
    np.testing.assert_allclose(soon, np.log2([3.0, 3.0, 1.0, 4.0]), rtol=1e-6)
    np.testing.assert_allclose(later, np.log2([3.0, 2.0, 7.0, 10.0]), rtol=1e-6)
