"""Spans say how long and how many, never who; and a collector that is away is nobody's concern."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from support.daemon_world import KEY, POLICY, RULES, Faults, RecordStream, journal

from fraudgraph.committer import Committer
from fraudgraph.daemon import Daemon, Pace, Step, Totals
from fraudgraph.engine import Engine
from fraudgraph.errors import DependencyError
from fraudgraph.events.decoder import Decoder
from fraudgraph.events.pseudonyms import Pseudonymiser
from fraudgraph.events.vault import Vault
from fraudgraph.monitor.otel import OtelTracer, tracing_to
from fraudgraph.monitor.tracing import Span, TracedErrand, TracedLoop, TracedPlanner
from fraudgraph.settings import load_settings
from fraudgraph.testing.fakes import FakeScorer
from fraudgraph.testing.memory_store import MemoryStore

RECORDS = journal(3, events=60)
PARTS = ["poll", "decode", "apply", "commit", "acknowledge"]


@dataclass
class Told:
    """An observer that notes what it is told."""

    calls: list[str] = field(default_factory=list)

    def restored(self, positions: int, rings: int, watermark_ms: int) -> None:
        self.calls.append("restored")

    def beat(self) -> None:
        self.calls.append("beat")

    def taken(self, records: int) -> None:
        self.calls.append("taken")

    def settled(self, step: Step, totals: Totals) -> None:
        self.calls.append("settled")


def traced_run(tracer: OtelTracer) -> tuple[Totals, Told, RecordStream]:
    stream, told = RecordStream(RECORDS, Faults(), size=12), Told()
    loop = TracedLoop(tracer, stream, told)
    with Committer(MemoryStore(POLICY, RULES.priority)) as committer:
        daemon = Daemon(
            loop,
            Decoder(Pseudonymiser(KEY), Vault(KEY), default_region=None, default_currency="EUR"),
            Engine(POLICY, RULES, FakeScorer()),
            committer,
            pace=Pace(batch_events=12, batch_events_max=12),
            observer=loop,
        )
        return daemon.run(), told, stream


def exported(do: Callable[[OtelTracer], object]) -> list[ReadableSpan]:
    exporter = InMemorySpanExporter()
    do(OtelTracer(SimpleSpanProcessor(exporter)))
    return list(exporter.get_finished_spans())


def number(span: ReadableSpan, name: str) -> int:
    assert span.attributes is not None
    value = span.attributes[f"fraudgraph.{name}"]
    assert isinstance(value, int)
    return value


def test_each_batch_is_a_span_from_its_poll_to_its_acknowledgement() -> None:
    runs: list[tuple[Totals, Told, RecordStream]] = []
    spans = exported(lambda tracer: runs.append(traced_run(tracer)))
    ((totals, told, stream),) = runs
    batches = [span for span in spans if span.name == "batch"]
    assert len(batches) == totals.commits == told.calls.count("settled") == told.calls.count("taken") > 5
    assert {"restored", "beat"} < set(told.calls)
    assert stream.acknowledged
    assert sum(number(span, "events") for span in batches) == totals.events
    assert sum(number(span, "dead_letters") for span in batches) == sum(totals.dead_letters.values())
    assert [number(span, "commit") for span in batches] == list(range(1, totals.commits + 1))
    for batch in batches:
        assert batch.context is not None
        parts = [span for span in spans if span.parent and span.parent.span_id == batch.context.span_id]
        assert [part.name for part in parts] == PARTS
        assert all(part.start_time and part.end_time and part.start_time <= part.end_time for part in parts)
        assert batch.start_time == parts[0].start_time
        begins = [part.start_time or 0 for part in parts]
        assert begins == sorted(begins)
        assert abs((batch.end_time or 0) - time.time_ns()) < 600 * 10**9


def test_spans_hold_counts_and_nothing_else() -> None:
    spans = exported(traced_run)
    assert len(spans) > 30
    text = json.dumps([json.loads(span.to_json()) for span in spans])
    for span in spans:
        assert all(type(value) is int for value in (span.attributes or {}).values())
        assert not span.events
    for secret in ("ring1-", "shopper", "198.51.100", "device", "kafka:", "example"):
        assert secret not in text


class Errand:
    """Does what it is told to."""

    name = "mailbox"

    def __init__(self, *results: int | Exception) -> None:
        self._results = list(results)
        self.closed = False

    def run(self) -> int:
        result = self._results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    def close(self) -> None:
        self.closed = True


def test_deliveries_are_spans_where_there_was_something_to_deliver() -> None:
    away = DependencyError("the mailbox of ann@example.com is away", do="Wait.")
    errand = Errand(3, 0, away)

    def deliver(tracer: OtelTracer) -> None:
        traced = TracedErrand(tracer, errand)
        assert (traced.name, traced.run(), traced.run()) == ("mailbox", 3, 0)
        with pytest.raises(DependencyError):
            traced.run()
        traced.close()

    spans = exported(deliver)
    assert errand.closed
    assert [(span.name, number(span, "delivered"), span.status.is_ok) for span in spans] == [
        ("deliver", 3, True),
        ("deliver", 0, False),
    ]
    assert "ann@" not in "".join(span.to_json() for span in spans)


def test_a_call_of_the_narrator_is_a_span_though_it_fails() -> None:
    class Mute:
        def plan(self, pack: object) -> object:
            raise DependencyError("no answer", do="Wait.")

        def repair(self, pack: object, reply: object, failures: tuple[object, ...]) -> None:
            return None

    def narrate(tracer: OtelTracer) -> None:
        planner = TracedPlanner(tracer, Mute())  # type: ignore[arg-type]  # it looks at nothing that it is given
        with pytest.raises(DependencyError):
            planner.plan(None)  # type: ignore[arg-type]
        assert planner.repair(None, None, (None, None)) is None  # type: ignore[arg-type]

    spans = exported(narrate)
    assert [(span.name, span.status.is_ok) for span in spans] == [("narrate", False), ("narrate again", True)]
    assert number(spans[1], "failures") == 2


def test_a_collector_that_is_away_is_nobodys_concern() -> None:
    with tracing_to("http://127.0.0.1:9/") as tracer:
        totals, _, _ = traced_run(tracer)
        for place in range(5_000):
            tracer.add(Span("batch", place, place + 1, {"events": place}))
    assert totals.commits > 5
    tracer.add(Span("batch", 0, 1))  # nor is one that comes after the end


def test_off_is_the_default_and_costs_no_import() -> None:
    assert load_settings(environment={}).settings.telemetry.otlp_endpoint == ""
    look = "import sys, fraudgraph.app.production, fraudgraph.monitor.tracing; print('opentelemetry' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
