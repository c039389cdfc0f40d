"""Events between processes: over sockets and over Redis, with processes and servers that go and come back."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from gateway.accounts.operation import Operation
from gateway.demo import landmark_variables
from gateway.sandbox import Sandbox
from gateway.source import redis_stream, worker_channel
from gateway.source.publication import Message, Publication
from gateway.source.redis import RedisCache
from gateway.source.redis_stream import RedisStream, changed_lists
from gateway.twilio.client import Client
from gateway.twilio.events import Change, Event

from ..conftest import RedisServer
from .conftest import RECEIPTS
from .processes import CONVERSATION, Process, connected, machines, receipt, until_stream, workers


@pytest.fixture
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a short path: that of a Unix socket has at most 107 characters."""
    return tmp_path_factory.mktemp("w")


# Workers


async def test_workers_pass_each_other_what_changed_something(client: Client, short: Path) -> None:
    async with workers(client, short, 3) as (one, two, three):
        first = receipt(1, "sent")
        assert one.publication.apply(first) is not None
        await asyncio.gather(*(process.until_heard(1) for process in (two, three)))
        assert one.publication.apply(first) is None  # Nothing to publish.
        two.publication.apply(receipt(1, "read", 1))
        await asyncio.gather(*(process.until_heard(2) for process in (one, three)))
        assert [process.status(first) for process in (one, two, three)] == ["read"] * 3
        assert one.publication.counts == {"published": 1, "received": 1, "dropped": 0}


async def test_a_worker_that_starts_later_catches_up(client: Client, short: Path) -> None:
    async with workers(client, short, 1) as (one,):
        for number in range(300):
            one.publication.apply(receipt(number))
        late = Process(client)
        async with connected(late, short):
            await late.until_heard(300)
            one.publication.apply(receipt(300))
            await late.until_heard(301)
        assert late.status(receipt(7)) == "read"


async def test_a_flood_arrives_whole(client: Client, short: Path) -> None:
    async with workers(client, short) as (one, two):
        one.publication.apply(receipt(0))
        await two.until_heard(1)
        for number in range(1, 3000):
            one.publication.apply(receipt(number))
        await two.until_heard(3000)
        assert len({update.event.path for update in two.updates}) == 3000


async def test_a_worker_that_was_killed_leaves_nothing_that_hinders(client: Client, short: Path) -> None:
    """Its socket file stays behind; nobody listens."""
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(short / "killed.events"))
    async with workers(client, short) as (one, two):
        one.publication.apply(receipt(1))
        await two.until_heard(1)
    assert os.listdir(short) == []


async def test_a_worker_that_does_not_read_is_disconnected_and_catches_up(
    client: Client, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_channel, "_RECONNECT_SECONDS", 0.01)
    async with workers(client, short) as (one, two):
        one.publication.apply(receipt(0))
        await two.until_heard(1)
        monkeypatch.setattr(worker_channel, "_BUFFER_MAX", -1)
        with capture_logs() as log:
            one.publication.apply(receipt(1))
        assert [line["event"] for line in log] == ["worker disconnected"]
        monkeypatch.setattr(worker_channel, "_BUFFER_MAX", 2**20)
        await two.until_heard(2)
        one.publication.apply(receipt(2))
        await two.until_heard(3)


async def test_messages_of_other_kinds_and_garbage(client: Client, short: Path) -> None:
    async with workers(client, short) as (one, two):
        got: list[Any] = []
        two.publication.on_message("delivery", lambda body: got.append(msgspec.msgpack.decode(body)))
        one.publication.apply(receipt(0))
        await two.until_heard(1)
        one.publication.send("delivery", {"verdict": "forged"})
        one.publication.send("of a later version", 1)
        one.publication.send("event", "no event")
        with capture_logs() as log:
            one.publication.apply(receipt(1))
            await two.until_heard(2)
        assert got == [{"verdict": "forged"}]
        assert [line["event"] for line in log] == ["message not read"]
        reader, writer = await asyncio.open_unix_connection(short / os.listdir(short)[0])
        writer.write(b"\xff\xff\xff\xffgarbage")
        while await reader.read(4096):
            pass  # The greeting, then the end: the length is not a message's.
        writer.close()


# Redis


async def test_machines_share_events_over_redis(client: Client, redis_server: RedisServer) -> None:
    async with machines(client, redis_server, 3) as (one, two, three):
        for number in range(1000):
            one.publication.apply(receipt(number))
        await asyncio.gather(*(process.until_heard(1000) for process in (two, three)))
        assert len(one.updates) == 1000
        two.publication.apply(receipt(5, "delivered"))  # Late: nobody is notified.
        three.publication.apply(receipt(1000))
        await asyncio.gather(*(process.until_heard(1001) for process in (one, two)))
        assert [len(process.updates) for process in (one, two, three)] == [1001] * 3
        assert one.publication.is_stream_up is True


async def test_a_machine_that_starts_later_knows_the_bounded_past(client: Client, redis_server: RedisServer) -> None:
    async with machines(client, redis_server, 1) as (one,):
        for number in range(700):
            one.publication.apply(receipt(number))
        async with machines(client, redis_server, 1) as (other,):
            await other.until_heard(700)  # So all are published.
        async with machines(client, redis_server, 1) as (late,):
            assert late.status(receipt(0)) == late.status(receipt(699)) == "read"  # When it is open, it has caught up.


