"""The events of a subscription, as a test awaits them."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

    from gateway.accounts.account import Account
    from gateway.accounts.operation import Operation
    from gateway.accounts.subscriptions import Subscription
    from gateway.callers.callers import Caller
    from gateway.sandbox import Sandbox
    from gateway.web.streams import End, Streams

__all__ = ["Events", "SubscriptionEnded"]


class SubscriptionEnded(Exception):
    """A subscription was refused, or has ended; no event follows."""

    def __init__(self, reason: str, errors: list[dict[str, Any]]) -> None:
        said = "; ".join(str(error["message"]) for error in errors)
        super().__init__(f"The subscription has ended ({reason})" + (f": {said}" if said else "."))
        self.reason = reason
        """`refused`, `complete`, `dead` for a connection that was cut, `token`, `restart` or `too_slow`."""
        self.errors = errors

    @property
    def codes(self) -> list[str]:
        """The errors' codes."""
        return [error["extensions"]["code"] for error in self.errors]


class _Received:
    """What has arrived for one subscriber; a `Stream` within the process. It is used in the event loop alone."""

    transport = "in process"
    caller: Caller | None = None

    def __init__(self, subscription: Subscription, streams: Streams) -> None:
        self.events: list[dict[str, Any]] = []
        self.errors: list[dict[str, Any]] = []
        self.ended: str | None = None
        self._subscription = subscription
        self._streams = streams
        self._changed = asyncio.Event()
        self._waiting: list[bytes] | None = None
        """What was sent since the stream stalls; None while it does not."""
        subscription.on_ready = self._take
        self._take()

    async def changed(self) -> None:
        """Wait until more has arrived, or the subscription has ended."""
        self._changed.clear()
        await self._changed.wait()

    def end(self, reason: End) -> None:
        """End the subscription."""
        from gateway.execution.failures import Failure
        from gateway.web.streams import End, error_of

        if self.ended is None:
            self.ended = reason.value
            if reason not in {End.COMPLETE, End.DEAD, End.LEFT}:
                self.errors = [Failure(error_of(reason)).as_json()]
            self._subscription.on_ready = None
            self._subscription.close()
            self._changed.set()

    def stall(self, seconds: float | None) -> None:
        """Let what is sent wait for some seconds, or for good."""
        if self._waiting is None:
            self._waiting = []
            if seconds is not None:
                asyncio.get_running_loop().call_later(seconds, self._resume)

    def _resume(self) -> None:
        waiting, self._waiting = self._waiting or [], None
        if self.ended is None:
            for payload in waiting:
                self._receive(payload)
            self._take()

    def _take(self) -> None:
        """Receive what the subscription has."""
        from gateway.web.streams import REASONS

        on_payload = self._streams.on_payload
        while self.ended is None and self._waiting is None:
            item = self._subscription.take()
            if item is None:
                return
            if not isinstance(item, bytes):
                self.end(REASONS[item])
                return
            if on_payload is not None:
                on_payload(self, item)
            if self._waiting is not None:
                self._waiting.append(item)
            elif self.ended is None:
                self._receive(item)

    def _receive(self, payload: bytes) -> None:
        answer = json.loads(payload)
        if answer.get("data") is None:
            self.errors = answer["errors"]
        else:
            self.events.append(answer["data"])
        self._changed.set()


