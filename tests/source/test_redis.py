"""Several processes over one Redis: together they make as many calls as one, and without it each goes on alone.

They run against a real redis-server, which each test starts for itself.
"""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from gateway.accounts.account import Account
from gateway.accounts.operation import Operation
from gateway.demo import landmark_variables
from gateway.execution.outcome import Outcome
from gateway.sandbox import Fault, Sandbox
from gateway.source import redis
from gateway.source.in_flight import Waiter
from gateway.source.lifetimes import Lifetimes
from gateway.source.memory import MemoryCache
from gateway.source.options import ReadOptions
from gateway.source.redis import RedisCache
from gateway.source.remote import RemoteReads
from gateway.source.slots import share_slots
from gateway.twilio.client import Client
from gateway.twilio.retry import RetryPolicy
from gateway.twilio.transport import Credentials, Origin

from ..conftest import RedisServer
from .conftest import RECEIPTS, THREAD

TIMEOUT = 10.0  # Seconds, so that a slow machine is not mistaken for a server that is down.


@asynccontextmanager
async def replicas(
    sandbox: Sandbox,
    redis_server: RedisServer,
    count: int = 2,
    lifetimes: Lifetimes | None = None,
    seconds: float = TIMEOUT,
) -> AsyncIterator[list[Account]]:
    """So many gateways, each with a client, a memory and connections of its own."""
    origin = Origin(sandbox.url, Credentials(sandbox.account_sid, sandbox.auth_token))
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(count):
            client = await stack.enter_async_context(Client(origin, retries=RetryPolicy(first_delay=0.0)))
            remote = await stack.enter_async_context(RedisCache(redis_server.url, "test", timeout=seconds))
            made.append(Account(client, cache=MemoryCache(2**24), lifetimes=lifetimes, remote=remote))
        yield made


async def ask(operations: Account, sandbox: Sandbox, query: str = THREAD, **options: Any) -> Outcome:
    return await operations.run(Operation(query, variables=landmark_variables(query, sandbox.landmarks), **options))


async def test_processes_in_turn_call_once(sandbox: Sandbox, redis_server: RedisServer) -> None:
    async with replicas(sandbox, redis_server) as (one, other):
        first = await ask(one, sandbox)
        calls = len(sandbox.calls)
        second = await ask(other, sandbox)
        assert (second.data, second.failures, second.calls) == (first.data, (), 0)
        assert len(sandbox.calls) == calls == len(set(sandbox.paths))


async def test_keys_and_their_hashes_do_not_name_a_person(sandbox: Sandbox, redis_server: RedisServer) -> None:
    query = """query($serviceSid: ID!, $conversationSid: ID!, $identity: String!, $address: String!) {
      service(sid: $serviceSid) {
        a: participations(by: {identity: $identity}, first: 2) { edges { cursor } }
        b: participations(by: {address: $address}) { edges { cursor } }
        conversation(sid: $conversationSid) { participantByIdentity(identity: $identity) { roleSid unreadMessages } }
      }
    }"""
    marks, names = sandbox.landmarks, list[str]()
    origin = Origin(sandbox.url, Credentials(sandbox.account_sid, sandbox.auth_token))
    for secret in (b"one", b"two", b"one"):
        async with (
            Client(origin) as client,
            RedisCache(redis_server.url, "people", secret=secret, timeout=TIMEOUT) as remote,
        ):
            sandbox.reset()
            account = Account(client, cache=MemoryCache(2**24), lifetimes=Lifetimes(messages=300), remote=remote)
            outcome = await ask(account, sandbox, query)
            assert not outcome.failures
        async with Redis.from_url(redis_server.url) as server:
            names = [name.decode() for name in await server.keys() if isinstance(name, bytes)]
    assert sandbox.calls == []  # The second process with that secret finds all that the first has read.
    assert len([name for name in names if "ParticipantConversations?" in name]) == 4
    hashed = hashlib.sha256(marks["address"].encode()).hexdigest()[:16]
    text = " ".join(names)
    assert not any(part in text for part in (marks["address"][1:], "ops", "%2B", "Identity", "Address", hashed))


