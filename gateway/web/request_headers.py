"""The request headers that the endpoint reads, in one table: CORS, the check of GETs, `Vary` and the documentation use it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ALLOWED_BY_CORS", "PREFLIGHT_PROOF", "REQUEST_HEADERS", "VARY", "RequestHeader"]


@dataclass(frozen=True, slots=True)
class RequestHeader:
    """A request header that the endpoint reads."""

    name: str
    help: str
    """Its effect; Markdown, for the documentation."""
    varies: bool = False
    """Whether a cached answer is for requests with the same value only (`Vary`, RFC 9110, 12.5.5).

    False also for those that decide only whether there is an answer to be cached.
    """
    allowed_by_cors: bool = False
    """Whether pages of `GATEWAY_CORS_ORIGINS` may send it, beyond those that every page may (CORS-safelisted)."""
    proves_preflight: bool = False
    """Whether a cross-site GET with it has passed a preflight: only pages send it, and it is not CORS-safelisted.

    False for headers that a browser or a proxy may add.
    """
    bypasses_cache: bool = False
    """Whether an operation that has it is executed, even if its answer is cached."""


REQUEST_HEADERS = (
    RequestHeader("Accept", "the media type of the answer, and how deferred fragments arrive", varies=True),
    RequestHeader("Accept-Encoding", "`gzip` compresses answers of 2 KiB or more", varies=True),
    RequestHeader(
        "Apollo-Require-Preflight",
        "any value allows a GET request from another site's page",
        allowed_by_cors=True,
        proves_preflight=True,
    ),
    RequestHeader(
        "Authorization",
        "`Bearer …`: the caller's token",
        varies=True,
        allowed_by_cors=True,
        proves_preflight=True,
    ),
    RequestHeader(
        "Cache-Control",
        "`no-cache` bypasses the caches: everything is read from Twilio",
        allowed_by_cors=True,
        bypasses_cache=True,
    ),
    RequestHeader("Content-Type", "`application/json` for a POST request", allowed_by_cors=True),
    RequestHeader(
        "GraphQL-Require-Preflight", "as `Apollo-Require-Preflight`", allowed_by_cors=True, proves_preflight=True
    ),
    RequestHeader("If-None-Match", "304 for a GET request whose answer has not changed", allowed_by_cors=True),
    RequestHeader("Origin", "the site of the page that sends the request; set by browsers", varies=True),
    RequestHeader("Traceparent", "the parent of the operation's span, where traces are on"),
    RequestHeader(
        "X-Gateway-Dry-Run",
        "`1` returns the plan, and calls nothing",
        varies=True,
        allowed_by_cors=True,
        proves_preflight=True,
        bypasses_cache=True,
    ),
    RequestHeader(
        "X-Gateway-Timeout", "seconds for this operation, if fewer than `GATEWAY_DEADLINE`", allowed_by_cors=True
    ),
    RequestHeader(
        "X-Gateway-Trace",
        "`1` adds the cost and all upstream calls to `extensions`",
        varies=True,
        allowed_by_cors=True,
        proves_preflight=True,
        bypasses_cache=True,
    ),
)

VARY = ", ".join(header.name for header in REQUEST_HEADERS if header.varies)
"""The value of `Vary`."""
ALLOWED_BY_CORS = tuple(header.name for header in REQUEST_HEADERS if header.allowed_by_cors)
"""The value of `Access-Control-Allow-Headers`, without the CORS-safelisted headers."""
PREFLIGHT_PROOF = frozenset(header.name.lower() for header in REQUEST_HEADERS if header.proves_preflight)
"""The names, in lower case, of headers that a cross-site request has only after a preflight."""
