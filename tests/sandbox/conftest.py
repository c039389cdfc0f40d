"""A plain HTTP client for the sandbox: real requests, as sent and as answered, with nothing of Twilio's libraries."""

import base64
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

import aiohttp
import pytest
from aiohttp import web
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client
from yarl import URL

from gateway.sandbox import Sandbox


def basic(name: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Caller:
    """Sends requests with the sandbox's credentials. Targets are what follows /v1/, already encoded."""

    def __init__(self, sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
        self.sandbox = sandbox
        self.session = session
        self.headers = {"Authorization": basic(sandbox.account_sid, sandbox.auth_token)}
        marks = sandbox.landmarks
        self.service = f"Services/{marks['service_sid']}"
        self.conversation = f"{self.service}/Conversations/{marks['conversation_sid']}"
        self.message = f"{self.conversation}/Messages/{marks['message_sid']}"
        self.receipts = f"{self.message}/Receipts"

    async def send(self, method: str, url: str, **more: Any) -> Reply:
        address = URL(url, encoded=True)
        async with self.session.request(method, address, allow_redirects=False, **more) as answer:
            return Reply(answer.status, answer.headers, await answer.read())

    async def get(self, target: str, headers: Mapping[str, str] | None = None) -> Reply:
        url = target if target.startswith("http") else f"{self.sandbox.url}/v1/{target}"
        return await self.send("GET", url, headers={**self.headers, **(headers or {})})

    async def read(self, target: str) -> Any:
        """The JSON of a read that has to succeed."""
        reply = await self.get(target)
        assert reply.status == 200, reply.body
        return reply.json

    async def post(self, target: str, **form: str) -> Reply:
        """Parameter names are written with two underscores for a dot: MessagingBinding__Address."""
        headers = {**self.headers, "Content-Type": "application/x-www-form-urlencoded"}
        data = urlencode({name.replace("__", "."): value for name, value in form.items()})
        return await self.send("POST", f"{self.sandbox.url}/v1/{target}", headers=headers, data=data)

    async def delete(self, target: str) -> Reply:
        return await self.send("DELETE", f"{self.sandbox.url}/v1/{target}", headers=self.headers)

    async def control(self, method: str, path: str, value: Any = None) -> Reply:
        more = {} if value is None else {"data": value if isinstance(value, bytes) else json.dumps(value)}
        return await self.send(method, f"{self.sandbox.url}/sandbox{path}", **more)

    async def pages(self, target: str) -> list[Any]:
        """All pages of a list, each next_page_url followed as it is."""
        pages = [await self.read(target)]
        while pages[-1]["meta"]["next_page_url"]:
            pages.append(await self.read(pages[-1]["meta"]["next_page_url"]))
        return pages

    async def rows(self, target: str) -> list[Any]:
        return [row for page in await self.pages(target) for row in page[page["meta"]["key"]]]


@pytest.fixture
async def caller(sandbox: Sandbox) -> AsyncIterator[Caller]:
    async with aiohttp.ClientSession() as session:
        yield Caller(sandbox, session)


@dataclass(frozen=True)
class Received:
    """A webhook as it arrived."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        """The parameters of its body, or of its query."""
        return dict(parse_qsl(self.body.decode() or self.url.partition("?")[2], keep_blank_values=True))


class Receiver:
    """A server that webhooks are sent to."""

    def __init__(self, sandbox: Sandbox, url: str, received: list[Received]) -> None:
        self.received = received
        self.url = url
        self._sandbox = sandbox

    async def settled(self) -> list[Received]:
        """Wait until every webhook that was fired has been answered or lost."""
        await self._sandbox.until(lambda: not any(webhook.open for webhook in self._sandbox.webhooks))
        return self.received


@pytest.fixture
async def receiver(sandbox: Sandbox) -> AsyncIterator[Receiver]:
    received: list[Received] = []

    async def receive(request: web.BaseRequest) -> web.Response:
        url = f"http://{request.host}{request.raw_path}"
        received.append(Received(request.method, url, request.headers, await request.read()))
        return web.Response(status=204)

    runner = web.ServerRunner(web.Server(receive))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield Receiver(sandbox, f"http://127.0.0.1:{site.port}/hook?tenant=a", received)
    await runner.cleanup()


@pytest.fixture
def twilio(sandbox: Sandbox) -> Iterator[Client]:
    """Twilio's own library, unmodified but for its base URL."""
    http = TwilioHttpClient()
    client = Client(sandbox.account_sid, sandbox.auth_token, http_client=http)
    client.conversations.base_url = sandbox.url
    yield client
    http.session.close()
