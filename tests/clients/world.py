"""A gateway with webhooks over a sandbox, whose streams can be ended in every way, for the checks of `live/`.

`python -m tests.clients.world` serves it and prints its addresses as JSON. The checks steer it over HTTP:

| route | does |
|---|---|
| `GET /streams` | returns the transport and the caller of each open stream |
| `POST /end` | ends all streams, or `most` of a `transport` or `conversation`, for a `reason` of `gateway.web.streams` |
| `POST /restart` | stops the gateway as SIGTERM does, and starts another one at the same address |
| `POST /tokens` | accepts these tokens in place of the earlier ones: by caller, each with the services that it may read |
| `POST /limits` | sets limits on streams, and on subscriptions |
| `POST /truth/graphql` | answers from the sandbox as it is, by a gateway that keeps nothing |
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from gateway.app import create_app
from gateway.callers.callers import Token
from gateway.demo import ready_facts, settings_for
from gateway.log import configure_log
from gateway.sandbox import Sandbox
from gateway.settings import WebhookSettings
from gateway.web.server import address, listen, serving
from gateway.web.streams import End

_ROOT = Path(__file__).parents[2]
TOKEN = "a token for the first hour"


class World:
    """The gateway that is checked, and what steers it."""

    def __init__(self, sandbox: Sandbox) -> None:
        with listen("127.0.0.1", 0, "--port") as listener:
            self.port, self.url = listener.getsockname()[1], address(listener)
        webhook = WebhookSettings(url=f"{self.url}/webhooks/twilio", auth_token=sandbox.auth_token)
        self._settings = replace(settings_for(sandbox), webhook=webhook, tokens={"frontend": Token(TOKEN)})
        self._exits = AsyncExitStack()
        self._app: Starlette
        self.truth = create_app(replace(settings_for(sandbox), cache_bytes=0, subscriptions=False))
        routes = [
            Route("/streams", self._streams),
            Route("/end", self._end, methods=["POST"]),
            Route("/restart", self._restart, methods=["POST"]),
            Route("/tokens", self._tokens, methods=["POST"]),
            Route("/limits", self._limits, methods=["POST"]),
            Mount("/truth", self.truth),
        ]
        self.control = Starlette(routes=routes)

    async def start(self) -> None:
        """Start a gateway with an empty cache."""
        self._app = create_app(self._settings)
        listener = listen("127.0.0.1", self.port, "--port")
        await self._exits.enter_async_context(serving(self._app, listener=listener))

    async def stop(self) -> None:
        """End the streams, then stop, as on SIGTERM."""
        self._app.begin_drain(0)  # type: ignore[attr-defined]
        await self._exits.aclose()

    async def _streams(self, _: Request) -> Response:
        streams = self._app.state.streams._open
        return JSONResponse(
            [{"transport": each.transport, "caller": each.caller and each.caller.name} for each in streams]
        )

    async def _end(self, request: Request) -> Response:
        asked = await request.json()
        ended = [
            each
            for each in self._app.state.streams._open
            if asked.get("transport") in (None, each.transport)
            and ("conversation" not in asked or asked["conversation"] in _conversations(each))
        ][: asked.get("most")]
        for each in ended:
            each.end(End[asked["reason"]])
        return JSONResponse(len(ended))

    async def _restart(self, _: Request) -> Response:
        await self.stop()
        await self.start()
        return JSONResponse(None)

    async def _tokens(self, request: Request) -> Response:
        tokens = {
            name: Token(secret, frozenset(services) if services is not None else None)
            for name, (secret, services) in (await request.json()).items()
        }
        self._settings = replace(self._settings, tokens=tokens)
        self._app.replace_tokens(tokens)  # type: ignore[attr-defined]
        return JSONResponse(None)

    async def _limits(self, request: Request) -> Response:
        limits = await request.json()
        streams, subscriptions = self._app.state.streams, self._app.state.account.subscriptions
        ours = {name: limits.pop(name) for name in ("most", "per_caller") if name in limits}
        subscriptions._limits = replace(subscriptions._limits, **ours)
        streams.limits = replace(streams.limits, **limits)
        return JSONResponse(None)


def _conversations(stream: Any) -> set[str]:
    """Return the sids of the conversations that a stream is subscribed to."""
    operations = stream.operations.values() if stream.transport == "websocket" else [stream]
    subscriptions = [each._subscription for each in operations if hasattr(each, "_subscription")]
    return {sid for each in subscriptions if each._group for sid in each._group._conversations or ()}


@asynccontextmanager
async def world() -> AsyncIterator[dict[str, str]]:
    """Serve a world; the value is what the checks need to know of it, as the demo's ready file has it."""
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(Sandbox(size="small"))
        here = World(sandbox)
        await stack.enter_async_context(here.truth.router.lifespan_context(here.truth))
        control = await stack.enter_async_context(serving(here.control))
        await here.start()
        stack.push_async_callback(here.stop)
        await _configure(sandbox, f"{here.url}/webhooks/twilio")
        facts = ready_facts(sandbox, here.url)
        yield facts | {"control": control, "truth": f"{control}/truth/graphql", "token": TOKEN}


async def _configure(sandbox: Sandbox, url: str) -> None:
    """Have the sandbox send all events of its account to `url`."""
    events = ("DeliveryUpdated", "MessageAdded", "MessageUpdated", "MessageRemoved")
    form = [("PostWebhookUrl", url), ("Method", "POST"), *(("Filters", f"on{event}") for event in events)]
    headers = {"Authorization": aiohttp.encode_basic_auth(sandbox.account_sid, sandbox.auth_token)}
    target = f"{sandbox.url}/v1/Configuration/Webhooks"
    async with aiohttp.ClientSession() as http, http.post(target, data=form, headers=headers) as response:
        assert response.status == 200, await response.text()


@contextmanager
def served() -> Iterator[str]:
    """Serve a world in another process; the value is what `world` has, as JSON."""
    process = subprocess.Popen([sys.executable, "-m", __name__], cwd=_ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        facts = process.stdout.readline()
        assert facts, "the gateway did not start"
        yield facts
    finally:
        process.kill()  # Its clients may still be connected: it would wait for them.
        process.communicate()


async def main() -> None:
    """Serve until the process is stopped."""
    configure_log("warning")
    async with world() as facts:
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
