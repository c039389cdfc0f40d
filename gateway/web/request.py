"""One HTTP request to the endpoint, as a value. The server's protocol makes it from bytes, any ASGI server from a scope."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import msgspec
from starlette.types import Receive, Scope

from gateway.web.connection import STREAM_HOST, AsgiConnection, ClientConnection, ClientDisconnected
from gateway.web.graphql_over_http import BODY_MAX, too_large

if TYPE_CHECKING:
    from gateway.web.telemetry import Recording

__all__ = ["Headers", "HttpRequest", "combine_headers", "decode_headers"]

Headers = list[tuple[bytes, bytes]]
"""Header names, in lower case, and values, as in ASGI."""


def decode_headers(headers: Headers) -> dict[str, str]:
    """Return the values by names in lower case; those of a repeated header are joined (see `combine_headers`)."""
    values = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
    return values if len(values) == len(headers) else decode_headers(combine_headers(headers))


def combine_headers(headers: Headers) -> Headers:
    """Join the values of a repeated header with commas, in their order (RFC 9110, 5.3).

    A header that is not a list has no valid value then: a request with two tokens has none.
    """
    values: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        values.setdefault(name, []).append(value)
    return [(name, b", ".join(lines)) for name, lines in values.items()]


def _new_id() -> str:
    return f"{random.getrandbits(128):032x}"  # Unique, but not secret.


class HttpRequest(msgspec.Struct):
    """One HTTP request, and what its log line needs."""

    method: str
    path: str
    query_string: bytes
    headers: dict[str, str]
    """See `decode_headers`."""
    connection: ClientConnection
    body: bytes | None = None
    """The whole body; None when it is still to be received."""
    receive: Receive | None = None
    """ASGI's `receive`, for a body that is still to be received."""
    id: str = msgspec.field(default_factory=_new_id)
    """The value of `X-Request-Id`: 32 hexadecimal digits."""
    started_at: float = msgspec.field(default_factory=time.perf_counter)
    span: Recording | None = None
    """The span of its operation, where traces are on."""
    is_certainly_whole: bool = False
    """Whether it is certain that its reply will be whole; known once its operation has been read."""

    __repr__ = object.__repr__  # Its headers have the token.

    @classmethod
    def from_asgi(cls, scope: Scope, receive: Receive) -> HttpRequest:
        """Create a request from an ASGI scope (https://asgi.readthedocs.io/en/latest/specs/www.html)."""
        connection = AsgiConnection(receive, scope.get(STREAM_HOST))
        connection.peer = (scope.get("client") or ("",))[0]
        return cls(
            scope["method"],
            scope["path"],
            scope["query_string"],
            decode_headers(scope["headers"]),
            connection,
            receive=receive,
        )

    async def receive_body(self, most: int = BODY_MAX) -> bytes:
        """Receive and return the body; raises `BadRequest` for one of more than `most` bytes, and `ClientDisconnected`."""
        assert self.receive is not None
        body, more = b"", True
        while more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnected
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > most:
                raise too_large(most)
        return body
