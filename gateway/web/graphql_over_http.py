"""GraphQL over HTTP as plain values: decodes a GraphQL request, and negotiates the media type of its response.

Follows https://graphql.github.io/graphql-over-http/draft/ and, where that leaves a choice, the audit suite of npm
`graphql-http`: for a document that cannot be executed the status is 400 as `application/graphql-response+json`, and 200 as
`application/json`; for an HTTP request without a well-formed GraphQL request it is 4xx in both.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast
from urllib.parse import parse_qsl

import msgspec
from msgspec.structs import replace

from gateway.errors import BadRequest
from gateway.execution.error_behavior import ERROR_BEHAVIORS, ErrorBehavior
from gateway.twilio.partial_rows import replace_lone_surrogates
from gateway.web.json_text import check_json
from gateway.web.request_headers import list_elements, split_parameters

__all__ = [
    "BODY_MAX",
    "EVENTS",
    "GRAPHQL",
    "JSON",
    "MULTIPART",
    "Accepted",
    "GraphQLRequest",
    "accepted",
    "check_post_head",
    "prefers_html",
    "read_get",
    "read_post",
    "response_type",
    "too_large",
]

GRAPHQL = "application/graphql-response+json"
JSON = "application/json"
MULTIPART = "multipart/mixed"
EVENTS = "text/event-stream"
BODY_MAX = 256 * 2**10

_PARAMETERS = {"query", "documentId", "variables", "operationName", "extensions", "onError"}
_WEIGHT = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?")


class GraphQLRequest(msgspec.Struct, frozen=True):
    """The parameters of a request (https://graphql.github.io/graphql-over-http/draft/#sec-Request-Parameters).

    It has its document, or the document's hash or id: see `gateway.web.documents`. An empty operation name is read as none.
    """

    query: str | None = None
    variables: dict[str, Any] | None = None
    operation_name: str | None = msgspec.field(name="operationName", default=None)
    extensions: dict[str, Any] | None = None
    document_id: str | None = msgspec.field(name="documentId", default=None)
    on_error: Any = msgspec.field(name="onError", default=None)
    """Its value as sent: see `error_behavior`."""

    __repr__ = object.__repr__  # Variables may be personal.

    @property
    def error_behavior(self) -> ErrorBehavior:
        """The value of `onError`; null means the default. Raises `BadRequest` for any other value."""
        if self.on_error is None:
            return "PROPAGATE"
        if self.on_error not in ERROR_BEHAVIORS:
            raise BadRequest("`onError` must be NULL, PROPAGATE or HALT.")
        return cast(ErrorBehavior, self.on_error)


_request_decoder = msgspec.json.Decoder(GraphQLRequest)
_object_decoder: msgspec.json.Decoder[dict[str, Any] | None] = msgspec.json.Decoder(dict[str, Any] | None)


def read_post(body: bytes) -> GraphQLRequest:
    """Decode the request in the body of a POST, whose head has been checked; raises `BadRequest`."""
    if len(body) > BODY_MAX:
        raise too_large()
    body = body.removeprefix(BOM_UTF8)  # It may be ignored (RFC 8259, 8.1).
    check_json(body)
    try:
        request = _request_decoder.decode(body)
    except msgspec.ValidationError:
        raise BadRequest(
            "Expected an object with `query` or `documentId` (strings), and where needed `variables` (an object), "
            "`operationName` (a string) and `extensions` (an object). Batches are not supported: send requests one by one."
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        whole = replace_lone_surrogates(body)
        if whole != body:
            return read_post(whole)
        raise BadRequest("The request's body is not JSON.") from None
    return replace(request, operation_name=None) if request.operation_name == "" else request


@lru_cache(maxsize=64)  # Clients send few different ones; exceptions are not cached.
def check_post_head(content_type: str | None, content_encoding: str | None) -> None:
    """Raise `BadRequest` unless the body of a POST with these headers can be decoded."""
    media_type, parameters = _media_type(content_type or "")
    if media_type != JSON or parameters.get("charset", "utf-8").lower() not in {"utf-8", "utf8"}:
        raise BadRequest("Send the request as JSON in UTF-8, with `Content-Type: application/json`.", status=415)
    if any(coding.lower() != "identity" for coding in list_elements(content_encoding or "")):
        raise BadRequest("Send the request uncompressed: `Content-Encoding` is not supported.", status=415)


def too_large(most: int = BODY_MAX) -> BadRequest:
    """Return the error for a body above `most` bytes."""
    return BadRequest(f"The request is larger than {most} bytes.", status=413)


def read_get(query_string: bytes) -> GraphQLRequest:
    """Decode the request in the URL of a GET; raises `BadRequest`."""
    try:
        pairs = parse_qsl(query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=20)
    except ValueError:
        raise BadRequest("The URL is not percent-encoded UTF-8, or has too many parameters.") from None
    given = [(name, value) for name, value in pairs if name in _PARAMETERS]
    values = dict(given)
    if len(values) < len(given):
        raise BadRequest("A parameter is given twice.")
    return GraphQLRequest(
        values.get("query"),
        _object(values, "variables"),
        values.get("operationName") or None,
        _object(values, "extensions"),
        values.get("documentId"),
        values.get("onError"),
    )


@lru_cache(maxsize=64)
def response_type(accept: str | None) -> str:
    """Return the media type of the response: the preferred one of two; raises `BadRequest` if `Accept` allows neither.

    The weight of a named type takes precedence over a wildcard's (RFC 9110, 12.5.1).
    """
    if not list_elements(accept or ""):
        return JSON
    types = accepted(accept)
    wildcard = types.get("application/*", types.get("*/*", Accepted(0.0, -len(types))))
    best = max((JSON, GRAPHQL), key=lambda media_type: types.get(media_type, wildcard))
    if not types.get(best, wildcard).weight:
        raise BadRequest(f"Responses are `{GRAPHQL}` or `{JSON}`, in UTF-8: allow one in `Accept`.", status=406)
    return best


@dataclass(frozen=True, slots=True, order=True)
class Accepted:
    """The preference for a media type: its weight, then its position."""

    weight: float
    position: int
    """0 for the first one that is named, -1 for the second, and so on."""
    announces: bool = field(default=False, compare=False)
    """Whether its parameters have `incrementalSpec=v0.2` (see `gateway.web.incremental`)."""
    names_format: bool = field(default=False, compare=False)
    """Whether they have that, or `deferSpec=20220824`."""
    subscribes: bool = field(default=False, compare=False)
    """Whether they have `subscriptionSpec=1.0` (see `gateway.web.events`)."""


def accepted(accept: str | None) -> dict[str, Accepted]:
    """Return the media types and ranges of an `Accept` header, in lower case.

    Those with another charset than UTF-8 are left out. Of a type that is named twice, the first counts; Apollo's mobile clients
    name multipart once for each of its specifications, so that the parameters of both count.
    """
    types: dict[str, Accepted] = {}
    for position, entry in enumerate(list_elements(accept or "")):
        media_type, parameters = _media_type(entry)
        weight = parameters.get("q", "1")
        if _WEIGHT.fullmatch(weight) and parameters.get("charset", "utf-8").lower() in {"utf-8", "utf8", "*"}:
            announces = parameters.get("incrementalspec", "").lower() == "v0.2"
            names_format = announces or parameters.get("deferspec") == "20220824"
            subscribes = parameters.get("subscriptionspec") == "1.0"
            first = types.get(media_type, Accepted(float(weight), -position))
            types[media_type] = Accepted(
                first.weight,
                first.position,
                first.announces or announces,
                first.names_format or names_format,
                first.subscribes or subscribes,
            )
    return types


@lru_cache(maxsize=64)
def prefers_html(accept: str | None) -> bool:
    """Return whether an `Accept` header names HTML, and prefers it to everything that the endpoint responds with.

    Browsers do. Of two types with the same weight, the one named first is preferred.
    """
    types = accepted(accept)
    html = types.get("text/html")
    if html is None or not html.weight:
        return False
    wildcard = types.get("application/*", types.get("*/*"))
    others = [types.get(JSON, wildcard), types.get(GRAPHQL, wildcard), types.get(MULTIPART), types.get(EVENTS)]
    return all(other is None or html > other for other in others)


def _media_type(text: str) -> tuple[str, Mapping[str, str]]:
    media_type, *given = split_parameters(text) or [""]
    pairs = (parameter.partition("=") for parameter in given)
    return media_type.lower(), {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}


def _object(values: Mapping[str, str], name: str) -> dict[str, Any] | None:
    text = values.get(name, "")
    if not text:
        return None
    try:
        content = text.encode().removeprefix(BOM_UTF8)
        check_json(content)
        try:
            return _object_decoder.decode(content)
        except msgspec.DecodeError:
            return _object_decoder.decode(replace_lone_surrogates(content))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise BadRequest(f"The parameter `{name}` is not a JSON object.") from None
