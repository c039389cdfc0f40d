"""A cache that several processes share: response bodies, and leases that say which process reads what."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from gateway.errors import GatewayError
from gateway.source.in_flight import Waiter
from gateway.source.options import ReadOptions

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
    """What is asked of a remote cache. None of its methods raises when the server is slow or down."""

    counts: Counter[str]
    """Questions by result."""

    async def get_or_lease(self, keys: Sequence[str]) -> Found:
        """Return the bodies that are cached, and take the lease of every other key that no other process has."""

    def put(self, key: str, read_at: float, body: bytes, seconds: float) -> None:
        """Cache a body for so long, and release its lease; in the background."""

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
        read: Callable[[str, Waiter], Waiter],
    ) -> None:
        """Pass every body that is found to `store`, with its key and time, and start every read that is leased with `read`."""
        self._remote = remote
        self._store = store
        self._read = read
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, keys: Sequence[str], options: ReadOptions) -> dict[str, Waiter]:
        """Store what is cached; return a waiter for each of the other keys: this process reads it, or another one does."""
        found = await self._look_up(keys)
        waiters = {key: Waiter(options) for key in found.leased | found.awaited}
        for key in keys:
            if key in found.leased:
                self._read_leased(key, waiters[key])
        if found.awaited:
            task = asyncio.create_task(self._await_others({key: waiters[key] for key in found.awaited}))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return waiters

    async def _await_others(self, waiters: dict[str, Waiter]) -> None:
        """Poll until each key is cached, or its lease has passed to this process, or nobody waits."""
        while waiters := {key: waiter for key, waiter in waiters.items() if not waiter.done()}:
            await asyncio.sleep(_POLL_SECONDS)
            found = await self._look_up(list(waiters))
            for key in waiters.keys() - found.awaited:
                waiter = waiters.pop(key)
                if waiter.done():
                    if key in found.leased:
                        self._remote.release(key)
                elif key in found.leased:
                    self._read_leased(key, waiter)
                else:
                    self._read(key, waiter)

    async def _look_up(self, keys: Sequence[str]) -> Found:
        found = await self._remote.get_or_lease(keys)
        for key, (read_at, body) in found.bodies.items():
            self._store(key, read_at, body)
        return found

    def _read_leased(self, key: str, waiter: Waiter) -> None:
        self._read(key, waiter)
        waiter.add_done_callback(partial(self._release, key))

    def _release(self, key: str, waiter: Waiter) -> None:
        """Release the lease of a key that was not read after all; `put` has released that of a key that was."""
        failed = waiter.cancelled() or waiter.exception() is not None or isinstance(waiter.result(), GatewayError)
        if failed or waiter.is_cached:
            self._remote.release(key)
