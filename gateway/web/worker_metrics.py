"""The metrics of several worker processes at one address: a scrape of any worker returns the sum over all of them.

Each worker writes its metrics to a file in a directory that they share: when another worker is scraped, which connects to its
Unix socket there, and when it stops. A scrape sums these files. The counts of workers that have ended are kept, so that
counters never decrease.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

import msgspec
from prometheus_client.metrics_core import Metric

__all__ = ["WorkerMetrics", "add_up"]

_ASK_SECONDS = 1.0
"""For another worker to write its file. After that, the one that it wrote last is used."""
_ENDED = "ended"
"""Name of the file with the counts of ended workers."""
_PRECISION = 1_000_000
"""Counters are added as integers, in millionths. A sum of floats depends on their order, and could decrease."""
_MAXIMUM_OF = {"gateway_build_info", "gateway_upstream_breaker_open", "process_start_time_seconds", "python_info"}
"""Gauges of which the sum makes no sense."""


class _Family(msgspec.Struct, array_like=True):
    """A metric family as in a file."""

    name: str
    kind: str
    help: str
    samples: list[tuple[str, dict[str, str], int | float]]
    """Name, labels and value of each; of anything but a gauge, in millionths."""


_DECODER = msgspec.json.Decoder(list[_Family])


class WorkerMetrics:
    """The metrics of one worker, and of those that share its directory. Use it as an async context manager."""

    def __init__(self, directory: Path, collect: Callable[[], Iterable[Metric]]) -> None:
        """Initialize the metrics of a worker; `collect` returns its own."""
        self._directory = directory
        self._collect = collect
        self._name = uuid4().hex[:16]  # A process id may come again.
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._on_connection, self._socket(self._name))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._write_own()
        server, self._server = self._server, None
        server.close()
        self._socket(self._name).unlink(missing_ok=True)

    async def collect(self) -> list[Metric]:
        """Return the sum over all workers: counters of all that have ever run, gauges of those that run."""
        self._write_own()
        earlier = {path.stem for path in self._directory.glob("*.json")} - {_ENDED}
        others = {path.stem for path in self._directory.glob("*.sock")} - {self._name}
        answers = await asyncio.gather(*(self._ask(name) for name in others))
        running = {name for name, is_running in zip(others, answers, strict=True) if is_running} | {self._name}
        with self._locked():
            files = {path.stem: _DECODER.decode(path.read_bytes()) for path in self._directory.glob("*.json")}
            ended = files.keys() & (earlier - running)
            if ended:
                files[_ENDED] = _counts([files[name] for name in files if name in ended or name == _ENDED])
                self._write(_ENDED, files[_ENDED])
                for name in ended:
                    del files[name]
                    self._file(name).unlink()
                    self._socket(name).unlink(missing_ok=True)
        return [_metric(family) for family in add_up(files.values())]

    def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Write the metrics, then close the connection, which says that they are written."""
        if self._server is not None:  # Else its last metrics may have been added to those of the ended workers.
            self._write_own()
        writer.close()

    async def _ask(self, name: str) -> bool:
        """Have another worker write its metrics; return whether it runs."""
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                reader, writer = await asyncio.open_unix_connection(self._socket(name))
                try:
                    await reader.read()
                finally:
                    writer.close()
                await writer.wait_closed()
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:  # A timeout, or a worker that ends at this moment: the next scrape finds out.
            pass
        return True

    def _write_own(self) -> None:
        own = [
            _Family(
                metric.name,
                metric.type,
                metric.documentation,
                [
                    (
                        sample.name,
                        sample.labels,
                        sample.value if metric.type == "gauge" else round(sample.value * _PRECISION),
                    )
                    for sample in metric.samples
                ],
            )
            for metric in self._collect()
        ]
        self._write(self._name, own)

    def _write(self, name: str, families: list[_Family]) -> None:
        written = self._directory / f"{name}.new"
        written.write_bytes(msgspec.json.encode(families))
        written.replace(self._file(name))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the directory's lock, so that no file is counted twice while it is added to the ended workers."""
        lock = os.open(self._directory, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _file(self, name: str) -> Path:
        return self._directory / f"{name}.json"

    def _socket(self, name: str) -> Path:
        return self._directory / f"{name}.sock"


def add_up(workers: Iterable[list[_Family]]) -> list[_Family]:
    """Return the families of all workers, with samples of the same name and labels added; of some gauges, the maximum."""
    families: dict[str, _Family] = {}
    totals: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], int | float]] = {}
    for family in (family for worker in workers for family in worker):
        families.setdefault(family.name, family)
        total = totals.setdefault(family.name, {})
        for name, labels, value in family.samples:
            key = name, tuple(labels.items())
            before = total.get(key, 0)
            total[key] = max(before, value) if family.name in _MAXIMUM_OF else before + value
    return [
        _Family(name, family.kind, family.help, [(*_unkeyed(key), value) for key, value in totals[name].items()])
        for name, family in families.items()
    ]


def _unkeyed(key: tuple[str, tuple[tuple[str, str], ...]]) -> tuple[str, dict[str, str]]:
    return key[0], dict(key[1])


def _counts(workers: list[list[_Family]]) -> list[_Family]:
    return [family for family in add_up(workers) if family.kind != "gauge"]


def _metric(family: _Family) -> Metric:
    metric = Metric(family.name, family.help, family.kind)
    for name, labels, value in family.samples:
        metric.add_sample(name, labels, value if family.kind == "gauge" else value / _PRECISION)
    return metric
