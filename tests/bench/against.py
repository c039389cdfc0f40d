"""This build of the gateway beside another commit's, in one run: `python -m tests.bench --against COMMIT`.

The other commit is checked out into a temporary git worktree. Each build is driven by its command line and by HTTP alone, so it
does not matter where its modules are. Both are served by the same interpreter, with the same settings, on the same processor;
they are measured in turn, and the one that is not measured is idle.
"""

from __future__ import annotations

import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count, repeat
from pathlib import Path
from typing import NamedTuple

import uvloop

from .load import ask_once, graphql_request, run_load
from .processes import ROOT, SERVE, TOKEN, UPSTREAM, WARM_UP, Processes, cpu_seconds, environment, interpreter, peak_mb
from .queries import QUERIES, variables

__all__ = ["ROUNDS", "SECONDS", "Comparison", "UnknownCommitError", "compare", "compared", "find_commit"]

ROUNDS = 30
SECONDS = 0.45
CONCURRENCY = 16
HELP = (sys.executable, "-m", "gateway", "--help")
HELP_RUNS = 10


class UnknownCommitError(Exception):
    """What was given is no commit of this repository, or there is no repository."""


class Row(NamedTuple):
    """What is asked: one operation again and again, or each time about what was never asked about before."""

    name: str
    query: str
    cold: bool
    concurrency: int = CONCURRENCY
    settings: Mapping[str, str] = {}


ROWS = (
    Row("known Q1", "Q1", cold=False),
    Row("known Q3", "Q3", cold=False),
    Row("cold Q1", "Q1", cold=True),
    Row("cold Q3", "Q3", cold=True),
    Row("cold, `first: 1000`", "Q5", cold=True, concurrency=1, settings={"GATEWAY_COST_LIMIT": "5000"}),
)


@dataclass(frozen=True)
class Comparison:
    """A figure of both builds, over the rounds."""

    this: float
    """The median of this build's figures."""
    that: float
    ratio: float
    """The median of the ratios this/that, one for each round."""
    least: float
    most: float
    variation: float
    """The coefficient of variation of those ratios."""


def compared(pairs: Sequence[tuple[float, float]]) -> Comparison:
    """Summarize a figure of this and that build, a pair for each round; there must be two rounds at least."""
    ratios = [this / that for this, that in pairs]
    return Comparison(
        this=statistics.median(this for this, _ in pairs),
        that=statistics.median(that for _, that in pairs),
        ratio=statistics.median(ratios),
        least=min(ratios),
        most=max(ratios),
        variation=statistics.stdev(ratios) / statistics.mean(ratios),
    )


@dataclass
class Build:
    """A build that is being served, and what was measured of it."""

    pid: int
    requests: list[Iterator[bytes]]
    url: str
    rates: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    calls: list[float] = field(default_factory=list)
    """Upstream calls per operation."""

    def load(self, seconds: float) -> int:
        """Ask for so long; gives how many operations were answered."""
        return len(uvloop.run(run_load(self.url, self.requests, seconds)))

    def measure(self, seconds: float, count_calls: Callable[[], int]) -> None:
        """Ask for so long, and note what that took."""
        count_calls()
        before, began = cpu_seconds(self.pid), time.perf_counter()
        operations = self.load(seconds)
        elapsed, used = time.perf_counter() - began, cpu_seconds(self.pid) - before
        self.rates.append(operations / elapsed)
        self.cpu_ms.append(used / operations * 1000)
        self.calls.append(count_calls() / operations)


def requests_for(row: Row, url: str) -> list[Iterator[bytes]]:
    """The requests of each connection; the cold ones go through ever new copies of the upstream's data."""

    def request(copy: int) -> bytes:
        return graphql_request(url, QUERIES[row.query], variables(row.query, copy), TOKEN)

    return [map(request, count(1)) if row.cold else repeat(request(0))] * row.concurrency


def git(*arguments: str) -> str:
    """What git prints about this repository; raises `CalledProcessError`."""
    return subprocess.run(
        ("git", "-C", str(ROOT), *arguments), check=True, capture_output=True, text=True
    ).stdout.strip()


def find_commit(name: str) -> str:
    """The hash of a commit; raises `UnknownCommitError`."""
    try:
        return git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}").splitlines()[-1]
    except FileNotFoundError:
        raise UnknownCommitError("git is not installed") from None
    except subprocess.CalledProcessError as error:
        raise UnknownCommitError(f"{name!r} is no commit here. {error.stderr.strip()}".rstrip()) from None


@contextmanager
def worktree(commit: str, root: Path) -> Iterator[None]:
    """Have a commit's tree at `root` until the end of the block."""
    try:
        git("worktree", "add", "--detach", str(root), commit)
        yield
    finally:
        git("worktree", "remove", "--force", str(root))


