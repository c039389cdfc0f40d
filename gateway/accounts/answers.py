"""Cached answers: the outcome of an operation, served again while everything it was made from is fresh."""

from __future__ import annotations

import time
from sys import getsizeof

import orjson

from gateway.accounts.operation import OperationKey
from gateway.execution.outcome import Outcome
from gateway.source.dependencies import AnswerDependencies
from gateway.source.memory import Entry, MemoryCache

__all__ = ["Answers"]


class Answers:
    """The outcomes of operations by their keys. They share the memory, and its bound, with the records they were made from."""

    def __init__(self, memory: MemoryCache) -> None:
        """Take the memory to keep them in."""
        self._memory = memory

    def get(self, key: OperationKey) -> Outcome | None:
        """Return the outcome cached for `key`, if all that it was made from is still fresh. It must not be modified."""
        entry = self._memory.get(key)
        if entry is None or entry.value.max_age() <= 0:
            return None
        outcome: Outcome = entry.value
        return outcome

    def put(self, key: OperationKey, outcome: Outcome, dependencies: AnswerDependencies) -> None:
        """Cache an outcome for as long as what it was made from is fresh."""
        outcome.max_age = dependencies.max_age
        size = 6 * len(orjson.dumps(outcome.data)) + sum(map(getsizeof, key)) + 2_000  # As objects and as encoded text.
        self._memory.put(key, Entry(outcome, time.time(), size + dependencies.size))
