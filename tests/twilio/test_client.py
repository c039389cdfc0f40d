"""The client against a server that misbehaves: every fault becomes an error of the tree, in time, and leaks nothing."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from gateway import errors
from gateway.sandbox import Fault, Sandbox
from gateway.twilio.client import Client, Credentials, Timeouts
from gateway.twilio.responses import Answer
from gateway.twilio.retry import RetryPolicy

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
CREDENTIALS = Credentials("AC" + "0" * 32, "very-secret-token")


def whole(answer: Answer) -> Answer:
    return answer


@asynccontextmanager
async def wire(reply: bytes | Handler) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that answers each request with the bytes `reply`, and the requests it got."""
    got: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                got.append(head)
                if callable(reply):
                    await reply(reader, writer)
                else:
                    writer.write(reply)
                    await writer.drain()
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", got


@asynccontextmanager
async def client_of(url: str, **bounds: float) -> AsyncIterator[Client]:
    async with Client(url, CREDENTIALS, retries=RetryPolicy(first_delay=0.0), timeouts=Timeouts(**bounds)) as client:
        yield client


def response(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers, b"", body]
    return b"\r\n".join(lines)


async def test_a_read_carries_credentials_and_asks_for_json() -> None:
    async with wire(response(b"{}")) as (url, got), client_of(url) as client:
        answer = await client.get("Services?PageSize=1", whole)
    assert (answer.status, answer.body) == (200, b"{}")
    head = got[0].decode()
    assert head.startswith("GET /v1/Services?PageSize=1 HTTP/1.1\r\n")
    assert "Authorization: Basic " in head
    assert "Accept: application/json" in head
    assert "receipts-gateway/" in head


async def test_a_target_goes_out_as_it_is() -> None:
    async with wire(response(b"{}")) as (url, got), client_of(url) as client:
        await client.get("Services/IS/Conversations/a%2F..%2Fb%20%C3%A9?X=%3A:", whole)
    assert got[0].startswith(b"GET /v1/Services/IS/Conversations/a%2F..%2Fb%20%C3%A9?X=%3A: HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("reply", "kind", "attempts"),
    [
        (b"", errors.UpstreamUnavailable, 3),
        (b"garbage\r\n\r\n", errors.UpstreamInvalidResponse, 1),
        (b"HTTP/1.1 999999 X\r\n\r\n", errors.UpstreamInvalidResponse, 1),
        (response(b"x" * 10)[:-5], errors.UpstreamUnavailable, 3),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", errors.UpstreamUnavailable, 3),
        (response(b"{}", b"X: " + b"y" * 100_000), errors.UpstreamInvalidResponse, 1),
        (response(b"{}", b"Content-Encoding: br"), errors.UpstreamInvalidResponse, 1),
        (response(b"not gzip", b"Content-Encoding: gzip"), errors.UpstreamInvalidResponse, 1),
        (response(gzip.compress(b"{}" * 999)[:-9], b"Content-Encoding: gzip"), errors.UpstreamInvalidResponse, 1),
        (response(gzip.compress(b"{}") + b"x" * 2**20, b"Content-Encoding: gzip"), errors.UpstreamInvalidResponse, 1),
        (response(gzip.compress(b" " * 2**26), b"Content-Encoding: gzip"), errors.UpstreamInvalidResponse, 1),
        (response(b" " * (2**24 + 1)), errors.UpstreamInvalidResponse, 1),
    ],
)
async def test_a_broken_answer_becomes_an_error(reply: bytes, kind: type[errors.GatewayError], attempts: int) -> None:
    async with wire(reply) as (url, got), client_of(url) as client:
        with pytest.raises(kind) as caught:
            await client.get("Services", whole)
    assert len(got) == attempts
    assert "secret" not in repr(caught.value)
    assert caught.value.__cause__ is None


async def test_gzip_is_read() -> None:
    async with (
        wire(response(gzip.compress(b'{"a": 1}'), b"Content-Encoding: gzip")) as (url, _),
        client_of(url) as client,
    ):
        assert (await client.get("Services", whole)).body == b'{"a": 1}'


