"""The processes of a benchmark: where they run, how they are started, and what they have used."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

__all__ = [
    "CONNECTIONS_MAX",
    "PEERS",
    "ROOT",
    "SERVE",
    "TOKEN",
    "UPSTREAM",
    "WARM_UP",
    "Processes",
    "cpu_seconds",
    "environment",
    "install_peers",
    "interpreter",
    "peak_mb",
]

ROOT = Path(__file__).parent.parent.parent
PEERS = Path(__file__).parent / "peers"
"""The servers that npm installs what they need for."""
SERVE: tuple[str, ...] = (sys.executable, "-m", "gateway", "serve", "--port", "0")
UPSTREAM: tuple[str, ...] = (sys.executable, "-m", "tests.bench.upstream")
TOKEN = "a-token-for-the-benchmark"
CONNECTIONS_MAX = 512
"""The most connections to the upstream: as many as the gateway's limit grows to, for each contender."""
WARM_UP = 1.0
"""Seconds of load that are not counted."""


def environment(upstream: str) -> dict[str, str]:
    """The settings of a gateway, or of a peer, over an upstream."""
    return {
        "UPSTREAM_URL": upstream,
        "UPSTREAM_CONNECTIONS": str(CONNECTIONS_MAX),
        "GATEWAY_UPSTREAM_URL": upstream,
        "GATEWAY_TOKENS": f"bench:{TOKEN}",
        "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
        "TWILIO_AUTH_TOKEN": "0" * 32,
    }


class Processes:
    """Where processes run: contenders on the first processor, all else on the others."""

    def __init__(self, directory: Path) -> None:
        processors = sorted(os.sched_getaffinity(0))
        self._first, self._others = {processors[0]}, set(processors[1:]) or {processors[0]}
        self._log = directory / "log"
        os.sched_setaffinity(0, self._others)

    @contextlib.contextmanager
    def start(
        self,
        command: tuple[str, ...],
        environ: Mapping[str, str] = {},
        *,
        is_contender: bool,
        root: Path = ROOT,
    ) -> Iterator[tuple[int, str]]:
        """Run a server, with `root`'s code, until the end of the block.

        Gives its process id, and the address in the first line it prints.
        """
        processors = self._first if is_contender else self._others
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=root,
                env={**os.environ, "PYTHONPATH": str(root), **environ},
                stdout=subprocess.PIPE,
                stderr=log,
                preexec_fn=lambda: os.sched_setaffinity(0, processors),
            )
        try:
            assert process.stdout is not None
            line = process.stdout.readline().decode()
            address = next((word.rstrip(",") for word in line.split() if word.startswith("http")), "")
            if not address and "ready" not in line:
                raise SystemExit(f"{' '.join(command)} did not start; see {self._log.read_text()[-2000:]}")
            address = address.removesuffix("/graphql")
            if address:
                wait_until_open(address)
            yield process.pid, address
        finally:
            process.terminate()
            process.wait(10)

    def run(self, command: tuple[str, ...], environ: Mapping[str, str] = {}, *, root: Path = ROOT) -> str:
        """Run a contender, with `root`'s code, to its end; gives what it printed."""
        return subprocess.run(
            command,
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root), **environ},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, self._first),
        ).stdout


def install_peers() -> Path | None:
    """Where npm's peers are, installed by their lock; None, and why, when that cannot be."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        print("No npm here: its peers are left out.")
        return None
    target = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "receipts-gateway-bench"
    shutil.copytree(PEERS, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
    done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=target, capture_output=True, text=True)
    if done.returncode:
        print(f"npm could not install the peers, so they are left out: {done.stderr.strip()[-300:]}")
        return None
    return target


def wait_until_open(address: str) -> None:
    """Wait until connections are taken, which most servers do before they tell their address."""
    where, end = urlsplit(address), time.monotonic() + 10
    while True:
        try:
            socket.create_connection((where.hostname or "", where.port or 80)).close()
            return
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)  # A program of others' makes no sign when it begins to listen.


def interpreter() -> str:
    """The interpreter and how it was built: profile-guided optimization (PGO) saves a third of the gateway's CPU time."""
    flags = " ".join(str(sysconfig.get_config_var(name)) for name in ("CONFIG_ARGS", "PY_CFLAGS", "PY_CORE_CFLAGS"))
    is_profiled = "--enable-optimizations" in flags or "-fprofile-use" in flags
    build = "with PGO" if is_profiled else "without PGO as far as sysconfig says (Debian's packages have it unsaid)"
    return f"{platform.python_implementation()} {platform.python_version()} {build}, {os.cpu_count()} cores"


def cpu_seconds(pid: int) -> float:
    """The processor time of a process, its threads included, to the nanosecond."""
    return time.clock_gettime(~pid << 3 | 2)  # Linux's clock of a process, as clock_getcpuclockid(3) makes it.


def peak_mb(pid: int) -> int:
    """The most memory a process has held."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024
