"""One read of one operation, which a coroutine awaits without a future."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from contextvars import Context, copy_context
from typing import Any

import msgspec

from gateway.source.in_flight import Waiter
from gateway.source.source import Source

__all__ = ["SingleRead"]


class SingleRead(Waiter, eq=False):
    """A read by itself: `await` it in the coroutine of a `RunningOperation`, which continues as soon as the value is there.

    A task cannot await it, since a task continues in a later turn of the event loop.
    """

    began_at: float = msgspec.field(default_factory=time.time)
    """Seconds since the epoch."""
    _asyncio_future_blocking: bool = False
    """Set by who steps the coroutine, as on a future of asyncio."""
    _callback: Callable[[SingleRead], object] | None = None
    _context: Context | None = None
    """The context of the callback, with its request's id for the log."""
    _is_cancelled: bool = False
    _timer: asyncio.TimerHandle | None = None

    def start(self, source: Source) -> None:
        """Begin to read, until the deadline of the options."""
        value = source.serve(self.key, self.options)
        if value is not None:
            self.is_cached = True
            self.finish(value)
            return
        source.start([self])
        deadline = self.options.deadline
        if not self.is_done and deadline is not None:
            self._timer = asyncio.get_running_loop().call_at(deadline, self.expire)

    def __await__(self) -> Generator[SingleRead, None, Any]:
        """Return the value, or the error why there is none."""
        if not self.is_done:
            yield self
        if self._is_cancelled:
            raise asyncio.CancelledError
        return self.value

    def add_done_callback(self, callback: Callable[[SingleRead], object]) -> None:
        """Call `callback` as soon as there is a value. There can be only one."""
        self._callback, self._context = callback, copy_context()

    def finish(self, value: Any) -> None:
        """See `Waiter.finish`."""
        self.is_done = True
        self.value = value
        self.read = None
        self._call_back()

    def cancel(self) -> bool:
        """See `Waiter.cancel`; `CancelledError` is raised where it is awaited, in the next turn of the event loop."""
        if not super().cancel():
            return False
        self._is_cancelled = True
        asyncio.get_running_loop().call_soon(self._call_back)
        return True

    def _call_back(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        callback, self._callback = self._callback, None
        if callback is not None and self._context is not None:
            try:
                self._context.run(callback, self)
            except Exception as error:  # Others wait for the same read, or for its connection.
                loop = asyncio.get_running_loop()
                loop.call_exception_handler({"message": "A callback of a read has failed.", "exception": error})
