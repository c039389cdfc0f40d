"""One read of one operation, which a coroutine awaits without a future."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from contextvars import Context, copy_context
from typing import Any

from gateway.source.in_flight import Waiter
from gateway.source.options import ReadOptions
from gateway.source.source import Source

__all__ = ["SingleRead"]


class SingleRead:
    """A read by itself: `await` it in the coroutine of a `RunningOperation`, which continues as soon as the value is there.

    A task cannot await it, since a task continues in a later turn of the event loop.
    """

    __slots__ = ("_asyncio_future_blocking", "_callback", "_context", "_is_cancelled", "_timer", "began_at", "waiter")

    def __init__(self, source: Source, key: str, options: ReadOptions) -> None:
        """Read `key`, until the deadline of the options."""
        self._asyncio_future_blocking = False
        self._callback: Callable[[SingleRead], object] | None = None
        self._context: Context | None = None
        """The context of the callback, such as its request's id in the log."""
        self._is_cancelled = False
        self._timer: asyncio.TimerHandle | None = None
        self.began_at = time.time()
        """Seconds since the epoch."""
        self.waiter = waiter = Waiter(key, options)
        """What has been received, once it is done."""
        value = source.serve(key, options)
        if value is not None:
            waiter.is_cached = True
            waiter.finish(value)
            return
        source.start([waiter])
        if not waiter.is_done:
            waiter.on_done = self._done
            assert options.deadline is not None
            self._timer = asyncio.get_running_loop().call_at(options.deadline, waiter.expire)

    def __await__(self) -> Generator[SingleRead, None, Any]:
        """Return the value, or the error why there is none."""
        if not self.waiter.is_done:
            yield self
        if self._is_cancelled:
            raise asyncio.CancelledError
        return self.waiter.value

    def add_done_callback(self, callback: Callable[[SingleRead], object]) -> None:
        """Call `callback` as soon as there is a value. There can be only one."""
        self._callback, self._context = callback, copy_context()

    def cancel(self) -> bool:
        """Stop waiting, and have `CancelledError` raised in the next turn of the event loop; return whether it was waiting."""
        if self.waiter.is_done:
            return False
        self.waiter.cancel()
        self._is_cancelled = True
        asyncio.get_running_loop().call_soon(self._call_back)
        return True

    def _done(self, _: Waiter) -> None:
        self._call_back()

    def _call_back(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        callback, self._callback = self._callback, None
        if callback is not None and self._context is not None:
            self._context.run(callback, self)
