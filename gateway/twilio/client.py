"""The client that reads from Twilio: which read goes out when, how often it is tried, and who waits for it.

It knows HTTP's outcomes and time, and no resource; a transport carries the requests. Equal reads at one time are one: each
request that waits holds a `Waiter`, and a read without tickets is given up.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from gateway.errors import GatewayError, UpstreamInvalidResponse
from gateway.twilio.httptools_transport import HttptoolsTransport
from gateway.twilio.limiter import Limiter
from gateway.twilio.paths import collection_of
from gateway.twilio.responses import Answer
from gateway.twilio.retry import RetryBudget, RetryPolicy
from gateway.twilio.transport import Origin, Transport, timed_out, unreachable

__all__ = ["Attempt", "AttemptListener", "Client", "Waiter"]

T = TypeVar("T")


@dataclass(slots=True)
class Attempt:
    """One request as it went; moments are of `time.monotonic`, since an event loop may tell whole milliseconds only."""

    number: int
    """Counted from 1 for each read."""
    status: int | None
    """HTTP status, where there was an answer."""
    queued: float
    began: float
    ended: float


Read = Callable[[str, Answer], T]
"""Makes a value of the answer to a target, or raises the error that it is."""
AttemptListener = Callable[[str, Attempt], None]
"""Is told of a target's attempt when it has ended."""


class Client:
    """Reads from one Twilio account, so many requests in flight at once. Use it as an async context manager."""

    def __init__(
        self,
        origin: Origin,
        *,
        transport: Callable[[Origin], Transport] = HttptoolsTransport,
        concurrency: int = 64,
        retries: RetryPolicy | None = None,
    ) -> None:
        """Take where Twilio is, what carries requests there, and the most of them in flight at once."""
        self.limiter = Limiter(concurrency)
        self.attempts: Counter[tuple[str, str]] = Counter()
        """Requests by the collection they read from, and their status, or `none`."""
        self.retries = 0
        """Requests that were sent again."""
        self._transport = transport(origin)
        self._retries = retries or RetryPolicy()
        self._budget = RetryBudget()
        self._readings: dict[str, InFlightRead] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for reading in list(self._readings.values()):
            for ticket in list(reading.tickets):
                ticket.cancel()
        await self._transport.__aexit__(kind, error, trace)
        self._loop = None

    async def get(
        self, target: str, read: Read[T], *, deadline: float | None = None, on_attempt: AttemptListener | None = None
    ) -> T:
        """What `read` makes of the answer to a GET of `target`; raises the `UpstreamError` or `NotFound` that it is."""
        ticket = self.read(target, read, deadline=deadline, on_attempt=on_attempt)
        try:
            async with asyncio.timeout_at(deadline):
                value = await ticket
        except TimeoutError:
            raise timed_out() from None
        finally:
            ticket.cancel()
        if isinstance(value, GatewayError):
            raise value
        return cast(T, value)

    def is_reading(self, target: str) -> bool:
        """Whether `target` is being read."""
        return target in self._readings

    def read(
        self,
        target: str,
        read: Read[Any],
        *,
        deadline: float | None = None,
        on_attempt: AttemptListener | None = None,
        caller: str = "",
        alone: bool = False,
    ) -> Waiter:
        """Begin to read `target` (the text behind `/v1/`), or wait with those who read it already, unless `alone`.

        Whoever reads the same target must read it in the same way.
        The read waits for its turn among those of the same `caller`. Transient failures are tried again, but not beyond
        the `deadline` (the event loop's time); whoever holds the ticket ends it when the time has come. When an answer is
        found invalid, the connection it came over is dropped.
        """
        if self._loop is None:
            raise RuntimeError("The client is not open: use it as an async context manager.")
        reading = None if alone else self._readings.get(target)
        is_first = reading is None
        if reading is None:
            reading = self._readings[target] = InFlightRead(self, self._loop, target, read, caller)
        ticket = Waiter(loop=self._loop)
        ticket.reading, ticket.deadline, ticket.on_attempt, ticket.is_first = reading, deadline, on_attempt, is_first
        reading.tickets.append(ticket)
        if is_first:
            reading.enter()
        return ticket


class Waiter(asyncio.Future[Any]):
    """One request's claim on a read. Its result is what was read, or the `GatewayError` why not.

    To cancel it is to leave: the read goes on as long as others wait for it.
    """

    reading: InFlightRead | None
    deadline: float | None
    on_attempt: AttemptListener | None
    is_first: bool
    """Whether the read went out for this request."""
    is_known: bool = False
    """Whether there was no read at all, since its result was known from before."""

    @classmethod
    def ended(cls, value: Any, *, is_known: bool = False) -> Waiter:
        """A ticket of no read, whose result is there."""
        ticket = cls(loop=asyncio.get_running_loop())
        ticket.reading, ticket.is_first, ticket.is_known = None, False, is_known
        ticket.set_result(value)
        return ticket

    def cancel(self, msg: Any | None = None) -> bool:
        """Leave."""
        if not self.done() and self.reading is not None:
            self.reading.leave(self)
        return super().cancel(msg)

    def expire(self) -> None:
        """Leave because there is no more time."""
        if not self.done():
            if self.reading is not None:
                self.reading.leave(self)
            self.set_result(timed_out())

    def follow(self, other: Waiter) -> None:
        """Come to the end that another ticket comes to; to leave is to leave that one."""
        if other.done():
            self._end_as(other)
            return
        other.add_done_callback(self._end_as)
        self.add_done_callback(lambda _: other.cancel())

    def _end_as(self, other: asyncio.Future[Any]) -> None:
        if self.done():
            return
        if other.cancelled():
            super().cancel()
        elif (error := other.exception()) is not None:
            self.set_exception(error)
        else:
            self.set_result(other.result())


