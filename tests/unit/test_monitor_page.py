"""The page says how the daemon is: what is asked of it, over HTTP, while a daemon runs and while it does not."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.daemon_world import PARTITIONS, Faults, Mailbox, journal, run

from fraudgraph.daemon import Totals
from fraudgraph.errors import ConfigurationError, DependencyError
from fraudgraph.monitor.health import Health
from fraudgraph.monitor.metrics import Freshness, Metrics
from fraudgraph.monitor.model_page import NOT_YET, model_text
from fraudgraph.monitor.page import page, serving
from fraudgraph.monitor.watch import Clocks, Monitor
from fraudgraph.scoring.drift import Drifted, DriftReport, Month
from fraudgraph.scoring.serving import ModelFigures, ShadowFigures


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def health(clock: Clock) -> Health:
    return Health(clock, live_limit_s=30, ready_limit_s=10)


def monitor(clock: Clock) -> Monitor:
    names = [f"kafka:shop/{n}#cluster/topic" for n in range(PARTITIONS)]
    return Monitor(Metrics("1.2.3", 0.05), health(clock), lags=lambda: dict.fromkeys(names, 5), clocks=Clocks(clock))


def get(address: str, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def samples(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_ready_once_the_store_is_read_and_as_long_as_batches_get_committed() -> None:
    clock = Clock()
    state = health(clock)
    assert state.live().good
    assert not state.ready().good
    state.beat()
    assert state.ready().good
    clock.now_s += 1e6
    state.beat()
    assert state.ready().good, "no input is no fault"
    state.taken()
    clock.now_s += 9
    assert state.ready().good
    state.taken()
    state.settled()
    clock.now_s += 9
    assert state.ready().good, "it counts from the last commit"
    clock.now_s += 2
    assert not state.ready().good
    state.settled()
    assert state.ready().good


def test_live_as_long_as_the_loop_moves() -> None:
    clock = Clock()
    state = health(clock)
    clock.now_s += 1e6
    assert state.live().good, "reading a large store takes as long as it takes"
    state.beat()
    state.taken()
    clock.now_s += 299
    assert state.live().good, "the first batch compiles"
    state.settled()
    state.beat()
    clock.now_s += 29
    assert state.live().good
    clock.now_s += 2
    assert not state.live().good
    assert "31 s" in state.live().because


def test_not_ready_while_the_store_is_away_and_live_all_the_same() -> None:
    clock = Clock()
    watch = monitor(clock)
    watch.restored(0, 0, 0)
    watch.store_away(True)
    assert (watch.health.live().good, watch.health.ready().good) == (True, False)
    watch.store_away(False)
    assert watch.health.ready().good


def test_the_page_answers_probes_and_scrapes() -> None:
    clock = Clock()
    watch = monitor(clock)
    with serving("127.0.0.1:0", page(watch.metrics, watch.health)) as address:
        assert get(address, "/livez")[0] == 200
        assert get(address, "/readyz") == (503, "starting: the store is being read\n")
        watch.restored(0, 0, 0)
        assert get(address, "/readyz")[0] == 200
        assert get(address, "/")[0] == 404
        code, text = get(address, "/metrics")
        assert code == 200
        assert samples(text)["fraudgraph_ready", ()] == 1
        with pytest.raises(DependencyError, match=address), serving(address, page(watch.metrics, watch.health)):
            pass


@pytest.mark.parametrize("address", ["9464", "127.0.0.1:", ":9464", "127.0.0.1:http"])
def test_an_address_without_host_or_port_is_refused(address: str) -> None:
    watch = monitor(Clock())
    with pytest.raises(ConfigurationError), serving(address, page(watch.metrics, watch.health)):
        pass


def test_metrics_add_up_to_what_the_run_did(tmp_path: Path) -> None:
    clock = Clock()
    watch = monitor(clock)
    watch.follow_sink("mailbox", 0)
    totals = run(tmp_path / "shop.db", journal(7), Faults(), Mailbox(Faults()), observer=watch)
    with serving("127.0.0.1:0", page(watch.metrics, watch.health)) as address:
        got = samples(get(address, "/metrics")[1])
    letters = sum(totals.dead_letters.values())
    assert got["fraudgraph_events_total", ("applied",)] == totals.events > 100
    assert got["fraudgraph_events_total", ("duplicate",)] == totals.duplicates > 0
    assert got["fraudgraph_events_total", ("dead_letter",)] == letters > 0
    for reason, count in totals.dead_letters.items():
        assert got["fraudgraph_dead_letters_total", (reason,)] == count
    assert got["fraudgraph_commits_total", ()] == got["fraudgraph_commit_number", ()] == totals.commits
    assert got["fraudgraph_batch_events_count", ()] == totals.commits
    for phase in ("decode", "engine", "commit", "acknowledge"):
        assert got["fraudgraph_batch_phase_seconds_count", (phase,)] == totals.commits
    assert got["fraudgraph_alerts_total", ()] == totals.alerts == got["fraudgraph_alerts_undelivered", ("mailbox",)]
    assert got["fraudgraph_watermark_timestamp_seconds", ()] == totals.watermark_ms / 1000
    assert got["fraudgraph_rings", ()] > 0
    assert got["fraudgraph_model_info", ("structural",)] == 1
    assert sum(value for (name, _), value in got.items() if name == "fraudgraph_lag_records") == 5 * PARTITIONS
    good = totals.events + totals.duplicates + totals.dead_letters["too-late"]
    assert got["fraudgraph_freshness_seconds_count", ()] == good


def test_what_the_model_is_and_how_its_shadow_differs_is_told() -> None:
    watch = monitor(Clock())
    shadow = ShadowFigures(rings=4, sum_difference=1.0, max_difference=0.75, crossed=1)
    watch.metrics.model.set(ModelFigures("spring", links=7, bytes=512, drift=2e-6, shadow=shadow))
    with serving("127.0.0.1:0", page(watch.metrics, watch.health)) as address:
        got = samples(get(address, "/metrics")[1])
    assert got["fraudgraph_model_info", ("spring",)] == 1
    assert (got["fraudgraph_network_links", ()], got["fraudgraph_network_bytes", ()]) == (7, 512)
    assert got["fraudgraph_network_error", ()] == 2e-6
    assert (got["fraudgraph_shadow_rings", ()], got["fraudgraph_shadow_crossed", ()]) == (4, 1)
    assert got["fraudgraph_shadow_difference_mean", ()] == 0.25
    assert got["fraudgraph_shadow_difference_max", ()] == 0.75


def test_the_model_page_says_what_the_last_look_found() -> None:
    totals = Totals()
    assert model_text(totals) == NOT_YET
    totals.model = ModelFigures(
        "spring", links=7, bytes=512, drift=2e-6, shadow=ShadowFigures(rings=4, sum_difference=1.0, crossed=1)
    )
    totals.rules[("crowd", "alert")] = 3
    totals.drift = DriftReport(
        "spring",
        "",
        (Drifted("burst_day", "features", 200, 0.4, 0.3, True), Drifted("users", "features", 200, 0.01, 0.1, False)),
        (Month("2026-03", 40, 0.8, 0.3, True),),
        "this shop",
    )
    watch = monitor(Clock())
    watch.metrics.drift.set(totals.drift)
    with serving("127.0.0.1:0", page(watch.metrics, watch.health, lambda: model_text(totals))) as address:
        said = get(address, "/model")[1]
        got = samples(get(address, "/metrics")[1])
    for line in (
        "in force: spring",
        "rule crowd (alert): 3 rings",
        "drift: burst_day (0.40) of 2 numbers",
        "- drifted",
    ):
        assert line in said
    assert "0.2500 in the mean" in said
    assert (got["fraudgraph_drift_over", ("features",)], got["fraudgraph_drift_over", ("calibration",)]) == (1, 1)
    assert got["fraudgraph_drift_psi", ("features",)] == 0.4
    assert [got["fraudgraph_drift_reference", (of,)] for of in ("shop", "worlds", "nothing")] == [1, 0, 0]
    assert got["fraudgraph_drift_calibration_gap", ()] == 0.5


def test_freshness_counts_as_prometheus_would() -> None:
    fresh = Freshness()
    fresh.observe(np.array([-5.0, 0.1, 0.1001, 7200.0]))
    fresh.observe(np.array([0.3]))
    (family,) = fresh.collect()
    buckets = {s.labels["le"]: s.value for s in family.samples if s.name.endswith("_bucket")}
    assert (buckets["0.025"], buckets["0.1"], buckets["0.2"], buckets["0.3"]) == (1, 2, 3, 4)
    assert (buckets["3600.0"], buckets["+Inf"]) == (4, 5)
    assert next(s.value for s in family.samples if s.name.endswith("_sum")) == pytest.approx(7200.5001)
