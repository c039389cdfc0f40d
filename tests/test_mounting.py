"""The gateway inside another ASGI application, served by uvicorn with its own protocol, below a path prefix."""

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import aiohttp
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp
from structlog.testing import capture_logs

import gateway
from gateway.demo import landmark_variables, settings_for
from gateway.sandbox import Fault, Sandbox
from gateway.web.http_protocol import BoundedProtocol

from .commands.conftest import ENVIRON, environ_for
from .docs.blocks import blocks

THREAD = """query Thread($serviceSid: ID!, $conversationSid: ID!) {
  service(sid: $serviceSid) { conversation(sid: $conversationSid) {
    messages(first: 2) { edges { node { sid ... @defer { receipts { totalCount } } } } }
  } }
}"""
PAGE = {"Accept": "text/html"}


class _Server(uvicorn.Server):
    """Uvicorn, and an event for when it answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_ready = asyncio.Event()

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        self.is_ready.set()


@asynccontextmanager
async def served(app: ASGIApp, **options: str) -> AsyncIterator[str]:
    """Serve an application as `uvicorn app:app` does; the value is its base URL."""
    config = uvicorn.Config(app, port=0, log_config=None, **options)  # type: ignore[arg-type]
    server = _Server(config)
    running = asyncio.create_task(server.serve())
    await server.is_ready.wait()
    assert not issubclass(config.http_protocol_class, BoundedProtocol)
    (listener,) = server.servers[0].sockets
    try:
        yield "http://%s:%d" % listener.getsockname()
    finally:
        server.should_exit = True
        await running


def mounted(api: Starlette) -> Starlette:
    """Return an application with a page of its own, and the gateway below /receipts."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with api.router.lifespan_context(api):
            yield

    def home(request: Request) -> PlainTextResponse:
        return PlainTextResponse("home")

    return Starlette(routes=[Route("/", home), Mount("/receipts", api)], lifespan=lifespan)


@pytest.fixture
async def base(sandbox: Sandbox) -> AsyncIterator[str]:
    """The address of the mounted gateway."""
    settings = replace(settings_for(sandbox), cors_origins=frozenset({"https://app.example.com"}))
    async with served(mounted(gateway.create_app(settings))) as url:
        yield f"{url}/receipts"


