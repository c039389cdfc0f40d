"""What tests of the commands share: the command line as a process of its own, with an environment of its own."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from gateway.sandbox import Sandbox

ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith(("TWILIO_", "GATEWAY_"))}
ACCOUNT = {"TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TWILIO_AUTH_TOKEN": "secret"}
"""Credentials for tests that send nothing to Twilio."""


def environ_for(sandbox: Sandbox) -> dict[str, str]:
    """Return the settings for the sandbox as the upstream."""
    return {
        "TWILIO_ACCOUNT_SID": sandbox.account_sid,
        "TWILIO_AUTH_TOKEN": sandbox.auth_token,
        "GATEWAY_UPSTREAM_URL": sandbox.url,
    }


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments], capture_output=True, text=True, env=ENVIRON | environ, timeout=30
    )


def start(*arguments: str, **environ: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "gateway", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRON | environ,
    )


def command_line(pid: int) -> bytes:
    """Return the command line of a process. It is empty once the process has ended, even if nobody has waited for it."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def worker_pids(server: subprocess.Popen[str]) -> set[int]:
    """Return the process ids of the workers of `serve`."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    return {pid for pid in map(int, children) if b"spawn_main" in command_line(pid)}


def ask(url: str, query: str) -> Any:
    request = urllib.request.Request(url, json.dumps({"query": query}).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)
