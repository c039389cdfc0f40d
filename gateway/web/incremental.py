"""Incremental delivery, for operations with `@defer`: the formats that clients accept, and the reply that is sent in parts.

Two media types and two formats of a payload are in use. `multipart/mixed` follows
https://github.com/graphql/graphql-over-http/blob/main/rfcs/IncrementalDelivery.md, and `text/event-stream` the distinct
connections mode of https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md. In `deferSpec=20220824`, each result has
its path; in `incrementalSpec=v0.2`, results are announced as `pending` and have an id. A client that names neither gets the
first, which all of them read.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import orjson
from starlette.types import Send

from gateway.callers.callers import Caller
from gateway.execution.deferred import DeferredPart, IncrementalPayload, IncrementalResult, Pending
from gateway.execution.failures import Failure, mask
from gateway.execution.outcome import Outcome
from gateway.log import REQUEST_ID
from gateway.web.connection import ClientDisconnected, ReplyAborted
from gateway.web.graphql_over_http import EVENTS, GRAPHQL, JSON, MULTIPART, accepted
from gateway.web.recorder import Recorder
from gateway.web.request import Headers, HttpRequest
from gateway.web.responses import FIXED_HEADERS, Reply, encode_headers, response_map

__all__ = ["COMPLETE_EVENT", "Delivery", "IncrementalReply", "Payloads", "delivery_for", "event"]

COMPLETE_EVENT = b"event: complete\ndata:\n\n"
"""The server-sent event that ends a response. Its data is empty: urql takes any other for a result."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A format of incremental delivery."""

    media_type: str
    announces: bool = False
    """Whether results are announced as `pending`, and identified by an id."""
    is_for_all: bool = False
    """Whether the client accepts nothing else, so that whole responses have this format too."""
    is_named: bool = False
    """Whether the client names the format."""

    @property
    def content_type(self) -> str:
        """The response's `Content-Type`."""
        if self.media_type == EVENTS:
            return f"{EVENTS}; charset=utf-8"
        return f'{MULTIPART}; boundary="-"; {"incrementalSpec=v0.2" if self.announces else "deferSpec=20220824"}'


@lru_cache(maxsize=64)
def delivery_for(accept: str | None) -> Delivery | None:
    """Return the format that a client with this `Accept` wants; None when it accepts whole responses only.

    A wildcard does not ask for incremental delivery. Events must be preferred to JSON, since there are clients that name them
    and expect JSON; of two types with the same weight, the one named first is preferred.
    """
    types = {name: media for name, media in accepted(accept).items() if media.weight}
    parts, events = types.get(MULTIPART), types.get(EVENTS)
    json = max((types[name] for name in (JSON, GRAPHQL) if name in types), default=None)
    if events is not None and all(other is None or events > other for other in (json, parts)):
        return Delivery(EVENTS, events.announces, is_for_all=True, is_named=events.names_format)
    if parts is not None:
        return Delivery(
            MULTIPART,
            parts.announces,
            is_for_all=not types.keys() & {JSON, GRAPHQL, "application/*", "*/*"},
            is_named=parts.names_format,
        )
    return None


class IncrementalReply(Reply):
    """A reply that is sent in parts: the initial payload, then the subsequent ones as they are made."""

    is_whole: ClassVar[bool] = False

    def __init__(
        self, request: HttpRequest, delivery: Delivery, outcome: Outcome, caller: Caller, recorder: Recorder
    ) -> None:
        """Create the reply to a request, which is recorded once it has been sent completely."""
        headers = {
            "Content-Type": delivery.content_type,
            "Gateway-Cost": f"requested={outcome.requested}",  # Its subsequent payloads follow.
        }
        super().__init__(200, encode_headers(headers), request_id=request.id)
        self._request = request
        self._outcome = outcome
        self._caller = caller
        self._recorder = recorder
        self._encoder = _Encoder(delivery)

    def all_headers(self) -> Headers:
        """Return every header. The length of the body is not known."""
        # https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering
        own = [(b"x-request-id", self.request_id.encode()), (b"x-accel-buffering", b"no")]
        return [*FIXED_HEADERS, *self.headers, *own]

    async def send(self, send: Send) -> None:
        """Send the response through ASGI, each payload as soon as it is made."""
        REQUEST_ID.set(self._request.id)
        try:
            await self._send(send)
        except (ClientDisconnected, asyncio.CancelledError) as reason:
            self._recorder.aborted(self._request, reason)
            raise
        except Exception as error:
            self._recorder.failed(self._request, mask(error))
            raise ReplyAborted from None  # Clients see a response without its end.
        self._recorder.executed(self._request, self._outcome, self._caller)

    async def _send(self, send: Send) -> None:
        async def send_body(body: bytes, *, more_body: bool = True) -> None:
            await send({"type": "http.response.body", "body": body, "more_body": more_body})

        payloads = self._outcome.subsequent
        async with aclosing(payloads) if payloads is not None else nullcontext():
            await send({"type": "http.response.start", "status": self.status, "headers": self.all_headers()})
            if self._encoder.prologue:
                await send_body(self._encoder.prologue)
            await send_body(self._encoder.initial(self._outcome), more_body=payloads is not None)
            if payloads is None:
                return
            has_next = True
            while has_next:
                payload = await self._request.connection.until_closed(anext(payloads))
                has_next = payload.has_next
                await send_body(self._encoder.subsequent(payload), more_body=has_next)


