"""How long a small query takes beside large ones.

    python -m tests.bench.beside

Sixteen connections ask Q1 without a pause, each time about another thread, and one asks Q3 about other receipts each time. The
upstream is 20 ms away. The contenders are measured in turns, each in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import uvloop

from .load import graphql_request, percentile, run_load
from .processes import SERVE, TOKEN, UPSTREAM, WARM_UP, Processes, environment, install_peers, interpreter
from .queries import QUERIES, variables

CONCURRENCY = 16


@dataclass
class Beside:
    """What was measured of one contender."""

    rates: list[float] = field(default_factory=list)
    """Large queries per second, for each round."""
    took: list[float] = field(default_factory=list)
    """Seconds for each small query."""


async def ask(
    url: str, large: list[Iterator[bytes]], small: Iterator[bytes], seconds: float
) -> tuple[int, list[float]]:
    """Ask both at the same time; gives the number of large queries, and the seconds for each small one."""
    answered, took = await asyncio.gather(run_load(url, large, seconds), run_load(url, [small], seconds))
    return len(answered), took


def measure(processes: Processes, command: tuple[str, ...], upstream: str, seconds: float, found: Beside) -> None:
    """Add one round of a contender."""
    environ = environment(upstream) | {"NODE_ENV": "production"}
    with processes.start(command, environ, is_contender=True) as (_, url):
        copies = count(1)

        def requests(query: str) -> Iterator[bytes]:
            return (graphql_request(url, QUERIES[query], variables(query, copy), TOKEN) for copy in copies)

        large, small = [requests("Q1") for _ in range(CONCURRENCY)], requests("Q3")
        uvloop.run(ask(url, large, small, WARM_UP))
        answered, took = uvloop.run(ask(url, large, small, seconds))
        found.rates.append(answered / seconds)
        found.took += took


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    given = parser.parse_args()
    peers = install_peers()
    commands = {"receipts-gateway": SERVE}
    if peers is not None:
        commands["graphql-yoga + jit"] = ("node", str(peers / "yoga.mjs"))
        commands["Apollo Server"] = ("node", str(peers / "apollo.mjs"))
    found = {name: Beside() for name in commands}
    with tempfile.TemporaryDirectory() as directory:
        processes = Processes(Path(directory))
        with processes.start((*UPSTREAM, "--latency-ms", "20"), is_contender=False) as (_, upstream):
            for _ in range(given.rounds):
                for name, command in commands.items():
                    measure(processes, command, upstream, given.seconds, found[name])
    print(f"{interpreter()}; {given.rounds} rounds of {given.seconds:g} s\n")
    print(f"| Q3 beside {CONCURRENCY} concurrent Q1, upstream 20 ms away | Q3: p50 ms | p99 ms | Q1: requests/s |")
    print("|---|---|---|---|")
    for name, beside in found.items():
        rate = statistics.median(beside.rates)
        print(f"| {name} | {percentile(beside.took, 50):.1f} | {percentile(beside.took, 99):.1f} | {rate:.0f} |")


if __name__ == "__main__":
    main()
