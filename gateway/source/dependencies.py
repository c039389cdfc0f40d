"""What a cached answer depends on: the records it was made from, and how long they stay fresh."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from gateway.source.lifetimes import Lifetime
from gateway.source.memory import Entry, MemoryCache
from gateway.twilio.statuses import ReceiptSummary

__all__ = ["AnswerDependencies", "Dependency"]

Dependency = tuple[str, int, ReceiptSummary | None]
"""A key, the version of its entry, and the delivery summary that it was checked by."""


class AnswerDependencies:
    """The entries an answer was made from, by key and version. It holds none of their values, so that they can be freed."""

    def __init__(
        self, cache: MemoryCache, lifetime_of: Callable[[str, Entry], Lifetime], parts: Sequence[Dependency]
    ) -> None:
        """Depend on `parts` of `cache`; `lifetime_of` returns the lifetime of an entry."""
        self._cache = cache
        self._lifetime_of = lifetime_of
        self._parts = parts
        self._expires_at = 0.0
        self._checked_at_change = -1
        """Value of `MemoryCache.changes` when `_expires_at` was computed; recomputed only after another change."""

    @property
    def size(self) -> int:
        """Estimated size in bytes."""
        return sum(len(key) + 200 for key, _, _ in self._parts)

    def max_age(self) -> float:
        """Return the seconds until the answer must be recomputed; 0 when one of its records has expired or been replaced."""
        changes = self._cache.changes
        if changes != self._checked_at_change:
            self._expires_at, self._checked_at_change = self._expiry(), changes
        return max(0.0, self._expires_at - time.time())

    def _expiry(self) -> float:
        earliest = float("inf")
        for key, version, summary in self._parts:
            entry = self._cache.get(key)  # Marked as used, so that the records of an answer in demand are not evicted.
            if entry is None or entry.version != version:
                return 0.0
            earliest = min(earliest, entry.read_at + self._lifetime_of(key, entry).seconds_for(summary))
        return earliest
