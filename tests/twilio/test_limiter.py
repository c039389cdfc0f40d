"""The limiter: its three decisions as tables, and all of it over the sandbox, during an outage and after."""

import asyncio
import heapq
import random

import pytest

from gateway.errors import GatewayError, UpstreamAnswer, UpstreamRateLimited, UpstreamUnavailable
from gateway.sandbox import Fault, Sandbox
from gateway.twilio.client import Client
from gateway.twilio.limiter import Breaker, ConcurrencyLimit, FairQueue, Limiter
from gateway.twilio.responses import Response
from gateway.twilio.retry import RetryBudget
from gateway.twilio.transport import Credentials, Origin

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


def test_without_a_maximum_the_limit_starts_at_64_and_grows_up_to_512_while_reads_are_queued() -> None:
    limit = ConcurrencyLimit()
    assert limit.size == 64
    for _ in range(20_000):
        limit.on_response(None, 1.0)
    assert limit.size == 512


def test_a_maximum_is_where_the_limit_starts_and_ends() -> None:
    limit = ConcurrencyLimit(100)
    for _ in range(20_000):
        limit.on_response(None, 1.0)
    assert limit.size == 100


def test_a_429_lowers_the_limit_once_for_requests_sent_together_and_halves_it_when_it_comes_again() -> None:
    limit = ConcurrencyLimit(100)
    for _ in range(10):
        limit.on_rate_limited(began=1.0, now=2.0, in_flight=100, reported=None)
    assert limit.size == 90
    limit.on_rate_limited(began=3.0, now=3.5, in_flight=90, reported=None)
    assert limit.size == 45


def test_the_limit_returns_fast_to_nine_tenths_of_the_refused_level_and_slowly_to_the_level() -> None:
    limit = ConcurrencyLimit(200)
    limit.on_rate_limited(began=0.0, now=0.0, in_flight=100, reported=None)
    limit.on_rate_limited(began=0.5, now=1.0, in_flight=100, reported=None)
    assert limit.size == 45
    for _ in range(32 * 40):
        limit.on_response(None, 1.0)
    assert limit.size == 81
    for tenth in range(10, 110):
        limit.on_response(None, tenth / 10)
    assert limit.size == 89
    for tenth in range(110, 400):
        limit.on_response(None, tenth / 10)
    assert limit.size > 100


def test_the_limit_does_not_jump_after_a_pause() -> None:
    limit = ConcurrencyLimit(100)
    limit.on_rate_limited(began=0.0, now=0.0, in_flight=100, reported=None)
    limit.on_response(None, 1000.0)
    assert limit.size == 90


def test_the_limit_is_at_least_one() -> None:
    limit = ConcurrencyLimit(2)
    for moment in range(10):
        limit.on_rate_limited(began=moment, now=moment, in_flight=1, reported=None)
    assert limit.size == 1


def test_a_lower_maximum_does_not_change_what_the_limit_returns_to() -> None:
    limit = ConcurrencyLimit()
    limit.set_maximum(8)
    for _ in range(100):
        limit.on_response(None, 1.0)
    assert (limit.size, limit.level) == (8, 64)
    limit.set_maximum(512)
    assert limit.size == 64


def test_the_limit_stays_while_the_account_is_at_the_concurrency_of_the_last_429() -> None:
    limit = ConcurrencyLimit(64)
    limit.on_rate_limited(began=0, now=1, in_flight=64, reported=100)
    lowered = limit.level
    for tenth in range(10, 60):
        limit.on_response(100, tenth / 10)
    assert limit.level == lowered
    for tenth in range(60, 100):
        limit.on_response(60, tenth / 10)
    assert limit.level > lowered


def test_the_concurrency_of_the_last_429_is_forgotten_after_a_while() -> None:
    limit = ConcurrencyLimit(64)
    limit.on_rate_limited(began=0, now=1, in_flight=1, reported=3)
    for _ in range(100):
        limit.on_response(10, 1 + ConcurrencyLimit.RECOVERY_SECONDS / 2)
    assert limit.size == 1
    for second in range(100):
        limit.on_response(10, 2 + ConcurrencyLimit.RECOVERY_SECONDS + second)
    assert limit.size > 2


def test_a_429_may_report_less_than_was_in_flight_when_it_was_decided() -> None:
    limit = ConcurrencyLimit(64)
    limit.on_rate_limited(began=0, now=1, in_flight=50, reported=1)
    assert limit.size == 45
    for tenth in range(10, 60):
        limit.on_response(40, tenth / 10)
    assert limit.size > 45