async def test_an_answer_after_an_interim_one_is_read() -> None:
    async with (
        wire(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + response(b"{}")) as (url, _),
        client_of(url) as client,
    ):
        assert (await client.get("Services", whole)).body == b"{}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(status: int) -> None:
    async with (
        wire(response(b"{}")) as (foreign, received),
        wire(response(b"", b"Location: %s" % foreign.encode(), status=b"%d Go" % status)) as (url, got),
        client_of(url) as client,
    ):
        assert (await client.get("Services", whole)).status == status
    assert len(got) == 1
    assert received == []


async def test_no_server_is_unavailable() -> None:
    async with wire(b"") as (url, _):
        pass
    async with client_of(url) as client:
        with pytest.raises(errors.UpstreamUnavailable):
            await client.get("Services", whole)


async def test_a_server_that_says_nothing_times_out() -> None:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with wire(silence) as (url, got), client_of(url, read=0.1) as client:
        with pytest.raises(errors.UpstreamTimeout):
            await client.get("Services", whole)
    assert len(got) == 1


async def test_a_slow_drip_times_out() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(1000):
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)  # A drip has a pace; nothing waits for it to end.

    async with wire(drip) as (url, _), client_of(url, read=0.2) as client:
        with pytest.raises(errors.UpstreamTimeout):
            await client.get("Services", whole)


async def test_the_deadline_ends_a_read_and_its_retries(sandbox: Sandbox) -> None:
    sandbox.faults.add("*", Fault("status", status=503, retry_after="3600"))
    async with client_of(sandbox.url) as client:
        loop = asyncio.get_running_loop()
        with pytest.raises(errors.UpstreamUnavailable):
            await client.get("Services", _refuse, deadline=loop.time() + 5)
        assert len(sandbox.calls) == 1  # It asks to wait longer than there is time.
        sandbox.faults.clear()
        sandbox.faults.add("*", Fault("hang"))
        with pytest.raises(errors.UpstreamTimeout):
            await client.get("Services", _refuse, deadline=loop.time() + 0.1)


def _refuse(answer: Answer) -> None:
    raise errors.UpstreamUnavailable("away", upstream=errors.UpstreamAnswer(answer.status, retry_after=3600.0))


async def test_a_transient_failure_is_tried_again(sandbox: Sandbox, client: Client) -> None:
    def read(answer: Answer) -> int:
        if answer.status != 200:
            raise errors.UpstreamRateLimited("slow down", upstream=errors.UpstreamAnswer(answer.status))
        return answer.status

    sandbox.faults.add("*", Fault("status", status=429, times=2))
    assert await client.get("Services", read) == 200
    assert [call.status for call in sandbox.calls] == [429, 429, 200]


async def test_a_connection_that_answers_something_else_is_dropped() -> None:
    """After a second, unasked answer, every later one on the connection would be off by one."""
    connections = 0

    async def twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(response(b"wrong"))
        await writer.drain()

    def refuse(answer: Answer) -> None:
        raise errors.UpstreamInvalidResponse("not what was asked for")

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await twice(reader, writer)
        assert await reader.read() == b""  # The client hangs up.

    async with wire(count) as (url, _), client_of(url) as client:
        for _ in range(3):
            with pytest.raises(errors.UpstreamInvalidResponse):
                await client.get("Services", refuse)
    assert connections == 3


async def test_reads_in_flight_are_bounded(sandbox: Sandbox) -> None:
    sandbox.faults.add("*", Fault(latency=0.01))
    async with Client(sandbox.url, CREDENTIALS, concurrency=5) as client:
        await asyncio.gather(*(client.get("Services", whole) for _ in range(40)))
    assert sandbox.max_in_flight == 5


async def test_waiting_for_a_slot_is_not_twilios_delay(sandbox: Sandbox) -> None:
    sandbox.faults.add("*", Fault(latency=0.15))
    async with Client(sandbox.url, CREDENTIALS, concurrency=1, timeouts=Timeouts(read=0.4)) as client:
        answers = await asyncio.gather(*(client.get("Services", whole) for _ in range(6)))
    assert len(answers) == 6


def test_credentials_have_no_secret_in_their_repr() -> None:
    assert "very-secret-token" not in repr(CREDENTIALS)
