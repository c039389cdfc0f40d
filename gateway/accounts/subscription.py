"""One subscription: the payloads that wait for its subscriber, in a bounded queue, and whether it has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import Protocol

import msgspec

from gateway.graph.subscription import DeliveriesReady
from gateway.source.history import Position
from gateway.source.journal import Update
from gateway.twilio.events import Change

__all__ = ["READY", "EndReason", "Payload", "PositionedUpdate", "Subscription", "whole_seconds"]


class EndReason(Enum):
    """Why a subscription has ended, as far as the account decides it."""

    COMPLETE = "complete"
    """It is over for good. The payload before says why, as errors."""
    RESTART = "restart"
    """The gateway is about to stop. The same subscription can be made at another process, or at this one's successor."""
    TOO_SLOW = "too slow"
    """The subscriber did not take its payloads in time."""


class PositionedUpdate(msgspec.Struct, frozen=True, gc=False):
    """An update, and the cursor of the position after it."""

    update: Update
    cursor: str

    def after(self, earlier: PositionedUpdate) -> PositionedUpdate:
        """Return this event for a subscriber that has not been sent an earlier one of the same record."""
        event, before = self.update.event, earlier.update.before
        if earlier.update.event.change is Change.ADDED and event.change is Change.UPDATED:
            event = msgspec.structs.replace(event, change=Change.ADDED)
        elif before == self.update.before:
            return self
        return PositionedUpdate(msgspec.structs.replace(self.update, event=event, before=before), self.cursor)


class Payload:
    """An event, or a `DeliveriesReady`, and the bytes that are sent for it once it has been executed."""

    __slots__ = ("__weakref__", "body", "event", "is_executing", "waiting")

    def __init__(self, event: PositionedUpdate | DeliveriesReady | None, body: bytes | None = None) -> None:
        """Stand for an event, or for a body without one."""
        self.event = event
        self.body = body
        self.is_executing = False
        self.waiting: list[Subscription] = []
        """Those whose queue it is first in, while it is executed."""


class _Group(Protocol):
    """What a subscription needs of its group."""

    def execute(self, payload: Payload) -> None:
        """Execute a payload, unless that is under way; its `body` is set now or later, and `waiting` are notified."""

    def payload_of(self, event: PositionedUpdate) -> Payload:
        """Return the payload of an event that differs from the one that all subscribers are sent."""

    def leave(self, subscription: Subscription, ended: EndReason | None) -> None:
        """Remove a subscription that ends, or that its subscriber leaves."""


READY = "ready"
"""The key of `DeliveriesReady` after the first one."""


class Subscription:
    """One subscriber."""

    __slots__ = ("_group", "_most", "_queue", "after", "caller", "ended", "is_open", "on_ready", "since")

    def __init__(self, group: _Group, caller: str, most: int, after: Position | None) -> None:
        """Create the subscription of a caller, whose queue holds at most that many payloads, after a position."""
        self._group: _Group | None = group
        self._queue: dict[str, Payload] | None = None
        """Payloads by the path of their record, the oldest first; None while none waits."""
        self._most = most
        self.caller = caller
        self.after = after
        self.since = 0
        """The number of the last event of the process that it is not sent."""
        self.is_open = False
        """Whether it has been sent `DeliveriesReady`."""
        self.ended: EndReason | None = None
        """Why it has ended. After COMPLETE, what waits is still taken first."""
        self.on_ready: Callable[[], object] | None = None
        """Called synchronously when `take` may no longer return None, and when the subscription ends. It must not raise."""

    def __repr__(self) -> str:
        state = self.ended.value if self.ended is not None else "open" if self.is_open else "starting"
        return (
            f"<Subscription {'left' if self._group is None and self.ended is None else state}, {self.waiting} waiting>"
        )

    @property
    def waiting(self) -> int:
        """The number of payloads that have not been taken."""
        return len(self._queue) if self._queue is not None else 0

    def take(self) -> bytes | EndReason | None:
        """Return the next payload, the JSON of an `ExecutionResult`; why the subscription ended; or None if nothing waits."""
        queue = self._queue
        if queue is None:
            return self.ended
        key, payload = next(iter(queue.items()))
        if payload.body is None and self._group is not None:
            self._group.execute(payload)
        if payload.body is None:
            if self not in payload.waiting:
                payload.waiting.append(self)
            return None
        del queue[key]
        if not queue:
            self._queue = None
        return payload.body

    async def next(self) -> bytes | EndReason:
        """Return what `take` does as soon as that is not None. It takes the place of `on_ready`."""
        while (found := self.take()) is None:
            ready = asyncio.Event()
            self.on_ready = ready.set
            await ready.wait()
        return found

    def close(self) -> None:
        """End the subscription, since the subscriber has left; a second call has no effect."""
        group, self._group, self._queue, self.on_ready = self._group, None, None, None
        if group is not None:
            group.leave(self, None)

    def push(self, key: str, payload: Payload) -> None:
        """Let a payload wait, in place of an earlier one with the same key; end the subscription if too many wait."""
        group, queue = self._group, self._queue
        if group is None or self.ended is not None:
            return
        if queue is None:
            self._queue = {key: payload}
            self.notify()
            return
        earlier = queue.pop(key, None)
        if (
            earlier is not None
            and isinstance(earlier.event, PositionedUpdate)
            and isinstance(payload.event, PositionedUpdate)
        ):
            merged = payload.event.after(earlier.event)
            if merged is not payload.event:
                payload = group.payload_of(merged)
        queue[key] = payload
        if len(queue) > self._most:
            group.leave(self, EndReason.TOO_SLOW)

    def replay(self, events: list[PositionedUpdate]) -> None:
        """Let past events wait, which do not count for the bound of the queue."""
        group = self._group
        assert group is not None
        self._most += len(events)
        for event in events:
            self.push(event.update.event.path, group.payload_of(event))

    def end(self, reason: EndReason, last: Payload | None = None) -> None:
        """End it, with a last payload before COMPLETE; for any other reason, what waits is dropped."""
        if last is not None:
            self.push("last", last)
        else:
            self._queue = None
        self.ended = reason
        self.notify()
        if self._queue is None:
            self._group = None

    def notify(self) -> None:
        """Call back: there is something to take."""
        if self.on_ready is not None:
            self.on_ready()


def whole_seconds(seconds: float) -> int:
    """Return the seconds between two polls as an integer for clients, at least 1."""
    return max(1, round(seconds))
