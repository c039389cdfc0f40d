"""`receipts-gateway sandbox`: the sandbox alone."""

import asyncio
import signal
import urllib.request

import pytest
from click.testing import CliRunner
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.cli import main
from gateway.sandbox import Sandbox

from ..conftest import serving
from .conftest import start


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_sandbox_runs_alone_and_stops(number: signal.Signals) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # As a shell has it for what it starts in the background.
    try:
        sandbox = start("sandbox", "--port", "0", "--seed", "7")
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        assert sandbox.stdout is not None
        url = sandbox.stdout.readline().split()[1]
        with urllib.request.urlopen(url, timeout=10) as response:
            assert response.status == 200
        sandbox.send_signal(number)
        _, errors = sandbox.communicate(timeout=10)
    finally:
        sandbox.kill()
        sandbox.communicate()
    assert (sandbox.returncode, errors) == (0, "")


async def test_trigger_fires_an_event_of_a_running_sandbox(sandbox: Sandbox) -> None:
    async with serving(_accept) as url:
        names = [f"MessageSid={sandbox.landmarks['message_sid']}", "Status=read"]
        command = ["sandbox", "trigger", "onDeliveryUpdated", *names, "--sandbox", sandbox.url, "--to", f"{url}/hook"]
        result = await asyncio.to_thread(CliRunner().invoke, main, command)
        assert (result.exit_code, result.output) == (0, f"onDeliveryUpdated sent to {url}/hook\n")
        await sandbox.until(lambda: not sandbox.webhooks[0].open)
    assert (sandbox.webhooks[0].statuses, sandbox.webhooks[0].parameters["Status"]) == ([204], "read")


async def _accept(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await Response(status_code=204)(scope, receive, send)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["onDeliveryUpdated", "Status"], 2, "A parameter is NAME=VALUE"),
        (["onDeliveryUpdated", "--sandbox", "example.com"], 2, "is not an address"),
        (["onDeliveryUpdated", "--sandbox", "http://127.0.0.1:1"], 2, "is not a running sandbox"),
        (["onEverything"], 1, "event must be one of"),
        (["onDeliveryUpdated"], 1, "no webhook is configured"),
    ],
)
async def test_trigger_says_what_is_wrong(sandbox: Sandbox, arguments: list[str], code: int, message: str) -> None:
    command = ["sandbox", "trigger", *arguments, *([] if "--sandbox" in arguments else ["--sandbox", sandbox.url])]
    result = await asyncio.to_thread(CliRunner().invoke, main, command)
    assert result.exit_code == code
    assert message in result.output
