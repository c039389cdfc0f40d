"""Prometheus metrics: counted where things happen, and collected when they are scraped.

Label values are bounded: beyond a number of different operation names, which clients choose, a name is `other`.
"""

from __future__ import annotations

import platform
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from starlette.requests import Request
from starlette.responses import Response

from gateway.accounts.account import Account
from gateway.accounts.reconciliation import RECONCILE_CALLER, Reconciliation
from gateway.errors import GatewayError, ValidationFailed
from gateway.execution.outcome import Outcome
from gateway.twilio.client import Client
from gateway.version import __version__
from gateway.web.admission import Admission
from gateway.web.browsers import SECURITY_HEADERS
from gateway.web.deliveries import Deliveries
from gateway.web.responses import error_response
from gateway.web.streams import Streams
from gateway.web.subscription_metrics import subscription_metrics

if TYPE_CHECKING:
    from gateway.web.worker_metrics import WorkerMetrics

__all__ = ["Metrics", "MetricsPage"]

_NAMES_MAX = 100
_OTHER = "other"
_SERIES_MAX = 1000
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_BOUNDS = (*map(floatToGoString, _BUCKETS), "+Inf")


_REASONS = {
    "only ids, sids and known values are selected": "reference",
    "the message's `delivery` shows that no receipt matches": "summary",
    "nothing matches": "filter",
    "null where none may be": "null",
}
"""Label values for the reasons that a trace shows as text."""


class _Count:
    """A count that is incremented in place."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class _Durations:
    """The observations of a histogram with the buckets `_BUCKETS`."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(_BUCKETS) + 1)
        """Observations per bucket, by the bucket's upper bound; the last one has those that took longer."""
        self.seconds = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(_BUCKETS, seconds)] += 1
        self.seconds += seconds

    def buckets(self) -> list[tuple[str, float]]:
        return list(zip(_BOUNDS, accumulate(self.counts), strict=True))


