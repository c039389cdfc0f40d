"""Both transports against servers that misbehave on the wire: every fault is an error in time, or harmless."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

import pytest
import trustme

from gateway.errors import GatewayError, UpstreamInvalidResponse, UpstreamTimeout, UpstreamUnavailable
from gateway.twilio.aiohttp_transport import AiohttpTransport
from gateway.twilio.httptools_transport import HttptoolsTransport
from gateway.twilio.responses import Response
from gateway.twilio.transport import Credentials, Origin, Timeouts, Transport
from gateway.twilio.turns import Turns

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Make = Callable[[Origin], Transport]
CREDENTIALS = Credentials("AC" + "0" * 32, "very-secret-token")
AUTHORITY = trustme.CA()


class AlwaysPostponed(Turns):
    """Postpones all that may be postponed."""

    def take(self) -> bool:
        super().take()
        return False


class Postponing(HttptoolsTransport):
    """A transport that processes what it receives in a later turn of the event loop."""

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.turns = AlwaysPostponed(asyncio.get_running_loop())
        return self


@pytest.fixture(params=[HttptoolsTransport, Postponing, AiohttpTransport])
def make(request: pytest.FixtureRequest) -> Make:
    chosen: Make = request.param
    return chosen


class Wire:
    """A server that answers in raw bytes, and what it saw."""

    def __init__(self, reply: bytes | Handler) -> None:
        self.url = ""
        self.requests: list[bytes] = []
        self.connections = 0
        self.closed = asyncio.Event()
        """Set when a client has hung up."""
        self._reply = reply

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.requests.append(head)
                if callable(self._reply):
                    await self._reply(reader, writer)
                else:
                    writer.write(self._reply)
                    await writer.drain()
                    break
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            self.closed.set()
            writer.close()


@asynccontextmanager
async def wire(reply: bytes | Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[Wire]:
    """A server that answers each request with the bytes `reply`, and closes; or as `reply` does."""
    served = Wire(reply)
    server = await asyncio.start_server(served.handle, "127.0.0.1", 0, ssl=tls)
    async with server:
        served.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield served


class Sent(asyncio.Future[Response]):
    """An exchange, and a future of its response."""

    def __init__(self, transport: Transport, target: str) -> None:
        super().__init__()
        self._exchange = transport.send(target, self._finish)

    def _finish(self, result: Response | Exception) -> None:
        if isinstance(result, Exception):
            self.set_exception(result)
        else:
            self.set_result(result)

    def cancel(self, msg: Any | None = None) -> bool:
        self._exchange.cancel()
        return super().cancel(msg)


class Opened:
    """A transport that is open."""

    def __init__(self, transport: Any) -> None:
        self.transport = transport

    def send(self, target: str) -> Sent:
        return Sent(self.transport, target)


@asynccontextmanager
async def opened(make: Make, url: str, tls: ssl.SSLContext | None = None, **bounds: float) -> AsyncIterator[Opened]:
    async with make(Origin(url, CREDENTIALS, Timeouts(**bounds), tls)) as transport:
        yield Opened(transport)


def response(body: bytes, *headers: bytes, status: bytes = b"200 OK", version: bytes = b"HTTP/1.1") -> bytes:
    lines = [version + b" " + status, b"Content-Length: %d" % len(body), *headers, b"", body]
    return b"\r\n".join(lines)


def kept(reply: bytes) -> Handler:
    """Answers every request on a connection."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply)
        await writer.drain()

    return answer


