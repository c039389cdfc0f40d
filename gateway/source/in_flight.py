"""Single-flight: concurrent reads of one key share one fetch, which goes on as long as one of its waiters is left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from gateway.errors import GatewayError
from gateway.source.options import ReadOptions
from gateway.twilio.client import Attempt, AttemptListener, Client, Decode, Fetch
from gateway.twilio.transport import timed_out

__all__ = ["InFlightRead", "InFlightReads", "Waiter"]

Store = Callable[[str, Any, bytes], None]
"""Called with the key, the value and the response's body when a read has succeeded, before its waiters get the value."""


class InFlightReads:
    """The reads of one account that are in flight, by key."""

    def __init__(self, client: Client, decode: Decode[Any], store: Store) -> None:
        """Read with `client` and `decode`, and pass every value to `store`."""
        self._client = client
        self._decode = decode
        self._store = store
        self._reads: dict[str, InFlightRead] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._reads

    def join(self, key: str, waiter: Waiter) -> None:
        """Let `waiter` wait for the read of `key` that is in flight, or start one.

        A waiter with `no_cache` starts its own read, which those that come later join.
        """
        read = self._reads.get(key)
        if read is not None and not waiter.options.no_cache:
            read.add(waiter)
            return
        waiter.is_first = True
        read = self._reads[key] = InFlightRead(key, waiter, self._reads, self._store)
        fetch = self._client.fetch(key, self._decode, read, caller=waiter.options.caller)
        if fetch.is_wanted:
            read.fetch = fetch


class Waiter(asyncio.Future[Any]):
    """One request's wait for one key: a future of the value, or of the `GatewayError` why there is none.

    To cancel it is to leave the read, which is cancelled with its last waiter.
    """

    __slots__ = ("is_cached", "is_first", "options", "read")

    def __init__(self, options: ReadOptions) -> None:
        """Create a waiter on the running event loop."""
        super().__init__()
        self.options = options
        self.read: InFlightRead | None = None
        """The read that it waits for; None once it is done, and for what is cached or another process is reading."""
        self.is_first = False
        """Whether the upstream call was made for this waiter; the others share it."""
        self.is_cached = False
        """Whether the value was cached."""

    def cancel(self, msg: Any | None = None) -> bool:
        """Leave the read."""
        if self.read is not None:
            self.read.remove(self)
        return super().cancel(msg)

    def expire(self) -> None:
        """Leave the read with `UpstreamTimeout` as the result."""
        if not self.done():
            if self.read is not None:
                self.read.remove(self)
            self.set_result(timed_out())


class InFlightRead:
    """A fetch, and those who wait for it. It is the fetch's `Receiver`."""

    __slots__ = ("_key", "_reads", "_store", "fetch", "on_attempt", "waiters")

    def __init__(self, key: str, waiter: Waiter, reads: dict[str, InFlightRead], store: Store) -> None:
        self.fetch: Fetch | None = None
        """Set while it is in flight. The two refer to each other, and are to be freed without the garbage collector."""
        self.on_attempt: AttemptListener | None = None
        """Tells the waiters of an attempt, if one of them listens."""
        self.waiters = [waiter]
        self._key = key
        self._reads = reads
        self._store = store
        waiter.read = self
        if waiter.options.attempt_listener is not None:
            self.on_attempt = self._notify

    @property
    def deadline(self) -> float | None:
        """The latest deadline of a waiter; None when one has no limit."""
        latest = 0.0
        for waiter in self.waiters:
            if waiter.options.deadline is None:
                return None
            latest = max(latest, waiter.options.deadline)
        return latest

    def add(self, waiter: Waiter) -> None:
        """Add a waiter."""
        waiter.read = self
        self.waiters.append(waiter)
        if waiter.options.attempt_listener is not None:
            self.on_attempt = self._notify

    def remove(self, waiter: Waiter) -> None:
        """Remove a waiter, which is told of the attempt so far, and cancel the fetch if it was the last one."""
        fetch, listener = self.fetch, waiter.options.attempt_listener
        assert fetch is not None
        attempt = fetch.attempt() if listener is not None else None
        if listener is not None and attempt is not None:
            listener(self._key, attempt)
        waiter.read = None
        self.waiters.remove(waiter)
        if not self.waiters:
            self._end()
            fetch.cancel()

    def completed(self, value: Any, body: bytes) -> None:
        """Store the value, and give it to all waiters."""
        try:
            self._store(self._key, value, body)
        except Exception as fault:
            self.failed(fault, 1)
            return
        for waiter in self._end():
            waiter.set_result(value)

    def failed(self, error: Exception, attempts: int) -> None:
        """Give the error to all waiters: a `GatewayError` as the result, a bug as the exception."""
        for waiter in self._end():
            if not attempts:
                waiter.is_first = False
            if isinstance(error, GatewayError):
                waiter.set_result(error)
            else:
                waiter.set_exception(error)

    def _end(self) -> list[Waiter]:
        if self._reads.get(self._key) is self:  # Not when a read with `no_cache` has taken its place.
            del self._reads[self._key]
        self.fetch = self.on_attempt = None
        for waiter in self.waiters:
            waiter.read = None
        return self.waiters

    def _notify(self, target: str, attempt: Attempt) -> None:
        for waiter in self.waiters:
            listener = waiter.options.attempt_listener
            if listener is not None:
                listener(target, attempt)
