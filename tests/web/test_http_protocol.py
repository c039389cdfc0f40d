"""The HTTP protocol with peers that are slow, broken or malicious, on bare sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, cast

import pytest

from gateway.app import create_app
from gateway.demo import settings_for
from gateway.sandbox import Sandbox
from gateway.web.http_protocol import _WriteCoalescer

from ..conftest import serving
from .conftest import Hasty, Impatient, answers, connect, send

BODY = b'{"query": "{ __typename }"}'
HEAD = b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY


@pytest.fixture
async def hasty(sandbox: Sandbox) -> AsyncIterator[str]:
    async with serving(create_app(settings_for(sandbox)), Hasty) as url:
        yield url


async def test_a_whole_request_is_answered_and_the_idle_connection_kept(hasty: str) -> None:
    reader, writer = await connect(hasty)
    for _ in range(3):
        writer.write(WHOLE)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))
    writer.close()


async def test_requests_sent_at_once_are_answered_in_order(hasty: str) -> None:
    last = WHOLE.replace(b"Host", b"Connection: close\r\nHost")
    received = await send(hasty, WHOLE + WHOLE + last)
    assert [status for status, _ in answers(received)] == [200, 200, 200]


@pytest.mark.parametrize(
    ("piece", "status"),
    [
        (b"", None),
        (b"P", 408),
        (HEAD, 408),
        (HEAD + b"Content-Length: 27\r\n\r\n", 408),
        (HEAD + b"Content-Length: 27\r\n\r\n" + BODY[:10], 408),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{", 408),
        (b"\r\n" * 10, 408),
    ],
)
async def test_a_peer_that_stops_within_a_request_is_disconnected(hasty: str, piece: bytes, status: int | None) -> None:
    received = answers(await send(hasty, piece))
    assert [got for got, _ in received] == ([status] if status else [])
    for _, body in received:
        assert json.loads(body)["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


async def test_sending_byte_by_byte_does_not_extend_the_timeout(hasty: str) -> None:
    reader, writer = await connect(hasty)

    async def drip() -> None:
        for byte in HEAD * 10:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.02)  # A drip has a pace; the server ends it.

    dripping = asyncio.create_task(drip())
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    assert head.startswith(b"HTTP/1.1 408 ")
    with suppress(ConnectionResetError):  # A byte may have been sent after the server closed.
        await asyncio.wait_for(reader.read(), 5)
    dripping.cancel()
    await asyncio.gather(dripping, return_exceptions=True)
    writer.close()


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 27\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 27\r\n",
        b"Content-Length: 27\r\nContent-Length: 27\r\n",
        b"Content-Length: 27\r\nContent-Length: 28\r\n",
        b"Content-Length: 27, 27\r\n",
        b"Content-Length: +27\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 0x1b\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Host: elsewhere\r\n",
        b"Content-Type: text/plain\r\nContent-Length: 27\r\n",
        b"Content-Length: 27\r\n Transfer-Encoding: chunked\r\n",
        b"Bad Header: x\r\n",
        b"X: a\x00b\r\n",
    ],
)
async def test_an_ambiguous_request_is_refused_with_all_that_follows(hasty: str, head: bytes) -> None:
    received = answers(await send(hasty, HEAD + head + b"\r\n" + BODY + b"0\r\n\r\n" + WHOLE))
    assert [status for status, _ in received] == [400]
    assert json.loads(received[0][1])["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


async def test_bytes_that_are_not_http_are_refused(hasty: str) -> None:
    for garbage in (b"\x16\x03\x01\x02\x00", b"HELLO\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"):
        received = answers(await send(hasty, garbage))
        assert [status for status, _ in received] == [400], garbage


@pytest.mark.parametrize("head", [b"X: " + b"y" * 9000, b"X: y\r\n" * 2000, b"GET /" + b"y" * 9000])
async def test_a_head_that_is_too_large_is_refused(hasty: str, head: bytes) -> None:
    received = answers(await send(hasty, (b"" if head.startswith(b"GET") else HEAD) + head[:4000], head[4000:]))
    assert [status for status, _ in received] == [431]


async def test_a_peer_that_reads_nothing_is_disconnected(sandbox: Sandbox) -> None:
    lost = asyncio.Event()

    class Watched(Hasty):
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            lost.set()

    marks = sandbox.landmarks
    fields = " ".join(f"a{number}: attributes b{number}: body" for number in range(49))
    query = (
        '{ service(sid: \\"%s\\") { conversation(sid: \\"%s\\") { messages(first: 150) { edges { node { %s } } } } } }'
    )
    body = b'{"query": "%s"}' % (query % (marks["service_sid"], marks["conversation_sid"], fields)).encode()
    async with serving(create_app(settings_for(sandbox)), Watched) as url:
        reader, writer = await connect(url)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        # More answers than fit into the buffers between the two.
        writer.write((HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body) * 12)
        await asyncio.wait_for(lost.wait(), 20)
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def test_an_upgrade_is_not_followed(hasty: str) -> None:
    request = WHOLE.replace(b"Host", b"Connection: Upgrade, close\r\nUpgrade: websocket\r\nHost")
    received = answers(await send(hasty, request))
    assert [status for status, _ in received] == [400]  # What follows such a head is not HTTP's: there is no body.


async def test_a_request_that_was_refused_early_gets_no_second_answer(hasty: str) -> None:
    head = HEAD.replace(b"application/json", b"text/plain") + b"Content-Length: 27\r\n\r\n"
    assert [status for status, _ in answers(await send(hasty, head))] == [415]


async def test_a_connection_is_closed_after_the_body_of_a_refused_request(sandbox: Sandbox) -> None:
    async with serving(create_app(settings_for(sandbox)), Impatient) as url:
        reader, writer = await connect(url)
        writer.write(HEAD.replace(b"application/json", b"text/plain") + b"Content-Length: 27\r\n\r\n")
        received = await reader.readuntil(b"\r\n\r\n")
        writer.write(BODY)
        received += await asyncio.wait_for(reader.read(), 10)
        assert [status for status, _ in answers(received)] == [415]
        writer.close()


async def test_trailers_are_ignored(hasty: str) -> None:
    trailer = b"X-Gateway-Dry-Run: 1\r\nConnection: close\r\n"
    sent = (
        HEAD
        + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n1b\r\n"
        + BODY
        + b"\r\n0\r\n"
        + trailer
        + b"\r\n"
    )
    assert b'"__typename":"Query"' in await send(hasty, sent)


@pytest.mark.parametrize("target", [b"http://[::bad/", b"http://", b"http://h:99999/"])
async def test_an_invalid_target_is_refused_in_pieces_too(hasty: str, target: bytes) -> None:
    sent = WHOLE.replace(b"/graphql", target, 1)
    for pieces in ([sent], [sent[:-5], sent[-5:]]):
        assert [status for status, _ in answers(await send(hasty, *pieces))] == [400]


async def test_a_request_before_garbage_is_answered(hasty: str) -> None:
    received = answers(await send(hasty, WHOLE + b"garbage\r\n\r\n"))
    assert [status for status, _ in received] == [200, 400]


async def test_a_reply_that_is_still_due_when_garbage_arrives_is_the_last_one(hasty: str) -> None:
    body = b'{"query": "{ services { edges { node { sid } } } }"}'
    received = await send(hasty, HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body + b"garbage\r\n\r\n")
    assert [status for status, _ in answers(received)] == [200]
    assert b"\r\nconnection: close\r\n" in received


async def test_no_path_redirects_to_a_host_that_the_client_named(hasty: str) -> None:
    request = b"GET /graphql/ HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n"
    received = await send(hasty, request)
    assert answers(received)[0][0] == 404
    assert b"evil" not in received


async def test_head_is_get_without_a_body(hasty: str) -> None:
    request = b"HEAD /graphql?query=%7B__typename%7D HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert (await send(hasty, request)).startswith(b"HTTP/1.1 200")


class Recording(asyncio.Transport):
    """A transport that records what it is given."""

    def __init__(self, name: str, sent: list[tuple[str, bytes]]) -> None:
        super().__init__()
        self._name, self._sent, self._closing = name, sent, False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._sent.append((self._name, bytes(data)))

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True

    abort = close


async def test_what_is_written_in_one_turn_of_the_event_loop_is_sent_at_its_end() -> None:
    sent: list[tuple[str, bytes]] = []
    loop = asyncio.get_running_loop()
    first, second, closed, aborted, full = (_WriteCoalescer(Recording(name, sent), loop) for name in "abcde")
    for connection, data in ((first, b"1"), (second, b"2"), (first, b"3"), (closed, b"4"), (aborted, b"5")):
        connection.write(data)
    assert sent == []
    closed.close()
    aborted.abort()
    assert sent == [("c", b"4")]
    for _ in range(_WriteCoalescer.PARTS_MAX + 1):
        full.write(b"6")
    assert sent[1:] == [("e", b"6" * _WriteCoalescer.PARTS_MAX)]
    await asyncio.sleep(0)
    assert sent[2:] == [("a", b"13"), ("b", b"2"), ("e", b"6")]
    second.write(b"7")
    await asyncio.sleep(0)
    assert sent[5:] == [("b", b"7")]


async def test_a_connection_that_cannot_be_written_to_keeps_no_reply_from_others() -> None:
    sent: list[tuple[str, bytes]] = []
    loop = asyncio.get_running_loop()
    reported: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: reported.append(context))
    broken, other = (_WriteCoalescer(Recording(name, sent), loop) for name in "ab")
    broken.write(cast(bytes, "text"))
    other.write(b"1")
    await asyncio.sleep(0)
    assert (sent, broken.is_closing()) == ([("b", b"1")], True)
    assert [type(context["exception"]) for context in reported] == [TypeError]
