"""The client alone: a read ends with a value or an error, is retried within bounds, and can be cancelled at any time."""

import asyncio
from typing import Any

import pytest

from gateway import errors
from gateway.sandbox import Fault, Sandbox
from gateway.twilio.client import Attempt, Client, Decode, Fetch
from gateway.twilio.responses import Response
from gateway.twilio.transport import Credentials, Origin

from .conftest import client_of


def whole(target: str, response: Response) -> Response:
    return response


def status_of(target: str, response: Response) -> int:
    if response.status != 200:
        raise errors.UpstreamRateLimited("slow down", upstream=errors.UpstreamAnswer(response.status))
    return response.status


def unavailable(target: str, response: Response) -> None:
    raise errors.UpstreamUnavailable("away", upstream=errors.UpstreamAnswer(response.status))


def unavailable_for_long(target: str, response: Response) -> None:
    raise errors.UpstreamUnavailable("away", upstream=errors.UpstreamAnswer(503, retry_after=20.0))


class Recorder(Fetch):
    """A fetch that records its result and its attempts."""

    deadline = None

    def __init__(self, target: str = "Services", decode: Decode[Any] = whole) -> None:
        super().__init__(target, "")
        self._decode = decode
        self.values: list[tuple[Any, bytes]] = []
        self.errors: list[tuple[Exception, int]] = []
        self.ended = asyncio.Event()
        self.attempts: list[Attempt] = []
        self.attempted = asyncio.Event()

    def listen(self) -> None:
        self.on_attempt = self._record

    def decode(self, response: Response) -> Any:
        return self._decode(self.target, response)

    def completed(self, value: Any, body: bytes) -> None:
        self.values.append((value, body))
        self.ended.set()

    def failed(self, error: Exception, attempts: int) -> None:
        self.errors.append((error, attempts))
        self.ended.set()

    def _record(self, target: str, attempt: Attempt) -> None:
        self.attempts.append(attempt)
        self.attempted.set()


async def test_a_fetch_calls_back_with_the_value_and_its_body(sandbox: Sandbox) -> None:
    recorder = Recorder()
    async with client_of(sandbox) as client:
        client.start(recorder)
        assert recorder.is_wanted
        await recorder.ended.wait()
        assert not recorder.is_wanted
    ((value, body),) = recorder.values
    assert value.status == 200
    assert body is value.body
    assert recorder.errors == []


async def test_a_fetch_calls_back_with_the_error_and_the_number_of_requests(sandbox: Sandbox) -> None:
    sandbox.faults.add("*", Fault("status", status=429))
    recorder = Recorder(decode=status_of)
    async with client_of(sandbox) as client:
        client.start(recorder)
        await recorder.ended.wait()
    ((error, attempts),) = recorder.errors
    assert isinstance(error, errors.UpstreamRateLimited)
    assert attempts == len(sandbox.calls) == 3


async def test_every_fetch_is_a_request_of_its_own(sandbox: Sandbox) -> None:
    """The client shares nothing: equal reads are made one by the source."""
    async with client_of(sandbox) as client:
        await asyncio.gather(*(client.get("Services", whole) for _ in range(3)))
    assert sandbox.paths == ["Services"] * 3


async def test_a_transient_failure_is_retried(sandbox: Sandbox) -> None:
    attempts: list[Attempt] = []
    sandbox.faults.add("*", Fault("status", status=429, times=2))
    async with client_of(sandbox) as client:
        assert await client.get("Services", status_of, on_attempt=lambda _, attempt: attempts.append(attempt)) == 200
    assert [call.status for call in sandbox.calls] == [429, 429, 200]
    assert [(attempt.number, attempt.status) for attempt in attempts] == [(1, 429), (2, 429), (3, 200)]
    assert all(attempt.queued <= attempt.began <= attempt.ended for attempt in attempts)


async def test_when_much_fails_few_reads_are_retried(sandbox: Sandbox) -> None:
    """Five at once, and one for every ten reads: a retry earns none."""
    sandbox.faults.add("*", Fault("status", status=503))
    async with client_of(sandbox) as client:
        reads = (client.get(f"Services?PageSize={size + 1}", unavailable) for size in range(25))
        found = await asyncio.gather(*reads, return_exceptions=True)
        assert client.retries == 7
    assert all(isinstance(error, errors.UpstreamUnavailable) for error in found)
    assert len(sandbox.calls) == 25 + 7


async def test_when_all_is_refused_the_reads_end_and_few_are_retried(sandbox: Sandbox) -> None:
    """Reads refused together are sent again without the retry budget, each time under a lower limit."""
    sandbox.faults.add("*", Fault("status", status=429))
    async with client_of(sandbox) as client:
        reads = (client.get(f"Services?PageSize={size % 100 + 1}&Page={size // 100}", status_of) for size in range(200))
        found = await asyncio.gather(*reads, return_exceptions=True)
        assert client.limiter.limit.size == 1
        assert client.retries <= 20 + 64 * (
            1 + 0.9 * 2
        )  # The budget; then 64 at once, 0.9 of that, and half each time.
    assert all(isinstance(error, errors.UpstreamRateLimited) for error in found)


