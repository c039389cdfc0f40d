"""A client of sockets whose messages are those of graphql-transport-ws, as they are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from .feed import SUBSCRIPTION

INIT = {"type": "connection_init"}
ACK = {"type": "connection_ack"}
QUERY = "{ services(first: 1) { edges { node { sid } } } }"


def subscribe(id_: str = "1", query: str = SUBSCRIPTION, **payload: Any) -> dict[str, Any]:
    return {"id": id_, "type": "subscribe", "payload": {"query": query, **payload}}


class Client:
    """A socket whose messages are JSON."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, *messages: Any) -> None:
        for message in messages:
            await self.socket.send(message if isinstance(message, str | bytes) else json.dumps(message))

    async def receive(self) -> Any:
        text = await asyncio.wait_for(self.socket.recv(), 10)
        assert isinstance(text, str)  # Clients reject binary messages.
        return json.loads(text)

    async def nothing(self) -> None:
        """Assert that nothing has been sent: a pong comes first."""
        await self.send({"type": "ping", "payload": {"of": "nothing"}})
        assert await self.receive() == {"type": "pong", "payload": {"of": "nothing"}}

    async def closed(self) -> tuple[int, str]:
        """Return the code and the reason of the close frame, before which nothing comes."""
        with pytest.raises(ConnectionClosed) as caught:
            await self.receive()
        assert caught.value.rcvd is not None
        return caught.value.rcvd.code, caught.value.rcvd.reason


@asynccontextmanager
async def opened(
    url: str, *, init: Any = INIT, subprotocol: str | None = "graphql-transport-ws", **options: Any
) -> AsyncIterator[Client]:
    target = url.replace("http", "ws") + "/graphql"
    offered = [websockets.Subprotocol(subprotocol)] if subprotocol is not None else None
    async with connect(target, subprotocols=offered, close_timeout=0.2, **options) as socket:
        client = Client(socket)
        if init is not None:
            await client.send(init)
            assert await client.receive() == ACK
        yield client