class _Names:
    """Label values that clients choose: the first hundred, and `other` for all that come later."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: set[str] = set()

    def bounded(self, name: str) -> str:
        if name in self._known:
            return name
        if len(self._known) >= _NAMES_MAX:
            return _OTHER
        self._known.add(name)
        return name


class Metrics:
    """The metrics of one process; a collector (https://prometheus.github.io/client_python/collector/custom/)."""

    def __init__(
        self,
        account: Account,
        client: Client,
        deliveries: Deliveries | None = None,
        streams: Streams | None = None,
    ) -> None:
        """Create the metrics of an account, its client, its webhooks and its streams, in addition to what they count."""
        self._account = account
        self._client = client
        self._deliveries = deliveries or Deliveries()
        self._streams = streams
        self._publication = account.publication
        self.reconciliation: Reconciliation | None = None
        """Its calls are counted as those of a caller."""
        self._series: dict[tuple[str | None, str, str], tuple[_Count, _Durations, _Count]] = {}
        """A cache of `_find_series`."""
        self._answered: defaultdict[tuple[str, str], _Count] = defaultdict(_Count)
        """Operations by name and outcome."""
        self._names, self._callers = _Names(), _Names()
        self._durations: defaultdict[str, _Durations] = defaultdict(_Durations)
        """Durations of operations by name."""
        self._upstream: defaultdict[str, _Durations] = defaultdict(_Durations)
        """Durations of upstream calls by resource."""
        client.on_duration = self._called
        self._calls: defaultdict[str, _Count] = defaultdict(_Count)
        """Upstream calls by caller."""
        self._budgets: dict[str, dict[str, int]] = {}
        """The budget of each caller after its latest operation, where there are budgets."""
        self._refused: Counter[str] = Counter()
        self.registry = CollectorRegistry()
        """What `/metrics` shows of this process."""
        self.registry.register(self)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)

    def answered(self, outcome: Outcome, code: str, caller: str, seconds: float) -> None:
        """Count an operation with its outcome's code: `ok`, or that of its first error."""
        key = outcome.operation, code, caller
        series = self._series.get(key) or self._find_series(key)
        answered, durations, calls = series
        answered.value += 1
        durations.observe(seconds)
        calls.value += outcome.calls
        if outcome.budget is not None and (caller := self._callers.bounded(caller)) != _OTHER:
            self._budgets[caller] = outcome.budget

    def _find_series(self, key: tuple[str | None, str, str]) -> tuple[_Count, _Durations, _Count]:
        """Return what an operation of this name, outcome and caller adds to."""
        operation, code, caller = key
        is_named = (
            operation is not None and code != ValidationFailed.code
        )  # Anybody can make up the names of invalid ones.
        name = self._names.bounded(operation if operation is not None and is_named else "anonymous")
        series = self._answered[name, code], self._durations[name], self._calls[self._callers.bounded(caller)]
        if len(self._series) >= _SERIES_MAX:
            self._series.clear()
        self._series[key] = series
        return series

    def _called(self, resource: str, seconds: float) -> None:
        self._upstream[resource].observe(seconds)

    def refused(self, code: str) -> None:
        """Count a request that was refused before its operation began."""
        self._refused[code] += 1

    def collect(self) -> Iterator[Metric]:
        """Yield every metric family with its current values."""
        yield GaugeMetricFamily("gateway_workers", "Processes that serve this address.", value=1)
        build = GaugeMetricFamily(
            "gateway_build_info", "Versions of the gateway and of Python; always 1.", labels=("version", "python")
        )
        build.add_metric((__version__, platform.python_version()), 1)
        yield build
        answered = CounterMetricFamily("gateway_operations", "Operations answered.", labels=("name", "outcome"))
        for labels, operations in sorted(self._answered.items()):
            answered.add_metric(labels, operations.value)
        yield answered
        yield _durations("gateway_operation_seconds", "Duration of operations.", "name", self._durations)
        yield _by("gateway_refused", "Requests refused.", self._refused, label="code")
        limiter, account = self._client.limiter, self._account
        calls = CounterMetricFamily(
            "gateway_upstream_calls",
            "Upstream calls by resource and status.",
            labels=("resource", "status"),
        )
        for (kind, status), count in self._client.attempts.items():
            calls.add_metric((kind, "none" if status is None else str(status)), count)
        yield calls
        yield _durations("gateway_upstream_seconds", "Duration of upstream calls.", "resource", self._upstream)
        yield CounterMetricFamily("gateway_upstream_retries", "Upstream calls retried.", value=self._client.retries)
        caller_calls = Counter({caller: count.value for caller, count in self._calls.items()})
        for caller, event_calls in account.subscriptions.calls.items():
            caller_calls[self._callers.bounded(caller)] += event_calls
        if self.reconciliation is not None and self.reconciliation.calls:
            caller_calls[RECONCILE_CALLER] = self.reconciliation.calls
        yield _by(
            "gateway_caller_calls", "Upstream calls by the caller that caused them.", caller_calls, label="caller"
        )
        for key, help_ in (
            ("limit", "Upstream calls that a caller may cause in a minute."),
            ("remaining", "Upstream calls that a caller had left after its latest operation."),
        ):
            budgets = GaugeMetricFamily(f"gateway_caller_budget_{key}", help_, labels=("caller",))
            for caller, budget in sorted(self._budgets.items()):
                budgets.add_metric((caller,), budget[key])
            yield budgets
        yield _by(
            "gateway_cache_lookups",
            "Lookups in the in-memory cache: a whole answer (`answer`), or a record or page that is fresh (`hit`), stale and "
            "being revalidated (`stale`), served during an outage (`kept`), or missing (`miss`).",
            account.lookups,
        )
        yield _by(
            "gateway_skips",
            "Reads that were not needed, by reason: only ids and sids of the record are selected (`reference`), or the list is "
            "empty by the message's summary (`summary`) or by its filter (`filter`).",
            account.skips,
        )
        yield _by(
            "gateway_runs",
            "Operations executed by the engine (`engine`), and by graphql-core, by reason: such as a null that propagates "
            "(`null`), or introspection (in addition to `engine`).",
            account.runs,
        )
        yield _by(
            "gateway_redis_questions",
            "Requests to Redis: answered (`answer`), failed (`no_answer`), or not sent after a failure (`not_asked`).",
            account.remote_counts,
        )
        yield _by(
            "gateway_webhooks",
            "Webhooks by verdict: applied (`accepted`), older than another (`late`), repeated (`duplicate`), of another "
            "account, service or type (`unknown`), not applied because of a bug (`failed`), or not verified (`forged`).",
            self._deliveries.counts,
            label="verdict",
        )
        delay = HistogramMetricFamily(
            "gateway_webhook_delay_seconds", "Time from an event's date at Twilio to the acceptance of its webhook."
        )
        delay.add_metric((), *self._deliveries.delays())
        yield delay
        yield _by(
            "gateway_events",
            "Events sent to other processes (`published`), received from them (`received`), or not sent since Redis was down "
            "for too long (`dropped`).",
            self._publication.counts,
        )
        stream = GaugeMetricFamily(
            "gateway_event_stream_up", "Processes that are connected to the event stream in Redis."
        )
        if self._publication.is_stream_up is not None:
            stream.add_metric((), int(self._publication.is_stream_up))
        yield stream
        if self._streams is not None:
            yield from _streams(self._streams)
        yield from subscription_metrics(account.subscriptions)
        for name, help_, value in (
            ("gateway_upstream_in_flight", "Upstream calls in flight.", limiter.in_flight),
            ("gateway_upstream_waiting", "Reads waiting for a slot.", limiter.queued),
            ("gateway_upstream_window", "Current limit of upstream calls in flight.", limiter.limit.size),
            ("gateway_upstream_breaker_open", "Whether the circuit breaker is open (1).", int(limiter.breaker.is_open)),
            ("gateway_cache_bytes", "Bytes in the in-memory cache.", account.cached_bytes),
            ("gateway_operations_under_way", "Operations in progress.", account.in_progress),
        ):
            yield GaugeMetricFamily(name, help_, value=value)


