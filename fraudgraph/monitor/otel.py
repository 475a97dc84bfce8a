"""Spans to a collector, by OpenTelemetry; needs the extra `otel`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from fraudgraph import __version__
from fraudgraph.errors import ConfigurationError
from fraudgraph.monitor.tracing import Span

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import SpanProcessor

PATH: Final = "/v1/traces"
EXPORT_LIMIT_MS: Final = 5_000
"""So long one export may take."""
CLOSE_LIMIT_S: Final = 3.0


class OtelTracer:
    """A `Tracer` that gives spans to a processor of OpenTelemetry's SDK.

    Args:
        processor: one that exports in a thread of its own, so that a collector that is away or slow is nobody's
            concern: it drops what it cannot get rid of.
    """

    def __init__(self, processor: SpanProcessor) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider

        # The resource says what runs, not where: detectors would add hosts and command lines.
        resource = Resource({"service.name": "fraudgraph", "service.version": __version__})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("fraudgraph", __version__)

    def add(self, span: Span) -> None:
        """Takes a span that has ended, with its parts."""
        self._add(span, None)

    def close(self) -> None:
        """Exports what is left; a collector that is away holds the daemon's end up for `CLOSE_LIMIT_S` at most."""
        last = threading.Thread(target=self._provider.shutdown, name="spans", daemon=True)
        last.start()
        last.join(CLOSE_LIMIT_S)

    def _add(self, span: Span, parent: Context | None) -> None:
        from opentelemetry.context import Context
        from opentelemetry.trace import Status, StatusCode, set_span_in_context

        attributes = {f"fraudgraph.{name}": count for name, count in span.counts.items()}
        context = Context() if parent is None else parent
        made = self._tracer.start_span(span.name, context, attributes=attributes, start_time=span.began_ns)
        if span.failed:
            made.set_status(Status(StatusCode.ERROR))
        for part in span.parts:
            self._add(part, set_span_in_context(made, context))
        made.end(span.ended_ns)


@contextmanager
def tracing_to(endpoint: str) -> Iterator[OtelTracer]:
    """Sends spans to a collector, as OTLP over HTTP, until it is left.

    Args:
        endpoint: `http://host:4318`; `/v1/traces` at its end may be left out.

    Raises:
        ConfigurationError: the extra is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigurationError(
            f"telemetry.otlp_endpoint is set, and {error.name} is not installed",
            do="`pip install 'fraudgraph-rings[otel]'`, or leave the setting out.",
        ) from error

    url = f"{endpoint.rstrip('/').removesuffix(PATH)}{PATH}"
    exporter = OTLPSpanExporter(url, timeout=EXPORT_LIMIT_MS / 1000)
    tracer = OtelTracer(BatchSpanProcessor(exporter, export_timeout_millis=EXPORT_LIMIT_MS))
    try:
        yield tracer
    finally:
        tracer.close()
