"""The server's HTTP protocol: uvicorn's, with bounds on time, size and what is two requests at once, and with a short way.

A request that comes in one piece and whose answer needs no waiting is answered on the spot, where the application offers to:
to make a task and ASGI's messages for it would take longer than to answer it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, runtime_checkable

import orjson
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.errors import BadRequest
from gateway.execution.failures import Failure, mask

__all__ = ["AtOnce", "BoundedProtocol", "Headers", "Peer", "peer_of"]

_PEER = "receipts_gateway.peer"

Headers = list[tuple[bytes, bytes]]
"""Names, in lower case, and values, as ASGI has them."""


@runtime_checkable
class AtOnce(Protocol):
    """An application that can answer some requests without waiting for anything."""

    def at_once(
        self, method: bytes, target: bytes, headers: Headers, body: bytes, extensions: dict[str, Any]
    ) -> bytes | None:
        """The response, from the line behind its status 200 on.

        None, and nothing done, for what is to be asked in the ordinary way: with these `extensions` in its scope.
        """


class Peer:
    """Whoever asks over a connection: it may leave before it has its answer."""

    def __init__(self) -> None:
        self.has_left = False
        self.on_leave: Callable[[], None] | None = None
        """Called when it leaves. A connection's requests are answered one after another, so there is one at most."""

    def leave(self) -> None:
        """Tell whoever works for it."""
        self.has_left = True
        if self.on_leave is not None:
            self.on_leave()


def peer_of(scope: Scope) -> Peer:
    """The peer that sent a request; one that never leaves when the request came in through another server."""
    peer: Peer | None = scope.get("extensions", {}).get(_PEER)
    return peer or Peer()


