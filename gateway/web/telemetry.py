"""OpenTelemetry traces, an extra: a span for each operation and each upstream call, none for a field.

The W3C trace context of a request is continued (https://www.w3.org/TR/trace-context/). Names follow the semantic conventions
for GraphQL servers and HTTP clients (https://opentelemetry.io/docs/specs/semconv/). No span has a variable or a token: in URLs,
names are `{name}`, and the values of parameters `REDACTED`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway.twilio.client import Attempt
from gateway.twilio.paths import redacted
from gateway.version import __version__

__all__ = ["Recording", "Telemetry"]


class Telemetry:
    """Records operations, and exports their spans to `OTEL_EXPORTER_OTLP_ENDPOINT`."""

    def __init__(
        self, provider: TracerProvider | None = None, *, upstream_url: str = "https://conversations.twilio.com"
    ) -> None:
        """Create the tracer of `provider`; by default, one that the `OTEL_…` environment variables configure.

        `upstream_url` is the origin of the upstream calls.
        """
        if provider is None:
            provider = TracerProvider(resource=Resource.create({"service.name": "receipts-gateway"}))
            provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._provider = provider
        self._tracer = provider.get_tracer("receipts-gateway", __version__)
        self._propagator = TraceContextTextMapPropagator()
        self._upstream = upstream_url.rstrip("/")
        parts = urlsplit(self._upstream)
        self._server: dict[str, str | int] = {
            "server.address": parts.hostname or "",
            "server.port": parts.port or (443 if parts.scheme == "https" else 80),
        }

    def begin(self, headers: Mapping[str, str]) -> Recording:
        """Start the span of an operation requested with these headers (names in lower case)."""
        context = self._propagator.extract(headers)
        span = self._tracer.start_span("query", context, SpanKind.SERVER)
        return Recording(self._tracer, span, self._upstream, self._server)

    def close(self) -> None:
        """Export the spans that have not been exported."""
        self._provider.shutdown()


class Recording:
    """The span of one operation, and its child spans for upstream calls."""

    def __init__(self, tracer: Tracer, span: Span, upstream: str, server: Mapping[str, str | int]) -> None:
        self._tracer = tracer
        self._span = span
        self._upstream = upstream
        self._server = server
        self._context = set_span_in_context(span)
        self._epoch = time.time() - time.monotonic()

    def call(self, target: str, attempt: Attempt) -> None:
        """Record an upstream call that has ended; `target` is its path and query."""
        url = f"/v1/{redacted(target)}".replace("={value}", "=REDACTED")
        began, ended = (int((self._epoch + moment) * 1e9) for moment in (attempt.began, attempt.ended))
        span = self._tracer.start_span(
            "GET",
            self._context,
            SpanKind.CLIENT,
            attributes={
                **self._server,
                "http.request.method": "GET",
                "url.full": self._upstream + url,
                "url.path": url.partition("?")[0],
                "gateway.wait_ms": round((attempt.began - attempt.queued) * 1000, 1),
            },
            start_time=began,
        )
        if attempt.status is not None:
            span.set_attribute("http.response.status_code", attempt.status)
        if attempt.number > 1:
            span.set_attribute("http.request.resend_count", attempt.number - 1)
        failed = attempt.status is not None and attempt.status >= 400
        error = str(attempt.status) if failed else attempt.error
        if error is not None or attempt.status is None:
            span.set_attribute("error.type", error or "_OTHER")
            span.set_status(StatusCode.ERROR)
        span.end(ended)

    def end(self, name: str | None, code: str, calls: int) -> None:
        """End the span with the operation's name, its outcome (`ok` or an error code), and its number of upstream calls."""
        self._span.set_attributes({"graphql.operation.type": "query", "gateway.outcome": code, "gateway.calls": calls})
        if name is not None:
            self._span.set_attribute("graphql.operation.name", name)
        if code != "ok":
            self._span.set_status(StatusCode.ERROR)
        self._span.end()
