"""The limiter: its three decisions as tables, and all of it over the sandbox, during an outage and after."""

import asyncio

import pytest

from gateway.errors import GatewayError, UpstreamAnswer, UpstreamRateLimited, UpstreamUnavailable
from gateway.sandbox import Fault, Sandbox
from gateway.twilio.client import Client
from gateway.twilio.limiter import Breaker, ConcurrencyLimit, FairQueue
from gateway.twilio.responses import Response
from gateway.twilio.retry import RetryBudget

from .conftest import client_of


def status_of(target: str, response: Response) -> int:
    if response.status == 429:
        raise UpstreamRateLimited("too many", upstream=UpstreamAnswer(429))
    if response.status >= 500:
        raise UpstreamUnavailable("down", upstream=UpstreamAnswer(response.status))
    return response.status


async def outcomes(client: Client, targets: list[str], caller: str = "") -> list[object]:
    reads = (client.get(target, status_of, caller=caller) for target in targets)
    return list(await asyncio.gather(*reads, return_exceptions=True))


def paths(sandbox: Sandbox, count: int = 50) -> list[str]:
    """Targets of several kinds, all of which exist."""
    service = f"Services/{sandbox.landmarks['service_sid']}"
    thread = f"{service}/Conversations/{sandbox.landmarks['conversation_sid']}"
    lists = [f"{thread}/{kind}?PageSize={size + 1}" for size in range(count) for kind in ("Messages", "Participants")]
    return [service, thread, *lists][:count]


# How many in flight


def test_the_limit_is_halved_once_for_requests_sent_together_and_grows_by_one_a_round() -> None:
    limit = ConcurrencyLimit(64)
    for _ in range(10):
        limit.on_rate_limited(began=1.0, now=2.0, in_flight=63, reported=None)
    assert limit.size == 32
    limit.on_rate_limited(began=3.0, now=4.0, in_flight=31, reported=None)
    assert limit.size == 16
    for _ in range(17):
        limit.on_response(15, None, 5.0)
    assert limit.size == 17
    for _ in range(10_000):
        limit.on_response(63, None, 5.0)
    assert limit.size == 64


def test_the_limit_is_at_least_one_and_grows_only_when_it_is_reached() -> None:
    limit = ConcurrencyLimit(2)
    for moment in range(10):
        limit.on_rate_limited(began=moment, now=moment, in_flight=0, reported=None)
    assert limit.size == 1
    limit = ConcurrencyLimit(10)
    limit.on_rate_limited(began=0, now=0, in_flight=9, reported=None)
    for _ in range(100):
        limit.on_response(1, None, 5.0)
    assert limit.size == 5


def test_the_limit_stays_while_the_account_is_at_the_concurrency_of_the_last_429() -> None:
    limit = ConcurrencyLimit(64)
    limit.on_rate_limited(began=0, now=1, in_flight=63, reported=100)
    for _ in range(1000):
        limit.on_response(31, 100, 5.0)
    assert limit.size == 32
    for _ in range(40):
        limit.on_response(31, 60, 5.0)
    assert limit.size == 33


async def test_the_limit_adapts_to_twilios(sandbox: Sandbox) -> None:
    sandbox.faults.add("*", Fault(latency=0.005))
    sandbox.max_concurrency = 20
    async with client_of(sandbox, read=1.0) as client:
        for _ in range(4):
            await outcomes(client, paths(sandbox, 60))
        assert 5 <= client.limiter.limit.size <= 40
        sandbox.reset()
        found = await outcomes(client, paths(sandbox, 60))
    assert found.count(200) >= 55
    assert client.limiter.in_flight == client.limiter.queued == 0


# Whose read is next


def test_the_queue_is_served_round_robin() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(3):
        queue.put("export", f"export {number}")
    queue.put("screen", "screen 0")
    queue.put("other", "other 0")
    assert [queue.pop() for _ in range(queue.size)] == ["export 0", "screen 0", "other 0", "export 1", "export 2"]
    with pytest.raises(LookupError):
        queue.pop()


async def test_an_export_does_not_starve_a_screen(sandbox: Sandbox) -> None:
    sandbox.faults.add("*", Fault(latency=0.01))
    async with client_of(sandbox, 2) as client:
        targets = paths(sandbox)
        export = [asyncio.create_task(client.get(target, status_of, caller="export")) for target in targets]
        await asyncio.create_task(client.get("Services?PageSize=1", status_of, caller="screen"))
        assert len(sandbox.calls) <= 8  # Two were in flight, and of those queued the screen's was the second.
        await asyncio.gather(*export)


# Whether to send any


def test_the_breaker_opens_when_several_kinds_fail_in_a_row() -> None:
    breaker = Breaker()
    for _ in range(50):
        breaker.on_failure("Receipts", 1.0)
    assert not breaker.is_open
    breaker.on_failure("Messages", 1.0)
    assert breaker.is_open
    assert not breaker.can_probe("Messages", 1.0)
    assert breaker.can_probe("Participants", 1.0)
    assert breaker.can_probe("Messages", 1.0 + Breaker.PROBE_INTERVAL_SECONDS)
    breaker.on_response()
    assert not breaker.is_open


