"""Replies that the protocol writes are, byte for byte, the replies through ASGI: over real HTTP, and on bare sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from gateway.app import create_app
from gateway.callers.callers import Token
from gateway.demo import settings_for
from gateway.log import add_request_id
from gateway.sandbox import Fault, Sandbox
from gateway.web.documents import Documents
from gateway.web.http_protocol import BoundedProtocol
from gateway.web.pending import PendingReply
from gateway.web.responses import Reply

from ..conftest import serving
from .conftest import Hasty, Impatient, answers, connect, send

TOKENS = {"web": Token("web's token"), "few": Token("few's token", frozenset({"IS" + "0" * 32}))}
PLAIN = {"Host": "localhost", "Content-Type": "application/json", "Authorization": "Bearer web's token"}
LONG = """query Long($service: ID!, $conversation: ID!) { service(sid: $service) { conversation(sid: $conversation) {
  messages(first: 50) { edges { node { ... on Message @defer { sid } body author dateCreated } } } } } }"""
LIST = "query List { services { edges { node { sid friendlyName } } } }"


@dataclass
class Served:
    """One gateway, served twice."""

    app: Starlette
    sync: str
    """Where requests that come whole may be answered synchronously."""
    asgi: str
    """Where every request goes through ASGI."""
    answered_now: list[bool]
    """For each request that came whole to `sync`: whether it was answered synchronously."""
    connections: list[Any]
    """The connections to `sync`, which count the heads that they `parsed`."""
    waited: list[BoundedProtocol]
    """For each request to `sync` whose reply had to wait, and was written by the protocol: its connection."""


@asynccontextmanager
async def served_twice(sandbox: Sandbox, **settings: Any) -> AsyncIterator[Served]:
    app = create_app(replace(settings_for(sandbox), tokens=TOKENS, **settings))
    answered_now: list[bool] = []
    waited: list[BoundedProtocol] = []

    connections: list[Any] = []

    class Watched(Hasty):
        parsed = 0

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            connections.append(self)
            super().connection_made(transport)

        def on_headers_complete(self) -> None:
            self.parsed += 1
            super().on_headers_complete()

        def _start(self, head: Any, body: bytes) -> Reply | PendingReply | None:
            started = super()._start(head, body)
            answered_now.append(isinstance(started, Reply) and started.is_whole)
            return started

        def _await_reply(self, pending: PendingReply) -> None:
            waited.append(self)
            super()._await_reply(pending)

    async def through_asgi(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":  # The other server runs the application's lifespan.
            await app(scope, receive, send)

    async with serving(app, Watched) as sync, serving(through_asgi, Hasty) as asgi:
        yield Served(app, sync, asgi, answered_now, connections, waited)


@pytest.fixture
async def served(sandbox: Sandbox) -> AsyncIterator[Served]:
    async with served_twice(sandbox) as served:
        yield served


def request(body: Any, headers: dict[str, str], version: str = "1.1") -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /graphql HTTP/{version}\r\n{lines}Content-Length: {len(content)}\r\n\r\n".encode() + content


def get(parameters: dict[str, str], headers: dict[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"GET /graphql?{urlencode(parameters)} HTTP/1.1\r\n{lines}\r\n".encode()


async def ask(url: str, sent: bytes) -> tuple[bytes, dict[bytes, bytes], bytes]:
    """Status line, headers and body of the answer, without what every answer has of its own."""
    reader, writer = await connect(url)
    writer.write(sent)
    head = await reader.readuntil(b"\r\n\r\n")
    status, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    headers = dict(line.split(b": ", 1) for line in lines)
    assert len(headers) == len(lines)
    assert len(headers.pop(b"x-request-id")) == 32
    del headers[b"date"]
    body = await reader.readexactly(int(headers.get(b"content-length", 0)))
    writer.close()
    return status, headers, body


def asked(sandbox: Sandbox, name: str) -> dict[str, Any]:
    marks = sandbox.landmarks
    variables = {"service": marks["service_sid"], "conversation": marks["conversation_sid"]}
    return {"query": LIST} if name == "List" else {"query": LONG, "variables": variables}


@pytest.mark.parametrize("name", ["List", "Long"])
@pytest.mark.parametrize(
    ("headers", "is_now"),
    [
        ({}, True),
        ({"Accept": "application/json"}, True),
        ({"Accept": "application/graphql-response+json, application/json;q=0.9"}, True),
        ({"Accept-Encoding": "gzip, br"}, True),
        ({"Cookie": "a=b"}, True),
        ({"Origin": "https://elsewhere.test", "Sec-Fetch-Site": "cross-site"}, True),
        ({"Content-Type": "application/json; charset=utf-8"}, True),
        ({"Content-Type": "text/plain"}, True),
        ({"Content-Encoding": "gzip"}, True),
        ({"Authorization": "Bearer nobody's token"}, True),
        ({"Authorization": "Bearer few's token"}, True),
        ({"Accept": "image/png"}, True),
        ({"X-Gateway-Trace": "1"}, True),
        ({"X-Gateway-Dry-Run": "1"}, True),
        ({"X-Gateway-Timeout": "5"}, True),
        ({"X-Gateway-Timeout": "soon"}, True),
        ({"Cache-Control": "no-cache"}, False),
    ],
    ids=str,
)
async def test_a_synchronous_answer_is_the_answer_through_asgi(
    served: Served, sandbox: Sandbox, name: str, headers: dict[str, str], is_now: bool
) -> None:
    for _ in range(2):  # It is cached when all that it is made from was cached before.
        await ask(served.asgi, request(asked(sandbox, name), PLAIN))
    sent = request(asked(sandbox, name), PLAIN | headers)
    wanted = await ask(served.asgi, sent)
    assert not served.answered_now
    got = await ask(served.sync, sent)
    if "X-Gateway-Trace" not in headers:  # Its answer holds times.
        assert got == wanted
    assert served.answered_now == [is_now and not (name == "List" and "few" in headers.get("Authorization", ""))]


@pytest.mark.parametrize(
    ("headers", "is_now"),
    [
        ({}, True),
        ({"If-None-Match": "*"}, True),
        ({"If-None-Match": '"another"'}, True),
        ({"Accept-Encoding": "gzip"}, True),
        ({"Accept": "text/html"}, True),
        ({"Accept": "application/graphql-response+json"}, True),
        ({"Sec-Fetch-Site": "cross-site", "Authorization": ""}, True),
        ({"Cache-Control": "no-cache"}, False),
        ({"Content-Length": "0"}, True),
    ],
    ids=str,
)
async def test_a_get_is_answered_in_the_same_way(
    served: Served, sandbox: Sandbox, headers: dict[str, str], is_now: bool
) -> None:
    parameters = {"query": LONG, "variables": json.dumps(asked(sandbox, "Long")["variables"])}
    for _ in range(2):
        await ask(served.asgi, get(parameters, PLAIN))
    sent = get(parameters, PLAIN | headers)
    status, wanted, body = await ask(served.asgi, sent)
    got_status, got, got_body = await ask(served.sync, sent)
    assert (got_status, got_body) == (status, body)
    assert served.answered_now == [is_now]
    lifetimes = [int(each.pop(b"cache-control").rpartition(b"=")[2]) for each in (got, wanted) if b"etag" in each]
    assert got == wanted
    assert not lifetimes or lifetimes[1] - lifetimes[0] in {0, 1}  # A second may have begun in between.


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        {"documentId": "sha256:" + "0" * 64},
        {"query": LIST, "documentId": "sha256:" + "0" * 64},
        {"query": LIST, "extensions": {"persistedQuery": {"version": 2, "sha256Hash": "0" * 64}}},
    ],
    ids=str,
)
async def test_a_request_without_an_operation_is_refused_in_the_same_way(served: Served, body: Any) -> None:
    sent = request(body, PLAIN)
    assert await ask(served.sync, sent) == await ask(served.asgi, sent)
    assert served.answered_now == [True]


@pytest.mark.parametrize(
    "body",
    [
        {"query": "{"},
        {"query": "query ($n: Int!) { services(first: $n) { edges { node { sid } } } }", "variables": {"n": "few"}},
        {"query": LIST, "operationName": "Other"},
        {"query": "{ services { edges { node { body } } } }"},
    ],
    ids=str,
)
async def test_an_operation_that_cannot_be_executed_is_refused_in_the_same_way(served: Served, body: Any) -> None:
    sent = request(body, PLAIN)
    assert await ask(served.sync, sent) == await ask(served.asgi, sent)
    assert served.answered_now == [True]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Accept": "application/graphql-response+json"},
        {"Accept": "application/json, multipart/mixed"},
        {"Accept-Encoding": "gzip"},
        {"Authorization": "Bearer few's token"},
        {"X-Gateway-Trace": "1"},
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_reply_that_waits_is_the_reply_through_asgi(
    served: Served, sandbox: Sandbox, method: str, headers: dict[str, str]
) -> None:
    operation = asked(sandbox, "List" if "Authorization" in headers else "Long")
    operation["query"] = operation["query"].replace("@defer", "")
    given = PLAIN | {"Cache-Control": "no-cache"} | headers
    if method == "POST":
        sent = request(operation, given)
    else:
        sent = get({key: value if key == "query" else json.dumps(value) for key, value in operation.items()}, given)
    replies = [await ask(url, sent) for url in (served.asgi, served.sync)]
    if "X-Gateway-Trace" not in headers:  # Its reply holds times.
        assert replies[0] == replies[1]
    assert replies[0][0].split()[1] == b"200"
    assert (served.answered_now, len(served.waited)) == ([False], 1)


async def test_requests_behind_a_reply_that_waits_are_answered_in_order(served: Served) -> None:
    known, other = request({"query": LIST}, PLAIN), request({"query": LIST}, PLAIN | {"Cache-Control": "no-cache"})
    for _ in range(2):
        await ask(served.asgi, known)
    last = request({"query": "{ __typename }"}, PLAIN | {"Connection": "close"})
    received = answers(await send(served.sync, other + known + other + last))
    assert [status for status, _ in received] == [200] * 4
    assert received[0] == received[1] == received[2]
    assert b"__typename" in received[3][1]
    assert (served.answered_now, len(served.waited)) == ([False], 1)


async def test_a_connection_is_kept_after_a_reply_that_waited(served: Served) -> None:
    reader, writer = await connect(served.sync)
    for _ in range(3):
        writer.write(request({"query": LIST}, PLAIN | {"Cache-Control": "no-cache"}))
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))
    writer.close()
    assert served.answered_now == [False] * 3
    assert served.waited == [served.waited[0]] * 3


async def read_reply(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Return the head and the body of the next reply."""
    head = await reader.readuntil(b"\r\n\r\n")
    return head, await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))


