"""The request headers that an answer depends on, in one table: the check of cross-site GETs and `Vary` derive from it.

Also how the value of a header that is a list, or has parameters, is split.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["PREFLIGHT_PROOF", "REQUEST_HEADERS", "VARY", "RequestHeader", "list_elements", "split_parameters"]


@dataclass(frozen=True, slots=True)
class RequestHeader:
    """A request header that the endpoint reads."""

    name: str
    help: str
    """What it does; Markdown, for the documentation."""
    varies: bool = False
    """Whether a cached answer is for requests with the same value only (`Vary`, RFC 9110, 12.5.5).

    False also for those that decide only whether there is an answer to be cached.
    """
    proves_preflight: bool = False
    """Whether a cross-site GET that has it has passed a preflight: only pages send it, and it is not safelisted.

    False for those that browsers or proxies add.
    """
    bypasses_cache: bool = False
    """Whether an operation that has it is executed, even if its answer is cached."""


REQUEST_HEADERS = (
    RequestHeader(
        "Accept",
        "The media type of the answer, and how [deferred](#incremental-delivery) fragments arrive.",
        varies=True,
    ),
    RequestHeader("Accept-Encoding", "`gzip` compresses answers of 2 KiB or more.", varies=True),
    RequestHeader(
        "Apollo-Require-Preflight",
        "Any value: lets another site's page send a GET, since the browser asks first.",
        proves_preflight=True,
    ),
    RequestHeader(
        "Authorization",
        "`Bearer` and the caller's token.",
        varies=True,
        proves_preflight=True,
    ),
    RequestHeader(
        "Cache-Control",
        "`no-cache`: read everything from Twilio, and skip nothing.",
        bypasses_cache=True,
    ),
    RequestHeader("Content-Type", "`application/json`, for a POST."),
    RequestHeader(
        "GraphQL-Require-Preflight",
        "The same as `Apollo-Require-Preflight`.",
        proves_preflight=True,
    ),
    RequestHeader("If-None-Match", "An `ETag`: the answer to a GET is 304 if it is still the same."),
    RequestHeader("Origin", "The site of the page that sends the request; browsers add it.", varies=True),
    RequestHeader(
        "X-Gateway-Dry-Run",
        "`1`: read nothing; `extensions.plan` has what would be read, and its cost.",
        varies=True,
        proves_preflight=True,
        bypasses_cache=True,
    ),
    RequestHeader("X-Gateway-Timeout", "Seconds for this operation, at most `GATEWAY_DEADLINE`."),
    RequestHeader(
        "X-Gateway-Trace",
        "`1`: `extensions` have the cost, and every upstream call.",
        varies=True,
        proves_preflight=True,
        bypasses_cache=True,
    ),
    RequestHeader(
        "traceparent", "The parent of the operation's span, if [tracing](operate.md#traces) is on (W3C Trace Context)."
    ),
)

VARY = ", ".join(header.name for header in REQUEST_HEADERS if header.varies)
"""The value of `Vary`."""
PREFLIGHT_PROOF = frozenset(header.name.lower() for header in REQUEST_HEADERS if header.proves_preflight)
"""The names, in lower case, of headers that a cross-site request has only after a preflight."""

_QUOTED = r'"(?:[^"\\]|\\.?)*+(?:"|$)'
_ELEMENT, _PARAMETER = (re.compile(rf'(?:[^{separator}"]|{_QUOTED})++', re.DOTALL) for separator in ",;")


def list_elements(value: str) -> list[str]:
    """Return the elements of a list-valued header, without the empty ones (RFC 9110, 5.6.1).

    A comma in a quoted string separates nothing.
    """
    return [element for text in _ELEMENT.findall(value) if (element := text.strip())]


def split_parameters(element: str) -> list[str]:
    """Return an element's parts between semicolons, of which those after the first are parameters (RFC 9110, 5.6.6).

    Empty parts are left out. A semicolon in a quoted string separates nothing.
    """
    return [part for text in _PARAMETER.findall(element) if (part := text.strip())]
