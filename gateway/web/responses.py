"""How an outcome, or an error of the request itself, becomes an HTTP response; always JSON."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import orjson
from starlette.responses import Response
from starlette.types import Send

from gateway.errors import GatewayError, PersistedQueryNotFound, PersistedQueryUnsupported, Unauthenticated
from gateway.execution.failures import Failure
from gateway.execution.outcome import Outcome
from gateway.web.browsers import SECURITY_HEADERS
from gateway.web.connection import ReplyAborted
from gateway.web.graphql_over_http import GRAPHQL, JSON
from gateway.web.request import Headers
from gateway.web.request_headers import VARY

if TYPE_CHECKING:
    from gateway.web.pending import PendingReply

__all__ = [
    "FIXED_HEADERS",
    "Reply",
    "encode_headers",
    "encode_outcome",
    "error_reply",
    "error_response",
    "outcome_reply",
    "redirect",
    "respond",
    "response_map",
]


def encode_headers(headers: dict[str, str]) -> Headers:
    """Return headers as in ASGI: encoded, with names in lower case."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


@lru_cache(maxsize=1024)  # Most replies have the same.
def _lines(*headers: tuple[bytes, bytes]) -> bytes:
    return b"".join([b"%b: %b\r\n" % header for header in headers])


FIXED_HEADERS = encode_headers({**SECURITY_HEADERS, "Vary": VARY})
"""The headers of every reply, with `Cache-Control: no-store`."""
_FIXED_LINES = _lines(*FIXED_HEADERS)
_FIXED_WITHOUT_CACHE = [header for header in FIXED_HEADERS if header[0] != b"cache-control"]
_WITHOUT_LENGTH = {204, 304}
"""Statuses without a body, whose `Content-Length` would be wrong (RFC 9110, 8.6)."""


@dataclass(slots=True)
class Reply:
    """A response with its whole body."""

    is_whole: ClassVar[bool] = True
    """Whether `as_bytes` returns the complete response."""

    status: int
    headers: Headers
    """The headers that other replies do not have."""
    body: bytes = b""
    cache_headers: Headers | None = None
    """The headers in place of `Cache-Control: no-store`, for a reply that clients may cache."""
    request_id: str = ""

    def as_bytes(self, *, keep_alive: bool = True) -> bytes:
        """Return the response from the line after the status line on: `all_headers`, perhaps `Connection`, and the body."""
        fixed = _FIXED_LINES if self.cache_headers is None else _lines(*_FIXED_WITHOUT_CACHE, *self.cache_headers)
        length = b"" if self.status in _WITHOUT_LENGTH else b"\r\ncontent-length: %d" % len(self.body)
        close = b"" if keep_alive else b"\r\nconnection: close"
        request_id = self.request_id.encode()
        return b"".join(
            (fixed, _lines(*self.headers), b"x-request-id: ", request_id, length, close, b"\r\n\r\n", self.body)
        )

    async def send(self, send: Send) -> None:
        """Send the response through ASGI."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.all_headers()})
        await send({"type": "http.response.body", "body": self.body})

    def all_headers(self) -> Headers:
        """Return every header, in the order in which they are sent."""
        fixed = FIXED_HEADERS if self.cache_headers is None else _FIXED_WITHOUT_CACHE + self.cache_headers
        headers = [*fixed, *self.headers, (b"x-request-id", self.request_id.encode())]
        if self.status not in _WITHOUT_LENGTH:
            headers.append((b"content-length", b"%d" % len(self.body)))
        return headers


async def respond(started: Reply | PendingReply, send: Send) -> None:
    """Send a reply through ASGI, as soon as there is one. If it is aborted, leave the response incomplete."""
    try:
        reply = started if isinstance(started, Reply) else await started.wait()
        await reply.send(send)
    except ReplyAborted:
        pass  # The server closes the connection.


def outcome_reply(outcome: Outcome, media_type: str) -> Reply:
    """Return the reply with an outcome, in one of the two media types, which also decides the status."""
    body = encode_outcome(outcome)
    status = outcome.failures[0].error.http_status if not outcome.executed and media_type == GRAPHQL else 200
    headers = [_content_type(media_type), _cost(outcome.requested, outcome.planned, outcome.calls)]
    if outcome.budget is not None:
        headers.append((b"gateway-budget", ", ".join(f"{name}={n}" for name, n in outcome.budget.items()).encode()))
    return Reply(status, headers, body)


def encode_outcome(outcome: Outcome) -> bytes:
    """Return the GraphQL response as JSON, encoded once."""
    if outcome.encoded is None:
        if outcome.data_json is not None and not outcome.failures and not outcome.extensions:
            outcome.encoded = b'{"data":%b}' % outcome.data_json
        else:
            outcome.encoded = orjson.dumps(response_map(outcome))
    return outcome.encoded


def response_map(outcome: Outcome) -> dict[str, Any]:
    """Return the GraphQL response, as JSON values (https://spec.graphql.org/October2021/#sec-Response-Format)."""
    response: dict[str, Any] = {"data": outcome.data} if outcome.executed else {}
    if outcome.failures:
        response["errors"] = [failure.as_json() for failure in outcome.failures]
    if outcome.extensions:
        response["extensions"] = outcome.extensions
    return response


def error_reply(error: GatewayError, media_type: str = JSON) -> Reply:
    """Return the reply to a request that has no operation to execute, or that is not allowed."""
    headers = [_content_type(media_type)]
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % error.retry_after))
    if error.http_status == 405:  # RFC 9110, 15.5.6
        headers.append((b"allow", b"POST"))
    if isinstance(error, Unauthenticated):
        headers.append((b"www-authenticate", b"Bearer"))
    # Apollo's clients look for these two codes in a response with status 200 only.
    is_persisted_query = isinstance(error, PersistedQueryNotFound | PersistedQueryUnsupported)
    status = 200 if is_persisted_query and media_type == JSON else error.http_status
    return Reply(status, headers, orjson.dumps({"errors": [Failure(error).as_json()]}))


def error_response(error: GatewayError, request_id: str) -> Response:
    """Return the same as a Starlette response, for routes beside the endpoint."""
    reply = error_reply(error)
    reply.request_id = request_id
    response = Response(reply.body, reply.status)
    response.raw_headers = reply.all_headers()
    return response


def redirect(url: str, request_id: str) -> Reply:
    """Return a redirect to another page, by GET."""
    return Reply(303, [(b"location", url.encode("ascii"))], request_id=request_id)


@lru_cache(maxsize=1024)
def _cost(requested: int, planned: int, actual: int) -> tuple[bytes, bytes]:
    return b"gateway-cost", b"requested=%d, planned=%d, actual=%d" % (requested, planned, actual)


@cache
def _content_type(media_type: str) -> tuple[bytes, bytes]:
    return b"content-type", f"{media_type}; charset=utf-8".encode("ascii")
