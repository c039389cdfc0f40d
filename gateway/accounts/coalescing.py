"""Coalescing: equal operations that run at the same time share one execution."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from gateway.accounts.operation import OperationKey
from gateway.execution.outcome import Outcome
from gateway.source.waiting import wait_shielded

__all__ = ["RunningOperation"]


class RunningOperation:
    """An operation in progress. It is cancelled when its last waiter is."""

    def __init__(
        self,
        running: dict[OperationKey, RunningOperation],
        key: OperationKey,
        work: Coroutine[Any, Any, Outcome],
        request_id: str,
    ) -> None:
        """Start `work` in a task, and keep the operation in `running` until it ends or is cancelled."""
        running[key] = self
        self.request_id = request_id
        """The id of the request that started it."""
        self._running, self._key = running, key
        self._task = asyncio.create_task(work)
        self._task.add_done_callback(self._end)
        self._waiters = 0

    async def wait(self) -> Outcome:
        """Return the outcome, or raise what the operation raised."""
        self._waiters += 1
        try:
            await wait_shielded([self._task])
            return self._task.result()
        finally:
            self._waiters -= 1
            if not self._waiters and not self._task.done():
                self._remove()  # No other request may join an operation that is about to be cancelled.
                self._task.cancel()

    def _end(self, task: asyncio.Task[Outcome]) -> None:
        self._remove()
        if not task.cancelled():
            task.exception()  # asyncio logs exceptions that are never retrieved, and every waiter may have been cancelled.

    def _remove(self) -> None:
        if self._running.get(self._key) is self:
            del self._running[self._key]