async def test_requests_with_equal_heads_are_parsed_once(served: Served) -> None:
    bodies = [{"query": f"query Name{number} {{ __typename name{number}: __typename }}"} for number in range(4)]
    bodies.append({"query": LIST.replace("List", "Another")})
    reader, writer = await connect(served.sync)
    for body in bodies:
        writer.write(request(body, PLAIN))
        head, got = await read_reply(reader)
        _, _, wanted = await ask(served.asgi, request(body, PLAIN))
        assert (head.split()[1], got) == (b"200", wanted)
    assert served.connections[-1].parsed == 2  # The last one has another length.
    writer.write(request(bodies[0], PLAIN | {"Authorization": "Bearer nobody's token"}))
    assert (await read_reply(reader))[0].split()[1] == b"401"
    for body in bodies[:3]:
        writer.write(request(body, PLAIN | {"Cookie": "a=b"})[:-1])
        writer.write(request(body, PLAIN)[-1:])
        assert (await read_reply(reader))[0].split()[1] == b"200"
    writer.write(request(bodies[0], PLAIN) + request(bodies[1], PLAIN))
    assert [b"name0" in (await read_reply(reader))[1], b"name1" in (await read_reply(reader))[1]] == [True, True]
    writer.close()


async def test_a_reply_in_parts_to_a_request_with_an_equal_head_goes_through_asgi(
    served: Served, sandbox: Sandbox
) -> None:
    whole, deferred = asked(sandbox, "Long"), asked(sandbox, "Long")
    whole["query"] = whole["query"].replace("@defer", "      ")
    headers = PLAIN | {"Accept": "application/json, multipart/mixed"}
    reader, writer = await connect(served.sync)
    for _ in range(2):
        writer.write(request(whole, headers))
        assert b"Long" not in (await read_reply(reader))[0]
    writer.write(request(deferred, headers | {"Cache-Control": "max-age=0"}))
    await reader.readuntil(b"-----\r\n")
    await reader.readuntil(b"0\r\n\r\n")
    writer.write(request(whole, headers) * 2)
    assert (await read_reply(reader))[1] == (await read_reply(reader))[1]
    writer.write(request(deferred, headers))
    assert b"multipart/mixed" in await reader.readuntil(b"\r\n\r\n")
    await reader.readuntil(b"-----\r\n")
    writer.close()


