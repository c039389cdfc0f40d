"""Prometheus metrics: counted where things happen, and collected when they are scraped.

Label values are bounded: beyond a number of different operation names, which clients choose, a name is `other`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.utils import floatToGoString
from starlette.requests import Request
from starlette.responses import Response

from gateway.accounts.account import Account
from gateway.callers.callers import Caller, Callers
from gateway.errors import GatewayError
from gateway.twilio.client import Client
from gateway.web.browsers import SECURITY_HEADERS, check_host
from gateway.web.responses import error_response

__all__ = ["Metrics", "MetricsPage"]

_NAMES_MAX = 100
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The metrics of one process; a collector (https://prometheus.github.io/client_python/collector/custom/)."""

    def __init__(self, account: Account, client: Client) -> None:
        """Create the metrics of an account and its client, in addition to what they count."""
        self._account = account
        self._client = client
        self._answered: Counter[tuple[str, str]] = Counter()
        """Operations by name and outcome."""
        self._names: set[str] = set()
        self._durations = [0] * (len(_BUCKETS) + 1)
        """Operations per bucket, by the bucket's upper bound; the last one has those that took longer."""
        self._seconds = 0.0
        self._refused: Counter[str] = Counter()
        self._registry = CollectorRegistry()
        self._registry.register(self)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)

    def answered(self, name: str | None, outcome: str, seconds: float) -> None:
        """Count an operation with its outcome: `ok`, or the code of its first error."""
        name = name or "anonymous"
        if name not in self._names:
            if len(self._names) >= _NAMES_MAX:
                name = "other"
            else:
                self._names.add(name)
        self._answered[name, outcome] += 1
        self._durations[bisect_left(_BUCKETS, seconds)] += 1
        self._seconds += seconds

    def refused(self, code: str) -> None:
        """Count a request that was refused before its operation began."""
        self._refused[code] += 1

    def page(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield every metric family with its current values."""
        answered = CounterMetricFamily("gateway_operations", "Operations answered.", labels=("name", "outcome"))
        for labels, count in sorted(self._answered.items()):
            answered.add_metric(labels, count)
        yield answered
        bounds = [*map(floatToGoString, _BUCKETS), "+Inf"]
        yield HistogramMetricFamily(
            "gateway_operation_seconds",
            "Duration of operations.",
            buckets=list(zip(bounds, accumulate(self._durations), strict=True)),
            sum_value=self._seconds,
        )
        yield _by("gateway_refused", "Requests refused.", self._refused, label="code")
        limiter, account = self._client.limiter, self._account
        calls = CounterMetricFamily(
            "gateway_upstream_calls",
            "Upstream calls by resource and status.",
            labels=("resource", "status"),
        )
        for (kind, status), count in sorted(self._client.attempts.items()):
            calls.add_metric((kind, status), count)
        yield calls
        yield CounterMetricFamily("gateway_upstream_retries", "Upstream calls retried.", value=self._client.retries)
        yield _by("gateway_cache_lookups", "Lookups in the shared cache, by result.", account.lookups)
        yield _by("gateway_skips", "Reads that were not needed, by reason.", account.skips)
        executed = (
            "Operations executed by the engine, and by graphql-core, by reason; "
            "of the engine's also those executed by generated code, or why not."
        )
        yield _by("gateway_runs", executed, account.runs)
        yield _by("gateway_redis_questions", "Requests to Redis, by result.", account.remote_counts)
        for name, help_, value in (
            ("gateway_upstream_in_flight", "Upstream calls in flight.", limiter.in_flight),
            ("gateway_upstream_waiting", "Reads waiting for a slot.", limiter.queued),
            ("gateway_upstream_window", "Current limit of upstream calls in flight.", limiter.limit.size),
            ("gateway_upstream_breaker_open", "Whether the circuit breaker is open (1).", int(limiter.breaker.is_open)),
            ("gateway_cache_bytes", "Bytes in the in-memory cache.", account.cached_bytes),
            ("gateway_operations_under_way", "Operations in progress.", account.in_progress),
        ):
            yield GaugeMetricFamily(name, help_, value=value)


def _by(name: str, help_: str, counts: Mapping[str, int], label: str = "kind") -> CounterMetricFamily:
    family = CounterMetricFamily(name, help_, labels=(label,))
    for kind, count in sorted(counts.items()):
        family.add_metric((kind,), count)
    return family


class MetricsPage:
    """The route `/metrics`, for every caller that may send operations."""

    def __init__(self, metrics: Metrics, callers: Callers, *, any_host: bool) -> None:
        """Create the route. Where no token is required, `Host` must name this machine, unless `any_host` is set."""
        self._metrics = metrics
        self._callers = callers
        self._any_host = any_host

    async def answer(self, request: Request) -> Response:
        """Reply with the metrics, or with 401 or 403."""
        try:
            if not self._callers.require_token and not self._any_host:
                check_host(request.headers.get("host"))
            caller = self._callers.identify(request.headers.get("authorization"))
            if not isinstance(caller, Caller):
                await caller
        except GatewayError as error:
            return error_response(error, "")
        return Response(self._metrics.page(), headers=SECURITY_HEADERS, media_type=CONTENT_TYPE_LATEST)
