"""The limiter: how many reads are in flight, whose read is next, and whether to send any while Twilio is down.

Three decisions without I/O, each of which can be read and tested alone, and the `Limiter` that acts on them:

- `ConcurrencyLimit`: how many reads may be in flight. Twilio reports too many concurrent requests with 429, which is all the
  signal that it needs. A limit inferred from latency would mistake a large page for a busy account.
- `FairQueue`: a queue per caller, served round-robin, so that an export of thousands does not starve a screen.
- `Breaker`: a circuit breaker. While Twilio as a whole does not answer, one read at a time probes whether it is back.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from typing import Generic, Protocol, TypeVar

from gateway.errors import GatewayError, UpstreamAnswer, UpstreamRateLimited, UpstreamTimeout, UpstreamUnavailable

__all__ = ["Breaker", "ConcurrencyLimit", "FairQueue", "Limiter", "QueuedRead"]

T = TypeVar("T")


class ConcurrencyLimit:
    """The number of requests allowed in flight: a search for the account's concurrency, which Twilio does not publish.

    It starts at 64 and grows by 1/32 per round of responses while reads are queued. After a 429 it returns to 0.9 of the
    level that was refused, approaches that level slowly, and passes it unless there is another 429. One that follows within two
    seconds halves it. Times are in seconds.
    """

    RECOVERY_SECONDS = 10.0
    """The time from 0.9 of the refused level back to it, and for which the account's concurrency at a 429 is remembered."""
    _FIRST, _MOST = 64, 512
    _GROWTH_PER_RESPONSE = 1 / 32  # So little that 0.9 of the level at which a 429 arrives is not refused.
    _BACKOFF = 0.9
    _AGAIN_SECONDS = 2.0  # A 429 so soon after another says that 0.9 of the level was too much.
    _LONGEST_STEP_SECONDS = 0.5  # The limit grows for no longer than this after a pause.

    def __init__(self, maximum: int | None = None) -> None:
        """Start at `maximum`, which is never exceeded; without one, start at 64 and grow up to 512."""
        self.maximum = maximum or self._MOST
        self.size = 0
        """The current limit, at least 1."""
        self._level = 0.0
        self._refused: float | None = None
        """The level at the last 429; None once the limit has grown well beyond it."""
        self._decreased_at = self._grown_at = float("-inf")
        self._ceiling: int | None = None
        self._ceiling_until = 0.0
        self._set(float(maximum or self._FIRST))

    @property
    def level(self) -> int:
        """The concurrency that was reached so far, whatever the maximum is at present."""
        return int(self._level)

    def set_maximum(self, maximum: int) -> None:
        """Set another maximum. The level that was reached so far is remembered, for when the maximum is raised again."""
        self.maximum = maximum
        self._set(self._level)

    def on_response(self, reported: int | None, now: float) -> None:
        """Grow after a response that was not a 429, while reads are queued.

        `reported` is Twilio's count for the whole account, other clients included (`Twilio-Concurrent-Requests`). While that is
        as high as it was at the last 429, the limit stays. A 429 may report less than was in flight when it was decided.
        """
        elapsed = min(now - self._grown_at, self._LONGEST_STEP_SECONDS)
        self._grown_at = now
        if self._level >= self.maximum:
            return
        if (
            self._ceiling is not None
            and reported is not None
            and reported >= self._ceiling
            and now < self._ceiling_until
        ):
            return
        step = self._GROWTH_PER_RESPONSE
        if self._refused is not None and self._level >= self._BACKOFF * self._refused:
            if self._level > self._refused / self._BACKOFF:
                self._refused = None
            else:
                step = (1 - self._BACKOFF) * self._refused * elapsed / self.RECOVERY_SECONDS
        self._set(min(float(self.maximum), self._level + step))

    def on_rate_limited(self, began: float, now: float, in_flight: int, reported: int | None) -> bool:
        """Decrease the limit after a 429 to a request that was sent at `began`, and return True.

        Return False, and leave the limit, if it was decreased after `began`: 429s to requests that were sent together count
        once. `in_flight` is the most requests known to have been in flight together with this one, itself included.
        """
        is_counted = began < self._decreased_at
        if reported is not None:
            earlier = self._ceiling if is_counted else None
            self._ceiling = max(reported, in_flight if earlier is None else earlier)
            self._ceiling_until = now + self.RECOVERY_SECONDS
        if is_counted:
            return False
        is_again = self._refused is not None and now < self._decreased_at + self._AGAIN_SECONDS
        self._refused = min(self._level, float(in_flight))
        self._decreased_at = self._grown_at = now
        self._set(max(1.0, self._refused * (0.5 if is_again else self._BACKOFF)))
        return True

    def _set(self, level: float) -> None:
        self._level = level
        self.size = min(int(level), self.maximum)


