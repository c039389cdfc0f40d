"""Runs the shell blocks of README and of the documentation, over the sandbox."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.sandbox import Sandbox


def environment(sandbox: Sandbox, **more: str) -> dict[str, str]:
    """Return this process's environment, with the command on the path, and with settings for the sandbox only."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TWILIO_", "GATEWAY_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    return kept | {"PATH": path, "GATEWAY_UPSTREAM_URL": sandbox.url} | more


def credentials(sandbox: Sandbox) -> dict[str, str]:
    """Return the sandbox's credentials as settings."""
    return {"TWILIO_ACCOUNT_SID": sandbox.account_sid, "TWILIO_AUTH_TOKEN": sandbox.auth_token}


def shell(script: str, environ: dict[str, str], cwd: Path) -> str:
    """Run a script, which must succeed, and return what it prints."""
    done = subprocess.run(["bash", "-euc", script], env=environ, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def serving_script(script: str, environ: dict[str, str], cwd: Path) -> Iterator[tuple[str, list[str]]]:
    """Run a script that ends in `receipts-gateway serve`: the gateway's GraphQL URL, and the lines printed so far."""
    script = script.replace("receipts-gateway serve", "exec receipts-gateway serve --port 0")
    with subprocess.Popen(["bash", "-euc", script], env=environ, cwd=cwd, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        printed: list[str] = []
        try:
            for line in running.stdout:
                printed.append(line)
                if found := re.match(r"GraphQL at ([^\s,]+)", line):
                    yield found[1], printed
                    break
            else:
                pytest.fail(f"It did not start: {printed}")
        finally:
            running.terminate()
