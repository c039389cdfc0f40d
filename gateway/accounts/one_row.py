"""Operations that need one row: they are answered in the callback of its read, without a coroutine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any

from gateway.accounts.coalescing import RunningOperation
from gateway.accounts.operation import Operation, OperationKey
from gateway.execution.outcome import Outcome
from gateway.execution.prepared import OneRow
from gateway.source.in_flight import Waiter
from gateway.source.source import Source

__all__ = ["OneRowOperation"]


class OneRowOperation(RunningOperation):
    """An operation in progress whose answer is a function of one row. After an error, for example, it is executed instead."""

    __slots__ = ("_answer", "_context", "_execute", "_source", "began_at", "one_row", "operation", "read")

    key: OperationKey

    def __init__(
        self,
        running: dict[OperationKey, RunningOperation],
        key: OperationKey,
        operation: Operation,
        one_row: OneRow,
        read: Waiter,
        source: Source,
        answer: Callable[[OneRowOperation], Outcome | None],
        execute: Callable[[OneRowOperation], Coroutine[Any, Any, Outcome]],
    ) -> None:
        """Read the row from `source`, by `read`, and end with the outcome that `answer` returns.

        Without a row, or where it returns None, continue with what `execute` does. See `RunningOperation`.
        """
        self.operation, self.one_row, self.read = operation, one_row, read
        read.on_done = self._on_read
        self.began_at = time.time()
        """When it began to read, in seconds since the epoch."""
        self._source = source
        self._answer, self._execute = answer, execute
        self._context = copy_context()
        """The context of the request, whose id is in its lines in the log."""
        super().__init__(running, key, None, operation.request_id)

    def _begin(self) -> None:
        read = self.read
        value = self._source.serve(read.key, read.options)
        if value is not None:
            read.is_cached = True
            read.finish(value)
            return
        self._source.start([read])
        if not read.is_done and read.options.deadline is not None:
            self._source.deadlines.add(read, read.options.deadline)

    def _on_read(self, read: Waiter) -> None:
        self._source.deadlines.remove(read)
        outcome: Outcome | BaseException | None
        try:
            outcome = self._answer(self) if not isinstance(read.value, Exception) else None
        except Exception as error:
            outcome = error
        try:
            if outcome is None:
                self._context.run(self._run, self._execute(self))
            else:
                self._end(outcome)
        except Exception as error:  # Others wait for the same read, or for its connection.
            loop = asyncio.get_running_loop()
            loop.call_exception_handler({"message": "A callback of a read has failed.", "exception": error})

    def _cancel(self) -> None:
        if not self.read.cancel():
            super()._cancel()
            return
        self._source.deadlines.remove(self.read)
        if self.operation.on_close is not None:
            self.operation.on_close(int(self.read.is_first))
        self._end(asyncio.CancelledError())