class FairQueue(Generic[T]):
    """A first-in, first-out queue per caller, served round-robin."""

    def __init__(self) -> None:
        self.size = 0
        """The number of entries."""
        self._queues: OrderedDict[str, deque[T]] = OrderedDict()

    def put(self, caller: str, entry: T) -> None:
        """Append an entry to the caller's queue."""
        self._queues.setdefault(caller, deque()).append(entry)
        self.size += 1

    def pop(self) -> T:
        """Remove and return the oldest entry of the caller whose turn it is; raises `LookupError` when empty."""
        if not self._queues:
            raise LookupError("The queue is empty.")
        caller, queue = self._queues.popitem(last=False)
        entry = queue.popleft()
        self.size -= 1
        if queue:
            self._queues[caller] = queue  # Last, so that every other caller comes first.
        return entry


class Breaker:
    """A circuit breaker over the whole upstream; times in seconds.

    It opens after consecutive failures of more than one kind of record, without a response in between: failures of a single
    kind say nothing about the others. While it is open, one read at a time is sent as a probe; a read of a kind that has
    failed is one only after an interval. Any response closes it.
    """

    PROBE_INTERVAL_SECONDS = 0.1
    _FAILURES, _KINDS = 3, 2

    def __init__(self) -> None:
        self.is_open = False
        self.failing: set[str] = set()
        """The kinds of record that have failed since the last response."""
        self._failures = 0
        self._failed_at = 0.0

    def can_probe(self, kind: str, now: float) -> bool:
        """Whether a read of that kind can bring news."""
        return kind not in self.failing or now >= self._failed_at + self.PROBE_INTERVAL_SECONDS

    def on_response(self) -> None:
        """Close: Twilio has responded."""
        self.is_open = False
        self._failures = 0
        self.failing.clear()

    def on_failure(self, kind: str, now: float) -> None:
        """Count a read of that kind that got no response, or one that says Twilio is down, and open if there were enough."""
        self._failures += 1
        self._failed_at = now
        self.failing.add(kind)
        self.is_open = self.is_open or (self._failures >= self._FAILURES and len(self.failing) >= self._KINDS)


class QueuedRead(Protocol):
    """A read that is submitted to the limiter."""

    caller: str
    """The caller in whose queue it waits."""
    kind: str
    """The kind of record that it reads."""
    began: float
    """When its request was sent."""
    in_flight: int
    """The requests in flight when its request was sent, itself included."""

    @property
    def is_wanted(self) -> bool:
        """Whether it is still to be sent; False once it is cancelled."""

    def start(self) -> None:
        """Send the request."""

    def reject(self, error: GatewayError) -> None:
        """Fail without sending the request."""


