"""The client of one Twilio account: it queues a GET, sends it, retries it, and calls back with a value or an error.

It knows HTTP's outcomes and time, and no resource. Whether a value is cached, and how many wait for it, is decided by the
subclass of `Fetch` that is started.
"""

from __future__ import annotations

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from gateway.errors import GatewayError, UpstreamInvalidResponse
from gateway.twilio.deadlines import Deadlines
from gateway.twilio.httptools_transport import HttptoolsTransport
from gateway.twilio.limiter import Limiter
from gateway.twilio.paths import collection_of
from gateway.twilio.responses import Response
from gateway.twilio.retry import RetryBudget, RetryPolicy
from gateway.twilio.transport import Exchange, Origin, Transport, timed_out, unreachable

__all__ = ["Attempt", "AttemptListener", "Client", "Decode", "Fetch"]

T = TypeVar("T")


@dataclass(slots=True)
class Attempt:
    """One request; times are of `time.monotonic`, since an event loop's clock may have a resolution of milliseconds."""

    number: int
    """Counted from 1 for each fetch."""
    status: int | None
    """The HTTP status, if there was a response."""
    queued: float
    began: float
    ended: float
    error: str | None = None
    """The code of the error that it ended with, if any: an unusable response, or no response."""
    retry_after: float | None = None
    """The seconds that the response asked to wait before another request (`Retry-After`, RFC 9110, 10.2.3)."""


AttemptListener = Callable[[str, Attempt], None]
"""Called with the target and the attempt when an attempt has ended."""
Decode = Callable[[str, Response], T]
"""Return the value of the response to a target, or raise the `GatewayError` that it stands for."""


class Client:
    """Reads from one Twilio account over a bounded number of concurrent requests. Use it as an async context manager."""

    def __init__(
        self,
        origin: Origin,
        *,
        transport: Callable[[Origin], Transport] = HttptoolsTransport,
        concurrency: int | None = None,
        retries: RetryPolicy | None = None,
    ) -> None:
        """Create a client for `origin` that has at most `concurrency` requests in flight; by default, as `Limiter` learns."""
        self.limiter = Limiter(concurrency)
        self.attempts: Counter[tuple[str, int | None]] = Counter()
        """Requests by the collection they read from, and their status, or None without a response."""
        self.on_duration: Callable[[str, float], None] | None = None
        """Called with the collection that a request read from, and its seconds, when it has ended."""
        self.retries = 0
        """Requests that were sent again."""
        self._transport = transport(origin)
        self._retry_policy = retries or RetryPolicy()
        self._retry_budget = RetryBudget()
        self._fetches: set[Fetch] = set()
        """Fetches that have not ended."""
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self.deadlines = Deadlines(self._loop)
        """The deadlines of requests that wait for fetches."""
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for fetch in list(self._fetches):
            fetch.abort(unreachable())
        await self._transport.__aexit__(kind, error, trace)
        self.deadlines.clear()
        self._loop = None

    def start(self, fetch: Fetch) -> None:
        """Start to read `fetch.target`, and call the fetch back, which may happen before this returns.

        The fetch takes its turn among those of the same caller. Transient failures are retried until its deadline, as far as
        the retry budget allows. The connection of a response that `decode` finds invalid is closed. Raises `RuntimeError` when
        the client is not open.
        """
        if self._loop is None:
            raise RuntimeError("The client is not open: use it as an async context manager.")
        self._fetches.add(fetch)
        self._retry_budget.earn()
        fetch._client, fetch._loop = self, self._loop
        fetch._submit()

    async def get(
        self,
        target: str,
        decode: Decode[T],
        *,
        deadline: float | None = None,
        on_attempt: AttemptListener | None = None,
        caller: str = "",
    ) -> T:
        """Return the decoded value of `target`; raises its error, and `UpstreamTimeout` at the deadline. See `start`."""
        result: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        fetch = _Get(target, caller, decode, result, deadline, on_attempt)
        self.start(fetch)
        try:
            async with asyncio.timeout_at(deadline):
                return await result
        except TimeoutError:
            raise timed_out() from None
        finally:
            fetch.cancel()


