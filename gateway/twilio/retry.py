"""Whether a failed read is retried, and after which delay: decisions without I/O.

Twilio asks for exponential backoff on 429, whose requests were not processed (https://www.twilio.com/docs/api/errors/20429).
Full jitter spreads the retries of many callers.
"""

from dataclasses import dataclass

from gateway.errors import GatewayError, UpstreamRateLimited, UpstreamUnavailable

__all__ = ["RetryBudget", "RetryPolicy"]

_RETRIED_STATUSES = {429, 502, 503, 504}


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a GET is retried, and at which intervals; times in seconds."""

    attempts: int = 3
    """Maximum number of attempts, including the first. See `Limiter.complete` for those that do not count."""
    first_delay: float = 0.1
    """Maximum delay before the second attempt; doubled for each further one."""
    longest_delay: float = 5.0
    """Upper limit of that."""
    longest_asked: float = 30.0
    """Longest `Retry-After` (RFC 9110, 10.2.3) to wait for, however late the deadline is."""

    def delay(self, attempt: int, error: GatewayError, remaining: float, chance: float) -> float | None:
        """Return the seconds to wait before the next attempt, or None not to retry.

        `attempt` counts from 1, without those that the limiter excuses; `remaining` is the time to the deadline; `chance` is a
        random number in [0, 1). There is no retry if the delay exceeds the remaining time: the error would only arrive later.
        """
        if attempt >= self.attempts or not self._is_transient(error):
            return None
        asked = error.upstream.retry_after if error.upstream is not None else None
        wait = chance * min(self.longest_delay, self.first_delay * 2 ** (attempt - 1))
        if asked is not None:
            if asked > self.longest_asked:
                return None
            wait += asked
        return wait if wait < remaining else None

    @staticmethod
    def _is_transient(error: GatewayError) -> bool:
        if not isinstance(error, UpstreamRateLimited | UpstreamUnavailable):
            return False
        # Without a status there was no connection, or it broke.
        return error.upstream is None or error.upstream.status is None or error.upstream.status in _RETRIED_STATUSES


class RetryBudget:
    """Limits retries to a tenth of the reads, with a few in reserve, so that retries do not multiply an overload."""

    SHARE = 0.1
    _AT_FIRST, _MOST = 5.0, 20.0

    def __init__(self) -> None:
        self._left = self._AT_FIRST

    def earn(self) -> None:
        """Add the share of a read that is sent for the first time."""
        if self._left < self._MOST:
            self._left += self.SHARE

    def spend(self) -> bool:
        """Spend one retry and return True, or return False if none is left."""
        if self._left < 1:
            return False
        self._left -= 1
        return True
