"""GraphQL over WebSocket: a test for each heading of graphql-ws's PROTOCOL.md, and for each way in which a socket ends."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from hashlib import sha256
from typing import Any

import aiohttp
import pytest
import websockets
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

import gateway.web.sockets
from gateway.accounts.subscriptions import EndReason
from gateway.app import create_app
from gateway.demo import settings_for
from gateway.errors import CostLimitExceeded, Overloaded, ValidationFailed
from gateway.sandbox import Fault, Sandbox
from gateway.web import server
from gateway.web.streams import ENDINGS, End

from ..conftest import serving
from .feed import Feed, tick
from .socket_client import ACK, INIT, QUERY, opened, subscribe


@pytest.fixture
async def gateway_app(sandbox: Sandbox) -> Any:
    return create_app(settings_for(sandbox))


@pytest.fixture
async def url(gateway_app: Any) -> AsyncIterator[str]:
    async with serving(gateway_app) as url:
        yield url


@pytest.fixture
async def feed(gateway_app: Any, url: str) -> Feed:
    return Feed(gateway_app)


# The protocol's headings


async def test_communication(feed: Feed, url: str) -> None:
    """The subprotocol is selected, and every message is a JSON text with a `type`."""
    async with opened(url) as client:
        assert client.socket.subprotocol == "graphql-transport-ws"
        assert client.socket.response is not None
        assert "Sec-WebSocket-Extensions" not in client.socket.response.headers  # No compression.
    assert feed.subscribers == []


@pytest.mark.parametrize(
    "payload", [{}, {"payload": None}, {"payload": {}}, {"payload": {"Authorization": "Bearer x", "n": [1]}}]
)
async def test_connection_init_and_connection_ack(url: str, payload: dict[str, Any]) -> None:
    async with opened(url, init={**INIT, **payload}) as client:
        await client.nothing()


async def test_too_many_connection_inits(url: str) -> None:
    async with opened(url) as client:
        await client.send(INIT)
        assert (await client.closed())[0] == 4429


async def test_ping_and_pong(url: str) -> None:
    """At any time, also before the connection is initialised. A `pong` needs no answer."""
    async with opened(url, init=None) as client:
        await client.send({"type": "ping"}, {"type": "pong"}, {"type": "pong", "payload": {}})
        assert await client.receive() == {"type": "pong"}
        await client.send(INIT, {"type": "ping", "payload": {"a": "é"}})
        assert [await client.receive(), await client.receive()] == [ACK, {"type": "pong", "payload": {"a": "é"}}]


@pytest.mark.parametrize("payload", ['{"n":18446744073709551616}', '{"n":1e999}', '{"a":[{"b":"\\u0000"}]}'])
async def test_a_pong_has_the_payload_of_its_ping_whatever_that_is(url: str, payload: str) -> None:
    async with opened(url, init=None) as client:
        await client.send('{"type":"ping","payload":%s}' % payload)
        assert await client.socket.recv() == '{"type":"pong","payload":%s}' % payload


async def test_messages_that_follow_each_other_without_an_answer_between(url: str) -> None:
    async with opened(url, init=None) as client:
        await client.send(INIT, subscribe(query="{ __typename }"), subscribe("2", query="{ __typename }"))
        found = [await client.receive() for _ in range(5)]
        assert [(each.get("id"), each["type"]) for each in found] == [
            (None, "connection_ack"),
            ("1", "next"),
            ("1", "complete"),
            ("2", "next"),
            ("2", "complete"),
        ]


async def test_a_message_may_come_in_fragments(url: str) -> None:
    async with opened(url, init=None) as client:
        await client.socket.send(['{"type":"ping","pay', 'load":{"a":"', "\u20ac", "", '"}}'])
        assert await client.receive() == {"type": "pong", "payload": {"a": "\u20ac"}}
        await client.socket.send([b'{"type":', b'"ping"}'])
        assert (await client.closed())[0] == 4400
    async with opened(url, init=None) as client:
        await client.socket.send(['{"type":"ping"}', *1022 * [""]])
        assert await client.receive() == {"type": "pong"}
        with suppress(ConnectionClosed):
            await client.socket.send(['{"type":', *2000 * [""], '"ping"}'])
        assert await client.closed() == (1009, "A message has more than 1024 fragments.")


async def test_subscribe_next_and_complete(feed: Feed, url: str) -> None:
    feed.first = [tick(0)]
    async with opened(url) as client:
        await client.send(subscribe("é/1", operationName="Ticks", variables=None, extensions=None))
        assert await client.receive() == {"id": "é/1", "type": "next", "payload": tick(0)}
        feed.send(tick(1))
        assert await client.receive() == {"id": "é/1", "type": "next", "payload": tick(1)}
        feed.complete()
        assert await client.receive() == {"id": "é/1", "type": "complete"}
        await client.nothing()
        await client.send(subscribe("é/1"))  # The id is free again.
        assert (await client.receive())["payload"] == tick(0)
    assert feed.operations[0].name == "Ticks"


async def test_subscribe_before_the_ack(url: str) -> None:
    async with opened(url, init=None) as client:
        await client.send(subscribe())
        assert await client.closed() == (4401, "Unauthorized")


async def test_subscribe_with_an_active_id(feed: Feed, url: str) -> None:
    async with opened(url) as client:
        await client.send(subscribe(), subscribe())
        assert await client.closed() == (4409, "Subscriber for 1 already exists")
    await feed.until(0)


@pytest.mark.parametrize("query", ["{", "{ nothing }", "subscription { nothing }", "mutation { nothing }"])
async def test_error(url: str, query: str) -> None:
    """An operation that cannot be executed: no `complete` follows."""
    async with opened(url) as client:
        await client.send(subscribe(query=query))
        message = await client.receive()
        assert (message["id"], message["type"]) == ("1", "error")
        assert [error["extensions"]["code"] for error in message["payload"]]
        await client.nothing()


async def test_complete_from_the_client(feed: Feed, url: str) -> None:
    async with opened(url) as client:
        await client.send(subscribe("1"), subscribe("2"))
        await feed.until(2)
        await client.send({"id": "1", "type": "complete"})
        await feed.until(1)
        feed.send(tick(1))
        assert await client.receive() == {"id": "2", "type": "next", "payload": tick(1)}
        await client.send({"id": "1", "type": "complete"}, {"id": "unknown", "type": "complete"})
        await client.nothing()


@pytest.mark.parametrize(
    "message",
    [
        "",
        "{",
        "nonsense",
        "null",
        "[]",
        '"ping"',
        "{}",
        {"type": None},
        {"type": "start", "id": "1", "payload": {"query": QUERY}},
        {"type": "connection_ack"},
        {"type": "connection_init", "payload": "token"},
        {"type": "ping", "payload": 1},
        {"type": "ping", "payload": [1]},
        {"type": "ping", "payload": "null"},
        '{"type": "ping", "payload": {"a": NaN}}',
        {"type": "subscribe", "payload": {"query": QUERY}},
        {"type": "subscribe", "id": 1, "payload": {"query": QUERY}},
        {"type": "subscribe", "id": "", "payload": {"query": QUERY}},
        {"type": "subscribe", "id": "x" * 200, "payload": {"query": QUERY}},
        {"type": "subscribe", "id": "1"},
        {"type": "subscribe", "id": "1", "payload": QUERY},
        {"type": "subscribe", "id": "1", "payload": {}},
        {"type": "subscribe", "id": "1", "payload": {"query": 1}},
        {"type": "subscribe", "id": "1", "payload": {"query": QUERY, "variables": []}},
        {"type": "subscribe", "id": "1", "payload": {"query": QUERY, "operationName": 1}},
        {"type": "complete"},
        {"type": "complete", "id": 1},
        '{"type": "ping", "payload": ' + 100 * '{"a":' + "1" + 101 * "}",
        b"binary",
        json.dumps(INIT).encode(),
    ],
)
async def test_invalid_message(url: str, message: Any) -> None:
    async with opened(url) as client:
        await client.send(message)
        code, reason = await client.closed()
        assert code == 4400
        assert reason


async def test_connection_initialisation_timeout(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway.web.sockets, "_INIT_SECONDS", 0.05)
    async with opened(url, init=None) as client:
        assert await client.closed() == (4408, "Connection initialisation timeout")
    async with opened(url) as client:
        await asyncio.sleep(0.1)  # Longer than that: the timer has been stopped.
        await client.nothing()


async def test_single_result_operation(url: str, sandbox: Sandbox) -> None:
    async with opened(url) as client:
        await client.send(
            subscribe(query=QUERY), subscribe("2", "query($n: Int) { services(first: $n) { totalCount } }")
        )
        found = {}
        for _ in range(3):
            message = await client.receive()
            found[message["id"], message["type"]] = message.get("payload")
        assert found["1", "next"]["data"]["services"]["edges"][0]["node"]["sid"].startswith("IS")
        assert ("1", "complete") in found
        assert ("2", "error") in found
    assert len(sandbox.paths) == 1


async def test_a_persisted_query(url: str) -> None:
    """As over HTTP: once a document was executed, its hash is enough."""
    query = "{ __typename }"
    digest = sha256(query.encode()).hexdigest()
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": digest}}
    by_hash = {"type": "subscribe", "payload": {"extensions": extensions}}
    async with opened(url) as client:
        await client.send({"id": "1", **by_hash})
        refused = await client.receive()
        assert refused["payload"][0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"
        for message in (subscribe("2", query, extensions=extensions), {"id": "3", **by_hash}):
            await client.send(message)
            assert (await client.receive())["payload"] == {"data": {"__typename": "Query"}}
            assert (await client.receive())["type"] == "complete"


async def test_a_query_with_deferred_fragments_has_several_results(url: str) -> None:
    async with opened(url) as client:
        await client.send(
            subscribe(query="{ services(first: 1) { edges { node { sid ... @defer { friendlyName } } } } }")
        )
        first, second, last = [await client.receive() for _ in range(3)]
        assert first["payload"]["hasNext"] is True
        assert second["payload"]["hasNext"] is False
        assert second["payload"]["incremental"][0]["data"]["friendlyName"]
        assert last == {"id": "1", "type": "complete"}
        await client.nothing()


async def test_a_query_that_the_client_completes_is_cancelled(url: str, sandbox: Sandbox, gateway_app: Any) -> None:
    account = gateway_app.state.account
    sandbox.faults.add("*", Fault("hang"))
    async with opened(url) as client:
        await client.send(subscribe(query=QUERY))
        await client.nothing()
        assert account.in_progress == 1
        await client.send({"id": "1", "type": "complete"})
        await client.nothing()
        assert account.in_progress == 0


# Upgrade


@pytest.mark.parametrize(
    ("subprotocol", "words"),
    [
        (None, "No known subprotocol"),
        ("graphql-ws", "legacy subprotocol graphql-ws"),
        ("mqtt", "No known subprotocol"),
        ("GRAPHQL-TRANSPORT-WS", "No known subprotocol"),
    ],
)
async def test_another_subprotocol_is_refused_by_name(url: str, subprotocol: str | None, words: str) -> None:
    async with opened(url, init=None, subprotocol=subprotocol) as client:
        code, reason = await client.closed()
        assert code == 4406
        assert words in reason
        assert "graphql-transport-ws" in reason


async def test_one_of_several_subprotocols_is_selected(url: str) -> None:
    offered = [websockets.Subprotocol(name) for name in ("graphql-ws", "mqtt", "graphql-transport-ws")]
    async with connect(url.replace("http", "ws") + "/graphql", subprotocols=offered, close_timeout=0.2) as socket:
        assert socket.subprotocol == "graphql-transport-ws"


async def refused(url: str, path: str = "/graphql", **headers: str) -> tuple[int, str]:
    host = headers.pop("Host", None)
    with pytest.raises(InvalidStatus) as caught:
        async with connect(
            url.replace("http", "ws") + path, additional_headers={**headers, **({"Host": host} if host else {})}
        ):
            pass
    response = caught.value.response
    return response.status_code, json.loads(response.body or b"")["errors"][0]["extensions"]["code"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost", "file://", "http://[", ""])
async def test_pages_of_other_origins_cannot_open_a_socket(url: str, origin: str) -> None:
    assert await refused(url, Origin=origin) == (403, "FORBIDDEN")


async def test_pages_of_named_origins_and_of_the_gateway_can(sandbox: Sandbox) -> None:
    settings = replace(settings_for(sandbox), cors_origins=frozenset({"https://app.example.com", "http://localhost:*"}))
    async with serving(create_app(settings)) as url:
        for origin in ("https://app.example.com", "http://localhost:3000", url):
            async with opened(url, origin=origin):
                pass
        assert await refused(url, Origin="https://app.example.com.evil.example") == (403, "FORBIDDEN")


async def test_a_foreign_host_is_refused(url: str) -> None:
    """DNS rebinding, as for HTTP."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(
        b"GET /graphql HTTP/1.1\r\nHost: rebound.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert (await asyncio.wait_for(reader.read(), 10)).startswith(b"HTTP/1.1 403")
    writer.close()


