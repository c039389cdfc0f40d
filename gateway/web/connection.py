"""The client's side of a connection: whether it is still there, and how work for it is cancelled when it disconnects."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable
from inspect import iscoroutine
from typing import TYPE_CHECKING, Protocol, TypeVar

from starlette.types import Receive

if TYPE_CHECKING:
    from gateway.web.streams import Stream

__all__ = [
    "STREAM_HOST",
    "AsgiConnection",
    "ClientConnection",
    "ClientDisconnected",
    "ReplyAborted",
    "StreamHost",
    "acknowledge_within",
]

STREAM_HOST = "gateway.stream_host"
"""The key of the `StreamHost` in an ASGI scope; other servers have none."""

_ACKNOWLEDGE_SECONDS = 15

T = TypeVar("T")


class ReplyAborted(Exception):
    """The reply is not sent, or not completely. The reason has been logged."""


class ClientDisconnected(ReplyAborted):
    """The client closed its connection before it had the reply."""


class StreamHost(Protocol):
    """What the server's protocol does for a response that is sent in events, beyond what ASGI offers."""

    def begin_stream(self, stream: Stream) -> None:
        """Find out when the peer is dead, and end the stream then, and before the server stops."""

    def cut_stream(self, *, at_once: bool) -> None:
        """Close the connection within the response. With `at_once`, unsent bytes are dropped."""


class ClientConnection:
    """A connection as its requests see it. They are answered one after another, so that at most one is waiting."""

    def __init__(self) -> None:
        self.closed = False
        self.peer = ""
        """The address of the peer, which may be a proxy; empty if it is unknown."""
        self.host: StreamHost | None = None
        """None where another server has the connection, and for replies that need none."""
        self.on_close: Callable[[], object] | None = None
        """Called once, when the client disconnects."""

    def close(self) -> None:
        """Record that the client has disconnected."""
        self.closed = True
        if self.on_close is not None:
            self.on_close()

    def watch(self, on_close: Callable[[], object]) -> None:
        """Call `on_close` when the client disconnects."""
        self.on_close = on_close

    def unwatch(self) -> None:
        """Call nothing any more when the client disconnects."""
        self.on_close = None

    async def until_closed(self, work: Awaitable[T]) -> T:
        """Return the result of `work`. If the client disconnects first, cancel it and raise `ClientDisconnected`."""
        if self.closed:
            if iscoroutine(work):
                work.close()
            raise ClientDisconnected
        task = asyncio.current_task()
        assert task is not None
        self.watch(task.cancel)
        try:
            return await work
        except asyncio.CancelledError:
            if self.closed and task.uncancel() == 0:
                raise ClientDisconnected from None
            raise
        finally:
            self.unwatch()


class AsgiConnection(ClientConnection):
    """The connection of a request that came through ASGI, whose server says when the client has disconnected."""

    def __init__(self, receive: Receive, host: StreamHost | None = None) -> None:
        """Create the connection with ASGI's `receive` (https://asgi.readthedocs.io/en/latest/specs/www.html)."""
        super().__init__()
        self.host = host
        self._receive = receive
        self._watching: asyncio.Task[None] | None = None

    def watch(self, on_close: Callable[[], object]) -> None:
        """Call `on_close` when the client disconnects. The body must have been received."""
        super().watch(on_close)
        self._watching = asyncio.create_task(self._watch())

    def unwatch(self) -> None:
        """Call nothing any more when the client disconnects."""
        super().unwatch()
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass  # The body of a GET.
        self.close()


def acknowledge_within(transport: asyncio.Transport) -> None:
    """Have the system close the connection when its peer has acknowledged no sent bytes for 15 s, where it can.

    A peer that lost its network or its power sends no FIN: without this, Linux sends again for a quarter of an hour.
    """
    connection = transport.get_extra_info("socket") if not transport.is_closing() else None
    if connection is not None and sys.platform == "linux" and connection.family in {socket.AF_INET, socket.AF_INET6}:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _ACKNOWLEDGE_SECONDS * 1000)
