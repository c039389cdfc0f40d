"""When a read is tried again: a table."""

import pytest

from gateway import errors
from gateway.errors import UpstreamAnswer
from gateway.twilio.retry import RetryPolicy

POLICY = RetryPolicy(attempts=3, first_delay=0.1, longest_delay=0.15)


def unavailable(status: int | None, retry_after: float | None = None) -> errors.UpstreamError:
    upstream = UpstreamAnswer(status=status, retry_after=retry_after)
    return errors.UpstreamUnavailable("away", upstream=upstream)


LIMITED = errors.UpstreamRateLimited("slow down", upstream=UpstreamAnswer(status=429))


@pytest.mark.parametrize(
    ("attempt", "error", "remaining", "chance", "delay"),
    [
        (1, LIMITED, 10.0, 0.5, 0.05),
        (1, LIMITED, 10.0, 0.0, 0.0),
        (2, LIMITED, 10.0, 0.5, 0.075),
        (3, LIMITED, 10.0, 0.5, None),
        (1, unavailable(502), 10.0, 0.5, 0.05),
        (1, unavailable(503), 10.0, 0.5, 0.05),
        (1, unavailable(504), 10.0, 0.5, 0.05),
        (1, unavailable(None), 10.0, 0.5, 0.05),
        (1, errors.UpstreamUnavailable("no connection"), 10.0, 0.5, 0.05),
        (1, unavailable(500), 10.0, 0.5, None),
        (1, unavailable(503, retry_after=2.0), 10.0, 0.5, 2.05),
        (1, unavailable(503, retry_after=86400.0), 10.0, 0.5, None),
        (1, unavailable(503, retry_after=31.0), float("inf"), 0.5, None),
        (1, LIMITED, 0.01, 0.5, None),
        (1, errors.UpstreamTimeout("late"), 10.0, 0.5, None),
        (1, errors.UpstreamRejected("no"), 10.0, 0.5, None),
        (1, errors.UpstreamInvalidResponse("odd"), 10.0, 0.5, None),
        (1, errors.NotFound("gone"), 10.0, 0.5, None),
    ],
)
def test_the_decision(
    attempt: int, error: errors.GatewayError, remaining: float, chance: float, delay: float | None
) -> None:
    assert POLICY.delay(attempt, error, remaining, chance) == pytest.approx(delay)
