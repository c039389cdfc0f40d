"""`receipts-gateway healthcheck`: its exit code, and the port that it finds."""

import asyncio
import socket
from pathlib import Path

import pytest

from gateway.app import create_app
from gateway.commands import healthcheck
from gateway.demo import settings_for
from gateway.sandbox import Sandbox
from gateway.web.server import Drainable, serving

from .conftest import run


async def test_the_exit_code_says_whether_it_is_ready(sandbox: Sandbox) -> None:
    app = create_app(settings_for(sandbox))
    async with serving(app) as url:
        port = url.rpartition(":")[2]
        result = await asyncio.to_thread(run, "healthcheck", "--port", port)
        assert (result.returncode, result.stdout) == (0, f"127.0.0.1:{port}: ok\n")
        assert isinstance(app, Drainable)
        app.begin_drain(0.0)
        result = await asyncio.to_thread(run, "healthcheck", "--port", port)
        assert (result.returncode, result.stderr) == (1, f"127.0.0.1:{port}: stopping\n")
    result = await asyncio.to_thread(run, "healthcheck", "--port", port)
    assert (result.returncode, "Connection refused" in result.stderr) == (1, True)


def test_it_waits_two_seconds_at_most() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        result = run("healthcheck", "--port", str(silent.getsockname()[1]))
    assert (result.returncode, "timed out" in result.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "port"),
    [
        ("python receipts-gateway serve --host 0.0.0.0", 8000),
        ("receipts-gateway serve --host 0.0.0.0 --port 9000", 9000),
        ("/sbin/docker-init -- receipts-gateway serve --port=9000 --workers 2", 9000),
        ("receipts-gateway serve --port", 8000),
        ("sh", 8000),
    ],
)
def test_the_port_is_that_of_the_first_process(
    arguments: str, port: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "cmdline"
    file.write_bytes(b"".join(part.encode() + b"\0" for part in arguments.split()))
    monkeypatch.setattr(healthcheck, "Path", lambda _: file)
    assert healthcheck._port_of_first_process() == port