async def test_there_are_sockets_at_one_path_only(url: str) -> None:
    assert await refused(url, "/elsewhere") == (404, "BAD_REQUEST")


@pytest.mark.parametrize(
    "head",
    [
        b"POST /graphql HTTP/1.1\r\nContent-Length: 2\r\n",
        b"GET /graphql HTTP/1.1\r\nContent-Length: 2\r\n",
        b"GET /graphql HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
        b"GET /graphql HTTP/1.0\r\n",
        b"GET /graphql HTTP/1.1\r\nX-Long: " + b"x" * 10_000 + b"\r\n",
        b"GET /graphql HTTP/1.1\r\n" + 200 * b"X-Many: x\r\n",
        b"GET /graphql HTTP/1.1\r\nHost: localhost\r\n",
    ],
)
async def test_the_bounds_of_http_hold_for_an_upgrade(url: str, head: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(
        head + b"Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n{}"
    )
    reply = await asyncio.wait_for(reader.read(), 10)
    assert reply.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431"))
    writer.close()


async def test_frames_that_are_none_close_the_socket_and_nothing_else(feed: Feed, url: str) -> None:
    async with opened(url) as healthy:
        await healthy.send(subscribe())
        await feed.until(1)
        for garbage, code in (
            (b"\x00" * 40, 1002),
            (b"\xff" * 40, 1002),
            (b"\x81\xfe\xff\xff", None),
            (b"\x81\x83abcd\x9d\x9d\x9d", 1007),
        ):
            async with opened(url) as client:
                client.socket.transport.write(garbage)
                if code is not None:
                    assert (await client.closed())[0] == code
        async with opened(url, max_size=None) as client:
            await client.send("x" * 300_000)
            assert (await client.closed())[0] == 1009
        feed.send(tick(1))
        assert (await healthy.receive())["payload"] == tick(1)


# Ends


async def test_a_restart_closes_every_socket_with_1012(gateway_app: Any, feed: Feed, url: str) -> None:
    async with opened(url) as idle, opened(url) as busy:
        await busy.send(subscribe("1"), subscribe("2"))
        await feed.until(2)
        gateway_app.begin_drain(0.1)
        assert (await idle.closed())[0] == (await busy.closed())[0] == 1012
    assert feed.subscribers == []
    async with opened(url, init=None) as late:
        assert (await late.closed())[0] == 1012


async def test_a_server_that_stops_does_not_wait_for_a_peer_that_does_not_read(gateway_app: Any) -> None:
    async with AsyncExitStack() as clients:
        async with serving(gateway_app) as url:
            feed = Feed(gateway_app)
            client = await clients.enter_async_context(opened(url, max_queue=1))
            await client.send(subscribe())
            await feed.until(1)
            await feed.fill()
            began = time.monotonic()
            gateway_app.begin_drain(0.0)  # As on SIGTERM.
        assert time.monotonic() - began < server._GRACE_SECONDS / 2


async def test_sockets_are_closed_spread_over_the_drain(gateway_app: Any, url: str) -> None:
    began = time.monotonic()

    async def end() -> float:
        async with opened(url) as client:
            ready.release()
            await client.closed()
            return time.monotonic() - began

    ready = asyncio.Semaphore(0)
    ends = [asyncio.create_task(end()) for _ in range(5)]
    for _ in ends:
        await ready.acquire()
    began = time.monotonic()
    gateway_app.begin_drain(0.5)
    times = sorted(await asyncio.gather(*ends))
    assert times[-1] - times[0] > 0.3  # Of 0.4 between the first and the last.


async def test_the_hub_s_restart_closes_the_socket(feed: Feed, url: str) -> None:
    async with opened(url) as client:
        await client.send(subscribe())
        await feed.until(1)
        feed.end(EndReason.RESTART)
        assert (await client.closed())[0] == 1012


async def test_a_reader_that_stops_is_closed_with_1013_and_others_read_on(
    gateway_app: Any, feed: Feed, url: str
) -> None:
    async with opened(url) as healthy, opened(url, max_queue=1) as slow:
        await healthy.send(subscribe())
        await slow.send(subscribe())
        await feed.until(2)
        payload = tick("x" * 20_000)
        number = 0
        while len(feed.subscribers) == 2:
            feed.send(payload)
            number += 1
            await healthy.receive()
            assert number < 5000
        assert number > 1000
        with pytest.raises(ConnectionClosed) as caught:  # noqa: PT012
            while True:
                await slow.receive()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1013
        await healthy.nothing()
    assert gateway_app.state.streams.ended["websocket", "too_slow"] == 1


async def test_events_of_one_turn_come_in_order_and_before_the_close(feed: Feed, url: str) -> None:
    async with opened(url) as client:
        await client.send(subscribe())
        await feed.until(1)
        for number in range(100):
            feed.send(tick(number))
        feed.complete()
        for number in range(100):
            assert await client.receive() == {"id": "1", "type": "next", "payload": tick(number)}
        assert await client.receive() == {"id": "1", "type": "complete"}
        await client.send(subscribe("2"))
        await feed.until(1)
        feed.send(tick("last"))
        await client.send("no message")
        assert (await client.receive())["payload"] == tick("last")
        assert (await client.closed())[0] == 4400


async def test_events_of_one_turn_wait_for_a_reader_that_stops(feed: Feed, url: str) -> None:
    async with opened(url, max_queue=1) as client:
        await client.send(subscribe())
        await feed.until(1)
        for _ in range(900):
            feed.send(tick("x" * 20_000))
        assert len(feed.subscribers[0]._queue) > 100  # They are in its queue, and not in the transport.
        for _ in range(900):
            await client.receive()
        await client.nothing()


async def test_one_subscription_is_over_for_good_and_the_socket_stays(feed: Feed, url: str) -> None:
    async with opened(url) as client:
        await client.send(subscribe("1"))
        await feed.until(1)
        await client.send(subscribe("2"))
        await feed.until(2)
        first, _ = feed.subscribers
        first.put(b'{"errors":[{"message":"gone"}]}')
        first.end(EndReason.COMPLETE)
        assert await client.receive() == {"id": "1", "type": "next", "payload": {"errors": [{"message": "gone"}]}}
        assert await client.receive() == {"id": "1", "type": "complete"}
        feed.send(tick(1))
        assert await client.receive() == {"id": "2", "type": "next", "payload": tick(1)}


@pytest.mark.parametrize("refusal", [Overloaded("Full."), CostLimitExceeded("Too much."), ValidationFailed("Wrong.")])
async def test_a_refused_subscription_is_an_error_of_its_id(feed: Feed, url: str, refusal: Any) -> None:
    async with opened(url) as client:
        feed.refusal = refusal
        await client.send(subscribe())
        message = await client.receive()
        assert (message["id"], message["type"]) == ("1", "error")
        assert message["payload"][0]["extensions"]["code"] == refusal.code
        await client.nothing()


async def test_the_limits_of_a_socket_and_of_sockets(sandbox: Sandbox) -> None:
    app = create_app(replace(settings_for(sandbox), socket_operations=2, sockets=2))
    async with serving(app) as url:
        feed = Feed(app)
        async with opened(url) as client, opened(url):
            await client.send(subscribe("1"), subscribe("2"), subscribe("3"))
            message = await client.receive()
            assert (message["id"], message["type"]) == ("3", "error")
            assert "2 operations" in message["payload"][0]["message"]
            assert len(feed.subscribers) == 2
            async with opened(url, init=None) as full:
                assert (await full.closed())[0] == 1013
        async with opened(url):
            pass


async def test_sockets_opened_in_a_second(sandbox: Sandbox) -> None:
    app = create_app(replace(settings_for(sandbox), sockets_per_second=1))
    async with serving(app) as url, opened(url), opened(url, init=None) as second:
        assert (await second.closed())[0] == 1013


async def test_a_peer_that_answers_no_ping_is_found_dead(
    sandbox: Sandbox, gateway_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server._PING_SECONDS + server._PONG_SECONDS < 30
    monkeypatch.setattr(server, "_PING_SECONDS", 0.05)
    monkeypatch.setattr(server, "_PONG_SECONDS", 0.05)
    async with serving(gateway_app) as url, opened(url) as client:
        monkeypatch.setattr(client.socket.protocol, "send_frame", lambda frame: None)
        with pytest.raises(ConnectionClosed) as caught:
            await client.receive()
        assert caught.value.rcvd is None  # No close frame: 1011 would be final.
    assert gateway_app.state.streams.ended["websocket", "dead"] == 1


async def test_clients_that_come_and_go_leave_nothing(gateway_app: Any, feed: Feed, url: str) -> None:
    feed.first = [tick(0)]

    async def visit(number: int) -> None:
        async with opened(url) as client:
            await client.send(subscribe())
            await client.receive()
            if number % 2:
                client.socket.transport.abort()

    for _ in range(10):
        await asyncio.gather(*map(visit, range(20)))
    await feed.until(0)
    streams = gateway_app.state.streams
    while streams.opened["websocket"]:  # noqa: ASYNC110 It has no event.
        await asyncio.sleep(0)
    assert streams.ended == {("websocket", "left"): 200}


async def test_log_and_metrics_name_the_end_and_show_no_payload(
    gateway_app: Any, feed: Feed, url: str, http: aiohttp.ClientSession
) -> None:
    feed.first = [tick("secret payload")]
    with capture_logs() as lines:
        async with opened(url) as client:
            await client.send(subscribe(operationName="Ticks"))
            await client.receive()
            await client.send({"id": "1", "type": "complete"})
            await feed.until(0)
    events = [line["event"] for line in lines]
    assert events == ["subscription started", "subscription ended", "socket closed"]
    assert dict(lines[1]) | {"request_id": 0, "seconds": 0} == {
        "event": "subscription ended",
        "log_level": "info",
        "request_id": 0,
        "transport": "websocket",
        "caller": "anyone",
        "name": "Ticks",
        "reason": "left",
        "events": 1,
        "seconds": 0,
    }
    assert "secret" not in str(lines)
    async with http.get(f"{url}/metrics") as response:
        text = await response.text()
    assert 'gateway_streams{transport="websocket"} 0.0' in text
    assert 'gateway_streams_ended_total{reason="left",transport="websocket"} 1.0' in text


def test_every_reason_has_an_ending_that_clients_come_back_from() -> None:
    assert set(ENDINGS) == set(End)
    for ending in ENDINGS.values():
        assert ending.close in {None, 1012, 1013, 4403}
