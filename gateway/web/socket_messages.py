"""The messages of graphql-transport-ws as values, decoded from text and encoded to it.

Follows https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md.
"""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from gateway.errors import BadRequest
from gateway.twilio.partial_rows import replace_lone_surrogates
from gateway.web.graphql_over_http import GraphQLRequest
from gateway.web.json_text import check_json

__all__ = [
    "Complete",
    "ConnectionInit",
    "Message",
    "Ping",
    "Pong",
    "Subscribe",
    "complete",
    "error",
    "pong",
    "prefix",
    "read",
]


class ConnectionInit(msgspec.Struct, frozen=True, tag_field="type", tag="connection_init"):
    """The client wants to send operations; `payload` may hold its token."""

    payload: dict[str, Any] | None = None


class Ping(msgspec.Struct, frozen=True, tag_field="type", tag="ping"):
    """The peer is to answer with `Pong`."""

    payload: msgspec.Raw = msgspec.Raw()
    """An object or null, as it was sent; empty without one."""


class Pong(msgspec.Struct, frozen=True, tag_field="type", tag="pong"):
    """The answer to `Ping`, or a sign of life."""

    payload: dict[str, Any] | None = None


class Subscribe(msgspec.Struct, frozen=True, tag_field="type", tag="subscribe"):
    """An operation to execute: a query or a subscription."""

    id: str
    payload: GraphQLRequest


class Complete(msgspec.Struct, frozen=True, tag_field="type", tag="complete"):
    """The client wants no more results of an operation."""

    id: str


Message = ConnectionInit | Ping | Pong | Subscribe | Complete
ID_MAX = 128
"""Characters of an operation's id. Clients number them, or take UUIDs."""
_UNKNOWN = "Not a message of graphql-transport-ws."
_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


def read(text: bytes) -> Message:
    """Decode a message; raises `BadRequest`, whose message fits the reason of a close frame."""
    try:
        check_json(text)
    except BadRequest:
        raise BadRequest("The message is nested too deeply, or has too many values.") from None
    try:
        message = _decoder.decode(text)
    except msgspec.ValidationError:
        raise BadRequest(_UNKNOWN) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        whole = replace_lone_surrogates(text)
        if whole != text:
            return read(whole)
        raise BadRequest("A message is not JSON.") from None
    if isinstance(message, Subscribe | Complete) and not 1 <= len(message.id) <= ID_MAX:
        raise BadRequest(f"The id of an operation has 1 to {ID_MAX} characters.")
    if isinstance(message, Ping) and bytes(message.payload)[:1] not in b"{n":
        raise BadRequest(_UNKNOWN)
    return message


def pong(payload: msgspec.Raw) -> bytes:
    """Return a `pong` message with the payload of a `Ping`, unless that is null."""
    given = bytes(payload)
    return b'{"type":"pong","payload":%b}' % given if given.startswith(b"{") else b'{"type":"pong"}'


def prefix(operation_id: str) -> bytes:
    """Return a `next` message up to its payload; a brace follows that."""
    return b'{"id":%b,"type":"next","payload":' % orjson.dumps(operation_id)


def error(operation_id: str, errors: list[dict[str, Any]]) -> bytes:
    """Return an `error` message: the operation was not executed."""
    return orjson.dumps({"id": operation_id, "type": "error", "payload": errors})


def complete(operation_id: str) -> bytes:
    """Return a `complete` message."""
    return b'{"id":%b,"type":"complete"}' % orjson.dumps(operation_id)
