"""The benchmark: the gateway beside what else one could use, over one upstream, in interleaved rounds.

    python -m tests.bench                      the rows of the table in gateway/docs/speed.md; a quarter of an hour
    python -m tests.bench --all                every query, distance, transport and concurrency; hours
    python -m tests.bench --query Q1 --latency 20 --tls --concurrency 16
    python -m tests.bench --against COMMIT     this build of the gateway beside that commit's

Each contender is one process, pinned to one processor; the upstream and the load share the others. npm's peers are installed
into a cache of their own on the first run; without npm they are left out, and that is said. `TAILCALL` names another binary of
Tailcall, such as a script that runs npm's with a newer libc.

Each request is about a thread, or a receipt, that no request was about before, so that nothing is shared or cached. The gateway
has its default settings, with a caller's token, the log and the metrics. Each contender is warmed up before it is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, product, repeat
from pathlib import Path
from ssl import create_default_context
from typing import Any

import trustme
import uvloop

from . import against
from .load import ask_once, graphql_request, percentile, run_load
from .processes import (
    PEERS,
    SERVE,
    TOKEN,
    UPSTREAM,
    WARM_UP,
    Processes,
    cpu_seconds,
    environment,
    install_peers,
    interpreter,
    peak_mb,
)
from .queries import COMPARED, QUERIES, variables


@dataclass(frozen=True)
class Contender:
    """A way to answer the queries; without a command it is a script that asks for itself."""

    name: str
    command: tuple[str, ...] | None
    queries: frozenset[str] = frozenset(COMPARED)
    """The queries that it can answer."""


@dataclass(frozen=True)
class Cell:
    """What is measured at a time. Unless it says otherwise, each request is about a thread or receipt of its own."""

    query: str
    latency: float
    tls: bool
    concurrency: int
    same: bool = False
    """Whether all ask about the same thread, while the gateway has no cache."""
    known: bool = False
    """Whether each connection asks about one thread again and again, so that the gateway knows the answer."""

    def __str__(self) -> str:
        wire = "TLS" if self.tls else "plain"
        about = ", all about one thread" if self.same else ", answers known" if self.known else ""
        return f"{self.query}, upstream {self.latency:g} ms away, {wire}, concurrency {self.concurrency}{about}"


@dataclass
class Row:
    """One contender in one cell, over the rounds."""

    rates: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    calls: list[float] = field(default_factory=list)
    """Upstream calls per operation, as the upstream counted them."""
    mb: int = 0

    @property
    def rate(self) -> float:
        """Requests per second: the median of the rounds."""
        return statistics.median(self.rates)

    @property
    def variation(self) -> float:
        """The coefficient of variation of the rounds' rates."""
        return statistics.stdev(self.rates) / statistics.mean(self.rates) if len(self.rates) > 1 else 0.0


DOCUMENTED_CELLS = [
    Cell("Q1", 0, False, 16),
    Cell("Q1", 20, False, 16),
    Cell("Q1", 0, True, 16),
    Cell("Q2", 0, False, 16),
    Cell("Q3", 0, False, 16),
    Cell("Q1", 20, False, 1),
    Cell("Q1", 80, True, 1),
    Cell("Q4", 20, True, 1),
    Cell("Q1", 0, False, 16, same=True),
    Cell("Q1", 0, False, 16, known=True),
    Cell("Q3", 0, False, 16, known=True),
]


def contenders(peers: Path | None) -> list[Contender]:
    """All that can be run here."""
    found = [
        Contender("receipts-gateway", SERVE),
        Contender("floor", (sys.executable, "-m", "tests.bench.floor"), frozenset({"Q1", "Q2", "Q3"})),
        Contender("its graphql-core path", (sys.executable, "-m", "tests.bench.reference")),
        Contender("script, aiohttp", None),
    ]
    if peers is not None:
        found.append(Contender("graphql-yoga + jit", ("node", str(peers / "yoga.mjs"))))
        found.append(Contender("Apollo Server", ("node", str(peers / "apollo.mjs"))))
        tailcall = os.environ.get("TAILCALL") or str(peers / "node_modules/@tailcallhq/core-linux-x64-gnu/bin/tailcall")
        if runs(tailcall):
            command = sys.executable, "-m", "tests.bench.tailcall", tailcall
            found.append(Contender("Tailcall", command, frozenset({"Q3"})))
        else:
            print(
                "Tailcall does not run here, so it is left out: its binary is for Linux on x86-64 with glibc 2.39 or later."
            )
    return found


