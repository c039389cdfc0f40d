"""GraphQL over WebSocket (`graphql-transport-ws`): the life of a socket, without I/O.

Follows https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md. `_RULES` is this table for programs:

| message | before `connection_init` | while its token is verified | after `connection_ack` |
|---|---|---|---|
| `connection_init` | verify the token, then `connection_ack`; close 4401 without a valid one | close 4429 | close 4429 |
| `ping` | `pong` with its payload | `pong` | `pong` |
| `pong` | – | – | – |
| `subscribe` | close 4401 | close 4401 | start; close 4409 if its id is active |
| `complete` | – | – | stop the operation of that id |
| anything else | close 4400 | close 4400 | close 4400 |

Without `connection_init` in time the socket is closed with 4408, with another subprotocol with 4406, and with 1013 before the
`connection_ack` when the gateway is full, or has fetched no key yet to verify the token with. What ends a socket later is in
`gateway.web.streams`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from enum import Enum, auto
from functools import partial
from typing import Any, Protocol

from gateway.accounts.account import Account
from gateway.accounts.operation import Operation
from gateway.callers.callers import Caller
from gateway.errors import BadRequest, Forbidden, GatewayError, Overloaded, Unauthenticated
from gateway.execution.failures import Failure, mask
from gateway.execution.outcome import Outcome
from gateway.log import REQUEST_ID
from gateway.web.admission import Admission
from gateway.web.browsers import Origins, check_origin
from gateway.web.connection import ClientConnection
from gateway.web.documents import Documents
from gateway.web.graphql_over_http import GraphQLRequest
from gateway.web.recorder import Recorder
from gateway.web.request import HttpRequest
from gateway.web.responses import Reply, encode_outcome, error_reply
from gateway.web.socket_messages import (
    Complete,
    ConnectionInit,
    Message,
    Ping,
    Subscribe,
    complete,
    error,
    pong,
    prefix,
    read,
)
from gateway.web.socket_operations import SocketQuery, SocketSubscription
from gateway.web.stalls import StalledWire
from gateway.web.streams import ENDINGS, End, Streams, error_of

__all__ = ["LEGACY", "SUBPROTOCOL", "Socket", "SocketService", "Wire"]

SUBPROTOCOL = "graphql-transport-ws"
LEGACY = "graphql-ws"
"""The subprotocol of `subscriptions-transport-ws`, which is not maintained any more."""
_INIT_SECONDS = 10.0
"""For `connection_init` to arrive."""
_NO_HEADERS: Mapping[str, str] = {}
_REASON_MAX = 123
"""Bytes of the reason in a close frame (RFC 6455, 5.5)."""


class Wire(Protocol):
    """What a socket sends through."""

    @property
    def is_paused(self) -> bool:
        """Whether what was sent waits for the peer to read."""

    def send(self, text: bytes) -> None:
        """Send a text message, in UTF-8."""

    def close(self, code: int, reason: str) -> None:
        """Send a close frame, then close the connection."""

    def cut(self) -> None:
        """Close the connection without a close frame."""


class SocketService:
    """Opens the sockets of one account."""

    def __init__(
        self,
        account: Account,
        admission: Admission,
        origins: Origins,
        documents: Documents,
        streams: Streams,
        recorder: Recorder,
    ) -> None:
        """Serve the operations of `account` to the callers of `admission`, to pages of `origins` and of the gateway's own."""
        self.account = account
        self.admission = admission
        self.documents = documents
        self.streams = streams
        self.recorder = recorder
        self._origins = origins

    def open(self, request: HttpRequest) -> Socket | Reply:
        """Return the socket for an upgrade request, or the reply that refuses it. Call `Socket.opened` after the handshake."""
        try:
            self.admission.check_host(request.headers)
            check_origin(request.headers, self._origins)
        except GatewayError as refusal:
            self.recorder.refused(request, refusal, refusal.http_status)
            reply = error_reply(refusal)
            reply.request_id = request.id
            return reply
        return Socket(self, request)


def subprotocol_for(offered: str | None) -> str | None:
    """Return the subprotocol to select from those that `Sec-WebSocket-Protocol` offers.

    The legacy one is selected where nothing else is offered, only to be refused in words: a browser shows no close frame of a
    socket whose subprotocol was not selected.
    """
    names = [name.strip() for name in (offered or "").split(",")]
    return next((name for name in (SUBPROTOCOL, LEGACY) if name in names), None)


class _State(Enum):
    """How far a socket is."""

    NEW = auto()
    ADMITTING = auto()
    READY = auto()
    CLOSED = auto()


