"""A reply that is being made: the steps of a request continue in callbacks, without a task."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import Any

from gateway.accounts.coalescing import OperationWaiter, wait_for
from gateway.log import REQUEST_ID
from gateway.web.connection import ClientDisconnected
from gateway.web.request import HttpRequest
from gateway.web.responses import Reply

__all__ = ["PendingReply", "Steps", "start"]

Steps = Generator[OperationWaiter | Awaitable[Any], Any, Reply]
"""The steps to a reply. The generator yields what it waits for, is resumed with its result, and returns the reply."""


def start(request: HttpRequest, steps: Steps) -> Reply | PendingReply:
    """Take the steps to a reply until one has to wait; raises what they raise."""
    outer = REQUEST_ID.set(request.id)
    try:
        return PendingReply(request, steps, next(steps))
    except StopIteration as end:
        reply: Reply = end.value
        return reply
    finally:
        REQUEST_ID.reset(outer)


class PendingReply:
    """The reply to a request whose steps wait for something. When the client disconnects, its operation is cancelled."""

    __slots__ = ("_awaited", "_callback", "_request", "_result", "_steps")

    def __init__(self, request: HttpRequest, steps: Steps, awaited: OperationWaiter | Awaitable[Any]) -> None:
        """Resume `steps` with the result of what they await."""
        self._request = request
        self._steps = steps
        self._awaited: OperationWaiter | asyncio.Future[Any] | None = None
        self._result: Reply | BaseException | None = None
        self._callback: Callable[[PendingReply], None] | None = None
        self._await(awaited)

    @property
    def is_certainly_whole(self) -> bool:
        """Whether it is certain that the reply will be whole."""
        return self._request.is_certainly_whole

    @property
    def is_done(self) -> bool:
        """Whether there is a result."""
        return self._result is not None

    def add_done_callback(self, callback: Callable[[PendingReply], None]) -> None:
        """Call `callback` with this object as soon as it is done. There can be only one."""
        self._callback = callback

    def result(self) -> Reply:
        """Return the reply; raises `ClientDisconnected`, or what else the steps raised."""
        assert self._result is not None
        if isinstance(self._result, BaseException):
            raise self._result
        return self._result

    def cancel(self) -> None:
        """Cancel what the steps wait for, and raise `CancelledError` in them."""
        self._interrupt(asyncio.CancelledError())

    async def wait(self) -> Reply:
        """Return what `result` does once it is done; cancel it if this is cancelled."""
        await wait_for(self)
        return self.result()

    def _await(self, awaited: OperationWaiter | Awaitable[Any]) -> None:
        if isinstance(awaited, OperationWaiter):
            self._awaited = awaited
            self._request.connection.watch(self._disconnected)
            awaited.add_done_callback(self._resume)
        else:
            self._awaited = future = asyncio.ensure_future(awaited)
            future.add_done_callback(self._resume)

    def _disconnected(self) -> None:
        self._interrupt(ClientDisconnected())

    def _interrupt(self, reason: BaseException) -> None:
        awaited = self._awaited
        if awaited is not None:
            awaited.cancel()
            self._advance(self._steps.throw, reason)

    def _resume(self, awaited: OperationWaiter | asyncio.Future[Any]) -> None:
        if awaited is not self._awaited:  # It was interrupted meanwhile.
            return
        try:
            result = awaited.result()
        except BaseException as error:
            self._advance(self._steps.throw, error)
        else:
            self._advance(self._steps.send, result)

    def _advance(self, step: Callable[[Any], OperationWaiter | Awaitable[Any]], value: Any) -> None:
        """Take the next steps, by sending the value or by throwing it as an exception."""
        if isinstance(self._awaited, OperationWaiter):
            self._request.connection.unwatch()
        self._awaited = None
        outer = REQUEST_ID.set(self._request.id)
        try:
            self._await(step(value))
            return
        except StopIteration as end:
            self._result = end.value
        except BaseException as error:
            self._result = error
        finally:
            REQUEST_ID.reset(outer)
        callback, self._callback = self._callback, None
        if callback is not None:
            callback(self)