def server_context(authority: trustme.CA = AUTHORITY, host: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    return context


def client_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


async def test_a_request_carries_credentials_and_asks_for_json(make: Make) -> None:
    async with wire(response(b"{}")) as served, opened(make, served.url) as transport:
        answer = await transport.send("Services?PageSize=1")
    assert (answer.status, answer.body) == (200, b"{}")
    head = served.requests[0].decode()
    assert head.startswith("GET /v1/Services?PageSize=1 HTTP/1.1\r\n")
    assert f"Host: {served.url.removeprefix('http://')}\r\n" in head
    assert "Authorization: Basic " in head
    assert "Accept: application/json" in head
    assert "receipts-gateway/" in head


async def test_a_target_is_sent_unchanged(make: Make) -> None:
    target = "Services/IS/Conversations/a%2F..%2Fb%20%C3%A9?X=%3A:"
    async with wire(response(b"{}")) as served, opened(make, served.url) as transport:
        await transport.send(target)
    assert served.requests[0].startswith(f"GET /v1/{target} HTTP/1.1\r\n".encode())


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (b"", UpstreamUnavailable),
        (b"garbage\r\n\r\n", UpstreamInvalidResponse),
        (b"HTTP/1.1 999999 X\r\n\r\n", UpstreamInvalidResponse),
        (response(b"x" * 10)[:-5], UpstreamUnavailable),
        (CHUNKED + b"5\r\nhello\r\n", UpstreamUnavailable),
        (CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n", UpstreamInvalidResponse),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ", UpstreamInvalidResponse),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}", UpstreamInvalidResponse),
        (response(b"{}", b"X: " + b"y" * 100_000), UpstreamInvalidResponse),
        (response(b"{}", *(b"X-%d: %s" % (n, b"y" * 1000) for n in range(5000))), UpstreamInvalidResponse),
        (response(b"{}", b"Content-Encoding: br"), UpstreamInvalidResponse),
        (response(b"not gzip", b"Content-Encoding: gzip"), UpstreamInvalidResponse),
        (response(gzip.compress(b"{}" * 999)[:-9], b"Content-Encoding: gzip"), UpstreamInvalidResponse),
        (response(gzip.compress(b"{}") + b"x" * 2**20, b"Content-Encoding: gzip"), UpstreamInvalidResponse),
        (response(gzip.compress(b" " * 2**26), b"Content-Encoding: gzip"), UpstreamInvalidResponse),
        (response(b" " * (2**24 + 1)), UpstreamInvalidResponse),
    ],
    ids=lambda value: repr(value)[:40] if isinstance(value, bytes) else "",
)
async def test_a_broken_answer_is_an_error(make: Make, reply: bytes, kind: type[GatewayError]) -> None:
    async with wire(reply) as served, opened(make, served.url) as transport:
        with pytest.raises(GatewayError) as caught:
            await transport.send("Services")
    assert type(caught.value) is kind
    assert len(served.requests) == 1
    assert "secret" not in repr(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("secure", [False, True])
async def test_an_answer_may_come_in_any_pieces(make: Make, secure: bool) -> None:
    """Split in two at every byte, on one connection that is kept throughout."""
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    body = b'{"a": "%s"}' % (b"x" * 40)
    chunked = CHUNKED + b"".join(b"%x;ext\r\n%c\r\n" % (1, byte) for byte in body[:9])
    chunked += b"%x\r\n%s\r\n0\r\nTrailer: x\r\n\r\n" % (len(body) - 9, body[9:])
    whole = interim + (chunked if secure else response(body, b"Twilio-Request-Id: RQ1"))
    cuts = iter(range(1, len(whole)))

    async def split(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cut = next(cuts)
        writer.write(whole[:cut])
        await writer.drain()
        await asyncio.sleep(0)
        writer.write(whole[cut:])
        await writer.drain()

    async with (
        wire(split, server_context() if secure else None) as served,
        opened(make, served.url, client_context()) as transport,
    ):
        for _ in range(1, len(whole)):
            answer = await transport.send("Services")
            assert (answer.status, answer.body) == (200, body)
    assert served.connections == 1


async def test_an_answer_may_end_at_any_byte(make: Make) -> None:
    """Closed after every length: never an answer that is not whole, never a wait."""
    whole = response(b'{"a": 1}')
    for length in range(len(whole)):
        async with wire(whole[:length]) as served, opened(make, served.url) as transport:
            with pytest.raises(UpstreamUnavailable):
                await transport.send("Services")


@pytest.mark.parametrize("encoding", [b"gzip", b"gzip, chunked", b"chunked, identity", b"x"])
async def test_httptools_accepts_no_transfer_encoding_but_chunked(encoding: bytes) -> None:
    reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: %s\r\n\r\n2\r\n{}\r\n0\r\n\r\n" % encoding
    async with wire(reply) as served, opened(HttptoolsTransport, served.url) as transport:
        with pytest.raises(UpstreamInvalidResponse):
            await transport.send("Services")


@pytest.mark.parametrize("encoding", [b"gzip", b"GZip", b"x-gzip"])
async def test_gzip_is_read(make: Make, encoding: bytes) -> None:
    reply = response(gzip.compress(b'{"a": 1}'), b"Content-Encoding: " + encoding)
    async with wire(reply) as served, opened(make, served.url) as transport:
        assert (await transport.send("Services")).body == b'{"a": 1}'


@pytest.mark.parametrize(
    ("reply", "status", "body"),
    [
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + response(b"{}"), 200, b"{}"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + response(b"{}"), 200, b"{}"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, b""),
        (response(b"{}", version=b"HTTP/1.0"), 200, b"{}"),
        (b"HTTP/1.0 200 OK\r\n\r\n{}", 200, b"{}"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}", 200, b"{}"),
        (response(b"{}", b"Connection: close"), 200, b"{}"),
        (response(b"", status=b"503 Service Unavailable"), 503, b""),
        (response(b""), 200, b""),
    ],
    ids=lambda value: repr(value)[:40] if isinstance(value, bytes) else str(value),
)
async def test_unusual_valid_responses_are_read(make: Make, reply: bytes, status: int, body: bytes) -> None:
    async with wire(reply) as served, opened(make, served.url) as transport:
        for _ in range(2):
            answer = await transport.send("Services")
            assert (answer.status, answer.body) == (status, body)
    assert served.connections == 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(make: Make, status: int) -> None:
    async with wire(response(b"{}")) as foreign:
        reply = response(b"", b"Location: %s" % foreign.url.encode(), status=b"%d Go" % status)
        async with wire(reply) as served, opened(make, served.url) as transport:
            assert (await transport.send("Services")).status == status
    assert (len(served.requests), len(foreign.requests)) == (1, 0)


async def test_a_connection_is_used_again(make: Make) -> None:
    async with wire(kept(response(b"{}"))) as served, opened(make, served.url) as transport:
        for _ in range(5):
            assert (await transport.send("Services")).body == b"{}"
        await asyncio.gather(*(transport.send("Services") for _ in range(5)))
    assert len(served.requests) == 10
    assert served.connections == 5


async def test_a_surplus_response_is_never_taken_for_the_next_one(make: Make) -> None:
    """In one piece with the first, or alone a moment later: the connection is not used again."""
    numbers = iter(range(100))

    async def twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = next(numbers)
        writer.write(response(b"%d" % number) + response(b"late %d" % number))
        await writer.drain()

    async with wire(twice) as served, opened(make, served.url) as transport:
        for number in range(3):
            try:
                answer = await transport.send("Services")
            except UpstreamInvalidResponse:
                continue
            if answer.body != b"%d" % number:
                assert make is AiohttpTransport  # aiohttp keeps it; the reader finds out, and drops the connection.
                answer.close_connection()
    if make is HttptoolsTransport:
        assert served.connections == 3


async def test_a_byte_without_a_request_closes_an_idle_connection() -> None:
    speak = asyncio.Event()

    async def talkative(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(response(b"{}"))
        await speak.wait()
        writer.write(b"H")
        assert await reader.read() == b""

    async with wire(talkative) as served, opened(HttptoolsTransport, served.url) as transport:
        await transport.send("Services")
        speak.set()
        await served.closed.wait()
        await transport.send("Services")
    assert served.connections == 2


async def test_a_connection_closed_while_idle_is_not_used(make: Make) -> None:
    async with wire(response(b"{}")) as served, opened(make, served.url) as transport:
        for _ in range(5):
            assert (await transport.send("Services")).body == b"{}"
    assert served.connections == 5


async def test_a_connection_that_breaks_within_a_response_fails_its_request() -> None:
    replies = iter([response(b"{}"), response(b"{}")[:-1]])

    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reply = next(replies)
        writer.write(reply)
        await writer.drain()
        if not reply.endswith(b"}"):
            writer.close()

    async with wire(break_off) as served, opened(HttptoolsTransport, served.url) as transport:
        await transport.send("Services")
        with pytest.raises(UpstreamUnavailable):
            await transport.send("Services")
    assert len(served.requests) == 2


async def test_a_closed_connection_is_not_used_again(make: Make) -> None:
    async with wire(kept(response(b"{}"))) as served, opened(make, served.url) as transport:
        for _ in range(3):
            (await transport.send("Services")).close_connection()
    assert served.connections == 3


async def test_a_cancelled_request_closes_its_connection(make: Make) -> None:
    asked = asyncio.Event()

    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        assert await reader.read() == b""

    async with wire(silence) as served, opened(make, served.url) as transport:
        sent = transport.send("Services")
        await asked.wait()
        sent.cancel()
        await served.closed.wait()
        assert sent.cancelled()


async def test_a_request_cancelled_before_it_is_sent_does_no_harm(make: Make) -> None:
    async with wire(kept(response(b"{}"))) as served, opened(make, served.url) as transport:
        transport.send("Services").cancel()
        assert (await transport.send("Services")).body == b"{}"


async def test_no_server_is_unavailable(make: Make) -> None:
    async with wire(b"") as served:
        pass
    async with opened(make, served.url) as transport:
        with pytest.raises(UpstreamUnavailable):
            await transport.send("Services")


async def test_an_unknown_host_is_unavailable(make: Make) -> None:
    async with opened(make, "http://nowhere.invalid:1") as transport:
        with pytest.raises(UpstreamUnavailable):
            await transport.send("Services")


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"])
async def test_a_server_that_falls_silent_times_out(make: Make, head: bytes) -> None:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        await reader.read()

    async with wire(silence) as served, opened(make, served.url, read=0.1) as transport:
        with pytest.raises(UpstreamTimeout):
            await transport.send("Services")
        await served.closed.wait()


async def test_each_request_has_its_own_timeout() -> None:
    """One timer serves all of them: a response stops one timeout, and the next request starts another."""
    replies = iter([response(b"{}"), b"", b""])
    loop = asyncio.get_running_loop()

    async def fall_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reply = next(replies)
        writer.write(reply)
        if not reply:
            await reader.read()

    async with wire(fall_silent) as served, opened(HttptoolsTransport, served.url, read=0.2) as transport:
        await transport.send("Services")
        began: list[float] = []
        ended: list[float] = []
        sent: list[Sent] = []
        for _ in range(2):
            await asyncio.wait([loop.create_future()], timeout=0.05)
            began.append(loop.time())
            sent.append(transport.send("Services"))
        for exchange in sent:
            with pytest.raises(UpstreamTimeout):
                await exchange
            ended.append(loop.time())
        assert all(0.19 <= end - begin < 1.0 for begin, end in zip(began, ended, strict=True))


@pytest.mark.parametrize("drop", [b"X: y\r\n", b"1\r\n.\r\n"])
async def test_a_slow_drip_times_out(make: Make, drop: bytes) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED if drop[:1] == b"1" else b"HTTP/1.1 200 OK\r\n")
        for _ in range(1000):
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(0.01)  # A drip has a pace; nothing waits for it to end.

    async with wire(drip) as served, opened(make, served.url, read=0.2) as transport:
        with pytest.raises(UpstreamTimeout):
            await transport.send("Services")


async def test_a_tls_handshake_that_goes_nowhere_times_out(make: Make) -> None:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silence, "127.0.0.1", 0)
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with opened(make, url, client_context(), connect=0.1, read=0.2) as transport:
            with pytest.raises(UpstreamTimeout):
                await transport.send("Services")


