"""Operations in progress: they run without tasks, and equal ones at the same time share one execution."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from msgspec.structs import replace

from gateway.accounts.operation import OperationKey
from gateway.execution.outcome import Outcome

__all__ = ["OperationWaiter", "RunningOperation", "wait_for"]


class _Pending(Protocol):
    """What is waited for."""

    @property
    def is_done(self) -> bool:
        """Whether there is a result."""

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call `callback` as soon as it is done."""

    def cancel(self) -> None:
        """Stop waiting, if it is not done."""


async def wait_for(pending: _Pending) -> None:
    """Wait, in a task, until something is done that calls back; cancel it if this is cancelled."""
    if not pending.is_done:
        done = asyncio.Event()
        pending.add_done_callback(lambda _: done.set())
        try:
            await done.wait()
        finally:
            pending.cancel()


class RunningOperation:
    """An operation in progress. It is cancelled when its last waiter is.

    Its coroutine starts immediately, and continues in the callbacks of the futures that it awaits. A task would start it in the
    next turn of the event loop only, and would take longer than everything else here. Since there is none, code that needs
    `asyncio.current_task`, such as `asyncio.timeout`, does not work in the coroutine: it has to create a task for that.
    """

    __slots__ = (
        "_awaited",
        "_must_cancel",
        "_result",
        "_running",
        "_waiters",
        "_work",
        "is_done",
        "key",
        "request_id",
    )

    _work: Coroutine[Any, Any, Outcome]

    def __init__(
        self,
        running: dict[OperationKey, RunningOperation],
        key: OperationKey | None,
        work: Coroutine[Any, Any, Outcome] | None,
        request_id: str,
    ) -> None:
        """Start `work`, which only a subclass may leave out. Until it ends, the operation is in `running`, if it has a key."""
        self.request_id = request_id
        """The id of the request that started it."""
        self.is_done = False
        self._running = running
        self.key = key
        """What equal operations have in common, if they may share its outcome."""
        if work is not None:
            self._work = work
        self._awaited: asyncio.Future[Any] | None = None
        """The future that the coroutine awaits."""
        self._must_cancel = False
        """Whether the coroutine is to be cancelled in its next step: what it awaited was done when it was cancelled."""
        self._result: Outcome | BaseException | None = None
        self._waiters: list[OperationWaiter] = []
        self._begin()
        if key is not None and not self.is_done:
            running[key] = self

    def result(self) -> Outcome:
        """Return the outcome of an operation that is done, or raise what it raised."""
        assert self._result is not None
        if isinstance(self._result, BaseException):
            raise self._result
        return self._result

    def add(self, waiter: OperationWaiter) -> None:
        """Add a waiter, to be called back when the operation is done."""
        self._waiters.append(waiter)

    def remove(self, waiter: OperationWaiter) -> None:
        """Remove a waiter, and cancel the operation if it was the last one."""
        self._waiters.remove(waiter)
        if not self._waiters:
            self._remove()  # No other request may join an operation that is about to be cancelled.
            self._cancel()

    def _begin(self) -> None:
        self._step()

    def _run(self, work: Coroutine[Any, Any, Outcome]) -> None:
        self._work = work
        self._step()

    def _cancel(self) -> None:
        self._must_cancel = self._awaited is None or not self._awaited.cancel()

    def _step(self, _: asyncio.Future[Any] | None = None) -> None:
        """Run the coroutine until it awaits a future, or ends."""
        try:
            if self._must_cancel:
                self._must_cancel = False
                awaited = self._work.throw(asyncio.CancelledError())
            else:
                awaited = self._work.send(None)
        except StopIteration as end:
            self._end(end.value)
        except BaseException as error:
            self._end(error)
        else:
            self._awaited = awaited
            if awaited is None:  # A bare `yield`, as in asyncio.sleep(0).
                asyncio.get_running_loop().call_soon(self._step)
            else:
                awaited._asyncio_future_blocking = False  # As a task does.
                awaited.add_done_callback(self._step)

    def _end(self, result: Outcome | BaseException) -> None:
        self.is_done = True
        self._result = result
        self._awaited = None
        self._remove()
        waiters, self._waiters = self._waiters, []
        outcome = result if isinstance(result, Outcome) else None
        for waiter in waiters:
            waiter.finish(outcome)

    def _remove(self) -> None:
        if self.key is not None and self._running.get(self.key) is self:
            del self._running[self.key]


class OperationWaiter:
    """One request's wait for an operation. It resembles a future, except that the callback is called immediately."""

    __slots__ = ("_callback", "_is_shared", "_on_end", "_running", "is_done")

    def __init__(self, running: RunningOperation, on_end: Callable[[Outcome | None], None], *, is_shared: bool) -> None:
        """Wait for `running`, which `is_shared` says was started for another request.

        `on_end` is called once: with the outcome, or with None when the wait is cancelled or the operation raises.
        """
        self.is_done = False
        """Whether there is a result; false after `cancel`."""
        self._running = running
        self._is_shared = is_shared
        self._on_end: Callable[[Outcome | None], None] | None = on_end
        self._callback: Callable[[OperationWaiter], None] | None = None
        running.add(self)

    def add_done_callback(self, callback: Callable[[OperationWaiter], None]) -> None:
        """Call `callback` with this waiter as soon as it is done; never after `cancel`. There can be only one."""
        self._callback = callback

    def result(self) -> Outcome:
        """Return the outcome, which must not be modified, or raise what the operation raised."""
        outcome = self._running.result()
        return replace(outcome, calls=0, shared_with=self._running.request_id) if self._is_shared else outcome

    def cancel(self) -> None:
        """Stop waiting, if it is not done."""
        if self._on_end is not None:
            self._callback = None
            self._running.remove(self)
            self._notify(None)

    def finish(self, outcome: Outcome | None) -> None:
        """Call back: the operation is done, with this outcome unless it raised."""
        self.is_done = True
        self._notify(outcome)
        callback, self._callback = self._callback, None
        if callback is not None:
            callback(self)

    async def wait(self) -> Outcome:
        """Return what `result` does once it is done; cancel the wait if this is cancelled."""
        await wait_for(self)
        return self.result()

    def _notify(self, outcome: Outcome | None) -> None:
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end(outcome)