def versions(peers: Path | None) -> str:
    """What is compared, and on what."""
    found = [interpreter()]
    if peers is not None:
        node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
        wanted = json.loads((PEERS / "package.json").read_text())
        packages = {**wanted["dependencies"], **wanted["optionalDependencies"]}
        found.append(f"Node.js {node.removeprefix('v')}")
        found += [f"{name} {version}" for name, version in packages.items()]
    return ", ".join(found)


def runs(binary: str) -> bool:
    """Whether a program is there and can be begun."""
    try:
        return subprocess.run([binary, "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


class Bench:
    """One upstream, and the contenders over it."""

    def __init__(self, processes: Processes, certificate: Path, authority: Path, seconds: float) -> None:
        self._processes = processes
        self._certificate = certificate
        self._authority = authority
        self._seconds = seconds
        self._context = create_default_context(cafile=str(authority))

    def measure(self, cell: Cell, found: list[Contender], rounds: int) -> dict[str, Row]:
        """Run all contenders in turn, so many rounds; their answers must be equal."""
        rows = {contender.name: Row() for contender in found}
        upstream = (*UPSTREAM, "--latency-ms", str(cell.latency))
        if cell.tls:
            upstream += ("--certificate", str(self._certificate))
        answers: dict[str, Any] = {}
        with self._processes.start(upstream, is_contender=False) as (_, url):
            environ = environment(url) | {
                **({"GATEWAY_CACHE_BYTES": "0"} if cell.same else {}),
                "SSL_CERT_FILE": str(self._authority),
                "NODE_EXTRA_CA_CERTS": str(self._authority),
                "NODE_ENV": "production",
            }
            for _ in range(rounds):
                for contender in found:
                    self._one(cell, contender, url, environ, rows[contender.name], answers)
        if len({json.dumps(answer, sort_keys=True).lower() for answer in answers.values()}) > 1:
            raise SystemExit(f"The answers to {cell.query} differ: {json.dumps(answers)[:3000]}")
        return rows

    def _one(
        self, cell: Cell, contender: Contender, url: str, environ: dict[str, str], row: Row, answers: dict[str, Any]
    ) -> None:
        if contender.command is None:
            self._script(cell, url, environ, row)
            return
        query = QUERIES[cell.query]
        with self._processes.start(contender.command, environ, is_contender=True) as (pid, address):

            def request(copy: int) -> bytes:
                return graphql_request(address, query, variables(cell.query, copy), TOKEN)

            answers[contender.name] = uvloop.run(ask_once(address, query, variables(cell.query), TOKEN))["data"]
            every: list[Iterator[bytes]]
            if cell.same or cell.known:
                every = [repeat(request(0 if cell.same else copy)) for copy in range(cell.concurrency)]
            else:
                every = [map(request, count(1))] * cell.concurrency
            uvloop.run(run_load(address, every, WARM_UP))
            self._calls(url)
            before, began = cpu_seconds(pid), time.perf_counter()
            took = uvloop.run(run_load(address, every, self._seconds))
            elapsed = time.perf_counter() - began
            row.cpu_ms.append((cpu_seconds(pid) - before) / len(took) * 1000)
            row.calls.append(self._calls(url) / len(took))
            row.rates.append(len(took) / elapsed)
            row.took += took
            row.mb = max(row.mb, peak_mb(pid))

    def _script(self, cell: Cell, url: str, environ: dict[str, str], row: Row) -> None:
        command = (sys.executable, "-m", "tests.bench.script", cell.query, str(cell.concurrency))
        about = () if cell.same or cell.known else ("--new",)
        self._processes.run((*command, "0"), environ)
        self._calls(url)
        told = json.loads(self._processes.run((*command, str(self._seconds), *about), environ).splitlines()[-1])
        row.calls.append(self._calls(url) / (len(told["took"]) + 1))  # It runs once before it is measured.
        row.cpu_ms.append(told["cpu"] / len(told["took"]) * 1000)
        row.rates.append(len(told["took"]) / self._seconds)
        row.took += told["took"]
        row.mb = max(row.mb, told["mb"])

    def own_limit(self) -> float:
        """How many calls a second the upstream itself answers, to sixteen bare connections."""
        with self._processes.start(UPSTREAM, is_contender=True) as (_, url):
            request = b"GET /v1/Services?PageSize=1 HTTP/1.1\r\nHost: x\r\n\r\n"
            return len(uvloop.run(run_load(url, [repeat(request)] * 16, self._seconds))) / self._seconds

    def _calls(self, url: str) -> int:
        context = self._context if url.startswith("https") else None
        with urllib.request.urlopen(f"{url}/calls", context=context) as response:
            return int(response.read())


def report(cell: Cell, rows: dict[str, Row]) -> None:
    """Print a table of one cell, in Markdown; ratios are the first row's figures by those of the row."""
    print(f"\n**{cell}**\n")
    print("| | requests/s | ratio | CV | p50 ms | ratio | p99 ms | CPU ms | upstream calls | peak MB |")
    print(f"|{'---|' * 10}")
    first = next(iter(rows.values()))
    for name, row in rows.items():
        p50 = percentile(row.took, 50)
        print(
            f"| {name} | {row.rate:,.0f} | {first.rate / row.rate:.2f} | {100 * row.variation:.1f} % | {p50:.2f} "
            f"| {percentile(first.took, 50) / p50:.2f} | {percentile(row.took, 99):.1f} | {statistics.median(row.cpu_ms):.3f} "
            f"| {statistics.median(row.calls):.1f} | {row.mb} |",
            flush=True,
        )


def compare_builds(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    """Measure beside another commit's build, or say why that cannot be done as it is asked for."""
    allowed = {"against", "rounds", "seconds"}
    surplus = [name for name, value in vars(given).items() if name not in allowed and value != parser.get_default(name)]
    if surplus:
        parser.error(f"--against does not go with --{surplus[0]}")
    rounds, seconds = given.rounds or against.ROUNDS, given.seconds or against.SECONDS
    if rounds < 2:
        parser.error("--against needs 2 rounds or more")
    try:
        commit = against.find_commit(given.against)
    except against.UnknownCommitError as error:
        parser.error(f"--against: {error}")
    against.compare(commit, rounds, seconds)


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="measure every cell")
    parser.add_argument("--query", choices=COMPARED)
    parser.add_argument("--latency", type=float, default=0.0, help="milliseconds to the upstream")
    parser.add_argument("--tls", action="store_true", help="speak TLS to the upstream")
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--known", action="store_true", help="ask about the same threads again and again")
    parser.add_argument("--same", action="store_true", help="ask about one thread on all connections, without a cache")
    parser.add_argument("--rounds", type=int, help=f"3, or {against.ROUNDS} with --against")
    parser.add_argument(
        "--seconds",
        type=float,
        help=f"how long each contender is asked in each round: 3, or {against.SECONDS} with --against",
    )
    parser.add_argument("--only", help="contenders whose name holds this, or one of several parts with commas between")
    parser.add_argument(
        "--against", metavar="COMMIT", help="compare with that commit's build; see gateway/docs/speed.md"
    )
    given = parser.parse_args()
    if given.against is not None:
        compare_builds(parser, given)
        return
    rounds, seconds = given.rounds or 3, given.seconds or 3.0
    if given.all:
        cells = [Cell(*each) for each in product(COMPARED, (0.0, 20.0, 80.0), (False, True), (1, 16, 64))]
    elif given.query:
        cells = [Cell(given.query, given.latency, given.tls, given.concurrency, given.same, given.known)]
    else:
        cells = DOCUMENTED_CELLS
    peers = install_peers()
    only = (given.only or "").split(",")
    found = [each for each in contenders(peers) if any(part in each.name for part in only)]
    print(f"{versions(peers)}; {rounds} rounds of {seconds:g} s, each after {WARM_UP:g} s that are not counted")
    with tempfile.TemporaryDirectory() as directory:
        authority, certificate = Path(directory) / "ca.pem", Path(directory) / "server.pem"
        made = trustme.CA()
        made.cert_pem.write_to_path(str(authority))
        made.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
        bench = Bench(Processes(Path(directory)), certificate, authority, seconds)
        print(f"The upstream itself answers {bench.own_limit():,.0f} calls a second.")
        for cell in cells:
            able = [contender for contender in found if cell.query in contender.queries]
            report(cell, bench.measure(cell, able, rounds))


if __name__ == "__main__":
    main()
