"""How an outcome, or a failure of the request itself, becomes an HTTP response; always JSON."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson
from starlette.responses import Response

from gateway.errors import GatewayError, PersistedQueryNotFound, PersistedQueryUnsupported, Unauthenticated
from gateway.execution.failures import Failure
from gateway.execution.outcome import Outcome
from gateway.web.browsers import HEADERS
from gateway.web.graphql_over_http import GRAPHQL, JSON

__all__ = ["Reply", "answer_of", "error_reply", "error_response", "outcome_reply", "redirect", "stream_headers"]

_Headers = list[tuple[bytes, bytes]]

_VARY = "Accept, Accept-Encoding, Authorization, Origin, X-Gateway-Dry-Run, X-Gateway-Trace"
"""The request's headers that an answer depends on, those left out which only decide whether there is one to be kept."""


def _raw(headers: dict[str, str]) -> _Headers:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


_FIXED = _raw({**HEADERS, "Vary": _VARY})
_FIXED_LINES = b"".join(b"%b: %b\r\n" % header for header in _FIXED)
_FIXED_BUT_CACHING = [each for each in _FIXED if each[0] != b"cache-control"]


@dataclass(slots=True)
class Reply:
    """A response, ready to be sent."""

    status: int
    own: _Headers
    """The headers that it alone has."""
    body: bytes = b""
    caching: _Headers | None = None
    """The headers that say how long it may be kept; None for not at all."""

    def headers(self, request_id: str) -> _Headers:
        """All its headers, as ASGI takes them."""
        fixed = _FIXED if self.caching is None else _FIXED_BUT_CACHING + self.caching
        headers = [*fixed, *self.own, (b"x-request-id", request_id.encode())]
        if self.status != 304:  # It would be taken for the length of what the client holds.
            headers.append((b"content-length", str(len(self.body)).encode()))
        return headers

    def as_bytes(self, request_id: str) -> bytes:
        """The response as it stands on the wire, from the line behind its status on; of one that is not to be kept."""
        own = b"".join([b"%b: %b\r\n" % header for header in self.own])
        return b"%b%bx-request-id: %b\r\ncontent-length: %d\r\n\r\n%b" % (
            _FIXED_LINES,
            own,
            request_id.encode(),
            len(self.body),
            self.body,
        )


def outcome_reply(outcome: Outcome, media_type: str) -> Reply:
    """The answer to a GraphQL request, with the status that its media type asks for."""
    if outcome.encoded is None:
        outcome.encoded = orjson.dumps(answer_of(outcome))
    status = outcome.failures[0].error.http_status if not outcome.executed and media_type == GRAPHQL else 200
    cost = b"requested=%d, planned=%d, actual=%d" % (outcome.requested, outcome.planned, outcome.calls)
    own = [_content_type(media_type), (b"gateway-cost", cost)]
    if outcome.budget is not None:
        own.append((b"gateway-budget", ", ".join(f"{name}={n}" for name, n in outcome.budget.items()).encode()))
    return Reply(status, own, outcome.encoded)


def answer_of(outcome: Outcome) -> dict[str, Any]:
    """The answer to a GraphQL request, as JSON values (https://spec.graphql.org/October2021/#sec-Response-Format)."""
    body: dict[str, Any] = {"data": outcome.data} if outcome.executed else {}
    if outcome.failures:
        body["errors"] = [failure.as_json() for failure in outcome.failures]
    if outcome.extensions:
        body["extensions"] = outcome.extensions
    return body


def stream_headers(outcome: Outcome, content_type: str, request_id: str) -> _Headers:
    """The headers of an answer in parts, as ASGI takes them: what it will have cost is not known yet."""
    own = {
        "Content-Type": content_type,
        "Gateway-Cost": f"requested={outcome.requested}",
        "X-Request-Id": request_id,
        "X-Accel-Buffering": "no",  # https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering
    }
    return [*_FIXED, *_raw(own)]


def error_reply(error: GatewayError, media_type: str = JSON) -> Reply:
    """The answer to a request that is no GraphQL request, or that may not be made."""
    own = [_content_type(media_type)]
    if error.retry_after is not None:
        own.append((b"retry-after", b"%d" % error.retry_after))
    if isinstance(error, Unauthenticated):
        own.append((b"www-authenticate", b"Bearer"))
    # These two are answers to GraphQL requests, which as plain JSON have status 200; some clients read no other.
    is_answer = isinstance(error, PersistedQueryNotFound | PersistedQueryUnsupported)
    status = 200 if is_answer and media_type == JSON else error.http_status
    return Reply(status, own, orjson.dumps({"errors": [Failure(error).as_json()]}))


def error_response(error: GatewayError, request_id: str) -> Response:
    """The same, for what is answered outside the endpoint."""
    reply = error_reply(error)
    response = Response(reply.body, reply.status)
    response.raw_headers = reply.headers(request_id)
    return response


def redirect(address: str) -> Reply:
    """Elsewhere, by GET."""
    return Reply(303, [(b"location", address.encode("ascii"))])


@cache
def _content_type(media_type: str) -> tuple[bytes, bytes]:
    """The header for one of the two media types."""
    return b"content-type", f"{media_type}; charset=utf-8".encode("ascii")