async def test_processes_at_one_time_call_once(sandbox: Sandbox, redis_server: RedisServer) -> None:
    sandbox.faults.add("*", Fault(latency=(0.0, 0.05)))
    async with replicas(sandbox, redis_server, 3) as three:
        outcomes = await asyncio.gather(*(ask(each, sandbox) for each in three))
    assert all(outcome.data == outcomes[0].data and not outcome.failures for outcome in outcomes)
    assert len(sandbox.calls) == len(set(sandbox.paths)) == sum(outcome.calls for outcome in outcomes)


async def test_a_lost_lease_costs_a_call_and_fails_nothing(sandbox: Sandbox, redis_server: RedisServer) -> None:
    """The process that reads is cancelled; another takes over."""
    rule = sandbox.faults.add("*", Fault("hang"))
    async with replicas(sandbox, redis_server) as (one, other):
        leading = asyncio.create_task(ask(one, sandbox, RECEIPTS))
        await sandbox.until(lambda: len(sandbox.calls) == 1)
        following = asyncio.create_task(ask(other, sandbox, RECEIPTS))
        await asyncio.wait({following}, timeout=0.1)
        assert len(sandbox.calls) == 1
        sandbox.faults.remove(rule)
        leading.cancel()
        outcome = await following
    assert (outcome.failures, outcome.calls, len(sandbox.calls)) == ((), 1, 2)


