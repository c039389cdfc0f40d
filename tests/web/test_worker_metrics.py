"""The sum of several workers' metrics: what is added, and what becomes of a worker that has ended."""

import os
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from gateway.web.worker_metrics import WorkerMetrics


def worker(directory: Path, number: float) -> WorkerMetrics:
    """A worker whose every figure is its number."""

    def collect() -> Iterator[Metric]:
        counter = CounterMetricFamily("gateway_operations", "Operations answered.", labels=("name",))
        counter.add_metric(("All",), number)
        counter.add_metric((f"Only{number}",), number)
        yield counter
        buckets = [("0.5", number), ("+Inf", 2 * number)]
        yield HistogramMetricFamily("gateway_operation_seconds", "Duration.", buckets=buckets, sum_value=number)
        yield GaugeMetricFamily("gateway_cache_bytes", "Bytes.", value=number)
        yield GaugeMetricFamily("process_start_time_seconds", "Start time.", value=number)

    return WorkerMetrics(directory, collect)


async def values(asked: WorkerMetrics) -> dict[str, float]:
    """The samples' values by their names and the values of their labels."""
    return {
        " ".join((sample.name.removeprefix("gateway_"), *sample.labels.values())): sample.value
        for metric in await asked.collect()
        for sample in metric.samples
    }


def total(all_: float, histogram: float, running: float, latest: float) -> dict[str, float]:
    return {
        "operations_total All": all_,
        "operation_seconds_bucket 0.5": histogram,
        "operation_seconds_bucket +Inf": 2 * histogram,
        "operation_seconds_count": 2 * histogram,
        "operation_seconds_sum": histogram,
        "cache_bytes": running,
        "process_start_time_seconds": latest,
    }


def only(*numbers: int) -> dict[str, float]:
    return {f"operations_total Only{number}": number for number in numbers}


async def test_every_worker_returns_the_sum(tmp_path: Path) -> None:
    async with worker(tmp_path, 1) as first, worker(tmp_path, 20) as second:
        for asked in (first, second, first):
            assert await values(asked) == total(21, 21, 21, 20) | only(1, 20)


async def test_counts_of_ended_workers_are_kept_and_their_files_are_not(tmp_path: Path) -> None:
    async with worker(tmp_path, 1) as first:
        for number in range(2, 12):
            async with worker(tmp_path, number):
                pass
            assert (await values(first))["operations_total All"] == sum(range(number + 1))
        assert await values(first) == total(66, 66, 1, 1) | only(*range(1, 12))
        assert len(os.listdir(tmp_path)) == 3


async def test_a_sum_does_not_depend_on_the_order(tmp_path: Path) -> None:
    """Prometheus takes the smallest decrease of a counter for a restart. As floats, 0.1 + 0.2 + 0.3 > 0.3 + 0.2 + 0.1."""
    sums = set()
    for number, order in enumerate(permutations((0.1, 0.2, 0.3))):
        directory = tmp_path / str(number)  # Short, since the path of a Unix socket is.
        directory.mkdir()
        async with worker(directory, 0) as asked:
            for figure in order:
                async with worker(directory, figure):
                    pass
                await asked.collect()
            sums.add((await values(asked))["operation_seconds_sum"])
    assert sums == {0.6}


async def test_a_worker_that_was_killed_counts_with_what_it_wrote_last(tmp_path: Path) -> None:
    async with worker(tmp_path, 1) as first:
        killed = await worker(tmp_path, 20).__aenter__()
        assert await values(first) == total(21, 21, 21, 20) | only(1, 20)
        assert killed._server is not None
        killed._server.close()  # Its socket stays, and refuses connections.
        assert await values(first) == total(21, 21, 1, 1) | only(1, 20)
        assert await values(first) == total(21, 21, 1, 1) | only(1, 20)
