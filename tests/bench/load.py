"""Load: so many connections, each of which asks again as soon as it has been answered, over the barest of HTTP clients."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any, cast
from urllib.parse import urlsplit

import httptools

__all__ = ["Connection", "ask_once", "connect", "graphql_request", "percentile", "run_load"]


class Connection(asyncio.Protocol):
    """A connection that sends one request at a time."""

    def __init__(self) -> None:
        self.status = 0
        self.body = b""
        self._parser = httptools.HttpResponseParser(self)
        self._done: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(ConnectionResetError("the server hung up"))

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._parts: list[bytes] = []

    def on_body(self, data: bytes) -> None:
        self._parts.append(data)

    def on_message_complete(self) -> None:
        self.status, self.body = self._parser.get_status_code(), b"".join(self._parts)
        if self._done is not None:
            self._done.set_result(None)

    async def ask(self, request: bytes) -> None:
        assert self._transport is not None
        self._done = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        await self._done

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def percentile(seconds: Sequence[float], of: int) -> float:
    """A percentile in milliseconds; not a number when there are too few."""
    return statistics.quantiles(seconds, n=100)[of - 1] * 1000 if len(seconds) > 1 else float("nan")


def graphql_request(url: str, query: str, variables: dict[str, Any], token: str | None) -> bytes:
    """The bytes of a GraphQL request."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    head = (
        f"POST /graphql HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nContent-Type: application/json\r\n"
        f"Accept: application/json\r\n{authorization}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def connect(url: str) -> Connection:
    """Open a connection to a server."""
    where = urlsplit(url)
    _, connection = await asyncio.get_running_loop().create_connection(
        Connection, where.hostname or "", where.port or 80
    )
    return connection


async def ask_once(url: str, query: str, variables: dict[str, Any], token: str | None) -> dict[str, Any]:
    """One answer."""
    connection = await connect(url)
    await connection.ask(graphql_request(url, query, variables, token))
    connection.close()
    return cast(dict[str, Any], json.loads(connection.body))


async def run_load(url: str, requests: Sequence[Iterator[bytes]], seconds: float) -> list[float]:
    """Ask for so long, on a connection for each iterator of requests; gives the seconds that each answer took.

    An answer that is not 200, or holds errors, ends it.
    """
    connections = await asyncio.gather(*(connect(url) for _ in requests))
    took: list[float] = []
    end = time.perf_counter() + seconds

    async def ask_on(connection: Connection, each: Iterator[bytes]) -> None:
        while (began := time.perf_counter()) < end:
            await connection.ask(next(each))
            took.append(time.perf_counter() - began)
            if connection.status != 200 or b'"errors"' in connection.body[-200:]:
                raise RuntimeError(f"{url} answered {connection.status}: {connection.body[:300]!r}")

    await asyncio.gather(*map(ask_on, connections, requests))
    for connection in connections:
        connection.close()
    return took
