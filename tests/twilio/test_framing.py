"""Responses read by their header section alone, and by the parser: the same bytes have the same result, however cut."""

import asyncio
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.errors import UpstreamInvalidResponse
from gateway.twilio.deadlines import Deadlines
from gateway.twilio.httptools_transport import HttptoolsTransport, _Connection, _Exchange
from gateway.twilio.responses import Response
from gateway.twilio.transport import Credentials, Origin
from gateway.twilio.turns import Turns

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nTwilio-Request-Id: RQ1\r\n\r\n{}"


class Writes(asyncio.Transport):
    """The transport of a connection without a socket."""

    def __init__(self) -> None:
        super().__init__()
        self.is_aborted = False
        self.written = 0

    def write(self, data: Any) -> None:
        assert data.startswith(b"GET /v1/Services HTTP/1.1\r\n")
        self.written += 1

    def abort(self) -> None:
        self.is_aborted = True


class ParserOnly(_Connection):
    """A connection that parses every response."""

    def begin(self, exchange: _Exchange) -> None:
        super().begin(exchange)
        self._start()


class HeadOnly(_Connection):
    """A connection that parses no response."""

    def _start(self) -> None:
        raise AssertionError("parsed")


@pytest.fixture(scope="module")
def pool() -> Iterator[HttptoolsTransport]:
    loop = asyncio.new_event_loop()
    made = HttptoolsTransport(Origin("http://127.0.0.1:1", Credentials("AC", "secret")))
    made._loop, made.deadlines = loop, Deadlines(loop)
    made.turns = Turns(loop, cpu_clock=time.monotonic)  # It is never idle, so that nothing is postponed.
    yield made
    loop.close()


def result_of(kind: type[_Connection], pool: HttptoolsTransport, pieces: list[bytes]) -> dict[str, Any]:
    """What a request, and the state of its connection, become when those pieces are received, and the connection is closed."""
    assert pool._loop is not None
    results: list[Any] = []
    writes = Writes()
    connection = kind(pool, pool._loop, None)
    connection.connection_made(writes)
    connection.begin(_Exchange(b"GET /v1/Services HTTP/1.1\r\n\r\n", results.append))
    pool._write_all()
    states = []
    for piece in pieces:
        connection.data_received(piece)
        states.append((len(results), connection.is_open, writes.is_aborted, len(pool.idle)))
    if connection.is_open:
        connection.connection_lost(None)
    pool.idle.clear()
    assert pool.buffered == 0
    assert len(pool.deadlines) == 0
    (result,) = results
    if isinstance(result, Response):
        return {"states": states, "status": result.status, "headers": dict(result.headers), "body": result.body}
    return {"states": states, "error": type(result), "message": str(result)}


@pytest.fixture
def postponed(
    pool: HttptoolsTransport, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[_Connection, Writes, list[Any]]]:
    """A connection whose response was postponed to the next turn of the event loop, its transport, and its results."""
    monkeypatch.setattr(pool.turns, "take", lambda: False)
    assert pool._loop is not None
    results: list[Any] = []
    writes = Writes()
    connection = _Connection(pool, pool._loop, None)
    connection.connection_made(writes)
    exchange = _Exchange(b"GET /v1/Services HTTP/1.1\r\n\r\n", results.append)
    connection.begin(exchange)
    pool._write_all()
    connection.data_received(PLAIN)
    assert results == []
    yield connection, writes, results
    assert pool.buffered == 0
    assert len(pool.deadlines) == 0
    pool.idle.clear()


@pytest.mark.parametrize(
    ("follow", "closes"),
    [
        (lambda connection: connection.read(), False),
        (lambda connection: connection.expire(), False),
        (lambda connection: connection.data_received(b"HTTP/1.1 200 OK\r\n"), True),
        (lambda connection: connection.connection_lost(None), False),
    ],
    ids=["the next turn", "the deadline", "more bytes", "the end of the connection"],
)
def test_a_response_that_is_postponed_is_received_before_what_follows(
    postponed: tuple[_Connection, Writes, list[Any]], follow: Callable[[_Connection], None], closes: bool
) -> None:
    connection, writes, results = postponed
    follow(connection)
    assert [result.body for result in results] == [b"{}"]
    assert writes.is_aborted is closes
    connection.read()
    assert len(results) == 1


