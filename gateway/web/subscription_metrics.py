"""The metrics of an account's subscriptions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.utils import floatToGoString

from gateway.accounts.subscriptions import DELAYS, Subscriptions

__all__ = ["subscription_metrics"]

_BOUNDS = (*map(floatToGoString, DELAYS), "+Inf")


def subscription_metrics(subscriptions: Subscriptions) -> Iterator[Metric]:
    """Yield every metric family with its current values."""
    counts = subscriptions.counts
    yield GaugeMetricFamily("gateway_subscriptions", "Subscriptions that are open.", value=len(subscriptions))
    yield GaugeMetricFamily(
        "gateway_subscription_groups",
        "Groups of equal subscriptions, which are executed once for each event.",
        value=subscriptions.groups,
    )
    ready = CounterMetricFamily(
        "gateway_subscription_ready",
        "`DeliveriesReady` sent, by what it said: that the events since a cursor follow (`replayed`), or that queries must be "
        "run again (`refetch`).",
        labels=("kind",),
    )
    for kind in ("refetch", "replayed"):
        ready.add_metric((kind,), counts[kind])
    yield ready
    events = CounterMetricFamily(
        "gateway_subscription_events",
        "Events executed for groups of equal subscriptions (`executed`), and sent to subscribers (`delivered`).",
        labels=("kind",),
    )
    for kind in ("delivered", "executed"):
        events.add_metric((kind,), counts[kind])
    yield events
    ends = CounterMetricFamily(
        "gateway_subscription_ends",
        "Subscriptions that ended: by the subscriber (`left`), for good (`complete`), before a restart (`restart`), or since "
        "the subscriber did not read in time (`too_slow`).",
        labels=("reason",),
    )
    for reason, count in sorted(subscriptions.ends.items()):
        ends.add_metric((reason,), count)
    yield ends
    delay = HistogramMetricFamily(
        "gateway_subscription_delay_seconds", "Time from the arrival of an event to its delivery to a subscriber."
    )
    buckets = list(zip(_BOUNDS, map(float, accumulate(subscriptions.delays)), strict=True))
    delay.add_metric((), buckets, subscriptions.delay_seconds)
    yield delay
