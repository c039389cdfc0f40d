"""The sandbox's faults of events over a WebSocket and as server-sent events: what a client meets, and that it may come back."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from websockets import Subprotocol
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from gateway.sandbox import Fault, Sandbox
from gateway.sandbox.faults import EVENT_KINDS

QUERY = """subscription ($sid: ID!) {
  deliveryUpdated(serviceSid: $sid) { __typename ... on ReceiptChange { receipt { status } } }
}"""
READY = {"data": {"deliveryUpdated": {"__typename": "DeliveriesReady"}}}
STALL_SECONDS = 0.1


def change(status: str) -> dict[str, Any]:
    return {"data": {"deliveryUpdated": {"__typename": "ReceiptChange", "receipt": {"status": status}}}}


def advance(sandbox: Sandbox) -> None:
    """Advance a receipt that is pending: to sent, then to delivered."""
    marks = sandbox.landmarks
    assert sandbox.progress(marks["pending_receipt_message_sid"], receipt_sid=marks["pending_receipt_sid"])


@pytest.fixture
def body(receipts_sandbox: Sandbox) -> dict[str, Any]:
    return {"query": QUERY, "variables": {"sid": receipts_sandbox.landmarks["service_sid"]}}


@asynccontextmanager
async def socket(url: str, body: dict[str, Any]) -> AsyncIterator[ClientConnection]:
    """A WebSocket with a subscription that has begun."""
    protocols = [Subprotocol("graphql-transport-ws")]
    async with connect(f"{url.replace('http', 'ws')}/graphql", subprotocols=protocols, close_timeout=0.2) as opened:
        await opened.send('{"type": "connection_init"}')
        assert await receive(opened) == {"type": "connection_ack"}
        await opened.send(json.dumps({"type": "subscribe", "id": "1", "payload": body}))
        assert await receive(opened) == next_of(READY)
        yield opened


async def receive(opened: ClientConnection) -> Any:
    return json.loads(await opened.recv())


def next_of(payload: dict[str, Any]) -> dict[str, Any]:
    return {"type": "next", "id": "1", "payload": payload}


@asynccontextmanager
async def stream(url: str, body: dict[str, Any], http: aiohttp.ClientSession) -> AsyncIterator[aiohttp.StreamReader]:
    """A response of server-sent events that has begun."""
    async with http.post(f"{url}/graphql", json=body, headers={"Accept": "text/event-stream"}) as response:
        assert await event(response.content) == READY
        yield response.content


async def event(content: aiohttp.StreamReader) -> Any:
    assert await content.readline() == b"event: next\n"
    line = await content.readline()
    assert await content.readline() == b"\n"
    return json.loads(line.removeprefix(b"data: "))


async def open_streams(url: str, http: aiohttp.ClientSession) -> float:
    async with http.get(f"{url}/metrics") as response:
        lines = [line for line in (await response.text()).splitlines() if line.startswith("gateway_streams{")]
    assert lines
    return sum(float(line.rpartition(" ")[2]) for line in lines)


async def test_disconnect(
    receipts_gateway_url: str, receipts_sandbox: Sandbox, body: dict[str, Any], http: aiohttp.ClientSession
) -> None:
    rule = receipts_sandbox.faults.add("*ReceiptChange*", Fault("disconnect", times=2))
    async with socket(receipts_gateway_url, body) as opened, stream(receipts_gateway_url, body, http) as content:
        advance(receipts_sandbox)
        with pytest.raises(ConnectionClosed) as closed:
            await receive(opened)
        assert closed.value.rcvd is None
        with pytest.raises(aiohttp.ClientError):
            await content.readline()
    assert rule.hits == 2
    async with socket(receipts_gateway_url, body) as opened, stream(receipts_gateway_url, body, http) as content:
        advance(receipts_sandbox)
        assert await receive(opened) == next_of(change("DELIVERED"))
        assert await event(content) == change("DELIVERED")


async def test_expire_token(
    receipts_gateway_url: str, receipts_sandbox: Sandbox, body: dict[str, Any], http: aiohttp.ClientSession
) -> None:
    receipts_sandbox.faults.add("*ReceiptChange*", Fault("expire_token"))
    async with socket(receipts_gateway_url, body) as opened, stream(receipts_gateway_url, body, http) as content:
        advance(receipts_sandbox)
        with pytest.raises(ConnectionClosed) as closed:
            await receive(opened)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4403
        (error,) = (await event(content))["errors"]
        assert error["extensions"]["code"] == "UNAUTHENTICATED"
        assert await content.read() == b"event: complete\ndata:\n\n"


async def test_stall(
    receipts_gateway_url: str, receipts_sandbox: Sandbox, body: dict[str, Any], http: aiohttp.ClientSession
) -> None:
    """Nothing arrives meanwhile, and then all of it does."""
    receipts_sandbox.faults.add("*ReceiptChange*", Fault("stall", latency=STALL_SECONDS, times=2))
    async with socket(receipts_gateway_url, body) as opened, stream(receipts_gateway_url, body, http) as content:
        began = time.monotonic()
        advance(receipts_sandbox)
        assert await receive(opened) == next_of(change("SENT"))
        assert await event(content) == change("SENT")
        assert time.monotonic() - began >= STALL_SECONDS
        advance(receipts_sandbox)
        assert await receive(opened) == next_of(change("DELIVERED"))
        assert await event(content) == change("DELIVERED")


async def test_a_stall_holds_back_pongs_too(
    receipts_gateway_url: str, receipts_sandbox: Sandbox, body: dict[str, Any]
) -> None:
    """So a client that pings notices it."""
    receipts_sandbox.faults.add("*ReceiptChange*", Fault("stall", latency=STALL_SECONDS))
    async with socket(receipts_gateway_url, body) as opened:
        advance(receipts_sandbox)
        await receipts_sandbox.until(lambda: receipts_sandbox.webhooks[0].statuses == [204])
        await opened.send('{"type": "ping"}')
        assert [await receive(opened), await receive(opened)] == [next_of(change("SENT")), {"type": "pong"}]


async def test_a_client_may_leave_a_stalled_connection(
    receipts_gateway_url: str, receipts_sandbox: Sandbox, body: dict[str, Any], http: aiohttp.ClientSession
) -> None:
    rule = receipts_sandbox.faults.add("deliveryUpdated", Fault("stall", after=2))
    async with socket(receipts_gateway_url, body), stream(receipts_gateway_url, body, http):
        advance(receipts_sandbox)
        await receipts_sandbox.until(lambda: receipts_sandbox.webhooks[0].statuses == [204])
    assert rule.hits == 2
    async with asyncio.timeout(5):
        while await open_streams(receipts_gateway_url, http):
            pass


def test_every_kind_has_its_test() -> None:
    assert {kind for kind in EVENT_KINDS if f"test_{kind}" in globals()} == EVENT_KINDS