async def test_the_routes_are_below_the_prefix(base: str, http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    query = "query Q($sid: ID!) { service(sid: $sid) { friendlyName } }"
    body = {"query": query, "variables": {"sid": sandbox.landmarks["service_sid"]}}
    for _ in range(2):  # The second answer is cached.
        async with http.post(f"{base}/graphql", json=body) as response:
            assert response.status == 200
            assert (await response.json())["data"]["service"]["friendlyName"]
    async with http.get(f"{base}/graphql", params={"query": "{ __typename }"}) as response:
        assert await response.json() == {"data": {"__typename": "Query"}}
    for path in ("livez", "readyz", "metrics"):
        async with http.get(f"{base}/{path}") as response:
            assert response.status == 200
    async with http.get(urljoin(base, "/")) as response:
        assert await response.text() == "home"
    async with http.get(urljoin(base, "/graphql")) as response:
        assert response.status == 404


async def test_graphiql_and_what_it_loads_are_below_the_prefix(base: str, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{base}/graphql?query={{__typename}}", headers=PAGE) as response:  # Redirected.
        assert str(response.url) == f"{base}/graphiql?q=%7B__typename%7D"
        assert response.status == 200
        page = await response.text()
    for link in re.findall(r'(?:src|href)="([^"#]+)"', page):
        if not link.startswith(("data:", "https://")):
            async with http.get(urljoin(f"{base}/graphiql", link)) as response:
                assert response.status == 200, link
    async with http.get(f"{base}/nope") as response:
        (error,) = (await response.json())["errors"]
        assert "GraphQL is at /receipts/graphql, GraphiQL at /receipts/graphiql." in error["message"]


async def test_a_prefix_that_a_proxy_removes(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    async with served(gateway.create_app(settings_for(sandbox)), root_path="/receipts") as url:
        async with http.post(f"{url}/graphql", json={"query": "{ __typename }"}) as response:
            assert await response.json() == {"data": {"__typename": "Query"}}
        async with http.get(f"{url}/graphql", headers=PAGE, allow_redirects=False) as response:
            assert response.headers["Location"] == "graphiql"


async def test_cors_holds_for_the_mounted_gateway(base: str, http: aiohttp.ClientSession) -> None:
    headers = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}
    async with http.options(f"{base}/graphql", headers=headers) as response:
        assert response.status == 200
        assert response.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    async with http.post(f"{base}/graphql", json={"query": "{ __typename }"}, headers=headers) as response:
        assert response.headers["Access-Control-Allow-Origin"] == "https://app.example.com"


async def test_deferred_parts_are_streamed(base: str, http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    sandbox.faults.add("*/Receipts*", Fault("hang"))
    body = {"query": THREAD, "variables": landmark_variables(THREAD, sandbox.landmarks)}
    async with http.post(f"{base}/graphql", json=body, headers={"Accept": "multipart/mixed"}) as response:
        assert response.content_type == "multipart/mixed"
        received = b""
        while b'"hasNext":true' not in received:  # It comes before the receipts, which never do.
            chunk = await response.content.readany()
            assert chunk
            received += chunk
        assert b'"sid":"IM' in received


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_client_that_disconnects_ends_its_reads(
    http: aiohttp.ClientSession, sandbox: Sandbox, method: str
) -> None:
    sandbox.faults.add("*", Fault("hang"))
    patient = replace(settings_for(sandbox), deadline=60.0, upstream_timeout=60.0)
    query = "{ services { edges { cursor } } }"
    options: dict[str, Any] = {"params": {"query": query}} if method == "GET" else {"json": {"query": query}}
    async with served(mounted(gateway.create_app(patient))) as url, asyncio.timeout(20):
        request = asyncio.create_task(http.request(method, f"{url}/receipts/graphql", **options))
        await sandbox.until(lambda: len(sandbox.calls) == 1)
        request.cancel()
        await sandbox.until(lambda: sandbox.calls[0].client_left)


async def test_limits_hold_without_the_gateway_s_own_protocol(base: str, http: aiohttp.ClientSession) -> None:
    for body, status in (({"query": "{ __typename } #" + "x" * 300_000}, 413), ("text", 400)):
        async with http.post(f"{base}/graphql", json=body) as response:
            assert response.status == status
            assert (await response.json())["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


@pytest.mark.parametrize("send", [aiohttp.ClientSession.get, aiohttp.ClientSession.post])
async def test_a_gateway_that_was_not_started_says_so(
    sandbox: Sandbox, http: aiohttp.ClientSession, send: Callable[..., Awaitable[aiohttp.ClientResponse]]
) -> None:
    app = Starlette(routes=[Mount("/receipts", gateway.create_app(settings_for(sandbox)))])
    with capture_logs() as log:
        async with served(app) as url:
            response = await send(http, f"{url}/receipts/graphql", json={"query": "{ __typename }"})
            assert response.status == 500
            (error,) = (await response.json())["errors"]
    assert error["message"] == "The gateway has not been started. Its log says how to start it."
    assert error["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    (line,) = (line for line in log if line["event"] == "not started")
    assert line["log_level"] == "error"
    assert "async with app.router.lifespan_context(app)" in line["hint"]
    assert sandbox.paths == []


async def test_the_lifespan_opens_and_closes_the_gateway(sandbox: Sandbox) -> None:
    api = gateway.create_app(settings_for(sandbox))
    async with served(mounted(api)):
        assert api.is_open  # type: ignore[attr-defined]
    assert not api.is_open  # type: ignore[attr-defined]


async def test_the_page_s_application_is_served_by_uvicorn(
    sandbox: Sandbox, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    """As a user starts it: the block of gateway/docs/python.md, and `uvicorn app:app`."""
    _, _, code, _ = blocks("python", "python")
    (tmp_path / "app.py").write_text(code, encoding="utf-8")
    command = [sys.executable, "-m", "uvicorn", "app:app", "--port", "0", "--no-use-colors"]
    server = await asyncio.create_subprocess_exec(
        *command, cwd=tmp_path, env=ENVIRON | environ_for(sandbox), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert server.stderr is not None
    try:
        async for line in server.stderr:
            if found := re.search(rb"running on (http://127\.0\.0\.1:\d+)", line):
                break
        else:
            pytest.fail("It did not start.")
        url = found[1].decode()
        async with http.post(
            f"{url}/receipts/graphql", json={"query": "{ services { edges { cursor } } }"}
        ) as response:
            answer = await response.json()
        async with http.get(f"{url}/receipts/graphiql") as response:
            assert response.status == 200
    finally:
        server.terminate()
        await server.communicate()
    assert answer["data"]["services"]["edges"]
    assert "errors" not in answer