async def test_the_deadline_ends_a_read_and_its_retries(sandbox: Sandbox) -> None:
    async with client_of(sandbox) as client:
        loop = asyncio.get_running_loop()
        with pytest.raises(errors.UpstreamUnavailable):
            await client.get("Services", unavailable_for_long, deadline=loop.time() + 5)
        assert len(sandbox.calls) == 1  # `Retry-After` is later than the deadline.
        sandbox.faults.add("*", Fault("hang"))
        with pytest.raises(errors.UpstreamTimeout):
            await client.get("Services", whole, deadline=loop.time() + 0.1)
        await sandbox.until(lambda: sandbox.in_flight == 0)


async def test_an_invalid_response_closes_its_connection(sandbox: Sandbox) -> None:
    """It may be the response to another request, and then every later one on the connection is, too."""

    def refuse(target: str, response: Response) -> None:
        raise errors.UpstreamInvalidResponse("another record")

    async with client_of(sandbox) as client:
        await client.get("Services", whole)
        transport: Any = client._transport
        (kept,) = transport.idle
        with pytest.raises(errors.UpstreamInvalidResponse):
            await client.get("Services", refuse)
        assert not kept.is_open
        await client.get("Services", whole)
        assert kept not in transport.idle


async def test_an_error_response_keeps_its_connection(sandbox: Sandbox) -> None:
    sandbox.faults.add("*", Fault("status", status=403, times=1))
    async with client_of(sandbox) as client:
        transport: Any = client._transport
        with pytest.raises(errors.UpstreamRateLimited):
            await client.get("Services", status_of)
        (kept,) = transport.idle
        await client.get("Services", status_of)
        assert transport.idle == [kept]


async def test_requests_in_flight_are_bounded(sandbox: Sandbox) -> None:
    sandbox.faults.add("*", Fault(latency=0.01))
    async with client_of(sandbox, 5) as client:
        await asyncio.gather(*(client.get(f"Services?PageSize={n + 1}", whole) for n in range(40)))
    assert sandbox.max_in_flight == 5
    assert len(sandbox.calls) == 40


async def test_time_in_the_queue_does_not_count_as_twilios(sandbox: Sandbox) -> None:
    sandbox.faults.add("*", Fault(latency=0.3))
    async with client_of(sandbox, 1, read=1.5) as client:
        responses = await asyncio.gather(*(client.get(f"Services?PageSize={n + 1}", whole) for n in range(6)))
    assert [response.status for response in responses] == [200] * 6


async def test_cancelled_fetches_free_their_slots(sandbox: Sandbox) -> None:
    sandbox.faults.add("*", Fault("hang", times=1))
    in_flight, last, queued = (Recorder(f"Services?PageSize={size}") for size in (1, 2, 3))
    for recorder in (in_flight, queued):
        recorder.listen()
    async with client_of(sandbox, 1) as client:
        for recorder in (in_flight, last, queued):
            client.start(recorder)
        await sandbox.until(lambda: len(sandbox.calls) == 1)
        queued.cancel()
        in_flight.cancel()
        await last.ended.wait()
    assert sandbox.paths == ["Services?PageSize=1", "Services?PageSize=2"]
    for recorder in (in_flight, queued):
        assert [attempt.status for attempt in recorder.attempts] == [None]
        assert (recorder.values, recorder.errors) == ([], [])


async def test_a_fetch_can_be_cancelled_before_a_retry(sandbox: Sandbox) -> None:
    recorder = Recorder(decode=unavailable_for_long)
    recorder.listen()
    async with client_of(sandbox) as client:
        client.start(recorder)
        await recorder.attempted.wait()
        assert client.retries == 1
        recorder.cancel()
        recorder.cancel()
        assert client._fetches == set()
    assert len(sandbox.calls) == len(recorder.attempts) == 1
    assert recorder.errors == []


async def test_a_bug_reaches_whoever_started_the_read(sandbox: Sandbox) -> None:
    def broken(target: str, response: Response) -> None:
        raise ZeroDivisionError

    async with client_of(sandbox, 1) as client:
        with pytest.raises(ZeroDivisionError):
            await client.get("Services", broken)
        assert (await client.get("Services", whole)).status == 200


async def test_closing_the_client_fails_what_is_in_flight_and_what_is_queued(sandbox: Sandbox) -> None:
    sandbox.faults.add("*", Fault("hang"))
    in_flight, queued = Recorder(), Recorder()
    async with client_of(sandbox, 1) as client:
        client.start(in_flight)
        client.start(queued)
        await sandbox.until(lambda: len(sandbox.calls) == 1)
    for recorder, requests in ((in_flight, 1), (queued, 0)):
        ((error, attempts),) = recorder.errors
        assert isinstance(error, errors.UpstreamUnavailable)
        assert attempts == requests
    assert len(sandbox.calls) == 1


async def test_a_client_that_is_not_open_says_so() -> None:
    with pytest.raises(RuntimeError, match="not open"):
        await Client(Origin("http://127.0.0.1:1", Credentials("AC", "secret"))).get("Services", whole)
