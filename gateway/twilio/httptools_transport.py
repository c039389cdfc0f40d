"""The transport over httptools: GETs to one origin over keep-alive connections, for a fraction of a general client's CPU time.

A response that arrives in one piece, with its length, is read by its header section alone; httptools (llhttp) parses all
others. `ssl` does TLS in memory, and asyncio moves the bytes. A connection carries one request at a time. It is reused only
after a response that was framed correctly, and closed when a byte arrives without a request: what follows could be taken for
the response to a later one.
"""

from __future__ import annotations

import asyncio
import ssl
from types import TracebackType
from typing import Self, cast

import httptools
import msgspec

from gateway.errors import GatewayError
from gateway.twilio.deadlines import Deadlines
from gateway.twilio.framing import HEADERS_MAX, KEPT, PlainResponses
from gateway.twilio.responses import Response
from gateway.twilio.transport import (
    BODY_MAX,
    HEAD_MAX,
    OnDone,
    Origin,
    decompressed,
    invalid,
    request_headers,
    timed_out,
    tls_failed,
    unreachable,
)
from gateway.twilio.turns import Turns

__all__ = ["HttptoolsTransport"]

_FRAMING_MAX = 2**20  # Bytes of a response besides its body: header section, chunk sizes and extensions.
_IDLE_SECONDS = 15.0  # Between sweeps, which close what was idle all the time: servers do after 20 to 60 seconds.
_TLS_CHUNK = 2**16
_BUFFERED_MAX = 64 * 2**20  # Bytes of all incomplete responses together; beyond that, the large ones fail.
_LARGE = 2**20
_POSTPONED_MAX = 2**16  # Bytes of one connection that are kept for a later turn of the event loop.


