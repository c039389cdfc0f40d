"""The hosts of WebSockets: the server's protocol, which has uvicorn and `websockets` handle the frames, and any ASGI server.

The server's protocol calls the socket directly: a task, a queue and ASGI's messages would take longer than most messages, and
more memory than everything else that an idle socket has.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import Any, Protocol, cast, runtime_checkable
from urllib.parse import unquote

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State

from gateway.errors import BadRequest
from gateway.web.connection import ClientConnection, acknowledge_within
from gateway.web.request import HttpRequest, decode_headers
from gateway.web.responses import Reply, error_reply
from gateway.web.sockets import Socket, SocketService
from gateway.web.streams import End

__all__ = ["SocketApplication", "SocketEndpoint", "SocketProtocol"]

_PARTS_MAX = 64
"""Heads and texts of messages that wait for the end of a turn of the event loop."""

_FRAGMENTS_MAX = 1024
"""Of one message."""


@lru_cache(maxsize=4096)
def _head(length: int) -> bytes:
    """Return the head of the frame of a text message with that many bytes, at least one: it is the same for all of them."""
    return Frame(Opcode.TEXT, bytes(length)).serialize(mask=False)[:-length]


@runtime_checkable
class SocketApplication(Protocol):
    """An application that serves sockets without ASGI."""

    def open_socket(self, request: HttpRequest) -> Socket | Reply:
        """Return the socket for an upgrade request, or the reply that refuses it."""


class SocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket: its frames, pings and close handshake. It is a `Wire`."""

    CLOSE_SECONDS = 5.0
    """For the peer to answer a close frame."""

    socket: Socket | None = None
    """None before the handshake, and where ASGI serves it."""
    is_paused = False
    _unsent: list[bytes] | None = None
    """Heads and texts of the messages of this turn of the event loop; None for none."""

    def handle_connect(self, event: Request) -> None:
        """Answer an upgrade request."""
        if not isinstance(self.app, SocketApplication):
            super().handle_connect(event)
            return
        path, _, query_string = event.path.partition("?")
        headers = decode_headers(
            [(key.lower().encode(), value.encode("latin-1")) for key, value in event.headers.raw_items()]
        )
        connection = ClientConnection()
        connection.peer = self.client[0] if self.client else ""
        request = HttpRequest("GET", unquote(path), query_string.encode("latin-1"), headers, connection)
        opened = self.app.open_socket(request)
        if isinstance(opened, Reply):
            self._refuse(opened)
        else:
            self._accept(event, opened)

    def data_received(self, data: bytes) -> None:
        """Receive frames, or the whole upgrade request. uvicorn does not answer one that `websockets` cannot read."""
        super().data_received(data)
        if not self.handshake_initiated and not self.transport.is_closing():
            self._refuse(
                error_reply(BadRequest("The head of the upgrade request is not valid, or too large.", status=431))
            )

    def _refuse(self, reply: Reply) -> None:
        self.handshake_initiated = self.handshake_complete = self.close_sent = True
        self.transport.write(STATUS_LINE[reply.status] + reply.as_bytes(keep_alive=False))
        self.transport.close()

    def _accept(self, event: Request, socket: Socket) -> None:
        response = self.conn.accept(event)
        self.handshake_initiated = self.handshake_complete = True
        is_accepted = response.status_code == 101
        if is_accepted and socket.subprotocol is not None:
            response.headers["Sec-WebSocket-Protocol"] = socket.subprotocol
        self.conn.send_response(response)
        self._flush()
        if not is_accepted:
            self.close_sent = True
            self.transport.close()
            return
        self.socket = socket
        self.frames = []
        self.queue = self.writable = None  # type: ignore[assignment]  # ASGI's.
        acknowledge_within(self.transport)
        self.start_keepalive()
        socket.opened(self)

    def handle_cont(self, event: Frame) -> None:
        """Receive a fragment of a message. Its size is bounded by the protocol, but fragments may be empty."""
        if self.socket is not None and len(self.frames) >= _FRAGMENTS_MAX:
            self.socket.close(1009, f"A message has more than {_FRAGMENTS_MAX} fragments.")
            self.frames.clear()
        super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """Hand a message to the socket."""
        if self.socket is None:
            super().send_receive_event_to_app()
            return
        data = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
        self.frames = []
        if self.close_sent:
            return
        if self.curr_msg_data_type == "bytes":
            self.socket.received_binary()
            return
        try:
            data.decode()
        except UnicodeDecodeError:  # RFC 6455, 8.1
            self.socket.close(1007, "A text message is not UTF-8.")
            return
        self.socket.received(bytes(data))

    def handle_close(self, event: Frame) -> None:
        """The peer closes the socket, or answers a close frame."""
        if self.socket is None:
            super().handle_close(event)
        elif self.close_sent:
            self._end()
        elif not self.transport.is_closing():
            self.socket.lost(End.LEFT)
            self._answer_close()

    def handle_parser_exception(self) -> None:
        """Close the socket: these are no frames of the protocol."""
        if self.socket is None:
            super().handle_parser_exception()
            return
        self.socket.lost(End.REFUSED)
        self._answer_close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        if self.socket is None:
            super().connection_lost(exc)
            return
        self._stop_timers()
        self.connections.discard(self)
        self.disconnected = True
        self.socket.lost(End.DEAD if isinstance(exc, TimeoutError) else End.LEFT)
        self.conn.parser.close()  # It refers to `conn`, as the socket to this object: both would stay until a collection.
        del self.conn.parser, self.socket

    def keepalive_timeout(self) -> None:
        """Close the connection: the peer did not answer a ping. A close frame would tell clients not to come back."""
        self.pong_timer = None
        if self.socket is None:
            super().keepalive_timeout()
        else:
            self.socket.end(End.DEAD)

    def pause_writing(self) -> None:
        """The peer does not read fast enough: neither take more events for it, nor read what it sends, such as pings."""
        if self.socket is None:
            super().pause_writing()
        else:
            self.is_paused = True
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        """The peer reads again."""
        if self.socket is None:
            super().resume_writing()
        else:
            self.is_paused = False
            self.transport.resume_reading()
            self.socket.resumed()

    def shutdown(self) -> None:
        """Close the socket: the server stops."""
        if self.socket is None:
            super().shutdown()
        else:
            self.socket.end(End.RESTART)
            self._end()

    # A Wire

    def send(self, text: bytes) -> None:  # type: ignore[override]
        """Send a text message, together with the others of this turn of the event loop: a call of the system takes longest."""
        if self.conn.state is not State.OPEN or self.transport.is_closing():
            return
        if self._unsent is None:
            self._unsent = [_head(len(text)), text]
            self.loop.call_soon(self._send_unsent)
            return
        self._unsent += _head(len(text)), text
        if len(self._unsent) >= _PARTS_MAX:  # So that the transport says when the peer does not read.
            self._send_unsent()

    def close(self, code: int, reason: str) -> None:
        """Send a close frame, and close the connection once the peer has answered it, or does not."""
        self.stop_keepalive()
        if self.conn.state is not State.OPEN or self.transport.is_closing():
            self.transport.close()
            return
        self._send_unsent()
        self.conn.send_close(code, reason)
        self._flush()
        self.close_sent = True
        if self.is_paused:
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(self.CLOSE_SECONDS, self.transport.abort)

    def cut(self) -> None:
        """Close the connection."""
        self._stop_timers()
        self.transport.abort()

    def _answer_close(self) -> None:
        """Send the close frame that `conn` has prepared, and close the connection."""
        self.close_sent = True
        self._flush()
        self._end()

    def _end(self) -> None:
        """Close the connection once everything has been sent, unless the peer does not read."""
        self._stop_timers()
        if self.is_paused:
            self.transport.abort()
        else:
            self.transport.close()
            self.close_timer = self.loop.call_later(self.CLOSE_SECONDS, self.transport.abort)

    def _stop_timers(self) -> None:
        self.stop_keepalive()
        if self.close_timer is not None:
            self.close_timer.cancel()
            self.close_timer = None

    def _send_unsent(self) -> None:
        parts, self._unsent = self._unsent, None
        if parts is not None and not self.transport.is_closing():
            self.transport.write(b"".join(parts))

    def _flush(self) -> None:
        data = self.conn.data_to_send()
        self.transport.write(data[0] if len(data) == 1 else b"".join(data))


