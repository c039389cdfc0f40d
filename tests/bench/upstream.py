"""An upstream for benchmarks: the sandbox's data, a fixed time away, at the least cost per call.

`python -m tests.bench.upstream --latency-ms 20` prints its address. It answers GETs only, each from bytes that are made
once, over HTTP or TLS; `GET /calls` gives how many calls there were since it was last asked.
"""

from __future__ import annotations

import argparse
import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Literal, cast

import uvloop

from gateway.sandbox import Switches
from gateway.sandbox.api import Api
from gateway.sandbox.world import World

from ..failing_service import fill_service

__all__ = ["COPY_DIGITS", "FAILING_SERVICE", "SEED", "SIZE"]

SEED = 1
SIZE: Literal["large"] = "large"
FAILING_SERVICE = 3
"""The number of the service with 1,000 messages in 40 conversations, of which 1 % have failed."""
COPY_DIGITS = 7
"""The last digits of a service's sid, by which its copies differ."""


class Answers:
    """What is answered to each target, and how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0
        world = World(SEED, SIZE, None)
        fill_service(world, world.services[FAILING_SERVICE], conversations=40, messages=25, failing=10)
        self._api = Api(world)
        self._first = world.landmarks()["service_sid"].encode()
        self._made: dict[bytes, bytes] = {}

    def to(self, target: bytes) -> bytes:
        """The whole response to a GET of the target."""
        if target == b"/calls":
            calls, self.calls = self.calls, 0
            return _response(200, b"%d" % calls)
        self.calls += 1
        # Services whose sids differ from the first one's in their last digits alone are copies of it.
        given, first = target[13:47], self._first  # The sid in `/v1/Services/IS…`.
        is_copy = given != first and given[:-COPY_DIGITS] == first[:-COPY_DIGITS]
        if is_copy:
            target = target.replace(given, first)
        made = self._made.get(target)
        if made is None:
            path, _, query = target.decode().partition("?")
            answer = self._api.answer("GET", path, query, "http://127.0.0.1", Switches(), b"")
            made = self._made[target] = _response(answer.status, answer.body)
        return made.replace(first, given) if is_copy else made


def _response(status: int, body: bytes) -> bytes:
    lines = (
        f"HTTP/1.1 {status} OK",
        "Content-Type: application/json;charset=utf-8",
        f"Content-Length: {len(body)}",
        "Twilio-Request-Id: RQ" + "0" * 32,
        "Twilio-Concurrent-Requests: 1",
        "Twilio-Request-Duration: 0.020",
        "X-Home-Region: us1",
        "X-API-Domain: conversations.twilio.com",
        "Strict-Transport-Security: max-age=31536000",
        "Date: Tue, 24 Nov 2026 00:00:00 GMT",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Protocol(asyncio.Protocol):
    """One connection; requests on it are answered in their order, each so many seconds after it came."""

    def __init__(self, answers: Answers, seconds: float) -> None:
        self._answers = answers
        self._seconds = seconds
        self._pending = b""
        self._write: Callable[[bytes], None] = lambda data: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        self._write = cast(asyncio.Transport, transport).write

    def data_received(self, data: bytes) -> None:
        """Answer each whole request."""
        data = self._pending + data
        while True:
            head, end, rest = data.partition(b"\r\n\r\n")
            if not end:
                break
            data = rest
            answer = self._answers.to(head.split(b" ", 2)[1])
            if self._seconds and not head.startswith(b"GET /calls "):
                asyncio.get_running_loop().call_later(self._seconds, self._write, answer)
            else:
                self._write(answer)
        self._pending = data


async def serve(seconds: float, certificate: Path | None) -> None:
    """Serve until the process ends."""
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    answers = Answers()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Protocol(answers, seconds), "127.0.0.1", 0, ssl=context, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    print(f"listening http{'s' if context else ''}://127.0.0.1:{port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency-ms", type=float, default=0.0, help="how far away it is")
    parser.add_argument("--certificate", type=Path, help="speak TLS with this certificate and key (PEM)")
    given = parser.parse_args()
    uvloop.run(serve(given.latency_ms / 1000, given.certificate))
