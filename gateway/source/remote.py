"""A cache that several processes share: response bodies, and leases that say which process reads what."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.source.in_flight import Waiter

__all__ = ["Found", "RemoteCache", "RemoteReads"]

_POLL_SECONDS = 0.01


@dataclass(slots=True)
class Found:
    """The state of some keys in the remote cache: each is in one of the three."""

    bodies: dict[str, tuple[float, bytes]]
    """When each was read (seconds since the epoch), and the response's body."""
    leased: set[str]
    """Keys that this process is to read."""
    awaited: set[str]
    """Keys that another process is reading."""


class RemoteCache(Protocol):
    """The interface of a remote cache. None of its methods raises when the server is slow or down."""

    counts: Counter[str]
    """Questions by result."""

    async def get_or_lease(self, keys: Sequence[str]) -> Found:
        """Return the bodies that are cached, and take the lease of every other key that no other process has."""

    def put(self, key: str, read_at: float, body: bytes, seconds: float) -> None:
        """Cache a body for some seconds, and release its lease; in the background."""

    def release(self, key: str) -> None:
        """Release the lease of a key without a body; in the background."""

    async def share(self, total: int, wanted: int, now: float, seconds: float) -> int | None:
        """Return how many of `total` slots this process may use for the next `seconds`; None when the server is down."""


class RemoteReads:
    """Reads by way of the remote cache: each key is read by the process that has its lease, and the others wait for it."""

    def __init__(
        self,
        remote: RemoteCache,
        store: Callable[[str, float, bytes], None],
        read: Callable[[Waiter], None],
    ) -> None:
        """Pass every body that is found to `store`, with its key and time, and start every read that is leased with `read`."""
        self._remote = remote
        self._store = store
        self._read = read
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, waiters: Sequence[Waiter]) -> None:
        """Let the waiters wait until their keys are cached, or read by this process because it has their leases."""
        task = asyncio.create_task(self._read_all(list(waiters)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read_all(self, waiters: list[Waiter]) -> None:
        """Look the keys up, at intervals, as long as other processes read them and a request waits for them."""
        try:
            while waiters:
                found = await self._look_up([waiter.key for waiter in waiters])
                for waiter in waiters:
                    if waiter.key in found.leased:
                        self._read_leased(waiter)
                    elif waiter.key not in found.awaited:
                        self._read(waiter)
                waiters = [waiter for waiter in waiters if waiter.key in found.awaited]
                if waiters:
                    await asyncio.sleep(_POLL_SECONDS)
                waiters = [waiter for waiter in waiters if not waiter.is_done]
        except Exception as fault:
            for waiter in waiters:
                if not waiter.is_done:
                    waiter.finish(fault)

    async def _look_up(self, keys: Sequence[str]) -> Found:
        found = await self._remote.get_or_lease(keys)
        for key, (read_at, body) in found.bodies.items():
            self._store(key, read_at, body)
        return found

    def _read_leased(self, waiter: Waiter) -> None:
        """Read a leased key, and release the lease if it is not read after all; a read that ends releases it."""
        self._read(waiter)
        if waiter.read is None:
            self._remote.release(waiter.key)
