"""The trace of one operation: its upstream calls, and the reads that needed none; `extensions.upstream` in the response."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from gateway.twilio.client import Attempt
from gateway.twilio.paths import redacted

__all__ = ["Trace"]

_OF_ATTEMPTS = ("status", "startMs", "waitMs", "durationMs", "attempt", "roundTrip", "retryAfterMs")


@dataclass(slots=True)
class Trace:
    """The reads of one operation; times are of `time.monotonic`, in seconds."""

    began: float
    attempts: list[tuple[str, Attempt]] = field(default_factory=list)
    looked: dict[str, None] = field(default_factory=dict)
    """Keys that were looked up, in that order."""
    shared: dict[str, str | None] = field(default_factory=dict)
    """Keys whose values were cached, with a remark or None."""
    coalesced: set[str] = field(default_factory=set)
    """Keys that another request was reading."""

    def add_attempt(self, target: str, attempt: Attempt) -> None:
        """Record an attempt that has ended."""
        self.attempts.append((target, attempt))

    def as_json(self, skipped: Mapping[str, str]) -> dict[str, Any]:
        """Return the trace as JSON values: paths without names and tokens, times in milliseconds since `began`.

        `skipped` are the paths of reads that were not needed, with the reasons.
        """
        network = sorted(self.attempts, key=lambda entry: entry[1].queued)
        queued: dict[str, float] = {}
        for target, attempt in network:
            queued.setdefault(target, attempt.queued)
        ends = self._round_trip_ends(queued)
        calls = [
            {
                "path": redacted(target),
                "status": attempt.status,
                "startMs": self._ms(attempt.queued),
                "waitMs": round((attempt.began - attempt.queued) * 1000, 1),
                "durationMs": round((attempt.ended - attempt.began) * 1000, 1),
                "attempt": attempt.number,
                "roundTrip": 1 + bisect_right(ends, queued[target]),
                "retryAfterMs": attempt.retry_after * 1000 if attempt.retry_after is not None else None,
                "source": "coalesced" if target in self.coalesced else "network",
                "reason": None,
            }
            for target, attempt in network
        ]
        read = {target for target, _ in network}
        calls += [_not_called(key, "shared", reason) for key, reason in self.shared.items() if key not in read]
        listed = read | self.shared.keys() | skipped.keys()
        calls += [_not_called(key, "memo", None) for key in self.looked if key not in listed]
        calls += [_not_called(key, "skipped", reason) for key, reason in skipped.items() if key not in read]
        return {
            "count": sum(target not in self.coalesced for target, _ in network),
            "totalMs": self._ms(max((attempt.ended for _, attempt in network), default=self.began)),
            "roundTrips": len(ends),
            "calls": calls,
        }

    def _round_trip_ends(self, queued: dict[str, float]) -> list[float]:
        """Return when each round trip ended, for the longest chain of reads, each queued after the last had ended.

        `queued` has the time of each read's first attempt. A read with its retries is one round trip.
        """
        ended: dict[str, float] = {}
        for target, attempt in self.attempts:
            ended[target] = max(ended.get(target, attempt.ended), attempt.ended)
        ends: list[float] = []
        for target, end in sorted(ended.items(), key=itemgetter(1)):
            if not ends or queued[target] >= ends[-1]:
                ends.append(end)
        return ends

    def _ms(self, moment: float) -> float:
        return round((moment - self.began) * 1000, 1)


def _not_called(key: str, source: str, reason: str | None) -> dict[str, Any]:
    none = dict.fromkeys(_OF_ATTEMPTS)
    return {"path": redacted(key), **none, "source": source, "reason": reason}
