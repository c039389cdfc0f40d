"""The server's HTTP protocol: uvicorn's, with limits on time and size, request-smuggling checks, and a direct path.

A request that arrives whole is passed to the application as a value, and its reply is written as soon as there is one: a task
and ASGI's messages would take longer than most replies. Every other request goes through ASGI.
"""

from __future__ import annotations

import asyncio
import re
from functools import lru_cache, partial
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, cast, runtime_checkable
from weakref import WeakKeyDictionary

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.errors import BadRequest
from gateway.execution.failures import Failure
from gateway.web.connection import STREAM_HOST, ClientConnection, ReplyAborted, acknowledge_within
from gateway.web.events import SubscriptionReply
from gateway.web.pending import PendingReply
from gateway.web.request import HttpRequest, decode_headers
from gateway.web.responses import Reply, respond
from gateway.web.streams import End, Stream

__all__ = ["BoundedProtocol", "DirectApplication", "LingeringProtocol"]

_PLAIN_TARGET = re.compile(rb'/[!"$-~]*')
"""A path and a query as they are: without a host, a fragment, or anything that a URL's parser rejects."""
_HEAD_BYTES_KEPT = 4096


@runtime_checkable
class DirectApplication(Protocol):
    """An application that replies to some requests without ASGI."""

    def start(self, request: HttpRequest) -> Reply | PendingReply | None:
        """Return the reply to a request that arrived whole, or the pending one; None leaves the request to ASGI."""


class _Head(NamedTuple):
    """The head of a request that was answered directly. A request whose head has the same bytes need not be parsed."""

    data: bytes
    """The head with the empty line at its end; empty where the bytes are not kept."""
    size: int
    """Bytes of the head and of the body whose length it states."""
    method: str
    path: str
    query_string: bytes
    headers: dict[str, str]


class _DirectCycle:
    """A request whose pending reply the protocol writes, where uvicorn expects its `RequestResponseCycle`."""

    __slots__ = ("disconnected", "keep_alive", "pending", "response_complete")

    message_event = asyncio.Event()  # Nothing waits for it.
    more_body = response_started = False

    def __init__(self, pending: PendingReply) -> None:
        self.pending: PendingReply | None = pending
        """The reply; None once it is complete."""
        self.keep_alive = True
        self.disconnected = self.response_complete = False

    def cancel(self, msg: str) -> None:
        """Cancel the reply, as a task is cancelled: in the next turn of the event loop."""
        if self.pending is not None:
            asyncio.get_running_loop().call_soon(self.pending.cancel)


class _EventCycle:
    """A response that is sent in events, where uvicorn expects its `RequestResponseCycle`; a `Body`."""

    __slots__ = ("_protocol", "disconnected", "keep_alive", "reply", "response_complete")

    message_event = asyncio.Event()  # Nothing waits for it.
    more_body = False
    response_started = True

    def __init__(self, protocol: BoundedProtocol, reply: SubscriptionReply) -> None:
        self._protocol = protocol
        self.reply = reply
        self.keep_alive = True
        self.disconnected = self.response_complete = False

    @property
    def is_paused(self) -> bool:
        return self._protocol.flow.write_paused

    def write(self, data: bytes) -> None:
        self._send(b"%x\r\n%b\r\n" % (len(data), data))

    def finish(self) -> None:
        self._send(b"0\r\n\r\n")
        self.response_complete = True
        self._protocol.on_event_cycle_complete(self)

    def cut(self, *, at_once: bool) -> None:
        self.response_complete = True
        self._protocol.cut_stream(at_once=at_once)

    def _send(self, data: bytes) -> None:
        if not self._protocol.transport.is_closing():
            self._protocol.transport.write(data)


