"""Subscriptions at several processes: each is sent each event once, nothing goes back, and nothing is missed."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.accounts.operation import Operation
from gateway.accounts.subscriptions import Subscription
from gateway.source import publication, redis_stream
from gateway.source.journal import Update
from gateway.source.publication import Message
from gateway.source.redis_stream import RedisStream
from gateway.twilio.client import Client

from ..conftest import RedisServer
from ..source.processes import CONVERSATION, Process, connected, machines, receipt, until_stream, workers
from .live import DELIVERIES, take, taken

SERVICE = CONVERSATION.split("/")[1]


def subscribe(process: Process, after: str | None = None) -> Subscription:
    found = process.account.subscribe(Operation(DELIVERIES, variables={"serviceSid": SERVICE, "after": after}))
    assert isinstance(found, Subscription)
    return found


async def receive(subscription: Subscription, count: int) -> list[Any]:
    """Return the next events."""
    return [await take(subscription) for _ in range(count)]


async def opened(process: Process, after: str | None = None) -> Subscription:
    subscription = subscribe(process, after)
    assert (await take(subscription))["__typename"] == "DeliveriesReady"
    return subscription


def numbers(events: list[Any]) -> list[int]:
    return [int(event["receipt"]["sid"][2:], 16) for event in events]


def on_delivery(process: Process, check: Callable[[Update], None]) -> None:
    """Call `check` before each event is delivered to the subscribers of a process."""
    deliver = process.publication.on_event

    def checked(update: Update) -> None:
        check(update)
        deliver(update)

    process.publication.on_event = checked


@pytest.fixture
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a short path: that of a Unix socket has at most 107 characters."""
    return tmp_path_factory.mktemp("w")


# Over Redis


async def test_each_is_sent_each_event_once_when_every_process_knows_it(
    client: Client, redis_server: RedisServer
) -> None:
    """So no query that begins after an event was sent is answered with older records, at any process."""
    async with machines(client, redis_server, 3) as processes:
        subscriptions = [await opened(process) for process in processes for _ in range(2)]
        behind: list[int] = []

        def check(update: Update) -> None:
            behind.extend(number for number, process in enumerate(processes) if process.status(update.event) is None)

        for process in processes:
            on_delivery(process, check)
        for number in range(90):
            processes[number % 3].publication.apply(receipt(number))
            if not number % 10:
                await asyncio.sleep(0)
        for subscription in subscriptions:
            assert sorted(numbers(await receive(subscription, 90))) == list(range(90))
        assert behind == []
        assert [taken(subscription) for subscription in subscriptions] == [[]] * 6


async def test_ready_covers_only_what_every_process_has_applied(client: Client, redis_server: RedisServer) -> None:
    """An event from just before is sent after it: a query at another process may not know it yet."""
    async with machines(client, redis_server) as (one, two):
        one.publication.apply(receipt(1))
        subscription = await opened(one)
        assert two.status(receipt(1)) is None
        assert numbers(await receive(subscription, 1)) == [1]
        assert two.status(receipt(1)) == "read"


async def test_a_process_that_reads_no_longer_is_waited_for_once(
    client: Client, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_stream, "_LAG_SECONDS", 0.05)
    monkeypatch.setattr(publication, "_DELIVER_SECONDS", 20.0)
    async with machines(client, redis_server) as (one, two):
        subscription = await opened(one)
        one.publication.apply(receipt(1))
        await receive(subscription, 1)
        (stream,), (hung,) = one.publication._channels, two.publication._channels
        assert isinstance(stream, RedisStream)
        assert isinstance(hung, RedisStream)
        hung._tasks[0].cancel()
        for number in range(2, 50):
            one.publication.apply(receipt(number))
            assert numbers(await receive(subscription, 1)) == [number]
        assert list(stream._lagging) == [two.publication.origin]


async def test_an_event_waits_only_so_long_for_a_server_that_hangs(
    client: Client, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publication, "_DELIVER_SECONDS", 0.05)
    async with machines(client, redis_server) as (one, two):
        subscription, other = await opened(one), await opened(two)
        assert redis_server.process is not None
        redis_server.process.send_signal(signal.SIGSTOP)
        one.publication.apply(receipt(1), None)
        one.publication.apply(receipt(2), None)
        assert numbers(await receive(subscription, 2)) == [1, 2]
        redis_server.process.send_signal(signal.SIGCONT)
        assert numbers(await receive(other, 2)) == [1, 2]


