"""Subscribers that note which events arrive, and when: bare protocols that read no more of a frame than the sid in it."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, cast
from urllib.parse import urlsplit

from websockets.frames import Frame, Opcode

from .load import Connection, connect
from .processes import TOKEN

__all__ = ["Crowd", "Listener", "frame", "operation", "upgrade"]

RECEIPT = "cursor receipt { id sid status errorCode dateUpdated }"
TOGETHER = 50
"""Connections that are opened at the same time."""
SECONDS_MAX = 15.0
"""For events to arrive."""
_SID = re.compile(rb'"sid":"DY([0-9a-f]{32})"')
_SID_LENGTH = 42
_PING = re.compile(rb"\x89([\x00-\x08])")
"""The head of a ping, which is no part of JSON in ASCII, nor of the head of a longer frame before it."""


def operation(service: str, conversation: str | None = None, message: str = "id sid") -> dict[str, Any]:
    """A subscription to a service, as the gateway and its peer have it, or to a conversation, with fields of the message."""
    variables: dict[str, Any] = {"serviceSid": service}
    defined = arguments = ""
    if conversation is not None:
        variables["conversationSids"] = [conversation]
        defined, arguments = ", $conversationSids: [ID!]", ", conversationSids: $conversationSids"
    change = f"... on ReceiptChange {{ {RECEIPT} message {{ {message} }} }}"
    selected = f"__typename ... on DeliveriesReady {{ cursor }} {change}"
    field = f"deliveryUpdated(serviceSid: $serviceSid{arguments}) {{ {selected} }}"
    query = f"subscription($serviceSid: ID!{defined}) {{ {field} }}"
    return {"query": query, "variables": variables}


def upgrade(host: str) -> bytes:
    """The request that opens a WebSocket."""
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET /graphql HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: graphql-transport-ws\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    ).encode()


def frame(message: dict[str, Any]) -> bytes:
    """A message of a client on a WebSocket."""
    return Frame(Opcode.TEXT, json.dumps(message).encode()).serialize(mask=True)


class Listener(asyncio.Protocol):
    """One subscriber, on a connection of its own."""

    def __init__(self, crowd: Crowd, host: str, transport: str, operation: dict[str, Any]) -> None:
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the first event is there."""
        self.heard: list[int] = []
        """The numbers of the events, as they came."""
        self._crowd, self._host, self._operation = crowd, host, operation
        self._is_socket = transport == "websocket"
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self._is_socket:
            self.transport.write(upgrade(self._host))
            return
        body = json.dumps(self._operation)
        self.transport.write(
            f"POST /graphql HTTP/1.1\r\nHost: {self._host}\r\nAuthorization: Bearer {TOKEN}\r\nAccept: text/event-stream\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionResetError(f"The server hung up: {self._rest[:300]!r}"))

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        if not self.ready.done():
            self._begin(data)
            return
        if self._is_socket and b"\x89" in data and (ping := _PING.search(data)):
            payload = data[ping.end() : ping.end() + ping[1][0]]
            self.transport.write(Frame(Opcode.PONG, payload).serialize(mask=True))
        end = 0
        for found in _SID.finditer(data):
            number, end = int(found[1], 16), found.end()
            self.heard.append(number)
            self._crowd.hear(number)
        self._rest = data[max(end, len(data) - _SID_LENGTH) :]

    def _begin(self, data: bytes) -> None:
        """Initialize a socket, and subscribe."""
        self._rest = data
        if b"DeliveriesReady" in data:
            self._rest = b""
            self.ready.set_result(None)
        elif not self._is_socket:
            return
        elif data.endswith(b"\r\n\r\n"):
            self._rest = b""
            self.transport.write(frame({"type": "connection_init", "payload": {"Authorization": f"Bearer {TOKEN}"}}))
        elif b"connection_ack" in data:
            self._rest = b""
            name = f"{os.urandom(16).hex()}-id"  # As long as graphql-ws's, which are UUIDs.
            self.transport.write(frame({"type": "subscribe", "id": name, "payload": self._operation}))


class Crowd:
    """Subscribers, and the seconds from each webhook to each of them."""

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self.seconds: list[float] = []
        """From when each event was due to its arrival, for each subscriber."""
        self.sent: dict[int, float] = {}
        """When each event was due."""
        self._left: dict[int, int] = {}
        self._arrived: dict[int, asyncio.Event] = {}
        """Set once an event has arrived everywhere."""

    async def subscribe(self, url: str, transport: str, operations: Sequence[dict[str, Any]]) -> list[Listener]:
        """Open a subscriber for each operation, and wait until all are ready."""
        where, loop = urlsplit(url), asyncio.get_running_loop()
        opened: list[Listener] = []
        for first in range(0, len(operations), TOGETHER):
            made = await asyncio.gather(
                *[
                    loop.create_connection(
                        lambda each=each: Listener(self, where.netloc, transport, each),  # type: ignore[misc]
                        where.hostname or "",
                        where.port or 80,
                    )
                    for each in operations[first : first + TOGETHER]
                ]
            )
            listeners = [listener for _, listener in made]
            async with asyncio.timeout(SECONDS_MAX):
                await asyncio.gather(*[listener.ready for listener in listeners])
            opened += listeners
        self.listeners += opened
        return opened

    def hear(self, number: int) -> None:
        """Note the arrival of an event at a subscriber."""
        due = self.sent.get(number)
        if due is None:
            return
        self.seconds.append(time.perf_counter() - due)
        self._left[number] -= 1
        if not self._left[number] and (arrived := self._arrived.pop(number, None)) is not None:
            arrived.set()

    async def at_a_rate(self, url: str, numbered: Sequence[tuple[int, bytes]], hearers: int, per_second: float) -> None:
        """Send each webhook when it is due, and wait until each has arrived at so many subscribers, or does not."""
        connections: asyncio.Queue[Connection] = asyncio.Queue()
        for _ in range(64):
            connections.put_nowait(await connect(url))

        async def send(request: bytes) -> None:
            connection = await connections.get()
            await connection.ask(request)
            connections.put_nowait(connection)

        began, tasks = time.perf_counter(), []
        for place, (number, request) in enumerate(numbered):
            due = began + place / per_second
            if (left := due - time.perf_counter()) > 0:
                await asyncio.sleep(left)
            self.sent[number], self._left[number] = due, hearers
            tasks.append(asyncio.create_task(send(request)))
        await asyncio.gather(*tasks)
        await self._until(numbered)
        while not connections.empty():
            connections.get_nowait().close()

    async def at_most(self, url: str, numbered: Iterator[tuple[int, bytes]], window: int, seconds: float) -> float:
        """Send webhooks for so long, the next as soon as one of a few has arrived everywhere; give the deliveries a second."""
        before, began = len(self.seconds), time.perf_counter()

        async def run() -> None:
            connection = await connect(url)
            while time.perf_counter() - began < seconds:
                number, request = next(numbered)
                self.sent[number], self._left[number] = time.perf_counter(), len(self.listeners)
                await connection.ask(request)
                await self._until([(number, request)])
            connection.close()

        await asyncio.gather(*[run() for _ in range(window)])
        return (len(self.seconds) - before) / (time.perf_counter() - began)

    async def _until(self, numbered: Sequence[tuple[int, bytes]]) -> None:
        """Wait until events have arrived, or some do not within `SECONDS_MAX`."""
        try:
            async with asyncio.timeout(SECONDS_MAX):
                for number, _ in numbered:
                    if self._left[number] > 0:
                        arrived = self._arrived[number] = asyncio.Event()
                        await arrived.wait()
        except TimeoutError:
            return

    def missed_and_repeated(self, expected: Sequence[tuple[Listener, Sequence[int]]]) -> tuple[int, int]:
        """How many events did not arrive at a subscriber that should have, and how many arrived again, or by mistake."""
        missed = repeated = 0
        for listener, numbers in expected:
            heard = Counter(listener.heard)
            heard.subtract(numbers)
            missed -= sum(count for count in heard.values() if count < 0)
            repeated += sum(count for count in heard.values() if count > 0)
        return missed, repeated

    def close(self) -> None:
        """Leave."""
        for listener in self.listeners:
            listener.transport.abort()
