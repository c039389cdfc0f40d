"""How many responses are processed in one turn of the event loop.

The responses to the requests of an operation, or of several, arrive together. If all were processed in one turn, a request to
the gateway that arrives meanwhile would wait for all of them, and a reply that is complete would be sent after them. Operations
would fall into step, and the event loop would be idle while all of them wait for Twilio. So a turn has a maximum; not where the
event loop is never idle: there it would gain nothing, and take a tenth more CPU time.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

__all__ = ["Reader", "Turns"]


class Reader(Protocol):
    """A connection that has received bytes."""

    def read(self) -> None:
        """Process them, if they have not been processed meanwhile."""


class Turns:
    """Counts the responses of each turn; those beyond the maximum are postponed to the next turns, in their order."""

    MOST = 32
    """Responses in one turn, while the event loop has been idle of late."""
    _IDLE_SECONDS = 0.002
    """The time without work from which on the event loop counts as idle."""
    _LATELY_SECONDS = 0.03
    """For how long turns have a maximum after idle time: longer than most bursts of responses take."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        """Count the turns of `loop`, whose thread has used the seconds of CPU time that `cpu_clock` returns."""
        self._loop = loop
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._left: float = 0
        """The responses that may still be processed in this turn."""
        self._is_begun = False
        self._postponed: deque[Reader] = deque()
        self._asked_at = clock()
        self._idle = self._asked_at - cpu_clock()
        """Seconds without CPU time, from an arbitrary time until `_asked_at`."""
        self._idle_until = 0.0
        """Until when turns have a maximum."""

    def take(self) -> bool:
        """Count a response, and return whether it may be processed in this turn."""
        if not self._is_begun:
            self._begin()
        if self._postponed or not self._left:
            return False
        self._left -= 1
        return True

    def postpone(self, reader: Reader) -> None:
        """Have `reader` read in one of the next turns."""
        self._postponed.append(reader)

    def _begin(self) -> None:
        now = self._clock()
        if now - self._asked_at > self._IDLE_SECONDS:
            idle = now - self._cpu_clock()
            if idle - self._idle > self._IDLE_SECONDS:
                self._idle_until = now + self._LATELY_SECONDS
            self._idle, self._asked_at = idle, now
        self._left = self.MOST if now < self._idle_until else float("inf")
        self._is_begun = True
        self._loop.call_soon(self._end)

    def _end(self) -> None:
        """Begin the next turn with the postponed responses, if there are any."""
        self._is_begun = False
        readers = self._postponed
        if readers:
            self._begin()
            while readers and self._left:
                self._left -= 1
                readers.popleft().read()
