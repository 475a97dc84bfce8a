"""Watches the daemon: turns what its loop does into metrics and health, with the clocks of the edge."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from fraudgraph.daemon import Step, Totals
from fraudgraph.monitor.health import Health
from fraudgraph.monitor.metrics import Metrics
from fraudgraph.monitor.model_page import NOT_YET, model_text

LAG_EVERY_S: Final = 1.0
_PARTITION: Final = re.compile(r"^kafka:(?P<topic>[^/]*)/(?P<partition>\d+)#")


@dataclass(frozen=True, slots=True)
class Clocks:
    """Time at the edge: `wall_s` since the epoch, `monotonic_s` for spans."""

    wall_s: Callable[[], float] = time.time
    monotonic_s: Callable[[], float] = time.monotonic


class Monitor:
    """An `Observer` of the daemon, told by the store's thread and the couriers too.

    Attributes:
        model: what the last look at the model found, in words.

    Args:
        lags: records behind by partition's name; asked in the loop's thread, at most once a second.
    """

    def __init__(
        self,
        metrics: Metrics,
        health: Health,
        *,
        lags: Callable[[], Mapping[str, int]] = dict,
        clocks: Clocks | None = None,
    ) -> None:
        self.metrics = metrics
        self.health = health
        self._lags = lags
        self._clocks = clocks or Clocks()
        self._lag_at_s = 0.0
        self.model = NOT_YET
        self._sinks: list[str] = []
        self._log = structlog.get_logger("fraudgraph.daemon")
        metrics.follow(lambda: (health.live().good, health.ready().good))

    def restored(self, positions: int, rings: int, watermark_ms: int) -> None:
        """The store is read."""
        self.metrics.rings.set(rings)
        self.metrics.watermark.set(watermark_ms / 1000)
        self.health.beat()

    def beat(self) -> None:
        """The loop moves."""
        self.health.beat()
        now_s = self._clocks.monotonic_s()
        if now_s - self._lag_at_s >= LAG_EVERY_S:
            self._lag_at_s = now_s
            self.metrics.set_lags(_labelled(self._lags()))

    def taken(self, records: int) -> None:
        """A batch was read."""
        self.health.taken()

    def settled(self, step: Step, totals: Totals) -> None:
        """A batch is committed."""
        self.health.settled()
        into, delta, committed = self.metrics, step.outcome.delta, step.commit.result()
        into.commits.inc()
        into.commit_number.set(delta.commit)
        into.watermark.set(delta.watermark_ms / 1000)
        into.rings.set(step.rings)
        into.events.labels("applied").inc(step.outcome.applied)
        into.events.labels("duplicate").inc(step.outcome.duplicates)
        into.events.labels("command").inc(step.outcome.commands)
        into.events.labels("dead_letter").inc(len(delta.dead_letters))
        for letter in delta.dead_letters:
            into.dead_letters.labels(letter.reason.code).inc()
        into.alerts.inc(len(delta.alerts))
        for sink in self._sinks:
            into.undelivered.labels(sink).inc(len(delta.alerts))
        into.sizes.observe(len(step.batch))
        for phase, seconds in (
            ("decode", step.decode_s),
            ("engine", step.engine_s),
            ("commit", committed.took_s),
            ("acknowledge", step.acknowledge_s),
        ):
            into.phases.labels(phase).observe(seconds)
        into.share.set(totals.largest_share)
        into.share_alarm.set(totals.largest_share > into.largest_share_alarm)
        if totals.model is not None:
            self.model = model_text(totals)
            into.model.set(totals.model)
            if totals.drift is not None:
                into.drift.set(totals.drift)
            into.set_rules({(rule, mode): rings for (rule, mode), rings in totals.rules.items()})
        if step.batch.broker_ms is not None and len(step.batch):
            since_s = self._clocks.monotonic_s() - committed.done_at_s
            done_ms = (self._clocks.wall_s() - since_s) * 1000
            into.freshness.observe((done_ms - step.batch.broker_ms) / 1000)

    def store_away(self, away: bool) -> None:
        """The store is away, or back; told by its thread."""
        self.health.away(away)
        self.metrics.store_away.set(away)
        self._log.warning("the store is away, trying again; reading pauses" if away else "the store is back")

    def follow_sink(self, sink: str, waiting: int) -> None:
        """Alerts go to a sink, for which so many wait."""
        self._sinks.append(sink)
        self.metrics.undelivered.labels(sink).set(waiting)

    def delivered(self, sink: str, count: int | None) -> None:
        """So much was delivered, None for an attempt that failed; told by a courier."""
        if count is None:
            self.metrics.deliveries.labels(sink, "failed").inc()
        else:
            self.metrics.deliveries.labels(sink, "delivered").inc(count)
            if sink in self._sinks:
                self.metrics.undelivered.labels(sink).dec(count)

    def narrated(self, outcome: str, cost_micros: int, currency: str) -> None:
        """What became of a ring that was to be told, and what it cost; told by the narration worker."""
        self.metrics.narratives.labels(outcome).inc()
        if cost_micros:
            self.metrics.narrator_cost.labels(currency).inc(cost_micros / 1_000_000)


def _labelled(lags: Mapping[str, int]) -> dict[tuple[str, str], int]:
    named = {}
    for name, records in lags.items():
        if match := _PARTITION.match(name):
            named[match["topic"], match["partition"]] = records
    return named