class Socket:
    """One client's socket; a `Stream`. Its host calls `opened`, then `received`, `resumed` and `lost`."""

    __slots__ = (
        "_headers",
        "_peer",
        "_started_at",
        "_state",
        "_timer",
        "caller",
        "operations",
        "service",
        "subprotocol",
        "wire",
    )

    transport = "websocket"

    def __init__(self, service: SocketService, request: HttpRequest) -> None:
        self.caller: Caller | None = None
        self.subprotocol = subprotocol_for(request.headers.get("sec-websocket-protocol"))
        """The subprotocol to select."""
        self.service = service
        self._headers: Mapping[str, str] = {
            name: value for name, value in request.headers.items() if name in {"authorization", "host"}
        }
        self._peer = request.connection.peer
        self._started_at = time.perf_counter()
        self._state = _State.NEW
        self._timer: asyncio.TimerHandle | None = None
        self.operations: dict[str, SocketQuery | SocketSubscription] = {}
        """The active operations by id."""
        self.wire: Wire

    def __repr__(self) -> str:
        return f"<Socket {self._state.name.lower()}, {len(self.operations)} operations>"

    def opened(self, wire: Wire) -> None:
        """Begin, after the handshake."""
        self.wire = wire
        streams = self.service.streams
        refusal = streams.refusal()
        streams.add(self)
        if self.subprotocol != SUBPROTOCOL:
            named = (
                f"The legacy subprotocol {LEGACY} is not supported." if self.subprotocol else "No known subprotocol."
            )
            self.close(4406, f"{named} Use {SUBPROTOCOL}.")
        elif streams.is_draining:
            self.end(End.RESTART)
        elif refusal is not None:
            self.close(1013, refusal)
        else:
            timeout = partial(self.close, 4408, "Connection initialisation timeout")
            self._timer = asyncio.get_running_loop().call_later(_INIT_SECONDS, timeout)

    def received(self, text: bytes) -> None:
        """Handle a text message."""
        if self._state is _State.CLOSED:
            return
        try:
            message = read(text)
        except BadRequest as invalid:
            self.close(4400, invalid.message)
            return
        rule = _RULES.get((self._state, type(message)), _RULES.get((None, type(message))))
        if rule is not None:
            rule(self, message)

    def received_binary(self) -> None:
        """Refuse a binary message."""
        self.close(4400, "Send text messages, not binary ones.")

    def resumed(self) -> None:
        """Send what waits: the peer reads again."""
        for operation in list(self.operations.values()):
            operation.send()

    def lost(self, reason: End) -> None:
        """Stop: the connection is closed."""
        if self._state is not _State.CLOSED:
            self._stop(reason)

    def end(self, reason: End) -> None:
        """Close the socket as `ENDINGS` says."""
        code = ENDINGS[reason].close
        if self._state is _State.CLOSED:
            return
        if code is None:
            self._stop(reason)
            self.wire.cut()
        else:
            self.close(code, error_of(reason).message, reason)

    def stall(self, seconds: float | None) -> None:
        """Send nothing for some seconds, or as long as the socket is open."""
        if isinstance(self.wire, StalledWire):
            return
        stalled = self.wire = StalledWire(self.wire)

        def resume() -> None:
            self.wire = stalled.flush()
            self.resumed()

        if seconds is not None:
            asyncio.get_running_loop().call_later(seconds, resume)

    def close(self, code: int, text: str, reason: End = End.REFUSED) -> None:
        """Close the socket with a code and a reason in words."""
        if self._state is not _State.CLOSED:
            self._stop(reason, code)
            self.wire.close(code, text.encode()[:_REASON_MAX].decode(errors="ignore"))

    def _stop(self, reason: End, code: int | None = None) -> None:
        """Leave all operations, and record the end; nothing is sent after it."""
        self._state = _State.CLOSED
        if self._timer is not None:
            self._timer.cancel()
        operations, self.operations = self.operations, {}
        for operation in operations.values():
            operation.stop(reason)
        self.service.streams.remove(self, reason)
        name = self.caller.name if self.caller is not None else None
        seconds = time.perf_counter() - self._started_at
        self.service.recorder.socket_closed(name, reason.value, code, seconds)

    # Messages

    def _init(self, message: ConnectionInit) -> None:
        self._state = _State.ADMITTING
        token = _token(message.payload)
        headers = self._headers if token is None else {**self._headers, "authorization": token}
        try:
            found = self.service.admission.find_caller(headers)
        except (Unauthenticated, Forbidden) as refusal:
            self.close(4401 if isinstance(refusal, Unauthenticated) else 4403, refusal.message)
            return
        if isinstance(found, Caller):
            self._acknowledge(found)
        else:
            asyncio.ensure_future(found).add_done_callback(self._identified)

    def _identified(self, finding: asyncio.Future[Caller]) -> None:
        if self._state is _State.CLOSED:
            finding.cancelled() or finding.exception()
            return
        try:
            self._acknowledge(finding.result())
        except Unauthenticated as refusal:
            self.close(4401, refusal.message)
        except GatewayError as refusal:  # It passes, and clients come back.
            self.close(1013, refusal.message)
        except Exception as fault:
            mask(fault)
            self.end(End.FAILED)

    def _acknowledge(self, caller: Caller) -> None:
        assert self._timer is not None
        self._timer.cancel()
        self._timer = None
        self.caller, self._headers = caller, _NO_HEADERS
        self._state = _State.READY
        self.service.streams.identified(self)
        self.wire.send(b'{"type":"connection_ack"}')

    def _refuse_init(self, _: Message) -> None:
        self.close(4429, "Too many initialisation requests")

    def _pong(self, message: Ping) -> None:
        self.wire.send(pong(message.payload))

    def _refuse_operation(self, _: Message) -> None:
        self.close(4401, "Unauthorized")

    def _subscribe(self, message: Subscribe) -> None:
        service, operation_id = self.service, message.id
        if operation_id in self.operations:
            self.close(4409, f"Subscriber for {operation_id} already exists")
            return
        request = HttpRequest("GET", "/graphql", b"", {}, ClientConnection())
        outer = REQUEST_ID.set(request.id)
        try:
            if message.payload.query is None and message.payload.document_id is None and not message.payload.extensions:
                self.close(4400, "`payload` of `subscribe` has no `query`.")
                return
            self._start(operation_id, message.payload, request)
        except GatewayError as refusal:
            service.recorder.refused(request, refusal, refusal.http_status)
            self.wire.send(error(operation_id, [Failure(refusal).as_json()]))
        except Exception as fault:
            masked = mask(fault)
            service.recorder.failed(request, masked)
            self.wire.send(error(operation_id, [Failure(masked).as_json()]))
        finally:
            REQUEST_ID.reset(outer)

    def _start(self, operation_id: str, graphql_request: GraphQLRequest, request: HttpRequest) -> None:
        """Start an operation; raises `GatewayError` for one that is refused."""
        service, caller = self.service, self.caller
        assert caller is not None
        most = service.streams.limits.operations_per_socket
        if len(self.operations) >= most:
            raise Overloaded(
                f"This socket has {most} operations in progress, as many as it may. Complete one of them first."
            )
        document, digest = service.documents.find(graphql_request)
        operation = Operation(
            document=document,
            variables=graphql_request.variables,
            name=graphql_request.operation_name or None,
            caller=caller.name,
            services=caller.services,
            defer="defer" in document,
            request_id=request.id,
        )
        if "subscription" in document and service.account.is_subscription(operation):
            service.streams.check_drain()
            subscription = service.account.subscribe(operation)
            if isinstance(subscription, Outcome):
                self.answer(operation_id, subscription, request, caller)
                return
            if digest is not None:
                service.documents.remember(digest, document)
            subscribed = SocketSubscription(self, operation_id, operation, subscription)
            self.operations[operation_id] = subscribed
            service.recorder.subscribed(request.id, self.transport, caller.name, operation.name)
            subscribed.send()
            return
        outcome = service.account.start(operation)
        remember = partial(service.documents.remember, digest, document) if digest is not None else None
        query = SocketQuery(self, operation_id, request, caller, remember)
        self.operations[operation_id] = query
        if isinstance(outcome, Outcome):
            query.answer(outcome)
        else:
            query.wait(outcome)

    def answer(self, operation_id: str, outcome: Outcome, request: HttpRequest, caller: Caller) -> None:
        """Send a whole outcome: `next` and `complete`, or `error` if it was not executed."""
        self.service.recorder.executed(request, outcome, caller)
        if outcome.executed:
            self.wire.send(prefix(operation_id) + encode_outcome(outcome) + b"}")
            self.wire.send(complete(operation_id))
        else:
            self.wire.send(error(operation_id, [failure.as_json() for failure in outcome.failures]))

    def _complete(self, message: Complete) -> None:
        operation = self.operations.pop(message.id, None)
        if operation is not None:
            operation.stop(End.LEFT)


_RULES: dict[tuple[_State | None, type[Message]], Callable[[Socket, Any], None]] = {
    (_State.NEW, ConnectionInit): Socket._init,
    (None, ConnectionInit): Socket._refuse_init,
    (None, Ping): Socket._pong,
    (None, Subscribe): Socket._refuse_operation,
    (_State.READY, Subscribe): Socket._subscribe,
    (_State.READY, Complete): Socket._complete,
}
"""What a socket does with a message in a state; None means in any other."""


def _token(payload: dict[str, Any] | None) -> str | None:
    """Return the `Authorization` in the payload of `connection_init`, or in its `headers`; None without one."""
    for values in (payload, (payload or {}).get("headers")):
        if isinstance(values, dict):
            for name, value in values.items():
                if name.lower() == "authorization" and isinstance(value, str):
                    return value
    return None
