"""The transport made for one use: GETs to one origin over kept connections, at a fraction of the CPU of a general client.

httptools (llhttp) reads the answers, `ssl` drives TLS in memory, asyncio moves the bytes. A connection carries one request
at a time. It is kept only after an answer that ended where it said it would, and closed by any byte nobody asked for: what
comes after such a byte would answer another question.
"""

from __future__ import annotations

import asyncio
import ssl
from types import TracebackType
from typing import Any, Self, cast

import httptools

from gateway.errors import GatewayError
from gateway.twilio.responses import KEPT_HEADERS, Answer
from gateway.twilio.transport import (
    BODY_MAX,
    HEAD_MAX,
    Origin,
    request_headers,
    timed_out,
    unpacked,
    unproven,
    unreachable,
    unusable,
)

__all__ = ["HttptoolsTransport"]

_HEADERS_MAX = 128
_FRAMING_MAX = 2**20  # What an answer may take beyond its body: header, chunk sizes and their extensions.
_IDLE_MAX = 15.0  # Seconds; common servers and balancers close after 20 to 60.
_TLS_CHUNK = 2**16
_HELD_MAX = 64 * 2**20  # Bytes of all unfinished answers together; beyond it the large ones among them are given up.
_LARGE = 2**20
_KEPT = {name.encode(): name for name in KEPT_HEADERS}


class HttptoolsTransport:
    """Carries requests to one origin, each over an idle connection or a new one; the client bounds how many at once."""

    def __init__(self, origin: Origin) -> None:
        """Take where to."""
        self.origin = origin
        self.idle: list[_Connection] = []
        """Kept connections, the one used last at the end."""
        self.held = 0
        """Bytes of all unfinished answers."""
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

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._sweep = self._loop.call_later(_IDLE_MAX, self._close_idle)
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

    def send(self, target: str) -> asyncio.Future[Answer]:
        """Send a GET of `target`."""
        loop = self._loop
        if loop is None:
            raise RuntimeError("The transport is not open: use it as an async context manager.")
        exchange = _Exchange(loop=loop)
        exchange.request = b"GET /v1/%b%b" % (target.encode("ascii"), self._tail)
        while self.idle:
            connection = self.idle.pop()
            if connection.is_open:
                connection.begin(exchange, self.origin.timeouts.read)
                return exchange
        self.send_anew(exchange)
        return exchange

    def send_anew(self, exchange: _Exchange) -> None:
        """Send the exchange's request over a new connection."""
        if self._loop is None:
            exchange.fail(unreachable())
            return
        task = exchange.opening = self._loop.create_task(self._connect(exchange))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _connect(self, exchange: _Exchange) -> None:
        """Open a connection for the exchange; it is kept when the exchange was given up meanwhile."""
        loop, origin = asyncio.get_running_loop(), self.origin
        connection = _Connection(self, loop, self._tls)
        self._open.add(connection)
        connection.closed.add_done_callback(lambda _: self._open.discard(connection))
        try:
            async with asyncio.timeout(origin.timeouts.connect):
                await loop.create_connection(lambda: connection, origin.host, origin.port)
                await connection.ready
        except TimeoutError:
            exchange.fail(timed_out())
        except ssl.SSLError:
            exchange.fail(unproven())
        except asyncio.CancelledError:
            exchange.fail(unreachable())
            raise
        except Exception:  # Whatever stands in the way: nobody is to wait for nothing.
            exchange.fail(unreachable())
        else:
            if exchange.done():
                connection.park()
            else:
                connection.begin(exchange, origin.timeouts.read)
            return
        finally:
            if not connection.ready.done() or connection.ready.cancelled() or connection.ready.exception() is not None:
                connection.abort()

    def drop_idle(self) -> None:
        """Close all connections that are kept."""
        idle, self.idle = self.idle, []
        for connection in idle:
            connection.abort()

    def _close_idle(self) -> None:
        assert self._loop is not None
        oldest = self._loop.time() - _IDLE_MAX
        for connection in [each for each in self.idle if each.idle_since < oldest]:
            self.idle.remove(connection)
            connection.abort()
        self._sweep = self._loop.call_later(_IDLE_MAX, self._close_idle)


