"""Single-flight: waiters for one key share one read, leave it one by one, and the last one to leave cancels it."""

import asyncio
from collections.abc import Generator
from typing import Any

import pytest

from gateway import errors
from gateway.sandbox import Fault, Sandbox
from gateway.source.in_flight import InFlightReads, Waiter
from gateway.source.options import ReadOptions
from gateway.twilio.client import Attempt, Client
from gateway.twilio.paths import collection_of
from gateway.twilio.responses import Response, failure


class Waiting:
    """A waiter whose result can be awaited."""

    def __init__(self, key: str, **options: Any) -> None:
        self._result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.waiter = Waiter(key, ReadOptions(**options), lambda waiter: self._result.set_result(waiter.value))
        self.cancel, self.expire = self.waiter.cancel, self.waiter.expire

    def __await__(self) -> Generator[Any, None, Any]:
        return self._result.__await__()


class Reads:
    """The reads in flight over a client, what they have stored, and the keys of those that ended without a value."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.stored: list[tuple[str, Any, bytes]] = []
        self.released: list[str] = []
        self.in_flight = InFlightReads(client, self._decode, self._store, self.released.append)

    def wait(self, key: str = "Services", **options: Any) -> Waiting:
        """A waiter for the key, with those options."""
        waiting = Waiting(key, **options)
        self.in_flight.join(waiting.waiter)
        return waiting

    def _store(self, key: str, value: Any, body: bytes, began_at: float, may_cache: bool) -> Any:
        if may_cache:
            self.stored.append((key, value, body))
        return value

    @staticmethod
    def _decode(key: str, kind: str, response: Response) -> int:
        assert kind == collection_of(key)
        if response.status != 200:
            raise failure(key, response)
        return response.status


@pytest.fixture
def reads(client: Client) -> Reads:
    return Reads(client)


async def test_waiters_for_one_key_share_one_read(sandbox: Sandbox, reads: Reads) -> None:
    waiters = [reads.wait() for _ in range(5)]
    assert "Services" in reads.in_flight
    assert [await waiting for waiting in waiters] == [200] * 5
    assert [waiting.waiter.is_first for waiting in waiters] == [True, False, False, False, False]
    assert "Services" not in reads.in_flight
    assert [key for key, _, _ in reads.stored] == sandbox.paths == ["Services"]
    assert await reads.wait() == 200
    assert len(sandbox.calls) == 2


async def test_a_key_that_is_revalidated_is_not_shared_with_a_read_that_began_before(
    sandbox: Sandbox, reads: Reads
) -> None:
    waiters = [reads.wait(), reads.wait(revalidate={"Services"}), reads.wait()]
    assert [await waiting for waiting in waiters] == [200] * 3
    assert [waiting.waiter.is_first for waiting in waiters] == [True, True, False]
    assert len(sandbox.calls) == 2


async def test_the_value_is_stored_before_the_waiters_have_it(sandbox: Sandbox, reads: Reads) -> None:
    seen: list[int] = []
    done = asyncio.Event()

    def on_done(waiter: Waiter) -> None:
        seen.append(len(reads.stored))
        done.set()

    reads.in_flight.join(Waiter("Services", ReadOptions(), on_done))
    await done.wait()
    assert seen == [1]
    ((_, value, body),) = reads.stored
    assert value == 200
    assert body.startswith(b"{")


async def test_waiters_share_the_error(sandbox: Sandbox, reads: Reads) -> None:
    sandbox.faults.add("*", Fault("status", status=503))
    found = [await waiting for waiting in [reads.wait() for _ in range(3)]]
    assert isinstance(found[0], errors.UpstreamUnavailable)
    assert all(error is found[0] for error in found)
    assert len(sandbox.calls) == 3  # Its attempts.
    assert reads.released == ["Services"]
    assert reads.stored == []


async def test_without_the_cache_a_waiter_joins_no_read_and_others_join_its_own(sandbox: Sandbox, reads: Reads) -> None:
    waiters = [reads.wait(), reads.wait(no_cache=True), reads.wait()]
    for waiting in waiters:
        await waiting
    assert [waiting.waiter.is_first for waiting in waiters] == [True, True, False]
    assert len(sandbox.calls) == 2
    assert "Services" not in reads.in_flight


async def test_a_read_goes_on_while_a_waiter_is_left(sandbox: Sandbox, reads: Reads) -> None:
    sandbox.faults.add("*", Fault(latency=0.1, times=1))
    first, second = reads.wait(), reads.wait()
    await sandbox.until(lambda: len(sandbox.calls) == 1)
    first.cancel()
    assert not second.waiter.is_done
    assert await second == 200
    assert first.waiter.is_done
    assert first.waiter.value is None
    assert len(sandbox.calls) == 1
    assert reads.released == []


async def test_the_last_waiter_to_leave_cancels_the_read(sandbox: Sandbox, reads: Reads) -> None:
    sandbox.faults.add("*", Fault("hang", times=1))
    first, second = reads.wait(), reads.wait()
    await sandbox.until(lambda: len(sandbox.calls) == 1)
    first.cancel()
    second.cancel()
    assert "Services" not in reads.in_flight
    await sandbox.until(lambda: sandbox.calls[0].client_left)
    assert reads.released == ["Services"]
    assert await reads.wait() == 200
    assert reads.client.limiter.in_flight == 0


async def test_the_expiry_of_one_waiter_leaves_the_read_to_the_other(sandbox: Sandbox, reads: Reads) -> None:
    sandbox.faults.add("*", Fault(latency=0.1, times=1))
    first, second = reads.wait(), reads.wait()
    await sandbox.until(lambda: len(sandbox.calls) == 1)
    first.expire()
    assert isinstance(await first, errors.UpstreamTimeout)
    assert await second == 200
    first.expire()
    second.expire()
    assert second.waiter.value == 200
    assert len(sandbox.calls) == 1


async def test_a_read_is_retried_for_the_waiter_with_the_latest_deadline(sandbox: Sandbox, reads: Reads) -> None:
    sandbox.faults.add("*", Fault("status", status=429, retry_after=5.0))
    now = asyncio.get_running_loop().time()
    attempted = asyncio.Event()
    short = reads.wait(deadline=now + 1, on_attempt=lambda *_: attempted.set())
    long = reads.wait(deadline=now + 60)
    await attempted.wait()
    assert reads.client.retries == 1
    assert not short.waiter.is_done
    for waiter in (short, long):
        waiter.expire()
        assert isinstance(await waiter, errors.UpstreamTimeout)
    assert "Services" not in reads.in_flight
    assert isinstance(await reads.wait(deadline=now + 1), errors.UpstreamRateLimited)  # Nobody can wait for a retry.
    assert len(sandbox.calls) == 2


async def test_every_waiter_is_told_of_the_attempts_while_it_waits(sandbox: Sandbox, reads: Reads) -> None:
    sandbox.faults.add("*", Fault(latency=0.1, times=1))
    told: dict[str, list[int | None]] = {"leaves": [], "stays": []}

    def listener(name: str) -> Any:
        def on_attempt(key: str, attempt: Attempt) -> None:
            assert key == "Services"
            told[name].append(attempt.status)

        return on_attempt

    leaves = reads.wait(on_attempt=listener("leaves"))
    reads.wait()
    stays = reads.wait(on_attempt=listener("stays"))
    await sandbox.until(lambda: len(sandbox.calls) == 1)
    leaves.cancel()
    await stays
    assert told == {"leaves": [None], "stays": [200]}


async def test_a_read_that_is_never_sent_is_no_call(sandbox: Sandbox, reads: Reads) -> None:
    """While the breaker is open, a read of a kind that has failed fails at once."""
    for kind in ("Messages", "Receipts", "Messages"):
        reads.client.limiter.breaker.on_failure(kind, asyncio.get_running_loop().time() + 3600)
    waiter = reads.wait("Services/IS/Conversations/CH/Messages?PageSize=1").waiter
    assert waiter.is_done
    assert isinstance(waiter.value, errors.UpstreamUnavailable)
    assert not waiter.is_first
    assert sandbox.calls == []
    assert waiter.read is None


async def test_no_later_waiter_joins_a_read_that_is_detached(sandbox: Sandbox, reads: Reads) -> None:
    """Nor is its value stored; other reads are joined as before."""
    earlier, other = reads.wait("Services/IS1/Conversations?PageSize=1"), reads.wait()
    reads.in_flight.detach("Services/IS1/Conversations")
    assert "Services" in reads.in_flight
    later = reads.wait("Services/IS1/Conversations?PageSize=1")
    assert (earlier.waiter.is_first, later.waiter.is_first, reads.wait().waiter.is_first) == (True, True, False)
    for waiting in (earlier, later):
        assert isinstance(await waiting, errors.NotFound)
    assert await other == 200
    assert sorted(sandbox.paths) == ["Services", *["Services/IS1/Conversations?PageSize=1"] * 2]
    fine = reads.wait("Services?PageSize=1")
    reads.in_flight.detach("Services")
    assert await fine == 200
    assert [key for key, _, _ in reads.stored] == ["Services"]


async def test_a_bug_reaches_every_waiter(sandbox: Sandbox, client: Client) -> None:
    def store(*_: Any) -> Any:
        raise ZeroDivisionError

    in_flight = InFlightReads(client, lambda key, kind, response: response.status, store)
    waiters = [Waiting("Services") for _ in range(2)]
    for waiting in waiters:
        in_flight.join(waiting.waiter)
    found = [await waiting for waiting in waiters]
    assert [type(error) for error in found] == [ZeroDivisionError] * 2
    assert "Services" not in in_flight