def prepare(processes: Processes, root: Path) -> None:
    """Compile a tree, so that neither build does it while it is measured; and see that its code is what would be run."""
    processes.run((sys.executable, "-m", "compileall", "-q", "gateway"), root=root)
    where = "from importlib.util import find_spec; print(find_spec('gateway').origin)"
    found = processes.run((sys.executable, "-c", where), root=root).strip()
    if not Path(found).is_relative_to(root):
        raise SystemExit(f"In {root} Python finds the gateway of another tree: {found}")


def import_times(processes: Processes, roots: Sequence[Path]) -> Comparison:
    """Milliseconds that `receipts-gateway --help` takes, as a whole process; the first run of each is not counted."""

    def milliseconds(root: Path) -> float:
        began = time.perf_counter()
        processes.run(HELP, root=root)
        return (time.perf_counter() - began) * 1000

    this, that = roots
    return compared([(milliseconds(this), milliseconds(that)) for _ in range(1 + HELP_RUNS)][1:])


def measure(processes: Processes, upstream: str, row: Row, roots: Sequence[Path], rounds: int, seconds: float) -> str:
    """Serve both builds, and ask them in turn; gives the row of the table."""

    def upstream_calls() -> int:
        with urllib.request.urlopen(f"{upstream}/calls") as response:
            return int(response.read())

    settings = environment(upstream) | {
        "GATEWAY_GRAPHIQL": "0",
        **row.settings,
    }  # Its bundle is built, and not in every tree.
    with ExitStack() as stack:
        builds: list[Build] = []
        answers = []
        for root in roots:
            pid, url = stack.enter_context(processes.start(SERVE, settings, is_contender=True, root=root))
            builds.append(Build(pid, requests_for(row, url), url))
            answers.append(uvloop.run(ask_once(url, QUERIES[row.query], variables(row.query), TOKEN))["data"])
        if answers[0] != answers[1]:
            raise SystemExit(f"The answers to {row.query} differ: {answers}")
        for build in builds:
            build.load(WARM_UP)
        for _ in range(rounds):
            for build in builds:
                build.measure(seconds, upstream_calls)
        return line(row, builds, [peak_mb(build.pid) for build in builds])


def line(row: Row, builds: Sequence[Build], peaks: Sequence[int]) -> str:
    """A row of the table."""
    this, that = builds
    rate = compared(list(zip(this.rates, that.rates, strict=True)))
    cpu = compared(list(zip(this.cpu_ms, that.cpu_ms, strict=True)))
    calls = [statistics.median(build.calls) for build in builds]
    cells = (
        row.name,
        f"{rate.this:,.0f}",
        f"{rate.that:,.0f}",
        f"{rate.ratio:.3f} ({rate.least:.2f}–{rate.most:.2f})",
        f"{100 * rate.variation:.1f} %",
        f"{cpu.this:.3f}",
        f"{cpu.that:.3f}",
        f"{cpu.ratio:.3f}",
        f"{calls[0]:.1f}, {calls[1]:.1f}",
        f"{peaks[0]}, {peaks[1]}",
        f"{peaks[0] / peaks[1]:.3f}",
    )
    return f"| {' | '.join(cells)} |"


def heading(commit: str, rounds: int, seconds: float) -> str:
    """What is compared, on what, and the head of the table."""
    changed = ", with changes" if git("status", "--porcelain") else ""
    return (
        f"this: {git('rev-parse', '--short', 'HEAD')}{changed}; that: {git('rev-parse', '--short', commit)}\n"
        f"{interpreter()}; {rounds} rounds of {seconds:g} s, {CONCURRENCY} at once, but `first: 1000` one by one\n\n"
        "| | requests/s: this | that | this/that (min–max) | its CV | CPU ms: this | that | this/that "
        f"| upstream calls | peak MB | this/that |\n|{'---|' * 11}"
    )


def compare(commit: str, rounds: int, seconds: float) -> None:
    """Measure this tree, changes that are not committed included, beside a commit's, and print."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # The worktree is removed then too.
    with tempfile.TemporaryDirectory() as directory:
        roots = ROOT, Path(directory).resolve() / "that"
        processes = Processes(Path(directory))
        with worktree(commit, roots[1]):
            for root in roots:
                prepare(processes, root)
            print(heading(commit, rounds, seconds), flush=True)
            with processes.start(UPSTREAM, is_contender=False) as (_, upstream):
                for row in ROWS:
                    print(measure(processes, upstream, row, roots, rounds, seconds), flush=True)
            took = import_times(processes, roots)
            print(
                f"\nreceipts-gateway --help: {took.this:.0f} ms, {took.that:.0f} ms; this/that {took.ratio:.3f} "
                f"({took.least:.2f}–{took.most:.2f}), CV {100 * took.variation:.1f} %"
            )
