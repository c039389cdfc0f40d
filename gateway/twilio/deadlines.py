"""Deadlines that share one timer: to start and cancel one for each takes longer than most other parts of a small request."""

from __future__ import annotations

import asyncio
from typing import Protocol

__all__ = ["Deadlines", "Expiring"]


class Expiring(Protocol):
    """An object with a deadline."""

    def expire(self) -> None:
        """Stop waiting: the deadline has passed."""


class Deadlines:
    """The deadlines of objects, in seconds of the event loop's time.

    Most timeouts are equal, so that deadlines are added in their order. An earlier one has its own timer.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._deadlines: dict[Expiring, float] = {}
        """The earliest first."""
        self._latest = 0.0
        """The last of them."""
        self._timer: asyncio.TimerHandle | None = None
        """Set for the first of them, or for an earlier time."""
        self._own_timers: dict[Expiring, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._deadlines) + len(self._own_timers)

    def add(self, waiting: Expiring, deadline: float) -> None:
        """Call `waiting.expire` at the deadline, unless it is removed before."""
        if deadline < self._latest and self._deadlines:
            self._own_timers[waiting] = self._loop.call_at(deadline, self._expire_early, waiting)
            return
        self._deadlines[waiting] = self._latest = deadline
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._expire)

    def remove(self, waiting: Expiring) -> None:
        """Remove an object's deadline, if it has one."""
        if self._deadlines.pop(waiting, None) is None and self._own_timers:
            timer = self._own_timers.pop(waiting, None)
            if timer is not None:
                timer.cancel()

    def clear(self) -> None:
        """Remove all deadlines, and stop the timers."""
        for timer in (self._timer, *self._own_timers.values()):
            if timer is not None:
                timer.cancel()
        self._timer = None
        self._deadlines.clear()
        self._own_timers.clear()

    def _expire(self) -> None:
        """Expire the late ones, and set the timer for the first of the others."""
        self._timer = None
        now = self._loop.time()
        while self._deadlines:
            waiting, deadline = next(iter(self._deadlines.items()))
            if deadline > now:
                self._timer = self._loop.call_at(deadline, self._expire)
                break
            del self._deadlines[waiting]
            try:
                waiting.expire()
            except Exception as error:  # The others are late too.
                self._loop.call_exception_handler({"message": "A callback of a deadline failed.", "exception": error})

    def _expire_early(self, waiting: Expiring) -> None:
        del self._own_timers[waiting]
        waiting.expire()