class _TurnWrites:
    """Sends at the end of a turn of the event loop what the connections have written in it, one after another.

    A system call in between two requests, and the peer that it wakes, would take a quarter of the time of a small request.
    """

    _of_loops: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, _TurnWrites]] = WeakKeyDictionary()

    def __init__(self) -> None:
        self._connections: list[_WriteCoalescer] = []
        """Those with something to send."""

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> _TurnWrites:
        """Return the one of an event loop."""
        writes = cls._of_loops.get(loop)
        if writes is None:
            writes = cls._of_loops[loop] = cls()
        return writes

    def add(self, connection: _WriteCoalescer) -> None:
        """Flush a connection at the end of this turn."""
        if not self._connections:
            asyncio.get_running_loop().call_soon(self._flush_all)
        self._connections.append(connection)

    def _flush_all(self) -> None:
        connections, self._connections = self._connections, []
        for connection in connections:
            try:
                connection.flush()
            except Exception as error:  # The others' replies are due all the same.
                loop = asyncio.get_running_loop()
                loop.call_exception_handler({"message": "Writing to a connection has failed.", "exception": error})
                connection.abort()


class _WriteCoalescer:
    """A transport that sends the writes of one turn of the event loop together: a head with its body, or several events."""

    PARTS_MAX = 32
    """Of one turn that are sent together; the transport says then whether the peer reads."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self.transport = transport
        """The connection's own transport."""
        self._turn = _TurnWrites.of(loop)
        self._parts: list[bytes] = []
        self.is_closing = transport.is_closing
        self.get_extra_info = transport.get_extra_info

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._turn.add(self)
        self._parts.append(data)
        if len(self._parts) >= self.PARTS_MAX:
            self.flush()

    def close(self) -> None:
        self.flush()
        self.transport.close()

    def abort(self) -> None:
        self._parts.clear()
        self.transport.abort()

    def flush(self) -> None:
        """Send what was written in this turn."""
        parts, self._parts = self._parts, []
        if parts and not self.is_closing():
            self.transport.write(parts[0] if len(parts) == 1 else b"".join(parts))