class Events:
    """The events of one subscription, within `async with` or `with`."""

    def __init__(
        self, sandbox: Sandbox, account: Account, streams: Streams, portal: BlockingPortal, operation: Operation
    ) -> None:
        """Initialize with what `Gateway` has, and the operation to subscribe to."""
        self._sandbox = sandbox
        self._account = account
        self._streams = streams
        self._portal = portal
        self._operation = operation
        self._taken = 0
        self._stream: _Received | None = None

    @property
    def received(self) -> list[dict[str, Any]]:
        """The `data` of every event that has arrived so far, in order."""
        return list(self._stream.events) if self._stream is not None else []

    async def __aenter__(self) -> Self:
        """Subscribe; raises `SubscriptionEnded` for a subscription that is refused."""
        await self._portal.call_async(self._open)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._portal.call_async(self._close)

    def __enter__(self) -> Self:
        """Subscribe, as `async with` does."""
        self._portal.call(self._open)
        return self

    def __exit__(self, *_: object) -> None:
        self._portal.call(self._close)

    async def next(self, timeout: float = 2.0) -> dict[str, Any]:  # noqa: ASYNC109  # Its message has what arrived.
        """Return the `data` of the next event, such as `{"deliveryUpdated": {…}}`; the first is `DeliveriesReady`.

        Raises:
            AssertionError: None has arrived in `timeout` seconds. The message has the events before, and the webhooks.
            SubscriptionEnded: None will arrive.
        """
        __tracebackhide__ = True
        return self._next(timeout, await self._portal.call_async(partial(self._has_next, timeout)))

    def next_sync(self, timeout: float = 2.0) -> dict[str, Any]:
        """Return the next event, as `next` does, in a test that is not async."""
        __tracebackhide__ = True
        return self._next(timeout, self._portal.call(partial(self._has_next, timeout)))

    async def nothing(self, seconds: float) -> None:
        """Check that no event arrives for some seconds, and that none waits.

        Raises:
            AssertionError: One does, or the subscription ends. The message shows it.
        """
        __tracebackhide__ = True
        self._nothing(seconds, await self._portal.call_async(partial(self._has_next, seconds)))

    def nothing_sync(self, seconds: float) -> None:
        """Check that no event arrives, as `nothing` does, in a test that is not async."""
        __tracebackhide__ = True
        self._nothing(seconds, self._portal.call(partial(self._has_next, seconds)))

    async def _open(self) -> None:
        from gateway.accounts.subscriptions import Subscription
        from gateway.errors import GatewayError
        from gateway.execution.failures import Failure

        try:
            subscribed = self._account.subscribe(self._operation)
        except GatewayError as error:
            raise SubscriptionEnded("refused", [Failure(error).as_json()]) from None
        if not isinstance(subscribed, Subscription):
            raise SubscriptionEnded("refused", [failure.as_json() for failure in subscribed.failures])
        self._stream = _Received(subscribed, self._streams)

    async def _close(self) -> None:
        from gateway.web.streams import End

        self._opened.end(End.LEFT)

    def _next(self, seconds: float, has_next: bool) -> dict[str, Any]:
        __tracebackhide__ = True
        if not has_next:
            raise AssertionError(f"No event has arrived within {seconds:g} s.{self._shown()}")
        stream = self._opened
        if self._taken == len(stream.events):
            raise SubscriptionEnded(stream.ended or "", stream.errors)
        self._taken += 1
        return stream.events[self._taken - 1]

    def _nothing(self, seconds: float, has_next: bool) -> None:
        __tracebackhide__ = True
        if has_next:
            stream = self._opened
            lines = [json.dumps(event) for event in stream.events[self._taken :]]
            lines += [str(SubscriptionEnded(stream.ended, stream.errors))] if stream.ended is not None else []
            arrived = "".join(f"\n  {line}" for line in lines)
            raise AssertionError(f"Nothing was to arrive within {seconds:g} s, but this did:{arrived}")

    async def _has_next(self, seconds: float) -> bool:
        """Wait until an event has arrived that was not taken, or the subscription has ended; return whether this is so."""
        stream = self._opened
        try:
            async with asyncio.timeout(seconds):
                while self._taken == len(stream.events) and stream.ended is None:
                    await stream.changed()
        except TimeoutError:
            return False
        return True

    def _shown(self) -> str:
        """Return, in lines, what has arrived before, and what the sandbox has sent."""
        events = [json.dumps(event) for event in self._opened.events]
        webhooks = []
        for webhook in self._sandbox.webhooks:
            answer = ", ".join(map(str, webhook.statuses)) or "no answer"
            webhooks.append(f"{webhook.event}: {answer}" + (f" ({webhook.fault})" if webhook.fault else ""))
        lines = ["Events before:", *(events or ["none"]), "Webhooks of the sandbox:", *(webhooks or ["none"])]
        return "".join(f"\n{'' if line.endswith(':') else '  '}{line}" for line in lines)

    @property
    def _opened(self) -> _Received:
        if self._stream is None:
            raise RuntimeError(
                "The subscription has not begun: use `async with receipts_gateway.subscribe(…) as events`."
            )
        return self._stream
