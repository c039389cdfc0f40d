"""Processes of one account in one: connected by sockets, as workers, or over Redis, as machines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.accounts.account import Account
from gateway.source.journal import Update
from gateway.source.lifetimes import Lifetimes
from gateway.source.memory import MemoryCache
from gateway.source.redis import RedisCache
from gateway.source.redis_stream import RedisStream
from gateway.source.worker_channel import WorkerChannel
from gateway.twilio.client import Client
from gateway.twilio.events import Change, Event

from ..conftest import RedisServer

FOREVER = Lifetimes(*[3600.0] * 6)
CONVERSATION = f"Services/IS{'1' * 32}/Conversations/CH{'2' * 32}"


def receipt(number: int, status: str = "read", second: int = 0) -> Event:
    path = f"{CONVERSATION}/Messages/IM{number // 4:032x}/Receipts/DY{number:032x}"
    date = f"2026-03-24T20:37:{second:02d}Z"
    return Event(Change.UPDATED, path, {"status": status, "date_updated": date, "error_code": None}, date)


class Process:
    """One process: an account, what it publishes, and the updates that its listeners were notified of."""

    def __init__(self, client: Client, remote: RedisCache | None = None) -> None:
        self.account = Account(client, cache=MemoryCache(2**24), lifetimes=FOREVER, remote=remote)
        self.publication = self.account.publication
        self.updates: list[Update] = []
        self._changed = asyncio.Event()
        self.account.updates.add_listener(self._hear)

    def _hear(self, update: Update) -> None:
        self.updates.append(update)
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds, which is evaluated after each update."""
        async with asyncio.timeout(20):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def until_heard(self, count: int) -> None:
        await self.until(lambda: len(self.updates) >= count)

    def status(self, event: Event) -> Any:
        known = self.account.updates.known(event.path)
        return None if known is None else known["status"]


@asynccontextmanager
async def workers(client: Client, directory: Path, count: int = 2) -> AsyncIterator[list[Process]]:
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(count):
            process = Process(client)
            await stack.enter_async_context(connected(process, directory))
            found.append(process)
        yield found


@asynccontextmanager
async def connected(process: Process, directory: Path) -> AsyncIterator[WorkerChannel]:
    publication = process.publication
    async with WorkerChannel(directory, publication.receive, publication.greeting) as channel:
        publication.add(channel)
        yield channel


@asynccontextmanager
async def machines(client: Client, redis_server: RedisServer, count: int = 2) -> AsyncIterator[list[Process]]:
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(count):
            remote = await stack.enter_async_context(RedisCache(redis_server.url, "tenant", timeout=10.0))
            process = Process(client, remote)
            stream = await stack.enter_async_context(RedisStream(redis_server.url, "tenant", process.publication))
            process.publication.add(stream)
            remote.position = stream.position
            found.append(process)
        yield found


async def until_stream(*processes: Process, is_up: bool) -> None:
    """Poll: Redis is another process, which sends no signal."""
    async with asyncio.timeout(20):
        while any(process.publication.is_stream_up is not is_up for process in processes):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
