"""Who is subscribed to what: equal subscriptions are executed once for each event, and the payload is sent to all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum

__all__ = ["EndReason", "Subscription"]


class EndReason(Enum):
    """Why a subscription has ended, as far as the account decides it."""

    COMPLETE = "complete"
    """It is over for good. The payload before says why, as errors."""
    RESTART = "restart"
    """The gateway is about to stop. The same subscription can be made at another process, or at this one's successor."""
    TOO_SLOW = "too slow"
    """The subscriber did not take its payloads in time."""


class Subscription:
    """One subscriber: what waits for it, and whether it has ended."""

    __slots__ = ("on_ready",)

    def __init__(self) -> None:
        self.on_ready: Callable[[], object] | None = None
        """Called synchronously as soon as `take` no longer returns None. It must not raise."""

    def take(self) -> bytes | EndReason | None:
        """Return the next payload, the JSON of an `ExecutionResult`; why the subscription ended; or None if nothing waits."""
        return None

    async def next(self) -> bytes | EndReason:
        """Return what `take` does as soon as that is not None."""
        while (found := self.take()) is None:
            ready = asyncio.Event()
            self.on_ready = ready.set
            await ready.wait()
        return found

    def close(self) -> None:
        """End the subscription, since the subscriber has left; a second call has no effect."""