async def test_tls_is_used_and_verified(make: Make) -> None:
    body = b"[%s]" % (b"0, " * 100_000 + b"0")
    async with (
        wire(kept(response(body)), server_context()) as served,
        opened(make, served.url, client_context()) as transport,
    ):
        for _ in range(3):
            assert (await transport.send("Services")).body == body
    assert served.connections == 1


@pytest.mark.parametrize("server", [server_context(trustme.CA()), server_context(host="elsewhere.test")])
async def test_a_wrong_certificate_is_refused(make: Make, server: ssl.SSLContext) -> None:
    async with wire(response(b"{}"), server) as served, opened(make, served.url, client_context()) as transport:
        with pytest.raises(UpstreamInvalidResponse, match="could not prove"):
            await transport.send("Services")
    assert served.requests == []


async def test_a_server_without_tls_is_refused(make: Make) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(response(b"{}"))
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with opened(make, url, client_context()) as transport:
            with pytest.raises(UpstreamInvalidResponse, match="could not prove"):
                await transport.send("Services")


async def test_closing_the_transport_closes_connections_and_ends_requests(make: Make) -> None:
    asked = asyncio.Event()

    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()

    async with wire(silence) as served:
        async with opened(make, served.url) as transport:
            sent = transport.send("Services")
            await asked.wait()
        with pytest.raises(UpstreamUnavailable):
            await sent
        await served.closed.wait()