class Fetch(ABC):
    """One read of one target: it is queued, sent, decoded, and perhaps retried after a pause.

    A subclass says what to do with the response, and with the result: either `completed` or `failed` is called, once, unless
    the fetch is cancelled. It is also the `QueuedRead` that the limiter starts or rejects.
    """

    __slots__ = (
        "_client",
        "_exchange",
        "_excused",
        "_loop",
        "_number",
        "_pause",
        "_queued",
        "_sent",
        "began",
        "caller",
        "in_flight",
        "is_wanted",
        "kind",
        "on_attempt",
        "target",
    )

    _client: Client
    _loop: asyncio.AbstractEventLoop
    _queued: float
    began: float
    in_flight: int

    def __init__(self, target: str, caller: str) -> None:
        """Read `target` (the text after `/v1/`) for `caller`, once the client starts it."""
        self.target = target
        self.kind = collection_of(target)
        """The collection that it reads from."""
        self.caller = caller
        self.is_wanted = True
        """Whether it has neither ended nor been cancelled."""
        self.on_attempt: AttemptListener | None = None
        """Called when an attempt has ended."""
        self._number = self._sent = self._excused = 0
        self._exchange: Exchange | None = None
        self._pause: asyncio.TimerHandle | None = None

    @property
    @abstractmethod
    def deadline(self) -> float | None:
        """Time of the event loop after which the fetch is not retried; None for no limit."""

    @abstractmethod
    def decode(self, response: Response) -> Any:
        """Return the value of the response; raises the `GatewayError` that it stands for."""

    @abstractmethod
    def completed(self, value: Any, body: bytes) -> None:
        """Receive the decoded value, and the response's body that it was decoded from."""

    @abstractmethod
    def failed(self, error: Exception, attempts: int) -> None:
        """Receive the error, and how many requests were sent: a `GatewayError`, or else a bug in the gateway."""

    def _submit(self) -> None:
        self._pause = None
        self._number += 1
        self._queued = self.began = time.monotonic()
        self._client.limiter.submit(self, self._queued)

    def start(self) -> None:
        """Send the request."""
        self._sent += 1
        self.began = time.monotonic()
        self.in_flight = self._client.limiter.in_flight
        self._exchange = self._client._transport.send(self.target, self._on_done)

    def reject(self, error: GatewayError) -> None:
        """Fail without sending the request."""
        self._fail(error)

    def attempt(self, status: int | None = None, error: GatewayError | None = None) -> Attempt | None:
        """Return the current attempt as if it ended now; None during the pause before a retry."""
        if self._pause is not None:
            return None
        code = error.code if error is not None else None
        retry_after = error.upstream.retry_after if error is not None and error.upstream is not None else None
        return Attempt(self._number, status, self._queued, self.began, time.monotonic(), code, retry_after)

    def cancel(self) -> None:
        """End without a result; the request in flight is cancelled, and reported as an attempt without a status."""
        if self.is_wanted:
            self._report(None)
            self._stop()

    def abort(self, error: GatewayError) -> None:
        """Cancel, and fail."""
        self.cancel()
        self.failed(error, self._sent)

    def _on_done(self, result: Response | Exception) -> None:
        self._exchange = None
        client, now = self._client, time.monotonic()
        value: Any = None
        error: Exception | None = None
        status = reported = None
        limiter = client.limiter
        if isinstance(result, Response):
            status = result.status
            try:
                value = self.decode(result)
            except Exception as caught:
                error = caught
                if isinstance(caught, UpstreamInvalidResponse):
                    result.close_connection()
        else:
            error = result
        if error is not None:
            if not isinstance(error, GatewayError):
                limiter.abandon(self, now)
                self._fail(error)
                return
            if status is None and error.upstream is not None:
                status = error.upstream.status
        if self.on_attempt is not None:
            self._report(status, error)
        client.attempts[self.kind, status] += 1
        if client.on_duration is not None:
            client.on_duration(self.kind, now - self.began)
        if isinstance(result, Response) and (limiter.queued or error is not None):
            reported = _count(result.headers.get("twilio-concurrent-requests"))
        is_excused = limiter.complete(self, error, now, reported)
        if not self.is_wanted:
            return
        if error is not None:
            if not self._retry(error, is_excused):
                self._fail(error)
        elif isinstance(result, Response):
            self.is_wanted = False
            client._fetches.discard(self)
            self.completed(value, result.body)

    def _retry(self, error: GatewayError, is_excused: bool) -> bool:
        """Schedule another attempt, unless it would be useless, too late, or beyond the retry budget.

        One that the limiter excuses costs neither an attempt nor the budget: the limit holds the retries back.
        """
        client = self._client
        if client.limiter.breaker.is_open:
            return False
        deadline = self.deadline
        remaining = deadline - self._loop.time() if deadline is not None else float("inf")
        self._excused += is_excused
        attempt = max(1, self._number - self._excused)
        delay = client._retry_policy.delay(attempt, error, remaining, random.random())
        if delay is None or not (is_excused or client._retry_budget.spend()):
            return False
        client.retries += 1
        self._pause = self._loop.call_later(delay, self._submit)
        return True

    def _report(self, status: int | None, error: GatewayError | None = None) -> None:
        on_attempt = self.on_attempt
        if on_attempt is not None:
            attempt = self.attempt(status, error)
            if attempt is not None:
                on_attempt(self.target, attempt)

    def _fail(self, error: Exception) -> None:
        self._stop()
        self.failed(error, self._sent)

    def _stop(self) -> None:
        self.is_wanted = False
        self._client._fetches.discard(self)
        if self._pause is not None:
            self._pause.cancel()
        if self._exchange is not None:
            self._exchange.cancel()
            self._exchange = None
            # Later, so that others which are cancelled with this one are not started in its place.
            self._loop.call_soon(self._client.limiter.abandon, self, time.monotonic())


class _Get(Fetch):
    """The fetch of `Client.get`."""

    __slots__ = ("_deadline", "_decode", "_result")

    def __init__(
        self,
        target: str,
        caller: str,
        decode: Decode[Any],
        result: asyncio.Future[Any],
        deadline: float | None,
        on_attempt: AttemptListener | None,
    ) -> None:
        super().__init__(target, caller)
        self.on_attempt = on_attempt
        self._deadline = deadline
        self._decode = decode
        self._result = result

    @property
    def deadline(self) -> float | None:
        return self._deadline

    def decode(self, response: Response) -> Any:
        return self._decode(self.target, response)

    def completed(self, value: Any, body: bytes) -> None:
        if not self._result.done():
            self._result.set_result(value)

    def failed(self, error: Exception, attempts: int) -> None:
        if not self._result.done():
            self._result.set_exception(error)


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() and len(text) < 7 else None
