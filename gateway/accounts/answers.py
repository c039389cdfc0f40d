"""Cached answers: the outcome of an operation is reused while everything that it was made from is fresh."""

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
    """The outcomes of operations by their keys. They share the memory, and its limit, with the records that they depend on."""

    def __init__(self, memory: MemoryCache) -> None:
        """Create the cache in `memory`."""
        self._memory = memory

    def get(self, key: OperationKey) -> Outcome | None:
        """Return the outcome cached for `key`, or None when it is not fresh. It must not be modified."""
        entry = self._memory.get(key)
        if entry is None or entry.value.max_age() <= 0:
            return None
        outcome: Outcome = entry.value
        return outcome

    def put(self, key: OperationKey, outcome: Outcome, dependencies: AnswerDependencies) -> None:
        """Cache an outcome as long as its dependencies are fresh."""
        outcome.max_age = dependencies.max_age
        text = outcome.data_json or orjson.dumps(outcome.data)
        size = 6 * len(text) + sum(map(getsizeof, key)) + 2_000  # As objects and as encoded text.
        self._memory.put(key, Entry(outcome, time.time(), size + dependencies.size))
