"""An operation on a WebSocket: a subscription, or a query with one result or several."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import TYPE_CHECKING

import orjson

from gateway.accounts.coalescing import OperationWaiter
from gateway.accounts.operation import Operation
from gateway.accounts.subscriptions import EndReason, Subscription
from gateway.callers.callers import Caller
from gateway.errors import GatewayError
from gateway.execution.failures import Failure, mask
from gateway.execution.outcome import Outcome
from gateway.log import REQUEST_ID
from gateway.web.connection import ClientDisconnected
from gateway.web.graphql_over_http import EVENTS
from gateway.web.incremental import Delivery, Payloads
from gateway.web.request import HttpRequest
from gateway.web.socket_messages import complete, error, prefix
from gateway.web.streams import REASONS, End

if TYPE_CHECKING:
    from gateway.web.sockets import Socket

__all__ = ["SocketQuery", "SocketSubscription"]

_DEFERRED = Delivery(EVENTS)
"""The format of deferred fragments: a client cannot name one."""


class SocketSubscription:
    """A subscription on a socket."""

    __slots__ = ("_events", "_id", "_operation", "_prefix", "_socket", "_started_at", "_subscription")

    def __init__(self, socket: Socket, operation_id: str, operation: Operation, subscription: Subscription) -> None:
        self._socket = socket
        self._id = operation_id
        self._prefix = prefix(operation_id)
        self._operation = operation.request_id, operation.caller, operation.name
        self._subscription = subscription
        self._started_at = time.perf_counter()
        self._events = 0
        subscription.on_ready = self.send

    def send(self) -> None:
        """Send what waits, as long as the peer reads."""
        socket, subscription = self._socket, self._subscription
        on_payload = socket.service.streams.on_payload
        while (
            not socket.wire.is_paused
            or subscription.ended is EndReason.TOO_SLOW
            or subscription.ended is EndReason.RESTART
        ):
            item = subscription.take()
            if item is None:
                return
            if isinstance(item, bytes):
                self._events += 1
                if on_payload is not None:
                    on_payload(socket, item)
                socket.wire.send(b"%b%b}" % (self._prefix, item))
            elif item is EndReason.COMPLETE:
                del socket.operations[self._id]
                socket.wire.send(complete(self._id))
                self.stop(End.COMPLETE)
                return
            else:
                socket.end(REASONS[item])
                return

    def stop(self, reason: End) -> None:
        """Leave the subscription."""
        self._subscription.on_ready = None
        self._subscription.close()
        request_id, caller, name = self._operation
        self._socket.service.recorder.unsubscribed(
            request_id,
            self._socket.transport,
            caller,
            name,
            reason=reason.value,
            events=self._events,
            seconds=time.perf_counter() - self._started_at,
        )


class SocketQuery:
    """An operation on a socket that is no subscription: it has one result, or several with `@defer`."""

    __slots__ = ("_caller", "_id", "_remember", "_request", "_socket", "_task", "_waiter")

    def __init__(
        self,
        socket: Socket,
        operation_id: str,
        request: HttpRequest,
        caller: Caller,
        remember: Callable[[], object] | None = None,
    ) -> None:
        """Create the operation; `remember` persists its document, and is called if it was executed."""
        self._socket = socket
        self._id = operation_id
        self._request = request
        self._caller = caller
        self._remember = remember
        self._waiter: OperationWaiter | None = None
        self._task: asyncio.Task[None] | None = None

    def wait(self, waiter: OperationWaiter) -> None:
        """Answer once the outcome is there."""
        self._waiter = waiter
        waiter.add_done_callback(self._done)

    def answer(self, outcome: Outcome) -> None:
        """Send the outcome, or its payloads as they come."""
        self._waiter = None
        if self._remember is not None and outcome.executed:
            self._remember()
        if outcome.subsequent is not None:
            self._task = asyncio.create_task(self._send_payloads(outcome))
            return
        self._socket.operations.pop(self._id, None)
        self._socket.answer(self._id, outcome, self._request, self._caller)

    def send(self) -> None:
        """Do nothing: results do not wait for the peer."""

    def stop(self, reason: End) -> None:
        """Cancel what the operation waits for."""
        if self._waiter is not None:
            self._waiter.cancel()
        if self._task is not None:
            self._task.cancel()
        if self._waiter is not None or self._task is not None:
            self._socket.service.recorder.aborted(self._request, ClientDisconnected())

    def _done(self, waiter: OperationWaiter) -> None:
        outer = REQUEST_ID.set(self._request.id)
        try:
            self.answer(waiter.result())
        except Exception as refusal:
            self._fail(refusal)
        finally:
            REQUEST_ID.reset(outer)

    def _fail(self, cause: Exception) -> None:
        recorder = self._socket.service.recorder
        self._waiter = self._task = None
        self._socket.operations.pop(self._id, None)
        if isinstance(cause, GatewayError):
            shown: GatewayError = cause
            recorder.refused(self._request, cause, cause.http_status)
        else:
            shown = masked = mask(cause)
            recorder.failed(self._request, masked)
        self._socket.wire.send(error(self._id, [Failure(shown).as_json()]))

    async def _send_payloads(self, outcome: Outcome) -> None:
        """Send the payloads of an operation with deferred fragments, in the format that all clients read."""
        REQUEST_ID.set(self._request.id)
        payloads, wire, start = Payloads(_DEFERRED), self._socket.wire, prefix(self._id)
        subsequent = outcome.subsequent
        assert subsequent is not None
        try:
            async with aclosing(subsequent):
                wire.send(start + orjson.dumps(payloads.initial(outcome)) + b"}")
                has_next = True
                while has_next:
                    payload = await anext(subsequent)
                    has_next = payload.has_next
                    wire.send(start + orjson.dumps(payloads.subsequent(payload)) + b"}")
        except Exception as fault:
            self._fail(fault)
            return
        self._task = None
        self._socket.operations.pop(self._id, None)
        wire.send(complete(self._id))
        self._socket.service.recorder.executed(self._request, outcome, self._caller)