class BoundedProtocol(HttpToolsProtocol):
    """One connection. It is closed when the peer sends or reads too slowly, or sends an ambiguous request."""

    HEAD_SECONDS = 10.0
    """From the first byte of a request to its last header; on a new connection, also to the first byte."""
    BODY_SECONDS = 15.0
    """From the end of a request's head to the end of its body."""
    WRITE_SECONDS = 30.0
    """For the peer to read part of a response that is waiting to be sent."""
    HEAD_MAX = 64 * 2**10
    """Bytes of a request's head."""
    LINGER_SECONDS = 0.0
    """For an idle connection to send one more request after the server began to stop."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._awaited: Literal["head", "body"] | None = None
        """The part of a request that the peer must send next; None on an idle connection, and while a request is answered."""
        self._read_timer: asyncio.TimerHandle | None = None
        """Runs while the awaited part is incomplete."""
        self._write_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._application = self.app if isinstance(self.app, DirectApplication) else None
        self._body_chunks: list[bytes] | None = None
        """The body so far of a request that may be answered directly; None for one that goes through ASGI."""
        self._has_answered = False
        """Whether a request of the bytes just received was answered synchronously: one is, the others go through ASGI.

        A full send buffer is not noticed before the next turn of the event loop. Otherwise, bytes that hold many small requests
        would have as many responses made and held at once, however slowly the peer reads them, while everyone else waits.
        """
        self._connection = ClientConnection()
        self._is_stopping = False
        self._head: _Head | None = None
        """The head of the last request, if it was answered directly."""
        self._received: bytes | None = None
        """The bytes just received, if they begin with a request."""
        self._started: Reply | PendingReply | None = None
        """The reply that has been started to the request in the bytes just received."""
        self._idle_since = 0.0
        self._stream: Stream | None = None
        """The last response, if it is sent in events: it may have ended, while the peer has not read it."""

    def shutdown(self) -> None:
        """Close the connection after its request in progress, or after a last one for which it lingers."""
        self._is_stopping = True
        if self._stream is not None:
            self._stream.end(End.RESTART)
            if self.flow.write_paused:  # The peer does not read: do not wait for it.
                self.transport.abort()
        if self.LINGER_SECONDS and self._is_idle and not self.transport.is_closing():
            self.loop.call_later(self.LINGER_SECONDS, super().shutdown)
        else:
            super().shutdown()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer for the first byte."""
        super().connection_made(transport)
        self.transport = _WriteCoalescer(transport, self.loop)  # type: ignore[assignment]
        self._connection.peer = self.client[0] if self.client else ""
        self._read_timer = self.loop.call_later(self.HEAD_SECONDS, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the work for the peer."""
        if self._stream is not None and isinstance(exc, TimeoutError):
            self._stream.end(End.DEAD)
        self._await(None)
        self.resume_writing()
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        super().connection_lost(exc)
        self._connection.close()
        # They refer to each other, and would stay until the next collection.
        if isinstance(self.cycle, _EventCycle):
            self._connection.unwatch()
            self.cycle = None  # type: ignore[assignment]
        self._stream = self._connection.host = None
        if self.scope is not None:
            cast("dict[str, Any]", self.scope).pop(STREAM_HOST, None)

    def data_received(self, data: bytes) -> None:
        """Answer a request with the same head as the last one, or parse bytes: part of a head, of a body, or of a request."""
        self._has_answered = False
        is_beginning = self._awaited is None and self._is_idle
        head = self._head
        if (
            head is not None
            and len(data) == head.size
            and data.startswith(head.data)
            and is_beginning
            and not self._is_stopping
            and not self.flow.write_paused
        ):
            started = self._start(head, data[len(head.data) :])
            if started is not None and self._reply(started):
                return
            self._started = started
        self._received = data if is_beginning else None
        if is_beginning:
            self._await_head()
        self._parse(data)
        self._received = self._started = None

    def _parse(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)
        if self._body_chunks is not None:
            self._dispatch()
        if self._awaited is None:
            return
        if self._awaited == "head" and self._head_bytes > self.HEAD_MAX:
            self._refuse("The request's head is too large.", 431)
        elif self._read_timer is None:
            seconds = self.HEAD_SECONDS if self._awaited == "head" else self.BODY_SECONDS
            self._read_timer = self.loop.call_later(seconds, self._refuse, "The request took too long to arrive.", 408)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        if self._awaited != "head":
            self._await_head()

    def on_headers_complete(self) -> None:
        """Check the head. One that states the body's length in two ways may smuggle a request (RFC 9112, 11.2): refuse it."""
        names = [name for name, _ in self.headers]
        lengths = names.count(b"content-length")
        is_chunked = b"transfer-encoding" in names
        if lengths > 1 or (is_chunked and (lengths or not self._is_chunked_once)):
            raise ValueError("ambiguous length")
        if names.count(b"host") > 1 or names.count(b"content-type") > 1:
            raise ValueError("ambiguous head")
        self._await("body")
        if self._application is not None and not is_chunked and not self._has_answered and self._is_plain:
            self._body_chunks = []
        else:
            self._head = None
            self._start_cycle()

    def on_body(self, body: bytes) -> None:
        """Add part of the body. That of a GET is ignored, since it has no meaning."""
        if self._body_chunks is not None:
            self._body_chunks.append(body)
        elif self.scope["method"] != "GET":
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete. Answer it, if it arrived whole."""
        self._await(None)
        if self._body_chunks is not None:
            body = b"".join(self._body_chunks)
            head = self._parsed_head(len(body))
            started = self._started or self._start(head, body)
            if started is not None and self._reply(started):
                self._body_chunks = None
                self._head = head if head.data else None
                return
            self._dispatch(started)
        super().on_message_complete()
        if not self.pipeline:
            self.flow.resume_reading()  # Even after a large body: without reading, a disconnect is not noticed.

    def on_response_complete(self) -> None:
        """The response is complete: start the next of the requests that arrived meanwhile."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._start_to_idle()

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection if it has been idle for long enough."""
        self.timeout_keep_alive_task = None
        if self._awaited is not None or not self._is_idle:
            return
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def _unset_keepalive_if_required(self) -> None:
        """Let the timer run on, since starting one for each request takes longer than to find that it is too early."""

    def _start_to_idle(self) -> None:
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def send_400_response(self, msg: str) -> None:
        """Refuse bytes that are not an HTTP request."""
        self._refuse("This is not an HTTP request that can be served.", 400)

    def pause_writing(self) -> None:
        """The peer does not read fast enough."""
        self.flow.pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(self.WRITE_SECONDS, self._abort)

    def _abort(self) -> None:
        if self._stream is not None:
            self._stream.end(End.DEAD)
        self.transport.abort()

    def resume_writing(self) -> None:
        """The peer reads again."""
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        if self.flow is not None:
            self.flow.resume_writing()
        if isinstance(self.cycle, _EventCycle):
            self.cycle.reply.resume()

    @property
    def _is_chunked_once(self) -> bool:
        encodings = [value.strip().lower() for name, value in self.headers if name == b"transfer-encoding"]
        return encodings == [b"chunked"]

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection to the WebSocket protocol: of an idle one, whose upgrade request has no body."""
        names = {name for name, _ in self.headers}
        is_plain = self.scope["method"] == "GET" and self.parser.get_http_version() == "1.1"
        if not self._is_idle or not is_plain or names & {b"content-length", b"transfer-encoding"}:
            self._refuse("A WebSocket is opened by a GET of HTTP/1.1 without a body, on an idle connection.", 400)
            return
        self._await(None)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        coalescer = cast(_WriteCoalescer, self.transport)
        coalescer.flush()
        self.transport = coalescer.transport
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]  # It refers to this object, which would stay until the next collection.

    # Requests that arrive whole

    @property
    def _is_idle(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def _is_plain(self) -> bool:
        """Whether nothing in the head, or in the connection's state, needs uvicorn."""
        return (
            self._is_idle
            and not self._is_stopping
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and not self.parser.should_upgrade()
            and not self.expect_100_continue
            and not self.flow.write_paused
            and _PLAIN_TARGET.fullmatch(self.url) is not None
        )

    def _parsed_head(self, body_length: int) -> _Head:
        """Return the head of the request that has been parsed; with its bytes, if nothing else was received with it."""
        received = self._received or b""
        data = received[: len(received) - body_length]
        _, end, rest = data.partition(b"\r\n\r\n")
        if not end or rest or len(data) > _HEAD_BYTES_KEPT:
            data = b""
        path, _, query_string = self.url.partition(b"?")
        method = self.parser.get_method().decode("ascii")
        return _Head(data, len(received), method, path.decode("ascii"), query_string, decode_headers(self.headers))

    def _start(self, head: _Head, body: bytes) -> Reply | PendingReply | None:
        assert self._application is not None
        _, _, method, path, query_string, headers = head
        return self._application.start(HttpRequest(method, path, query_string, headers, self._connection, body))

    def _reply(self, started: Reply | PendingReply) -> bool:
        """Write the reply, or arrange for it to be written once there is one; False if ASGI has to send it."""
        self._stream = None
        if isinstance(started, SubscriptionReply):
            self._send_events(started)
            return True
        if isinstance(started, PendingReply):
            if started.is_certainly_whole:
                self._await_reply(started)
            return started.is_certainly_whole
        if started.is_whole:
            self._has_answered = True
            self._write(started)
            self.server_state.total_requests += 1
            self._start_to_idle()
        return started.is_whole

    def _await_reply(self, pending: PendingReply) -> None:
        """Write the reply once there is one. Until then, later requests wait, as behind one that goes through ASGI."""
        cycle = _DirectCycle(pending)
        self.cycle = cycle  # type: ignore[assignment]
        self.server_state.tasks.add(cycle)  # type: ignore[arg-type]
        pending.add_done_callback(partial(self._complete, cycle))

    def _complete(self, cycle: _DirectCycle, pending: PendingReply) -> None:
        cycle.response_complete, cycle.pending = True, None
        self.server_state.tasks.discard(cycle)
        try:
            reply = pending.result()
        except BaseException as error:
            self.transport.close()
            if isinstance(error, ReplyAborted | asyncio.CancelledError):
                return
            raise
        if not self.transport.is_closing():
            self._write(reply, keep_alive=cycle.keep_alive)
            if not cycle.keep_alive:
                self.transport.close()
        self.on_response_complete()

    def _send_events(self, reply: SubscriptionReply) -> None:
        """Write the head of a response, and let it write its events. Until it ends, later requests wait."""
        cycle = _EventCycle(self, reply)
        self.cycle = cycle  # type: ignore[assignment]
        self.begin_stream(reply)
        headers = [*self.server_state.default_headers, *reply.all_headers(), (b"transfer-encoding", b"chunked")]
        self.transport.write(b"".join([STATUS_LINE[200], *(b"%b: %b\r\n" % header for header in headers), b"\r\n"]))
        self._connection.watch(reply.disconnected)
        reply.start(cycle)

    def begin_stream(self, stream: Stream) -> None:
        """See `StreamHost`."""
        self._stream = stream
        acknowledge_within(self.transport)

    def cut_stream(self, *, at_once: bool) -> None:
        """See `StreamHost`."""
        if at_once or self.flow.write_paused:  # A peer that does not read would keep the connection open.
            self.transport.abort()
        else:
            self.transport.close()

    def on_event_cycle_complete(self, cycle: _EventCycle) -> None:
        """The response that is sent in events has ended."""
        self._connection.unwatch()
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _write(self, reply: Reply, *, keep_alive: bool = True) -> None:
        """Write a reply as uvicorn would."""
        defaults = _header_lines(tuple(self.server_state.default_headers))
        data = b"".join((STATUS_LINE[reply.status], defaults, reply.as_bytes(keep_alive=keep_alive)))
        self.transport.write(data)

    def _dispatch(self, started: Reply | PendingReply | None = None) -> None:
        """Let ASGI answer the request whose head is complete: with the reply that the application has started, if any."""
        chunks, self._body_chunks = self._body_chunks or (), None
        if started is None:
            self._start_cycle()
            for chunk in chunks:
                self.on_body(chunk)
        else:
            self._connection.host = self
            app, self.app = self.app, _responder(started)
            self._start_cycle()
            self.app = app

    def _start_cycle(self) -> None:
        """Run the application through ASGI, after the requests that are being answered."""
        if self._is_idle:
            self._stream = None
        cast("dict[str, Any]", self.scope)[STREAM_HOST] = self
        super().on_headers_complete()
        if self._is_stopping:
            self.cycle.keep_alive = False
        if not (self.parser.should_upgrade() and self._should_upgrade()):
            self.headers = []  # Trailers go here: the application does not see them, since the head has been checked.

    # Limits

    def _await_head(self) -> None:
        self._head_bytes = 0
        self._await("head")

    def _await(self, awaited: Literal["head", "body"] | None) -> None:
        self._awaited = awaited
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None

    def _refuse(self, message: str, status: int) -> None:
        """Reply with an error and close the connection, after the reply to an earlier request that is still due."""
        is_in_head = self._awaited == "head"
        self._await(None)
        self._body_chunks = None
        if self.transport.is_closing():
            return
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete and not cycle.more_body:
            # The error is in the bytes after a request that is being answered: its reply is the last one.
            cycle.keep_alive = False
            self.flow.pause_reading()
            return
        is_answered = cycle is not None and (cycle.response_started or cycle.response_complete)
        if not is_answered or is_in_head:
            body = orjson.dumps({"errors": [Failure(BadRequest(message)).as_json()]})
            head = (
                f"HTTP/1.1 {status} Refused\r\nContent-Type: application/json; charset=utf-8\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\nCache-Control: no-store\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
        self.transport.close()


class LingeringProtocol(BoundedProtocol):
    """A connection of a server that is replaced under load: it answers requests sent before the client sees it close."""

    LINGER_SECONDS = 1.0


@lru_cache(maxsize=1)  # They change once in a second.
def _header_lines(headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def _responder(started: Reply | PendingReply) -> ASGIApp:
    """Return an ASGI application that sends a started reply."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(started, send)

    return app