class InFlightRead:
    """One read as it goes: it waits for its turn, goes out, lands, perhaps pauses and goes out again."""

    __slots__ = (
        "_began",
        "_client",
        "_exchange",
        "_loop",
        "_number",
        "_pause",
        "_queued",
        "caller",
        "kind",
        "read",
        "target",
        "tickets",
    )

    def __init__(
        self, client: Client, loop: asyncio.AbstractEventLoop, target: str, read: Read[Any], caller: str
    ) -> None:
        self.target = target
        self.kind = collection_of(target)
        """The collection it reads from."""
        self.read = read
        self.caller = caller
        self.tickets: list[Waiter] = []
        self._client = client
        self._loop = loop
        self._number = 0
        self._queued = self._began = 0.0
        self._exchange: asyncio.Future[Answer] | None = None
        self._pause: asyncio.TimerHandle | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether anyone waits."""
        return bool(self.tickets)

    def enter(self) -> None:
        """Go to the gate."""
        self._pause = None
        self._number += 1
        if self._number == 1:
            self._client._budget.earn()
        self._queued = self._began = time.monotonic()
        self._client.limiter.enter(self, self._queued)

    def go(self) -> None:
        """Go out."""
        self._began = time.monotonic()
        self._exchange = self._client._transport.send(self.target)
        self._exchange.add_done_callback(self._land)

    def refuse(self, error: GatewayError) -> None:
        """Come to an end without having gone out."""
        for ticket in self.tickets:
            ticket.is_first = False
        self._settle(error)

    def leave(self, ticket: Waiter) -> None:
        """Let one who waits go; the last one ends the read."""
        if self._pause is None and ticket.on_attempt is not None:
            self._tell(ticket.on_attempt, None)
        self.tickets.remove(ticket)
        if self.tickets:
            return
        if self._pause is not None:
            self._pause.cancel()
        if self._exchange is not None:
            self._exchange.cancel()
        self._forget()

    def _land(self, exchange: asyncio.Future[Answer]) -> None:
        self._exchange = None
        limiter, now = self._client.limiter, time.monotonic()
        if not self.tickets:
            if not exchange.cancelled():
                exchange.exception()  # It has been seen: nobody is left to tell.
            limiter.give_up(self, now)
            return
        value: Any = None
        error: GatewayError | None = None
        status = reported = None
        try:
            answer = exchange.result()
            status = answer.status
            reported = _count(answer.headers.get("twilio-concurrent-requests"))
            value = self.read(self.target, answer)
        except GatewayError as caught:
            error = caught
            if isinstance(error, UpstreamInvalidResponse) and status is not None:
                answer.drop()
            if status is None and error.upstream is not None:
                status = error.upstream.status
        except asyncio.CancelledError:
            error = unreachable()
        except Exception as fault:  # A fault of the gateway's own.
            limiter.give_up(self, now)
            self._forget()
            for ticket in self.tickets:
                ticket.set_exception(fault)
            return
        for ticket in self.tickets:
            if ticket.on_attempt is not None:
                self._tell(ticket.on_attempt, status)
        self._client.attempts[self.kind, str(status) if status is not None else "none"] += 1
        limiter.leave(self, error, self._began, now, reported)
        if error is not None and self.tickets and not limiter.breaker.is_open:
            delay = self._client._retries.delay(self._number, error, self._remaining(), random.random())
            if delay is not None and self._client._budget.spend():
                self._client.retries += 1
                self._pause = self._loop.call_later(delay, self.enter)
                return
        self._settle(value if error is None else error)

    def _settle(self, value: Any) -> None:
        self._forget()
        for ticket in self.tickets:
            ticket.reading = None
            if not ticket.done():
                ticket.set_result(value)

    def _remaining(self) -> float:
        """The time that is left to whoever can wait longest."""
        now = self._loop.time()
        return max((ticket.deadline - now if ticket.deadline is not None else float("inf")) for ticket in self.tickets)

    def _tell(self, on_attempt: AttemptListener, status: int | None) -> None:
        on_attempt(self.target, Attempt(self._number, status, self._queued, self._began, time.monotonic()))

    def _forget(self) -> None:
        readings = self._client._readings
        if readings.get(self.target) is self:
            del readings[self.target]


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() and len(text) < 7 else None
