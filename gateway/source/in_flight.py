"""Single-flight: concurrent reads of one key share one fetch, which continues as long as one of its waiters is left."""

from __future__ import annotations

from collections.abc import Callable
from time import time
from typing import Any, cast

import msgspec

from gateway.source.options import ReadOptions
from gateway.twilio.client import Attempt, Client, Fetch
from gateway.twilio.paths import list_of
from gateway.twilio.responses import Response
from gateway.twilio.transport import timed_out

__all__ = ["InFlightRead", "InFlightReads", "Waiter"]

DecodeKind = Callable[[str, str, Response], Any]
"""Return the value of the response to a key of a kind, or raise the `GatewayError` that it stands for."""
Store = Callable[[str, Any, bytes, float, bool], Any]
"""Called when a read has succeeded, before its waiters get the value that this returns.

Its arguments are the key, the value, the response's body, when the read began (seconds since the epoch), and whether the value
may be cached."""
Release = Callable[[str], None]
"""Called with the key when a read has ended without a value."""


class Waiter(msgspec.Struct, eq=False):
    """One request's wait for one key: it is called back with the value, or with the error why there is none."""

    key: str
    options: ReadOptions
    on_done: Callable[[Waiter], None] | None = None
    """Called once with this waiter when it is done, unless it is cancelled."""
    value: Any = None
    """The value once it is done, or the error: a `GatewayError`, or else a bug in the gateway."""
    read: InFlightRead | None = None
    """The read that it waits for; None once it is done, and for a key that is cached or that another process reads."""
    is_done: bool = False
    is_first: bool = False
    """Whether the upstream call was made for this waiter; the others share it."""
    is_cached: bool = False
    """Whether the value was cached."""

    __repr__ = object.__repr__  # Its value may be personal.

    def finish(self, value: Any) -> None:
        """Receive the value or the error, and call back."""
        self.is_done = True
        self.value = value
        self.read = None
        on_done, self.on_done = self.on_done, None
        if on_done is not None:
            on_done(self)

    def cancel(self) -> bool:
        """Leave the read, without a value and without a call; return whether it was waiting.

        The read is cancelled with its last waiter.
        """
        if self.is_done:
            return False
        self.is_done = True
        self.on_done = None
        self._leave()
        return True

    def expire(self) -> None:
        """Leave the read with `UpstreamTimeout` as the result."""
        if not self.is_done:
            self._leave()
            self.finish(timed_out())

    def _leave(self) -> None:
        if self.read is not None:
            self.read.remove(self)


class InFlightReads:
    """The reads of one account that are in flight, by key."""

    def __init__(self, client: Client, decode: DecodeKind, store: Store, release: Release | None = None) -> None:
        """Read with `client` and `decode`; pass every value to `store`, and the key of a read without one to `release`."""
        self.decode = decode
        self.store = store
        self.release = release
        self.by_key: dict[str, InFlightRead] = {}
        self._client = client

    def __contains__(self, key: str) -> bool:
        return key in self.by_key

    def detach(self, list_path: str) -> None:
        """Let no further waiters join the reads of a list and its records, nor their values be cached."""
        for key in [key for key in self.by_key if list_of(key) == list_path]:
            self.by_key.pop(key).is_outdated = True

    def join(self, waiter: Waiter) -> None:
        """Let `waiter` wait for the read of its key that is in flight, or start one.

        A waiter with `no_cache`, or that revalidates the key, starts its own read, which those that come later join.
        """
        read, options = self.by_key.get(waiter.key), waiter.options
        if read is not None and not options.no_cache and waiter.key not in options.revalidate:
            read.add(waiter)
            return
        waiter.is_first = True
        self.by_key[waiter.key] = read = InFlightRead(self, waiter)
        self._client.start(read)


class InFlightRead(Fetch):
    """A fetch, and those who wait for it."""

    __slots__ = ("_others", "_reads", "_waiter", "began_at", "is_outdated")

    def __init__(self, reads: InFlightReads, waiter: Waiter) -> None:
        super().__init__(waiter.key, waiter.options.caller)
        if waiter.options.attempt_listener is not None:
            self.on_attempt = self._notify
        self._reads = reads
        self._waiter: Waiter | None = waiter
        """The first waiter; None once it has left, or the read has ended."""
        self._others: list[Waiter] | None = None
        """Further waiters, if there are any."""
        self.began_at = time()
        """Seconds since the epoch."""
        self.is_outdated = False
        """Whether the record or list has changed since the read began, as far as events show."""
        waiter.read = self

    @property
    def deadline(self) -> float | None:
        """The latest deadline of a waiter; None when one has no limit."""
        latest = 0.0
        for waiter in self._waiters():
            if waiter.options.deadline is None:
                return None
            latest = max(latest, waiter.options.deadline)
        return latest

    def add(self, waiter: Waiter) -> None:
        """Add a waiter."""
        waiter.read = self
        if self._others is None:
            self._others = []
        self._others.append(waiter)
        if waiter.options.attempt_listener is not None:
            self.on_attempt = self._notify

    def remove(self, waiter: Waiter) -> None:
        """Remove a waiter, after notifying it of the attempt so far, and cancel the fetch if it was the last one."""
        listener = waiter.options.attempt_listener
        attempt = self.attempt() if listener is not None else None
        if listener is not None and attempt is not None:
            listener(self.target, attempt)
        waiter.read = None
        if waiter is self._waiter:
            self._waiter = None
        else:
            cast("list[Waiter]", self._others).remove(waiter)
        if self._waiter is None and not self._others:
            self._end()
            self._release()
            self.cancel()

    def decode(self, response: Response) -> Any:
        """Return the row or the page that the response holds."""
        return self._reads.decode(self.target, self.kind, response)

    def completed(self, value: Any, body: bytes) -> None:
        """Store the value, and pass it to all waiters."""
        try:
            value = self._reads.store(self.target, value, body, self.began_at, not self.is_outdated)
        except Exception as fault:
            self.failed(fault, 1)
            return
        waiter, others = self._waiter, self._others
        self._end()
        if waiter is not None:
            waiter.finish(value)
        if others is not None:
            for other in others:
                other.finish(value)

    def failed(self, error: Exception, attempts: int) -> None:
        """Pass the error to all waiters."""
        waiters = self._waiters()
        if self._waiter is not None and not attempts:
            self._waiter.is_first = False
        self._end()
        self._release()
        for waiter in waiters:
            waiter.finish(error)

    def _release(self) -> None:
        if self._reads.release is not None:
            self._reads.release(self.target)

    def _end(self) -> None:
        """Forget the waiters, which refer back to this object: memory is freed without the collector."""
        by_key = self._reads.by_key
        if by_key.get(self.target) is self:  # Not when a read with `no_cache` has taken its place.
            del by_key[self.target]
        self._waiter = self._others = self.on_attempt = None

    def _waiters(self) -> list[Waiter]:
        first = [self._waiter] if self._waiter is not None else []
        return first + (self._others or [])

    def _notify(self, target: str, attempt: Attempt) -> None:
        for waiter in self._waiters():
            listener = waiter.options.attempt_listener
            if listener is not None:
                listener(target, attempt)