class _Gathered:
    """A transport that sends in one go what is written in one turn of the event loop: a head with its body."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []
        self.is_closing = transport.is_closing
        self.get_extra_info = transport.get_extra_info

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self._send)
        self._parts.append(data)

    def close(self) -> None:
        self._send()
        self._transport.close()

    def abort(self) -> None:
        self._parts.clear()
        self._transport.abort()

    def _send(self) -> None:
        data = b"".join(self._parts)
        self._parts.clear()
        if data and not self.is_closing():
            self._transport.write(data)


class BoundedProtocol(HttpToolsProtocol):
    """One connection. It is closed when its peer is too slow to ask or to take the answer, or asks ambiguously."""

    HEAD_SECONDS = 10.0
    """For a request's head, from its first byte; and for the first byte, on a new connection."""
    BODY_SECONDS = 15.0
    """For a request's body, from the end of its head."""
    TAKE_SECONDS = 30.0
    """For the peer to take some of an answer that waits to be sent."""
    HEAD_MAX = 64 * 2**10
    """Bytes of a request's head."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._patience: float | None = None
        """The seconds there are for what is awaited of the peer; a timer is set when it has not come in one piece."""
        self._asking: asyncio.TimerHandle | None = None
        self._taking: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._in_head = False
        self._application = self.app if isinstance(self.app, AtOnce) else None
        self._held: list[bytes] | None = None
        """The body, so far, of a request that the application has not been told of yet."""
        self._has_answered = False
        """Whether a request of the bytes that have just come was answered on the spot: one is, the others in turn.

        A full send buffer is not noticed before the loop's next turn: else, bytes that hold many small requests would have
        as many answers made and held at once, however slowly the peer takes them, while everyone else waits.
        """
        self._peer = Peer()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A peer has connected; it has so long to begin."""
        super().connection_made(transport)
        self.transport = _Gathered(transport, self.loop)  # type: ignore[assignment]
        self._asking = self.loop.call_later(self.HEAD_SECONDS, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer has left."""
        self._expect(None)
        self.resume_writing()
        super().connection_lost(exc)
        self._peer.leave()

    def data_received(self, data: bytes) -> None:
        """Bytes have come: part of a head, of a body, or of the next request."""
        if self._is_idle and self._patience is None:
            self._begin_head()
        self._head_bytes += len(data)
        self._has_answered = False
        super().data_received(data)
        if self._held is not None:
            self._hand_over()
        if self._in_head and self._head_bytes > self.HEAD_MAX:
            self._refuse("The request's head is too large.", 431)
        elif self._patience is not None and self._asking is None:
            self._asking = self.loop.call_later(self._patience, self._too_slow)
        elif self._patience is None and self.timeout_keep_alive_task is None and self._is_idle:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._extensions: dict[str, Any] = {_PEER: self._peer}
        self.scope["extensions"] = self._extensions
        if not self._in_head:
            self._begin_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header. What comes behind a body is passed over: who asks what is settled by then."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole. One that says its body's length in two ways is two requests to someone: it is refused."""
        self._in_head = False
        names = [name for name, _ in self.headers]
        lengths = names.count(b"content-length")
        if lengths > 1 or (b"transfer-encoding" in names and (lengths or not self._is_chunked_once)):
            raise ValueError("ambiguous length")
        if names.count(b"host") > 1 or names.count(b"content-type") > 1:
            raise ValueError("ambiguous head")
        self._expect(self.BODY_SECONDS)
        if self._application is not None and not self._has_answered and self._is_idle and self._is_plain(lengths):
            self._held = []
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Some of a request's body has come. What comes with a GET is passed over: nobody asks for it."""
        if self._held is not None:
            self._held.append(body)
        elif self.scope["method"] != "GET":
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole: from here on, the time is ours."""
        self._expect(None)
        if self._held is not None:
            if self._answer_at_once(b"".join(self._held)):
                return
            self._hand_over()
        super().on_message_complete()
        if not self.pipeline:
            self.flow.resume_reading()  # Even behind a large body: nobody sees a peer leave that nobody listens to.

    def send_400_response(self, msg: str) -> None:
        """Refuse bytes that are no HTTP request."""
        self._refuse("This is not an HTTP request that can be served.", 400)

    def pause_writing(self) -> None:
        """The peer takes nothing for now."""
        self.flow.pause_writing()
        if self._taking is None:
            self._taking = self.loop.call_later(self.TAKE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """The peer goes on taking."""
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None
        if self.flow is not None:
            self.flow.resume_writing()

    @property
    def _is_chunked_once(self) -> bool:
        encodings = [value.strip().lower() for name, value in self.headers if name == b"transfer-encoding"]
        return encodings == [b"chunked"]

    # On the spot

    @property
    def _is_idle(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _is_plain(self, lengths: int) -> bool:
        """Whether the request whose head is whole may be answered on the spot, as to HTTP."""
        return (
            lengths == 1
            and self.url.startswith(b"/")
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and not self.parser.should_upgrade()
            and not self.expect_100_continue
            and not self.flow.write_paused
        )

    def _answer_at_once(self, body: bytes) -> bool:
        """Answer the request that is held, if the application can; whether it could."""
        assert self._application is not None
        try:
            answer = self._application.at_once(self.parser.get_method(), self.url, self.headers, body, self._extensions)
        except Exception as error:  # A fault of the gateway's own. It is told, and the ordinary way may do better.
            with suppress(Exception):
                mask(error)
            return False
        if answer is None:
            return False
        self._held = None
        ours = [b"%b: %b\r\n" % header for header in self.server_state.default_headers]
        self.transport.write(b"".join((STATUS_LINE[200], *ours, answer)))
        self.server_state.total_requests += 1
        self._has_answered = True
        return True

    def _hand_over(self) -> None:
        """Let the application have the request that is held in the ordinary way."""
        held, self._held = self._held or (), None
        super().on_headers_complete()
        for body in held:
            self.on_body(body)

    # Bounds

    def _begin_head(self) -> None:
        self._in_head, self._head_bytes = True, 0
        self._expect(self.HEAD_SECONDS)

    def _expect(self, seconds: float | None) -> None:
        """Wait so long for what the peer is to send next; None for no more."""
        self._patience = seconds
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None

    def _too_slow(self) -> None:
        self._refuse("The request took too long to arrive.", 408)

    def _refuse(self, words: str, status: int) -> None:
        self._expect(None)
        self._held = None
        if self.transport.is_closing():
            return
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete and not cycle.more_body:
            # What is wrong stands behind a request that is being answered: that one gets its answer, and the last word.
            cycle.keep_alive = False
            self.flow.pause_reading()
            return
        is_answered = cycle is not None and (cycle.response_started or cycle.response_complete)
        if not is_answered or self._in_head:
            body = orjson.dumps({"errors": [Failure(BadRequest(words)).as_json()]})
            head = (
                f"HTTP/1.1 {status} Refused\r\nContent-Type: application/json; charset=utf-8\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\nCache-Control: no-store\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
        self.transport.close()