async def test_the_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with wire(response(b"{}")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "")
        async with opened(AiohttpTransport, "http://twilio.invalid") as transport:
            assert (await transport.send("Services")).body == b"{}"
    assert proxy.requests[0].startswith(b"GET http://twilio.invalid/v1/Services HTTP/1.1\r\n")


async def test_dead_idle_connections_are_not_tried_one_by_one() -> None:
    """A load balancer drops flows silently: after one timeout, the other idle connections are closed, too."""
    is_dead = False

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if is_dead and writer in old:
            await reader.read()
        old.append(writer)
        if len(old) == 5:
            all_here.set()
        await all_here.wait()  # So that each of the five needs a connection of its own.
        writer.write(response(b"{}"))
        await writer.drain()

    old: list[asyncio.StreamWriter] = []
    all_here = asyncio.Event()
    async with wire(answer) as served, opened(HttptoolsTransport, served.url, read=1.0) as transport:
        await asyncio.gather(*(transport.send("Services") for _ in range(5)))
        is_dead = True
        with pytest.raises(UpstreamTimeout):
            await transport.send("Services")
        assert (await transport.send("Services")).body == b"{}"
    assert served.connections == 6


async def test_a_request_cancelled_while_connecting_stops_connecting() -> None:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silence, "127.0.0.1", 0)
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with opened(HttptoolsTransport, url, client_context()) as transport:
            sent = [transport.send("Services") for _ in range(20)]
            await asyncio.wait(sent, timeout=0.05)
            for exchange in sent:
                exchange.cancel()
            await asyncio.gather(*transport.transport._opening, return_exceptions=True)
            assert len(transport.transport._open) == 0


async def test_a_408_on_an_idle_connection_is_not_the_response_to_the_next_request() -> None:
    """Some servers send it before they close an idle connection, while a request may be on its way."""
    farewell = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    replies = iter([response(b"{}"), farewell, response(b"{}")])

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(next(replies))
        await writer.drain()

    async with wire(answer) as served, opened(HttptoolsTransport, served.url) as transport:
        for _ in range(2):
            assert (await transport.send("Services")).status == 200
    assert served.connections == 2


def test_the_secret_is_in_no_repr() -> None:
    assert "very-secret-token" not in repr(Origin("http://x", CREDENTIALS))
