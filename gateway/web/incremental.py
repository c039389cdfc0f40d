"""Answers in parts, for operations with `@defer`: which form a client takes, and how frames are written in it.

Two media types and two forms of payload are in use. `multipart/mixed` follows
https://github.com/graphql/graphql-over-http/blob/main/rfcs/IncrementalDelivery.md, and `text/event-stream` the distinct
connections of https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md. What `deferSpec=20220824` names tells of each
part by its path; what `incrementalSpec=v0.2` names announces parts as `pending` and tells of them by an id. A client that
names neither gets the first, which all of them read.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from starlette.types import Send

from gateway.execution.deferred import IncrementalPayload, IncrementalResult, Pending
from gateway.execution.outcome import Outcome
from gateway.web.graphql_over_http import GRAPHQL, JSON, accepted
from gateway.web.responses import answer_of, stream_headers

__all__ = ["Delivery", "Stream", "delivery_for"]

_MULTIPART, _EVENTS = "multipart/mixed", "text/event-stream"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A form in which a client takes parts."""

    media_type: str
    announces: bool = False
    """Whether parts are announced, and told of by an id."""
    is_for_all: bool = False
    """Whether answers that come whole go the same way."""

    @property
    def content_type(self) -> str:
        """The response's `Content-Type`."""
        if self.media_type == _EVENTS:
            return f"{_EVENTS}; charset=utf-8"
        return f'{_MULTIPART}; boundary="-"; {"incrementalSpec=v0.2" if self.announces else "deferSpec=20220824"}'


@lru_cache(maxsize=64)
def delivery_for(accept: str | None) -> Delivery | None:
    """How a client with this `Accept` takes parts; None when it takes whole answers only.

    A wildcard does not ask for parts. Events must be liked better than JSON, since clients name them that would rather have
    JSON; of two types that weigh the same, the one named first is liked better.
    """
    types = {name: liked for name, liked in accepted(accept).items() if liked.weight}
    parts, events = types.get(_MULTIPART), types.get(_EVENTS)
    json = max((types[name] for name in (JSON, GRAPHQL) if name in types), default=None)
    if events is not None and all(other is None or events > other for other in (json, parts)):
        return Delivery(_EVENTS, events.announces, is_for_all=True)
    if parts is not None:
        return Delivery(
            _MULTIPART, parts.announces, is_for_all=not types.keys() & {JSON, GRAPHQL, "application/*", "*/*"}
        )
    return None


class Stream:
    """One response in parts, written as they come."""

    def __init__(self, delivery: Delivery, send: Send, request_id: str) -> None:
        """Take the form, and where to write to."""
        self.has_begun = self.has_ended = False
        self.is_for_all = delivery.is_for_all
        """Whether answers that come whole go the same way."""
        self._delivery = delivery
        self._send = send
        self._request_id = request_id
        self._ids: dict[Pending, str] = {}

    async def deliver(self, part: Outcome | IncrementalPayload) -> None:
        """Write the answer, of which the rest is to come, or some of that rest."""
        if isinstance(part, IncrementalPayload):
            await self._write(self._payload(part), is_last=not part.has_next)
        else:
            await self._begin(part)
            await self._write({**answer_of(part), **self._announce(part.pending), "hasNext": True}, is_last=False)

    async def deliver_whole(self, outcome: Outcome) -> None:
        """Write an answer of which nothing is to come."""
        await self._begin(outcome)
        await self._write(answer_of(outcome), is_last=True)

    def _announce(self, later: list[Pending]) -> dict[str, Any]:
        if not later or not self._delivery.announces:
            return {}
        for place in later:
            self._ids[place] = str(len(self._ids))
        return {"pending": [{"id": self._ids[place], **_place(place)} for place in later]}

    def _payload(self, frame: IncrementalPayload) -> dict[str, Any]:
        """A frame; what it has of extensions stands in its last part, where all clients look for it."""
        if not self._delivery.announces:
            entries = [{**_place(part.pending), "data": part.data, **_errors(part)} for part in frame.incremental]
            if frame.extensions:
                entries[-1]["extensions"] = frame.extensions
            return {"incremental": entries, "hasNext": frame.has_next}
        payload = self._announce(frame.pending)
        whole = [part for part in frame.incremental if part.data is not None]
        entries = [{"id": self._ids[part.pending], "data": part.data, **_errors(part)} for part in whole]
        if entries:
            payload["incremental"] = entries
        payload["completed"] = [
            {"id": self._ids[part.pending], **({} if part.data is not None else _errors(part))}
            for part in frame.incremental
        ]
        if frame.extensions:
            (entries[-1] if entries else payload)["extensions"] = frame.extensions
        return {**payload, "hasNext": frame.has_next}

    async def _begin(self, outcome: Outcome) -> None:
        self.has_begun = True
        headers = stream_headers(outcome, self._delivery.content_type, self._request_id)
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        if self._delivery.media_type == _MULTIPART:
            await self._send({"type": "http.response.body", "body": b"---", "more_body": True})

    async def _write(self, payload: dict[str, Any], *, is_last: bool) -> None:
        self.has_ended = is_last
        body = orjson.dumps(payload)
        if self._delivery.media_type == _EVENTS:
            body = b"event: next\ndata: %s\n\n%s" % (body, b"event: complete\ndata:\n\n" if is_last else b"")
        else:
            # A reader takes a part for whole once it has seen the delimiter behind it.
            body = b"\r\nContent-Type: %s; charset=utf-8\r\n\r\n%s\r\n---%s" % (
                JSON.encode(),
                body,
                b"--\r\n" if is_last else b"",
            )
        await self._send({"type": "http.response.body", "body": body, "more_body": not is_last})


def _place(later: Pending) -> dict[str, Any]:
    place: dict[str, Any] = {"path": later.path}
    if later.label is not None:
        place["label"] = later.label
    return place


def _errors(part: IncrementalResult) -> dict[str, Any]:
    return {"errors": [failure.as_json() for failure in part.failures]} if part.failures else {}