class Payloads:
    """The payloads of one operation with deferred fragments, as JSON values in the client's format."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._ids: dict[Pending, str] = {}

    def initial(self, outcome: Outcome) -> dict[str, Any]:
        """Return the initial payload, or the whole response where nothing is deferred."""
        response = response_map(outcome)
        return (
            response if outcome.subsequent is None else {**response, **self._announce(outcome.pending), "hasNext": True}
        )

    def subsequent(self, payload: IncrementalPayload) -> dict[str, Any]:
        """Return a subsequent payload."""
        as_json = self._by_id(payload) if self._delivery.announces else self._by_path(payload)
        return {**as_json, "hasNext": payload.has_next}

    def _announce(self, pending: list[Pending]) -> dict[str, Any]:
        if not self._delivery.announces:
            return {}
        announced = [place for place in pending if not place.is_empty]
        for place in announced:
            self._ids[place] = str(len(self._ids))
        return {"pending": [{"id": self._ids[place], **_place(place)} for place in announced]} if announced else {}

    def _by_path(self, payload: IncrementalPayload) -> dict[str, Any]:
        """Return the results with their paths; the last one has the extensions, where all clients look for them."""
        results = [
            {**_place(result.pending), **self._data(result), **_errors(result.failures)}
            for result in payload.incremental
        ]
        if payload.extensions:
            results[-1]["extensions"] = payload.extensions
        return {"incremental": results}

    def _by_id(self, payload: IncrementalPayload) -> dict[str, Any]:
        as_json = self._announce(payload.pending)
        results = [self._part(place, part) for result in payload.incremental for place, part in result.parts]
        if results:
            as_json["incremental"] = results
        as_json["completed"] = [
            {"id": self._ids[result.pending], **_errors(result.errors)}
            for result in payload.incremental
            if not result.pending.is_empty
        ]
        if payload.extensions:
            (results[-1] if results else as_json)["extensions"] = payload.extensions
        return as_json

    def _part(self, place: Pending, part: DeferredPart) -> dict[str, Any]:
        below = part.path[len(place.path) :]
        sub_path = {"subPath": below} if below else {}
        return {"id": self._ids[place], **sub_path, "data": part.data, **_errors(part.failures)}

    def _data(self, result: IncrementalResult) -> dict[str, Any]:
        """Return the `data` of a result with a path.

        A client that names no format gets none in place of null: @urql/core 6.0.3 would write the null over the object that
        has the fragment.
        """
        data = result.data
        return {"data": data} if data is not None or self._delivery.is_named else {}


class _Encoder:
    """Encodes the payloads of one response."""

    def __init__(self, delivery: Delivery) -> None:
        self._payloads = Payloads(delivery)
        self._is_events = delivery.media_type == EVENTS
        # The line break belongs to the delimiter: fetch-multipart-graphql 3.3.0 loses the first part without it.
        self.prologue = b"" if self._is_events else b"\r\n---"

    def initial(self, outcome: Outcome) -> bytes:
        """Return the initial payload, or the whole response where nothing is deferred."""
        return self._frame(self._payloads.initial(outcome), is_last=outcome.subsequent is None)

    def subsequent(self, payload: IncrementalPayload) -> bytes:
        """Return a subsequent payload."""
        return self._frame(self._payloads.subsequent(payload), is_last=not payload.has_next)

    def _frame(self, payload: dict[str, Any], *, is_last: bool) -> bytes:
        body = orjson.dumps(payload)
        if self._is_events:
            return event(body) + (COMPLETE_EVENT if is_last else b"")
        # A part is complete for a reader once it has seen the delimiter after it.
        return b"\r\nContent-Type: %s; charset=utf-8\r\n\r\n%s\r\n---%s" % (
            JSON.encode(),
            body,
            b"--\r\n" if is_last else b"",
        )


def event(payload: bytes) -> bytes:
    """Return the server-sent event of a payload, with LF alone: urql reads no CR."""
    return b"event: next\ndata: %b\n\n" % payload


def _place(pending: Pending) -> dict[str, Any]:
    place: dict[str, Any] = {"path": pending.path}
    if pending.label is not None:
        place["label"] = pending.label
    return place


def _errors(failures: tuple[Failure, ...]) -> dict[str, Any]:
    return {"errors": [failure.as_json() for failure in failures]} if failures else {}
