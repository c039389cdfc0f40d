"""The transport over aiohttp: slower than the one over httptools, and with proxies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.connector import Connection
from yarl import URL

from gateway.twilio.responses import Response
from gateway.twilio.transport import (
    BODY_MAX,
    HEAD_MAX,
    OnDone,
    Origin,
    TaskExchange,
    decompressed,
    invalid,
    request_headers,
    timed_out,
    tls_failed,
    unreachable,
)

__all__ = ["AiohttpTransport", "proxy_for"]

_CHUNK = 64 * 2**10


def proxy_for(origin: Origin) -> str | None:
    """Return the proxy for the origin according to `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, if any."""
    if proxy_bypass(origin.host):
        return None
    return getproxies().get("https" if origin.is_secure else "http")


class AiohttpTransport:
    """Sends requests over an aiohttp session, through the proxy that the environment names."""

    def __init__(self, origin: Origin) -> None:
        """Create a transport to `origin`."""
        self._origin = origin
        self._base = f"{origin.url.rstrip('/')}/v1/"
        self._proxy = proxy_for(origin)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeouts = self._origin.timeouts
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._origin.tls or True),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=request_headers(self._origin),
            response_class=_TracedResponse,
            timeout=aiohttp.ClientTimeout(total=timeouts.read, sock_connect=timeouts.connect),
            max_line_size=HEAD_MAX,
            max_field_size=HEAD_MAX,
        )
        # aiohttp resends a GET when its connection breaks; retries are the business of the client.
        self._session._retry_connection = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    def send(self, target: str, on_done: OnDone) -> TaskExchange:
        """Send a GET of `target`; see `Transport`."""
        return TaskExchange(self._get(target), on_done)

    async def _get(self, target: str) -> Response:
        if self._session is None:
            raise RuntimeError("The transport is not open: use it as an async context manager.")
        url = URL(self._base + target, encoded=True)
        try:
            async with self._session.get(url, allow_redirects=False, proxy=self._proxy) as response:
                body = await _read_body(response)
                headers = {name.lower(): value for name, value in response.headers.items()}
                plain = decompressed(response.status, body, headers.get("content-encoding", ""))
                return Response(response.status, headers, plain, _closer(response))
        except (aiohttp.ServerTimeoutError, TimeoutError):
            raise timed_out() from None
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError):
            raise tls_failed() from None
        except aiohttp.ClientResponseError:
            raise invalid("is not valid HTTP") from None
        except (aiohttp.ClientError, OSError):
            raise unreachable() from None


class _TracedResponse(aiohttp.ClientResponse):
    """Remembers its connection, which is back in the pool by the time the body has been read."""

    transport: asyncio.Transport | None = None

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        self.transport = connection.transport
        return await super().start(connection)


def _closer(response: aiohttp.ClientResponse) -> Callable[[], None]:
    transport = response.transport if isinstance(response, _TracedResponse) else None
    return transport.abort if transport is not None else response.close


async def _read_body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        body += chunk
        if len(body) > BODY_MAX:
            response.close()
            break
    return bytes(body)
