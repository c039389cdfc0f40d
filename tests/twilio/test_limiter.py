"""The gate: its three decisions as tables, and all of it over the sandbox, in a storm and after."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.errors import GatewayError, UpstreamAnswer, UpstreamRateLimited, UpstreamUnavailable
from gateway.sandbox import Fault, Sandbox
from gateway.twilio.client import Client
from gateway.twilio.limiter import Breaker, FairQueue, Window
from gateway.twilio.responses import Answer
from gateway.twilio.retry import RetryBudget, RetryPolicy
from gateway.twilio.transport import Credentials, Origin, Timeouts


@asynccontextmanager
async def client_of(sandbox: Sandbox, concurrency: int = 64) -> AsyncIterator[Client]:
    origin = Origin(sandbox.url, Credentials(sandbox.account_sid, sandbox.auth_token), Timeouts(read=1.0))
    async with Client(origin, concurrency=concurrency, retries=RetryPolicy(first_delay=0.0)) as client:
        yield client


def read(target: str, answer: Answer) -> int:
    if answer.status == 429:
        raise UpstreamRateLimited("too many", upstream=UpstreamAnswer(429))
    if answer.status >= 500:
        raise UpstreamUnavailable("down", upstream=UpstreamAnswer(answer.status))
    return answer.status


async def outcomes(client: Client, targets: list[str], caller: str = "") -> list[object]:
    return list(await asyncio.gather(*(client.read(target, read, caller=caller) for target in targets)))


def paths(sandbox: Sandbox, count: int = 50) -> list[str]:
    """Targets of several kinds, all of which exist."""
    service = f"Services/{sandbox.landmarks['service_sid']}"
    thread = f"{service}/Conversations/{sandbox.landmarks['conversation_sid']}"
    lists = [f"{thread}/{kind}?PageSize={size + 1}" for size in range(count) for kind in ("Messages", "Participants")]
    return [service, thread, *lists][:count]


# How many at once


def test_the_window_is_halved_once_for_those_sent_together_and_grows_by_one_a_round() -> None:
    window = Window(64)
    for _ in range(10):
        window.refused(began=1.0, now=2.0, in_flight=63, reported=None)
    assert window.size == 32
    window.refused(began=3.0, now=4.0, in_flight=31, reported=None)
    assert window.size == 16
    for _ in range(17):
        window.answered(15, None, 5.0)
    assert window.size == 17
    for _ in range(10_000):
        window.answered(63, None, 5.0)
    assert window.size == 64


def test_the_window_is_never_below_one_and_grows_only_when_it_is_full() -> None:
    window = Window(2)
    for moment in range(10):
        window.refused(began=moment, now=moment, in_flight=0, reported=None)
    assert window.size == 1
    window = Window(10)
    window.refused(began=0, now=0, in_flight=9, reported=None)
    for _ in range(100):
        window.answered(1, None, 5.0)
    assert window.size == 5


def test_the_window_stays_while_the_account_stands_where_it_was_too_many() -> None:
    window = Window(64)
    window.refused(began=0, now=1, in_flight=63, reported=100)
    for _ in range(1000):
        window.answered(31, 100, 5.0)
    assert window.size == 32
    for _ in range(40):
        window.answered(31, 60, 5.0)
    assert window.size == 33


async def test_a_limit_of_twilios_is_found_and_kept(sandbox: Sandbox) -> None:
    sandbox.faults.add("*", Fault(latency=0.005))
    sandbox.max_concurrency = 20
    async with client_of(sandbox) as client:
        for _ in range(4):
            await outcomes(client, paths(sandbox, 60))
        assert 5 <= client.limiter.window.size <= 40
        sandbox.reset()
        found = await outcomes(client, paths(sandbox, 60))
    assert found.count(200) >= 55
    assert client.limiter.in_flight == client.limiter.waiting == 0


# Whose turn it is


def test_turns_go_round() -> None:
    turns: FairQueue[str] = FairQueue()
    for number in range(3):
        turns.add("export", f"export {number}")
    turns.add("screen", "screen 0")
    turns.add("other", "other 0")
    assert [turns.take() for _ in range(len(turns))] == ["export 0", "screen 0", "other 0", "export 1", "export 2"]
    with pytest.raises(LookupError):
        turns.take()


async def test_an_export_does_not_starve_a_screen(sandbox: Sandbox) -> None:
    sandbox.faults.add("*", Fault(latency=0.01))
    async with client_of(sandbox, 2) as client:
        export = asyncio.gather(*(client.read(target, read, caller="export") for target in paths(sandbox)))
        screen = client.read("Services?PageSize=1", read, caller="screen")
        await screen
        assert len(sandbox.calls) <= 8  # Two were out, and of what waited the screen's was the second.
        await export


# Whether there is any use


def test_the_breaker_opens_when_several_kinds_fail_in_a_row() -> None:
    breaker = Breaker()
    for _ in range(50):
        breaker.failed("Receipts", 1.0)
    assert not breaker.is_open
    breaker.failed("Messages", 1.0)
    assert breaker.is_open
    assert not breaker.is_worth_a_probe("Messages", 1.0)
    assert breaker.is_worth_a_probe("Participants", 1.0)
    assert breaker.is_worth_a_probe("Messages", 1.0 + Breaker.PROBE_INTERVAL_SECONDS)
    breaker.answered()
    assert not breaker.is_open


def test_an_answer_in_between_keeps_it_closed() -> None:
    breaker = Breaker()
    for _ in range(20):
        breaker.failed("Receipts", 1.0)
        breaker.failed("Messages", 1.0)
        breaker.answered()
    assert not breaker.is_open


@pytest.mark.parametrize("fault", [Fault("status", status=503), Fault("reset"), Fault("hang")], ids=str)
async def test_an_outage_costs_few_calls_and_is_over_at_once(sandbox: Sandbox, fault: Fault) -> None:
    async with client_of(sandbox) as client:
        rule = sandbox.faults.add("*", fault)
        targets = paths(sandbox, 40)
        for _ in range(2):
            found = await outcomes(client, targets)
            assert all(isinstance(error, GatewayError) for error in found)
        assert len(sandbox.calls) <= 1.25 * len(targets) + 2
        assert client.limiter.breaker.is_open
        sandbox.faults.remove(rule)
        # The pause between probes is what is looked at here; a timer may run out a little early.
        await asyncio.sleep(2 * Breaker.PROBE_INTERVAL_SECONDS)
        assert await outcomes(client, targets) == [200] * len(targets)


async def test_one_kind_that_fails_takes_no_other_along(sandbox: Sandbox) -> None:
    sandbox.faults.add("*/Messages", Fault("status", status=503))
    async with client_of(sandbox) as client:
        for _ in range(3):
            found = await outcomes(client, paths(sandbox))
            assert all(
                (answer == 200) is ("/Messages" not in target)
                for target, answer in zip(paths(sandbox), found, strict=True)
            )


async def test_a_probe_given_up_leaves_it_to_the_next(sandbox: Sandbox) -> None:
    """Of those that wait, the first that may tell something probes on; the others wait for it."""
    async with client_of(sandbox) as client:
        rule = sandbox.faults.add("*", Fault("reset"))
        await outcomes(client, paths(sandbox, 10)[2:])  # Lists of messages and participants, and no services.
        assert client.limiter.breaker.is_open
        sandbox.faults.remove(rule)
        sandbox.faults.add("*", Fault("hang", times=2))
        sandbox.reset()
        tickets = [client.read(f"Services?PageSize={number}", read) for number in (1, 2, 3, 4)]
        async with asyncio.timeout(10):
            await sandbox.until(lambda: len(sandbox.calls) == 1)
            tickets[0].cancel()
            await sandbox.until(lambda: len(sandbox.calls) == 2)
        assert sandbox.paths == ["Services?PageSize=1", "Services?PageSize=2"]
        assert client.limiter.waiting == 2
        tickets[1].cancel()
        assert [await ticket for ticket in tickets[2:]] == [200, 200]
    assert not client.limiter.breaker.is_open
    assert client.limiter.in_flight == client.limiter.waiting == 0


async def test_a_probe_given_up_with_none_behind_it_leaves_it_to_whoever_comes(sandbox: Sandbox) -> None:
    async with client_of(sandbox) as client:
        rule = sandbox.faults.add("*", Fault("reset"))
        await outcomes(client, paths(sandbox, 10)[2:])
        sandbox.faults.remove(rule)
        sandbox.faults.add("*", Fault("hang", times=1))
        sandbox.reset()
        probe = client.read("Services?PageSize=1", read)
        await sandbox.until(lambda: len(sandbox.calls) == 1)
        probe.cancel()
        await sandbox.until(lambda: sandbox.in_flight == 0)
        assert await client.read("Services?PageSize=2", read) == 200


# How often again


def test_a_tenth_of_the_calls_may_be_repeated() -> None:
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


async def test_few_transient_failures_are_made_good(sandbox: Sandbox) -> None:
    sandbox.faults.add("*", Fault("status", status=503, probability=0.05))
    async with client_of(sandbox) as client:
        found = [answer for _ in range(10) for answer in await outcomes(client, paths(sandbox))]
    assert found.count(200) >= 0.99 * len(found)


def test_what_was_too_many_is_forgotten_after_a_while() -> None:
    window = Window(64)
    window.refused(began=0, now=1, in_flight=0, reported=3)
    for _ in range(100):
        window.answered(0, 10, 1 + Window.CEILING_SECONDS / 2)
    assert window.size == 1
    for _ in range(100):
        window.answered(63, 10, 2 + Window.CEILING_SECONDS)
    assert window.size > 5
