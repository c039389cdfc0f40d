"""The gate: which read goes out to Twilio when. How many at once, whose turn it is, and whether there is any use.

Three decisions without I/O, each of which can be read and tested alone, and the `Limiter` that acts on them:

- `Window`: additive increase, multiplicative decrease. Twilio says plainly when there are too many requests (429), which is
  all that this rule needs. A rule that infers it from latency would take a large page for a busy account.
- `FairQueue`: a queue for each caller, one read from each in turn, so that an export of thousands does not starve a screen.
- `Breaker`: when Twilio as a whole does not answer, one read at a time finds out whether it does again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from typing import Generic, Protocol, TypeVar

from gateway.errors import GatewayError, UpstreamAnswer, UpstreamRateLimited, UpstreamTimeout, UpstreamUnavailable

__all__ = ["Breaker", "FairQueue", "Limiter", "QueuedRead", "Window"]

T = TypeVar("T")


class Window:
    """How many requests may be in flight at once: halved when Twilio says too many, one more after each full window."""

    CEILING_SECONDS = 10.0
    """Seconds for which it is remembered how many were too many."""

    def __init__(self, most: int) -> None:
        """Begin at `most`, which is never exceeded."""
        self.most = most
        self._size = float(most)
        self._cut_at = float("-inf")
        self._ceiling: int | None = None
        self._ceiling_until = 0.0

    @property
    def size(self) -> int:
        """How many there may be; at least 1."""
        return int(self._size)

    def limit(self, most: int) -> None:
        """Take another `most`; a window that had its full size has it again."""
        self._size = float(most) if self._size >= self.most else min(self._size, float(most))
        self.most = most

    def answered(self, in_flight: int, reported: int | None, now: float) -> None:
        """Twilio answered, with so many requests of ours in flight, and so many of the account's by its own report.

        The window does not grow while the account as a whole, others included, stands where it was too many a moment ago.
        """
        if (
            self._ceiling is not None
            and reported is not None
            and reported >= self._ceiling
            and now < self._ceiling_until
        ):
            return
        if in_flight + 1 >= self.size:
            self._size = min(float(self.most), self._size + 1 / self._size)

    def refused(self, began: float, now: float, in_flight: int, reported: int | None) -> None:
        """Twilio said too many (429) to a request that began then; those that were sent together count once."""
        if reported is not None:
            self._ceiling, self._ceiling_until = reported, now + self.CEILING_SECONDS
        if began < self._cut_at:
            return
        self._cut_at = now
        self._size = max(1.0, min(self._size, float(in_flight + 1)) / 2)


class FairQueue(Generic[T]):
    """What waits, by whom it is for; `take` goes round."""

    def __init__(self) -> None:
        self._queues: OrderedDict[str, deque[T]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, caller: str, entry: T) -> None:
        """Put it behind all that waits for the same caller."""
        self._queues.setdefault(caller, deque()).append(entry)
        self._count += 1

    def take(self) -> T:
        """The first that waits for the caller whose turn it is; raises `LookupError` when nothing does."""
        if not self._queues:
            raise LookupError
        caller, queue = self._queues.popitem(last=False)
        entry = queue.popleft()
        self._count -= 1
        if queue:
            self._queues[caller] = queue  # At the end: the others come first.
        return entry


class Breaker:
    """Whether Twilio as a whole has stopped answering; times in seconds.

    It opens after failures in a row for more than one kind of record, with no answer in between: a single kind that fails
    is that kind's trouble, and the rest is worth asking for. Once open, one read at a time goes out to probe: of a kind that
    has failed, no sooner than the pause after the last failure. Any answer closes it.
    """

    PROBE_INTERVAL_SECONDS = 0.1
    _FAILURES, _KINDS = 3, 2

    def __init__(self) -> None:
        self.is_open = False
        self.failing: set[str] = set()
        """The kinds of record that have failed since the last answer."""
        self._failures = 0
        self._failed_at = 0.0

    def is_worth_a_probe(self, kind: str, now: float) -> bool:
        """Whether a read of that kind may tell something new."""
        return kind not in self.failing or now >= self._failed_at + self.PROBE_INTERVAL_SECONDS

    def answered(self) -> None:
        """Twilio has answered something."""
        if self._failures:
            self.is_open = False
            self._failures = 0
            self.failing.clear()

    def failed(self, kind: str, now: float) -> None:
        """A read of that kind of record got no answer, or one that says Twilio is down."""
        self._failures += 1
        self._failed_at = now
        self.failing.add(kind)
        self.is_open = self.is_open or (self._failures >= self._FAILURES and len(self.failing) >= self._KINDS)


class QueuedRead(Protocol):
    """What the gate lets through: a read."""

    caller: str
    """For whom it is."""
    kind: str
    """What kind of record it reads."""

    @property
    def is_wanted(self) -> bool:
        """Whether anyone still waits for it."""

    def go(self) -> None:
        """Go out now."""

    def refuse(self, error: GatewayError) -> None:
        """Do not go out at all."""


class Limiter:
    """Lets reads through."""

    PROBE_WAIT_SECONDS = 1.0
    """Seconds for which reads wait to hear from a probe, before they are refused."""

    def __init__(self, most: int) -> None:
        """Take the most requests in flight at once."""
        self.window = Window(most)
        self.breaker = Breaker()
        self.in_flight = 0
        self.is_crowded = asyncio.Event()
        """Set when a read has to wait for room; whoever can make room clears it."""
        self._turns: FairQueue[QueuedRead] = FairQueue()
        self._probe: QueuedRead | None = None
        self._hold: asyncio.TimerHandle | None = None
        """Set while others wait to hear from the probe."""

    @property
    def waiting(self) -> int:
        """How many reads wait."""
        return len(self._turns)

    def allow(self, most: int) -> None:
        """From now on there may be at most so many at once."""
        if most != self.window.most:
            self.window.limit(most)
            self._let_through()

    def enter(self, entrant: QueuedRead, now: float) -> None:
        """Let it go now, or when there is room, or refuse it."""
        if self.breaker.is_open:
            if self._probe is None and self.breaker.is_worth_a_probe(entrant.kind, now):
                self._send_probe(entrant)
            elif self._hold is not None:
                self._turns.add(entrant.caller, entrant)
            else:
                entrant.refuse(_away())
        elif self.in_flight < self.window.size and not self._turns:
            self.in_flight += 1
            entrant.go()
        else:
            self._turns.add(entrant.caller, entrant)
            self.is_crowded.set()

    def leave(
        self, entrant: QueuedRead, error: GatewayError | None, began: float, now: float, reported: int | None
    ) -> None:
        """It is back, with an answer or why there is none; others may go."""
        self.in_flight -= 1
        is_probe = entrant is self._probe
        if is_probe:
            self._probe = None
        if isinstance(error, UpstreamUnavailable | UpstreamTimeout):
            was_open = self.breaker.is_open
            self.breaker.failed(entrant.kind, now)
            if self.breaker.is_open and (is_probe or not was_open):
                self._go_on_probing(now)
                return
        else:
            self.breaker.answered()
            if isinstance(error, UpstreamRateLimited):
                self.window.refused(began, now, self.in_flight, reported)
            else:
                self.window.answered(self.in_flight, reported, now)
        self._let_through()

    def give_up(self, entrant: QueuedRead, now: float) -> None:
        """It had gone out and nobody wants it any more, so that it tells nothing."""
        self.in_flight -= 1
        if entrant is self._probe:
            self._probe = None
            self._go_on_probing(now)
        else:
            self._let_through()

    def _let_through(self) -> None:
        """Let go what there is room for."""
        if self.breaker.is_open:
            return
        self._stop_holding()
        while self._turns and self.in_flight < self.window.size:
            entrant = self._turns.take()
            if entrant.is_wanted:
                self.in_flight += 1
                entrant.go()

    def _send_probe(self, entrant: QueuedRead) -> None:
        self._stop_holding()
        self._hold = asyncio.get_running_loop().call_later(self.PROBE_WAIT_SECONDS, self._refuse_waiting)
        self._probe = entrant
        self.in_flight += 1
        entrant.go()

    def _go_on_probing(self, now: float) -> None:
        """A probe has failed, or the breaker has just opened: of what waits, another may tell more; the rest is refused."""
        self._stop_holding()
        probe: QueuedRead | None = None
        for entrant in self._take_all():
            if not self.breaker.is_worth_a_probe(entrant.kind, now):
                entrant.refuse(_away())
            elif probe is None:
                probe = entrant
            else:
                self._turns.add(entrant.caller, entrant)
        if probe is not None:
            self._send_probe(probe)

    def _refuse_waiting(self) -> None:
        self._stop_holding()
        for entrant in self._take_all():
            entrant.refuse(_away())

    def _take_all(self) -> list[QueuedRead]:
        every = [self._turns.take() for _ in range(len(self._turns))]
        return [entrant for entrant in every if entrant.is_wanted]

    def _stop_holding(self) -> None:
        if self._hold is not None:
            self._hold.cancel()
            self._hold = None


def _away() -> UpstreamUnavailable:
    return UpstreamUnavailable(
        "Twilio has stopped answering. Try again in a moment.", upstream=UpstreamAnswer(retry_after=1.0)
    )
