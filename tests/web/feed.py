"""Subscriptions whose payloads a test sends itself, where the transport is what is tested and not what is subscribed to."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import Any

from starlette.applications import Starlette

from gateway.accounts.operation import Operation
from gateway.accounts.subscriptions import EndReason
from gateway.errors import GatewayError, ValidationFailed
from gateway.execution.failures import Failure
from gateway.execution.outcome import Outcome

SUBSCRIPTION = "subscription Ticks { tick }"
QUEUE_MAX = 1000


def tick(number: object) -> dict[str, Any]:
    return {"data": {"tick": number}}


class Subscribed:
    """One subscriber, as `gateway.accounts.subscriptions` has them."""

    def __init__(self, feed: Feed) -> None:
        self.on_ready: Any = None
        self.ended: EndReason | None = None
        self._feed = feed
        self._queue: deque[bytes] = deque()

    def take(self) -> bytes | EndReason | None:
        return self._queue.popleft() if self._queue else self.ended

    def close(self) -> None:
        if self in self._feed.subscribers:
            self._feed.subscribers.remove(self)
            self._feed.changed.set()

    def put(self, payload: bytes) -> None:
        if len(self._queue) >= QUEUE_MAX:
            self.end(EndReason.TOO_SLOW)
            return
        self._queue.append(payload)
        self._tell()

    def end(self, reason: EndReason) -> None:
        self.ended = reason
        if reason is not EndReason.COMPLETE:
            self._queue.clear()
        self._tell()

    def _tell(self) -> None:
        if self.on_ready is not None:
            self.on_ready()


class Feed:
    """What an application's subscribers are sent: everything that `send` is called with, after `first`."""

    def __init__(self, app: Starlette) -> None:
        self.subscribers: list[Subscribed] = []
        self.operations: list[Operation] = []
        self.changed = asyncio.Event()
        self.first: list[dict[str, Any]] = []
        self.refusal: GatewayError | None = None
        """Raised in place of a subscription; one of validation becomes an outcome."""
        account = app.state.account
        account.is_subscription = lambda operation: operation.document.startswith("subscription")
        account.subscribe = self._subscribe

    def _subscribe(self, operation: Operation) -> Any:
        self.operations.append(operation)
        if isinstance(self.refusal, ValidationFailed):
            return Outcome(None, (Failure(self.refusal),), executed=False)
        if self.refusal is not None:
            raise self.refusal
        subscribed = Subscribed(self)
        self.subscribers.append(subscribed)
        for payload in self.first:
            subscribed.put(json.dumps(payload).encode())
        self.changed.set()
        return subscribed

    async def until(self, number: int) -> None:
        """Wait until there are that many subscribers."""
        while len(self.subscribers) != number:
            self.changed.clear()
            await self.changed.wait()

    def send(self, payload: dict[str, Any]) -> None:
        text = json.dumps(payload).encode()
        for subscribed in list(self.subscribers):
            subscribed.put(text)

    async def fill(self) -> None:
        """Send to the one subscriber, whose peer does not read, until there is no room for more on the way to it."""
        (subscribed,) = self.subscribers
        while len(subscribed._queue) < QUEUE_MAX // 10:
            self.send(tick("x" * 20_000))
            await asyncio.sleep(0)

    def complete(self, *errors: dict[str, Any]) -> None:
        """End every subscription for good."""
        if errors:
            self.send({"errors": list(errors)})
        self.end(EndReason.COMPLETE)

    def end(self, reason: EndReason) -> None:
        for subscribed in list(self.subscribers):
            subscribed.end(reason)