async def test_a_server_that_stops_cancels_the_replies_that_wait(served: Served, sandbox: Sandbox) -> None:
    sandbox.faults.add("*", Fault("hang"))
    sending = asyncio.create_task(send(served.sync, request({"query": LIST}, PLAIN)))
    await sandbox.until(lambda: len(sandbox.calls) == 1)
    (connection,) = served.waited
    for task in connection.server_state.tasks:  # As uvicorn does after the time for requests in progress.
        task.cancel(msg="The server stops.")
    assert await sending == b""
    await sandbox.until(lambda: sandbox.calls[0].client_left)
    assert not connection.server_state.tasks


async def test_the_last_reply_of_a_server_that_stops_closes_the_connection(served: Served, sandbox: Sandbox) -> None:
    sandbox.faults.add("*", Fault(latency=0.05))
    sending = asyncio.create_task(send(served.sync, request({"query": LIST}, PLAIN)))
    await sandbox.until(lambda: len(sandbox.calls) == 1)
    served.waited[0].shutdown()
    received = await sending
    assert b"\r\nconnection: close\r\n" in received
    assert [status for status, _ in answers(received)] == [200]


async def test_a_document_is_remembered_by_the_hash_that_came_with_it(served: Served) -> None:
    by_hash = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": sha256(LIST.encode()).hexdigest()}}}
    for _ in range(2):
        await ask(served.sync, request({"query": LIST}, PLAIN))
    assert b"PERSISTED_QUERY_NOT_FOUND" in (await ask(served.sync, request(by_hash, PLAIN)))[2]
    whole = await ask(served.sync, request({"query": LIST} | by_hash, PLAIN))
    assert await ask(served.sync, request(by_hash, PLAIN)) == whole
    assert served.answered_now == [False, True, True, True, True]