class HttptoolsTransport:
    """Sends requests to one origin, each over an idle connection or a new one; the client limits their number."""

    def __init__(self, origin: Origin) -> None:
        """Create a transport to `origin`."""
        self.origin = origin
        self.idle: list[_Connection] = []
        """Idle connections, the most recently used one last."""
        self.sweeps = 0
        """How often idle connections were looked through. One that has been idle since before the last sweep is closed."""
        self.buffered = 0
        """Bytes of all incomplete responses."""
        self.plain_responses = PlainResponses()
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        default = 443 if origin.is_secure else 80
        headers = {"Host": host if origin.port == default else f"{host}:{origin.port}", **request_headers(origin)}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._tail = f" HTTP/1.1\r\n{lines}\r\n".encode("ascii")
        self._tls = (origin.tls or ssl.create_default_context()) if origin.is_secure else None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._open: set[_Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._to_write: list[_Connection] = []
        """Connections whose requests are written at the end of this turn of the event loop."""

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self.deadlines = Deadlines(self._loop)
        """The deadlines of connections that wait for a response."""
        self.turns = Turns(self._loop)
        """Says how many responses are processed in one turn of the event loop."""
        self._sweep = self._loop.call_later(_IDLE_SECONDS, self._close_idle)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop = None
        if self._sweep is not None:
            self._sweep.cancel()
        for task in self._opening:
            task.cancel()
        closing = [connection.closed for connection in self._open]
        for connection in list(self._open):
            connection.abort()
        await asyncio.gather(*self._opening, *closing, return_exceptions=True)
        self.deadlines.clear()

    def send(self, target: str, on_done: OnDone) -> _Exchange:
        """Send a GET of `target`; see `Transport`."""
        if self._loop is None:
            raise RuntimeError("The transport is not open: use it as an async context manager.")
        exchange = _Exchange(b"GET /v1/%b%b" % (target.encode("ascii"), self._tail), on_done)
        while self.idle:
            connection = self.idle.pop()
            if connection.is_open:
                connection.begin(exchange)
                return exchange
        self.send_on_new_connection(exchange)
        return exchange

    def write_soon(self, connection: _Connection) -> None:
        """Write the connection's request together with all others of this turn of the event loop, which takes less CPU time.

        Its exchange expires after the timeout, unless the connection is removed from `deadlines` before.
        """
        if not self._to_write:
            assert self._loop is not None
            self._loop.call_soon(self._write_all)
        self._to_write.append(connection)

    def _write_all(self) -> None:
        connections, self._to_write = self._to_write, []
        if self._loop is None:
            return
        deadline = self._loop.time() + self.origin.timeouts.read
        for connection in connections:
            if connection.write_request():
                self.deadlines.add(connection, deadline)

    def send_on_new_connection(self, exchange: _Exchange) -> None:
        """Send the exchange's request over a new connection."""
        if self._loop is None:
            exchange.finish(unreachable())
            return
        task = exchange.opening = self._loop.create_task(self._connect(exchange))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _connect(self, exchange: _Exchange) -> None:
        """Open a connection for the exchange; if that was cancelled meanwhile, release the connection."""
        loop, origin = asyncio.get_running_loop(), self.origin
        connection = _Connection(self, loop, self._tls)
        self._open.add(connection)
        connection.closed.add_done_callback(lambda _: self._open.discard(connection))
        try:
            async with asyncio.timeout(origin.timeouts.connect):
                await loop.create_connection(lambda: connection, origin.host, origin.port)
                await connection.ready
        except TimeoutError:
            exchange.finish(timed_out())
        except ssl.SSLError:
            exchange.finish(tls_failed())
        except asyncio.CancelledError:
            exchange.finish(unreachable())
            raise
        except Exception:  # Any other failure: the exchange must end.
            exchange.finish(unreachable())
        else:
            if exchange.is_done:
                connection.release()
            else:
                connection.begin(exchange)
            return
        finally:
            if not connection.ready.done() or connection.ready.cancelled() or connection.ready.exception() is not None:
                connection.abort()

    def drop_idle(self) -> None:
        """Close all idle connections."""
        idle, self.idle = self.idle, []
        for connection in idle:
            connection.abort()

    def _close_idle(self) -> None:
        assert self._loop is not None
        for connection in [each for each in self.idle if each.idle_since < self.sweeps]:
            self.idle.remove(connection)
            connection.abort()
        self.sweeps += 1
        self._sweep = self._loop.call_later(_IDLE_SECONDS, self._close_idle)


class _Exchange(msgspec.Struct, eq=False):
    """One request, and the callback that receives its response."""

    request: bytes
    _on_done: OnDone
    connection: _Connection | None = None
    opening: asyncio.Task[None] | None = None
    is_done: bool = False
    """Whether it has been called back, or cancelled."""

    __repr__ = object.__repr__  # The request has the credentials.

    def cancel(self) -> None:
        """Close the connection, since the response may still arrive, or stop opening it."""
        if not self.is_done:
            self.is_done = True
            if self.connection is not None:
                self.connection.abort()
            elif self.opening is not None:
                self.opening.cancel()

    def finish(self, result: Response | GatewayError) -> None:
        """Call back, unless the exchange is done."""
        if not self.is_done:
            self.is_done = True
            self.connection = None
            self._on_done(result)


class _Connection(asyncio.Protocol):
    """One connection; the methods named `on_…` are callbacks of httptools."""

    def __init__(self, pool: HttptoolsTransport, loop: asyncio.AbstractEventLoop, tls: ssl.SSLContext | None) -> None:
        self.is_open = True
        self.idle_since = 0
        """The number of sweeps before it was released."""
        self.ready: asyncio.Future[None] = loop.create_future()
        """Done when requests can be sent; fails with the error of the connection."""
        self.closed: asyncio.Future[None] = loop.create_future()
        self._pool = pool
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._exchange: _Exchange | None = None
        self._is_sent = False
        """Whether the request has been written; bytes received before are not its response."""
        self._is_parsing = False
        """Whether the response is read by the parser: its state below is of that response."""
        self._received = 0
        """Bytes of the response."""
        self._unread: bytes | None = None
        """Bytes received that are processed in a later turn of the event loop."""
        self._is_reused = False
        self._tls: ssl.SSLObject | None = None
        if tls is not None:
            self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            self._tls = tls.wrap_bio(self._incoming, self._outgoing, server_hostname=pool.origin.host)

    def begin(self, exchange: _Exchange) -> None:
        """Send a request."""
        exchange.connection = self
        self._exchange = exchange
        self._is_parsing = self._is_sent = False
        self._pool.write_soon(self)

    def write_request(self) -> bool:
        """Write the request, unless the connection was closed since `begin`; return whether it was written."""
        if not self.is_open or self._exchange is None:
            return False
        self._is_sent = True
        if self._tls is None:
            assert self._transport is not None
            self._transport.write(self._exchange.request)
        else:
            self._tls.write(self._exchange.request)
            self._flush()
        return True

    def release(self) -> None:
        """Return the connection to the idle ones."""
        if self.is_open:
            self._is_reused = True
            self.idle_since = self._pool.sweeps
            self._pool.idle.append(self)

    def abort(self) -> None:
        """Close at once."""
        self.is_open = False
        self._unread = None
        self._uncount()
        self._pool.deadlines.remove(self)
        if self._transport is not None:
            self._transport.abort()
        elif not self.closed.done():  # Not connected.
            self.closed.set_result(None)

    # Callbacks of asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the TLS handshake, if there is one."""
        self._transport = cast(asyncio.Transport, transport)
        if not self.is_open:
            self._transport.abort()
        elif self._tls is None:
            self.ready.set_result(None)
        else:
            self._handshake()

    def data_received(self, data: bytes) -> None:
        """Process received bytes, in this turn of the event loop or in a later one.

        Bytes without a request are processed now: a request may be sent before the next turn, whose response they are not.
        """
        if self._unread is not None:
            self.read()
        elif (
            self._exchange is not None and self._is_sent and len(data) < _POSTPONED_MAX and not self._pool.turns.take()
        ):
            self._unread = data
            self._pool.turns.postpone(self)
            return
        self._receive(data)

    def read(self) -> None:
        """Process received bytes that were postponed."""
        data, self._unread = self._unread, None
        if data is not None:
            self._receive(data)

    def _receive(self, data: bytes) -> None:
        """Decrypt and parse received bytes."""
        if not self.is_open:
            return
        if self._tls is None:
            self._feed(data)
            return
        self._incoming.write(data)
        if not self.ready.done():
            self._handshake()
        if self.ready.done() and self.is_open:
            self._decrypt()

    def connection_lost(self, error: Exception | None) -> None:
        """End the exchange. A response without a length is complete here, unless there was an error (RFC 9112, 6.3)."""
        self.read()
        self.is_open = False
        if not self.closed.done():
            self.closed.set_result(None)
        if not self.ready.done():
            self.ready.set_exception(error if isinstance(error, OSError) else ConnectionResetError())
        if self._exchange is not None:
            if self._ends_with_connection and error is None and self._tls is None:
                self._deliver_parsed()
            elif self._is_reused and self._received == 0 and not self._exchange.is_done:
                # The server closed the idle connection as the request was sent (RFC 9112, 9.3.1).
                self._replace()
            else:
                self._fail(unreachable())

    # TLS

    def _handshake(self) -> None:
        assert self._tls is not None
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            self._flush()  # The TLS alert.
            self.ready.set_exception(error)
            return
        self._flush()
        self.ready.set_result(None)

    def _decrypt(self) -> None:
        """Feed the received bytes as one piece, so that bytes after a response are not taken for the next one."""
        assert self._tls is not None
        parts: list[bytes] = []
        is_closed = False
        try:
            while self._incoming.pending or self._tls.pending():
                data = self._tls.read(_TLS_CHUNK)
                if not data:
                    is_closed = True
                    break
                parts.append(data)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            is_closed = True
        except ssl.SSLError:
            self._fail(invalid("is not valid TLS"))
            return
        if parts:
            self._feed(parts[0] if len(parts) == 1 else b"".join(parts))
        if is_closed:
            self._close_by_peer()
        elif self.is_open:
            self._flush()

    def _close_by_peer(self) -> None:
        """Handle a TLS close_notify (RFC 8446, 6.1): the response ends here."""
        if self._exchange is not None and self._ends_with_connection:
            self._deliver_parsed()
        self.abort()

    def _flush(self) -> None:
        if self._outgoing.pending and self._transport is not None:
            self._transport.write(self._outgoing.read())

    # The response

    def _start(self) -> None:
        """Start to parse a response."""
        self._is_parsing = True
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._head_bytes = self._header_count = self._body_bytes = 0
        self._in_body = self._has_length = self._is_chunked = self._is_complete = self._keep = False
        self._error: str | None = None

    @property
    def _ends_with_connection(self) -> bool:
        return self._is_parsing and self._in_body and not (self._has_length or self._is_chunked) and self._error is None

    def _feed(self, data: bytes) -> None:
        if self._exchange is None or not self._is_sent:
            if self._is_reused:
                self._replace()
            else:
                self._fail(invalid("came before the request"))
            return
        if not self._is_parsing:
            plain = self._pool.plain_responses.read(data)
            if plain is not None:
                self._deliver(*plain, keep=True)
                return
            self._start()
        self._received += len(data)
        self._pool.buffered += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._error = self._error or "is not valid HTTP"
        except httptools.HttpParserUpgrade:
            self._error = self._error or "switches protocols"
        if not self._in_body and self._received > HEAD_MAX:
            self._error = self._error or "has too large a header section"
        elif self._received > BODY_MAX + _FRAMING_MAX:
            self._error = self._error or f"is larger than {BODY_MAX} bytes"
        elif self._received > _LARGE and self._pool.buffered > _BUFFERED_MAX:
            self._error = self._error or "is too large beside the others in flight"
        if self._is_complete:
            self._deliver_parsed()
        elif self._error is not None:
            self._fail(invalid(self._error, self._status or None))

    def _deliver_parsed(self) -> None:
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body = []
        self._deliver(self._status, self._headers, body, keep=self._keep and self._error is None)

    def _deliver(self, status: int, headers: dict[str, str], body: bytes, *, keep: bool) -> None:
        """Complete the exchange, and release or close the connection."""
        exchange, self._exchange = self._exchange, None
        if keep:
            if self._received:
                self._uncount()
            self._pool.deadlines.remove(self)
        else:
            self.abort()
        if exchange is not None and not exchange.is_done:
            if self._is_reused and status == 408 and not keep:
                # Some servers send 408 before they close an idle connection: it is not the response to this request.
                exchange.connection = None
                self._pool.send_on_new_connection(exchange)
                return
            is_encoded = "content-encoding" in headers
            response = Response(status, headers, body, self.abort)
            exchange.finish(self._decompressed(response) if is_encoded else response)
        if keep:  # Only now, so that no request is sent over it while received bytes may still be unread.
            self.release()

    @staticmethod
    def _decompressed(response: Response) -> Response | GatewayError:
        """Return a response with its body decompressed, or the error that it is for an invalid one."""
        try:
            response.body = decompressed(response.status, response.body, response.headers["content-encoding"])
        except GatewayError as error:
            return error
        return response

    def _replace(self) -> None:
        """Close this reused connection, and send the request over a new one, if there is a request."""
        exchange, self._exchange = self._exchange, None
        self.abort()
        if exchange is not None and not exchange.is_done:
            exchange.connection = None
            self._pool.send_on_new_connection(exchange)

    def _uncount(self) -> None:
        self._pool.buffered -= self._received
        self._received = 0

    def expire(self) -> None:
        """Fail with a timeout, unless the response is there."""
        self.read()
        if self._exchange is None:
            return
        if self._is_reused and self._received == 0:
            self._pool.drop_idle()  # The others may have died in the same way.
        self._fail(timed_out())

    def _fail(self, error: GatewayError) -> None:
        exchange, self._exchange, self._body = self._exchange, None, []
        self.abort()
        if exchange is not None:
            exchange.finish(error)

    def on_message_begin(self) -> None:
        """Note a second response after a complete one."""
        if self._is_complete:
            self._error = "is followed by another response"

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header; ignore a trailer."""
        if self._is_complete:
            return
        self._head_bytes += len(name) + len(value)
        self._header_count += 1
        if self._head_bytes > HEAD_MAX or self._header_count > HEADERS_MAX:
            self._error = "has too large a header section"
        elif not self._in_body:
            name = name.lower()
            if name in KEPT:
                self._headers[KEPT[name]] = value.decode("latin-1")
            elif name == b"content-length":
                self._has_length = True
            elif name == b"transfer-encoding":
                self._is_chunked = True
                if value.strip().lower() != b"chunked":
                    self._error = "has an encoding that the request does not accept"

    def on_headers_complete(self) -> None:
        """Note the end of the header section of the response, or of an interim one (1xx)."""
        if not self._is_complete:
            self._status = self._parser.get_status_code()
            self._in_body = self._status >= 200
            if not self._in_body:
                self._headers = {}

    def on_body(self, data: bytes) -> None:
        """Add a part of the body."""
        if self._is_complete:
            return
        self._body_bytes += len(data)
        if self._body_bytes > BODY_MAX:
            self._error = f"is larger than {BODY_MAX} bytes"
        elif self._error is None:
            self._body.append(data)

    def on_message_complete(self) -> None:
        """Note the end of the response, unless it was an interim one."""
        if self._in_body and not self._is_complete:
            self._is_complete = self._error is None
            self._keep = self._parser.should_keep_alive()
