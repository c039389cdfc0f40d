"""Answers that are known are given on the spot, and nothing but the time tells: over real HTTP, and on bare sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from gateway.app import create_app
from gateway.callers.callers import Token
from gateway.demo import settings_for
from gateway.log import add_request_id
from gateway.sandbox import Sandbox
from gateway.web.endpoint import Endpoint

from ..conftest import serving
from .test_http_protocol import Hasty, Impatient, answers, connect, send

TOKENS = {"web": Token("web's token"), "few": Token("few's token", frozenset({"IS" + "0" * 32}))}
PLAIN = {"Host": "localhost", "Content-Type": "application/json", "Authorization": "Bearer web's token"}
LONG = """query Long($service: ID!, $conversation: ID!) { service(sid: $service) { conversation(sid: $conversation) {
  messages(first: 50) { edges { node { ... on Message @defer { sid } body author dateCreated } } } } } }"""
LIST = "query List { services { edges { node { sid friendlyName } } } }"


@dataclass
class Both:
    """One gateway, served as it is and in a way in which nothing is answered on the spot."""

    app: Starlette
    at_once: str
    in_turn: str
    spared: list[bool]
    """Of each request that was looked at, whether it was answered on the spot."""


@asynccontextmanager
async def served_twice(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> AsyncIterator[Both]:
    base = settings_for(sandbox)
    app = create_app(replace(base, tokens=TOKENS, **settings))
    spared: list[bool] = []
    look = Endpoint.at_once

    def watched(*given: Any) -> bytes | None:
        answer = look(*given)
        spared.append(answer is not None)
        return answer

    async def in_turn(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":  # The other server takes care of the application's life.
            await app(scope, receive, send)

    monkeypatch.setattr(Endpoint, "at_once", watched)
    async with serving(app, Hasty) as at_once, serving(in_turn, Hasty) as other:
        yield Both(app, at_once, other, spared)


@pytest.fixture
async def both(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Both]:
    async with served_twice(sandbox, monkeypatch) as both:
        yield both


def request(body: Any, headers: dict[str, str], version: str = "1.1") -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /graphql HTTP/{version}\r\n{lines}Content-Length: {len(content)}\r\n\r\n".encode() + content


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
    body = await reader.readexactly(int(headers[b"content-length"]))
    writer.close()
    return status, headers, body


def asked(sandbox: Sandbox, name: str) -> dict[str, Any]:
    marks = sandbox.landmarks
    variables = {"service": marks["service_sid"], "conversation": marks["conversation_sid"]}
    return {"query": LIST} if name == "List" else {"query": LONG, "variables": variables}


@pytest.mark.parametrize("name", ["List", "Long"])
@pytest.mark.parametrize(
    ("headers", "is_spared"),
    [
        ({}, True),
        ({"Accept": "application/json"}, True),
        ({"Accept": "application/graphql-response+json, application/json;q=0.9"}, True),
        ({"Accept-Encoding": "gzip, br"}, True),
        ({"Cookie": "a=b"}, True),
        ({"Origin": "https://elsewhere.test", "Sec-Fetch-Site": "cross-site"}, True),
        ({"Content-Type": "application/json; charset=utf-8"}, True),
        ({"Content-Type": "text/plain"}, False),
        ({"Content-Encoding": "gzip"}, False),
        ({"Authorization": "Bearer nobody's token"}, False),
        ({"Authorization": "Bearer few's token"}, False),
        ({"Accept": "image/png"}, False),
        ({"X-Gateway-Trace": "1"}, False),
        ({"X-Gateway-Dry-Run": "1"}, False),
        ({"X-Gateway-Timeout": "5"}, False),
        ({"X-Gateway-Timeout": "soon"}, False),
        ({"Cache-Control": "no-cache"}, False),
    ],
    ids=str,
)
async def test_an_answer_on_the_spot_is_the_answer_in_turn(
    both: Both, sandbox: Sandbox, name: str, headers: dict[str, str], is_spared: bool
) -> None:
    for _ in range(2):  # It is kept when all of it was known.
        await ask(both.in_turn, request(asked(sandbox, name), PLAIN))
    sent = request(asked(sandbox, name), PLAIN | headers)
    wanted = await ask(both.in_turn, sent)
    assert not both.spared
    got = await ask(both.at_once, sent)
    if "X-Gateway-Trace" not in headers:  # Which tells times.
        assert got == wanted
    assert both.spared == [is_spared]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        {"query": "{"},
        {"query": "query ($n: Int!) { services(first: $n) { edges { node { sid } } } }", "variables": {"n": "few"}},
        {"query": LIST, "operationName": "Other"},
        {"query": "{ services { edges { node { body } } } }"},
        {"documentId": "sha256:" + "0" * 64},
        {"query": LIST, "documentId": "sha256:" + "0" * 64},
        {"query": LIST, "extensions": {"persistedQuery": {"version": 2, "sha256Hash": "0" * 64}}},
    ],
    ids=str,
)
async def test_what_is_refused_is_refused_in_turn(both: Both, body: Any) -> None:
    sent = request(body, PLAIN)
    assert await ask(both.at_once, sent) == await ask(both.in_turn, sent)
    assert both.spared == [False]


async def test_a_document_is_remembered_by_the_hash_that_came_with_it(both: Both) -> None:
    by_hash = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": sha256(LIST.encode()).hexdigest()}}}
    for _ in range(2):
        await ask(both.at_once, request({"query": LIST}, PLAIN))
    assert b"PERSISTED_QUERY_NOT_FOUND" in (await ask(both.at_once, request(by_hash, PLAIN)))[2]
    whole = await ask(both.at_once, request({"query": LIST} | by_hash, PLAIN))
    assert await ask(both.at_once, request(by_hash, PLAIN)) == whole
    assert both.spared == [False, False, False, True, True]


async def test_it_is_logged_and_counted_like_any_other(both: Both) -> None:
    sent = request({"query": LIST}, PLAIN)
    for _ in range(2):
        await ask(both.in_turn, sent)
    lines = []
    for url in (both.in_turn, both.at_once):
        with capture_logs([add_request_id]) as log:
            received = await send(url, sent, b"garbage\r\n\r\n")  # Behind which the server hangs up.
        (line,) = log
        assert f"x-request-id: {line.pop('request_id')}\r\n".encode() in received
        assert line.pop("ms") >= 0
        lines.append(line)
    assert lines[0] == lines[1]
    assert lines[0]["event"] == "operation"
    lookups = both.app.state.account.lookups
    assert (lookups["miss"], lookups["hit"], lookups["answer"]) == (1, 1, 2)
    head = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer web's token\r\nConnection: close\r\n\r\n"
    assert b'gateway_operations_total{name="List",outcome="ok"} 4.0' in await send(both.at_once, head)


async def test_whoever_has_nothing_left_is_refused(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = request({"query": LIST}, PLAIN)
    other = request({"query": LIST.replace("services", "services(first: 1)")}, PLAIN)
    async with served_twice(sandbox, monkeypatch, caller_budget=2) as both:
        for each in (sent, sent, sent, other):  # One call, none, none, and one.
            status, headers, body = await ask(both.at_once, each)
            assert b"errors" not in body
        assert b"remaining=0" in headers[b"gateway-budget"]
        status, _, body = await ask(both.at_once, sent)
        assert (status.split()[1], b"COST_LIMIT_EXCEEDED" in body) == (b"429", True)
        assert both.spared == [False, False, True, False, False]


async def test_nothing_is_looked_for_where_nothing_is_kept(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    async with served_twice(sandbox, monkeypatch, cache_bytes=0) as both:
        for _ in range(3):
            await ask(both.at_once, request({"query": LIST}, PLAIN))
        assert both.spared == [False] * 3


async def test_pages_of_other_sites_are_answered_in_turn(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = "https://app.example.com"
    async with served_twice(sandbox, monkeypatch, cors_origins=frozenset({origin})) as both:
        sent = request({"query": LIST}, PLAIN)
        for _ in range(2):
            await ask(both.in_turn, sent)
        assert b"access-control-allow-origin" not in (await ask(both.at_once, sent))[1]
        _, headers, _ = await ask(both.at_once, request({"query": LIST}, PLAIN | {"Origin": origin}))
        assert headers[b"access-control-allow-origin"] == origin.encode()
        assert both.spared == [True]


async def test_known_answers_and_others_come_in_the_order_of_their_requests(both: Both) -> None:
    known = request({"query": LIST}, PLAIN)
    for _ in range(2):
        await ask(both.at_once, known)
    other = request({"query": LIST.replace("List", "Other")}, PLAIN | {"X-Gateway-Dry-Run": "1"})
    last = request({"query": LIST}, PLAIN | {"Connection": "close"})
    received = answers(await send(both.at_once, known + known + other + known + other + last))
    assert [status for status, _ in received] == [200] * 6
    assert [b"roundTrips" in body for _, body in received] == [False, False, True, False, True, False]


async def test_of_requests_that_come_at_once_one_is_answered_on_the_spot(both: Both) -> None:
    """The others in turn, as fast as the peer takes the answers: a few bytes do not have hundreds of them made and held."""
    known = request({"query": LIST}, PLAIN)
    for _ in range(2):
        await ask(both.in_turn, known)
    (wanted,) = answers(await send(both.in_turn, request({"query": LIST}, PLAIN | {"Connection": "close"})))
    last = request({"query": LIST}, PLAIN | {"Connection": "close"})
    assert answers(await send(both.at_once, known * 20 + last)) == [wanted] * 21
    assert both.spared == [True]


async def test_requests_of_one_connection_that_come_one_by_one_are_each_answered_on_the_spot(both: Both) -> None:
    known = request({"query": LIST}, PLAIN)
    for _ in range(2):
        await ask(both.in_turn, known)
    reader, writer = await connect(both.at_once)
    for _ in range(3):
        writer.write(known)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))
    writer.close()
    assert both.spared == [True] * 3


async def test_half_a_request_behind_a_known_answer_is_refused_in_time(both: Both) -> None:
    known = request({"query": LIST}, PLAIN)
    for _ in range(2):
        await ask(both.at_once, known)
    assert [status for status, _ in answers(await send(both.at_once, known + known[:-5]))] == [200, 408]


async def test_a_fault_on_the_spot_is_told_and_answered_in_turn(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("a secret")

    sent = request({"query": LIST}, PLAIN)
    monkeypatch.setattr(Endpoint, "at_once", fail)
    with capture_logs() as log:
        status, _, _ = await ask(both.at_once, sent)
    assert status == b"HTTP/1.1 200 OK"
    assert [line["event"] for line in log] == ["internal error", "operation"]
    assert "secret" not in str(log)


async def test_a_request_in_pieces_is_answered(both: Both) -> None:
    sent = request({"query": LIST}, PLAIN)
    for _ in range(2):
        whole = await ask(both.at_once, sent)
    both.spared.clear()
    reader, writer = await connect(both.at_once)
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
async def test_what_http_asks_for_beside_is_left_to_others(both: Both, sent: bytes, statuses: list[int]) -> None:
    for _ in range(2):
        await ask(both.in_turn, request({"query": LIST}, PLAIN))
    received, wanted = [answers(await send(url, sent)) for url in (both.at_once, both.in_turn)]
    assert received == wanted
    assert [status for status, _ in received] == statuses
    assert both.spared == []


async def test_an_idle_connection_is_closed_in_time(sandbox: Sandbox) -> None:
    async with serving(create_app(settings_for(sandbox)), Impatient) as url:
        for _ in range(3):
            received = await send(url, request({"query": LIST}, PLAIN))
            assert [status for status, _ in answers(received)] == [200]
