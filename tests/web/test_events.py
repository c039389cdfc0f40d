"""Subscriptions over HTTP: a test for each heading of graphql-sse's PROTOCOL.md, Apollo's multipart, and each way to end."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import aiohttp
import jwt
import pytest
import uvicorn
from structlog.testing import capture_logs

import gateway.web.connection
import gateway.web.http_protocol
from gateway.accounts.subscriptions import EndReason
from gateway.app import create_app
from gateway.callers.callers import Token
from gateway.demo import settings_for
from gateway.errors import BadUserInput, CostLimitExceeded, Overloaded, ValidationFailed
from gateway.sandbox import Sandbox
from gateway.settings import JwtSettings
from gateway.web.server import _GRACE_SECONDS, listen

from ..conftest import serving
from .conftest import connect
from .feed import SUBSCRIPTION, Feed, tick

SSE = {"Accept": "text/event-stream"}
APOLLO = {
    "Accept": "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/graphql-response+json,application/json;q=0.9"
}
APOLLO_IOS = {
    "Accept": "multipart/mixed;deferSpec=20220824,multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json"
}
THROUGH_ASGI = {**SSE, "Connection": "close"}
"""A request that the protocol does not answer directly, as those of pages of other origins are not."""
BODY = {"query": SUBSCRIPTION}
COMPLETE = b"event: complete\ndata:\n\n"


def events(body: bytes) -> list[Any]:
    """The payloads of the `next` events; the stream has LF alone, and no other events than `complete` at its end."""
    assert b"\r" not in body
    found = []
    for block in body.removesuffix(COMPLETE).split(b"\n\n"):
        if block and block != b":":
            first, _, second = block.partition(b"\n")
            assert first == b"event: next"
            found.append(json.loads(second.removeprefix(b"data: ")))
    return found


def parts(body: bytes) -> list[Any]:
    """The parts of a whole multipart body."""
    start, *found, end = body.split(b"\r\n--graphql")
    assert (start, end) == (b"", b"--\r\n")
    for part in found:
        assert part.startswith(b"\r\nContent-Type: application/json\r\n\r\n")
    return [json.loads(part.partition(b"\r\n\r\n")[2]) for part in found]


@pytest.fixture
async def gateway_app(sandbox: Sandbox) -> Any:
    return create_app(settings_for(sandbox))


@pytest.fixture
async def url(gateway_app: Any) -> AsyncIterator[str]:
    async with serving(gateway_app) as url:
        yield f"{url}/graphql"


@pytest.fixture
async def feed(gateway_app: Any, url: str) -> Feed:
    feed = Feed(gateway_app)
    feed.first = [tick(0)]
    return feed


# Distinct connections mode


async def test_distinct_connections_mode(feed: Feed, url: str, http: aiohttp.ClientSession) -> None:
    """By POST, as events with LF, and headers that keep proxies from buffering them."""
    async with http.post(url, json=BODY, headers=SSE) as response:
        assert (response.status, response.content_type, response.charset) == (200, "text/event-stream", "utf-8")
        assert response.headers["X-Accel-Buffering"] == "no"
        assert response.headers["Cache-Control"] == "no-cache, no-store, no-transform"
        assert "Content-Encoding" not in response.headers
        assert await response.content.readuntil(b"\n\n") == b'event: next\ndata: {"data": {"tick": 0}}\n\n'
        feed.send(tick(1))
        assert events(await response.content.readuntil(b"\n\n")) == [tick(1)]
        feed.complete()
        assert await response.read() == COMPLETE


async def test_by_get(feed: Feed, url: str, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{url}?query={quote(SUBSCRIPTION)}", headers=SSE) as response:
        assert events(await response.content.readuntil(b"\n\n")) == [tick(0)]
    await feed.until(0)


async def test_head_has_no_body_to_wait_for(feed: Feed, url: str) -> None:
    reader, writer = await connect(url)
    target = f"/graphql?query={quote(SUBSCRIPTION)}".encode()
    for method in (b"HEAD", b"GET"):
        writer.write(method + b" " + target + b" HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        assert head.startswith(b"HTTP/1.1 200 ")
        assert b"content-type: text/event-stream" in head
    await feed.until(1)  # That of the GET.
    writer.close()


async def test_a_get_that_another_site_may_have_sent_is_refused(
    feed: Feed, url: str, http: aiohttp.ClientSession
) -> None:
    headers = {**SSE, "Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    async with http.get(f"{url}?query={quote(SUBSCRIPTION)}", headers=headers) as response:
        (payload,) = events(await response.read())
        assert payload["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert feed.operations == []


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("text/event-stream", "text/event-stream"),
        ("text/event-stream, multipart/mixed", "text/event-stream"),
        ("application/json;q=0.1, text/event-stream", "text/event-stream"),
        (APOLLO["Accept"], "multipart/mixed"),
        (APOLLO_IOS["Accept"], "multipart/mixed"),
        ("application/json", None),
        ("*/*", None),
        ("application/json, text/event-stream", None),
        ("multipart/mixed, application/json", None),
        ("multipart/mixed;subscriptionSpec=2.0, application/json", None),
    ],
)
async def test_which_format_a_client_accepts(
    feed: Feed, url: str, http: aiohttp.ClientSession, accept: str, content_type: str | None
) -> None:
    async with http.post(url, json=BODY, headers={"Accept": accept}) as response:
        if content_type is None:
            assert response.status == 406
            (error,) = (await response.json())["errors"]
            for name in ("graphql-transport-ws", "text/event-stream", "subscriptionSpec=1.0"):
                assert name in error["message"]
            assert feed.operations == []
        else:
            assert (response.status, response.content_type) == (200, content_type)


@pytest.mark.parametrize(
    "refusal",
    [ValidationFailed("Wrong."), BadUserInput("Wrong."), CostLimitExceeded("Too much.")],
    ids=lambda error: error.code,
)
async def test_errors_before_execution_are_events(
    feed: Feed, url: str, http: aiohttp.ClientSession, refusal: Any
) -> None:
    """Where trying again is of no use: graphql-sse repeats every other status."""
    feed.refusal = refusal
    async with http.post(url, json=BODY, headers=SSE) as response:
        body = await response.read()
        assert (response.status, response.content_type) == (200, "text/event-stream")
        assert body.endswith(COMPLETE)
        (payload,) = events(body)
        assert payload["errors"][0]["extensions"]["code"] == refusal.code


@pytest.mark.parametrize("body", [{"query": "{"}, {"query": "subscription { nothing }"}, {}, [], {"query": 1}])
async def test_requests_that_are_wrong_are_answered_by_an_event(
    url: str, http: aiohttp.ClientSession, body: Any
) -> None:
    async with http.post(url, json=body, headers=SSE) as response:
        text = await response.read()
        assert (response.status, response.content_type) == (200, "text/event-stream")
        assert text.endswith(COMPLETE)
        assert events(text)[0]["errors"]


@pytest.mark.parametrize("headers", [SSE, APOLLO], ids=["sse", "multipart"])
async def test_what_passes_is_answered_503(
    feed: Feed, url: str, http: aiohttp.ClientSession, gateway_app: Any, headers: dict[str, str]
) -> None:
    feed.refusal = Overloaded("Full.")
    async with http.post(url, json=BODY, headers=headers) as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "1")
    feed.refusal = None
    gateway_app.begin_drain(10.0)
    async with http.post(url, json=BODY, headers=headers) as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "1")


async def test_a_dry_run_of_a_subscription_is_answered_as_json(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    document = """subscription D($sid: ID!) { deliveryUpdated(serviceSid: $sid) {
      ... on ReceiptChange { receipt { status } message { body } } } }"""
    body = {"query": document, "variables": {"sid": sandbox.landmarks["service_sid"]}}
    headers = {"Accept": "multipart/mixed;incrementalSpec=v0.2, application/json", "X-Gateway-Dry-Run": "1"}
    async with (
        serving(create_app(settings_for(sandbox))) as base,
        http.post(f"{base}/graphql", json=body, headers=headers) as response,
    ):
        answer = await response.json()
    assert (response.status, answer["extensions"]["plan"]["requested"]) == (200, 1)
    assert sandbox.paths == []


async def test_a_caller_s_own_limit_does_not_pass_by_waiting(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    """That of the process does."""
    body = {
        "query": "subscription ($sid: ID!) { deliveryUpdated(serviceSid: $sid) { __typename } }",
        "variables": {"sid": sandbox.landmarks["service_sid"]},
    }
    limits = replace(settings_for(sandbox), caller_subscriptions=1)
    async with (
        serving(create_app(limits)) as url,
        http.post(f"{url}/graphql", json=body, headers=SSE) as first,
        http.post(f"{url}/graphql", json=body, headers=SSE) as second,
    ):
        assert (first.status, second.status) == (200, 200)
        text = await second.read()
        assert text.endswith(COMPLETE)
        (error,) = events(text)[0]["errors"]
        assert error["extensions"]["code"] == "OVERLOADED"
        assert "end one first" in error["message"]
    limits = replace(settings_for(sandbox), subscriptions_max=1)
    async with (
        serving(create_app(limits)) as url,
        http.post(f"{url}/graphql", json=body, headers=SSE),
        http.post(f"{url}/graphql", json=body, headers=SSE) as second,
    ):
        assert (second.status, second.headers["Retry-After"]) == (503, "1")


async def test_next_and_complete_of_a_query(url: str, http: aiohttp.ClientSession) -> None:
    async with http.post(url, json={"query": "{ __typename }"}, headers=SSE) as response:
        body = await response.read()
        assert events(body) == [{"data": {"__typename": "Query"}}]
        assert body.endswith(COMPLETE)


async def test_the_client_stops_by_closing_the_connection(feed: Feed, url: str) -> None:
    async with aiohttp.ClientSession() as http, http.post(url, json=BODY, headers=SSE) as response:
        await response.content.readuntil(b"\n\n")
        assert len(feed.subscribers) == 1
    await feed.until(0)


# Single connection mode


async def test_single_connection_mode_is_refused_by_name(feed: Feed, url: str, http: aiohttp.ClientSession) -> None:
    """Reservations, their operations, and stopping them."""
    for method in ("PUT", "DELETE"):
        async with http.request(method, url) as response:
            assert response.status == 405
            assert "single connection mode" in (await response.json())["errors"][0]["message"]
    async with http.post(url, json=BODY, headers={**SSE, "X-GraphQL-Event-Stream-Token": "token"}) as response:
        (payload,) = events(await response.read())
        assert "single connection mode" in payload["errors"][0]["message"]
    assert feed.operations == []


# Multipart


@pytest.mark.parametrize("headers", [APOLLO, APOLLO_IOS], ids=["web", "ios"])
async def test_multipart_events_come_with_the_boundary_behind_them(
    feed: Feed, url: str, http: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    async with http.post(url, json=BODY, headers=headers) as response:
        assert response.headers["Content-Type"] == 'multipart/mixed; boundary="graphql"; subscriptionSpec="1.0"'
        start = await response.content.readuntil(b'{"payload":{"data": {"tick": 0}}}\r\n--graphql')
        feed.send(tick(1))
        start += await response.content.readuntil(b'{"payload":{"data": {"tick": 1}}}\r\n--graphql')
        feed.complete({"message": "gone"})
        found = parts(start + await response.read())
    assert found == [{"payload": payload} for payload in (tick(0), tick(1), {"errors": [{"message": "gone"}]})]


async def test_a_refused_subscription_is_answered_as_json_to_a_client_of_multipart(
    feed: Feed, url: str, http: aiohttp.ClientSession
) -> None:
    feed.refusal = ValidationFailed("Wrong.")
    async with http.post(url, json=BODY, headers=APOLLO) as response:
        assert response.content_type == "application/graphql-response+json"
        assert (await response.json(content_type=None))["errors"][0]["message"] == "Wrong."


# Heartbeat


@pytest.mark.parametrize(
    ("headers", "beat"), [(SSE, b":\n\n"), (APOLLO, b"\r\n\r\n{}\r\n--graphql")], ids=["sse", "multipart"]
)
async def test_heartbeats(sandbox: Sandbox, http: aiohttp.ClientSession, headers: dict[str, str], beat: bytes) -> None:
    app = create_app(replace(settings_for(sandbox), heartbeat_seconds=0.05))
    async with serving(app) as url:
        Feed(app)
        async with http.post(f"{url}/graphql", json=BODY, headers=headers) as response:
            await response.content.readuntil(beat)
            await response.content.readuntil(beat)


@pytest.mark.parametrize("headers", [SSE, THROUGH_ASGI], ids=["direct", "asgi"])
async def test_a_dead_peer_is_found_within_thirty_seconds(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    """The system closes a connection whose peer acknowledges no heartbeat."""
    settings = settings_for(sandbox)
    assert settings.heartbeat_seconds + gateway.web.connection._ACKNOWLEDGE_SECONDS <= 30
    limits = []
    monkeypatch.setattr(
        gateway.web.http_protocol, "acknowledge_within", lambda transport: limits.append(_user_timeout(transport))
    )
    app = create_app(settings)
    async with serving(app) as url:
        Feed(app)
        _, writer = await _subscribe(url, headers)
        writer.close()
    assert limits == [15_000]


def _user_timeout(transport: Any) -> int:
    gateway.web.connection.acknowledge_within(transport)
    timeout: int = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    return timeout


async def _subscribe(url: str, headers: dict[str, str] = SSE) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await connect(url)
    body = json.dumps(BODY).encode()
    given = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(
        b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n%b"
        b"Content-Length: %d\r\n\r\n%b" % (given.encode(), len(body), body)
    )
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


# Ends


async def test_a_restart_cuts_events_and_tells_multipart(
    gateway_app: Any, feed: Feed, url: str, http: aiohttp.ClientSession
) -> None:
    async with http.post(url, json=BODY, headers=SSE) as cut, http.post(url, json=BODY, headers=APOLLO) as told:
        await feed.until(2)
        gateway_app.begin_drain(0.0)
        with pytest.raises(aiohttp.ClientPayloadError):
            await cut.read()
        *_, last = parts(await told.read())
        assert last["payload"] is None
        assert last["errors"][0]["extensions"] == {"code": "OVERLOADED", "retryable": True}
    assert feed.subscribers == []


async def test_a_server_that_stops_cuts_the_streams_that_are_left(gateway_app: Any) -> None:
    async with serving(gateway_app) as url:
        Feed(gateway_app)
        reader, writer = await _subscribe(url)
    assert not (await reader.read()).endswith(b"0\r\n\r\n")
    writer.close()


@pytest.mark.parametrize("headers", [SSE, APOLLO, THROUGH_ASGI], ids=["sse", "multipart", "asgi"])
async def test_a_server_that_stops_does_not_wait_for_a_peer_that_does_not_read(
    gateway_app: Any, caplog: pytest.LogCaptureFixture, headers: dict[str, str]
) -> None:
    async with serving(gateway_app) as url:
        feed = Feed(gateway_app)
        _, writer = await _subscribe(url, headers)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await feed.fill()
        began = time.monotonic()
        gateway_app.begin_drain(0.0)  # As on SIGTERM.
    assert time.monotonic() - began < _GRACE_SECONDS / 2
    assert caplog.messages == []
    writer.close()


@pytest.mark.parametrize("reason", [EndReason.RESTART, EndReason.TOO_SLOW])
@pytest.mark.parametrize("headers", [SSE, THROUGH_ASGI], ids=["direct", "asgi"])
@pytest.mark.parametrize("reads", [True, False])
async def test_a_cut_is_no_fault_and_does_not_wait_for_the_peer(
    feed: Feed, url: str, caplog: pytest.LogCaptureFixture, headers: dict[str, str], reason: EndReason, reads: bool
) -> None:
    reader, writer = await _subscribe(url, headers)
    if reads:
        await reader.readuntil(b"\n\n\r\n")
    else:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await feed.fill()
    feed.end(reason)
    if not reads:
        await asyncio.sleep(0)  # The end is sent.
        writer.transport.resume_reading()  # type: ignore[attr-defined]
    with suppress(ConnectionResetError):
        assert not (await asyncio.wait_for(reader.read(), 10)).endswith(b"0\r\n\r\n")
    assert caplog.messages == []
    writer.close()


@pytest.mark.parametrize("headers", [SSE, APOLLO], ids=["sse", "multipart"])
async def test_a_withdrawn_token_is_told_by_an_event(
    sandbox: Sandbox, http: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    secret = "a-secret-of-16-characters"
    app: Any = create_app(replace(settings_for(sandbox), tokens={"web": Token(secret), "ci": Token(secret[::-1])}))
    async with serving(app) as url:
        feed = Feed(app)
        async with http.post(
            f"{url}/graphql", json=BODY, headers={**headers, "Authorization": f"Bearer {secret}"}
        ) as response:
            await feed.until(1)
            app.replace_tokens({"ci": Token(secret[::-1])})
            body = await response.read()
    payload = events(body)[-1] if headers is SSE else parts(body)[-1]["payload"]
    assert payload["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_token_that_expires_is_told_by_an_event(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    key = "a shared secret of 32 characters or more"
    settings = JwtSettings(key=key, issuer="i", audience="a", algorithms=("HS256",))
    app = create_app(replace(settings_for(sandbox), jwt=settings))
    async with serving(app) as url:
        Feed(app)
        token = jwt.encode({"iss": "i", "aud": "a", "sub": "ada", "exp": time.time() - 9.0}, key, "HS256")
        for _ in range(2):  # The second time it is refused.
            async with http.post(
                f"{url}/graphql", json=BODY, headers={**SSE, "Authorization": f"Bearer {token}"}
            ) as response:
                assert response.status == 200
                body = await response.read()
                assert events(body)[-1]["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
                assert body.endswith(COMPLETE)


async def test_one_over_for_good_completes_and_the_connection_is_kept(
    feed: Feed, url: str, http: aiohttp.ClientSession
) -> None:
    for _ in range(2):
        async with http.post(url, json=BODY, headers=SSE) as response:
            await response.content.readuntil(b"\n\n")
            feed.complete({"message": "gone"})
            assert events(await response.read()) == [{"errors": [{"message": "gone"}]}]
    assert http.connector is not None
    assert len(http.connector._conns) == 1


async def test_a_reader_that_stops_is_cut_and_others_read_on(gateway_app: Any, feed: Feed, url: str) -> None:
    base = url.removesuffix("/graphql")
    slow, slow_writer = await _subscribe(base)
    slow_writer.transport.pause_reading()  # type: ignore[attr-defined]
    healthy, healthy_writer = await _subscribe(base)
    await healthy.readuntil(b"\n\n")
    number = 0
    while len(feed.subscribers) == 2:
        feed.send(tick("x" * 20_000))
        number += 1
        await healthy.readuntil(b"\n\n")
        assert number < 10_000
    slow_writer.transport.resume_reading()  # type: ignore[attr-defined]
    with suppress(ConnectionResetError):  # A reset is a cut too.
        assert not (await slow.read()).endswith(b"0\r\n\r\n")
    assert gateway_app.state.streams.ended == {("sse", "too_slow"): 1}
    healthy_writer.close()
    slow_writer.close()


async def test_events_of_one_turn_come_in_order_and_wait_for_the_reader(
    feed: Feed, url: str, http: aiohttp.ClientSession
) -> None:
    async with http.post(url, json=BODY, headers=SSE) as response:
        await feed.until(1)
        for number in range(900):
            feed.send(tick([number, "x" * 20_000]))
        assert len(feed.subscribers[0]._queue) > 100  # They are in its queue, and not in the transport.
        feed.complete()
        sent = [tick([number, "x" * 20_000]) for number in range(900)]
        assert events(await response.read()) == [tick(0), *sent]


async def test_the_hub_s_restart_cuts(feed: Feed, url: str, http: aiohttp.ClientSession) -> None:
    async with http.post(url, json=BODY, headers=SSE) as response:
        await feed.until(1)
        feed.end(EndReason.RESTART)
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


# Through ASGI


async def test_any_asgi_server_serves_them(gateway_app: Any, http: aiohttp.ClientSession) -> None:
    """Here uvicorn with its own protocols, in which the gateway has no direct way to the connection."""
    with listen("127.0.0.1", 0, "--port") as listener:
        config = uvicorn.Config(gateway_app, log_config=None, ws="websockets-sansio", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110 It has no event.
            await asyncio.sleep(0.01)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/graphql"
        feed = Feed(gateway_app)
        feed.first = [tick(0)]
        async with http.post(url, json=BODY, headers=SSE) as response:
            assert events(await response.content.readuntil(b"\n\n")) == [tick(0)]
            feed.send(tick(1))
            assert events(await response.content.readuntil(b"\n\n")) == [tick(1)]
            feed.complete()
            assert await response.read() == COMPLETE
        async with http.ws_connect(url, protocols=["graphql-transport-ws"]) as ws:
            await ws.send_json({"type": "connection_init"})
            assert await ws.receive_json() == {"type": "connection_ack"}
            await ws.send_json({"type": "subscribe", "id": "1", "payload": BODY})
            assert (await ws.receive_json())["payload"] == tick(0)
            feed.end(EndReason.RESTART)
            assert (await ws.receive()).data == 1012
        async with http.post(url, json=BODY, headers=SSE) as response:
            await feed.until(1)
            feed.end(EndReason.TOO_SLOW)
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()
        async with http.post(url, json=BODY, headers=SSE):
            await feed.until(1)
        await feed.until(0)
        server.should_exit = True
        await running


async def test_a_server_that_cannot_send_the_head_leaves_no_subscriber(gateway_app: Any, feed: Feed, url: str) -> None:
    """ASGI servers raise OSError when the client has left."""
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/graphql",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json"), (b"accept", b"text/event-stream")],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps(BODY).encode()}

    async def send(message: Any) -> None:
        assert len(feed.subscribers) == 1
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await gateway_app(scope, receive, send)
    assert feed.subscribers == []


async def test_pages_of_named_origins_may_subscribe(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    app: Any = create_app(replace(settings_for(sandbox), cors_origins=frozenset({"https://app.example.com"})))
    async with serving(app) as url:
        feed = Feed(app)
        feed.first = [tick(0)]
        headers = {**SSE, "Origin": "https://app.example.com"}
        async with http.post(f"{url}/graphql", json=BODY, headers=headers) as response:
            assert response.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
            assert events(await response.content.readuntil(b"\n\n")) == [tick(0)]
            app.begin_drain(0.0)
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()


async def test_log_and_metrics(gateway_app: Any, feed: Feed, url: str, http: aiohttp.ClientSession) -> None:
    feed.first = [tick("secret payload")]
    with capture_logs() as lines:
        async with http.post(url, json=BODY, headers=SSE) as response:
            request_id = response.headers["X-Request-Id"]
            await feed.until(1)
            feed.complete()
            await response.read()
    assert [(line["event"], line["request_id"]) for line in lines] == [
        ("subscription started", request_id),
        ("subscription ended", request_id),
    ]
    assert (lines[1]["transport"], lines[1]["reason"], lines[1]["events"]) == ("sse", "complete", 1)
    assert "secret" not in str(lines)
    async with http.get(url.replace("/graphql", "/metrics")) as response:
        assert 'gateway_streams_ended_total{reason="complete",transport="sse"} 1.0' in await response.text()
