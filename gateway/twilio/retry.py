"""Whether a failed read is tried again, and after how long: a decision without I/O.

Twilio asks for exponential back-off on 429, whose requests were never processed
(https://www.twilio.com/docs/api/errors/20429). Full jitter spreads the attempts of many callers.
"""

from dataclasses import dataclass

from gateway.errors import GatewayError, UpstreamRateLimited, UpstreamUnavailable

__all__ = ["RetryBudget", "RetryPolicy"]

_RETRIED_STATUSES = {429, 502, 503, 504}


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, and how far apart, a GET is tried again; times in seconds."""

    attempts: int = 3
    """Attempts in all, the first included."""
    first_delay: float = 0.1
    """The longest wait before the second attempt; it doubles with each further one."""
    longest_delay: float = 5.0
    longest_asked: float = 30.0
    """The longest `Retry-After` that is waited for, however much time there is: others may be waiting with us."""

    def delay(self, attempt: int, error: GatewayError, remaining: float, chance: float) -> float | None:
        """Seconds to wait before the next attempt, or None to give up.

        `attempt` counts from 1; `remaining` is the time left to the operation; `chance` is a random number in [0, 1).
        A `Retry-After` that does not fit into the remaining time ends the attempts: waiting would only lose the answer.
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
        # An answer without a status is a connection that could not be made or kept.
        return error.upstream is None or error.upstream.status is None or error.upstream.status in _RETRIED_STATUSES


class RetryBudget:
    """How many attempts may be repeated in all: a tenth of the first attempts, and a few at once.

    When much fails, trying everything again only adds to what is wrong.
    """

    SHARE = 0.1
    _AT_FIRST, _MOST = 5.0, 20.0

    def __init__(self) -> None:
        self._left = self._AT_FIRST

    def earn(self) -> None:
        """A read was attempted for the first time."""
        if self._left < self._MOST:
            self._left += self.SHARE

    def spend(self) -> bool:
        """Whether one more attempt is within the budget; if so, it is spent."""
        if self._left < 1:
            return False
        self._left -= 1
        return True