async def test_redis_is_killed_in_the_middle(
    client: Client, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_stream, "_BACKOFF_SECONDS", 0.05)
    async with machines(client, redis_server) as (one, two):
        subscriptions = [await opened(one), await opened(two)]
        one.publication.apply(receipt(1))
        cursors = [(await receive(subscription, 1))[0]["cursor"] for subscription in subscriptions]
        redis_server.stop()
        for number in range(2, 10):
            one.publication.apply(receipt(number))
            two.publication.apply(receipt(number + 100))
        await until_stream(one, two, is_up=False)
        one.publication.apply(receipt(10))
        own = await receive(subscriptions[0], 9)  # Each process goes on alone.
        assert numbers(own) == list(range(2, 11))
        redis_server.start()
        await until_stream(one, two, is_up=True)
        heard: list[list[int]] = []
        for subscription, expected in zip(subscriptions, (8, 8 + 9), strict=True):
            events: list[Any] = []
            while sum(event["__typename"] == "ReceiptChange" for event in events) < expected or not any(
                event["__typename"] == "DeliveriesReady" for event in events
            ):
                events += await receive(subscription, 1)
            assert [event["refetch"] for event in events if event["__typename"] == "DeliveriesReady"] == [True]
            heard.append(sorted(numbers([event for event in events if event["__typename"] == "ReceiptChange"])))
        assert heard == [list(range(102, 110)), [*range(2, 11), *range(102, 110)]]
        for process in (one, two):  # What was lost between the two cannot be known.
            assert [(await take(subscribe(process, cursor)))["refetch"] for cursor in cursors] == [True, True]
        one.publication.apply(receipt(11))
        two.publication.apply(receipt(111))
        last = [(await receive(subscription, 2))[1] for subscription in subscriptions]
        one.publication.apply(receipt(12))
        for subscription in subscriptions:
            await receive(subscription, 1)
        for process in (one, two):
            for event in last:
                ready, *events = taken(subscribe(process, event["cursor"]))
                assert (ready["refetch"], numbers(events)) == (False, [12])


async def test_a_cursor_is_good_at_every_process_and_at_one_that_starts_later(
    client: Client, redis_server: RedisServer
) -> None:
    async with machines(client, redis_server) as (one, two):
        subscriptions = [await opened(one), await opened(two)]
        for number in range(1, 6):
            one.publication.apply(receipt(number))
            two.publication.apply(receipt(number + 100))
        events = [await receive(subscription, 10) for subscription in subscriptions]
        async with machines(client, redis_server, 1) as (late,):
            assert len(taken(subscribe(late))) == 1  # What was before it began is not sent as new.
            for found in events:
                for place in (0, 4, 9):
                    rest = set(numbers(found)) - set(numbers(found[: place + 1]))
                    for process in (one, two, late):
                        ready, *replayed = taken(subscribe(process, found[place]["cursor"]))
                        assert ready["refetch"] is False
                        assert set(numbers(replayed)) == rest
            late.publication.apply(receipt(200))
            found = [(await receive(subscription, 1))[0] for subscription in subscriptions]
            assert numbers(found) == [200, 200]
        two.publication.apply(receipt(201))  # The process that has gone is known to those that heard of it.
        await receive(subscriptions[0], 1)
        ready, *replayed = taken(subscribe(one, found[1]["cursor"]))
        assert (ready["refetch"], numbers(replayed)) == (False, [201])


# Workers


async def test_workers_send_each_event_once_and_replay_those_of_the_others(client: Client, short: Path) -> None:
    async with workers(client, short, 1) as (one,):
        first = await opened(one)
        one.publication.apply(receipt(1))
        cursor = (await receive(first, 1))[0]["cursor"]
        one.publication.apply(receipt(2))
        two = Process(client)
        async with connected(two, short):
            await two.until_heard(2)
            second = await opened(two)
            two.publication.apply(receipt(3))
            assert numbers(await receive(first, 2)) == [2, 3]
            assert numbers(await receive(second, 1)) == [3]
            ready, *events = taken(subscribe(two, cursor))
            assert (ready["refetch"], numbers(events)) == (False, [2, 3])


async def test_a_worker_that_was_disconnected_misses_nothing(
    client: Client, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.source import worker_channel

    monkeypatch.setattr(worker_channel, "_RECONNECT_SECONDS", 0.01)
    async with workers(client, short) as (one, two):
        one.publication.apply(receipt(0))
        await two.until_heard(1)
        subscription = await opened(two)
        monkeypatch.setattr(worker_channel, "_BUFFER_MAX", -1)
        one.publication.apply(receipt(1))
        one.publication.apply(receipt(2))
        monkeypatch.setattr(worker_channel, "_BUFFER_MAX", 2**20)
        assert numbers(await receive(subscription, 2)) == [1, 2]
        one.publication.apply(receipt(3))
        assert numbers(await receive(subscription, 1)) == [3]


async def test_a_flood_makes_no_subscriber_too_slow(client: Client) -> None:
    process = Process(client)
    subscription = await opened(process)
    for number in range(2000):
        process.publication.apply(receipt(number))
    assert numbers(await receive(subscription, 2000)) == list(range(2000))


async def test_a_gap_is_a_possible_loss(client: Client) -> None:
    one, two = Process(client), Process(client)
    sent: list[Message] = []
    one.publication.add(type("Wire", (), {"publish": lambda _, message, __: sent.append(message)})())
    subscription = await opened(two)
    for number in range(4):
        one.publication.apply(receipt(number))
    for message in (sent[0], sent[1], sent[0], sent[3]):  # One arrives again, and one never.
        two.publication.receive(message)
    events = taken(subscription)
    assert [event["__typename"] for event in events] == ["ReceiptChange"] * 3 + ["DeliveriesReady"]
    assert (numbers(events[:3]), events[3]["refetch"]) == ([0, 1, 3], True)


async def test_what_was_known_before_is_known_at_every_process(client: Client, short: Path) -> None:
    async with workers(client, short) as (one, two):
        subscriptions = [await opened(one), await opened(two)]
        for status, known in (("sent", (True, None)), ("read", (False, "SENT"))):
            one.publication.apply(receipt(1, status, len(status)))
            for subscription in subscriptions:
                (event,) = await receive(subscription, 1)
                assert (event["isNew"], event["previousStatus"]) == known