def test_a_response_in_between_keeps_the_breaker_closed() -> None:
    breaker = Breaker()
    for _ in range(20):
        breaker.on_failure("Receipts", 1.0)
        breaker.on_failure("Messages", 1.0)
        breaker.on_response()
    assert not breaker.is_open


@pytest.mark.parametrize("fault", [Fault("status", status=503), Fault("reset"), Fault("hang")], ids=str)
async def test_an_outage_costs_few_calls_and_is_over_at_once(sandbox: Sandbox, fault: Fault) -> None:
    async with client_of(sandbox, read=1.0) as client:
        rule = sandbox.faults.add("*", fault)
        targets = paths(sandbox, 40)
        for _ in range(2):
            found = await outcomes(client, targets)
            assert all(isinstance(error, GatewayError) for error in found)
        assert len(sandbox.calls) <= 1.25 * len(targets) + 2
        assert client.limiter.breaker.is_open
        sandbox.faults.remove(rule)
        # The interval between probes is what is tested; a timer may end a little early.
        await asyncio.sleep(2 * Breaker.PROBE_INTERVAL_SECONDS)
        assert await outcomes(client, targets) == [200] * len(targets)


async def test_failures_of_one_kind_do_not_affect_others(sandbox: Sandbox) -> None:
    sandbox.faults.add("*/Messages", Fault("status", status=503))
    async with client_of(sandbox, read=1.0) as client:
        for _ in range(3):
            found = await outcomes(client, paths(sandbox))
            assert all(
                (answer == 200) is ("/Messages" not in target)
                for target, answer in zip(paths(sandbox), found, strict=True)
            )


async def test_a_cancelled_probe_is_followed_by_the_next(sandbox: Sandbox) -> None:
    """The first queued read that can bring news is the next probe, and the others wait for it."""
    async with client_of(sandbox) as client:
        rule = sandbox.faults.add("*", Fault("reset"))
        await outcomes(client, paths(sandbox, 10)[2:])  # Lists of messages and participants, and no services.
        assert client.limiter.breaker.is_open
        sandbox.faults.remove(rule)
        sandbox.faults.add("*", Fault("hang", times=2))
        sandbox.reset()
        targets = [f"Services?PageSize={number}" for number in (1, 2, 3, 4)]
        reads = [asyncio.create_task(client.get(target, status_of)) for target in targets]
        async with asyncio.timeout(10):
            await sandbox.until(lambda: len(sandbox.calls) == 1)
            reads[0].cancel()
            await sandbox.until(lambda: len(sandbox.calls) == 2)
        assert sandbox.paths == targets[:2]
        assert client.limiter.queued == 2
        reads[1].cancel()
        assert [await read for read in reads[2:]] == [200, 200]
    assert not client.limiter.breaker.is_open
    assert client.limiter.in_flight == client.limiter.queued == 0


async def test_after_a_cancelled_probe_the_next_read_to_come_is_one(sandbox: Sandbox) -> None:
    async with client_of(sandbox) as client:
        rule = sandbox.faults.add("*", Fault("reset"))
        await outcomes(client, paths(sandbox, 10)[2:])
        sandbox.faults.remove(rule)
        sandbox.faults.add("*", Fault("hang", times=1))
        sandbox.reset()
        probe = asyncio.create_task(client.get("Services?PageSize=1", status_of))
        await sandbox.until(lambda: len(sandbox.calls) == 1)
        probe.cancel()
        await sandbox.until(lambda: sandbox.in_flight == 0)
        assert await client.get("Services?PageSize=2", status_of) == 200


# How often to retry


def test_a_tenth_of_the_reads_may_be_retried() -> None:
    budget = RetryBudget()
    while budget.spend():
        pass
    for _ in range(1000):
        budget.earn()
        budget.spend()
    spent = 0
    for _ in range(1000):
        budget.earn()
        spent += budget.spend()
    assert 95 <= spent <= 105


async def test_a_few_transient_failures_are_retried_away(sandbox: Sandbox) -> None:
    sandbox.faults.add("*", Fault("status", status=503, probability=0.05))
    async with client_of(sandbox, read=1.0) as client:
        found = [answer for _ in range(10) for answer in await outcomes(client, paths(sandbox))]
    assert found.count(200) >= 0.99 * len(found)


def test_the_concurrency_of_the_last_429_is_forgotten_after_a_while() -> None:
    limit = ConcurrencyLimit(64)
    limit.on_rate_limited(began=0, now=1, in_flight=0, reported=3)
    for _ in range(100):
        limit.on_response(0, 10, 1 + ConcurrencyLimit.CEILING_SECONDS / 2)
    assert limit.size == 1
    for _ in range(100):
        limit.on_response(63, 10, 2 + ConcurrencyLimit.CEILING_SECONDS)
    assert limit.size > 5