async def test_it_is_logged_and_counted_in_the_same_way(served: Served) -> None:
    sent = request({"query": LIST}, PLAIN)
    for _ in range(2):
        await ask(served.asgi, sent)
    lines = []
    for url in (served.asgi, served.sync):
        with capture_logs([add_request_id]) as log:
            received = await send(url, sent, b"garbage\r\n\r\n")  # Behind which the server hangs up.
        (line,) = log
        assert f"x-request-id: {line.pop('request_id')}\r\n".encode() in received
        assert line.pop("ms") >= 0
        lines.append(line)
    assert lines[0] == lines[1]
    assert lines[0]["event"] == "operation"
    lookups = served.app.state.account.lookups
    assert (lookups["miss"], lookups["hit"], lookups["answer"]) == (1, 1, 2)
    head = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer web's token\r\nConnection: close\r\n\r\n"
    assert b'gateway_operations_total{name="List",outcome="ok"} 4.0' in await send(served.sync, head)


async def test_a_caller_without_budget_is_refused(sandbox: Sandbox) -> None:
    sent = request({"query": LIST}, PLAIN)
    other = request({"query": LIST.replace("services", "services(first: 1)")}, PLAIN)
    async with served_twice(sandbox, caller_budget=2) as served:
        for each in (sent, sent, sent, other):  # One call, none, none, and one.
            status, headers, body = await ask(served.sync, each)
            assert b"errors" not in body
        assert b"remaining=0" in headers[b"gateway-budget"]
        status, _, body = await ask(served.sync, sent)
        assert (status.split()[1], b"COST_LIMIT_EXCEEDED" in body) == (b"429", True)
        assert served.answered_now == [False, True, True, False, True]


async def test_nothing_is_answered_synchronously_without_a_cache(sandbox: Sandbox) -> None:
    async with served_twice(sandbox, cache_bytes=0) as served:
        for _ in range(3):
            await ask(served.sync, request({"query": LIST}, PLAIN))
        assert served.answered_now == [False] * 3


async def test_requests_that_need_cors_go_through_asgi(sandbox: Sandbox) -> None:
    origin = "https://app.example.com"
    async with served_twice(sandbox, cors_origins=frozenset({origin})) as served:
        sent = request({"query": LIST}, PLAIN)
        for _ in range(2):
            await ask(served.asgi, sent)
        assert b"access-control-allow-origin" not in (await ask(served.sync, sent))[1]
        _, headers, _ = await ask(served.sync, request({"query": LIST}, PLAIN | {"Origin": origin}))
        assert headers[b"access-control-allow-origin"] == origin.encode()
        assert served.answered_now == [True, False]


