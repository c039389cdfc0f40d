"""The log of webhook deliveries: the last ones with their verdicts, and counts for the metrics. No personal data."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any

import msgspec
from prometheus_client.utils import floatToGoString

from gateway.twilio.paths import sids_of

__all__ = ["Deliveries", "Delivery", "Verdict"]

Verdict = str
"""The verdict on a webhook.

    accepted    It was applied.
    late        It added nothing: a later event had arrived before.
    duplicate   Its idempotency token, or an equal event, was known.
    unknown     It was verified, but is an event of another account, service or type.
    failed      It could not be applied, because of a bug; the log says where.
    forged      Its signature is not valid.
"""
VERDICTS = ("accepted", "late", "duplicate", "unknown", "failed", "forged")
LOG_LENGTH = 200
_DELAYS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_SIDS = ("serviceSid", "conversationSid", "messageSid", "receiptSid")


class Delivery(msgspec.Struct, array_like=True, gc=False):
    """One webhook."""

    received_at: float
    """Seconds since the epoch."""
    verdict: Verdict
    event: str | None = None
    """The `EventType`."""
    path: str = ""
    """The path of the record that it is about."""
    participant_sid: str | None = None
    status: str | None = None
    """The status of a receipt."""
    error_code: int | None = None
    """The error code that the event carried, whatever follows it."""
    age: float | None = None
    """Seconds from Twilio's `DateUpdated` to its arrival."""
    ms: float | None = None
    """Milliseconds for its verification and reading."""
    reason: str | None = None
    """For a rejected or unknown one, the part to check."""

    @property
    def service_sid(self) -> str | None:
        """The sid of its service, if it has been read."""
        return sids_of(self.path)[0] if self.path else None

    def as_json(self) -> dict[str, Any]:
        """Return what `GET /webhooks/recent` shows."""
        names = (*_SIDS[:2], "participantSid") if "/Participants/" in self.path else _SIDS
        sids = dict(zip(names, sids_of(self.path), strict=False))
        if self.participant_sid is not None:
            sids["participantSid"] = self.participant_sid
        at = datetime.fromtimestamp(self.received_at, UTC).isoformat(timespec="milliseconds")
        return {
            "receivedAt": at.replace("+00:00", "Z"),
            "verdict": self.verdict,
            "event": self.event,
            "sids": sids,
            "status": self.status,
            "errorCode": self.error_code,
            "age": self.age,
            "ms": self.ms,
            "reason": self.reason,
        }


class Deliveries:
    """The deliveries of one process, and of those that share their log with it."""

    def __init__(self) -> None:
        self.counts: Counter[Verdict] = Counter(dict.fromkeys(VERDICTS, 0))
        """Webhooks by verdict."""
        self.rejected = 0
        """Forged ones beyond the limit of a peer address, which are not in the log."""
        self.on_delivery: Callable[[Delivery], None] | None = None
        """Called with each delivery that this process has added."""
        self._log: deque[Delivery] = deque(maxlen=LOG_LENGTH)
        self._delays = [0] * (len(_DELAYS) + 1)
        self._delay_seconds = 0.0

    def add(self, delivery: Delivery, delay: float | None = None) -> None:
        """Log and count a delivery of this process; `delay` is in seconds, for an accepted one."""
        self.counts[delivery.verdict] += 1
        if delay is not None:
            self._delays[bisect_left(_DELAYS, delay)] += 1
            self._delay_seconds += delay
        self.add_of_others(delivery)
        if self.on_delivery is not None:
            self.on_delivery(delivery)

    def add_of_others(self, delivery: Delivery) -> None:
        """Log a delivery that another process has counted."""
        self._log.append(delivery)

    def receive(self, body: msgspec.Raw) -> None:
        """Log a delivery that another process has sent, in MessagePack; raises `msgspec.DecodeError`."""
        self.add_of_others(msgspec.msgpack.decode(body, type=Delivery))

    def recent(self) -> list[Delivery]:
        """Return the last deliveries, the newest first."""
        newest_first = [*self._log][::-1]
        newest_first.sort(key=lambda each: each.received_at, reverse=True)  # Those of other processes arrive later.
        return newest_first

    def delays(self) -> tuple[list[tuple[str, float]], float]:
        """Return the histogram of delays from `DateUpdated` to acceptance: cumulative buckets, and the sum in seconds."""
        bounds = (*map(floatToGoString, _DELAYS), "+Inf")
        return list(zip(bounds, accumulate(self._delays), strict=True)), self._delay_seconds


def age_of(parameters: dict[str, Any], received_at: float) -> float | None:
    """Return the seconds from the latest date in an event's parameters to its arrival; None without one."""
    names = ("DateRemoved", "DateUpdated", "StateUpdated", "DateCreated")
    text = next((parameters[name] for name in names if parameters.get(name)), None)
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return max(0.0, received_at - at.timestamp()) if at.tzinfo is not None else None
