"""The trace of an operation: which round trip each call belongs to."""

import pytest

from gateway.source.trace import Trace
from gateway.twilio.client import Attempt

A, B, C = "Services/A", "Services/B", "Services/C"


@pytest.mark.parametrize(
    ("attempts", "round_trips"),
    [
        ([], []),
        ([(A, 1, 0.0, 1.0), (B, 1, 0.0, 2.0)], [1, 1]),
        ([(A, 1, 0.0, 1.0), (B, 1, 1.0, 2.0)], [1, 2]),
        ([(A, 1, 0.0, 5.0), (B, 1, 0.0, 1.0), (C, 1, 1.0, 6.0)], [1, 1, 2]),
        # A read with its retries is one round trip, however often it is sent.
        ([(A, 1, 0.0, 1.0), (A, 2, 3.0, 4.0)], [1, 1]),
        ([(A, 1, 0.0, 1.0), (B, 1, 0.0, 1.0), (A, 2, 3.0, 4.0), (C, 1, 4.0, 5.0)], [1, 1, 1, 2]),
    ],
)
def test_retries_are_no_round_trips(attempts: list[tuple[str, int, float, float]], round_trips: list[int]) -> None:
    trace = Trace(0.0)
    for target, number, queued, ended in attempts:
        trace.add_attempt(target, Attempt(number, 200, queued, queued, ended))
    written = trace.as_json({})
    assert [call["roundTrip"] for call in written["calls"]] == round_trips
    assert written["roundTrips"] == max(round_trips, default=0)
    assert written["count"] == len(attempts)


def test_a_trace_has_what_retry_after_asked_for() -> None:
    trace = Trace(0.0)
    trace.add_attempt(A, Attempt(1, 429, 0.0, 0.0, 1.0, "UPSTREAM_RATE_LIMITED", 1.5))
    trace.add_attempt(A, Attempt(2, 200, 2.5, 2.5, 3.0))
    assert [call["retryAfterMs"] for call in trace.as_json({})["calls"]] == [1500, None]
