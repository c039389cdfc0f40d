"""The client that asks Twilio: the one file that opens sockets to it. It knows HTTP and time, and no resource."""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeVar

import aiohttp
from aiohttp.connector import Connection
from yarl import URL

import gateway
from gateway.errors import (
    GatewayError,
    UpstreamAnswer,
    UpstreamInvalidResponse,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from gateway.twilio.responses import Answer
from gateway.twilio.retry import RetryPolicy

__all__ = ["Attempt", "Client", "Credentials", "Timeouts"]

T = TypeVar("T")

_BODY_MAX = 16 * 2**20
_CHUNK = 64 * 2**10


@dataclass(frozen=True, slots=True)
class Credentials:
    """What Twilio's Basic authentication takes: an account sid and its auth token, or an API key and its secret."""

    username: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Bounds in seconds on one attempt; an operation's own deadline bounds them all."""

    connect: float = 3.0
    """To get a connection, TLS included."""
    read: float = 5.0
    """From the request to the last byte of the answer; waiting for one of the slots comes before it."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request as it went; moments are the event loop's."""

    number: int
    """Counted from 1 for each read."""
    status: int | None
    """HTTP status, where there was an answer."""
    queued: float
    began: float
    ended: float


class Client:
    """Reads from one Twilio account over one bounded pool of kept connections. Use it as an async context manager.

    Credentials go to `origin` only; redirects are not followed; bodies are bounded, also when decompressed.
    """

    def __init__(
        self,
        origin: str,
        credentials: Credentials,
        *,
        concurrency: int = 64,
        timeouts: Timeouts | None = None,
        retries: RetryPolicy | None = None,
    ) -> None:
        """Take the `origin` (scheme, host, port; no `/v1`) and the most requests in flight at once."""
        self._base = f"{origin.rstrip('/')}/v1/"
        self._credentials = credentials
        self._concurrency = concurrency
        self._timeouts = timeouts or Timeouts()
        self._retries = retries or RetryPolicy()
        self._session: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(concurrency)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._concurrency, limit_per_host=self._concurrency),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={
                "Authorization": aiohttp.encode_basic_auth(self._credentials.username, self._credentials.secret),
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
                "User-Agent": f"receipts-gateway/{gateway.__version__}",
            },
            response_class=_Response,
            timeout=aiohttp.ClientTimeout(total=self._timeouts.read, sock_connect=self._timeouts.connect),
        )
        # aiohttp would send a GET again by itself when its connection breaks: attempts are counted here and nowhere else.
        self._session._retry_connection = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(
        self,
        target: str,
        read: Callable[[Answer], T],
        *,
        deadline: float | None = None,
        watch: Callable[[Attempt], None] | None = None,
    ) -> T:
        """What `read` makes of the answer to a GET of `target` (the text behind `/v1/`).

        Transient failures are tried again until the `deadline` (the event loop's time). Raises the `UpstreamError` or
        `NotFound` of the last attempt. When `read` finds an answer invalid, the connection it came over is dropped.
        `watch` is told of each attempt when it has ended.
        """
        loop = asyncio.get_running_loop()
        attempt = 0
        while True:
            attempt += 1
            queued = began = loop.time()
            status: int | None = None
            try:
                async with asyncio.timeout_at(deadline), self._slots:
                    began = loop.time()
                    value = await self._attempt(target, read)
                status = 200
                return value
            except TimeoutError:
                raise UpstreamTimeout("Twilio did not answer in time.") from None
            except GatewayError as error:
                status = error.upstream.status if error.upstream is not None else None
                remaining = deadline - loop.time() if deadline is not None else float("inf")
                delay = self._retries.delay(attempt, error, remaining, random.random())
                if delay is None:
                    raise
            finally:
                if watch is not None:
                    watch(Attempt(attempt, status, queued, began, loop.time()))
            await asyncio.sleep(delay)

    async def _attempt(self, target: str, read: Callable[[Answer], T]) -> T:
        if self._session is None:
            raise RuntimeError("The client is not open: use it as an async context manager.")
        try:
            async with self._session.get(URL(self._base + target, encoded=True), allow_redirects=False) as response:
                headers = {name.lower(): value for name, value in response.headers.items()}
                body = await _read_body(response)
                try:
                    return read(Answer(response.status, headers, body))
                except UpstreamInvalidResponse:
                    if isinstance(response, _Response) and response.transport is not None:
                        response.transport.abort()
                    raise
        except (aiohttp.ServerTimeoutError, TimeoutError):
            raise UpstreamTimeout("Twilio did not answer in time.") from None
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError):
            raise UpstreamInvalidResponse("The upstream could not prove that it is Twilio (TLS).") from None
        except aiohttp.ClientResponseError:
            raise UpstreamInvalidResponse("The upstream's answer is not HTTP that can be read.") from None
        except (aiohttp.ClientError, OSError):
            raise UpstreamUnavailable("No connection to Twilio could be made or kept.") from None


class _Response(aiohttp.ClientResponse):
    """Remembers the transport it came over, which may be back in the pool by the time its body is read."""

    transport: asyncio.Transport | None = None

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        self.transport = connection.transport
        return await super().start(connection)


async def _read_body(response: aiohttp.ClientResponse) -> bytes:
    """The answer's body, decompressed; never holds more than the bound, whatever the sender claims or compresses."""
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding not in {"identity", "gzip", "x-gzip"}:
        raise _unusable(response, "is encoded in a way that was not asked for")
    inflate = zlib.decompressobj(16 + zlib.MAX_WBITS) if encoding != "identity" else None
    body = bytearray()
    try:
        async for chunk in response.content.iter_chunked(_CHUNK):
            body += inflate.decompress(chunk, _BODY_MAX + 1 - len(body)) if inflate is not None else chunk
            if len(body) > _BODY_MAX:
                raise _unusable(response, f"is larger than {_BODY_MAX} bytes")
            if inflate is not None and inflate.unused_data:
                raise _unusable(response, "goes on behind its gzip stream")
    except zlib.error:
        raise _unusable(response, "is not the gzip it claims to be") from None
    if inflate is not None and not inflate.eof:
        raise _unusable(response, "ends within its gzip stream")
    return bytes(body)


def _unusable(response: aiohttp.ClientResponse, what: str) -> UpstreamInvalidResponse:
    response.close()
    return UpstreamInvalidResponse(f"Twilio's answer {what}.", upstream=UpstreamAnswer(status=response.status))