@pytest.mark.parametrize("is_late", [False, True], ids=["early", "late"])
@pytest.mark.parametrize("latency", [0.005, 0.02, 0.2])
def test_an_account_of_100_is_used_to_the_full(latency: float, is_late: bool) -> None:
    """There is always another read: how many are in flight over 30 s after the first 10, and how many are refused.

    Where a 429 takes as long as other responses, and counts as a concurrent request meanwhile, each read that ends is followed
    by one that is refused, until the first 429 arrives.
    """
    limit, chance = ConcurrencyLimit(), random.Random(1)
    events: list[tuple[float, int, float, bool]] = []
    now, area, sent, open_, refusals = 0.0, 0.0, 0, 0, 0
    while now < 40:
        while len(events) < limit.size:
            sent += 1
            is_refused = (len(events) if is_late else open_) >= 100
            seconds = latency / 5 if is_refused and not is_late else latency * (0.75 + chance.random() / 2)
            refusals += is_refused
            open_ += not is_refused
            heapq.heappush(events, (now + seconds, sent, now, is_refused))
        then, _, began, is_refused = heapq.heappop(events)
        area += open_ * (then - max(now, 10.0)) if then > 10 else 0.0
        now = then
        if is_refused:
            limit.on_rate_limited(began, now, len(events) + 1, None)
        else:
            open_ -= 1
            limit.on_response(None, now)
    assert area / 30 >= 85
    assert refusals <= (500 if is_late else 20)


async def test_reads_beyond_the_accounts_concurrency_are_not_lost(sandbox: Sandbox) -> None:
    """Until the first 429 arrives, each read that ends is followed by one that is refused: more than the retry budget holds."""
    sandbox.faults.add("*", Fault(latency=(0.02, 0.08)))
    sandbox.max_concurrency = 100
    origin = Origin(sandbox.url, Credentials(sandbox.account_sid, sandbox.auth_token))
    async with Client(origin) as client:

        async def read_several() -> None:
            for target in paths(sandbox, 8):
                assert await client.get(target, status_of) == 200

        await asyncio.gather(*(read_several() for _ in range(200)))
        assert client.limiter.in_flight == client.limiter.queued == 0
        assert 85 <= client.limiter.limit.size <= 105
    assert sandbox.max_in_flight > 100


async def test_the_limit_adapts_to_twilios(sandbox: Sandbox) -> None:
    sandbox.faults.add("*", Fault(latency=0.005))
    sandbox.max_concurrency = 20
    async with client_of(sandbox) as client:
        for _ in range(4):
            assert await outcomes(client, paths(sandbox, 60)) == [200] * 60
        assert 5 <= client.limiter.limit.size <= 40
    assert client.limiter.in_flight == client.limiter.queued == 0


async def test_a_burst_far_beyond_the_accounts_concurrency_loses_no_read(sandbox: Sandbox) -> None:
    """Many are refused more often than a read is attempted after other failures."""
    sandbox.faults.add("*", Fault(latency=(0.005, 0.02)))
    sandbox.max_concurrency = 4
    async with client_of(sandbox) as client:
        found = await outcomes(client, paths(sandbox, 200))
        assert client.limiter.in_flight == client.limiter.queued == 0
    assert found == [200] * 200
    assert sandbox.max_in_flight > 10 * sandbox.max_concurrency


class Submitted:
    """A read that is ended by hand."""

    caller, kind, is_wanted = "", "Messages", True

    def __init__(self, limiter: Limiter) -> None:
        self.limiter = limiter
        self.began = 0.0
        self.in_flight = 0

    def start(self) -> None:
        self.in_flight = self.limiter.in_flight

    def reject(self, error: GatewayError) -> None:
        raise error

    def end(self, now: float, error: GatewayError | None = None) -> bool:
        return self.limiter.complete(self, error, now, None)


def submitted(count: int) -> tuple[Limiter, list[Submitted]]:
    """A limiter, and so many reads that it has started together."""
    limiter = Limiter(100)
    reads = [Submitted(limiter) for _ in range(count)]
    for read in reads:
        limiter.submit(read, 0.0)
    return limiter, reads


def test_a_429_that_arrives_last_counts_as_many_in_flight_as_when_it_was_sent() -> None:
    limiter, reads = submitted(30)
    for read in reads[:-1]:
        assert not read.end(1.0)
    assert not reads[-1].end(1.0, UpstreamRateLimited("too many"))
    assert limiter.limit.size == 27


def test_a_429_that_arrives_first_counts_as_many_in_flight_as_when_it_arrives() -> None:
    limiter, reads = submitted(30)
    assert not reads[0].end(1.0, UpstreamRateLimited("too many"))
    assert limiter.limit.size == 27


def test_reads_refused_together_are_excused_but_for_the_first() -> None:
    limiter, reads = submitted(30)
    too_many = UpstreamRateLimited("too many")
    assert [read.end(1.0 + number / 100, too_many) for number, read in enumerate(reads)] == [False] + 29 * [True]
    later = Submitted(limiter)
    later.began = 2.0
    limiter.submit(later, 2.0)
    assert not later.end(3.0, too_many)


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
    async with client_of(sandbox) as client:
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
    async with client_of(sandbox) as client:
        found = [answer for _ in range(10) for answer in await outcomes(client, paths(sandbox))]
    assert found.count(200) >= 0.99 * len(found)
