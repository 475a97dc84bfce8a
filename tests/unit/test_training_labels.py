"""The label clock: nothing that had not arrived, nothing known before, and no clean account that is only young."""

from __future__ import annotations

import numpy as np
import pytest

from fraudgraph.durations import DAY_MS
from fraudgraph.errors import UsageError
from fraudgraph.streams.port import RawBatch
from training.labels import NEGATIVE, OTHER_WEIGHT, POSITIVE, UNKNOWN, Label, LabelLog, maturity_ms
from training.replay import passing_decoder
from training.splits import by_time, components, disjoint


def label(user: str, about: float, arrived: float, *, fraud: bool = True, source: str = "analyst") -> Label:
    key = f"{user} {about} {arrived} {fraud}".encode()
    return Label(user, fraud, int(about * DAY_MS), int(arrived * DAY_MS), source, key)


def log_of(*labels: Label) -> LabelLog:
    return LabelLog({each.key: each for each in labels})


def at_cut(log: LabelLog, users: list[str], last: list[float], *, label_cut: float = 100) -> tuple[list, list]:
    """Returns targets and weights at day 50, horizon 10 days, maturity 20 days."""
    targets = log.targets(
        users,
        (np.array(last) * DAY_MS).astype(np.int64),
        cut_ms=50 * DAY_MS,
        horizon_ms=10 * DAY_MS,
        label_cut_ms=int(label_cut * DAY_MS),
        maturity_ms=20 * DAY_MS,
    )
    return targets.target.tolist(), targets.weight.tolist()


def test_a_label_counts_from_its_arrival() -> None:
    log = log_of(label("a", about=45, arrived=90))
    assert at_cut(log, ["a"], [48])[0] == [POSITIVE]
    assert at_cut(log, ["a"], [48], label_cut=89)[0] == [NEGATIVE], "it had not arrived, and 20 days had passed"
    assert at_cut(log, ["a"], [48], label_cut=60)[0] == [UNKNOWN], "nor had 20 days"
    late = log_of(label("a", about=45, arrived=59))
    assert at_cut(late, ["a"], [48], label_cut=60)[0] == [UNKNOWN], "reported early, among others who cannot be yet"


def test_what_was_known_at_the_cut_teaches_nothing() -> None:
    log = log_of(label("a", about=40, arrived=49), label("a", about=52, arrived=60))
    assert at_cut(log, ["a"], [48]) == ([UNKNOWN], [0.0])


def test_acts_after_the_horizon_are_another_matter() -> None:
    log = log_of(label("in", about=60, arrived=70), label("after", about=61, arrived=70))
    assert at_cut(log, ["in", "after"], [99, 99])[0] == [POSITIVE, NEGATIVE]


def test_a_young_account_is_censored_and_an_old_silent_one_is_clean() -> None:
    log = log_of()
    assert at_cut(log, ["silent", "busy"], [30, 99], label_cut=75)[0] == [NEGATIVE, UNKNOWN]
    assert at_cut(log, ["silent", "busy"], [30, 99], label_cut=80)[0] == [NEGATIVE, NEGATIVE]


def test_the_latest_word_counts_with_the_weight_of_its_source() -> None:
    log = log_of(
        label("a", about=51, arrived=60, source="chargeback"),
        label("a", about=51, arrived=85, fraud=False),
        label("b", about=51, arrived=60, source="rule-7"),
    )
    assert at_cut(log, ["a", "b"], [55, 55]) == ([NEGATIVE, POSITIVE], [1.0, OTHER_WEIGHT])
    assert at_cut(log, ["a", "b"], [55, 55], label_cut=84)[0] == [POSITIVE, POSITIVE]