async def test_a_machine_stops_without_waiting_for_another_event(
    client: Client, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_stream, "_BLOCK_SECONDS", 40.0)
    async with asyncio.timeout(20):
        for _ in range(5):  # The cancellation comes just when the read has been sent.
            async with machines(client, redis_server, 1):
                pass


async def test_the_stream_keeps_no_event_for_longer_than_it_is_replayed(
    client: Client, redis_server: RedisServer
) -> None:
    async with machines(client, redis_server) as (one, two):
        one.publication.apply(receipt(1))
        await two.until_heard(1)
        (stream,) = one.publication._channels
        assert isinstance(stream, RedisStream)
        name = "receipts-gateway:tenant:events"
        assert 0 < int(await stream._redis.ttl(name)) <= 300
        one.publication.history.seconds = -60.0  # Every event is older than that.
        await stream._publish([])
        assert int(await stream._redis.exists(name)) == 0


async def test_without_redis_a_machine_goes_on_alone_and_nothing_goes_back_on_its_return(
    client: Client, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_stream, "_BACKOFF_SECONDS", 0.05)
    async with machines(client, redis_server) as (one, two):
        event = receipt(1, "sent")
        one.publication.apply(event)
        await two.until_heard(1)
        with capture_logs() as log:
            redis_server.stop()
            one.publication.apply(receipt(1, "delivered", 1))
            two.publication.apply(receipt(1, "read", 2))
            for number in range(2, 20):
                one.publication.apply(receipt(number))
            assert one.status(event) == "delivered"
            await until_stream(one, two, is_up=False)
            redis_server.start()
            await two.until_heard(2 + 18)
            await one.until_heard(2 + 18 + 1)
            await until_stream(one, two, is_up=True)
        assert (one.status(event), two.status(event)) == ("read", "read")
        assert [update.properties["status"] for update in two.updates if update.event.path == event.path] == [
            "sent",
            "read",
        ]
        messages = [line["event"] for line in log if "stream" in line["event"]]
        assert sorted(messages) == ["event stream away"] * 2 + ["event stream back"] * 2


async def test_events_that_wait_for_redis_are_bounded(
    client: Client, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_stream, "_WAITING_MAX", 10)
    redis_server.stop()
    async with machines(client, redis_server, 1) as (one,):
        for number in range(25):
            one.publication.apply(receipt(number))
        assert one.publication.is_stream_up is False
        assert one.publication.counts == {"published": 25, "received": 0, "dropped": 15}


async def test_no_process_uses_a_body_that_was_read_before_an_event_without_the_event(
    client: Client, redis_server: RedisServer, sandbox: Sandbox
) -> None:
    """One that received the event merges the body with it; one that did not reads again."""
    marks = sandbox.landmarks
    sandbox.world.progress(marks["message_sid"], to="sent")

    async def statuses(process: Process) -> set[str]:
        outcome = await process.account.run(Operation(RECEIPTS, variables=landmark_variables(RECEIPTS, marks)))
        data: Any = outcome.data
        edges = data["service"]["conversation"]["message"]["receipts"]["edges"]
        return {edge["node"]["status"] for edge in edges}

    async with (
        machines(client, redis_server) as (one, two),
        RedisCache(redis_server.url, "tenant", timeout=10.0) as remote,
    ):
        assert await statuses(one) == {"SENT"}
        deaf = Process(client, remote)
        sandbox.reset()
        assert await statuses(deaf) == {"SENT"}
        assert sandbox.calls == []  # From Redis.
        sandbox.world.progress(marks["message_sid"], receipt_sid=marks["receipt_sid"], to="delivered")
        path = (
            f"Services/{marks['service_sid']}/Conversations/{marks['conversation_sid']}/Messages/{marks['message_sid']}"
        )
        event = Event(
            Change.UPDATED,
            f"{path}/Receipts/{marks['receipt_sid']}",
            {"status": "delivered", "error_code": None, "date_updated": "2026-03-24T20:37:57Z"},
            "2026-03-24T20:37:57Z",
        )
        one.publication.apply(event)
        await two.until_heard(1)
        assert await statuses(two) == {"DELIVERED", "SENT"}
        assert sandbox.calls == []
        new = Process(client, remote)
        assert await statuses(new) == {"DELIVERED", "SENT"}
        assert len(sandbox.calls) == 1


@pytest.mark.parametrize(
    ("path", "change", "lists"),
    [
        ("Messages/IM1/Receipts/DY1", Change.UPDATED, ["Messages/IM1/Receipts", "Messages"]),
        ("Messages/IM1", Change.ADDED, ["Messages"]),
        ("Messages/IM1", Change.REMOVED, ["Messages", "Messages/IM1/Receipts"]),
        ("Participants/MB1", Change.REMOVED, ["Participants"]),
    ],
)
def test_the_lists_that_an_event_changes(path: str, change: Change, lists: list[str]) -> None:
    event = Event(change, f"{CONVERSATION}/{path}", {}, "")
    assert changed_lists(event) == [f"{CONVERSATION}/{each}" for each in lists]


def test_a_message_of_an_unknown_kind_is_ignored() -> None:
    publication = Publication.__new__(Publication)
    publication._on_message = {}
    publication.receive(Message("future", msgspec.Raw(b"")))
