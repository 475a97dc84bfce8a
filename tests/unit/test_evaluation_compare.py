"""Budgets, money, rings and the gate on hand-made streams: what counts, what is left out, when the answer is no."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from fraudgraph.durations import DAY_MS
from tests.support.slices import slice_of
from training.evaluation.compare import (
    AVERAGE_PRECISION,
    RING_DELAY,
    RING_PURITY,
    RING_RECALL,
    RING_SOON,
    Comparison,
    at_budget,
    compare,
    compare_streams,
)
from training.evaluation.figures import RINGS
from training.evaluation.gate import goal, verdict
from training.evaluation.learn import NETWORK, STRUCTURAL, TREES_A, TREES_C_RINGS
from training.evaluation.observe import Losses, Model, Observed
from training.evaluation.tables import tables
from training.gnn.measure import Groups, Said
from training.labels import NEGATIVE, POSITIVE, UNKNOWN
from training.ring_truth import TrueRing, Truth

DAY = DAY_MS


def says(users: Sequence[float], rings: Sequence[float] = ()) -> Model:
    return lambda piece: Said(np.array(users[: len(piece.users)], np.float64), np.array(rings, np.float64))


def test_a_budget_alerts_nobody_twice_and_victims_use_it_up() -> None:
    fraud = [NEGATIVE, UNKNOWN, POSITIVE, POSITIVE, NEGATIVE]
    found = compare({"m": says([5, 4, 3, 2, 1])}, [slice_of(1, fraud), slice_of(2, fraud)], budgets=(1, 2), resamples=5)
    assert found.of(at_budget("precision", 1), "m").value == 0.0  # u0, then the victim, who counts for nothing
    assert found.of(at_budget("recall", 1), "m").value == 0.0
    assert found.of(at_budget("precision", 2), "m").value == pytest.approx(2 / 3)  # u0, u1, then u2, u3
    assert found.of(at_budget("recall", 2), "m").value == 1.0


def test_who_was_reported_before_is_no_find() -> None:
    fraud = [POSITIVE, POSITIVE, NEGATIVE]
    pieces = [slice_of(1, fraud, known=[POSITIVE, UNKNOWN, UNKNOWN])]
    found = compare({"m": says([3, 2, 1])}, pieces, budgets=(1,), resamples=5)
    assert found.of(at_budget("precision", 1), "m").value == 1.0  # u1: u0 is alerted no more
    assert found.counts.frauds == 1
    assert found.of(AVERAGE_PRECISION, "m").value == 1.0


def test_a_budget_is_of_days_and_not_of_readings() -> None:
    fraud = [POSITIVE] * 8 + [NEGATIVE]
    found = compare({"m": says(range(9, 0, -1))}, [slice_of(2, fraud), slice_of(5, fraud)], budgets=(1,), resamples=5)
    assert found.of(at_budget("recall", 1), "m").value == pytest.approx(6 / 8)


def test_money_is_stopped_after_the_alert_and_found_before_it_too() -> None:
    fraud = [POSITIVE, POSITIVE]
    losses = Losses(
        ["u0", "u0", "u0", "u1", "u1", "stranger"],
        (np.array([0.5, 1.5, 2.5, 1.5, 3.5, 1.5]) * DAY).astype(np.int64),
        np.array([1_000, 100, 10, 5, 9_999, 77]),
    )
    found = compare(
        {"m": says([1, 2])}, [slice_of(d, fraud) for d in (1, 2, 3)], losses=losses, budgets=(1,), resamples=5
    )
    # u1 is alerted on day 1, u0 on day 2; what moved before day 1 or after day 3 is left out, and 115 remain.
    assert found.of(at_budget("money stopped", 1), "m").value == pytest.approx((5 + 10) / 115)
    assert found.of(at_budget("money found", 1), "m").value == 1.0


def test_money_that_moves_after_an_account_was_reported_is_nobodys_catch() -> None:
    pieces = [slice_of(1, [POSITIVE] * 2), slice_of(2, [POSITIVE] * 2, known=[POSITIVE, UNKNOWN]), slice_of(3, [1, 1])]
    losses = Losses(["u0", "u0", "u1"], np.array([3 * DAY // 2, 5 * DAY // 2, 5 * DAY // 2]), np.array([40, 500, 60]))
    found = compare({"m": says([0, 1])}, pieces, losses=losses, budgets=(1,), resamples=5)
    assert found.of(at_budget("money stopped", 1), "m").value == pytest.approx(0.6)


MEMBERS = [{"u0", "u1", "u2"}, {"u3", "u4", "u5"}]
TRUTH = Truth(
    [
        TrueRing("fake_accounts", frozenset(MEMBERS[0]), frozenset(), 3 * DAY),
        TrueRing("return_scam", frozenset(MEMBERS[1]), frozenset(), 1 * DAY),
        TrueRing("return_scam", frozenset({"u8", "u9"}), frozenset(), None),
    ],
    12,
)
RING_FRAUD = [POSITIVE] * 6 + [NEGATIVE] * 6
TEAMS = ([0, 1, 2], [3, 4, 5], [6, 7, 8])


def rings_of(scores: Sequence[float]) -> Comparison:
    pieces = [slice_of(2, RING_FRAUD), *(slice_of(day, RING_FRAUD, teams=TEAMS) for day in (5, 9))]
    model: Model = lambda piece: Said(np.zeros(12), np.array(scores[: len(piece.rings)], np.float64))  # noqa: E731
    return compare({"m": model}, pieces, truth=TRUTH, resamples=5)


def test_rings_are_found_as_long_as_nine_in_ten_people_belong_there() -> None:
    best = rings_of([3, 2, 1])
    assert best.of(RING_RECALL, "m", level=RINGS).value == 1.0  # the third is never seen linked
    assert best.of(RING_PURITY, "m", level=RINGS).value == 1.0
    assert best.of(AVERAGE_PRECISION, "m", level=RINGS).value == 1.0
    half = rings_of([3, 1, 2])  # the honest group stands between
    assert half.of(RING_RECALL, "m", level=RINGS).value == 0.5
    assert half.of(RING_RECALL, "m", level=RINGS, part="typology: return_scam").value == 0.0
    assert rings_of([1, 2, 3]).of(RING_RECALL, "m", level=RINGS).value == 0.0


def test_delay_counts_from_the_third_linked_account_for_rings_that_began_since() -> None:
    # Linked on day 3, read on day 5; the other one was linked before the first reading.
    found = rings_of([3, 2, 1])
    assert found.of(RING_DELAY, "m", level=RINGS).value == pytest.approx(2.0)
    assert found.of(RING_SOON, "m", level=RINGS).value == 1.0
    assert np.isnan(rings_of([1, 2, 3]).of(RING_DELAY, "m", level=RINGS).value)
    assert rings_of([1, 2, 3]).of(RING_SOON, "m", level=RINGS).value == 0.0


def test_groups_that_a_detector_finds_itself_are_judged_in_place_of_the_rings() -> None:
    groups = Groups([np.array([0, 1, 2], np.int32)], np.array([1.0]))
    own: Model = lambda piece: Said(np.zeros(12), np.zeros(len(piece.rings)), groups)  # noqa: E731
    found = compare({"m": own}, [slice_of(5, RING_FRAUD, teams=TEAMS)], truth=TRUTH, resamples=5)
    assert found.of(RING_RECALL, "m", level=RINGS).value == 0.5
    with pytest.raises(KeyError):
        found.of(AVERAGE_PRECISION, "m", level=RINGS)


def test_accounts_of_one_ring_are_resampled_together() -> None:
    found = compare({"m": says(range(12))}, [slice_of(5, RING_FRAUD, teams=TEAMS)], resamples=5)
    assert (found.counts.units, found.counts.resampled) == (3 + 3, "components")


def stream(seed: int) -> Observed:
    rng = np.random.default_rng(seed)
    return Observed([slice_of(1, (rng.random(300) < 0.1).astype(int).tolist())], None, None)


def noisy(strength: float, seed: int) -> Model:
    rng = np.random.default_rng(seed)
    return lambda piece: Said(strength * (piece.is_fraud == POSITIVE) + rng.normal(size=300), np.empty(0))


def compared(network: float, trees: float, structural: float = 0.0) -> Comparison:
    models = {NETWORK: noisy(network, 1), TREES_C_RINGS: noisy(trees, 2), STRUCTURAL: noisy(structural, 3)}
    return compare_streams(models, [stream(seed) for seed in range(8)], resamples=200)


def test_the_gate_says_yes_only_beyond_the_interval() -> None:
    assert verdict({"shops": compared(3.0, 1.0)}, ["shops"]).passed
    close = verdict({"shops": compared(1.8, 2.0)}, ["shops"])
    assert not close.passed
    assert f"on shops it does not beat {TREES_C_RINGS}" in close.words
    worse = verdict({"shops": compared(0.5, 3.0)}, ["shops"])
    assert not worse.passed and worse.ships == TREES_C_RINGS
    assert f"{TREES_C_RINGS} should" in worse.words


def test_the_gate_says_no_where_something_was_not_measured() -> None:
    found = verdict({"shops": compared(3.0, 1.0)}, ["shops", "planted rings"])
    assert not found.passed
    assert "planted rings was not measured" in found.words


def test_the_gate_says_no_where_one_of_two_is_lost() -> None:
    parts = {"shops": compared(3.0, 1.0), "payments": compared(1.0, 3.0)}
    found = verdict(parts, parts)
    assert not found.passed and "payments" in found.words and "on shops" not in found.words


def test_the_goal_is_money_over_trees_without_a_graph() -> None:
    losses = Losses(["u0", "u1"], np.array([3 * DAY // 2] * 2), np.array([100, 80]))
    pieces = [slice_of(1, [1, 1] + [0] * 998), slice_of(2, [1, 1] + [0] * 998)]
    ours, trees = says([2.0] + [0.0] * 999), says([0.0, 2.0] + [1.0] * 998)
    found = compare({STRUCTURAL: ours, TREES_A: trees}, pieces, losses=losses, budgets=(100,), resamples=5)
    more = goal(found)
    assert more is not None and more.value == pytest.approx(1.25)  # 180 beside 80
    assert goal(compare({STRUCTURAL: ours, TREES_A: trees}, pieces, resamples=5)) is None


def test_tables_show_what_was_measured_and_nothing_else() -> None:
    titles = [table.title for table in tables(compared(3.0, 1.0), (10,))]
    assert titles[0] == "Main figures" and f"Over {TREES_C_RINGS}, in the same resamples" in titles
    assert not any("Money" in title or title == "Rings" for title in titles)