def test_a_superseded_label_counts_until_the_other_arrives() -> None:
    first = label("a", about=51, arrived=60)
    second = Label("a", False, 51 * DAY_MS, 70 * DAY_MS, "analyst", b"second", supersedes=first.key)
    log = log_of(first, second)
    assert log.known(69 * DAY_MS)["a"].fraud
    assert not log.known(70 * DAY_MS)["a"].fraud
    assert set(log.known(59 * DAY_MS)) == set()


def test_maturity_is_not_fooled_by_reports_that_have_yet_to_come() -> None:
    rng = np.random.default_rng(0)
    about = rng.uniform(0, 100, 20_000)
    delay = rng.exponential(20, 20_000)
    labels = [label(f"u{i}", a, a + d) for i, (a, d) in enumerate(zip(about, delay, strict=True))]
    true_days = 20 * np.log(10)
    seen = [d for a, d in zip(about, delay, strict=True) if a + d <= 100]
    assert np.quantile(seen, 0.9) < 0.9 * true_days, "the plain quantile of what arrived is too short"
    estimated = maturity_ms(labels, 100 * DAY_MS) / DAY_MS
    assert estimated == pytest.approx(true_days, rel=0.1)


def test_without_a_report_nothing_matures() -> None:
    assert maturity_ms([], 100) == -1
    assert maturity_ms([label("a", about=1, arrived=5)], 4 * DAY_MS) == -1


def test_chargebacks_are_about_their_order_and_the_account_that_ordered() -> None:
    lines = [
        b'{"type":"order","event_id":"1","ts":"2026-01-01T00:00:00Z","user_id":"u1","order_id":"o1","amount":"1.00","currency":"EUR"}',
        b'{"type":"chargeback","event_id":"2","ts":"2026-02-01T00:00:00Z","user_id":"u1","order_id":"o1"}',
        b'{"type":"chargeback","event_id":"3","ts":"2026-02-02T00:00:00Z","user_id":"u2","order_id":"unseen"}',
        b'{"type":"label","event_id":"4","ts":"2026-02-03T00:00:00Z","target":"order:o1","value":"legitimate",'
        b'"about_ts":"2026-01-01T00:00:00Z","arrived_ts":"2026-02-03T00:00:00Z","source":"analyst"}',
    ]
    log = LabelLog()
    for at, line in enumerate(lines):
        log.take(passing_decoder().decode(RawBatch([line], ["p"], [0], [at], [at + 1])))
    told = sorted(log.labels.values(), key=lambda each: each.arrived_ms)
    days = [(each.user, each.fraud, (each.arrived_ms - each.about_ms) // DAY_MS, each.source) for each in told]
    assert days == [("u1", True, 31, "chargeback"), ("u2", True, 0, "chargeback"), ("u1", False, 33, "analyst")]


def test_a_split_by_time_shows_no_role_what_a_later_one_is_judged_by() -> None:
    horizon, maturity = 7 * DAY_MS, 23 * DAY_MS
    split = by_time(0, 120 * DAY_MS, fit_cuts=3, horizon_ms=horizon, maturity_ms=maturity)
    assert len(split.fit) == 3
    assert all(cut.label_cut_ms <= split.stop.cut_ms for cut in split.fit)
    assert split.stop.label_cut_ms <= split.calibrate.cut_ms
    assert split.calibrate.label_cut_ms == 120 * DAY_MS
    for cut in (*split.fit, split.stop, split.calibrate):
        assert cut.cut_ms + horizon + maturity <= cut.label_cut_ms, "everybody is mature"
    with pytest.raises(UsageError, match="too short"):
        by_time(0, 100 * DAY_MS, fit_cuts=3, horizon_ms=horizon, maturity_ms=maturity)


def test_disjoint_leaves_out_whoever_is_tied_to_an_account_that_was_learnt_from() -> None:
    component = components(6, np.array([0, 2], np.int32), np.array([1, 3], np.int32))
    kept = disjoint(component, ["a", "b", "c", "d", "e", "f"], frozenset({"a", "f"}))
    assert kept.tolist() == [False, False, True, True, True, False]