def test_a_response_that_is_postponed_is_dropped_with_its_request(
    postponed: tuple[_Connection, Writes, list[Any]],
) -> None:
    connection, writes, results = postponed
    assert connection._exchange is not None
    connection._exchange.cancel()
    assert writes.is_aborted
    connection.read()
    assert results == []


def test_large_pieces_and_those_without_a_request_are_not_postponed(
    pool: HttptoolsTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The former would take memory; the latter would be taken for the response to a request that is sent meanwhile."""
    monkeypatch.setattr(pool.turns, "take", lambda: False)
    body = b"x" * 2**17
    plain = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    whole = result_of(_Connection, pool, [plain])
    assert whole["body"] == body
    surplus = result_of(_Connection, pool, [plain, PLAIN])
    assert surplus["states"][-1][1:3] == (False, True)


STATUS_LINES = [
    *[b"HTTP/1.1 200 OK"] * 6,
    *(b"HTTP/1.1 %d Status" % status for status in (100, 101, 103, 200, 201, 204, 205, 304, 404, 408, 429, 500, 599)),
    b"HTTP/1.1 200 ",
    b"HTTP/1.1 200",
    b"HTTP/1.1  200 OK",
    b"HTTP/1.1 600 Odd",
    b"HTTP/1.1 20 OK",
    b"HTTP/1.1 2000 OK",
    b"HTTP/1.0 200 OK",
    b"HTTP/2.0 200 OK",
    b"http/1.1 200 OK",
    b"HTTP/1.1 200 Caf\xe9",
    b"HTTP/1.1 200 tab\there",
    b"ICY 200 OK",
]
HEADERS = [
    b"Content-Type: application/json",
    b"Twilio-Request-Id: RQ1",
    b"TWILIO-CONCURRENT-REQUESTS: 7",
    b"Retry-After: 3",
    b"Retry-After:  4 ",
    b"Retry-After:5",
    b"Retry-After:",
    b"Retry-After: \t6",
    b"X-Odd: caf\xe9",
    b"X-Tab: a\tb",
    b"X-Folded: a\r\n b",
    b"Content-Length: 3",
    b"content-length: 2",
    b"Content-Length:2",
    b"Content-Length: 2 ",
    b"Content-Length: +2",
    b"Content-Length: 0x2",
    b"Content-Length: 2, 2",
    b"Content-Length: 002",
    b"Content-Length: -2",
    b"Content-Length: 99999999999999999999",
    b"Content-Length : 2",
    b"X-Content-Length: 9",
    b"Content-Encoding: identity",
    b"Content-Encoding: gzip",
    b"Content-Encoding: br",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip",
    b"transfer-encoding:chunked",
    b"Connection: close",
    b"Connection: keep-alive",
    b"connection: Keep-Alive",
    b"Connection: keep-alive, close",
    b"Connection:close",
    b"Connection: upgrade",
    b"Upgrade: h2c",
    b"Trailer: X",
    b"No colon",
    b": no name",
    b"Sp ace: x",
    b"Nul: a\x00b",
    b"Bare\rReturn: x",
    b"Bare: x\ny",
    b"Long: " + b"x" * 40_000,
]
plain_headers = st.sampled_from(HEADERS[:4])
odd_headers = st.sampled_from(HEADERS)


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    """One response, most often a plain one, and perhaps more bytes after it."""
    body = draw(st.sampled_from([b"", b"{}", b'{"a": "\xc3\xa9"}', b"[1, 2]", b"2\r\n{}\r\n0\r\n\r\n", b"x" * 3000]))
    lines = draw(st.lists(plain_headers, max_size=4))
    if draw(st.booleans()):
        lines += draw(st.lists(odd_headers, min_size=1, max_size=3))
    if draw(st.integers(0, 5)):
        lines.append(b"Content-Length: %d" % len(body))
    if not draw(st.integers(0, 19)):
        lines += [b"X-%d: y" % number for number in range(130)]
    lines = draw(st.permutations(lines))
    end = draw(st.sampled_from([b"\r\n"] * 8 + [b"\n"]))
    head = end.join([draw(st.sampled_from(STATUS_LINES)), *lines, b"", b""])
    after = draw(st.sampled_from([b""] * 6 + [b"\r\n", b"x", PLAIN, b"HTTP/1.1 "]))
    return head + body + after


@settings(max_examples=600)
@given(st.data(), responses())
def test_the_parser_and_the_head_alone_agree(pool: HttptoolsTransport, data: st.DataObject, reply: bytes) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(1, max(1, len(reply) - 1)), max_size=3, unique=True)))
    bounds = [0, *cuts, len(reply)]
    pieces = [piece for start, end in pairwise(bounds) if (piece := reply[start:end])]
    assert result_of(_Connection, pool, pieces) == result_of(ParserOnly, pool, pieces)
    assert result_of(_Connection, pool, [reply]) == result_of(ParserOnly, pool, [reply])


@settings(max_examples=300)
@given(st.integers(0, len(PLAIN) - 1), st.binary(min_size=1, max_size=3), st.booleans())
@example(16, b"\t", True)
@example(7, b"0", False)
def test_they_agree_on_every_change_to_a_plain_response(
    pool: HttptoolsTransport, at: int, change: bytes, is_inserted: bool
) -> None:
    reply = PLAIN[:at] + change + PLAIN[at if is_inserted else at + len(change) :]
    assert result_of(_Connection, pool, [reply]) == result_of(ParserOnly, pool, [reply])


@pytest.mark.parametrize(
    "reply",
    [
        PLAIN,
        PLAIN.replace(b"Content-Length", b"content-length"),
        PLAIN.replace(b"200 OK", b"429 Too Many Requests"),
        PLAIN.replace(b"Twilio-Request-Id: RQ1", b"Connection: keep-alive"),
    ],
)
def test_a_plain_response_is_not_parsed(pool: HttptoolsTransport, reply: bytes) -> None:
    assert result_of(HeadOnly, pool, [reply])["body"] == b"{}"


@pytest.mark.parametrize("cut", [1, 20, 90])
def test_a_switch_of_protocols_is_an_error(pool: HttptoolsTransport, cut: int) -> None:
    """The parser raises `HttpParserUpgrade` for it, which is no `HttpParserError`."""
    reply = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\nX: %b\r\n\r\n" % (b"x" * 40)
    result = result_of(_Connection, pool, [reply[:cut], reply[cut:]])
    assert result["error"] is UpstreamInvalidResponse
    assert result["message"] == "Twilio's response switches protocols."
    assert result["states"][-1][1:3] == (False, True)


@pytest.mark.parametrize("is_reused", [False, True])
def test_what_is_received_before_the_request_is_sent_is_not_its_response(
    pool: HttptoolsTransport, monkeypatch: pytest.MonkeyPatch, is_reused: bool
) -> None:
    """The request is sent over a new connection if this one was idle; a server that always speaks first is an error."""
    assert pool._loop is not None
    again: list[_Exchange] = []
    monkeypatch.setattr(pool, "send_on_new_connection", again.append)
    results: list[Any] = []
    connection, writes = _Connection(pool, pool._loop, None), Writes()
    connection.connection_made(writes)
    if is_reused:
        connection.release()
        pool.idle.clear()
    exchange = _Exchange(b"GET /v1/Services HTTP/1.1\r\n\r\n", results.append)
    connection.begin(exchange)
    connection.data_received(PLAIN)
    pool._write_all()
    assert (writes.is_aborted, writes.written) == (True, 0)
    assert again == ([exchange] if is_reused else [])
    assert [type(result) for result in results] == ([] if is_reused else [UpstreamInvalidResponse])


@pytest.mark.parametrize(
    "reply",
    [
        PLAIN + b"x",
        PLAIN[:-1],
        PLAIN.replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\n"),
        PLAIN.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: identity\r\n\r\n"),
        PLAIN.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        PLAIN.replace(b"\r\n\r\n", b"\r\nX: a\r\n b\r\n\r\n"),
        PLAIN.replace(b"\r\n\r\n", b"\r\nX: caf\xe9\r\n\r\n"),
        PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"),
        PLAIN.replace(b"200", b"204"),
    ],
)
def test_any_other_response_is_parsed(pool: HttptoolsTransport, reply: bytes) -> None:
    with pytest.raises(AssertionError, match="parsed"):
        result_of(HeadOnly, pool, [reply])
    pool.deadlines.clear()