class _AsgiWire:
    """A socket that an ASGI server serves."""

    def __init__(self) -> None:
        self._messages: list[dict[str, Any]] = []
        self._changed = asyncio.Event()

    @property
    def is_paused(self) -> bool:
        return bool(self._messages)

    def send(self, text: bytes) -> None:
        self._put({"type": "websocket.send", "text": text.decode()})

    def close(self, code: int, reason: str) -> None:
        self._put({"type": "websocket.close", "code": code, "reason": reason})

    def cut(self) -> None:
        self.close(1001, "")  # ASGI has no way to close a connection without a frame.

    def _put(self, message: dict[str, Any]) -> None:
        self._messages.append(message)
        self._changed.set()

    async def run(self, socket: Socket, send: Send) -> None:
        """Send messages until the socket is closed."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            messages, self._messages = self._messages, []
            for message in messages:
                await send(message)
                if message["type"] == "websocket.close":
                    return
            socket.resumed()


class SocketEndpoint:
    """Serves sockets through ASGI (https://asgi.readthedocs.io/en/latest/specs/www.html#websocket)."""

    def __init__(self, sockets: SocketService) -> None:
        self._sockets = sockets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket."""
        connection = ClientConnection()
        connection.peer = (scope.get("client") or ("",))[0]
        headers = decode_headers(scope["headers"])
        headers["sec-websocket-protocol"] = ", ".join(scope.get("subprotocols", ()))
        request = HttpRequest("GET", scope["path"], scope["query_string"], headers, connection)
        await receive()  # `websocket.connect`
        opened = self._sockets.open(request)
        if isinstance(opened, Reply):
            if "websocket.http.response" not in scope.get("extensions", {}):
                await send({"type": "websocket.close", "code": 1008})
                return
            await send(
                {"type": "websocket.http.response.start", "status": opened.status, "headers": opened.all_headers()}
            )
            await send({"type": "websocket.http.response.body", "body": opened.body})
            return
        await send({"type": "websocket.accept", "subprotocol": opened.subprotocol})
        wire = _AsgiWire()
        opened.opened(wire)
        sending = asyncio.create_task(wire.run(opened, send))
        try:
            while (message := await receive())["type"] == "websocket.receive":
                text = message.get("text")
                if text is None:
                    opened.received_binary()
                else:
                    opened.received(cast(str, text).encode("utf-8", "surrogatepass"))
        finally:
            opened.lost(End.LEFT)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)  # The server raises in it after the client has left.
