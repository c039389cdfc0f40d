"""Budgets: how many upstream calls each caller may cause in a minute (a token bucket per caller)."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from cachetools import LRUCache

from gateway.errors import CostLimitExceeded

__all__ = ["BudgetStatus", "Budgets"]

_CALLERS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """The state of one caller's budget, as the header `Gateway-Budget` has it."""

    limit: int
    """Calls per minute."""
    remaining: int
    """Calls left now."""
    reset: int
    """Seconds until the whole budget is available again."""


@dataclass(slots=True)
class _Bucket:
    calls: float
    """Calls left at `updated_at`."""
    updated_at: float


class Budgets:
    """A token bucket of upstream calls for each caller, refilled within a minute.

    `now` is a monotonic time in seconds throughout.
    """

    def __init__(self, per_minute: int) -> None:
        """Create the budgets: `per_minute` upstream calls for each caller."""
        self._limit = per_minute
        self._buckets: LRUCache[str, _Bucket] = LRUCache(_CALLERS_MAX)

    def reserve(self, caller: str, calls: int, now: float) -> int:
        """Reserve the calls that an operation makes in the worst case, at most a minute's budget, and return their number.

        Raises `CostLimitExceeded`, with the seconds after which there are enough.
        """
        left, wanted = self._left(caller, now), min(calls, self._limit)
        if left < wanted:
            wait = ceil((wanted - left) * 60 / self._limit)
            error = CostLimitExceeded(
                f"The operation could take {calls} upstream calls; this caller has {int(left)} left of {self._limit} per "
                f"minute. Ask for less, or try again in {wait} s.",
                details={"requested": calls, "limit": self._limit, "remaining": int(left), "retryAfter": wait},
            )
            error.http_status, error.retry_after = 429, wait
            raise error
        self._buckets[caller] = _Bucket(left - wanted, now)
        return wanted

    def refund(self, caller: str, reserved: int, used: int, now: float) -> None:
        """Return the reserved calls that were not used; calls beyond the reservation are taken from the budget."""
        left = min(float(self._limit), self._left(caller, now) + reserved - used)
        self._buckets[caller] = _Bucket(left, now)

    def status(self, caller: str, now: float) -> BudgetStatus:
        """Return the state of the caller's budget."""
        left = self._left(caller, now)
        return BudgetStatus(self._limit, max(0, int(left)), ceil((self._limit - left) * 60 / self._limit))

    def _left(self, caller: str, now: float) -> float:
        bucket = self._buckets.get(caller)
        if bucket is None:
            return float(self._limit)
        return min(float(self._limit), bucket.calls + (now - bucket.updated_at) * self._limit / 60)