class _Exchange(asyncio.Future[Answer]):
    """One request and, in time, its answer."""

    request: bytes
    connection: _Connection | None = None
    opening: asyncio.Task[None] | None = None

    def cancel(self, msg: Any | None = None) -> bool:
        """Give up: the answer may still be on its way, so the connection goes too, or is not made."""
        if not self.done():
            if self.connection is not None:
                self.connection.abort()
            elif self.opening is not None:
                self.opening.cancel()
        return super().cancel(msg)

    def fail(self, error: GatewayError) -> None:
        """End without an answer, unless it has ended."""
        if not self.done():
            self.set_exception(error)


class _Connection(asyncio.Protocol):
    """One connection, from its handshake to its last byte; methods named `on_…` are httptools' callbacks."""

    def __init__(self, pool: HttptoolsTransport, loop: asyncio.AbstractEventLoop, tls: ssl.SSLContext | None) -> None:
        self.is_open = True
        self.idle_since = 0.0
        self.ready: asyncio.Future[None] = loop.create_future()
        """Done when requests can be sent; fails with what stood in the way."""
        self.closed: asyncio.Future[None] = loop.create_future()
        self._pool = pool
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._exchange: _Exchange | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_reused = False
        self._tls: ssl.SSLObject | None = None
        if tls is not None:
            self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            self._tls = tls.wrap_bio(self._incoming, self._outgoing, server_hostname=pool.origin.host)
        self._start()

    def begin(self, exchange: _Exchange, seconds: float) -> None:
        """Send a request; its answer must have come within so many seconds."""
        exchange.connection = self
        self._exchange = exchange
        self._start()
        self._timer = self._loop.call_later(seconds, self._expire)
        if self._tls is None:
            assert self._transport is not None
            self._transport.write(exchange.request)
        else:
            self._tls.write(exchange.request)
            self._flush()

    def park(self) -> None:
        """Keep the connection for the next request."""
        if self.is_open:
            self._is_reused = True
            self.idle_since = self._loop.time()
            self._pool.idle.append(self)

    def abort(self) -> None:
        """Close at once."""
        self.is_open = False
        self._let_go()
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        elif not self.closed.done():  # It was never connected.
            self.closed.set_result(None)

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the TLS handshake, if there is one."""
        self._transport = cast(asyncio.Transport, transport)
        if not self.is_open:
            self._transport.abort()
        elif self._tls is None:
            self.ready.set_result(None)
        else:
            self._shake_hands()

    def data_received(self, data: bytes) -> None:
        """Take what came, through TLS if there is any."""
        if not self.is_open:
            return
        if self._tls is None:
            self._feed(data)
            return
        self._incoming.write(data)
        if not self.ready.done():
            self._shake_hands()
        if self.ready.done() and self.is_open:
            self._decrypt()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell whoever waits. An answer without a length ends here, when it ends properly."""
        self.is_open = False
        if not self.closed.done():
            self.closed.set_result(None)
        if not self.ready.done():
            self.ready.set_exception(error if isinstance(error, OSError) else ConnectionResetError())
        if self._exchange is not None:
            if self._ends_with_connection and error is None and self._tls is None:
                self._deliver()
            elif self._is_reused and self._received == 0 and not self._exchange.done():
                # It was closed as the request went out: a kept connection's own hazard, and no attempt of the client's.
                exchange, self._exchange = self._exchange, None
                self.abort()
                exchange.connection = None
                self._pool.send_anew(exchange)
            else:
                self._fail(unreachable())

    # TLS

    def _shake_hands(self) -> None:
        assert self._tls is not None
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            self._flush()  # The alert that tells the other side why.
            self.ready.set_exception(error)
            return
        self._flush()
        self.ready.set_result(None)

    def _decrypt(self) -> None:
        assert self._tls is not None
        try:
            while self.is_open and (self._incoming.pending or self._tls.pending()):
                data = self._tls.read(_TLS_CHUNK)
                if not data:
                    self._close_by_peer()
                    return
                self._feed(data)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._close_by_peer()
            return
        except ssl.SSLError:
            self._fail(unusable("is not TLS that can be read"))
            self.abort()
            return
        if self.is_open:
            self._flush()

    def _close_by_peer(self) -> None:
        """The other side has closed TLS in order: nothing more can come."""
        if self._exchange is not None and self._ends_with_connection:
            self._deliver()
        self.abort()

    def _flush(self) -> None:
        if self._outgoing.pending and self._transport is not None:
            self._transport.write(self._outgoing.read())

    # The answer

    def _start(self) -> None:
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._head_bytes = self._header_count = self._body_bytes = self._received = 0
        self._in_body = self._has_length = self._is_chunked = self._is_whole = self._keep = False
        self._trouble: str | None = None

    @property
    def _ends_with_connection(self) -> bool:
        return self._in_body and not (self._has_length or self._is_chunked) and self._trouble is None

    def _feed(self, data: bytes) -> None:
        if self._exchange is None:
            self.abort()  # Nobody asked.
            return
        self._received += len(data)
        self._pool.held += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._trouble = self._trouble or "is not HTTP that can be read"
        if not self._in_body and self._received > HEAD_MAX:
            self._trouble = self._trouble or "has too long a header"
        elif self._received > BODY_MAX + _FRAMING_MAX:
            self._trouble = self._trouble or f"is larger than {BODY_MAX} bytes"
        elif self._received > _LARGE and self._pool.held > _HELD_MAX:
            self._trouble = self._trouble or "is too large to be held with all the others"
        if self._is_whole:
            self._deliver()
        elif self._trouble is not None:
            self._fail(unusable(self._trouble, self._status or None))
            self.abort()

    def _deliver(self) -> None:
        """Hand over the answer, and keep the connection if all is well with it."""
        exchange, self._exchange = self._exchange, None
        self._let_go()
        if self._timer is not None:
            self._timer.cancel()
        keep = self._keep and self._trouble is None
        if keep:
            self.park()
        else:
            self.abort()
        if exchange is None or exchange.done():
            return
        if self._is_reused and self._status == 408 and not keep:
            # Some servers say this of an idle connection as they close it: it is no answer to what has just gone out.
            exchange.connection = None
            self._pool.send_anew(exchange)
            return
        encoding = self._headers.get("content-encoding", "")
        try:
            body = unpacked(self._status, self._body[0] if len(self._body) == 1 else b"".join(self._body), encoding)
        except GatewayError as error:
            exchange.fail(error)
            return
        exchange.set_result(Answer(self._status, self._headers, body, self.abort))

    def _let_go(self) -> None:
        self._pool.held -= self._received
        self._received = 0

    def _expire(self) -> None:
        if self._is_reused and self._received == 0:
            self._pool.drop_idle()  # What became of this one may have become of the others: the next is made anew.
        self._fail(timed_out())

    def _fail(self, error: GatewayError) -> None:
        exchange, self._exchange, self._body = self._exchange, None, []
        self.abort()
        if exchange is not None:
            exchange.fail(error)

    def on_message_begin(self) -> None:
        """A header begins; behind a whole answer there should be none."""
        if self._is_whole:
            self._trouble = "is followed by another"

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer."""
        if self._is_whole:
            return
        self._head_bytes += len(name) + len(value)
        self._header_count += 1
        if self._head_bytes > HEAD_MAX or self._header_count > _HEADERS_MAX:
            self._trouble = "has too long a header"
        elif not self._in_body:
            name = name.lower()
            if name in _KEPT:
                self._headers[_KEPT[name]] = value.decode("latin-1")
            elif name == b"content-length":
                self._has_length = True
            elif name == b"transfer-encoding":
                self._is_chunked = True
                if value.strip().lower() != b"chunked":
                    self._trouble = "is encoded in a way that was not asked for"

    def on_headers_complete(self) -> None:
        """The header has ended: an interim answer's (1xx), or the real one's."""
        if not self._is_whole:
            self._status = self._parser.get_status_code()
            self._in_body = self._status >= 200
            if not self._in_body:
                self._headers = {}

    def on_body(self, data: bytes) -> None:
        """Take a part of the body."""
        if self._is_whole:
            return
        self._body_bytes += len(data)
        if self._body_bytes > BODY_MAX:
            self._trouble = f"is larger than {BODY_MAX} bytes"
        elif self._trouble is None:
            self._body.append(data)

    def on_message_complete(self) -> None:
        """The answer has ended, unless it was an interim one."""
        if self._in_body and not self._is_whole:
            self._is_whole = self._trouble is None
            self._keep = self._parser.should_keep_alive()
