"""The client: reads are tried again within bounds, equal ones are one, and none outlives those who wait for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway import errors
from gateway.sandbox import Fault, Sandbox
from gateway.twilio.client import Attempt, Client
from gateway.twilio.responses import Answer
from gateway.twilio.retry import RetryPolicy
from gateway.twilio.transport import Credentials, Origin, Timeouts


@asynccontextmanager
async def client_of(sandbox: Sandbox, concurrency: int = 64, **bounds: float) -> AsyncIterator[Client]:
    origin = Origin(sandbox.url, Credentials(sandbox.account_sid, sandbox.auth_token), Timeouts(**bounds))
    async with Client(origin, concurrency=concurrency, retries=RetryPolicy(first_delay=0.0)) as client:
        yield client


def whole(target: str, answer: Answer) -> Answer:
    return answer


def sound(target: str, answer: Answer) -> int:
    if answer.status != 200:
        raise errors.UpstreamRateLimited("slow down", upstream=errors.UpstreamAnswer(answer.status))
    return answer.status


def away(target: str, answer: Answer) -> None:
    raise errors.UpstreamUnavailable("away", upstream=errors.UpstreamAnswer(answer.status, retry_after=3600.0))


async def test_a_transient_failure_is_tried_again(sandbox: Sandbox) -> None:
    attempts: list[Attempt] = []
    sandbox.faults.add("*", Fault("status", status=429, times=2))
    async with client_of(sandbox) as client:
        assert await client.get("Services", sound, on_attempt=lambda _, attempt: attempts.append(attempt)) == 200
    assert [call.status for call in sandbox.calls] == [429, 429, 200]
    assert [(attempt.number, attempt.status) for attempt in attempts] == [(1, 429), (2, 429), (3, 200)]
    assert all(attempt.queued <= attempt.began <= attempt.ended for attempt in attempts)


async def test_a_failure_that_lasts_ends_the_attempts(sandbox: Sandbox) -> None:
    sandbox.faults.add("*", Fault("status", status=429))
    async with client_of(sandbox) as client:
        with pytest.raises(errors.UpstreamRateLimited):
            await client.get("Services", sound)
    assert len(sandbox.calls) == 3


async def test_when_much_fails_few_reads_are_tried_again(sandbox: Sandbox) -> None:
    """Five at once, and one for every ten reads: the attempts that are repeated earn none."""
    sandbox.faults.add("*", Fault("status", status=429))
    async with client_of(sandbox) as client:
        found = await asyncio.gather(*(client.read(f"Services?PageSize={size + 1}", sound) for size in range(25)))
        assert client.retries == 7
    assert all(isinstance(error, errors.UpstreamRateLimited) for error in found)
    assert len(sandbox.calls) == 25 + 7


async def test_the_deadline_ends_a_read_and_its_retries(sandbox: Sandbox) -> None:
    async with client_of(sandbox) as client:
        loop = asyncio.get_running_loop()
        with pytest.raises(errors.UpstreamUnavailable):
            await client.get("Services", away, deadline=loop.time() + 5)
        assert len(sandbox.calls) == 1  # It asks to wait longer than there is time.
        sandbox.faults.add("*", Fault("hang"))
        with pytest.raises(errors.UpstreamTimeout):
            await client.get("Services", away, deadline=loop.time() + 0.1)


async def test_an_answer_found_invalid_costs_the_connection(sandbox: Sandbox) -> None:
    """It may have gone off by one: then every later answer would be to another question."""
    dropped: list[str] = []

    def refuse(target: str, answer: Answer) -> None:
        answer.drop = lambda: dropped.append(target)
        raise errors.UpstreamInvalidResponse("not what was asked for")

    async with client_of(sandbox) as client:
        with pytest.raises(errors.UpstreamInvalidResponse):
            await client.get("Services", refuse)
    assert dropped == ["Services"]


async def test_reads_in_flight_are_bounded(sandbox: Sandbox) -> None:
    sandbox.faults.add("*", Fault(latency=0.01))
    async with client_of(sandbox, 5) as client:
        await asyncio.gather(*(client.get(f"Services?PageSize={n + 1}", whole) for n in range(40)))
    assert sandbox.max_in_flight == 5
    assert len(sandbox.calls) == 40


async def test_waiting_for_a_slot_is_not_twilios_delay(sandbox: Sandbox) -> None:
    sandbox.faults.add("*", Fault(latency=0.12))
    async with client_of(sandbox, 1, read=0.6) as client:
        answers = await asyncio.gather(*(client.get(f"Services?PageSize={n + 1}", whole) for n in range(6)))
    assert [answer.status for answer in answers] == [200] * 6


async def test_a_read_given_up_gives_its_slot_back(sandbox: Sandbox) -> None:
    sandbox.faults.add("*", Fault("hang", times=1))
    async with client_of(sandbox, 1) as client:
        hanging, waiting, given_up = (client.read(f"Services?PageSize={n}", whole) for n in (1, 2, 3))
        await sandbox.until(lambda: len(sandbox.calls) == 1)
        given_up.cancel()
        hanging.cancel()
        assert (await waiting).status == 200
    assert sandbox.paths == ["Services?PageSize=1", "Services?PageSize=2"]


async def test_equal_reads_at_one_time_are_one(sandbox: Sandbox) -> None:
    async with client_of(sandbox) as client:
        tickets = [client.read("Services", whole) for _ in range(5)]
        answers = await asyncio.gather(*tickets)
        assert [ticket.is_first for ticket in tickets] == [True, False, False, False, False]
        assert all(answer is answers[0] for answer in answers)
        assert len(sandbox.calls) == 1
        await client.read("Services", whole)
        assert len(sandbox.calls) == 2


async def test_a_read_alone_is_shared_with_none_before_it(sandbox: Sandbox) -> None:
    async with client_of(sandbox) as client:
        tickets = [client.read("Services", whole), client.read("Services", whole, alone=True)]
        await asyncio.gather(*tickets)
    assert [ticket.is_first for ticket in tickets] == [True, True]
    assert len(sandbox.calls) == 2


async def test_those_who_wait_together_share_the_error(sandbox: Sandbox) -> None:
    sandbox.faults.add("*", Fault("status", status=503))
    async with client_of(sandbox) as client:
        found = await asyncio.gather(*(client.read("Services", sound) for _ in range(3)))
    assert isinstance(found[0], errors.UpstreamRateLimited)
    assert all(error is found[0] for error in found)
    assert len(sandbox.calls) == 3


async def test_a_read_lives_as_long_as_someone_waits(sandbox: Sandbox) -> None:
    sandbox.faults.add("*", Fault(latency=0.1, times=1))
    async with client_of(sandbox) as client:
        first, second = client.read("Services", whole), client.read("Services", whole)
        await sandbox.until(lambda: len(sandbox.calls) == 1)
        first.cancel()
        assert not second.done()
        assert (await second).status == 200
        assert first.cancelled()
    assert len(sandbox.calls) == 1


async def test_the_last_one_to_leave_ends_the_read(sandbox: Sandbox) -> None:
    sandbox.faults.add("*", Fault("hang", times=1))
    async with client_of(sandbox) as client:
        first, second = client.read("Services", whole), client.read("Services", whole)
        await sandbox.until(lambda: len(sandbox.calls) == 1)
        first.cancel()
        second.expire()
        assert isinstance(await second, errors.UpstreamTimeout)
        await sandbox.until(lambda: sandbox.in_flight == 0)
        assert (await client.get("Services", whole)).status == 200


async def test_a_pause_between_attempts_ends_with_its_last_waiter(sandbox: Sandbox) -> None:
    def later(target: str, answer: Answer) -> None:
        raise errors.UpstreamUnavailable("busy", upstream=errors.UpstreamAnswer(503, retry_after=20.0))

    attempted = asyncio.Event()
    async with client_of(sandbox) as client:
        ticket = client.read("Services", later, on_attempt=lambda *_: attempted.set())
        await attempted.wait()
        ticket.expire()
        assert isinstance(await ticket, errors.UpstreamTimeout)
        assert client._readings == {}
    assert len(sandbox.calls) == 1


async def test_a_fault_of_our_own_reaches_whoever_waits(sandbox: Sandbox) -> None:
    def broken(target: str, answer: Answer) -> None:
        raise ZeroDivisionError

    async with client_of(sandbox) as client:
        with pytest.raises(ZeroDivisionError):
            await client.get("Services", broken)
        assert (await client.get("Services", whole)).status == 200


async def test_leaving_the_client_ends_what_waits(sandbox: Sandbox) -> None:
    sandbox.faults.add("*", Fault("hang"))
    async with client_of(sandbox, 1) as client:
        tickets = [client.read(f"Services?PageSize={n}", whole) for n in (1, 2)]
        await sandbox.until(lambda: len(sandbox.calls) == 1)
    assert all(ticket.cancelled() for ticket in tickets)


async def test_a_client_that_is_not_open_says_so() -> None:
    with pytest.raises(RuntimeError, match="not open"):
        await Client(Origin("http://127.0.0.1:1", Credentials("AC", "secret"))).get("Services", whole)
