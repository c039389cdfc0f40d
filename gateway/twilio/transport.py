"""The transport interface: send one GET to Twilio, return its response. And what both transports share.

`gateway.twilio.httptools_transport` implements it for this one use, and `gateway.twilio.aiohttp_transport` also supports
proxies. Neither follows redirects, retries, or sends credentials to another origin.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import zlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import urlsplit

from gateway.errors import UpstreamAnswer, UpstreamInvalidResponse, UpstreamTimeout, UpstreamUnavailable
from gateway.twilio.responses import Response
from gateway.version import __version__

__all__ = [
    "BODY_MAX",
    "HEAD_MAX",
    "Credentials",
    "Exchange",
    "OnDone",
    "Origin",
    "TaskExchange",
    "Timeouts",
    "Transport",
    "decompressed",
    "invalid",
    "request_headers",
    "timed_out",
    "tls_failed",
    "unreachable",
]

BODY_MAX = 16 * 2**20
"""Maximum size of a response's body in bytes, compressed or not."""
HEAD_MAX = 32 * 2**10
"""Maximum size of a response's header section in bytes."""


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
    """Timeouts of one attempt in seconds; a deadline covers all attempts."""

    connect: float = 3.0
    """To connect, including the TLS handshake."""
    read: float = 5.0
    """From sending the request to the last byte of the response; time in the queue is not included."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The server to connect to, and how."""

    url: str
    """Scheme, host and port; no `/v1`."""
    credentials: Credentials
    timeouts: Timeouts = Timeouts()
    tls: ssl.SSLContext | None = None
    """The TLS context; None to trust the system's certificate authorities."""

    @property
    def host(self) -> str:
        """The host name or address."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port; by default that of the scheme."""
        return urlsplit(self.url).port or (443 if self.is_secure else 80)

    @property
    def is_secure(self) -> bool:
        """Whether the scheme is https."""
        return urlsplit(self.url).scheme == "https"


OnDone = Callable[["Response | Exception"], None]
"""Called with the response, or with `UpstreamTimeout`, `UpstreamUnavailable`, `UpstreamInvalidResponse`, or a bug."""


class Exchange(Protocol):
    """A request that was sent, and whose response is awaited."""

    def cancel(self) -> None:
        """Close the connection, and do not call back; without effect once it is done."""


class Transport(Protocol):
    """Sends requests to one origin. Use it as an async context manager; on exit it closes its connections."""

    def __init__(self, origin: Origin) -> None:
        """Create a transport to `origin`."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def send(self, target: str, on_done: OnDone) -> Exchange:
        """Send a GET of `target` (the text after `/v1/`) at once, and call `on_done` once, unless the exchange is cancelled."""


class TaskExchange:
    """An exchange that runs as a task."""

    def __init__(self, run: Coroutine[Any, Any, Response], on_done: OnDone) -> None:
        """Run the coroutine, and call `on_done` with the response that it returns, or the error that it raises."""
        self._task = asyncio.get_running_loop().create_task(run)
        self._on_done: OnDone | None = on_done
        self._task.add_done_callback(self._finish)

    def cancel(self) -> None:
        """Cancel the task, and do not call back."""
        self._on_done = None
        self._task.cancel()

    def _finish(self, task: asyncio.Task[Response]) -> None:
        error = unreachable() if task.cancelled() else task.exception()
        if self._on_done is not None:
            self._on_done(task.result() if error is None else _as_exception(error))


def request_headers(origin: Origin) -> dict[str, str]:
    """Return the headers of every request but `Host`."""
    pair = f"{origin.credentials.username}:{origin.credentials.secret}"
    return {
        "Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}",
        "Accept": "application/json",
        "Accept-Encoding": "gzip",
        "User-Agent": f"receipts-gateway/{__version__}",
    }


def decompressed(status: int, body: bytes, encoding: str) -> bytes:
    """Return the body without its `Content-Encoding` (RFC 9110, 8.4); never decompresses more than `BODY_MAX` bytes.

    Raises `UpstreamInvalidResponse` for a body that is too large, or not encoded as its header says.
    """
    if len(body) > BODY_MAX:
        raise invalid(f"is larger than {BODY_MAX} bytes", status)
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"}:
        return body
    if encoding not in {"gzip", "x-gzip"}:
        raise invalid("has an encoding that the request does not accept", status)
    decompressor = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        plain = decompressor.decompress(body, BODY_MAX + 1)
    except zlib.error:
        raise invalid("is not valid gzip", status) from None
    if len(plain) > BODY_MAX:
        raise invalid(f"is larger than {BODY_MAX} bytes", status)
    if decompressor.unused_data:
        raise invalid("has data after its gzip stream", status)
    if not decompressor.eof:
        raise invalid("has an incomplete gzip stream", status)
    return plain


def timed_out() -> UpstreamTimeout:
    """Return the error for a response that did not arrive in time."""
    return UpstreamTimeout("Twilio did not answer in time.")


def unreachable() -> UpstreamUnavailable:
    """Return the error for a connection that failed or broke."""
    return UpstreamUnavailable("No connection to Twilio could be made or kept.")


def tls_failed() -> UpstreamInvalidResponse:
    """Return the error for a TLS handshake that failed."""
    return UpstreamInvalidResponse("The upstream could not prove that it is Twilio (TLS).")


def _as_exception(error: BaseException) -> Exception:
    if isinstance(error, Exception):
        return error
    raise error  # KeyboardInterrupt or SystemExit.


def invalid(what: str, status: int | None = None) -> UpstreamInvalidResponse:
    """Return the error for a response that cannot be used; `what` completes "Twilio's response …"."""
    upstream = UpstreamAnswer(status=status) if status is not None else None
    return UpstreamInvalidResponse(f"Twilio's response {what}.", upstream=upstream)