class Limiter:
    """Starts submitted reads: at once, when there is room, as a probe, or never."""

    PROBE_WAIT_SECONDS = 1.0
    """Seconds for which queued reads wait for the result of a probe before they are rejected."""

    def __init__(self, maximum: int | None = None) -> None:
        """Allow at most `maximum` requests in flight; without one, as many as Twilio accepts (see `ConcurrencyLimit`)."""
        self.limit = ConcurrencyLimit(maximum)
        self.total = self.limit.maximum
        """The maximum without `set_maximum`."""
        self.breaker = Breaker()
        self.in_flight = 0
        """Reads that were started and have not ended."""
        self.needs_room = asyncio.Event()
        """Set when a read is queued for lack of room; `share_slots` clears it once it has asked for more."""
        self._queue: FairQueue[QueuedRead] = FairQueue()
        self._probe: QueuedRead | None = None
        self._probe_timer: asyncio.TimerHandle | None = None
        """Set while queued reads wait for the result of the probe."""

    @property
    def queued(self) -> int:
        """The number of reads that are queued."""
        return self._queue.size

    def set_maximum(self, maximum: int) -> None:
        """Allow at most `maximum` requests in flight from now on."""
        if maximum != self.limit.maximum:
            self.limit.set_maximum(maximum)
            self._start_queued()

    def submit(self, read: QueuedRead, now: float) -> None:
        """Start a read, queue it, or reject it."""
        if self.breaker.is_open:
            if self._probe is None and self.breaker.can_probe(read.kind, now):
                self._start_probe(read)
            elif self._probe_timer is not None:
                self._queue.put(read.caller, read)
            else:
                read.reject(_breaker_open())
        elif self.in_flight < self.limit.size and not self._queue.size:
            self.in_flight += 1
            read.start()
        else:
            self._queue.put(read.caller, read)
            self.needs_room.set()

    def complete(self, read: QueuedRead, error: GatewayError | None, now: float, reported: int | None) -> bool:
        """Take note of how a started read ended, and start others.

        `reported` is the account's concurrent requests according to the response. Return whether the read was one of several
        that were refused together, for which the limit has been decreased already: it may be sent again as if it had not been.
        """
        is_excused = False
        self.in_flight -= 1
        is_probe = read is self._probe
        if is_probe:
            self._probe = None
        if error is not None and isinstance(error, UpstreamUnavailable | UpstreamTimeout):
            was_open = self.breaker.is_open
            self.breaker.on_failure(read.kind, now)
            if self.breaker.is_open and (is_probe or not was_open):
                self._probe_next(now)
                return False
        else:
            if self.breaker.failing:
                self.breaker.on_response()
            if error is not None and isinstance(error, UpstreamRateLimited):
                # Many may have ended since it was sent, or have been sent.
                in_flight = max(read.in_flight, self.in_flight + 1)
                is_excused = not self.limit.on_rate_limited(read.began, now, in_flight, reported)
            elif self._queue.size:
                self.limit.on_response(reported, now)
        if self._queue.size or self._probe_timer is not None:
            self._start_queued()
        return is_excused

    def abandon(self, read: QueuedRead, now: float) -> None:
        """Forget a started read that was cancelled, which says nothing about Twilio, and start others."""
        self.in_flight -= 1
        if read is self._probe:
            self._probe = None
            self._probe_next(now)
        else:
            self._start_queued()

    def _start_queued(self) -> None:
        """Start queued reads while there is room."""
        if self.breaker.is_open:
            return
        if self._probe_timer is not None:
            self._stop_probe_timer()
        while self._queue.size and self.in_flight < self.limit.size:
            read = self._queue.pop()
            if read.is_wanted:
                self.in_flight += 1
                read.start()

    def _start_probe(self, read: QueuedRead) -> None:
        self._stop_probe_timer()
        self._probe_timer = asyncio.get_running_loop().call_later(self.PROBE_WAIT_SECONDS, self._reject_queued)
        self._probe = read
        self.in_flight += 1
        read.start()

    def _probe_next(self, now: float) -> None:
        """After a probe has ended without a response, or the breaker has opened: probe with a queued read that can bring news.

        Others that can are queued again, and the rest is rejected.
        """
        self._stop_probe_timer()
        probe: QueuedRead | None = None
        for read in self._pop_all():
            if not self.breaker.can_probe(read.kind, now):
                read.reject(_breaker_open())
            elif probe is None:
                probe = read
            else:
                self._queue.put(read.caller, read)
        if probe is not None:
            self._start_probe(probe)

    def _reject_queued(self) -> None:
        self._stop_probe_timer()
        for read in self._pop_all():
            read.reject(_breaker_open())

    def _pop_all(self) -> list[QueuedRead]:
        every = [self._queue.pop() for _ in range(self._queue.size)]
        return [read for read in every if read.is_wanted]

    def _stop_probe_timer(self) -> None:
        if self._probe_timer is not None:
            self._probe_timer.cancel()
            self._probe_timer = None


def _breaker_open() -> UpstreamUnavailable:
    return UpstreamUnavailable(
        "Twilio has stopped answering. Try again in a moment.", upstream=UpstreamAnswer(retry_after=1.0)
    )
