"""What several tests of HTTP share: servers with short timeouts, and bare sockets."""

import asyncio
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from gateway.web.http_protocol import BoundedProtocol


class Hasty(BoundedProtocol):
    """The same limits, with shorter times."""

    HEAD_SECONDS = 0.2
    BODY_SECONDS = 0.2
    WRITE_SECONDS = 0.2
    HEAD_MAX = 4096


class Impatient(Hasty):
    """One that keeps no idle connection for long."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.timeout_keep_alive = 0.3  # type: ignore[assignment]


async def connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(url)
    return await asyncio.open_connection(parts.hostname, parts.port)


async def send(url: str, *pieces: bytes) -> bytes:
    """Return everything that the server sends in reply to these bytes, until it closes the connection."""
    reader, writer = await connect(url)
    try:
        received = bytearray()
        # A server that closes while bytes wait to be read resets the connection, behind its reply.
        with suppress(ConnectionResetError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
        with suppress(ConnectionResetError):
            async with asyncio.timeout(10):
                while data := await reader.read(2**16):
                    received += data
        return bytes(received)
    finally:
        writer.close()


def answers(received: bytes) -> list[tuple[int, bytes]]:
    """Return the status and the body of each reply."""
    found = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        length = int(lengths[0].partition(b":")[2]) if lengths else 0
        found.append((int(head.split()[1]), rest[:length]))
        received = rest[length:]
    return found
