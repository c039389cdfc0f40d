"""Budgets: how many upstream calls each caller may cause in a minute."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from cachetools import LRUCache

from gateway.errors import CostLimitExceeded

__all__ = ["BudgetStatus", "Budgets"]

_CALLERS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """How a caller's budget stands."""

    limit: int
    """Calls a minute."""
    remaining: int
    """Calls that are left now."""
    reset: int
    """Seconds until all are."""


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class Budgets:
    """A bucket of calls for each caller, which fills up in a minute."""

    def __init__(self, per_minute: int) -> None:
        """Take how many calls a minute each caller has."""
        self._limit = per_minute
        self._buckets: LRUCache[str, _Bucket] = LRUCache(_CALLERS_MAX)

    def reserve(self, caller: str, calls: int, now: float) -> int:
        """Take as many calls as an operation could need, all at most; gives how many.

        Raises `CostLimitExceeded`, with the seconds after which there are enough.
        """
        bucket, wanted = self._bucket(caller, now), min(calls, self._limit)
        if bucket.left < wanted:
            wait = ceil((wanted - bucket.left) * 60 / self._limit)
            error = CostLimitExceeded(
                f"The operation could take {calls} upstream calls, and of this caller's {self._limit} a minute "
                f"{int(bucket.left)} are left. Ask for less, or try again in {wait} s.",
                details={"requested": calls, "limit": self._limit, "remaining": int(bucket.left), "retryAfter": wait},
            )
            error.http_status, error.retry_after = 429, wait
            raise error
        bucket.left -= wanted
        return wanted

    def settle(self, caller: str, reserved: int, actual: int, now: float) -> None:
        """Give back what was reserved and not used."""
        bucket = self._bucket(caller, now)
        bucket.left = min(float(self._limit), bucket.left + reserved - actual)

    def standing(self, caller: str, now: float) -> BudgetStatus:
        """How the caller's budget stands."""
        left = self._bucket(caller, now).left
        return BudgetStatus(self._limit, max(0, int(left)), ceil((self._limit - left) * 60 / self._limit))

    def _bucket(self, caller: str, now: float) -> _Bucket:
        bucket = self._buckets.get(caller)
        if bucket is None:
            bucket = self._buckets[caller] = _Bucket(float(self._limit), now)
        bucket.left = min(float(self._limit), bucket.left + (now - bucket.at) * self._limit / 60)
        bucket.at = now
        return bucket
