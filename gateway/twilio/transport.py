"""The interface that carries a GET request to Twilio and returns its answer, and what both transports share.

Two transports implement it: `gateway.twilio.httptools_transport`, written for this one use, and
`gateway.twilio.aiohttp_transport`, which also supports proxies. Neither follows redirects, retries, or sends credentials to
another origin.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import zlib
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import urlsplit

from gateway.errors import UpstreamAnswer, UpstreamInvalidResponse, UpstreamTimeout, UpstreamUnavailable
from gateway.twilio.responses import Answer
from gateway.version import __version__

__all__ = [
    "BODY_MAX",
    "HEAD_MAX",
    "Credentials",
    "Origin",
    "Timeouts",
    "Transport",
    "request_headers",
    "timed_out",
    "unpacked",
    "unproven",
    "unreachable",
    "unusable",
]

BODY_MAX = 16 * 2**20
"""Bytes of an answer's body, packed or unpacked."""
HEAD_MAX = 32 * 2**10
"""Bytes of an answer's header."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Credentials for Twilio's Basic authentication: an account sid and its auth token, or an API key and its secret.

    Example:
        settings = gateway.Settings(credentials=gateway.Credentials(account_sid, auth_token))
        assert auth_token not in repr(settings)
    """

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
class Origin:
    """Where Twilio is, and how it is spoken to."""

    url: str
    """Scheme, host and port; no `/v1`."""
    credentials: Credentials
    timeouts: Timeouts = Timeouts()
    tls: ssl.SSLContext | None = None
    """Whom to trust; None for the system's own authorities."""

    @property
    def host(self) -> str:
        """The host's name or address."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port, given or the scheme's own."""
        return urlsplit(self.url).port or (443 if self.is_secure else 80)

    @property
    def is_secure(self) -> bool:
        """Whether it speaks TLS."""
        return urlsplit(self.url).scheme == "https"


class Transport(Protocol):
    """Carries requests to one origin. Use it as an async context manager: on leaving, its connections are closed."""

    def __init__(self, origin: Origin) -> None:
        """Take where to."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def send(self, target: str) -> asyncio.Future[Answer]:
        """Send a GET of `target` (the text behind `/v1/`) at once.

        The answer comes, or `UpstreamTimeout`, `UpstreamUnavailable` or `UpstreamInvalidResponse`. When the future is
        cancelled, the request's connection is closed.
        """


def request_headers(origin: Origin) -> dict[str, str]:
    """The headers of every request."""
    pair = f"{origin.credentials.username}:{origin.credentials.secret}"
    return {
        "Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}",
        "Accept": "application/json",
        "Accept-Encoding": "gzip",
        "User-Agent": f"receipts-gateway/{__version__}",
    }


def unpacked(status: int, body: bytes, encoding: str) -> bytes:
    """A body without its `Content-Encoding`; never holds more than the bound, whatever the sender claims or packs."""
    if len(body) > BODY_MAX:
        raise unusable(f"is larger than {BODY_MAX} bytes", status)
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"}:
        return body
    if encoding not in {"gzip", "x-gzip"}:
        raise unusable("is encoded in a way that was not asked for", status)
    inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        plain = inflate.decompress(body, BODY_MAX + 1)
    except zlib.error:
        raise unusable("is not the gzip it claims to be", status) from None
    if len(plain) > BODY_MAX:
        raise unusable(f"is larger than {BODY_MAX} bytes", status)
    if inflate.unused_data:
        raise unusable("goes on behind its gzip stream", status)
    if not inflate.eof:
        raise unusable("ends within its gzip stream", status)
    return plain


def timed_out() -> UpstreamTimeout:
    """Nothing came in time."""
    return UpstreamTimeout("Twilio did not answer in time.")


def unreachable() -> UpstreamUnavailable:
    """There is no connection, or it broke."""
    return UpstreamUnavailable("No connection to Twilio could be made or kept.")


def unproven() -> UpstreamInvalidResponse:
    """Its certificate does not hold, or it does not speak TLS."""
    return UpstreamInvalidResponse("The upstream could not prove that it is Twilio (TLS).")


def unusable(what: str, status: int | None = None) -> UpstreamInvalidResponse:
    """An answer came that cannot be used; `what` says why."""
    upstream = UpstreamAnswer(status=status) if status is not None else None
    return UpstreamInvalidResponse(f"Twilio's answer {what}.", upstream=upstream)