def _streams(streams: Streams) -> Iterator[Metric]:
    opened = GaugeMetricFamily(
        "gateway_streams",
        "Open WebSockets (`websocket`), and subscriptions over server-sent events (`sse`) and multipart.",
        labels=("transport",),
    )
    for transport, number in sorted(streams.opened.items()):
        opened.add_metric((transport,), number)
    yield opened
    ended = CounterMetricFamily(
        "gateway_streams_ended",
        "Streams that have ended, by reason: closed by the client (`left`), over for good (`complete`), ended by a stop of the "
        "gateway (`restart`), by an expired or withdrawn token (`token`), or by a fault (`failed`); not read (`too_slow`), "
        "not answered (`dead`), or refused (`refused`).",
        labels=("transport", "reason"),
    )
    for labels, number in sorted(streams.ended.items()):
        ended.add_metric(labels, number)
    yield ended


def _durations(name: str, help_: str, label: str, durations: Mapping[str, _Durations]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, help_, labels=(label,))
    for value, each in sorted(durations.items()):
        family.add_metric((value,), each.buckets(), each.seconds)
    return family


def _by(name: str, help_: str, counts: Mapping[str, int], label: str = "kind") -> CounterMetricFamily:
    family = CounterMetricFamily(name, help_, labels=(label,))
    for kind, count in sorted(counts.items()):
        family.add_metric((_REASONS.get(kind, kind).replace(" ", "_") if label == "kind" else kind,), count)
    return family


class _Families(Collector):
    """Metric families that have been collected."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


class MetricsPage:
    """The route `/metrics`, for every caller that may send operations."""

    def __init__(self, metrics: Metrics, admission: Admission, *, workers: WorkerMetrics | None = None) -> None:
        """Create the route. With `workers`, it returns the sum over all workers."""
        self._metrics = metrics
        self._workers = workers
        self._admission = admission

    async def answer(self, request: Request) -> Response:
        """Reply with the metrics, or with 401 or 403."""
        try:
            await self._admission.caller(request.headers)
        except GatewayError as error:
            return error_response(error, "")
        families = self._metrics.registry if self._workers is None else _Families(await self._workers.collect())
        return Response(generate_latest(families), headers=SECURITY_HEADERS, media_type=CONTENT_TYPE_LATEST)
