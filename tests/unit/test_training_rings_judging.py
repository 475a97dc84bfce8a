"""Found groups beside true rings: what counts as found, as false, and how precise a ranking is at a recall."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fraudgraph.events.kinds import EntityKind
from training.ring_figures import Curve, median, point, precision_at, precision_gain, ratio
from training.ring_truth import TrueRing, Truth, linked_ms
from training.ring_watch import calls_of
from training.rivals import COMPONENTS, LOUVAIN, LinkTable, Rival, first_found, teams

RING = TrueRing("promo_abuse", frozenset("abcd"), frozenset(), 10)
TAKEOVER = TrueRing("account_takeover", frozenset("mn"), frozenset("vwxyz"), 20)
TRUTH = Truth([RING, TAKEOVER], users=10_011)


def test_half_of_the_union_is_a_ring_found() -> None:
    assert TRUTH.judge("ab").is_right
    assert TRUTH.judge("abcdpqrs").is_right
    assert not TRUTH.judge("abcdpqrst").is_right
    assert not TRUTH.judge("a").is_right


def test_victims_count_neither_for_nor_against() -> None:
    assert TRUTH.judge("mn").jaccard == TRUTH.judge("mnvwxyz").jaccard == 1.0
    assert TRUTH.judge("mnvw").jaccard_all == pytest.approx(4 / 7)
    assert TRUTH.judge("vwxyz").jaccard == 0.0
    assert not TRUTH.judge("vwxyz").is_false, "they all belong to that ring"


def test_false_is_when_most_belong_to_no_one_ring() -> None:
    assert TRUTH.judge("pqr").is_false
    assert TRUTH.judge("apq").is_false
    assert not TRUTH.judge("abpq").is_false
    assert TRUTH.honest == 10_000


def test_three_accounts_hang_together_through_different_things() -> None:
    assert linked_ms([(1, "a", "d1"), (2, "b", "d1"), (3, "c", "d2"), (4, "b", "d2")]) == 4
    assert linked_ms([(4, "b", "d2"), (3, "c", "d2"), (2, "b", "d1"), (1, "a", "d1")]) == 4, "in any order"
    assert linked_ms([(1, "a", "d1"), (2, "b", "d1"), (3, "c", "d2"), (4, "d", "d2")]) is None
    assert linked_ms([(1, "a", "d1"), (2, "b", "d1"), (3, "b", "d1"), (4, "a", "d2")]) is None, "two are no three"


def test_figures_of_called_groups() -> None:
    calls = calls_of(["abcd", "mnvwxyz", "pqr", "ab"], [0.9, 0.8, 0.7, 0.1], TRUTH)
    at = point([calls], [TRUTH], 0.5)
    assert at.recall.value == 1.0
    assert at.precision.value == pytest.approx(2 / 3)
    assert at.purity.value == pytest.approx(11 / 14)
    assert at.false_rings.value == pytest.approx(1.0)


def test_precision_at_equal_recall() -> None:
    ours = Curve([calls_of(["abcd", "pqr", "mn"], [0.9, 0.8, 0.7], TRUTH)], [TRUTH])
    rival = Curve([calls_of(["pqr", "abcd", "qrs"], [5.0, 5.0, 3.0], TRUTH)], [TRUTH])
    assert precision_at([ours], 0.5, 1).value == 1.0
    assert precision_at([ours], 0.6, 1).value == pytest.approx(2 / 3)
    assert precision_at([rival], 0.5, 1).value == 0.5, "groups of one score are called together"
    assert math.isnan(precision_at([rival], 0.6, 1).value)
    assert precision_at([rival, ours], 0.6, 1).value == pytest.approx(2 / 3), "the best of several"
    assert precision_gain(ours, [rival], 0.5, 1).value == 0.5
    assert rival.best_f1() == (0.5, 5.0)


def test_the_same_ring_found_twice_is_one_ring() -> None:
    twice = Curve([calls_of(["ab", "cd", "mn"], [0.9, 0.8, 0.7], TRUTH)], [TRUTH])
    assert twice.points(np.ones(1))[0].tolist() == [0.5, 0.5, 1.0]


def test_intervals_hold_the_figure_and_follow_the_worlds() -> None:
    same, apart = ratio([1, 1, 1, 1], [2, 2, 2, 2]), ratio([0, 2, 0, 2], [2, 2, 2, 2])
    assert (same.value, same.low, same.high) == (0.5, 0.5, 0.5)
    assert apart.low < apart.value == 0.5 < apart.high
    assert median([[1.0, 2.0], [9.0]]).value == 2.0
    assert math.isnan(median([[], []]).value)


def links(pairs: list[tuple[str, str, str]]) -> LinkTable:
    names = sorted({user for user, _, _ in pairs})
    things = sorted({thing for _, _, thing in pairs})
    return LinkTable(
        names,
        np.array([names.index(user) for user, _, _ in pairs], np.int32),
        np.array([things.index(thing) for _, _, thing in pairs], np.int32),
        np.array([EntityKind[kind.upper()] for _, kind, _ in pairs], np.uint8),
        np.arange(len(pairs), dtype=np.int64),
    )


def groups(rival: Rival, table: LinkTable) -> list[str]:
    return ["".join(team) for team in teams(table.names, rival.groups(table))]


def test_components_leave_out_what_too_many_use() -> None:
    table = links([(user, "device", "kiosk") for user in "abcdefghijk"] + [(user, "card", "k") for user in "bcd"])
    assert groups(COMPONENTS[0], table) == ["bcd"]
    assert groups(Rival("wide", ("device", "card"), 11, False), table) == ["abcdefghijk"]
    assert groups(Rival("cards", ("card",), 11, False), table) == ["bcd"]


def test_louvain_parts_what_hangs_by_a_thread() -> None:
    crowds = [(user, "device", d) for d in ("d1", "d2", "d3", "d4") for user in "abcdef"]
    crowds += [(user, "device", d) for d in ("d5", "d6", "d7", "d8") for user in "ghijkl"]
    table = links([*crowds, ("a", "card", "k"), ("g", "card", "k")])
    assert groups(COMPONENTS[0], table) == ["abcdefghijkl"]
    assert groups(LOUVAIN[0], table) == ["abcdef", "ghijkl"]


def test_a_rival_finds_a_ring_when_its_links_are_there() -> None:
    table = links([("a", "device", "d"), ("b", "device", "d"), ("p", "device", "d"), ("c", "device", "d")])
    assert first_found(COMPONENTS[0], 3, table, TRUTH, [1, 2, 3]) == {0: 3}
    assert first_found(COMPONENTS[0], 5, table, TRUTH, [1, 2, 3]) == {}