async def test_what_is_not_cached_is_not_waited_for(
    sandbox: Sandbox, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No process waits for a lease to expire: neither without caching, nor for values that have become stale."""
    monkeypatch.setattr(redis, "_LEASE_SECONDS", 3600.0)
    for lifetimes in (Lifetimes(0, 0, 0, 0, 0, 0), Lifetimes(0.05, 0.05, 0.05, 0.05, 0.05, 0.05)):
        async with replicas(sandbox, redis_server, lifetimes=lifetimes) as (one, other):
            for each in (one, other, one, other):
                assert (await ask(each, sandbox)).failures == ()


async def test_an_error_is_everyones_own(sandbox: Sandbox, redis_server: RedisServer) -> None:
    sandbox.faults.add("*", Fault("status", status=403))
    async with replicas(sandbox, redis_server) as both:
        outcomes = await asyncio.gather(*(ask(each, sandbox, RECEIPTS) for each in both))
    assert [[failure.error.code for failure in each.failures] for each in outcomes] == [["UPSTREAM_REJECTED"]] * 2


@pytest.mark.parametrize("end", ["an error", "nobody waits"])
async def test_the_lease_of_a_read_without_a_value_is_released_at_once(
    sandbox: Sandbox, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """Another process reads the same then, and does not wait until the lease expires."""
    monkeypatch.setattr(redis, "_LEASE_SECONDS", 3600.0)
    rule = sandbox.faults.add("*", Fault("status", status=403) if end == "an error" else Fault("hang"))
    async with replicas(sandbox, redis_server) as (one, other):
        leading = asyncio.create_task(ask(one, sandbox, RECEIPTS))
        await sandbox.until(lambda: len(sandbox.calls) == 1)
        if end == "nobody waits":
            leading.cancel()
        await asyncio.wait({leading})
        sandbox.faults.remove(rule)
        outcome = await ask(other, sandbox, RECEIPTS)
    assert (outcome.failures, outcome.calls, len(sandbox.calls)) == ((), 1, 2)


async def test_without_the_server_everyone_goes_on_alone(sandbox: Sandbox, redis_server: RedisServer) -> None:
    async with replicas(sandbox, redis_server, lifetimes=Lifetimes(0, 0, 0, 0, 0, 0)) as (one, _):
        await ask(one, sandbox)
        redis_server.stop()
        with capture_logs() as log:
            for _ in range(3):
                began = asyncio.get_running_loop().time()
                assert (await ask(one, sandbox)).failures == ()
                assert asyncio.get_running_loop().time() - began < 2.5
            redis_server.start()
            await asyncio.sleep(1.1)  # The pause before it is asked again is what is looked at here.
            assert (await ask(one, sandbox)).failures == ()
    assert [line["event"] for line in log] == ["redis unavailable", "redis available"]


async def test_an_outage_is_logged_when_it_begins_changes_and_ends(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis, "_BACKOFF_SECONDS", 0.0)

    async def ask_often() -> None:
        for _ in range(3):
            await asyncio.gather(*(cache.get_or_lease([f"key{number}"]) for number in range(5)))

    async with RedisCache(redis_server.url, "outage", timeout=TIMEOUT) as cache:
        with capture_logs() as log:
            await ask_often()
            assert log == []
            redis_server.stop()
            await ask_often()
            redis_server.start("--requirepass", "a-password")
            await ask_often()
            redis_server.stop()
            redis_server.start()
            await ask_often()
    assert [(line["event"], line.get("cause")) for line in log] == [
        ("redis unavailable", "connection refused"),
        ("redis unavailable", "authentication failed"),
        ("redis available", None),
    ]


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("redis://127.0.0.1:1", "connection refused"),
        ("redis://no.such.host.invalid:6379", "host not found"),
        ("unix:///no/such/socket", "no such file or directory"),
    ],
)
async def test_a_probe_returns_the_cause(url: str, cause: str) -> None:
    async with RedisCache(url, "probe", timeout=TIMEOUT) as cache:
        assert await cache.probe() == cause


async def test_a_probe_sends_what_a_read_sends(redis_server: RedisServer) -> None:
    async with RedisCache(redis_server.url, "probe", timeout=TIMEOUT) as cache:
        assert await cache.probe() is None
        redis_server.stop()
        redis_server.start("--user", "default", "on", "nopass", "~*", "+@all", "-@scripting")
        assert await cache.probe() == "permission denied"
        redis_server.stop()
        redis_server.start("--user", "default", "on", "nopass", "~*", "+@all", "-mget")
        assert await cache.probe() == "it rejects a command"


async def test_a_server_that_hangs_costs_a_moment(sandbox: Sandbox, redis_server: RedisServer) -> None:
    async with replicas(sandbox, redis_server, seconds=0.1) as (one, other):
        await ask(one, sandbox, RECEIPTS)
        assert redis_server.process is not None
        os.kill(redis_server.process.pid, 19)  # SIGSTOP
        try:
            began = asyncio.get_running_loop().time()
            outcome = await ask(other, sandbox)
            assert outcome.failures == ()
            assert asyncio.get_running_loop().time() - began < 2.5
        finally:
            os.kill(redis_server.process.pid, 18)  # SIGCONT


async def test_a_busy_process_does_not_take_the_server_for_away(redis_server: RedisServer) -> None:
    """Its timer fires before it sees an answer that has arrived in time."""
    async with RedisCache(redis_server.url, "busy", timeout=1.0) as cache:
        await cache.get_or_lease(["key"])
        asking = asyncio.create_task(cache.get_or_lease(["key"]))
        for _ in range(10):
            await asyncio.sleep(0)
        time.sleep(1.1)  # noqa: ASYNC251 - a busy process is what is looked at here.
        await asking
        assert cache.counts == {"answer": 2}


async def test_what_cannot_be_decoded_is_read_from_twilio(sandbox: Sandbox, redis_server: RedisServer) -> None:
    async with replicas(sandbox, redis_server) as (one, other):
        first = await ask(one, sandbox, RECEIPTS)
        remote: Any = one._source._remote
        names = await remote._redis.keys("*Receipts*")
        for name in names:
            await remote._redis.set(name, b"\x00" * 8 + b'{"meta": {}, "delivery_receipts": [{"sid": 1}]}')
        second = await ask(other, sandbox, RECEIPTS)
        assert (second.data, second.calls) == (first.data, 1)


async def test_a_lease_whose_waiters_have_left_is_released_at_once(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease arrives after the request has been cancelled: another process may read the key."""
    monkeypatch.setattr(redis, "_LEASE_SECONDS", 3600.0)
    async with (
        RedisCache(redis_server.url, "left", timeout=TIMEOUT) as one,
        RedisCache(redis_server.url, "left", timeout=TIMEOUT) as other,
    ):
        waiter, is_leased = Waiter("key", ReadOptions()), asyncio.Event()
        RemoteReads(one, lambda *_: None, lambda _: is_leased.set()).start([waiter])
        waiter.cancel()
        async with asyncio.timeout(10):
            await is_leased.wait()
            while (await other.get_or_lease(["key"])).leased != {"key"}:
                pass


async def test_a_lease_of_ones_own_is_not_waited_for(redis_server: RedisServer) -> None:
    """The answer that granted it may have been lost."""
    async with (
        RedisCache(redis_server.url, "lease", timeout=TIMEOUT) as one,
        RedisCache(redis_server.url, "lease", timeout=TIMEOUT) as other,
    ):
        assert (await one.get_or_lease(["key"])).leased == {"key"}
        assert (await one.get_or_lease(["key"])).leased == {"key"}
        assert (await other.get_or_lease(["key"])).awaited == {"key"}


async def test_slots_are_shared(sandbox: Sandbox, redis_server: RedisServer) -> None:
    """Each process gets what it wants as far as the others leave it."""
    async with (
        RedisCache(redis_server.url, "slots", timeout=TIMEOUT) as one,
        RedisCache(redis_server.url, "slots", timeout=TIMEOUT) as other,
    ):
        assert await one.share(20, 16, 1000.0, 3.0) == 16
        assert await other.share(20, 16, 1000.0, 3.0) == 4
        assert await one.share(20, 8, 1001.0, 3.0) == 8
        assert await other.share(20, 16, 1001.0, 3.0) == 12
        assert await other.share(20, 20, 1005.0, 3.0) == 20  # The claim of the first has expired.
        assert await one.share(20, 8, 1005.0, 3.0) == 1


async def test_replicas_together_keep_to_the_accounts_slots(sandbox: Sandbox, redis_server: RedisServer) -> None:
    sandbox.faults.add("*", Fault(latency=0.01))
    origin = Origin(sandbox.url, Credentials(sandbox.account_sid, sandbox.auth_token))
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(Client(origin, concurrency=20)) for _ in range(2)]
        caches = [
            await stack.enter_async_context(RedisCache(redis_server.url, "slots", timeout=TIMEOUT)) for _ in clients
        ]
        for client, cache in zip(clients, caches, strict=True):
            client.limiter.set_maximum(await cache.share(20, 8, time.time(), 3.0) or 20)
        sharing = [
            asyncio.create_task(share_slots(client.limiter, cache))
            for client, cache in zip(clients, caches, strict=True)
        ]
        reads = [
            client.get(f"Services?PageSize={number + 1}", lambda target, response: response.status)
            for client in clients
            for number in range(100)
        ]
        assert await asyncio.gather(*reads) == [200] * 200
        for task in sharing:
            task.cancel()
    assert sandbox.max_in_flight <= 20


async def test_slots_are_claimed_less_often_while_nothing_is_queued(
    sandbox: Sandbox, redis_server: RedisServer
) -> None:
    """Even if reads were queued before: the server is asked at intervals, and not in every round trip."""
    origin = Origin(sandbox.url, Credentials(sandbox.account_sid, sandbox.auth_token))
    async with (
        Client(origin, concurrency=1) as client,
        RedisCache(redis_server.url, "slots", timeout=TIMEOUT) as cache,
        RedisCache(redis_server.url, "other", timeout=TIMEOUT) as other,
    ):
        reads = [client.get(f"Services?PageSize={size}", lambda target, response: response.status) for size in (1, 2)]
        assert await asyncio.gather(*reads) == [200, 200]
        assert client.limiter.needs_room.is_set()
        sharing = asyncio.create_task(share_slots(client.limiter, cache))
        for _ in range(100):
            await other.get_or_lease(["key"])
        sharing.cancel()
        await asyncio.wait({sharing})
    assert 1 <= cache.counts["answer"] < 20
