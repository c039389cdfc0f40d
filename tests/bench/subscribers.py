"""Memory of idle subscribers, and connects and leaves.

    python -m tests.bench.subscribers                  2,000 subscribers over each transport: the growth of resident memory
    python -m tests.bench.subscribers --number 5000
    python -m tests.bench.subscribers --visits 5000    as many subscribers that come and go, 100 at a time

Each subscriber has its own connection to one process, and a caller's token; their subscriptions are equal. The growth is
counted from the first hundred on, which stay. `connection` is one without a request, and `echo` a socket of uvicorn with an
ASGI application that only receives: what of the growth is the libraries' own.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import sys
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send
from websockets.frames import Frame, Opcode

from .processes import SERVE, TOKEN, Processes, environment
from .webhooks import URL

QUERY = "subscription($sid: ID!) { deliveryUpdated(serviceSid: $sid) { __typename ... on DeliveriesReady { cursor } } }"
OPERATION = {"query": QUERY, "variables": {"sid": "IS" + "1" * 32}}
FIRST = 100
TOGETHER = 100
"""Connections that are opened at the same time."""

Subscribe = Callable[[str, int], Coroutine[Any, Any, asyncio.StreamWriter]]


async def connection(host: str, port: int) -> asyncio.StreamWriter:
    """An open connection that sends nothing."""
    return (await asyncio.open_connection(host, port))[1]


async def server_sent_events(host: str, port: int) -> asyncio.StreamWriter:
    """A subscription over server-sent events whose first event has arrived."""
    reader, writer = await asyncio.open_connection(host, port)
    body = json.dumps(OPERATION)
    writer.write(
        f"POST /graphql HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
        f"Accept: text/event-stream\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    await reader.readuntil(b"DeliveriesReady")
    return writer


async def upgraded(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A WebSocket after the handshake."""
    reader, writer = await asyncio.open_connection(host, port)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET /graphql HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: graphql-transport-ws\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def websocket(host: str, port: int) -> asyncio.StreamWriter:
    """A subscription over a WebSocket whose first event has arrived."""
    reader, writer = await upgraded(host, port)
    init = {"type": "connection_init", "payload": {"Authorization": f"Bearer {TOKEN}"}}
    for message in (init, {"type": "subscribe", "id": "1", "payload": OPERATION}):
        writer.write(Frame(Opcode.TEXT, json.dumps(message).encode()).serialize(mask=True))
        await reader.readuntil(b"connection_ack" if message is init else b"DeliveriesReady")
    return writer


async def echo(host: str, port: int) -> asyncio.StreamWriter:
    """A WebSocket without messages."""
    return (await upgraded(host, port))[1]


def resident(pid: int) -> int:
    """Bytes of resident memory."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


async def together(number: int, subscribe: Subscribe, url: str) -> list[asyncio.StreamWriter]:
    """Open that many connections, a hundred at a time."""
    where = urlsplit(url)
    opened: list[asyncio.StreamWriter] = []
    while len(opened) < number:
        count = min(TOGETHER, number - len(opened))
        opened += await asyncio.gather(*[subscribe(where.hostname or "", where.port or 80) for _ in range(count)])
    return opened


async def growth(pid: int, url: str, number: int, subscribe: Subscribe) -> float:
    """KiB of resident memory for each of `number` connections."""
    kept = await together(FIRST, subscribe, url)
    before = resident(pid)
    kept += await together(number, subscribe, url)
    found = (resident(pid) - before) / number / 1024
    for writer in kept:
        writer.transport.abort()
    return found


async def visits(pid: int, url: str, number: int, subscribe: Subscribe) -> None:
    """Print what is left of subscribers that come and go."""
    for writer in await together(TOGETHER, subscribe, url):
        writer.transport.abort()
    before, began = resident(pid), perf_counter()
    for _ in range(number // TOGETHER):
        for writer in await together(TOGETHER, subscribe, url):
            writer.transport.abort()
    (last,) = await together(1, subscribe, url)  # The server answers it after it has noticed that the others have left.
    last.transport.abort()
    seconds = perf_counter() - began
    print(
        f"{subscribe.__name__}: {number / seconds:.0f} a second, resident memory {(resident(pid) - before) / 2**20:+.1f} MiB"
    )


async def receive_only(scope: Scope, receive: Receive, send: Send) -> None:
    """An ASGI application that accepts sockets, and receives."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "graphql-transport-ws"})
        while (await receive())["type"] != "websocket.disconnect":
            pass


def serve_echo() -> None:
    """Serve that application."""
    config = uvicorn.Config(
        receive_only, port=0, lifespan="off", log_config=None, ws="websockets-sansio", ws_per_message_deflate=False
    )
    listener = config.bind_socket()
    print(f"Echo at http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(config).run(sockets=[listener])


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--number", type=int, default=2000)
    arguments.add_argument("--visits", type=int, default=0)
    arguments.add_argument("--serve-echo", action="store_true", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.serve_echo:
        serve_echo()
        return
    environ = environment("http://127.0.0.1:9") | {
        "GATEWAY_WEBHOOK_URL": URL,
        "GATEWAY_LOG_LEVEL": "error",
        "GATEWAY_SOCKETS_PER_SECOND": "10000",
    }
    echo_command = (sys.executable, "-m", "tests.bench.subscribers", "--serve-echo")
    for subscribe in (server_sent_events, websocket, connection, echo):
        with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
            processes = Processes(Path(name))
            command = echo_command if subscribe is echo else SERVE
            pid, url = stack.enter_context(processes.start(command, environ, is_contender=True))
            if not options.visits:
                found = uvloop.run(growth(pid, url, options.number, subscribe))
                print(f"{subscribe.__name__}: {found:.1f} KiB for each of {options.number}", flush=True)
            elif subscribe in {server_sent_events, websocket}:
                uvloop.run(visits(pid, url, options.visits, subscribe))


if __name__ == "__main__":
    main()
