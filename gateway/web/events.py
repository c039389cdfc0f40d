"""Subscriptions over HTTP: the response is sent in events, as server-sent events or in Apollo's multipart format.

Server-sent events follow the distinct connections mode of https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md,
and multipart https://www.apollographql.com/docs/graphos/routing/operations/subscriptions/multipart-protocol. How a response
ends is in `gateway.web.streams`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import ClassVar, Protocol

import orjson
from starlette.types import Send

from gateway.accounts.operation import Operation
from gateway.accounts.subscriptions import EndReason, Subscription
from gateway.callers.callers import Caller
from gateway.errors import GatewayError
from gateway.execution.failures import Failure
from gateway.web.connection import ReplyAborted, StreamHost
from gateway.web.graphql_over_http import EVENTS, JSON, MULTIPART, accepted
from gateway.web.incremental import COMPLETE_EVENT, delivery_for, event
from gateway.web.recorder import Recorder
from gateway.web.request import Headers, HttpRequest
from gateway.web.responses import FIXED_HEADERS, Reply
from gateway.web.stalls import StalledBody
from gateway.web.streams import ENDINGS, REASONS, End, Last, Streams, error_of

__all__ = [
    "MULTIPART_EVENTS",
    "SERVER_SENT_EVENTS",
    "SINGLE_CONNECTION",
    "Body",
    "EventFormat",
    "SubscriptionReply",
    "event_format",
    "event_refusal",
]


SINGLE_CONNECTION = (
    "The single connection mode of GraphQL over SSE is not supported. Use distinct connections, its default."
)


class Body(Protocol):
    """The body of a response that is being sent."""

    @property
    def is_paused(self) -> bool:
        """Whether written bytes wait for the peer to read."""

    def write(self, data: bytes) -> None:
        """Send part of the body."""

    def finish(self) -> None:
        """End the body."""

    def cut(self, *, at_once: bool) -> None:
        """Close the connection without ending the body, so that the client knows that it is incomplete.

        With `at_once`, unsent bytes are dropped.
        """


class EventFormat:
    """A format of a response that is sent in events. Equal payloads of many subscribers are framed once."""

    def __init__(
        self,
        name: str,
        content_type: str,
        *,
        frame: Callable[[bytes], bytes],
        transport_error: Callable[[bytes], bytes],
        heartbeat: bytes,
        complete: bytes,
        prologue: bytes = b"",
    ) -> None:
        """Create the format; `name` is its label in metrics and in the log."""
        self.name = name
        self.content_type = content_type
        self.frame = frame
        """Returns the event of a payload, the JSON of an execution result."""
        self.transport_error = transport_error
        """Returns the event that tells of an error of the connection, from the JSON of the errors."""
        self.heartbeat = heartbeat
        self.complete = complete
        """The end of the body."""
        self.prologue = prologue
        """The beginning of the body."""
        self._payload = self._frame = b""

    def next(self, payload: bytes) -> bytes:
        """Return what `frame` does, which is kept for the next subscriber."""
        if payload is not self._payload:
            self._payload, self._frame = payload, self.frame(payload)
        return self._frame


SERVER_SENT_EVENTS = EventFormat(
    "sse",
    f"{EVENTS}; charset=utf-8",
    frame=event,
    transport_error=lambda errors: event(b'{"errors":%b}' % errors),
    heartbeat=b":\n\n",  # Any event of another name is fatal to graphql-sse.
    complete=COMPLETE_EVENT,
)


def _part(body: bytes) -> bytes:
    """Return a part followed by the delimiter, which readers wait for."""
    return b"\r\nContent-Type: %b\r\n\r\n%b\r\n--graphql" % (JSON.encode(), body)


MULTIPART_EVENTS = EventFormat(
    "multipart",
    f'{MULTIPART}; boundary="graphql"; subscriptionSpec="1.0"',
    frame=lambda payload: _part(b'{"payload":%b}' % payload),
    transport_error=lambda errors: _part(b'{"payload":null,"errors":%b}' % errors),
    heartbeat=_part(b"{}"),
    complete=b"--\r\n",
    prologue=b"\r\n--graphql",
)
_HEADERS = [
    # Proxies neither keep, nor change, nor buffer it: compression would hold events back.
    (b"cache-control", b"no-cache, no-store, no-transform"),
    # https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering
    (b"x-accel-buffering", b"no"),
]
_FIXED = [header for header in FIXED_HEADERS if header[0] != b"cache-control"] + _HEADERS


def event_format(accept: str | None) -> EventFormat | None:
    """Return the format in which a client with this `Accept` wants the events of a subscription; None if it names none.

    Events must be preferred to JSON, as for fragments with `@defer`. Multipart must have `subscriptionSpec=1.0`.
    """
    delivery = delivery_for(accept)
    if delivery is None:
        return None
    if delivery.media_type == EVENTS:
        return SERVER_SENT_EVENTS
    return MULTIPART_EVENTS if accepted(accept)[MULTIPART].subscribes else None


def event_refusal(error: GatewayError, format_: EventFormat) -> Reply:
    """Return the reply with an error that does not pass by trying again: one event, since clients read no other body."""
    body = format_.prologue + format_.frame(orjson.dumps({"errors": [Failure(error).as_json()]})) + format_.complete
    return Reply(200, [(b"content-type", format_.content_type.encode()), *_HEADERS[1:]], body)


class SubscriptionReply(Reply):
    """The response to a subscription; a `Stream`. Its host sends the head, then calls `start`, `resume` and `disconnected`."""

    is_whole: ClassVar[bool] = False

    def __init__(
        self,
        request: HttpRequest,
        format_: EventFormat,
        operation: Operation,
        caller: Caller,
        subscription: Subscription,
        streams: Streams,
        recorder: Recorder,
    ) -> None:
        """Create the response to a request, which is recorded once it has ended."""
        super().__init__(200, [(b"content-type", format_.content_type.encode())], request_id=request.id)
        self.caller: Caller | None = caller
        self._caller_name = caller.name
        self.transport = format_.name
        self._format = format_
        self._operation = operation.name
        self._subscription = subscription
        self._streams = streams
        self._recorder = recorder
        self._started_at = request.started_at
        self._connection = request.connection
        self._is_head = request.method == "HEAD"
        self._body: Body | None = None
        """None before the head is sent, and after the end."""
        self._heartbeat: asyncio.TimerHandle | None = None
        self._events = 0

    __hash__ = object.__hash__
    __eq__ = object.__eq__

    def all_headers(self) -> Headers:
        """Return every header. The length of the body is not known."""
        return [*_FIXED, *self.headers, (b"x-request-id", self.request_id.encode())]

    def start(self, body: Body) -> None:
        """Begin to send events, after the head."""
        self._body = body
        self._streams.add(self)
        self._recorder.subscribed(self.request_id, self.transport, self._caller_name, self._operation)
        if self._format.prologue:
            body.write(self._format.prologue)
        self._subscription.on_ready = self.resume
        self._schedule_heartbeat()
        self.resume()

    def resume(self) -> None:
        """Send the events in the queue, as long as the peer reads."""
        subscription, on_payload = self._subscription, self._streams.on_payload
        while self._body is not None:
            if self._body.is_paused and subscription.ended in {None, EndReason.COMPLETE}:
                return
            item = subscription.take()
            if item is None:
                return
            if isinstance(item, EndReason):
                self.end(REASONS[item])
                return
            self._events += 1
            if on_payload is not None:
                on_payload(self, item)
            if self._body is not None:
                self._body.write(self._format.next(item))

    def end(self, reason: End) -> None:
        """End the response as `ENDINGS` says; a second call has no effect."""
        body = self._stop(reason)
        if body is None:
            return
        ending = ENDINGS[reason]
        last = ending.events if self._format is SERVER_SENT_EVENTS else ending.parts
        if last is Last.CUT:
            body.cut(at_once=reason in {End.TOO_SLOW, End.DEAD})
            return
        data = self._format.complete
        if last is not Last.COMPLETE:
            errors = orjson.dumps([Failure(error_of(reason)).as_json()])
            is_transport = last is Last.TRANSPORT_ERROR
            frame = (
                self._format.transport_error(errors) if is_transport else self._format.frame(b'{"errors":%b}' % errors)
            )
            data = frame + data
        body.write(data)
        body.finish()

    def stall(self, seconds: float | None) -> None:
        """Send nothing for some seconds, or as long as the client stays."""
        if self._body is None or isinstance(self._body, StalledBody):
            return
        stalled = self._body = StalledBody(self._body)

        def resume() -> None:
            if self._body is stalled:
                self._body = stalled.flush()
                self.resume()

        if seconds is not None:
            asyncio.get_running_loop().call_later(seconds, resume)

    def disconnected(self) -> None:
        """Stop: the client has closed the connection."""
        self._stop(End.LEFT)

    def dropped(self) -> None:
        """Leave the subscription of a reply that is never started."""
        self._subscription.close()

    async def send(self, send: Send) -> None:
        """Send the response through ASGI."""
        if self._connection.closed:
            self.dropped()
            raise ReplyAborted
        host = self._connection.host
        body = _AsgiBody(self, host)
        try:
            await send({"type": "http.response.start", "status": self.status, "headers": self.all_headers()})
            if self._is_head:  # There is no body to wait for.
                await send({"type": "http.response.body"})
                return
            if self._connection.closed:
                raise ReplyAborted
            if host is not None:
                host.begin_stream(self)
            self._connection.watch(body.on_disconnect)
            self.start(body)
            await body.send(send)
        finally:
            self._connection.unwatch()
            self._stop(End.LEFT)
            self.dropped()

    def _stop(self, reason: End) -> Body | None:
        """Leave the subscription and record the end; return the body, or None if it had ended before."""
        body, self._body = self._body, None
        if body is None:
            return None
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        self._subscription.on_ready = None
        self._subscription.close()
        self._streams.remove(self, reason)
        self._recorder.unsubscribed(
            self.request_id,
            self.transport,
            self._caller_name,
            self._operation,
            reason=reason.value,
            events=self._events,
            seconds=time.perf_counter() - self._started_at,
        )
        return body

    def _schedule_heartbeat(self) -> None:
        loop = asyncio.get_running_loop()
        self._heartbeat = loop.call_later(self._streams.limits.heartbeat, self._beat)

    def _beat(self) -> None:
        body = self._body
        if body is not None:
            if not body.is_paused:
                body.write(self._format.heartbeat)
            self._schedule_heartbeat()


class _AsgiBody:
    """The body of a response that is sent through ASGI."""

    def __init__(self, reply: SubscriptionReply, host: StreamHost | None) -> None:
        self._reply = reply
        self._host = host
        self._parts: list[bytes] = []
        self._changed = asyncio.Event()
        self._gone = asyncio.Event()
        """Set when the connection is closed."""
        self._is_sending = self._is_finished = self._is_cut = False

    @property
    def is_paused(self) -> bool:
        return bool(self._parts)

    def write(self, data: bytes) -> None:
        self._parts.append(data)
        self._changed.set()

    def finish(self) -> None:
        self._is_finished = True
        self._changed.set()

    def cut(self, *, at_once: bool) -> None:
        if at_once:
            self._parts.clear()
        self._is_cut = True
        self._changed.set()
        if self._host is not None and not self._gone.is_set() and (at_once or self._is_sending):
            self._host.cut_stream(at_once=True)  # Otherwise it would wait for the peer to read.

    def on_disconnect(self) -> None:
        """Stop sending: the client has closed the connection."""
        self._gone.set()
        self._reply.disconnected()
        self.cut(at_once=True)

    async def send(self, send: Send) -> None:
        """Send the parts as they are written, until the end of the body; raises `ReplyAborted` if it is cut."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            parts, self._parts = self._parts, []
            if parts or self._is_finished:
                is_last, self._is_sending = self._is_finished, True
                await send({"type": "http.response.body", "body": b"".join(parts), "more_body": not is_last})
                self._is_sending = False
                if is_last:
                    return
            if self._is_cut:
                if self._host is not None and not self._gone.is_set():
                    self._host.cut_stream(at_once=False)
                    await self._gone.wait()  # Before that, the server would report an incomplete response as a fault.
                raise ReplyAborted
            self._reply.resume()
