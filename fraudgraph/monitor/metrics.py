"""What the daemon counts and measures, for Prometheus; docs/operations.md says what each is for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from fraudgraph.scoring.drift import KINDS as DRIFT_KINDS

if TYPE_CHECKING:
    import numpy.typing as npt

    from fraudgraph.scoring.drift import DriftReport
    from fraudgraph.scoring.serving import ModelFigures

FRESHNESS_S: Final = (0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0)
PHASES_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
SIZES: Final = (1, 10, 50, 100, 250, 500, 1000, 2000, 4000, 8000, 16000, 32000)
PHASES: Final = ("decode", "engine", "commit", "acknowledge")


class Metrics:
    """All metrics of one daemon, in a registry of their own.

    Args:
        version: of fraudgraph.
        largest_share_alarm: part of all accounts in one component from which the alarm gauge is 1.
    """

    def __init__(self, version: str, largest_share_alarm: float) -> None:
        self.registry = CollectorRegistry()
        self.largest_share_alarm = largest_share_alarm
        into = self.registry
        ProcessCollector(registry=into)
        Info("fraudgraph_build", "Version of fraudgraph.", registry=into).info({"version": version})
        self.events = Counter(
            "fraudgraph_events", "Events by what became of them, once committed.", ["outcome"], registry=into
        )
        self.dead_letters = Counter(
            "fraudgraph_dead_letters", "Records that were not applied, by reason.", ["reason"], registry=into
        )
        self.alerts = Counter("fraudgraph_alerts", "Alerts committed.", registry=into)
        self.commits = Counter("fraudgraph_commits", "Commits done by this process.", registry=into)
        self.commit_number = Gauge("fraudgraph_commit_number", "Number of the store's last commit.", registry=into)
        self.watermark = Gauge(
            "fraudgraph_watermark_timestamp_seconds", "Event time up to which everything is settled.", registry=into
        )
        self.lag = Gauge(
            "fraudgraph_lag_records",
            "Records on the brokers that were not handed over yet.",
            ["topic", "partition"],
            registry=into,
        )
        self.rings = Gauge("fraudgraph_rings", "Living rings, candidates included.", registry=into)
        self.share = Gauge(
            "fraudgraph_largest_component_share", "Part of all accounts in the largest component.", registry=into
        )
        self.share_alarm = Gauge(
            "fraudgraph_largest_component_alarm",
            "1 where that share is above rings.largest_share_alarm.",
            registry=into,
        )
        self.model = ModelMetrics(into)
        self.drift = DriftMetrics(into)
        self.rules = Gauge(
            "fraudgraph_rule_rings", "Living rings that a rule of the shop's holds of.", ["rule", "mode"], registry=into
        )
        self.undelivered = Gauge(
            "fraudgraph_alerts_undelivered", "Alerts that wait for their delivery.", ["sink"], registry=into
        )
        self.deliveries = Counter(
            "fraudgraph_deliveries", "What was delivered, and attempts that failed.", ["sink", "outcome"], registry=into
        )
        self.narratives = Counter(
            "fraudgraph_narratives", "Rings that were to be told, by what became of it.", ["outcome"], registry=into
        )
        self.narrator_cost = Counter(
            "fraudgraph_narrator_cost", "What the language model cost, in its currency.", ["currency"], registry=into
        )
        self.store_away = Gauge("fraudgraph_store_away", "1 while the store cannot be written.", registry=into)
        self.live = Gauge("fraudgraph_live", "As /livez says.", registry=into)
        self.ready = Gauge("fraudgraph_ready", "As /readyz says.", registry=into)
        self.phases = Histogram(
            "fraudgraph_batch_phase_seconds",
            "Time of a batch in each phase; commit overlaps the decode and engine of the next batch.",
            ["phase"],
            buckets=PHASES_S,
            registry=into,
        )
        self.sizes = Histogram("fraudgraph_batch_events", "Events of a commit.", buckets=SIZES, registry=into)
        self.freshness = Freshness()
        into.register(self.freshness)
        for outcome in ("applied", "duplicate", "dead_letter", "command"):
            self.events.labels(outcome)
        for phase in PHASES:
            self.phases.labels(phase)

    def follow(self, health: Callable[[], tuple[bool, bool]]) -> None:
        """Asks whether the daemon is (live, ready) whenever metrics are read."""
        self.live.set_function(lambda: float(health()[0]))
        self.ready.set_function(lambda: float(health()[1]))

    def set_rules(self, rings: Mapping[tuple[str, str], int]) -> None:
        """Sets the rings by (rule, mode); what is not among them is no rule any more."""
        self.rules.clear()
        for (rule, mode), count in rings.items():
            self.rules.labels(rule, mode).set(count)

    def set_lags(self, lags: Mapping[tuple[str, str], int]) -> None:
        """Sets the lag by (topic, partition)."""
        for (topic, partition), records in lags.items():
            self.lag.labels(topic, partition).set(records)


class ModelMetrics:
    """What is in force, how exact its network is, and how far the bundle that only looks on differs from it."""

    def __init__(self, into: CollectorRegistry) -> None:
        self._info = Info("fraudgraph_model", "The bundle in force, or structural.", registry=into)
        self._links = Gauge("fraudgraph_network_links", "Links that the network holds.", registry=into)
        self._bytes = Gauge("fraudgraph_network_bytes", "Memory of the network.", registry=into)
        self._error = Gauge(
            "fraudgraph_network_error",
            "Largest error of the network's cached means among some thousand accounts, against sums made anew.",
            registry=into,
        )
        self._shadow_rings = Gauge(
            "fraudgraph_shadow_rings", "Rings that model.shadow scored too, since the start.", registry=into
        )
        self._shadow_mean = Gauge(
            "fraudgraph_shadow_difference_mean", "Mean difference of the two probabilities.", registry=into
        )
        self._shadow_max = Gauge("fraudgraph_shadow_difference_max", "Largest of those differences.", registry=into)
        self._shadow_crossed = Gauge(
            "fraudgraph_shadow_crossed", "Rings that one of the two would alert, and the other not.", registry=into
        )

    def set(self, figures: ModelFigures) -> None:
        """Takes up what a look found."""
        shadow = figures.shadow
        self._info.info({"bundle": figures.bundle})
        self._links.set(figures.links)
        self._bytes.set(figures.bytes)
        self._error.set(figures.drift)
        self._shadow_rings.set(shadow.rings)
        self._shadow_mean.set(shadow.sum_difference / max(shadow.rings, 1))
        self._shadow_max.set(shadow.max_difference)
        self._shadow_crossed.set(shadow.crossed)


class DriftMetrics:
    """How far what the model sees and says is from its reference."""

    def __init__(self, into: CollectorRegistry) -> None:
        self._reference = Gauge(
            "fraudgraph_drift_reference",
            "1 for what the model is held against: the shop itself, simulated worlds, or nothing.",
            ["of"],
            registry=into,
        )
        self._psi = Gauge(
            "fraudgraph_drift_psi", "Largest population stability index of a kind of number.", ["kind"], registry=into
        )
        self._ks = Gauge(
            "fraudgraph_drift_ks", "Largest Kolmogorov-Smirnov distance of a kind of number.", ["kind"], registry=into
        )
        self._over = Gauge(
            "fraudgraph_drift_over",
            "Numbers of a kind over drift.psi, or months over drift.calibration.",
            ["kind"],
            registry=into,
        )
        self._gap = Gauge(
            "fraudgraph_drift_calibration_gap",
            "Mean probability less what turned out fraud, of the latest month with enough verdicts.",
            registry=into,
        )

    def set(self, report: DriftReport) -> None:
        """Takes up what a look found."""
        held = "nothing" if report.why_not else "worlds" if report.simulated else "shop"
        for of in ("shop", "worlds", "nothing"):
            self._reference.labels(of).set(of == held)
        for kind in DRIFT_KINDS:
            psi, ks, over = report.largest(kind)
            self._psi.labels(kind).set(psi)
            self._ks.labels(kind).set(ks)
            self._over.labels(kind).set(over)
        self._over.labels("calibration").set(sum(month.over for month in report.months[-1:]))
        self._gap.set(report.calibration_gap)


class Freshness(Collector):
    """Seconds from an event's arrival at the brokers to its commit, as a histogram that takes a batch at once."""

    def __init__(self) -> None:
        self._bounds = np.array(FRESHNESS_S)
        self._counts = np.zeros(len(FRESHNESS_S) + 1, np.int64)
        self._sum = 0.0

    def observe(self, seconds: npt.NDArray[np.float64]) -> None:
        """Counts the events of a batch; a broker's clock ahead of ours counts as 0."""
        seconds = np.maximum(seconds, 0.0)
        places = np.searchsorted(self._bounds, seconds)  # a bucket's bound is inclusive
        self._counts += np.bincount(places, minlength=len(self._counts))
        self._sum += float(seconds.sum())

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Yields the histogram."""
        running = np.cumsum(self._counts).tolist()
        bounds = [*(str(bound) for bound in FRESHNESS_S), "+Inf"]
        yield HistogramMetricFamily(
            "fraudgraph_freshness_seconds",
            "From an event's record time at the brokers to the commit of its score.",
            buckets=list(zip(bounds, running, strict=True)),
            sum_value=self._sum,
        )