async def test_pipelined_requests_are_answered_in_order(served: Served) -> None:
    known = request({"query": LIST}, PLAIN)
    for _ in range(2):
        await ask(served.sync, known)
    other = request({"query": LIST.replace("List", "Other")}, PLAIN | {"X-Gateway-Dry-Run": "1"})
    last = request({"query": LIST}, PLAIN | {"Connection": "close"})
    received = answers(await send(served.sync, known + known + other + known + other + last))
    assert [status for status, _ in received] == [200] * 6
    assert [b"roundTrips" in body for _, body in received] == [False, False, True, False, True, False]


async def test_of_pipelined_requests_one_is_answered_synchronously(served: Served) -> None:
    """The others in turn, as fast as the peer takes the answers: a few bytes do not have hundreds of them made and held."""
    known = request({"query": LIST}, PLAIN)
    for _ in range(2):
        await ask(served.asgi, known)
    (wanted,) = answers(await send(served.asgi, request({"query": LIST}, PLAIN | {"Connection": "close"})))
    last = request({"query": LIST}, PLAIN | {"Connection": "close"})
    assert answers(await send(served.sync, known * 20 + last)) == [wanted] * 21
    assert served.answered_now == [True]


async def test_requests_one_after_another_are_all_answered_synchronously(served: Served) -> None:
    known = request({"query": LIST}, PLAIN)
    for _ in range(2):
        await ask(served.asgi, known)
    reader, writer = await connect(served.sync)
    for _ in range(3):
        writer.write(known)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))
    writer.close()
    assert served.answered_now == [True] * 3


async def test_half_a_request_after_a_synchronous_answer_is_refused_in_time(served: Served) -> None:
    known = request({"query": LIST}, PLAIN)
    for _ in range(2):
        await ask(served.sync, known)
    assert [status for status, _ in answers(await send(served.sync, known + known[:-5]))] == [200, 408]


async def test_a_fault_of_the_gateway_is_masked_in_the_same_way(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("a secret")

    sent = request({"query": LIST}, PLAIN)
    monkeypatch.setattr(Documents, "find", fail)
    for url in (served.sync, served.asgi):
        with capture_logs() as log:
            status, _, body = await ask(url, sent)
        assert (status.split()[1], b"INTERNAL_SERVER_ERROR" in body) == (b"500", True)
        assert [line["event"] for line in log] == ["internal error"]
        assert "secret" not in str(log)
    assert served.answered_now == [True]


async def test_a_request_in_pieces_is_answered(served: Served) -> None:
    sent = request({"query": LIST}, PLAIN)
    for _ in range(2):
        whole = await ask(served.sync, sent)
    served.answered_now.clear()
    reader, writer = await connect(served.sync)
    for cut in range(1, len(sent), 7):
        for piece in (sent[:cut], sent[cut:]):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)  # So that it goes out as a piece of its own.
        head = await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0])) == whole[2]
    writer.close()


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        (request({"query": LIST}, PLAIN | {"Connection": "close"}), [200]),
        (request({"query": LIST}, PLAIN, version="1.0"), [200]),
        (request({"query": LIST}, PLAIN | {"Connection": "Upgrade, close", "Upgrade": "h2c"}), [400]),
        (request({"query": LIST}, PLAIN | {"Expect": "100-continue", "Connection": "close"}), [100, 200]),
    ],
)
async def test_other_features_of_http_are_left_to_uvicorn(served: Served, sent: bytes, statuses: list[int]) -> None:
    for _ in range(2):
        await ask(served.asgi, request({"query": LIST}, PLAIN))
    received, wanted = [answers(await send(url, sent)) for url in (served.sync, served.asgi)]
    assert received == wanted
    assert [status for status, _ in received] == statuses
    assert served.answered_now == []


async def test_an_idle_connection_is_closed_in_time(sandbox: Sandbox) -> None:
    async with serving(create_app(settings_for(sandbox)), Impatient) as url:
        for _ in range(3):
            received = await send(url, request({"query": LIST}, PLAIN))
            assert [status for status, _ in answers(received)] == [200]


async def test_each_request_keeps_its_connection_open_for_longer(sandbox: Sandbox) -> None:
    loop = asyncio.get_running_loop()
    async with serving(create_app(settings_for(sandbox)), Impatient) as url:
        reader, writer = await connect(url)
        for pause in (0.2, 0.0):  # Seconds; of the 0.3 that a connection may be idle.
            writer.write(request({"query": LIST}, PLAIN))
            await read_reply(reader)
            await asyncio.sleep(pause)
        last = loop.time()
        assert await reader.read() == b""
        assert loop.time() - last > 0.25
        writer.close()
