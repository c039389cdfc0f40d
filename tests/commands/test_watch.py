"""`receipts-gateway watch`: changes as they come, over restarts, and what it says when it cannot go on."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from dataclasses import replace
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import CliRunner, Result

from gateway.app import create_app
from gateway.callers.callers import Token
from gateway.cli import main
from gateway.demo import settings_for
from gateway.sandbox import Sandbox

from ..conftest import live, serving
from .conftest import start

SECRET = "a-secret-of-16-characters"


class Watch:
    """A `watch` that runs in a process of its own."""

    def __init__(self, *arguments: str) -> None:
        self.process: subprocess.Popen[str] = start("watch", *arguments)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._out, self._err = self.process.stdout, self.process.stderr

    async def line(self) -> str:
        return (await asyncio.to_thread(self._out.readline)).rstrip("\n")

    async def said(self) -> str:
        """The next line of standard error."""
        return (await asyncio.to_thread(self._err.readline)).rstrip("\n")

    async def interrupt(self) -> tuple[int, str]:
        """Press Ctrl-C; return the exit code, and what follows on standard error."""
        self.process.send_signal(signal.SIGINT)
        _, errors = await asyncio.to_thread(self.process.communicate)
        return self.process.returncode, errors


async def test_changes_are_printed_and_none_is_missed_when_the_connection_ends(sandbox: Sandbox) -> None:
    marks = sandbox.landmarks
    service, conversation, message = (
        marks["service_sid"],
        marks["conversation_sid"],
        marks["pending_receipt_message_sid"],
    )
    receipt = marks["pending_receipt_sid"]
    async with live(sandbox) as (app, base):
        url = f"{base}/graphql"
        table, lines = Watch(service, "--url", url), Watch(service, conversation, "--url", url, "--format", "ndjson")
        try:
            for each in (table, lines):
                assert await each.said() == "Subscribed. Changes are found by webhooks. Ctrl-C ends it."
            assert (await line_of(lines))["__typename"] == "DeliveriesReady"

            sandbox.world.progress(message, receipt_sid=receipt)
            assert (await table.line()).split() == [
                "TIME", "STATUS", "MESSAGE", "RECIPIENT", "CONVERSATION", "ERROR",
            ]  # fmt: skip
            assert (await table.line()).split()[1:3] == ["SENT", message]
            change = await line_of(lines)
            assert (change["receipt"]["sid"], change["receipt"]["status"]) == (receipt, "SENT")

            app.state.streams.drain(0)
            app.state.streams.is_draining = False
            sandbox.world.progress(message, receipt_sid=receipt, to="failed", error_code=30006)
            for each in (table, lines):
                assert await each.said() == "The connection has ended. Subscribing again."
                assert await each.said() == "Subscribed again. Nothing was missed."
            assert (await table.line()).split()[1:4] == ["SENT", "->", "FAILED"]
            assert [(await line_of(lines))["__typename"] for _ in range(2)] == ["DeliveriesReady", "ReceiptChange"]
            assert await table.interrupt() == (0, "")
            assert await lines.interrupt() == (0, "")
        finally:
            for each in (table, lines):
                each.process.kill()
                each.process.communicate()


async def line_of(watch: Watch) -> Any:
    return json.loads(await watch.line())


async def invoke(*arguments: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, main, ["watch", *arguments])


async def test_what_the_gateway_refuses_is_printed(sandbox: Sandbox) -> None:
    service = sandbox.landmarks["service_sid"]
    settings = replace(settings_for(sandbox), tokens={"script": Token(SECRET, frozenset({service}))})
    async with serving(create_app(settings)) as url:
        options = ["--url", f"{url}/graphql", "--token"]
        for arguments, words in (
            ([service, *options, "another-wrong-token"], "Set --token, or RECEIPTS_GATEWAY_TOKEN."),
            ([sandbox.landmarks["other_service_sid"], *options, SECRET], "may not read"),
            (["IS1", *options, SECRET], "of the form IS"),
            ([service, "CH1", *options, SECRET], "of the form CH"),
            ([service, *["CH" + "0" * 32] * 101, *options, SECRET], "100"),
        ):
            result = await invoke(*arguments)
            assert (result.exit_code, type(result.exception)) == (1, SystemExit), result.output
            assert words in result.stderr, arguments
    async with serving(create_app(settings_for(sandbox))) as url:
        result = await invoke(f"IS{'0' * 32}", "--url", f"{url}/graphql")
        assert result.exit_code == 1
        assert f"There is no service IS{'0' * 32}." in result.stderr


async def test_a_conversation_that_does_not_exist_ends_it(sandbox: Sandbox) -> None:
    async with serving(create_app(settings_for(sandbox))) as url:
        result = await invoke(sandbox.landmarks["service_sid"], f"CH{'0' * 32}", "--url", f"{url}/graphql")
    assert result.exit_code == 1


async def test_an_address_that_is_no_gateway_is_reported(sandbox: Sandbox) -> None:
    server = TestServer(web.Application())
    async with server:
        for url, words in (
            ("http://127.0.0.1:1/graphql", "cannot be reached. Is the gateway running?"),
            ("http://", "--url: http:// is not an address."),
            ("localhost/graphql", "must start with http:// or https://"),
            (str(server.make_url("/graphql")), "does not answer as a gateway does: its path is /graphql."),
        ):
            result = await invoke("IS1", "--url", url)
            assert (result.exit_code, type(result.exception)) == (2, SystemExit)
            assert words in result.stderr
